"""Curves of a training that is still running, in one output that is redrawn as it goes."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from workbench.viz.embed import OfflineView
from workbench.viz.pretraining_tables import MEASURES
from workbench.viz.statics import picture
from workbench.viz.statics_pretraining import curves_figure

_METRICS = "metrics.csv"


class LiveCurves:
    """Loss and diagnostics of one or several runs, redrawn now and then from their logs.

    It reads what the runs write, so a run is not slowed by more than the drawing. A saved notebook
    shows the last state.

    Args:
        every_s: Least time between two drawings, seconds.
        title: Heading.

    Example:
        >>> live = LiveCurves()
        >>> live.runs()
        {}
    """

    def __init__(self, *, every_s: float = 2.0, title: str = "Running") -> None:
        self.every_s, self.title = every_s, title
        self._folders: dict[str, Path] = {}
        self._drawn = float("-inf")
        self._handle: Any = None

    def follow(self, name: str, folder: str | Path) -> Callable[[int, int], None]:
        """Give what tells of a run's steps, for `pretrain(progress=...)`.

        Args:
            name: Of the run.
            folder: Where it writes metrics.csv.
        """
        self._folders[name] = Path(folder)
        first: list[tuple[float, int]] = []  # when, and which step: some were done by earlier calls

        def progress(step: int, total: int) -> None:
            now = time.monotonic()
            if not first:
                first.append((now, step))
            late = now - self._drawn >= self.every_s
            if late or step >= total:
                spent, done = now - first[0][0], step - first[0][1]
                pace = _pace(spent, done, total - step)
                self.draw(f"{self.title}: {name}, step {step} of {total}{pace}")

        return progress

    def runs(self) -> dict[str, pd.DataFrame]:
        """Read the logs that there are."""
        paths = {name: folder / _METRICS for name, folder in self._folders.items()}
        return {name: pd.read_csv(path) for name, path in paths.items() if path.is_file()}

    def draw(self, title: str) -> None:
        """Draw all runs anew, in the place of the last drawing."""
        from IPython.display import display

        logs = {
            name: log for name, log in self.runs().items() if len(log) and set(MEASURES) <= set(log)
        }
        if not logs:
            return
        view = OfflineView(title, png=picture(curves_figure(logs, MEASURES, title)))
        if self._handle is None:
            self._handle = display(view, display_id=True)
        else:
            self._handle.update(view)
        self._drawn = time.monotonic()


def _pace(seconds: float, steps: int, left: int) -> str:
    """Tell steps a second and the time that the rest will take, once they are known."""
    if steps < 1 or seconds <= 0:
        return ""
    return f" · {steps / seconds:.2g} steps/s · about {left * seconds / steps:.0f} s to go"
