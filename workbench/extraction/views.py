"""Tiles to planned locations: the plan, and what it achieves."""

import logging
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import shapely
from numpy.typing import NDArray

from workbench.extraction.combinations import plan_combinations
from workbench.extraction.coverage import plan_coverage
from workbench.extraction.fixed_grid import best_fixed_grid
from workbench.extraction.overlap import independent_groups, overlaps
from workbench.extraction.regions import Division, divide, planned_gsd, with_known_grids
from workbench.extraction.rules import ViewRules
from workbench.extraction.squares import Squares, holders
from workbench.extraction.tiles import require_distinct_ids
from workbench.geo.dates import tile_dates
from workbench.geo.footprint import area_m2
from workbench.geo.grid import crs_name
from workbench.geo.tile import Tile
from workbench.geo.units import metres_per_unit
from workbench.showing import Sheet, Shown

if TYPE_CHECKING:
    import geopandas as gpd

log = logging.getLogger(__name__)

UNKNOWN_GRID = "its pixels are not known to the plan; resampled where they differ, as asked"
"""Why a tile may be resampled of which only the footprint is known (`ViewRules.resample`)."""
PLAN_COLUMNS = (
    "location_id", "crs", "xmin", "ymin", "xmax", "ymax", "tile_ids", "n_acquisitions", "geometry",
)  # fmt: skip


def temporal_views(
    tiles: Sequence[Tile], rules: ViewRules | None = None, *, workers: int = 1
) -> "gpd.GeoDataFrame":
    """Plan locations: ground squares, and the tiles that see each of them whole.

    No pixel is read. A tile sees a location iff its footprint covers the location's `geometry` in
    longitude/latitude; all tiles that do are listed. Locations do not overlap. A location is a
    square of pixels on the grid that most tiles of its region share (`Tile.grid`, or the header of
    a raster that a tile names), so that their pixels are copied and not resampled; see
    `workbench.extraction.regions`. Tiles of one pass (one group, within an hour) are listed, but
    are one date (`workbench.geo.dates`). The plan does not depend on the order of the tiles.

    Args:
        tiles: Tiles with distinct ids; drop re-deliveries first (`drop_duplicates`).
        rules: Patch size, method and the choices of `ViewRules`; None: the defaults.
        workers: Processes for ``method="combinations"``, >= 1. "coverage" uses threads by itself.

    Returns:
        One row per location, longest series first, then by CRS and place: ``location_id``, ``crs``
        ("EPSG:32633"), ``xmin ymin xmax ymax`` (in units of ``crs``), ``tile_ids`` (tuple, by
        time), ``n_acquisitions`` (distinct dates) and ``geometry`` (EPSG:4326). Where pixels of
        some tile cannot be copied, as far as is known, a column ``why_resampled`` says why: a tuple
        of texts beside ``tile_ids``, "" for those that are copied.

    Raises:
        TileError: If two tiles have the same id, a size of pixels is asked for that is not theirs,
            or pixels are not square.
        CRSMismatchError: If pixels are in degrees. Both kinds are resampled on request
            (`ViewRules.resample`).

    Example:
        >>> from datetime import datetime
        >>> from shapely import box
        >>> ground = box(10, 50, 10.2, 50.2)
        >>> tiles = [Tile(f"t{d}", datetime(2022, 6, d), ground, "EPSG:32632") for d in (1, 9)]
        >>> plan = temporal_views(tiles)
        >>> len(plan), plan.tile_ids[0], int(plan.n_acquisitions[0])
        (15, ('t1', 't9'), 2)
    """
    require_distinct_ids(tiles)
    tiles = sorted(with_known_grids(tiles), key=lambda t: (t.acquired, t.group or "", t.id))
    rules = resolved(tiles, ViewRules() if rules is None else rules)
    footprints = np.array([tile.footprint for tile in tiles], dtype=object)
    date = tile_dates(tiles)
    division = divide(tiles, footprints, independent_groups(footprints), rules) if tiles else None
    if division is None:
        empty = np.zeros(0, np.int64)
        squares = Squares(empty, empty, empty)
    elif rules.method == "coverage":
        squares = plan_coverage(division, date, rules)
    else:
        squares = plan_combinations(footprints, division, date, rules, workers=workers)
    return _plan_frame(squares, tiles, footprints, date, division, rules)


def _plan_frame(
    squares: Squares,
    tiles: Sequence[Tile],
    footprints: NDArray[np.object_],
    date: NDArray[np.int64],
    division: Division | None,
    rules: ViewRules,
) -> "gpd.GeoDataFrame":
    """Look up who holds each square, drop those seen too seldom, lay the rest out as a table."""
    import geopandas as gpd

    size = rules.patch_size
    polygons = squares.polygons(size)
    held = polygons if rules.tolerance == 0 else squares.polygons(size, shrink=rules.tolerance)
    square, tile = holders(held, footprints)  # tiles are in the order of time, so pairs are too
    held_by = np.bincount(square, minlength=len(squares))
    n_acquisitions = _dates_of_squares(square, date[tile], len(squares))
    ends = np.cumsum(held_by)
    begins = ends - held_by

    # Longest series first, then from west to east and south to north in each CRS.
    bounds = squares.bounds(size)
    rank = _ranks([line.crs for line in squares.lines])[squares.sheet]
    order = np.lexsort([bounds[:, 1], bounds[:, 0], rank, -n_acquisitions])
    order = order[n_acquisitions[order] >= rules.min_acquisitions]
    whys = _reasons(squares.sheet[square], tile, division, rules)
    crs = np.array([line.crs for line in squares.lines], dtype=object)
    columns: dict[str, object] = {
        "location_id": _location_ids(squares, order),
        "crs": crs[squares.sheet[order]] if len(crs) else np.zeros(0, dtype=object),
        **{name: bounds[order, k] for k, name in enumerate(("xmin", "ymin", "xmax", "ymax"))},
        "tile_ids": _of_each_square([t.id for t in tiles], tile, begins[order], ends[order]),
        "n_acquisitions": n_acquisitions[order],
    }
    if any(whys[0]):
        columns["why_resampled"] = _of_each_square(*whys, begins[order], ends[order])
    return gpd.GeoDataFrame(columns, geometry=polygons[order], crs="EPSG:4326")


def _dates_of_squares(
    square: NDArray[np.int64], date: NDArray[np.int64], count: int
) -> NDArray[np.int64]:
    """(count,) distinct dates of each square, from pairs of a square and a date."""
    dates = int(date.max(initial=0)) + 1
    pair = square * dates + date
    if (np.diff(pair) < 0).any():  # passes that interleave in time
        pair = np.sort(pair)
    is_new = np.ones(len(pair), dtype=bool)
    is_new[1:] = pair[1:] != pair[:-1]
    return np.bincount(pair[is_new] // dates, minlength=count)


def _ranks(names: Sequence[str]) -> NDArray[np.int64]:
    """Rank CRS by their code, those of the EPSG first."""

    def key(name: str) -> tuple[bool, int, str]:
        authority, _, code = name.partition(":")
        is_epsg = authority == "EPSG" and code.isdigit()
        return not is_epsg, int(code) if is_epsg else 0, name

    rank = {name: k for k, name in enumerate(sorted(set(names), key=key))}
    return np.array([rank[name] for name in names], dtype=np.int64)


def _reasons(
    sheet: NDArray[np.int64],
    tile: NDArray[np.int64],
    division: Division | None,
    rules: ViewRules,
) -> tuple[list[str], NDArray[np.int64]]:
    """Texts, and for each pair of a square (by its sheet) and a tile the number of its text."""
    if division is None or not len(tile):
        return [""], np.zeros(len(tile), np.int64)
    pairs, which = np.unique(np.column_stack([sheet, tile]), axis=0, return_inverse=True)
    texts = [
        UNKNOWN_GRID if rules.resample and division.grids[i] is None else division.reason(i, s)
        for s, i in pairs.tolist()
    ]
    if count := len({i for (_, i), text in zip(pairs.tolist(), texts, strict=True) if text}):
        log.warning(
            "pixels of %d of %d tiles are resampled, at some locations at least: %s",
            count, len(division.grids), next(filter(None, texts)),
        )  # fmt: skip
    number = {text: k for k, text in enumerate(dict.fromkeys(texts))}
    return list(number), np.array([number[t] for t in texts], dtype=np.int64)[which.ravel()]


def _of_each_square(
    texts: Sequence[str],
    number: NDArray[np.int64],
    begin: NDArray[np.int64],
    end: NDArray[np.int64],
) -> list[tuple[str, ...]]:
    """Give the texts numbered ``number[begin:end]`` of each square; single ones share tuples."""
    alone = [(text,) for text in texts]
    numbers = number.tolist()
    every = [texts[i] for i in numbers]
    return [
        alone[numbers[a]] if b == a + 1 else tuple(every[a:b])
        for a, b in zip(begin.tolist(), end.tolist(), strict=True)
    ]


def _location_ids(squares: Squares, order: NDArray[np.int64]) -> list[str]:
    """Name squares by grid and pixel, as "32632-x017021-y184340": same ground, same name.

    Lines off the multiples of the pixel size stand after the CRS: "32632-e15-n15-x017021-y184340".
    """
    names = [line.name for line in squares.lines]
    rows = zip(
        *(field[order].tolist() for field in (squares.sheet, squares.x, squares.y)), strict=True
    )
    return [f"{names[sheet]}-x{x:06d}-y{y:06d}" for sheet, x, y in rows]


def resolved(tiles: Sequence[Tile], rules: ViewRules) -> ViewRules:
    """Fill in what rules leave to the tiles: the size of a pixel; and spell the CRS in one way.

    Raises:
        TileError, CRSMismatchError: See `temporal_views`.
    """
    crs = None if rules.crs is None else crs_name(rules.crs)
    if crs is not None:
        metres_per_unit(crs)  # refuses degrees
    return replace(rules, gsd=planned_gsd(tiles, rules), crs=crs)


@dataclass(frozen=True, repr=False)
class PlanSummary(Shown):
    """What a plan achieves, in numbers."""

    locations: int
    """Planned squares."""
    views: int
    """Acquisitions over all locations."""
    multi_date_locations: int
    """Locations seen on two dates or more."""
    pairs: int
    """Pairs of dates over all locations: the temporal positives there are."""
    mean_series: float
    """Acquisitions per location; 0 for an empty plan."""
    longest_series: int
    """Acquisitions of the location that has most."""
    area_km2: float
    """Ground planned, in km²."""
    bound_locations: float
    """Area seen on two dates or more, divided by a patch: no plan can have more multi-date ones."""
    yield_of_bound: float
    """Multi-date locations over that bound; NaN where no ground is seen twice."""
    fixed_grid_locations: int
    """Multi-date squares of plain lattices, in each region the best of 16; see `fixed_grid`."""
    over_fixed_grid: float
    """Multi-date locations over those; NaN where a plain lattice has none."""

    def _sheet(self) -> Sheet:
        share = "no ground is seen twice"
        if not math.isnan(self.yield_of_bound):
            share = f"{self.yield_of_bound:.1%} of the {self.bound_locations:,.1f} there can be"
        rows = [
            ("acquisitions", f"{self.views:,}"),
            ("locations of two dates or more", f"{self.multi_date_locations:,} ({share})"),
            ("over a plain lattice", _over(self)),
            ("pairs of dates", f"{self.pairs:,}"),
            ("series", f"{self.mean_series:.2f} on average, at most {self.longest_series:,}"),
        ]
        caption = f"Plan of {self.locations:,} locations on {self.area_km2:,.1f} km²"
        return Sheet(caption, ("what", "how many"), rows)

    def as_dict(self) -> dict[str, float]:
        """Give the numbers by name, for a table or a run record."""
        return asdict(self)


def _over(summary: PlanSummary) -> str:
    """Say how the plan compares with the best plain lattice."""
    plain = f"{summary.fixed_grid_locations:,} multi-date squares at the best of 16 offsets"
    if math.isnan(summary.over_fixed_grid):
        return plain
    return f"{summary.over_fixed_grid - 1:+.1%} ({plain})"


def plan_summary(
    plan: "gpd.GeoDataFrame", tiles: Sequence[Tile], rules: ViewRules | None = None
) -> PlanSummary:
    """Count what a plan achieves, and compare it with what the ground allows.

    Args:
        plan: Result of `temporal_views`.
        tiles: The tiles it was made from.
        rules: The rules it was made with; they give the area of a patch.
    """
    tiles = with_known_grids(tiles)
    rules = resolved(tiles, ViewRules() if rules is None else rules)
    n = plan["n_acquisitions"].to_numpy(dtype=np.int64)
    several = int((n >= 2).sum())
    bound = area_seen_twice(tiles) / rules.side**2
    plain = _fixed_grid(tiles, rules)
    return PlanSummary(
        locations=len(plan),
        views=int(n.sum()),
        multi_date_locations=several,
        pairs=int((n * (n - 1) // 2).sum()),
        mean_series=float(n.mean()) if len(n) else 0.0,
        longest_series=int(n.max(initial=0)),
        area_km2=len(plan) * rules.side**2 / 1e6,
        bound_locations=bound,
        yield_of_bound=several / bound if bound else float("nan"),
        fixed_grid_locations=plain,
        over_fixed_grid=several / plain if plain else float("nan"),
    )


def _fixed_grid(tiles: Sequence[Tile], rules: ViewRules) -> int:
    """Count the multi-date squares of the best plain lattice."""
    if not tiles:
        return 0
    footprints = np.array([tile.footprint for tile in tiles], dtype=object)
    division = divide(tiles, footprints, independent_groups(footprints), rules)
    return best_fixed_grid(division, tile_dates(tiles), rules)


def area_seen_twice(tiles: Sequence[Tile]) -> float:
    """Measure the ground that lies in footprints of two dates or more, in m²."""
    if not tiles:
        return 0.0
    found = overlaps(np.array([t.footprint for t in tiles], dtype=object))
    date = tile_dates(tiles)
    apart = date[found.first] != date[found.second]
    shared, component = found.shared[apart], found.component[found.first[apart]]
    order = np.argsort(component, kind="stable")
    groups = np.split(shared[order], np.flatnonzero(np.diff(component[order])) + 1)
    united = np.array([shapely.union_all(group) for group in groups], dtype=object)
    return float(area_m2(united).sum())
