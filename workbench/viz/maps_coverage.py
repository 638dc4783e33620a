"""A plan on an interactive map: every square, coloured by how many dates it has."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import folium
from branca.element import MacroElement
from folium.template import Template

from workbench.geo.tile import Tile
from workbench.viz import assets, palettes
from workbench.viz.embed import OfflineView
from workbench.viz.maps_base import Bounds, Legend, OfflineMap
from workbench.viz.packed_layer import PackedPlan, pack_plan
from workbench.viz.sketch import drawn_footprint
from workbench.viz.statics import picture
from workbench.viz.statics_maps import coverage_figure

if TYPE_CHECKING:
    import geopandas as gpd

MANY_TILES = 2_000
"""More outlines than this make the page heavy and hide the squares; they are then left out."""


def coverage_map(
    plan: "gpd.GeoDataFrame",
    tiles: Sequence[Tile],
    *,
    land: "gpd.GeoDataFrame | None" = None,
    title: str = "Planned locations by number of dates",
    basemap: str | None = None,
) -> OfflineView:
    """Draw every location of a plan as its exact square, coloured by series length.

    No square is left out or sampled. A click on one tells its id, CRS, dates and tiles; the
    legend switches classes of series length on and off. Outlines of the tiles are a layer to
    switch on, unless there are more than `MANY_TILES`.

    Args:
        plan: As `temporal_views` gives it; may be empty.
        tiles: The tiles the plan was made from.
        land: Polygons of the background.
        title: Heading over the map.
        basemap: Name of an online basemap of folium, which needs a network; None for none.

    Returns:
        The map and a picture of it.

    Raises:
        ValueError: If the plan names a tile that is not given.
    """
    packed = pack_plan(plan, tiles)
    canvas = OfflineMap(title, _bounds(plan, tiles), land=land, basemap=basemap)
    canvas.add_child(Legend(_legend(packed)))
    if len(tiles) <= MANY_TILES:
        canvas.add_child(_outlines(tiles))
        canvas.add_child(folium.LayerControl(collapsed=False))
    canvas.add_child(_Squares(packed))
    figure = coverage_figure(plan, land=land, title=title)
    return OfflineView(title, png=picture(figure), page=canvas.page(), height=600)


def _bounds(plan: "gpd.GeoDataFrame", tiles: Sequence[Tile]) -> Bounds:
    import shapely

    shown = plan.geometry.to_numpy() if len(plan) else [tile.footprint for tile in tiles]
    if len(shown) == 0:
        return -180.0, -60.0, 180.0, 75.0
    xmin, ymin, xmax, ymax = shapely.total_bounds(shown)
    return float(xmin), float(ymin), float(xmax), float(ymax)


def _outlines(tiles: Sequence[Tile], tolerance: float = 0.02) -> folium.GeoJson:
    features = [
        {"type": "Feature", "geometry": drawn_footprint(t.footprint, tolerance).__geo_interface__}
        for t in tiles
    ]
    style = {"color": palettes.INK, "weight": 0.8, "opacity": 0.8, "fill": False}
    return folium.GeoJson(
        {"type": "FeatureCollection", "features": [f | {"properties": {}} for f in features]},
        name="Tile outlines (simplified)",
        style_function=lambda _: style,
        interactive=False,
        show=False,
    )


def _legend(packed: PackedPlan) -> str:
    rows = "".join(
        f'<label class="wb-row"><input type="checkbox" checked data-series="{k}">'
        f'<i style="background:{palettes.SERIES_COLOURS[k]}"></i>'
        f"<span>{palettes.series_label(k)}</span><span>{count:,}</span></label>"
        for k, count in enumerate(packed.counts)
        if count
    )
    total = f"{packed.locations:,}"
    return (
        "<details open><summary>Dates of a location</summary>"
        f'{rows}<small><span id="wb-shown">{total}</span> of {total} locations shown. '
        "Where squares are smaller than a pixel, the longest series shows. "
        "Click a square for its dates.</small></details>"
    )


class _Squares(MacroElement):
    """The packed squares and the scripts that show them."""

    _template = Template("""
        {% macro script(this, kwargs) %}
        {{ this.code }}
        showPlan({{ this._parent.get_name() }}, "{{ this.packed.text }}",
          {{ this.options|tojson }});
        {% endmacro %}
        """)

    def __init__(self, packed: PackedPlan) -> None:
        super().__init__()
        self._name = "Squares"
        self.packed = packed
        self.code = assets.script("packed_layer.js") + assets.script("coverage.js")
        self.options = {
            "steps": palettes.SERIES_STEPS,
            "colours": palettes.SERIES_COLOURS,
            "counts": packed.counts,
        }
