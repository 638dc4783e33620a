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

from workbench.extraction.frames import bent
from workbench.extraction.line import Ints
from workbench.extraction.overlap import overlaps
from workbench.extraction.regions import Division
from workbench.extraction.rules import ViewRules
from workbench.extraction.squares import Squares
from workbench.geo.footprint import area_m2, projected
from workbench.geo.lines import GridLines

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

    def add_if_free(self, sheet: int, x: int, y: int) -> None:
        size = self.size
        column, row = x // size, y // size
        shared = 0
        for near in ((column + i, row + j) for i in (-1, 0, 1) for j in (-1, 0, 1)):
            for a, b in self.cells.get((sheet, *near), ()):
                shared += max(0, size - abs(a - x)) * max(0, size - abs(b - y))
                if shared > self.limit:
                    return
        self.cells.setdefault((sheet, column, row), []).append((x, y))
        self.squares.append((sheet, x, y))


def plan_combinations(
    footprints: Footprints, division: Division, date: Ints, rules: ViewRules, *, workers: int = 1
) -> Squares:
    """Plan squares by listing combinations of overlapping tiles and cutting their intersections.

    Args:
        footprints: (N,) polygons in EPSG:4326.
        division: The regions of the plan.
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
    work = partial(
        _plan_component,
        footprints=footprints,
        division=division,
        date=date,
        graph=graph,
        rules=rules,
    )
    if workers == 1:
        plans = [work(group) for group in groups]
    else:
        with ProcessPoolExecutor(max_workers=workers) as pool:
            plans = list(pool.map(work, groups, chunksize=max(1, len(groups) // (8 * workers))))
    sheet, x, y = np.array([s for plan in plans for s in plan], np.int64).reshape(-1, 3).T
    return Squares(sheet, x, y, division.lines)


def _plan_component(
    group: NDArray[np.int64],
    *,
    footprints: Footprints,
    division: Division,
    date: Ints,
    graph: "nx.Graph[int]",
    rules: ViewRules,
) -> list[tuple[int, int, int]]:
    taken = _Taken(rules.patch_size, rules.max_conflict * rules.patch_size**2)
    members = [int(i) for i in group]
    component = int(division.component[members[0]])
    for combination, ground in _visits(members, footprints, graph, rules):
        if len(np.unique(date[list(combination)])) >= rules.min_acquisitions:
            for sheet, x, y in _candidates(ground, division, component, rules):
                taken.add_if_free(sheet, x, y)
    if rules.min_acquisitions == 1:  # the final pass: what no combination has taken
        for i in members:
            for sheet, x, y in _candidates(footprints[i], division, component, rules):
                taken.add_if_free(sheet, x, y)
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


def _candidates(
    ground: BaseGeometry, division: Division, component: int, rules: ViewRules
) -> Iterator[tuple[int, int, int]]:
    """PATCHIFY: the squares of a lattice, anchored at the intersection's corner, that it holds."""
    parts = shapely.get_parts(ground)
    polygon = shapely.union_all(parts[shapely.get_type_id(parts) == 3])
    if polygon.is_empty:
        return
    for piece, sheet in division.cut(polygon, component):
        lines = division.lines[sheet]
        one = np.array([piece], dtype=object)
        side = rules.patch_size * lines.gsd_m
        dense, margin = bent(one, lines.crs, side=side, tolerance=rules.tolerance)
        (flat,) = projected(dense, "EPSG:4326", lines.crs)
        for x, y in _lattice_squares(flat, lines, rules.patch_size, float(margin[0])):
            yield sheet, x, y


def _lattice_squares(
    polygon: BaseGeometry, lines: GridLines, length: int, keep_off: float
) -> list[list[int]]:
    """Pixels (x, y) of the squares a polygon holds, on a lattice from its lower left corner."""
    inside = keep_off / lines.gsd_m
    on_grid = shapely.transform(polygon, lambda xy: (xy - lines.offset) / lines.size)
    xmin, ymin, xmax, ymax = on_grid.bounds
    x, y = np.meshgrid(
        np.arange(np.ceil(xmin + inside), xmax - length + 1, length),
        np.arange(np.ceil(ymin + inside), ymax - length + 1, length),
    )
    corners = np.column_stack([x.ravel(), y.ravel()])
    low, high = corners - inside, corners + length + inside
    shapely.prepare(on_grid)
    held = shapely.covers(on_grid, shapely.box(low[:, 0], low[:, 1], high[:, 0], high[:, 1]))
    return corners[held].astype(int).tolist()
