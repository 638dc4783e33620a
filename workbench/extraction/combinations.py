"""Algorithm 1 of the talk: locations from n-tuples of tiles with a common intersection.

What the listing leaves open is a field of `ViewRules`. Kept here as the reference that
`coverage` is measured against, and for those who want the talk's own way.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial

import networkx as nx
import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from workbench.extraction.frames import MAX_BEND, margins, zone_pieces
from workbench.extraction.line import Ints
from workbench.extraction.overlap import overlaps
from workbench.extraction.rules import ViewRules
from workbench.extraction.squares import Squares
from workbench.geo.footprint import area_m2, densified, projected
from workbench.geo.zones import Zone

Combination = tuple[int, ...]
Footprints = NDArray[np.object_]


@dataclass
class _Taken:
    """Squares accepted so far, found again by coarse cells: the part of the talk's R-tree."""

    size: int
    """Side of a square in pixels."""
    limit: float
    """Shared area, in pixels², above which a candidate is rejected."""
    cells: dict[tuple[int, int, int], list[tuple[int, int]]] = field(default_factory=dict)
    squares: list[tuple[int, int, int]] = field(default_factory=list)

    def add_if_free(self, zone: int, x: int, y: int) -> None:
        size = self.size
        column, row = x // size, y // size
        shared = 0
        for near in ((column + i, row + j) for i in (-1, 0, 1) for j in (-1, 0, 1)):
            for a, b in self.cells.get((zone, *near), ()):
                shared += max(0, size - abs(a - x)) * max(0, size - abs(b - y))
                if shared > self.limit:
                    return
        self.cells.setdefault((zone, column, row), []).append((x, y))
        self.squares.append((zone, x, y))


def plan_combinations(
    footprints: Footprints, date: Ints, rules: ViewRules, *, workers: int = 1
) -> Squares:
    """Plan squares by listing combinations of overlapping tiles and cutting their intersections.

    Args:
        footprints: (N,) polygons in EPSG:4326.
        date: (N,) number of each tile's date. Combinations grow by tiles, as in the listing, but
            only those of `min_acquisitions` dates may take ground.
        rules: All fields but `row_positions`.
        workers: Processes over which the connected components are spread, >= 1.

    Returns:
        Squares, each within the intersection of the combination it was cut from.
    """
    found = overlaps(footprints)
    graph: nx.Graph[int] = nx.Graph()
    graph.add_nodes_from(range(len(footprints)))
    strong = found.area >= rules.edge_area
    graph.add_edges_from(zip(found.first[strong], found.second[strong], strict=True))
    # Components of *all* shared ground are independent, however small the ground they share.
    order = np.argsort(found.component, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(found.component[order])) + 1)
    work = partial(_plan_component, footprints=footprints, date=date, graph=graph, rules=rules)
    if workers == 1:
        plans = [work(group) for group in groups]
    else:
        with ProcessPoolExecutor(max_workers=workers) as pool:
            plans = list(pool.map(work, groups, chunksize=max(1, len(groups) // (8 * workers))))
    zone, x, y = np.array([s for plan in plans for s in plan], np.int64).reshape(-1, 3).T
    return Squares(zone, x, y)


def _plan_component(
    group: NDArray[np.int64],
    *,
    footprints: Footprints,
    date: Ints,
    graph: "nx.Graph[int]",
    rules: ViewRules,
) -> list[tuple[int, int, int]]:
    taken = _Taken(rules.patch_size, rules.max_conflict * rules.patch_size**2)
    members = [int(i) for i in group]
    for combination, ground in _visits(members, footprints, graph, rules):
        if len(np.unique(date[list(combination)])) >= rules.min_acquisitions:
            for zone, x, y in _candidates(ground, rules):
                taken.add_if_free(zone, x, y)
    if rules.min_acquisitions == 1:  # the final pass: what no combination has taken
        for i in members:
            for zone, x, y in _candidates(footprints[i], rules):
                taken.add_if_free(zone, x, y)
    return taken.squares


def _visits(
    members: Sequence[int], footprints: Footprints, graph: "nx.Graph[int]", rules: ViewRules
) -> Iterator[tuple[Combination, BaseGeometry]]:
    """Combinations in the order in which they may take ground, with their intersection."""
    sign = -1 if rules.visit == "longest" else 1

    def order(item: tuple[Combination, tuple[BaseGeometry, float]]) -> tuple:
        combination, (_, area) = item
        return sign * len(combination), -area, combination

    if not rules.canonical:  # as printed: every tile visits all of its combinations in turn
        for tile in members:
            for combination, _ in sorted(
                _combinations(tile, footprints, graph, rules).items(), key=order
            ):
                # INTERSECTION(tile_subset), line 8 of the listing: made anew in the main loop
                yield combination, shapely.intersection_all(footprints[list(combination)])
        return
    known: dict[Combination, tuple[BaseGeometry, float]] = {}
    for tile in members:
        known |= _combinations(tile, footprints, graph, rules, known)
    for combination, (ground, _) in sorted(known.items(), key=order):
        yield combination, ground


def _combinations(
    tile: int,
    footprints: Footprints,
    graph: "nx.Graph[int]",
    rules: ViewRules,
    known: dict[Combination, tuple[BaseGeometry, float]] | None = None,
) -> dict[Combination, tuple[BaseGeometry, float]]:
    """BUILDCOMBINATIONS: pairs from the graph, then n-tuples from (n-1)-tuples, largest kept.

    `known` holds combinations met from other tiles, whose intersections need not be made again.
    """
    known = known or {}
    neighbours = sorted(graph[tile])
    level = _with_ground(
        {(min(tile, n), max(tile, n)): ((tile,), n) for n in neighbours},
        {(tile,): (footprints[tile], 0.0)},
        footprints,
        rules,
        known,
    )
    found = dict(level)
    while level:
        parents = {
            tuple(sorted((*combination, n))): (combination, n)
            for combination in level
            for n in neighbours
            if n not in combination and all(graph.has_edge(n, m) for m in combination)
        }
        grown = _with_ground(parents, level, footprints, rules, known)
        kept = sorted(grown, key=lambda c: (-grown[c][1], c))[: rules.keep_largest]
        level = {combination: grown[combination] for combination in kept}
        found |= level
    return found


def _with_ground(
    parents: dict[Combination, tuple[Combination, int]],
    level: dict[Combination, tuple[BaseGeometry, float]],
    footprints: Footprints,
    rules: ViewRules,
    known: dict[Combination, tuple[BaseGeometry, float]],
) -> dict[Combination, tuple[BaseGeometry, float]]:
    """Intersect each parent combination with one more tile; drop what is too small for a patch."""
    found = {c: known[c] for c in parents if c in known}
    fresh = [c for c in parents if c not in known]
    if fresh:
        first = np.array([level[parents[c][0]][0] for c in fresh], dtype=object)
        ground = shapely.intersection(first, footprints[[parents[c][1] for c in fresh]])
        areas = area_m2(ground).tolist()
        found |= {
            c: (g, a) for c, g, a in zip(fresh, ground, areas, strict=True) if a >= rules.edge_area
        }
    return found


def _candidates(ground: BaseGeometry, rules: ViewRules) -> Iterator[tuple[int, int, int]]:
    """PATCHIFY: the squares of a lattice, anchored at the intersection's corner, that it holds."""
    parts = shapely.get_parts(ground)
    polygon = shapely.union_all(parts[shapely.get_type_id(parts) == 3])
    if polygon.is_empty:
        return
    pieces, _, zones = zone_pieces(
        np.array([polygon], dtype=object), inset=rules.tolerance + MAX_BEND
    )
    margin = margins(pieces, side=rules.side, tolerance=rules.tolerance)
    for piece, zone, keep_off in zip(pieces, zones.tolist(), margin.tolist(), strict=True):
        dense = densified(np.array([piece], dtype=object), max_bend=MAX_BEND)
        (flat,) = projected(dense, "EPSG:4326", Zone(zone).crs)
        for x, y in _lattice_squares(flat, rules, keep_off):
            yield zone, x, y


def _lattice_squares(polygon: BaseGeometry, rules: ViewRules, keep_off: float) -> list[list[int]]:
    """Pixels (x, y) of the squares a polygon holds, on a lattice from its lower left corner."""
    xmin, ymin, xmax, ymax = np.array(polygon.bounds) / rules.gsd
    inside = keep_off / rules.gsd
    x, y = np.meshgrid(
        np.arange(np.ceil(xmin + inside), xmax - rules.patch_size + 1, rules.patch_size),
        np.arange(np.ceil(ymin + inside), ymax - rules.patch_size + 1, rules.patch_size),
    )
    corners = np.column_stack([x.ravel(), y.ravel()])
    low, high = corners * rules.gsd - keep_off, corners * rules.gsd + rules.side + keep_off
    shapely.prepare(polygon)
    held = shapely.covers(polygon, shapely.box(low[:, 0], low[:, 1], high[:, 0], high[:, 1]))
    return corners[held].astype(int).tolist()
