"""A plan of any size as a few bytes a square, for a map that draws it in the reader's browser.

A square is two corners in a zone that is named once; its tiles are one number, the row of a table
of distinct combinations. Columns are stored as differences from row to row, their bytes put
plane by plane, and the whole is deflated (`packing`): 415,153 squares take about 2 MB.
``web/packed_layer.js`` unpacks them, projects the corners exactly and draws them.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from workbench.geo.tile import Tile
from workbench.viz.map_colours import Colouring, series_colouring
from workbench.viz.packing import BYTES, NUMBERS, packed

if TYPE_CHECKING:
    import geopandas as gpd
    import pandas as pd

BLOCK = 100_000.0
"""Side of the blocks in which squares are listed, in metres: about a scene."""
TileTimes = Mapping[str, tuple[datetime, str]]
"""Time (UTC) and group of each tile by its id."""
CENTIMETRES = 100.0
CORNER_UNITS = 1e7
"""Corners outside UTM are stored as they are, in units of 1e-7 degree (about 1 cm)."""


@dataclass(frozen=True)
class PackedPlan:
    """The squares of a plan, packed."""

    text: str
    """Base64 of the deflated layout."""
    order: NDArray[np.int64] = field(repr=False)
    """(n,) row of the plan of each packed square."""
    colourings: tuple[Colouring, ...] = field(repr=False)
    """Ways to colour the squares; their arrays are in the order of the plan."""

    @property
    def counts(self) -> tuple[int, ...]:
        """Locations in each class of the first colouring."""
        return self.colourings[0].counts

    @property
    def locations(self) -> int:
        """Number of squares, which is the number of rows of the plan."""
        return len(self.order)


def pack_plan(
    plan: "gpd.GeoDataFrame",
    tiles: Sequence[Tile] | TileTimes | None,
    colourings: Sequence[Colouring] = (),
) -> PackedPlan:
    """Pack the squares of a plan, with the dates and tiles of each.

    Args:
        plan: Columns location_id, crs, xmin, ymin, xmax, ymax (metres in crs), tile_ids,
            n_acquisitions and geometry (EPSG:4326), one row a location.
        tiles: The tiles that `tile_ids` name, or their times; others may be among them. None if
            times are not known.
        colourings: Ways to colour the squares; by series length if there is none.

    Raises:
        ValueError: If the plan names a tile that is not given.
    """
    chosen = tuple(colourings) or (series_colouring(plan["n_acquisitions"].to_numpy()),)
    order = _order(plan)
    plan = plan.iloc[order]
    codes, crs = _factorize(plan["crs"])
    combination, table = _combinations(plan)
    times = tiles if tiles is None or isinstance(tiles, Mapping) else tile_times(tiles)
    tile_rows, tile_table = _tile_table(table, times)
    columns: dict[str, NDArray[np.int64]] = {}
    for name in ("xmin", "ymin", "xmax", "ymax"):
        columns[name] = np.rint(plan[name].to_numpy(dtype=float) * CENTIMETRES).astype(np.int64)
    columns["xmax"] -= columns["xmin"]
    columns["ymax"] -= columns["ymin"]
    columns |= {"combination": combination, "crs": codes, **tile_rows}
    columns |= _explicit_corners(plan, crs)
    ids, id_columns = _ids(plan["location_id"].astype(str).tolist(), columns)
    classes, kinds = _class_columns(chosen, order)
    header: dict[str, Any] = {
        "crs": [{"name": name, "zone": _utm_zone(name)} for name in crs],
        "tiles": tile_table,
        "ids": ids,
        "colourings": [_told(colouring) for colouring in chosen],
    }
    return PackedPlan(packed(header, columns | id_columns | classes, kinds), order, chosen)


def _class_columns(
    colourings: Sequence[Colouring], order: NDArray[np.int64]
) -> tuple[dict[str, NDArray[np.int64]], dict[str, str]]:
    """Class and told value of each square, and how those columns are kept."""
    columns: dict[str, NDArray[np.int64]] = {}
    kinds = {}
    for k, colouring in enumerate(colourings):
        columns[f"class{k}"], kinds[f"class{k}"] = colouring.codes[order], BYTES
        if colouring.told is not None:
            columns[f"told{k}"], kinds[f"told{k}"] = colouring.told[order], NUMBERS
    return columns, kinds


def _told(colouring: Colouring) -> dict[str, Any]:
    """What a page must know of a colouring besides the columns."""
    return {
        "name": colouring.name,
        "colours": colouring.colours,
        "names": colouring.names,
        "origin": colouring.origin,
        "decimals": colouring.decimals,
        "on_top": colouring.on_top,
        "missing": colouring.has_missing,
    }


def _order(plan: "gpd.GeoDataFrame") -> NDArray[np.int64]:
    """Put neighbours next to each other, so that the steps from row to row are small."""
    x, y = plan["xmin"].to_numpy(dtype=float), plan["ymin"].to_numpy(dtype=float)
    return np.lexsort([x, y, x // BLOCK, y // BLOCK, plan["crs"].to_numpy(dtype=str)])


def _utm_zone(crs: str) -> int | None:
    """Signed zone number of a WGS 84 UTM system, negative in the south; None for any other."""
    match = re.fullmatch(r"EPSG:32([67])(\d\d)", crs)
    if match is None or not 1 <= int(match.group(2)) <= 60:
        return None
    return int(match.group(2)) * (1 if match.group(1) == "6" else -1)


def _factorize(column: "pd.Series") -> tuple[NDArray[np.int64], list[str]]:
    import pandas as pd

    codes, names = pd.factorize(column.to_numpy())
    return codes.astype(np.int64), [str(name) for name in names]


def _combinations(
    plan: "gpd.GeoDataFrame",
) -> tuple[NDArray[np.int64], list[tuple[int, tuple[str, ...]]]]:
    """Number the distinct (n_acquisitions, tile_ids), and say which each row has."""
    numbers: dict[tuple[int, tuple[str, ...]], int] = {}
    rows = zip(plan["n_acquisitions"].tolist(), plan["tile_ids"].tolist(), strict=True)
    codes = [numbers.setdefault((n, tuple(ids)), len(numbers)) for n, ids in rows]
    return np.array(codes, dtype=np.int64), list(numbers)


def _tile_table(
    table: list[tuple[int, tuple[str, ...]]], times: TileTimes | None
) -> tuple[dict[str, NDArray[np.int64]], list[list[str]]]:
    """Write combinations as runs of tile numbers, and the tiles they need as [id, date, group]."""
    numbers: dict[str, int] = {}
    flat = [numbers.setdefault(tile, len(numbers)) for _, ids in table for tile in ids]
    rows = {
        "dates": np.array([n for n, _ in table], dtype=np.int64),
        "lengths": np.array([len(ids) for _, ids in table], dtype=np.int64),
        "members": np.array(flat, dtype=np.int64),
    }
    if times is None:
        return rows, [[tile, "", ""] for tile in numbers]
    missing = [tile for tile in numbers if tile not in times]
    if missing:
        raise ValueError(
            f"Every tile of a plan must be given, but {len(missing)} are not, e.g. {missing[0]!r}."
            "\nPass the tiles that the plan was made from."
        )
    needed = [(tile, *times[tile]) for tile in numbers]
    return rows, [[tile, f"{when:%Y-%m-%d %H:%M}", group] for tile, when, group in needed]


def tile_times(tiles: Sequence[Tile]) -> TileTimes:
    """Time and group of tiles by id."""
    return {tile.id: (tile.acquired, tile.group or "") for tile in tiles}


def _explicit_corners(plan: "gpd.GeoDataFrame", crs: list[str]) -> dict[str, NDArray[np.int64]]:
    """Corners in longitude/latitude of the squares whose CRS the browser cannot project."""
    from pyproj import Transformer

    blocks = []
    for name in crs:
        if _utm_zone(name) is None:
            x0, y0, x1, y1 = (
                plan.loc[plan["crs"] == name, side].to_numpy(dtype=float)
                for side in ("xmin", "ymin", "xmax", "ymax")
            )
            to_degrees = Transformer.from_crs(name, "EPSG:4326", always_xy=True)
            lon, lat = to_degrees.transform(
                np.stack([x0, x1, x1, x0], axis=1), np.stack([y0, y0, y1, y1], axis=1)
            )  # each (n, 4)
            lon -= 360 * np.rint((lon - lon[:, :1]) / 360)  # no corner across the antimeridian
            blocks.append(np.stack([lon, lat], axis=2).reshape(-1, 8))
    corners = np.concatenate(blocks) if blocks else np.zeros((0, 8))
    units = np.rint(corners * CORNER_UNITS).astype(np.int64)
    return {f"corner{k}": units[:, k] for k in range(8)}


def _ids(
    names: list[str], columns: dict[str, NDArray[np.int64]]
) -> tuple[dict[str, Any], dict[str, NDArray[np.int64]]]:
    """Write ids as a pattern and numbers where all share one shape, else as they are.

    "32632-x0512-y0044" and "32632-x0513-y0044" are the pattern of widths [5, 4, 4] between "",
    "-x", "-y" and "", and three columns of numbers. A number that is xmin or ymin divided by a
    constant is not stored again.
    """
    first = re.split(r"(\d+)", names[0]) if names else [""]
    widths = [len(part) for part in first[1::2]]
    pieces = [rf"(\d{{{len(p)}}})" if i % 2 else re.escape(p) for i, p in enumerate(first)]
    shape = re.compile("".join(pieces))
    matches = [shape.fullmatch(name) for name in names]
    if not widths or max(widths) > 9 or not all(matches):
        return {"list": names}, {}
    numbers = np.array([match.groups() for match in matches if match], dtype=np.int64)
    stored, derived = {}, {}
    for k in range(len(widths)):
        known = [(n, s) for n in ("xmin", "ymin") if (s := _step(columns[n], numbers[:, k]))]
        if known:
            derived[f"id{k}"] = known[0]
        else:
            stored[f"id{k}"] = numbers[:, k]
    return {"between": first[0::2], "widths": widths, "derived": derived}, stored


def _step(coordinates: NDArray[np.int64], numbers: NDArray[np.int64]) -> int:
    """Centimetres a number counts if the coordinates are that many times the numbers, else 0."""
    row = int(np.argmax(numbers))
    step = int(coordinates[row] // max(int(numbers[row]), 1))
    return step if step > 0 and np.array_equal(numbers * step, coordinates) else 0
