"""How far long work is: a bar in a notebook or a terminal, lines where no bar can stand."""

import os
import re
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

Progress = Callable[[int, int], None]
"""Called with (steps done, steps in all)."""

PROGRESS_LINE = re.compile(r"step (\d+) of (\d+)\b(?:: (.*))?$")
"""What `ProgressBar` writes where no bar can stand, so that a process that listens can show one."""

LINE_SECONDS = 2.0
"""Least time between two such lines; later on it is a fiftieth of the time that has gone by."""


class ProgressBar:
    """A bar in a notebook or a terminal; in a pipe or a file, lines on stderr now and then.

    Args:
        wanted: False for none; a function for one's own, called with (steps done, steps in all).
        total: Steps of the run.
        start: Steps done before.
    """

    def __init__(self, wanted: bool | Progress, *, total: int, start: int) -> None:
        self._own = wanted if callable(wanted) else None
        self._total = total
        self._bar: Any = None
        if wanted is True and (in_notebook() or sys.stderr.isatty()):
            from tqdm.auto import tqdm  # type: ignore[import-untyped]

            self._bar = tqdm(total=total, initial=start, unit="step")
        elif wanted is True:
            self._bar = _Lines(total, start)

    def done(self, steps: int, told: Mapping[str, float]) -> None:
        """Show how many steps are done, and a few numbers beside it."""
        if self._own is not None:
            self._own(steps, self._total)
        if self._bar is not None:
            self._bar.set_postfix({k: f"{v:.4g}" for k, v in told.items()}, refresh=False)
            self._bar.update(steps - self._bar.n)

    def close(self) -> None:
        """Leave the bar as it is."""
        if self._bar is not None:
            self._bar.close()


class _Lines:
    """Takes the place of a bar: "step 30 of 300: loss 0.685, 3.2 steps/s, 1:24 left"."""

    def __init__(self, total: int, start: int) -> None:
        self.n = start
        self._total, self._start = total, start
        self._begun = time.monotonic()
        self._last = -float("inf")
        self._told = ""

    def set_postfix(self, told: Mapping[str, str], *, refresh: bool) -> None:
        self._told = "".join(f"{name} {value}, " for name, value in told.items())

    def update(self, steps: int) -> None:
        self.n += steps
        now = time.monotonic()
        if self.n < self._total and now - self._last < max(LINE_SECONDS, (now - self._begun) / 50):
            return
        self._last = now
        rate = (self.n - self._start) / max(now - self._begun, 1e-9)
        left = int((self._total - self.n) / rate)
        print(
            f"step {self.n} of {self._total}: {self._told}{rate:.3g} steps/s, "
            f"{left // 3600}:{left // 60 % 60:02d}:{left % 60:02d} left",
            file=sys.stderr,
            flush=True,
        )

    def close(self) -> None:
        """Nothing: each line is whole when it is written."""


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    return "ipykernel" in sys.modules and "JPY_PARENT_PID" in os.environ
