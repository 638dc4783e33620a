"""Widgets, where Python must hear of a click: the one room that knows ipywidgets and anywidget.

A widget shows and never decides: nothing later in a notebook may depend on one, since a headless
run has none. `InspectorWidget` shows the inspector's page and tells which patch is shown and how
was voted; the page itself is the one that `Inspector.save` writes.
"""

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
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
