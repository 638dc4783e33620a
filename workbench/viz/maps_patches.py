"""What became of each planned location, on an interactive map: kept on which dates, and why not."""

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import shapely

from workbench.escape import html_text
from workbench.viz import palettes
from workbench.viz.embed import OfflineView
from workbench.viz.maps_base import Bounds, Legend, OfflineMap, PageScript, swatch_row
from workbench.viz.patch_tables import FATES
from workbench.viz.statics import picture
from workbench.viz.statics_patches import fates_figure

if TYPE_CHECKING:
    import geopandas as gpd

MOST_LOCATIONS = 15_000
"""More squares with a story each make the page heavy; `maps_coverage` draws any number."""
FATE_COLOURS = {"every date": palettes.ACCENT, "some dates": "#f2c27b", "no date": "#b9463c"}
"""Colours of a location by the dates on which its patch was cut."""
_SECTION = '<details open style="margin-top:9px">'


def fate_map(
    manifest: "gpd.GeoDataFrame",
    rejected: "gpd.GeoDataFrame",
    *,
    land: "gpd.GeoDataFrame | None" = None,
    title: str = "What was cut, and why the rest was not",
    basemap: str | None = None,
) -> OfflineView:
    """Draw every planned location by what became of its dates.

    A click on a square lists its dates with their reasons; a click on a reason in the legend rings
    the locations that lost a date to it. The legend leads from one group of locations to the next,
    since a campaign is a few specks on a large map.

    Args:
        manifest: What was cut.
        rejected: What was not.
        land: Polygons of the background.
        title: Heading over the map.
        basemap: Name of an online basemap of folium, which needs a network; None for none.

    Raises:
        ValueError: If nothing was planned, or there are more than `MOST_LOCATIONS`.
    """
    dates = _dates(manifest, rejected)
    groups = dates.groupby("location_id", sort=False)
    if not 0 < len(groups) <= MOST_LOCATIONS:
        raise ValueError(
            f"A map of fates holds 1 to {MOST_LOCATIONS:,} locations, got {len(groups):,}.\n"
            "Draw more with `coverage_map(locations_of(manifest), tiles)`."
        )
    fates = groups["is_cut"].agg(["all", "any"])
    names = np.where(fates["all"], "every date", np.where(fates["any"], "some dates", "no date"))
    places = dates.drop_duplicates("location_id").assign(fate=names)
    views = _views(places)
    canvas = OfflineMap(title, next(iter(views.values())), land=land, basemap=basemap)
    canvas.add_child(Legend(_legend(places, rejected, views)))
    features = [_feature(row, groups.get_group(row.location_id)) for row in places.itertuples()]
    collection = {"type": "FeatureCollection", "features": features}
    corners = [[[b[1], b[0]], [b[3], b[2]]] for b in views.values()]
    show = PageScript("showFates", collection, corners, palettes.INK, scripts=["patch_fates.js"])
    canvas.add_child(show)
    figure = fates_figure(places, FATE_COLOURS, views, title)
    return OfflineView(title, png=picture(figure), page=canvas.page(), height=600)


def largest_group(manifest: "gpd.GeoDataFrame") -> Bounds:
    """Find where most locations of one component lie: what a map of scattered sites may open at.

    Args:
        manifest: What was cut.

    Returns:
        West, south, east, north in degrees.

    Raises:
        ValueError: If nothing was cut.
    """
    if manifest.empty:
        raise ValueError(
            "A group of locations needs a patch that was cut, but the manifest lists none.\n"
            "The table of rejected patches tells why; loosen the limits, or plan other places."
        )
    return next(iter(_views(manifest.drop_duplicates("location_id")).values()))


def _dates(manifest: "gpd.GeoDataFrame", rejected: "gpd.GeoDataFrame") -> pd.DataFrame:
    """One row for each planned patch, by location and time, with what became of it."""
    columns = ["location_id", "crs", "tile_id", "acquired", "component", "geometry"]
    tables = []
    for table, is_cut in ((manifest, True), (rejected, False)):
        rows = pd.DataFrame(table[columns]).assign(is_cut=is_cut)
        rows["told"] = "cut" if is_cut else table["detail"].to_numpy()
        rows["reasons"] = rows["told"].map(lambda _: ()) if is_cut else table["reasons"].to_numpy()
        tables.append(rows)
    rows = pd.concat([table for table in tables if len(table)] or tables)
    return rows.sort_values(["component", "location_id", "acquired", "tile_id"], ignore_index=True)


def _views(places: pd.DataFrame) -> dict[str, Bounds]:
    """Where the groups of locations lie, the largest first, then all of them together."""
    views: dict[str, Bounds] = {}
    for component in places["component"].value_counts(sort=True).index:
        rows = places[places["component"] == component]
        views[f"component {component + 1}: {len(rows):,} locations"] = _bounds(rows)
    return views if len(views) == 1 else {**views, "all of them": _bounds(places)}


def _bounds(rows: pd.DataFrame) -> Bounds:
    xmin, ymin, xmax, ymax = shapely.total_bounds(rows["geometry"].to_numpy())
    return float(xmin), float(ymin), float(xmax), float(ymax)


def _feature(place: Any, dates: pd.DataFrame) -> dict[str, Any]:
    return {
        "type": "Feature",
        "geometry": shapely.geometry.mapping(shapely.set_precision(place.geometry, 1e-6)),
        "properties": {
            "id": place.location_id,
            "crs": place.crs,
            "fate": place.fate,
            "colour": FATE_COLOURS[place.fate],
            "reasons": sorted({reason for reasons in dates["reasons"] for reason in reasons}),
            "dates": [
                [f"{row.acquired:%Y-%m-%d}", row.told, row.tile_id] for row in dates.itertuples()
            ],
        },
    }


def _legend(places: pd.DataFrame, rejected: pd.DataFrame, views: dict[str, Bounds]) -> str:
    fates = Counter(places["fate"])
    rows = [
        swatch_row(f"background:{colour}", f"cut on {fate}: {fates[fate]:,}")
        for fate, colour in FATE_COLOURS.items()
        if fates[fate]
    ]
    reasons = Counter(reason for reasons in rejected["reasons"] for reason in reasons)
    asked = "".join(
        '<label class="wb-row"><input type="radio" name="reason" '
        f'data-reason="{html_text(reason)}">'
        f"<span>{html_text(reason)}: {reasons[reason]:,}</span></label>"
        for reason in (*FATES, *sorted(set(reasons) - set(FATES)))
        if reasons[reason]
    )
    links = "".join(
        f'<label class="wb-row"><input type="radio" name="view" data-view="{k}"'
        f"{' checked' if k == 0 else ''}><span>{html_text(name)}</span></label>"
        for k, name in enumerate(views)
    )
    parts = [f"<details open><summary>Locations</summary>{''.join(rows)}</details>"]
    if asked:
        parts.append(
            f"{_SECTION}<summary>Patches not cut, by reason</summary>"
            f"{asked}<small>Choose one to ring its locations. A patch may have several.</small>"
            "</details>"
        )
    parts.append(f"{_SECTION}<summary>Go to</summary>{links}</details>")
    return "".join(parts)
