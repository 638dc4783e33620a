"""Who may end a kernel, and why: a signal to this process, a time limit, or a run that is gone."""

import contextlib
import logging
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Protocol

from workbench.errors import NotebookRunError
from workbench.execution.processes import ProcessIdentity

ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
"""What a scheduler, Ctrl-C, a closed terminal and Ctrl-\\ send."""

ORPHAN_SECONDS = 5.0
"""Time that a killed kernel is given to be gone."""

LONGEST_SECONDS = 366 * 24 * 3600
"""A year; timers of the system take no more than some hundred."""

KERNELS = {"kernel_launcher.py", "ipykernel_launcher"}
"""What the command line of a kernel holds: of this version, and of earlier ones."""

log = logging.getLogger(__name__)


class Stoppable(Protocol):
    """What can be asked to end: the control of a kernel."""

    def stop(self, reason: str, signal_number: int | None = None) -> None:
        """End in order; asked a second time, at once."""


class Stopper:
    """Ends every kernel of a run for one reason; a kernel that starts later is ended at once.

    It takes no locks, so that a signal handler may call it.
    """

    def __init__(self) -> None:
        self.reason: str | None = None
        self.signal: int | None = None
        self._controls: list[Stoppable] = []

    @contextlib.contextmanager
    def holding(self, control: Stoppable) -> Iterator[None]:
        """Let the stop reach this kernel during the block."""
        self._controls.append(control)
        if self.reason is not None:
            control.stop(self.reason, self.signal)
        try:
            yield
        finally:
            self._controls.remove(control)

    def stop(self, reason: str, signal_number: int | None = None) -> None:
        """Interrupt every kernel; asked a second time, kill them."""
        if self.reason is None:
            self.reason, self.signal = reason, signal_number
        for control in list(self._controls):
            control.stop(self.reason, self.signal)


@contextlib.contextmanager
def stop_on_signals(stopper: Stopper) -> Iterator[None]:
    """Let `ENDING` signals end the kernels in order, instead of us at once.

    One that is ignored, as SIGHUP is under nohup, stays ignored.

    Only the main thread can take signals; in any other thread nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        stopper.stop("killed", number)

    heard = [number for number in ENDING if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, stop) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def require_limit(name: str, seconds: float | None) -> None:
    """Refuse a time limit that is no time.

    Raises:
        NotebookRunError: If it is not above 0 s and at most a year, or no number.
    """
    if seconds is not None and not 0 < seconds <= LONGEST_SECONDS:
        raise NotebookRunError(
            f"{name} must be above 0 and at most {LONGEST_SECONDS:,} s (a year), found {seconds!r}."
            "\nLeave it out for no limit."
        )


class Limits:
    """Ends a kernel that takes too long over its notebook, or over one cell."""

    def __init__(
        self, control: Stoppable, timeout_s: float | None, cell_timeout_s: float | None
    ) -> None:
        self.control, self.timeout_s, self.cell_timeout_s = control, timeout_s, cell_timeout_s
        self._timers: dict[str, threading.Timer] = {}

    def __enter__(self) -> "Limits":
        self._start("timeout", self.timeout_s)
        return self

    def __exit__(self, *_: object) -> None:
        for timer in self._timers.values():
            timer.cancel()

    def cell_began(self) -> None:
        """Count the time of a cell from now."""
        self._start("cell timeout", self.cell_timeout_s)

    def cell_ended(self) -> None:
        """Stop counting: what lies between two cells is not held against either."""
        if timer := self._timers.pop("cell timeout", None):
            timer.cancel()

    def _start(self, reason: str, seconds: float | None) -> None:
        if earlier := self._timers.pop(reason, None):
            earlier.cancel()
        if seconds:
            timer = threading.Timer(seconds, self.control.stop, [reason])
            timer.daemon = True
            timer.start()
            self._timers[reason] = timer


def end_orphan(kernel: ProcessIdentity | int | None, step: str) -> bool:
    """Kill the kernel of a run that is gone, if exactly that process is still there.

    Args:
        kernel: As the record of the run tells it. A mere number, as records of an older version
            have, may be another process by now: it is never signalled, and that is logged.
        step: Whose kernel it was, for the log.

    Returns:
        Whether one had to be killed. A kernel notices by itself within a second that its parent is
        gone; until then it could write into the folder of the run that goes on.
    """
    import psutil  # type: ignore[import-untyped]

    if isinstance(kernel, int):
        log.warning(
            "%s: its record, of an older version, names the kernel only by number (%d): nothing "
            "was signalled; end it yourself if it still runs",
            *(step, kernel),
        )
        return False
    if kernel is None or not kernel.is_alive():
        return False
    try:
        if not is_kernel(psutil.Process(kernel.pid).cmdline()):
            return False
        if not kernel.send_to_group(signal.SIGKILL):
            return False
    except psutil.Error:
        return False
    deadline = time.monotonic() + ORPHAN_SECONDS
    while kernel.is_alive() and time.monotonic() < deadline:
        time.sleep(0.02)
    return True


def is_kernel(command: list[str]) -> bool:
    """Whether a command line is that of a kernel which this package starts."""
    return any(Path(part).name in KERNELS for part in command)
