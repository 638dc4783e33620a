"""Tiles to planned locations: the plan, and what it achieves."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
import shapely
from numpy.typing import NDArray

from workbench.extraction.combinations import plan_combinations
from workbench.extraction.coverage import plan_coverage
from workbench.extraction.overlap import overlaps
from workbench.extraction.rules import ViewRules
from workbench.extraction.squares import Squares, holders
from workbench.extraction.tiles import require_distinct_ids
from workbench.geo.dates import tile_dates
from workbench.geo.footprint import area_m2
from workbench.geo.tile import Tile
from workbench.showing import Sheet, Shown

if TYPE_CHECKING:
    import geopandas as gpd

PLAN_COLUMNS = (
    "location_id", "crs", "xmin", "ymin", "xmax", "ymax", "tile_ids", "n_acquisitions", "geometry",
)  # fmt: skip


def temporal_views(
    tiles: Sequence[Tile], rules: ViewRules | None = None, *, workers: int = 1
) -> "gpd.GeoDataFrame":
    """Plan locations: ground squares, and the tiles that see each of them whole.

    No pixel is read. A tile sees a location iff its footprint covers the location's `geometry` in
    longitude/latitude; all tiles that do are listed. Locations do not overlap, lie in one UTM zone
    whole, and have their corners on its pixel grid. Tiles of one pass (one group, within an
    hour) are listed, but are one date (`workbench.geo.dates`). The plan does not depend on the
    order of the tiles.

    Args:
        tiles: Tiles with distinct ids; drop re-deliveries first (`drop_duplicates`).
        rules: Patch size, method and the choices of `ViewRules`; None: the defaults, for EnMAP.
        workers: Processes for ``method="combinations"``, >= 1. "coverage" uses threads by itself.

    Returns:
        One row per location, longest series first, then by zone and place: ``location_id``, ``crs``
        ("EPSG:32633"), ``xmin ymin xmax ymax`` (metres in ``crs``), ``tile_ids`` (tuple, by time),
        ``n_acquisitions`` (distinct dates) and ``geometry`` (EPSG:4326).

    Raises:
        TileError: If two tiles have the same id.

    Example:
        >>> from datetime import datetime
        >>> from shapely import box
        >>> ground = box(10, 50, 10.2, 50.2)
        >>> tiles = [Tile(f"t{d}", datetime(2022, 6, d), ground, "EPSG:32632") for d in (1, 9)]
        >>> plan = temporal_views(tiles)
        >>> len(plan), plan.tile_ids[0], int(plan.n_acquisitions[0])
        (15, ('t1', 't9'), 2)
    """
    rules = ViewRules() if rules is None else rules
    require_distinct_ids(tiles)
    tiles = sorted(tiles, key=lambda tile: (tile.acquired, tile.group or "", tile.id))
    footprints = np.array([tile.footprint for tile in tiles], dtype=object)
    date = tile_dates(tiles)
    if not tiles:
        empty = np.zeros(0, np.int64)
        squares = Squares(empty, empty, empty)
    elif rules.method == "coverage":
        squares = plan_coverage(footprints, date, rules)
    else:
        squares = plan_combinations(footprints, date, rules, workers=workers)
    return _plan_frame(squares, tiles, footprints, date, rules)


def _plan_frame(
    squares: Squares,
    tiles: Sequence[Tile],
    footprints: NDArray[np.object_],
    date: NDArray[np.int64],
    rules: ViewRules,
) -> "gpd.GeoDataFrame":
    """Look up who holds each square, drop those seen too seldom, lay the rest out as a table."""
    import geopandas as gpd

    polygons = squares.polygons(rules)
    held = polygons if rules.tolerance == 0 else squares.polygons(rules, shrink=rules.tolerance)
    square, tile = holders(held, footprints)  # tiles are in the order of time, so pairs are too
    held_by = np.bincount(square, minlength=len(squares))
    n_acquisitions = _dates_of_squares(square, date[tile], len(squares))
    ends = np.cumsum(held_by)

    # Longest series first, then from west to east and south to north in each zone.
    order = np.lexsort([squares.y, squares.x, squares.zone, -n_acquisitions])
    order = order[n_acquisitions[order] >= rules.min_acquisitions]
    x, y = squares.x[order] * rules.gsd, squares.y[order] * rules.gsd
    columns: dict[str, object] = {
        "location_id": _location_ids(squares, order),
        "crs": [f"EPSG:{code}" for code in squares.zone[order].tolist()],
        "xmin": x.astype(float),
        "ymin": y.astype(float),
        "xmax": x + rules.side,
        "ymax": y + rules.side,
        "tile_ids": _tile_ids(tiles, tile, (ends - held_by)[order], ends[order]),
        "n_acquisitions": n_acquisitions[order],
    }
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


def _tile_ids(
    tiles: Sequence[Tile],
    tile: NDArray[np.int64],
    begin: NDArray[np.int64],
    end: NDArray[np.int64],
) -> list[tuple[str, ...]]:
    """Name the tiles ``tile[begin:end]`` of each square; single ones share their tuples."""
    alone = [(t.id,) for t in tiles]
    numbers = tile.tolist()
    names = [alone[i][0] for i in numbers]
    return [
        alone[numbers[a]] if b == a + 1 else tuple(names[a:b])
        for a, b in zip(begin.tolist(), end.tolist(), strict=True)
    ]


def _location_ids(squares: Squares, order: NDArray[np.int64]) -> list[str]:
    """Name squares by zone and pixel, as "32632-x017021-y184340": same ground, same name."""
    fields = (squares.zone, squares.x, squares.y)
    rows = zip(*(field[order].tolist() for field in fields), strict=True)
    return [f"{zone}-x{x:06d}-y{y:06d}" for zone, x, y in rows]


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

    def _sheet(self) -> Sheet:
        share = "no ground is seen twice"
        if not math.isnan(self.yield_of_bound):
            share = f"{self.yield_of_bound:.1%} of the {self.bound_locations:,.1f} there can be"
        rows = [
            ("acquisitions", f"{self.views:,}"),
            ("locations of two dates or more", f"{self.multi_date_locations:,} ({share})"),
            ("pairs of dates", f"{self.pairs:,}"),
            ("series", f"{self.mean_series:.2f} on average, at most {self.longest_series:,}"),
        ]
        caption = f"Plan of {self.locations:,} locations on {self.area_km2:,.1f} km²"
        return Sheet(caption, ("what", "how many"), rows)

    def as_dict(self) -> dict[str, float]:
        """Give the numbers by name, for a table or a run record."""
        return asdict(self)


def plan_summary(
    plan: "gpd.GeoDataFrame", tiles: Sequence[Tile], rules: ViewRules | None = None
) -> PlanSummary:
    """Count what a plan achieves, and compare it with what the ground allows.

    Args:
        plan: Result of `temporal_views`.
        tiles: The tiles it was made from.
        rules: The rules it was made with; they give the area of a patch.
    """
    rules = ViewRules() if rules is None else rules
    n = plan["n_acquisitions"].to_numpy(dtype=np.int64)
    several = int((n >= 2).sum())
    bound = area_seen_twice(tiles) / rules.side**2
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
    )


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
