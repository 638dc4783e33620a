"""Locations on an interactive map, any number of them: coloured, filtered, clicked, selected."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import folium
import numpy as np
import shapely
from folium.map import CustomPane
from numpy.typing import NDArray

from workbench.escape import html_text
from workbench.geo.tile import Tile
from workbench.viz.map_cards import Cards
from workbench.viz.map_colours import Colouring, numbers_of
from workbench.viz.map_lines import packed_overlays
from workbench.viz.map_locations import SERIES, colourings, plan_and_times
from workbench.viz.map_view import CoverageMap
from workbench.viz.map_widgets import LiveMap
from workbench.viz.maps_base import Bounds, Legend, OfflineMap, PageScript
from workbench.viz.packed_layer import PackedPlan, pack_plan
from workbench.viz.statics import picture
from workbench.viz.statics_maps import coverage_figure

if TYPE_CHECKING:
    import geopandas as gpd
    import networkx as nx
    import pandas as pd

MOST_FEATURES = 15_000
"""Up to so many locations are features of folium; more are packed and drawn on canvas tiles."""
MOST_PACKED = 2_000_000
"""More locations than this would make a page of more than about 12 MB: the kernel draws them."""
Tier = Literal["auto", "features", "packed", "live"]
SCRIPTS = (
    *("packed_layer.js", "map_lines.js", "coverage_time.js", "coverage_select.js"),
    *("coverage_card.js", "coverage.js"),
)


def coverage_map(
    locations: "gpd.GeoDataFrame",
    tiles: Sequence[Tile] | None = None,
    *,
    colour_by: str | Sequence[str] | None = None,
    values: "pd.Series[Any] | pd.DataFrame | None" = None,
    units: Mapping[str, str] | None = None,
    graph: "nx.Graph[str] | None" = None,
    cards: Cards | None = None,
    land: "gpd.GeoDataFrame | None" = None,
    focus: Bounds | None = None,
    title: str | None = None,
    basemap: str | None = None,
    tier: Tier = "auto",
) -> CoverageMap | LiveMap:
    """Draw every location; none is left out or sampled.

    Up to `MOST_FEATURES` squares are features of folium with tooltips; more are packed to a few
    bytes each and drawn on canvas tiles in the same map. Both look and act alike: the legend
    counts its classes and switches them, a slider shows where something was acquired between two
    days, a click tells what is known, and locations are selected by rectangle, lasso or clicks and
    saved as a file of ids. `MapWidget` hands a selection back to Python. Above
    `MOST_PACKED` locations the kernel draws how many lie in a pixel of each view, or the mean of
    a column of numbers.

    Args:
        locations: A plan as `temporal_views` gives it, or a manifest of patches; may be empty.
        tiles: The tiles of a plan. Without them a click tells no times and there is no slider; a
            manifest knows its own.
        colour_by: A column of `locations` or `values`: numbers, dates, truth values or names; or
            "n_acquisitions", "first_date", "last_date". With several, the legend chooses. None for
            all columns of `values`, or the number of dates.
        values: What is known of locations by location_id (index or column): a split, leaks, a
            share of valid pixels, a model's score, a disagreement. What it lacks is "no value".
        units: Unit of a column by its name.
        graph: Overlap graph of `tiles`, as a layer to switch on.
        cards: Thumbnails and spectra for clicks, see `map_cards.location_cards`.
        land: Polygons of the background.
        focus: Part of the map to open at and to show in the picture, as (west, south, east,
            north) in degrees; None for all locations, which may be specks far apart.
        title: Heading over the map.
        basemap: Name of an online basemap of folium, which needs a network; None for none.
        tier: "features", "packed" or "live" whatever the number of locations; "auto" goes by it.

    Returns:
        The map and a picture of it; a widget if the kernel draws it.

    Raises:
        ValueError: If a column is missing or unknown, the plan names a tile that is not given,
            `values` are not one for each location, or `focus` is no box.
    """
    plan, times = plan_and_times(locations, tiles)
    colours = colourings(plan, times, colour_by, values, units)
    title = title or _title(colour_by, values, colours[0])
    focus = _bounds(plan, tiles) if focus is None else _checked(focus)
    canvas = OfflineMap(title, focus, land=land, basemap=basemap)
    png = picture(coverage_figure(plan, colours[0], land=land, title=title, bounds=focus))
    if tier == "auto":
        tier = "features" if len(plan) <= MOST_FEATURES else "packed"
        tier = "live" if len(plan) > MOST_PACKED else tier
    if tier == "live":
        numbers = None if colour_by is None and values is None else _numbers(plan, colours[0])
        return LiveMap(plan, numbers, label=colours[0].name, canvas=canvas, title=title, png=png)
    packed = pack_plan(plan, times, colours)
    overlays = packed_overlays(tiles, graph, _layer_names(tiles, graph)) if tiles else None
    told = None if cards is None else cards.told(len(plan))
    options = {"overlays": overlays, "cards": told, "title": title, "tooltips": True}
    features = _features(plan, packed) if tier == "features" else None
    _add_squares(canvas, packed, features, options)
    ids = plan["location_id"].to_numpy(dtype=object)[packed.order]
    return CoverageMap(title, png, canvas.page(), height=600, location_ids=ids, tier=tier)


def _numbers(plan: "gpd.GeoDataFrame", colouring: Colouring) -> NDArray[np.float64]:
    is_series = colouring.told is None and colouring.names is None
    return plan[SERIES].to_numpy(dtype=float) if is_series else numbers_of(colouring)


def _add_squares(
    canvas: OfflineMap,
    packed: PackedPlan,
    features: folium.GeoJson | None,
    options: dict[str, Any],
) -> None:
    canvas.add_child(Legend(_legend(packed)))
    canvas.add_child(CustomPane("squares", z_index=350, pointer_events=False))
    if features is not None:
        canvas.add_child(features)
    canvas.add_child(PageScript("showPlan", packed.text, options, features, scripts=SCRIPTS))


def _title(colour_by: Any, values: Any, colouring: Colouring) -> str:
    if not isinstance(colour_by, str) and (colour_by is not None or values is not None):
        return "Locations"
    if values is None and colour_by in (None, SERIES):
        return "Planned locations by number of dates"
    return f"Locations by {colouring.name[:1].lower()}{colouring.name[1:]}"


def _layer_names(tiles: Sequence[Tile], graph: "nx.Graph[str] | None") -> dict[str, str]:
    names = {"outlines": f"Outlines of {len(tiles):,} tiles (simplified)"}
    if graph is not None:
        names["graph"] = f"Overlap graph: {graph.number_of_edges():,} edges"
    return names


def _bounds(plan: "gpd.GeoDataFrame", tiles: Sequence[Tile] | None) -> Bounds:
    shown = plan.geometry.to_numpy() if len(plan) else [tile.footprint for tile in tiles or ()]
    if len(shown) == 0:
        return -180.0, -60.0, 180.0, 75.0
    xmin, ymin, xmax, ymax = shapely.total_bounds(shown)
    return float(xmin), float(ymin), float(xmax), float(ymax)


def _checked(focus: Bounds) -> Bounds:
    west, south, east, north = map(float, focus)
    if not (west < east and -90.0 <= south < north <= 90.0):
        raise ValueError(
            "A map opens at (west, south, east, north) in degrees, west < east and south < north, "
            f"but the focus is {tuple(map(float, focus))}."
        )
    return west, south, east, north


def _features(plan: "gpd.GeoDataFrame", packed: PackedPlan) -> folium.GeoJson:
    """Squares as features; their rows lead to what the packed plan knows of them."""
    colouring = packed.colourings[0]
    squares = shapely.set_precision(plan.geometry.to_numpy()[packed.order], 1e-6, mode="pointwise")
    classes = colouring.codes[packed.order].tolist()
    features = [
        {
            "type": "Feature",
            "geometry": shapely.geometry.mapping(square),
            "properties": {
                "row": row,
                "style": {
                    "color": colouring.colours[k],
                    "fillColor": colouring.colours[k],
                    "weight": 0.8,
                    "fillOpacity": 0.85,
                },
            },
        }
        for row, (square, k) in enumerate(zip(squares, classes, strict=True))
    ]
    collection = {"type": "FeatureCollection", "features": features}
    return folium.GeoJson(
        collection, name="Locations", control=False, pane="squares", interactive=False
    )


def _legend(packed: PackedPlan) -> str:
    parts = [_classes(k, colouring) for k, colouring in enumerate(packed.colourings)]
    options = "".join(f"<option>{html_text(c.name)}</option>" for c in packed.colourings)
    several = len(packed.colourings) > 1
    choice = f'<select id="wb-colour" aria-label="Colour by">{options}</select>' if several else ""
    heading = "Colour by" if several else html_text(packed.colourings[0].name)
    total = f"{packed.locations:,}"
    return (
        f"<details open><summary>{heading}</summary>{choice}{''.join(parts)}"
        f'<small><span id="wb-shown">{total}</span> of {total} locations shown. '
        '<button id="wb-all" hidden>Show all</button></small>'
        "<small>Where squares are smaller than a pixel, "
        f'<span id="wb-top">{html_text(packed.colourings[0].on_top)}</span> shows. '
        "Click a square for its dates.</small></details>"
    )


def _classes(number: int, colouring: Colouring) -> str:
    """One legend; classes of no location have no row, and that of no value comes last."""
    counts = colouring.counts
    rows = "".join(
        f'<label class="wb-row"><input type="checkbox" checked data-series="{k}">'
        f'<i style="background:{colouring.colours[k]}"></i>'
        f"<span>{html_text(colouring.labels[k])}</span>"
        f'<span data-count="{k}" data-all="{counts[k]:,}">{counts[k]:,}</span></label>'
        for k in colouring.listed
        if counts[k]
    )
    return f'<div data-colouring="{number}"{" hidden" if number else ""}>{rows}</div>'
