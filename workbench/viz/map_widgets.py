"""Maps with a kernel behind them: what was selected, pictures on a click, aggregates of millions.

A widget shows and never decides: nothing later in a notebook may depend on one, since a headless
run has none. `MapWidget` tells what was selected on a coverage map and answers its clicks with
pictures; `LiveMap` draws aggregates of the part in view.
"""

import base64
from typing import TYPE_CHECKING, Any

import anywidget
import numpy as np
import traitlets
from numpy.typing import NDArray

from workbench.extraction.store import PatchStore
from workbench.viz import assets
from workbench.viz.aggregates import Aggregator, How
from workbench.viz.map_cards import card_facts, location_card, rejected_dates
from workbench.viz.map_selection import select_locations
from workbench.viz.map_view import CoverageMap
from workbench.viz.maps_base import OfflineMap
from workbench.viz.maps_live import live_answer, live_page

if TYPE_CHECKING:
    import geopandas as gpd


class _WithPicture(anywidget.AnyWidget):
    """A widget, and a picture of it for where widgets do not live."""

    _picture = b""

    def _repr_mimebundle_(self, **options: Any) -> Any:
        bundle = super()._repr_mimebundle_(**options)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        picture = {"image/png": base64.b64encode(self._picture).decode()}
        return {**(data or {}), **picture}, metadata


class MapWidget(_WithPicture):
    """A coverage map with ears: what is selected on it is a table in Python.

    Args:
        view: The map, as `coverage_map` makes it.
        table: The plan or manifest that it was made from.
        store: Patches of the manifest `table`; a click then shows pictures and spectra of any
            location, read when it is asked for.
        rejected: What was planned and not cut; a click then tells those dates and why.
    """

    _esm = assets.script("map_widget.js")
    page = traitlets.Unicode().tag(sync=True)
    """The page, sent once."""
    title = traitlets.Unicode().tag(sync=True)
    height = traitlets.Int(600).tag(sync=True)
    """Height in a notebook, CSS pixels."""
    rows = traitlets.Unicode("").tag(sync=True)
    """Selected rows of the page, base64 of one bit each, lowest first."""
    answers = traitlets.List(traitlets.Unicode()).tag(sync=True)
    """What the page may ask of Python."""

    def __init__(
        self,
        view: CoverageMap,
        table: "gpd.GeoDataFrame",
        *,
        store: PatchStore | None = None,
        rejected: "gpd.GeoDataFrame | None" = None,
    ) -> None:
        self._ids, self._table, self._store = view.location_ids, table, store
        self._rejected = {} if rejected is None else rejected_dates(rejected)
        self._picture = view.png
        answers = [] if store is None and rejected is None else ["live-cards"]
        super().__init__(
            page=view.page or "", title=view.title, height=view.height, answers=answers
        )
        self.on_msg(self._answer)

    @property
    def ids(self) -> list[str]:
        """Selected locations."""
        bits = np.frombuffer(base64.b64decode(self.rows), dtype=np.uint8)
        chosen = np.unpackbits(bits, bitorder="little")[: len(self._ids)].astype(bool)
        return [str(name) for name in self._ids[: len(chosen)][chosen]]

    @property
    def selected(self) -> "gpd.GeoDataFrame":
        """Rows of the table that belong to selected locations."""
        return select_locations(self._table, ids=self.ids)

    def select(self, ids: "list[str]") -> None:
        """Select locations, here and on the page.

        Raises:
            ValueError: If one is not on the map.
        """
        chosen = np.isin(self._ids, select_locations(self._table, ids=ids)["location_id"])
        bits = np.packbits(chosen, bitorder="little")
        self.rows = base64.b64encode(bits.tobytes()).decode()

    def _answer(self, _: Any, asked: dict[str, Any], __: Any) -> None:
        if asked.get("kind") != "card":
            return
        name = str(asked.get("id"))
        rejected = self._rejected.get(name, [])
        answer: dict[str, Any] = {"kind": "card", "id": name, "card": None, "rejected": rejected}
        if self._store is not None:
            answer["note"] = "no patch is stored for this location"
        else:
            answer["note"] = "" if rejected else "no planned date was rejected"
        if self._store is not None and (self._table["location_id"] == name).any():
            card = location_card(self._store, self._table, name)
            answer |= {"card": card, "about": card_facts(self._store) | {"told": card["told"]}}
        self.send(answer)


class LiveMap(_WithPicture):
    """Any number of locations as a picture that the kernel draws anew for each view.

    `coverage_map(..., tier="live")` makes one.

    Args:
        locations: Column geometry (EPSG:4326), one row a location.
        values: A number for each location, in their order, whose mean a pixel shows; None to
            count the locations in it.
        label: What the values are, with a unit.
        canvas: The map to draw on; nothing else may hold it.
        title: Heading.
        png: The picture that stands in where widgets do not live.
    """

    _esm = assets.script("map_widget.js")
    page = traitlets.Unicode().tag(sync=True)
    """The page, sent once; on its own it shows the whole, drawn once."""
    title = traitlets.Unicode().tag(sync=True)
    height = traitlets.Int(600).tag(sync=True)
    rows = traitlets.Unicode("").tag(sync=True)
    answers = traitlets.List(traitlets.Unicode()).tag(sync=True)
    tier = "live"

    def __init__(
        self,
        locations: "gpd.GeoDataFrame",
        values: NDArray[np.float64] | None,
        *,
        label: str,
        canvas: OfflineMap,
        title: str,
        png: bytes,
    ) -> None:
        self.aggregator = Aggregator(locations, values)
        self.how: How = "count" if values is None else "mean"
        self.png = self._picture = png
        told = "Locations in a pixel" if values is None else f"Mean of {label}"
        page = live_page(self.aggregator, self.how, told, canvas)
        super().__init__(page=page, title=title, answers=["live"])
        self.on_msg(self._answer)

    def _answer(self, _: Any, asked: dict[str, Any], __: Any) -> None:
        if asked.get("kind") == "view":
            facts, png = live_answer(self.aggregator, self.how, asked)
            self.send({"kind": "picture", "number": asked["number"], **facts}, [png])
