"""Ctrl-C and a notebook's stop button: the step at hand ends first, so that nothing is lost."""

import signal
import threading
from types import TracebackType
from typing import Any


class PatientInterrupt:
    """Within it, a first interrupt only asks to stop; a second one stops at once, as always.

    A run that is asked between two steps can keep its state; one that is struck amid an update of
    the weights cannot. Outside the main thread, or where interrupts are ignored, it does nothing.

    Args:
        wanted: False to leave interrupts as they are.

    Example:
        >>> with PatientInterrupt() as interrupt:
        ...     signal.raise_signal(signal.SIGINT)
        ...     interrupt.asked
        True
    """

    def __init__(self, *, wanted: bool = True) -> None:
        self.asked = False
        self._wanted = wanted
        self._before: Any = None

    def __enter__(self) -> "PatientInterrupt":
        is_main = threading.current_thread() is threading.main_thread()
        before = signal.getsignal(signal.SIGINT)
        if self._wanted and is_main and callable(before):
            self._before = before
            signal.signal(signal.SIGINT, self._ask)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
            self._before = None

    def _ask(self, number: int, frame: Any) -> None:
        if self.asked:
            self._before(number, frame)
        self.asked = True
