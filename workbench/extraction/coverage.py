"""Which tiles hold this square? Locations without ever enumerating a combination of tiles.

Rows of squares are laid over each sheet; along a row the footprints become intervals, and how many
of them hold a place is a sum over sorted ends. Rows may lie in x or in y and start at several
positions; a dynamic programme picks, for each sheet, the set of rows with room for the most
squares. On the rows chosen, squares slide freely and are set longest series first. The ground seen
on several dates is planned before what is left.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.extraction.frames import outlines
from workbench.extraction.line import Ints, pack_longest_first, room, stretches, unblocked
from workbench.extraction.regions import Division
from workbench.extraction.rows import RowGrid, row_counts
from workbench.extraction.rules import ViewRules
from workbench.extraction.squares import Squares

_TIE = 1e-6  # between rows with room for as many squares, those with more dates win


@dataclass(frozen=True)
class _Placed:
    """Squares on sheets: pixels from the sheet's origin."""

    sheet: Ints
    x: Ints
    y: Ints

    def where(self, keep: NDArray[np.bool_]) -> "_Placed":
        return _Placed(self.sheet[keep], self.x[keep], self.y[keep])


@dataclass(frozen=True)
class _Rows:
    """All rows of one lattice, with the number of dates at each of their places."""

    grid: RowGrid
    breaks: Ints
    counts: Ints

    def blocked(self, placed: _Placed) -> Ints:
        """Starts that squares placed already take up in these rows."""
        there = (placed.x, placed.y) if self.grid.along == 0 else (placed.y, placed.x)
        return self.grid.blocking(placed.sheet, *there)

    def worth(self, fewest: int, placed: _Placed) -> NDArray[np.float64]:
        """(R,) how many more squares seen on `fewest` dates each row has room for."""
        length, rows = self.grid.length, int(self.grid.first_row[-1])
        free = stretches(self.breaks, self.counts >= fewest)
        first, last = unblocked(free, self.blocked(placed), length)
        squares = np.bincount(first // self.grid.width, room(first, last, length), minlength=rows)
        seen = np.where(self.counts >= fewest, self.counts, 0)[:-1] * np.diff(self.breaks)
        return squares + _TIE / length * np.bincount(
            self.breaks[:-1] // self.grid.width, seen, minlength=rows
        )


def plan_coverage(division: Division, date: Ints, rules: ViewRules) -> Squares:
    """Plan squares by asking of each place which tiles hold it.

    Args:
        division: The footprints, cut along the regions of the plan.
        date: (N,) number of each tile's date, in [0, N).
        rules: `patch_size`, `min_acquisitions`, `tolerance`, `row_positions`.

    Returns:
        Squares that do not overlap, each held whole by a tile on `min_acquisitions` dates or more.
    """
    edges = outlines(
        division.pieces,
        division.owner,
        division.sheet,
        division.lines,
        patch_size=rules.patch_size,
        tolerance=rules.tolerance,
    )
    step, pitch = _step_and_pitch(rules.patch_size, rules.row_positions)
    grids = [
        RowGrid(phase, pitch, rules.patch_size, along, edges.extent)
        for along in (0, 1)
        for phase in range(0, pitch, step)
    ]
    # Threads, not processes: the time is spent in numpy's sorts, which let other threads run.
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        lattices = list(pool.map(lambda grid: _Rows(grid, *row_counts(edges, date, grid)), grids))
    empty = np.zeros(0, np.int64)
    placed = _Placed(empty, empty, empty)
    for fewest in sorted({max(2, rules.min_acquisitions), rules.min_acquisitions}, reverse=True):
        placed = _joined([placed, _best_rows(lattices, placed, fewest)])
    origin = edges.origin[placed.sheet]
    x, y = origin[:, 0] + placed.x, origin[:, 1] + placed.y
    return Squares(placed.sheet, x, y, division.lines)


def _step_and_pitch(length: int, positions: int) -> tuple[int, int]:
    """Distance of row positions, and of rows: a multiple of it, as little above `length` as can be.

    Up to twice as many positions are taken if that wastes less ground between rows.
    """
    steps = [max(1, -(-length // n)) for n in range(positions, 2 * positions + 1)]
    return min(((step, -(-length // step) * step) for step in steps), key=lambda p: (p[1], -p[0]))


def _joined(parts: Sequence[_Placed]) -> _Placed:
    return _Placed(*(np.concatenate([getattr(p, f) for p in parts]) for f in ("sheet", "x", "y")))


def _best_rows(lattices: Sequence[_Rows], placed: _Placed, fewest: int) -> _Placed:
    """Pack the best rows and the best columns, and keep on each sheet whichever took more."""
    sheets = len(lattices[0].grid.extent)
    with ThreadPoolExecutor(2) as pool:
        by_axis = [[rows for rows in lattices if rows.grid.along == axis] for axis in (0, 1)]
        options = list(pool.map(lambda rows: _packed(rows, placed, fewest), by_axis))
    count = [np.bincount(option.sheet, minlength=sheets) for option in options]
    by_columns = count[1] > count[0]
    return _joined([o.where(by_columns[o.sheet] == axis) for axis, o in enumerate(options)])


def _packed(lattices: Sequence[_Rows], placed: _Placed, fewest: int) -> _Placed:
    """Choose the rows with room for the most squares, lay them on one line, and set squares."""
    grids = [rows.grid for rows in lattices]
    apart = len(grids)  # lattices are one step apart, so many steps make a row
    taken = _chosen_rows(
        np.concatenate([grid.row_sheet for grid in grids]),
        np.concatenate([grid.row_across for grid in grids]) * apart // grids[0].pitch + apart,
        np.concatenate([rows.worth(fewest, placed) for rows in lattices]),
        apart,
    )
    taken_of = np.split(taken, np.cumsum([len(grid.row_sheet) for grid in grids])[:-1])
    length = grids[0].length
    sizes = [len(grid.row_sheet) * grid.width + 2 * length for grid in grids]
    base = np.append(0, np.cumsum(sizes))[:-1]
    keep = [t[rows.breaks // rows.grid.width] for rows, t in zip(lattices, taken_of, strict=True)]
    starts = pack_longest_first(
        np.concatenate([r.breaks[k] + b for r, k, b in zip(lattices, keep, base, strict=True)]),
        np.concatenate([r.counts[k] for r, k in zip(lattices, keep, strict=True)]),
        length=length,
        fewest=fewest,
        squares=np.concatenate(
            [r.blocked(placed) + b for r, b in zip(lattices, base, strict=True)]
        ),
    )
    lattice = np.searchsorted(base, starts, side="right") - 1
    parts = [grid.at(starts[lattice == i] - base[i]) for i, grid in enumerate(grids)]
    sheet, u, v = (np.concatenate(part) for part in zip(*parts, strict=True))
    return _Placed(sheet, u, v) if grids[0].along == 0 else _Placed(sheet, v, u)


def _chosen_rows(
    sheet: Ints, position: Ints, worth: NDArray[np.float64], apart: int
) -> NDArray[np.bool_]:
    """Say which rows are in the best set: positions at least `apart`, the largest sum of worth.

    best[p] = max(best[p - 1], best[p - apart] + worth of row p), for all sheets at once.
    """
    sheets, positions = int(sheet.max(initial=-1)) + 1, int(position.max(initial=-1)) + 1
    row_worth = np.zeros((positions, sheets))
    row_worth[position, sheet] = worth
    best = np.zeros((positions + apart, sheets))
    taken = np.zeros((positions, sheets), dtype=bool)
    for p in range(positions):
        without, with_row = best[p + apart - 1], best[p] + row_worth[p]
        taken[p] = with_row > without
        best[p + apart] = np.maximum(without, with_row)
    free = np.full(sheets, positions)  # rows below this position may still be chosen
    for p in reversed(range(positions)):
        taken[p] &= p < free
        free[taken[p]] = p - apart + 1
    return taken[position, sheet]
