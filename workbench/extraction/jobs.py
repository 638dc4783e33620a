"""From a plan to work: what is cut from each tile, where it goes, what is done at once."""

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from workbench.errors import ManifestError
from workbench.extraction.cutting import PlannedPatch, TileJob
from workbench.extraction.tiles import require_distinct_ids
from workbench.geo.lines import same_size
from workbench.geo.tile import Tile
from workbench.geo.units import metres_per_unit

if TYPE_CHECKING:
    import geopandas as gpd

LARGEST_SHARD = 64
"""Most places of a shard that is not asked to be larger: 420 MB of EnMAP patches."""
_UNIT_PATCHES = 16  # tiles with fewer patches are done several at a time

_COUNTED = re.compile(r"\w+?(?:-e([\dp]+))?(?:-n([\dp]+))?-x(-?\d+)-y(-?\d+)")
_NEEDED = ("location_id", "crs", "xmin", "ymin", "xmax", "ymax", "tile_ids")


def require_plan(plan: "gpd.GeoDataFrame", tiles: Sequence[Tile]) -> None:
    """Refuse a plan that cannot be cut from these tiles.

    Raises:
        ManifestError: If it is empty, lacks columns, repeats locations, has squares of several
            sizes, or names tiles that are not given.
        TileError: If two tiles have one id.
    """
    require_distinct_ids(tiles)
    if missing := [name for name in _NEEDED if name not in plan.columns]:
        raise ManifestError(
            f"A plan must have the columns of `temporal_views`, but lacks {', '.join(missing)}."
        )
    if plan.empty:
        raise ManifestError(
            "A plan must have locations, but this one has none.\n"
            "Plan with smaller patches, fewer acquisitions, or more tiles."
        )
    if not plan["location_id"].is_unique:
        twice = plan.loc[plan["location_id"].duplicated(), "location_id"].iloc[0]
        raise ManifestError(f"Locations of a plan must be distinct, but {twice!r} occurs twice.")
    units = plan["crs"].map({crs: metres_per_unit(str(crs)) for crs in set(plan["crs"])})
    sides = np.concatenate([(plan.xmax - plan.xmin) * units, (plan.ymax - plan.ymin) * units])
    if not same_size(sides.min(), sides.max()):
        raise ManifestError(
            f"Locations of a plan must be squares of one size, but have sides of {sides.min():g} "
            f"to {sides.max():g} m.\nPlan them with one patch size."
        )
    known = {tile.id for tile in tiles}
    if unknown := sorted({i for ids in plan["tile_ids"] for i in ids} - known):
        raise ManifestError(
            f"Every tile of a plan must be given, but {len(unknown)} of the plan's are not, e.g. "
            f"{unknown[0]!r}.\nGive the tiles that it was planned from."
        )


def patch_size_of(plan: "gpd.GeoDataFrame") -> int | None:
    """Give the side of a plan's patches in pixels; None where the plan does not say.

    The names of locations count the pixels from the grid's lines, as "32632-x017021-y184340" or
    "32632-e15-n15-x017021-y184340".
    """
    row = plan.iloc[int(plan["xmin"].abs().to_numpy().argmax())]
    name = _COUNTED.fullmatch(str(row["location_id"]))
    if name is None:
        return None
    east, north, x, y = (float((text or "0").replace("p", ".")) for text in name.groups())
    count, edge, offset = (x, row["xmin"], east) if x else (y, row["ymin"], north)
    if not count or edge == offset:
        return None
    size = (row["xmax"] - row["xmin"]) * count / (edge - offset)
    return round(size) if abs(size - round(size)) < 1e-2 and round(size) >= 1 else None


def plan_gsd(plan: "gpd.GeoDataFrame") -> float:
    """Give the size of a plan's pixels in metres.

    Raises:
        ManifestError: If the plan is empty, or its locations are not named by `temporal_views`.
    """
    size = None if plan.empty else patch_size_of(plan)
    if size is None:
        raise ManifestError(
            "A plan must have locations, named as `temporal_views` names them, to tell the size of "
            "its pixels."
        )
    row = plan.iloc[0]
    return float((row["xmax"] - row["xmin"]) / size * metres_per_unit(row["crs"]))


def tile_jobs(
    plan: "gpd.GeoDataFrame", tiles: Sequence[Tile], shard_size: int | None = None
) -> tuple[list[TileJob], int]:
    """Turn a plan around: for each tile, its patches and their places in the store.

    Places depend on the plan only. Tiles come in the order of their ids; a tile's patches from
    north to south, and the first of them begins a shard.

    Args:
        plan: Planned locations, as `require_plan` accepts them.
        tiles: The tiles it was planned from.
        shard_size: Places of a shard; None: as many as the fullest tile needs, at most
            `LARGEST_SHARD`.

    Returns:
        The jobs, and the places of a shard.
    """
    seen: dict[str, list[tuple[str, float, float, str, tuple[float, float, float, float]]]]
    seen = defaultdict(list)
    columns = [plan[name] for name in _NEEDED]
    for location, crs, xmin, ymin, xmax, ymax, ids in zip(*columns, strict=True):
        bounds = (float(xmin), float(ymin), float(xmax), float(ymax))
        for tile_id in ids:
            seen[tile_id].append((str(crs), -bounds[3], bounds[0], str(location), bounds))
    size = min(LARGEST_SHARD, max(map(len, seen.values()))) if shard_size is None else shard_size
    path_of = {tile.id: tile.path for tile in tiles}
    resampled = _may_resample(plan)
    jobs, first = [], 0
    for tile_id in sorted(seen):
        patches = tuple(
            PlannedPatch(location, crs, bounds, first + i)
            for i, (crs, _, _, location, bounds) in enumerate(sorted(seen[tile_id]))
        )
        jobs.append(TileJob(tile_id, path_of[tile_id], patches, tile_id in resampled))
        first += -(-len(patches) // size) * size
    return jobs, size


def _may_resample(plan: "gpd.GeoDataFrame") -> set[str]:
    """Tiles of which the plan says that their pixels are not copied, or may not be."""
    if "why_resampled" not in plan.columns:
        return set()
    pairs = zip(plan["tile_ids"], plan["why_resampled"], strict=True)
    return {i for ids, whys in pairs for i, why in zip(ids, whys, strict=True) if why}


def component_of(jobs: Sequence[TileJob]) -> dict[str, int]:
    """Number the connected components of the plan: tiles linked through shared locations.

    Returns:
        The component of each tile by id, counted from 0 in the order of the jobs.
    """
    location: dict[str, int] = {}
    pairs = [
        (i, location.setdefault(patch.location_id, len(location)))
        for i, job in enumerate(jobs)
        for patch in job.patches
    ]
    tile, square = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    size = len(jobs) + len(location)
    links = coo_array((np.ones(len(tile)), (tile, len(jobs) + square)), shape=(size, size))
    _, label = connected_components(links, directed=False)
    number: dict[int, int] = {}
    of_tile = label[: len(jobs)].tolist()
    return {
        job.tile_id: number.setdefault(k, len(number)) for job, k in zip(jobs, of_tile, strict=True)
    }


def work_units(jobs: Sequence[TileJob]) -> list[list[TileJob]]:
    """Divide the work along connected components, the largest first, and those along their tiles.

    A unit holds tiles of one component, as many as come to 16 patches; a full tile is a unit.
    """
    component = component_of(jobs)
    members: dict[int, list[TileJob]] = defaultdict(list)
    for job in jobs:
        members[component[job.tile_id]].append(job)
    units: list[list[TileJob]] = []
    size = {k: sum(len(job.patches) for job in group) for k, group in members.items()}
    for k in sorted(members, key=lambda k: (-size[k], k)):
        filled = _UNIT_PATCHES
        for job in members[k]:
            if filled + len(job.patches) > _UNIT_PATCHES:
                units.append([])
                filled = 0
            units[-1].append(job)
            filled += len(job.patches)
    return units
