"""Rows of squares against the definition: a square is held iff its polygon covers it."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.extraction.coverage import _best_rows, _Placed, _Rows
from workbench.extraction.fixed_grid import best_fixed_grid
from workbench.extraction.frames import Outlines
from workbench.extraction.regions import divide
from workbench.extraction.rows import RowGrid, held_starts, row_counts
from workbench.extraction.rules import ViewRules
from workbench.extraction.squares import Squares, holders
from workbench.extraction.views import plan_summary, resolved, temporal_views
from workbench.synthetic.footprints import simulated_footprints

LENGTH, EXTENT = 5, 40
NOTHING = np.zeros(0, np.int64)


def sheet_of(polygons):
    """Outlines of polygons that are in pixels already, all on one sheet, without a margin."""
    ends, piece = [], []
    for k, polygon in enumerate(polygons):
        for part in shapely.get_parts(polygon):
            for ring in (part.exterior, *part.interiors):
                xy = shapely.get_coordinates(ring)
                ends.append(np.stack([xy[:-1], xy[1:]], axis=1))
                piece.append(np.full(len(xy) - 1, k))
    bounds = shapely.bounds(polygons)
    count = len(polygons)
    return Outlines(
        ends=np.concatenate(ends),
        piece=np.concatenate(piece),
        tile=np.arange(count),
        sheet=np.zeros(count, np.int64),
        low=bounds[:, :2],
        high=bounds[:, 2:],
        margin=np.zeros(count),
        origin=np.zeros((1, 2), np.int64),
        extent=np.array([[EXTENT, EXTENT]]),
    )


def square_at(along, across, axis):
    x, y = (along, across) if axis == 0 else (across, along)
    return shapely.box(x, y, x + LENGTH, y + LENGTH)


def holding(polygons, along, across, axis):
    square = square_at(along, across, axis)
    return {k for k, polygon in enumerate(polygons) if polygon.covers(square)}


@st.composite
def grounds(draw):
    """Polygons on whole pixels: rectangles, some with a bite, so that borders fall on starts."""
    found = []
    for _ in range(draw(st.integers(1, 4))):
        x, y = draw(st.integers(0, 20)), draw(st.integers(0, 20))
        ground = shapely.box(x, y, x + draw(st.integers(5, 18)), y + draw(st.integers(5, 18)))
        if draw(st.booleans()):
            u, v = x + draw(st.integers(0, 6)), y + draw(st.integers(0, 6))
            bitten = ground.difference(shapely.box(u, v, u + 3, v + 2))
            ground = bitten if bitten.area else ground
        found.append(ground)
    return np.array(found, dtype=object)


@settings(deadline=None, max_examples=60)
@given(grounds(), st.integers(0, 5), st.sampled_from([0, 1]))
def test_starts_are_those_whose_squares_are_held(polygons, phase, axis):
    grid = RowGrid(phase, 6, LENGTH, axis, np.array([[EXTENT, EXTENT]]))
    found = zip(*held_starts(sheet_of(polygons), grid), strict=True)
    held = {(r, t, start) for r, t, low, high in found for start in range(low, high + 1)}
    for row, across in enumerate(grid.row_across):
        for start in range(-LENGTH, EXTENT + 1):
            truth = holding(polygons, start, int(across), axis)
            assert {t for t in range(len(polygons)) if (row, t, start) in held} == truth


@settings(deadline=None, max_examples=60)
@given(grounds(), st.data())
def test_tiles_of_one_date_count_once(polygons, data):
    date = np.array(
        data.draw(st.lists(st.integers(0, 1), min_size=len(polygons), max_size=len(polygons)))
    )
    grid = RowGrid(0, LENGTH, LENGTH, 0, np.array([[EXTENT, EXTENT]]))
    breaks, counts = row_counts(sheet_of(polygons), date, grid)
    for row, across in enumerate(grid.row_across):
        for start in range(EXTENT):
            at = np.searchsorted(breaks, row * grid.width + start, side="right") - 1
            found = counts[at] if at >= 0 else 0
            assert found == len({date[k] for k in holding(polygons, start, int(across), 0)})


def strips(turned):
    """Four strips, a square wide and three long, every other one half a square further up."""
    boxes = [shapely.box(5 * k, 2 * (k % 2), 5 * k + 5, 15 + 2 * (k % 2)) for k in range(4)]
    ground = shapely.union_all(boxes)
    return shapely.transform(ground, lambda xy: xy[:, ::-1]) if turned else ground


@pytest.mark.parametrize("turned", [False, True], ids=["columns are better", "rows are better"])
def test_the_better_of_rows_and_columns_is_taken(turned):
    """Along the strips all 12 squares fit; across them, two strips lose one each: 10."""
    edges, date = sheet_of(np.array([strips(turned)], dtype=object)), np.zeros(1, np.int64)
    grids = [
        RowGrid(p, LENGTH, LENGTH, axis, edges.extent) for axis in (0, 1) for p in range(LENGTH)
    ]
    lattices = [_Rows(grid, *row_counts(edges, date, grid)) for grid in grids]
    placed = _best_rows(lattices, _Placed(NOTHING, NOTHING, NOTHING), 1)
    assert len(placed.sheet) == 12
    squares = [square_at(x, y, 0) for x, y in zip(placed.x, placed.y, strict=True)]
    assert all(strips(turned).covers(square) for square in squares)
    assert shapely.union_all(squares).area == 12 * LENGTH**2


def test_the_best_plain_lattice_has_the_squares_that_are_there():
    tiles = simulated_footprints(30, seed=4)
    tiles = sorted(tiles, key=lambda t: (t.acquired, t.group, t.id))
    rules = resolved(tiles, ViewRules(patch_size=100))
    footprints = np.array([t.footprint for t in tiles], dtype=object)
    division = divide(tiles, footprints, np.zeros(len(tiles), np.int64), rules)
    date = np.arange(len(tiles))
    best = np.zeros((16, len(division.lines)), np.int64)
    for k in range(16):  # by definition: all squares of a lattice, asked one by one
        parts = []
        for sheet, line in enumerate(division.lines):
            mine = division.pieces[division.sheet == sheet]
            from workbench.geo.footprint import projected

            bounds = shapely.total_bounds(projected(mine, "EPSG:4326", line.crs)) / line.size
            x = np.arange(bounds[0] // 100 - 1, bounds[2] // 100 + 2) * 100 + 25 * (k % 4)
            y = np.arange(bounds[1] // 100 - 1, bounds[3] // 100 + 2) * 100 + 25 * (k // 4)
            x, y = (v.ravel().astype(np.int64) for v in np.meshgrid(x, y))
            parts.append((np.full(len(x), sheet), x, y))
        squares = Squares(*(np.concatenate(c) for c in zip(*parts, strict=True)), division.lines)
        square, _ = holders(squares.polygons(100), footprints)
        several = np.flatnonzero(np.bincount(square, minlength=len(squares)) >= 2)
        best[k] = np.bincount(squares.sheet[several], minlength=len(division.lines))
    found = best_fixed_grid(division, date, rules)
    truth = best.max(axis=0).sum()
    # lattices keep off outlines by the metres of `margins`, as plans do: a few squares fewer
    assert truth - 3 <= found <= truth
    assert found > 50


def test_the_summary_tells_the_plain_lattice():
    tiles = simulated_footprints(60, seed=2)
    summary = plan_summary(temporal_views(tiles), tiles)
    assert summary.over_fixed_grid == summary.multi_date_locations / summary.fixed_grid_locations
    assert summary.over_fixed_grid > 1
    assert f"{summary.fixed_grid_locations:,} multi-date squares at the best of 16" in repr(summary)
    assert np.isnan(plan_summary(temporal_views([]), []).over_fixed_grid)
