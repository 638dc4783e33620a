"""BigEarthNet's patch list: which 1.2 km cells of which Sentinel-2 tiles were seen, and when.

The list names 590,326 patches and nothing else; place and time are read off the names. Nobody has
to download the archive to know what it covers.
"""

import bz2
import io
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from workbench.catalog import Entry
from workbench.errors import TileError
from workbench.geo.mgrs import mgrs_square

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)

CELL = 1200
"""Side of a patch, in metres."""
CELLS_ACROSS = 91
"""Whole cells along a side of a Sentinel-2 tile of 109.8 km."""
SAME_OVERPASS = timedelta(minutes=1)
"""Datatake times of one satellite that follow each other this closely are of one overpass."""
_LIST = "s1_s2_name_country_season.csv.bz2"
_COLUMNS = ["s1_name", "s2_name", "country"]
_S1_NAME = r"_(?P<tile>\d{2}[A-Z]{3})_(?P<col>\d{1,2})_(?P<row>\d{1,2})$"
_S2_NAME = r"^(?P<datatake>S2[A-D]_MSIL2A_\d{8}T\d{4,6})_(?P<col>\d{1,2})_(?P<row>\d{1,2})$"


@dataclass(frozen=True)
class BigEarthNetReport:
    """What was in the patch list, and what was odd about it."""

    rows: int
    """Rows of the list."""
    unreadable: int
    """Rows left out: a name, time or tile that cannot be read, or a cell outside its tile."""
    contradictory: int
    """Rows left out: the Sentinel-1 and the Sentinel-2 name say different cells."""
    repeated: int
    """Rows left out: tile, cell and datatake stand in the list already."""
    patches: int
    """Rows that remain."""
    cells: int
    """Distinct (tile, cell)."""
    cells_by_dates: dict[int, int]
    """How many cells were seen on 1, 2, 3 … overpasses."""
    scenes: int
    """Distinct (tile, datatake)."""
    datatakes: int
    """Distinct datatakes, as the names spell them."""
    datatakes_of_several_tiles: int
    """Datatakes that hold more than one tile."""
    overpasses: int
    """Datatakes left when those of one satellite within a minute count as one."""
    mended_times: dict[str, str]
    """Times without their leading zero or with a second past 59, and how they were read."""

    @property
    def cells_of_several_dates(self) -> int:
        """How many cells were seen on two overpasses or more."""
        return sum(count for dates, count in self.cells_by_dates.items() if dates > 1)


def sensing_time(text: str) -> datetime:
    """Read a time as the names spell it, with or without its leading zeros.

    Some names count seconds on past 59 ("T094159", "T94160", "T94161" are one overpass); these are
    read as seconds of the next minute. Anything else that is no time is refused.

    Args:
        text: "20170924T093020", "20170924T93020" or "20180204T94160".

    Raises:
        ValueError: If it is no time.

    Example:
        >>> sensing_time("20180204T94160").isoformat()
        '2018-02-04T09:42:00+00:00'
    """
    day, _, clock = text.partition("T")
    clock = clock.zfill(6)
    minute = datetime.strptime(f"{day}{clock[:4]}", "%Y%m%d%H%M").replace(tzinfo=UTC)
    return minute + timedelta(seconds=int(clock[4:]))


def read_bigearthnet_patches(entry: Entry) -> tuple[pd.DataFrame, BigEarthNetReport]:
    """Read the patch list: one row per patch, in the order of the list.

    Args:
        entry: Catalog entry of layout "bigearthnet_scenes"; fetched if it is not there yet.

    Returns:
        Table and report. Columns of the table: `s1_name`, `s2_name`, `country`; `tile` ("33UXP");
        `col` and `row` of the cell, counted from the tile's north-west corner; `datatake` as spelt,
        without the cell; `sensed`, its time; `overpass`, the datatake that began the overpass, and
        `acquired`, the time of that. Times are UTC. (tile, col, row) is the place, `overpass` the
        date.

    Raises:
        CatalogError: If the list cannot be had.
        TileError: If it lacks a column, or no row can be read.
    """
    table = _read_list(entry)
    frame = _named_parts(table)
    frame = frame.join(_read_times(frame["datatake"]))
    place = _known_places(frame["tile"]) & (frame[["col", "row"]].max(axis=1) < CELLS_ACROSS)
    readable = place & frame["sensed"].notna()
    same_cell = (frame.pop("s2_col") == frame["col"]) & (frame.pop("s2_row") == frame["row"])
    repeated = frame.duplicated(["tile", "col", "row", "satellite", "sensed"])
    keep = readable & same_cell & ~repeated
    if not keep.any():
        raise TileError(
            f"Entry {entry.name!r}: none of the {len(table)} rows of the patch list can be read.\n"
            "Names look like S1A_IW_GRDH_1SDV_20170904T161304_34VDN_33_85 and "
            "S2B_MSIL2A_20170906T101019_33_85."
        )
    report = _report(
        frame[keep],
        rows=len(table),
        unreadable=len(table) - int(readable.sum()),
        contradictory=int((readable & ~same_cell).sum()),
        repeated=int((readable & same_cell & repeated).sum()),
    )
    _log(report)
    return frame[keep].reset_index(drop=True), report


def _read_list(entry: Entry) -> "pa.Table":
    import pyarrow.csv as csv

    text = bz2.decompress(entry.file(_LIST).read_bytes())
    head = text[: text.find(b"\n")].decode("utf-8-sig", "replace").strip().split(",")
    if missing := [name for name in _COLUMNS if name not in head]:
        raise TileError(
            f"Entry {entry.name!r}: the patch list has no column {', '.join(missing)}.\n"
            f"It has: {', '.join(head)}."
        )
    types = dict.fromkeys(_COLUMNS, "string")
    options = csv.ConvertOptions(include_columns=_COLUMNS, column_types=types)
    return csv.read_csv(io.BytesIO(text), convert_options=options)


def _named_parts(table: "pa.Table") -> pd.DataFrame:
    """Take the names apart; rows whose names do not parse are not in the result.

    Tile, col and row are the last fields of the Sentinel-1 name, since the Sentinel-2 name lacks
    the tile; the datatake is in the Sentinel-2 name.
    """
    import pyarrow.compute as pc

    s1 = pc.extract_regex(table["s1_name"], _S1_NAME)
    s2 = pc.extract_regex(table["s2_name"], _S2_NAME)
    parsed = pc.and_(pc.is_valid(s1), pc.is_valid(s2))
    table, s1, s2 = table.filter(parsed), s1.filter(parsed), s2.filter(parsed)

    def category(values: "pa.ChunkedArray") -> pd.Series:
        return values.combine_chunks().dictionary_encode().to_pandas()

    def number(names: "pa.ChunkedArray", field: str) -> pd.Series:
        return pc.cast(pc.struct_field(names, field), "int16").to_pandas()

    return pd.DataFrame(
        {
            "s1_name": table["s1_name"].to_pandas(),
            "s2_name": table["s2_name"].to_pandas(),
            "country": category(table["country"]),
            "tile": category(pc.struct_field(s1, "tile")),
            "col": number(s1, "col"),
            "row": number(s1, "row"),
            "s2_col": number(s2, "col"),
            "s2_row": number(s2, "row"),
            "datatake": category(pc.struct_field(s2, "datatake")),
        }
    )


def _known_places(tiles: pd.Series) -> pd.Series:
    """Whether each tile is a square of the grid; asked once per distinct tile."""

    def is_square(name: str) -> bool:
        try:
            mgrs_square(name)
        except ValueError:
            return False
        return True

    return tiles.isin([name for name in tiles.cat.categories if is_square(name)])


def _read_times(datatakes: pd.Series) -> pd.DataFrame:
    """Satellite, time and overpass of each row; NaT and NaN where the time cannot be read."""
    times: dict[str, datetime] = {}
    for name in datatakes.cat.categories:
        try:
            times[name] = sensing_time(name.rpartition("_")[2])
        except ValueError:
            continue
    overpass = _overpasses(times)
    codes = datatakes.cat.codes.to_numpy()
    known = pd.DataFrame(index=datatakes.cat.categories)
    known["satellite"] = [name[:3] for name in known.index]
    known["overpass"] = [overpass.get(name) for name in known.index]
    sensed, acquired = known.index.map(times.get), known["overpass"].map(times.get)
    known["sensed"] = pd.to_datetime(pd.Series(sensed, known.index), utc=True)
    known["acquired"] = pd.to_datetime(acquired, utc=True)
    known = known.astype({"satellite": "category", "overpass": "category"})
    return known.iloc[codes].set_index(datatakes.index)


def _overpasses(times: dict[str, datetime]) -> dict[str, str]:
    """Which datatake began the overpass that each datatake belongs to.

    The names of one overpass differ by seconds from tile to tile and even within a tile; taken
    literally, two tiles of one overpass would count as two dates.
    """
    found: dict[str, str] = {}
    before = ""
    for name in sorted(times, key=lambda name: (name[:3], times[name], name)):
        same = name[:3] == before[:3] and times[name] - times[before] <= SAME_OVERPASS
        found[name] = found[before] if same else name
        before = name
    return found


def _report(frame: pd.DataFrame, **left_out: int) -> BigEarthNetReport:
    scenes = frame[["tile", "satellite", "sensed", "datatake"]].drop_duplicates()
    cells = frame.groupby(["tile", "col", "row"], observed=True)["overpass"].nunique()
    dates, counts = np.unique(cells.to_numpy(), return_counts=True)
    tiles_of = scenes.groupby("datatake", observed=True)["tile"].nunique()
    return BigEarthNetReport(
        patches=len(frame),
        cells=len(cells),
        cells_by_dates=dict(zip(dates.tolist(), counts.tolist(), strict=True)),
        scenes=len(scenes.drop_duplicates(["tile", "satellite", "sensed"])),
        datatakes=len(tiles_of),
        datatakes_of_several_tiles=int((tiles_of > 1).sum()),
        overpasses=int(frame["overpass"].nunique()),
        mended_times=_mended(tiles_of.index),
        **left_out,
    )


def _mended(datatakes: Iterable[str]) -> dict[str, str]:
    spelt = sorted(name.rpartition("_")[2] for name in datatakes)
    read = {text: f"{sensing_time(text):%Y%m%dT%H%M%S}" for text in spelt}
    return {text: time for text, time in read.items() if text != time}


def _log(report: BigEarthNetReport) -> None:
    left_out = report.rows - report.patches
    if left_out:
        log.warning(
            "%d of %d rows of the patch list are left out: %d unreadable, %d whose names say "
            "different cells, %d repeated",
            left_out,
            report.rows,
            report.unreadable,
            report.contradictory,
            report.repeated,
        )
    log.info(
        "%d patches in %d scenes; %d of %d datatakes hold several tiles and they make %d "
        "overpasses; %d times lack a zero or count past second 59",
        report.patches,
        report.scenes,
        report.datatakes_of_several_tiles,
        report.datatakes,
        report.overpasses,
        len(report.mended_times),
    )
