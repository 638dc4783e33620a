"""The kernel of one notebook: which interpreter runs it, and how it is ended.

The kernel is always the Python that runs us, whatever kernel the notebook names and whether one is
registered or not. It talks through sockets in a private folder, so that kernels started at the
same time never race for ports.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, Any

from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager

from workbench.execution.processes import ProcessIdentity

LAUNCHER = Path(__file__).with_name("kernel_launcher.py")

GRACE_SECONDS = 3.0
"""Time between interrupting a kernel, so that it can clean up, and killing it."""

SOCKET_FOLDER_LENGTH = 60
"""A socket's path may have about 100 characters; longer temporary folders are not used."""


class KernelControl:
    """Holds the running kernel and ends it once, for one reason.

    The reasons are ``timeout``, ``cell timeout`` and ``killed``.
    """

    def __init__(self, environment: dict[str, str], log: IO[str], cwd: Path) -> None:
        self.environment = environment
        self.log = log
        self.cwd = cwd
        self.reason: str | None = None
        self.signal: int | None = None
        self._stopped_at: float | None = None
        self._process: _Process | None = None
        self._killer: threading.Timer | None = None
        base = tempfile.gettempdir()
        self._folder = Path(
            tempfile.mkdtemp(prefix="wb-", dir=base if len(base) < SOCKET_FOLDER_LENGTH else "/tmp")
        )

    def manager_class(self) -> type[AsyncKernelManager]:
        """A kernel manager whose kernel is ours; nbclient makes the instance itself."""
        return type("OwnKernelManager", (_OwnKernelManager,), {"control": self})

    @property
    def identity(self) -> ProcessIdentity | None:
        """The process of the kernel while it runs."""
        return self._process.identity if self._process is not None else None

    def connection_file(self) -> str:
        """Path of the file in which the kernel finds its sockets."""
        return str(self._folder / "kernel.json")

    def started(self, process: "_Process") -> None:
        """Take note of the process once it runs; end it if the end was asked for before."""
        self._process = process
        if self.reason is not None:
            self._send(signal.SIGKILL)

    def stop(self, reason: str, signal_number: int | None = None) -> None:
        """Interrupt the kernel, and kill it if it still runs after the grace period.

        Asked a second time, it kills at once. Safe to call from a signal handler or a timer.
        """
        if self.reason is not None:
            self._send(signal.SIGKILL)
            return
        self.reason, self.signal = reason, signal_number
        self._stopped_at = time.monotonic()
        self._killer = threading.Timer(GRACE_SECONDS, self._send, [signal.SIGKILL])
        self._killer.daemon = True
        self._killer.start()
        self._send(signal.SIGINT)

    def await_reason(self, seconds: float) -> None:
        """Wait for a stop that may be on its way, at most so long."""
        deadline = time.monotonic() + seconds
        while self.reason is None and time.monotonic() < deadline:
            time.sleep(0.05)

    def stopped_seconds(self) -> float:
        """Time since the end was asked for; 0 if it was not."""
        return 0.0 if self._stopped_at is None else time.monotonic() - self._stopped_at

    def is_gone(self) -> bool:
        """Whether a kernel was started and has ended."""
        return self._process is not None and self._process.has_ended()

    def close(self) -> int | None:
        """End whatever is left of the kernel and the processes it started.

        Returns:
            Exit code of the kernel; negative for the signal that killed it; None if it never ran.
        """
        if self._killer is not None:
            self._killer.cancel()
        self._send(signal.SIGKILL)
        shutil.rmtree(self._folder, ignore_errors=True)
        process, self._process = self._process, None
        return process.exit_code() if process is not None else None

    def _send(self, signal_number: int) -> None:
        """Send a signal to the kernel's process group, which is never our own."""
        process = self._process
        if process is not None and process.group and process.group != os.getpgrp():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.group, signal_number)


class _OwnKernelManager(AsyncKernelManager):
    control: KernelControl

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.transport = "ipc"
        self.connection_file = self.control.connection_file()

    @property
    def kernel_spec(self) -> KernelSpec:
        return KernelSpec(
            argv=[sys.executable, str(LAUNCHER), "-f", "{connection_file}"],
            display_name="Python 3",
            language="python",
        )

    async def _async_start_kernel(self, **options: Any) -> None:
        options |= {
            "env": {**os.environ, **self.control.environment},
            "cwd": str(self.control.cwd),
            "stdout": self.control.log.fileno(),
            "stderr": self.control.log.fileno(),
        }
        await super()._async_start_kernel(**options)
        self.control.started(_Process(self.provisioner))

    start_kernel = _async_start_kernel


class _Process:
    """What remains known of a kernel's process after its manager has forgotten it."""

    def __init__(self, provisioner: Any) -> None:
        self.group: int | None = provisioner.pgid
        pid = provisioner.process.pid
        self.identity = ProcessIdentity.of(pid)
        self._popen = provisioner.process

    def has_ended(self) -> bool:
        """Whether it has ended by now."""
        return self._popen.poll() is not None

    def exit_code(self) -> int | None:
        """Wait for the end; None if the process is in no state to tell."""
        try:
            return int(self._popen.wait(timeout=GRACE_SECONDS))
        except subprocess.TimeoutExpired:
            return None
