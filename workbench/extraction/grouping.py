"""Which locations must not be torn apart by a split: the groups behind `split_locations`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from workbench.extraction.ground import overlapping_pairs
from workbench.extraction.overlap import overlaps
from workbench.geo.tile import Tile

if TYPE_CHECKING:
    import geopandas as gpd

By = Literal["component", "tile", "block", "random"]


def location_groups(
    plan: "gpd.GeoDataFrame", by: By, *, block_size_m: float, tiles: Sequence[Tile] | None
) -> NDArray[np.int64]:
    """Number the groups of (N,) locations 0, 1, … in the order of their smallest location ids.

    The arguments are those of `split_locations`.
    """
    group: NDArray[np.int64]
    if by == "random":
        group = np.arange(len(plan))
    elif by == "block":
        group = _blocks(plan, block_size_m)
    else:
        group = _linked(plan, by, tiles if by == "component" else None)
    order = np.argsort(plan["location_id"].astype(str).to_numpy(), kind="stable")
    _, first, number = np.unique(group[order], return_index=True, return_inverse=True)
    canonical = np.empty(len(plan), dtype=np.int64)
    canonical[order] = np.argsort(np.argsort(first))[number.ravel()]
    return canonical


def exploded_tiles(plan: pd.DataFrame) -> tuple[NDArray[np.int64], NDArray[np.object_]]:
    """Give one row for each (location, tile): the location's row number, and the tile's id."""
    lists = [list(ids) for ids in plan["tile_ids"]]
    owner = np.repeat(np.arange(len(lists)), [len(ids) for ids in lists])
    return owner, np.array([str(i) for ids in lists for i in ids], dtype=object)


def _blocks(plan: "gpd.GeoDataFrame", size: float) -> NDArray[np.int64]:
    centre = {
        "crs": plan["crs"].to_numpy(),
        "x": (plan["xmin"] + plan["xmax"]).to_numpy(float) / 2 // size,
        "y": (plan["ymin"] + plan["ymax"]).to_numpy(float) / 2 // size,
    }
    number = pd.DataFrame(centre).groupby(["crs", "x", "y"]).ngroup()
    return np.asarray(number, dtype=np.int64)


def _linked(plan: "gpd.GeoDataFrame", by: By, tiles: Sequence[Tile] | None) -> NDArray[np.int64]:
    """Connected components of a graph whose nodes are the locations and then the tiles."""
    n = len(plan)
    owner, tile_ids = exploded_tiles(plan)
    known = np.array([tile.id for tile in tiles or ()], dtype=object)
    names, node = np.unique(np.concatenate([tile_ids, known]).astype(str), return_inverse=True)
    of_plan, of_tiles = np.split(n + node, [len(owner)])
    links = [(owner, of_plan)]
    if by == "component":
        links.append(overlapping_pairs(plan, plan))
    if tiles:
        pairs = overlaps(np.array([t.footprint for t in tiles], dtype=object))
        links.append((of_tiles[pairs.first], of_tiles[pairs.second]))
    first, second = (np.concatenate([link[side] for link in links]) for side in (0, 1))
    graph = coo_array((np.ones(len(first)), (first, second)), shape=(n + len(names),) * 2)
    _, component = connected_components(graph, directed=False)
    return np.asarray(component[:n], dtype=np.int64)
