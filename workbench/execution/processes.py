"""Process identity and signals: a process is known by machine, boot, number and start time.

A process id alone is only a number, which the system gives to another process later. Every process
that is looked for, waited for or signalled after its number was written to a file, or after it may
have ended, is found through `ProcessIdentity`; nothing else in the package calls ``os.kill``.
"""

import contextlib
import os
import platform
import signal
import subprocess
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

START_TOLERANCE = 0.011
"""Seconds by which two readings of one start time may differ; it is counted in ticks of 10 ms."""

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class ProcessIdentity:
    """One process of one machine, told from any later process that is given the same number."""

    host: str
    boot: str
    """Identifier of the machine's last start; empty where the system tells none."""

    pid: int
    started: float
    """When the process started: seconds since the machine did (since 1970 off Linux)."""

    @classmethod
    def of(cls, pid: int) -> "ProcessIdentity | None":
        """The process of this machine that has the number now; None if there is none."""
        started = _start_time(pid)
        return None if started is None else cls(platform.node(), boot_id(), pid, started)

    @classmethod
    def own(cls) -> "ProcessIdentity":
        """The process that asks."""
        own = cls.of(os.getpid())
        assert own is not None
        return own

    @property
    def is_here(self) -> bool:
        """Whether it belongs, or before the last boot belonged, to this machine."""
        return self.host == platform.node()

    def is_alive(self) -> bool:
        """Whether exactly this process runs on this machine now; a zombie does not."""
        if not self.is_here or self.boot != boot_id():
            return False
        now = _start_time(self.pid)
        return now is not None and abs(now - self.started) < START_TOLERANCE

    def send(self, number: int) -> bool:
        """Send a signal to this process and to no other.

        Returns:
            Whether it was there to get it.
        """
        if self.pid <= 1 or not hasattr(os, "pidfd_open"):  # 0 and -1 would mean many processes
            return self.pid > 1 and self._sent(lambda: os.kill(self.pid, number))
        try:
            handle = os.pidfd_open(self.pid)  # from here on the number cannot change hands
        except OSError:
            return False
        try:
            return self._sent(lambda: signal.pidfd_send_signal(handle, number))
        finally:
            os.close(handle)

    def send_to_group(self, number: int) -> bool:
        """Send a signal to the process group that this process leads, never to our own.

        Returns:
            Whether it was there, and leads a group.
        """
        try:
            leads = self.pid > 1 and os.getpgid(self.pid) == self.pid != os.getpgrp()
        except ProcessLookupError:
            return False
        return leads and self._sent(lambda: os.killpg(self.pid, number))

    def _sent(self, send: Any) -> bool:
        if not self.is_alive():
            return False
        try:
            send()
        except (ProcessLookupError, PermissionError):
            return False
        return True

    def to_json(self) -> dict[str, Any]:
        """As a record holds it."""
        return asdict(self)


@cache
def boot_id() -> str:
    """Identifier of this machine's last start; empty where the system tells none."""
    try:
        return BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _start_time(pid: int) -> float | None:
    """When a process of this machine started; None if there is none, or it is a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return None if Path("/proc/self/stat").exists() else _start_time_elsewhere(pid)
    ended = fields[0] in {"Z", "X"}
    return None if ended else int(fields[19]) / os.sysconf("SC_CLK_TCK")


def _start_time_elsewhere(pid: int) -> float | None:
    """The start time as psutil tells it, on systems without ``/proc``."""
    import psutil  # type: ignore[import-untyped]

    try:
        process = psutil.Process(pid)
        ended = process.status() == psutil.STATUS_ZOMBIE
        return None if ended else float(process.create_time())
    except (psutil.Error, ValueError, OverflowError):
        return None


def end_group(process: "subprocess.Popen[Any]", *, grace_seconds: float | None = None) -> int:
    """Wait for a child that leads its own process group, then kill what is left of the group.

    The child is reaped last: until then its number, which is also the group's, is not given to
    another process.

    Args:
        process: A child started with ``process_group=0`` or ``start_new_session=True``.
        grace_seconds: Time that it gets to end before it is killed; None for as long as it takes.

    Returns:
        Its exit code; negative for the signal that ended it.
    """
    if process.returncode is None:
        _await_end(process.pid, grace_seconds)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    return process.wait()


def _await_end(pid: int, seconds: float | None) -> None:
    """Wait until a child has ended, without reaping it."""
    import select

    if not hasattr(os, "pidfd_open"):
        options = os.WEXITED | os.WNOWAIT
        if seconds is None:
            os.waitid(os.P_PID, pid, options)
        return
    handle = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        poll.poll(None if seconds is None else int(seconds * 1000))
    finally:
        os.close(handle)
