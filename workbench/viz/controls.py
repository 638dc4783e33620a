"""Widgets, where Python must hear of a click: the one room that knows ipywidgets and anywidget.

A widget shows and never decides: nothing later in a notebook may depend on one, since a headless
run has none. `InspectorWidget` shows the inspector's page and tells which patch is shown and how
was voted; the page itself is the one that `Inspector.save` writes. `RunPicker` opens what batch
runs have made.
"""

from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import anywidget
import ipywidgets  # type: ignore[import-untyped]
import traitlets

from workbench.viz import assets
from workbench.viz.inspector import VIEW_HEIGHT, Inspector
from workbench.viz.votes import COLUMNS, read_votes, vote_records, votes_table, write_votes

if TYPE_CHECKING:
    import pandas as pd


class InspectorWidget(anywidget.AnyWidget):
    """The inspector with ears.

    Args:
        inspector: What to show.
        votes: Parquet file that every vote is saved to as it is cast. One that exists already is
            read first, and its votes show in the page.
        megabytes: What the page may weigh, as in `Inspector.view`.

    Raises:
        VoteError: If the file holds no votes, or votes of another comparison.
    """

    _esm = assets.script("inspector_widget.js")
    page = traitlets.Unicode().tag(sync=True)
    """The page, sent once."""
    height = traitlets.Int(VIEW_HEIGHT).tag(sync=True)
    """Height in a notebook, CSS pixels."""
    patch = traitlets.Unicode("").tag(sync=True)
    """Id of the patch that is shown; set it to show another."""
    ballots = traitlets.List(traitlets.Dict()).tag(sync=True)
    """Votes as the page tells them."""

    def __init__(
        self,
        inspector: Inspector,
        *,
        votes: str | PathLike[str] | None = None,
        megabytes: float = 60.0,
    ) -> None:
        self._comparison = inspector.comparison
        self._path = None if votes is None else Path(votes)
        known: list[dict[str, Any]] = []
        if self._path is not None and self._path.exists():
            known = vote_records(read_votes(self._path, comparison=self._comparison))
        view = inspector.view(megabytes=megabytes)
        self._picture = view.png
        super().__init__(page=view.page or "", ballots=known)
        self.observe(self._keep, names="ballots")

    @property
    def votes(self) -> "pd.DataFrame":
        """The votes so far, one row each; see `workbench.viz.votes`."""
        return votes_table([{key: vote.get(key) for key in COLUMNS} for vote in self.ballots])

    def _keep(self, _: Any) -> None:
        if self._path is not None:
            write_votes(self._path, self.votes, self._comparison)

    def _repr_mimebundle_(self, **options: Any) -> Any:
        """The widget, and a picture for where widgets do not live."""
        import base64

        bundle = super()._repr_mimebundle_(**options)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        picture = {"image/png": base64.b64encode(self._picture).decode()}
        return {**(data or {}), **picture}, metadata


class Run(Protocol):
    """A run as far as the picker needs it."""

    @property
    def folder(self) -> Path: ...
    def row(self) -> tuple[str, ...]: ...


class Runs(Protocol):
    """Runs that can be listed anew, as `workbench.execution.list_runs` gives them."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Run: ...
    def again(self) -> "Runs": ...
    def _repr_html_(self) -> str: ...


class Result(Protocol):
    """Something that a run has made and that shows itself as HTML."""

    @property
    def kind(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def step(self) -> str: ...
    def _repr_html_(self) -> str: ...


class RunPicker(ipywidgets.VBox):
    """Choose a run, then one of its results, and see it below: report, figures, tables, pages.

    Nothing is opened before it is chosen. Where widgets do not live, the list of runs stands in.

    Args:
        runs: As `workbench.execution.list_runs` gives them.
        results: Gives what a run has made by its folder, as `workbench.execution.results_of`.

    Example:
        >>> from workbench.execution import list_runs, results_of
        >>> RunPicker(list_runs("no such folder"), results_of).message
        'There are no runs here yet.'
    """

    def __init__(self, runs: Runs, results: Callable[[Path], Sequence[Result]]) -> None:
        self._runs, self._results = runs, results
        self._found: Sequence[Result] = ()
        wide = {"description_width": "60px"}
        self.runs = ipywidgets.Dropdown(description="Run", style=wide, layout={"width": "70%"})
        self.look = ipywidgets.Button(description="Look again", tooltip="List the runs anew")
        self.results = ipywidgets.Select(
            description="Result", style=wide, rows=8, layout={"width": "auto"}
        )
        self.shown = ipywidgets.HTML()
        head = ipywidgets.HBox([self.runs, self.look])
        super().__init__(children=[head, self.results, self.shown])
        self._listing = False
        self._list()
        self.runs.observe(self._open_run, names="index")
        self.results.observe(self._open_result, names="index")
        self.look.on_click(lambda _: self.refresh())

    @property
    def message(self) -> str:
        """What stands below the lists, as HTML."""
        return str(self.shown.value)

    def refresh(self) -> None:
        """List the runs anew; the one that was chosen stays chosen if it is still there."""
        before = self._runs[self.runs.index].folder if self.runs.index is not None else None
        self._runs = self._runs.again()
        folders = [self._runs[k].folder for k in range(len(self._runs))]
        self._list(folders.index(before) if before in folders else 0)

    def _list(self, chosen: int = 0) -> None:
        rows = [self._runs[k].row() for k in range(len(self._runs))]
        self._listing = True  # while its options change, a list chooses its first one
        self.runs.options = [" · ".join(filter(None, row)) for row in rows]
        self.runs.index = chosen if rows else None
        self._listing = False
        self._open_run(None)

    def _open_run(self, _: Any) -> None:
        """List the results of the run; none of them is opened yet."""
        if self._listing:
            return
        chosen = self.runs.index
        self._found = ()
        found = self._results(self._runs[chosen].folder) if chosen is not None else ()
        self.results.options = [
            " · ".join(filter(None, (result.kind, result.step, result.title))) for result in found
        ]
        self.results.index = None
        self._found = found
        if chosen is None:
            self.shown.value = "There are no runs here yet."
        else:
            self.shown.value = "Choose a result." if found else "This run has made nothing yet."

    def _open_result(self, _: Any) -> None:
        if self._found and self.results.index is not None:
            self.shown.value = self._found[self.results.index]._repr_html_()

    def _repr_mimebundle_(self, **options: Any) -> Any:
        """The widget, and the list of runs for where widgets do not live."""
        bundle = super()._repr_mimebundle_(**options)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        rows = [" · ".join(filter(None, self._runs[k].row())) for k in range(len(self._runs))]
        static = {
            "text/plain": "\n".join(rows) or self.message,
            "text/html": self._runs._repr_html_(),
        }
        return {**(data or {}), **static}, metadata
