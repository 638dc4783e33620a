"""What is put on a coverage map: locations, when their tiles were taken, and how to colour them."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.extraction.tables import locations_of
from workbench.geo.dates import group_name
from workbench.geo.tile import Tile
from workbench.viz.map_colours import Colouring, column_colouring, series_colouring
from workbench.viz.packed_layer import TileTimes, tile_times

if TYPE_CHECKING:
    import geopandas as gpd

SERIES, FIRST, LAST = "n_acquisitions", "first_date", "last_date"
"""What every map can colour by: number of dates, and day of the first or last one."""
_NEEDED = ("location_id", "crs", "xmin", "ymin", "xmax", "ymax", "geometry")


def plan_and_times(
    locations: "gpd.GeoDataFrame", tiles: Sequence[Tile] | None
) -> "tuple[gpd.GeoDataFrame, TileTimes | None]":
    """Read a plan, or a manifest of patches, as one row a location and the times of its tiles.

    Args:
        locations: A plan, one row a location; or a manifest, one row a patch, whose tiles and
            times are its own.
        tiles: The tiles of a plan; None if their times are not known.

    Raises:
        ValueError: If a column is missing, or a location has two rows.
    """
    missing = [name for name in _NEEDED if name not in locations]
    if missing:
        raise ValueError(
            f"A map of locations needs the columns {', '.join(_NEEDED)}, but {missing[0]!r} is "
            "missing.\nPass a plan of `temporal_views` or a manifest that `read_manifest` read."
        )
    times = None if tiles is None else tile_times(tiles)
    if "tile_ids" not in locations and "tile_id" in locations and "acquired" in locations:
        own = locations.drop_duplicates("tile_id")
        groups = own["group"] if "group" in own else pd.Series("", index=own.index)
        known = zip(own["tile_id"], own["acquired"], groups, strict=True)
        times = {tile: (when, group_name(group) or "") for tile, when, group in known} | dict(
            times or {}
        )
        locations = locations_of(locations)
    if "tile_ids" not in locations:
        locations = locations.assign(tile_ids=[()] * len(locations))
    if SERIES not in locations:
        locations = locations.assign(**{SERIES: locations["tile_ids"].map(len).to_numpy()})
    again = locations["location_id"].duplicated()
    if again.any():
        name = locations.loc[again, "location_id"].iloc[0]
        raise ValueError(
            f"A plan must have one row for each location, but {name!r} has several.\n"
            "Pass a manifest of patches with its columns tile_id and acquired."
        )
    return locations, times


def colourings(
    plan: "gpd.GeoDataFrame",
    times: TileTimes | None,
    colour_by: str | Sequence[str] | None,
    values: "pd.Series[Any] | pd.DataFrame | None",
    units: Mapping[str, str] | None,
) -> list[Colouring]:
    """Make the ways to colour a map.

    Args:
        plan: One row a location.
        times: Of its tiles.
        colour_by: Names of columns, of `plan` or `values`, or `SERIES`, `FIRST`, `LAST`. None for
            the columns of `values`, or for `SERIES` without them.
        values: What is known of locations, by location_id (index or column).
        units: Unit of a column by its name.

    Raises:
        ValueError: If a name is not known, or `values` has a location twice or none of the plan's.
    """
    joined = None if values is None else _joined(plan, values)
    if colour_by is None:
        colour_by = [SERIES] if joined is None else [*map(str, joined.columns), SERIES]
    names = [colour_by] if isinstance(colour_by, str) else list(colour_by)
    found = []
    for name in names:
        unit = (units or {}).get(name, "")
        if joined is not None and name in joined:
            found.append(column_colouring(name, joined[name], unit))
        elif name == SERIES:
            found.append(series_colouring(plan[SERIES].to_numpy()))
        elif name in plan:
            found.append(column_colouring(name, plan[name].reset_index(drop=True), unit))
        elif name in (FIRST, LAST) and times is not None:
            label = "First date" if name == FIRST else "Last date"
            found.append(column_colouring(label, end_dates(plan, times, last=name == LAST)))
        else:
            raise ValueError(_unknown(name, plan, joined, times))
    return found


def end_dates(plan: "gpd.GeoDataFrame", times: TileTimes, *, last: bool) -> "pd.Series[Any]":
    """Give the first or last time of each location, NaT where it has no tile."""
    lengths = plan["tile_ids"].map(len).to_numpy()
    when = {
        tile: np.datetime64(pd.Timestamp(t).tz_convert(None), "s") for tile, (t, _) in _utc(times)
    }
    flat = [when[tile] for ids in plan["tile_ids"] for tile in ids]
    ends = np.full(len(plan), np.datetime64("NaT", "s"))
    if flat:
        starts = (np.cumsum(lengths) - lengths)[lengths > 0]
        least_or_most = np.maximum if last else np.minimum
        ends[lengths > 0] = least_or_most.reduceat(np.array(flat), starts)
    return pd.Series(ends)


def _utc(times: TileTimes) -> list[tuple[str, tuple[Any, str]]]:
    def aware(when: Any) -> Any:
        stamp = pd.Timestamp(when)
        return stamp.tz_localize("UTC") if stamp.tzinfo is None else stamp

    return [(tile, (aware(when), group)) for tile, (when, group) in times.items()]


def _joined(plan: "gpd.GeoDataFrame", values: "pd.Series[Any] | pd.DataFrame") -> pd.DataFrame:
    """Bring values into the order of the plan; what it has no value for stays missing."""
    table = values.to_frame(values.name or "value") if isinstance(values, pd.Series) else values
    if "location_id" in table:
        table = table.set_index("location_id")
    again = table.index.duplicated()
    if again.any():
        raise ValueError(
            f"Values must have one row for each location, but {table.index[again][0]!r} has "
            "several.\nSum them up first, as with `table.groupby('location_id').mean()`."
        )
    wanted: NDArray[Any] = plan["location_id"].to_numpy()
    if len(table) and len(plan) and not table.index.isin(wanted).any():
        raise ValueError(
            "Values must be given by location_id, but none of them is a location of the map, "
            f"e.g. {table.index[0]!r}.\nSet the index to the ids of the plan, as {wanted[0]!r}."
        )
    return table.drop(columns="geometry", errors="ignore").reindex(wanted).reset_index(drop=True)


def _unknown(
    name: str, plan: "gpd.GeoDataFrame", joined: pd.DataFrame | None, times: TileTimes | None
) -> str:
    if name in (FIRST, LAST):
        return (
            f"To colour by {name!r} the times of the tiles must be known, but none are.\n"
            "Pass `tiles`."
        )
    own = [column for column in plan.columns if column not in ("geometry", "tile_ids")]
    known = [SERIES, FIRST, LAST, *own, *([] if joined is None else joined.columns)]
    known = list(dict.fromkeys(map(str, known))) if times is not None else list(map(str, own))
    return f"A map can be coloured by {', '.join(known)}, but not by {name!r}."
