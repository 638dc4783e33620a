"""Rows of squares: at which places of a row does a footprint hold a square whole?

A row is a strip as high as a square. What of a footprint's outline lies in the strip, projected
onto the row, is where a square may not be; between those stretches the strip is wholly inside or
wholly outside, and counting the edges crossed on the way tells which. That holds for any polygon:
concave, with holes, in parts.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from workbench.extraction.frames import Outlines
from workbench.extraction.line import Ints, counted, merged


@dataclass(frozen=True)
class RowGrid:
    """Where the rows of all sheets lie: one lattice of strips for each sheet, all on one line.

    Row `r` of a sheet starts at pixel `phase + (r - 1) · pitch` across the row's direction.
    """

    phase: int
    """Shift of the lattice in pixels, in [0, pitch)."""
    pitch: int
    """Distance of two rows in pixels, >= length."""
    length: int
    """Side of a square in pixels; the height of a row."""
    along: int
    """Axis along the rows: 0 for rows in x, 1 for columns in y."""
    extent: NDArray[np.int64]
    """(S, 2) see `Outlines.extent`."""

    @cached_property
    def width(self) -> int:
        """Length of line given to each row, so that rows do not reach one another."""
        return int(self.extent[:, self.along].max(initial=0)) + 2 * self.length

    @cached_property
    def first_row(self) -> Ints:
        """(S + 1,) number of each sheet's first row among all rows."""
        rows = -(-self.extent[:, 1 - self.along] // self.pitch) + 2
        return np.append(0, np.cumsum(rows))

    @cached_property
    def row_sheet(self) -> Ints:
        """(R,) the sheet of each row."""
        return np.repeat(np.arange(len(self.extent)), np.diff(self.first_row))

    @property
    def row_across(self) -> Ints:
        """(R,) where each row starts, in pixels across from the origin of its sheet."""
        rank = np.arange(self.first_row[-1]) - self.first_row[self.row_sheet]
        return self.phase + (rank - 1) * self.pitch

    def at(self, line: Ints) -> tuple[Ints, Ints, Ints]:
        """Turn places on the line into (sheet, along, across), pixels from the sheet's origin."""
        row, along = line // self.width, line % self.width
        sheet = np.searchsorted(self.first_row, row, side="right") - 1
        return sheet, along, self.phase + (row - self.first_row[sheet] - 1) * self.pitch

    def blocking(self, sheet: Ints, along: Ints, across: Ints) -> Ints:
        """Give the starts, on the line, that squares placed elsewhere take up in the rows here."""
        low = (across - self.length - self.phase) // self.pitch + 2
        high = -(-(across + self.length - self.phase) // self.pitch)
        number = np.maximum(high - low + 1, 0)
        which = np.repeat(np.arange(len(sheet)), number)
        row = low[which] + np.arange(len(which)) - np.repeat(np.cumsum(number) - number, number)
        rows = np.diff(self.first_row)[sheet[which]]
        inside = (row >= 0) & (row < rows)
        which, row = which[inside], row[inside]
        return (self.first_row[sheet[which]] + row) * self.width + along[which]


def row_counts(edges: Outlines, date: Ints, grid: RowGrid) -> tuple[Ints, Ints]:
    """Count on how many dates each place of each row is held whole.

    Args:
        edges: Outlines of all tiles.
        date: (N,) number of each tile's date; tiles of one date count once.
        grid: The rows.

    Returns:
        Breaks and counts on the line, see `line.counted`.
    """
    row, tile, first, last = held_starts(edges, grid)
    base = row * grid.width
    first, last = base + first, base + last
    if len(np.unique(date)) < len(date):
        first, last = _one_per_date(row, date[tile], first, last)
    return counted(first, last)


def _one_per_date(row: Ints, date: Ints, first: Ints, last: Ints) -> tuple[Ints, Ints]:
    """Unite the intervals that tiles of one date have in one row, so that they count once."""
    _, group = np.unique(row * (int(date.max(initial=0)) + 1) + date, return_inverse=True)
    size = np.bincount(group, minlength=1)
    several = size[group] > 1
    span = int(last.max(initial=0)) + 1
    # Only groups of several intervals are looked at, numbered densely to keep the keys small.
    _, dense = np.unique(group[several], return_inverse=True)
    united = merged(dense, first[several], last[several], span)
    return np.append(first[~several], united[0]), np.append(last[~several], united[1])


def held_starts(edges: Outlines, grid: RowGrid) -> tuple[Ints, Ints, Ints, Ints]:
    """Find the starts at which a tile holds a square whole.

    Returns:
        Four (M,) arrays: in `row`, `tile` holds the squares that start at `first` … `last`, which
        are pixels along the row from the sheet's origin. Intervals of one tile and row are apart.
    """
    along, across = edges.ends[:, :, grid.along], edges.ends[:, :, 1 - grid.along]
    margin = edges.margin[edges.piece]
    edge, row = _rows_met(across, margin, grid)
    margin = margin[edge]
    bottom = grid.phase + (row - 1) * grid.pitch - margin
    top = bottom + grid.length + 2 * margin
    low, high = _clipped(along[edge], across[edge], bottom, top)
    middle = (bottom + top) / 2
    crosses = (across[edge, 0] <= middle) != (across[edge, 1] <= middle)

    # All rows of all pieces on one line: sorted, an edge's stretch follows those to its left.
    piece = edges.piece[edge]
    strip, first_strip = _strips(edges, grid)
    base = (first_strip[piece] + row - strip[piece]) * float(grid.width)
    begin = base + low - margin
    order = np.argsort(begin)
    end = np.maximum.accumulate((base + high + margin)[order])[:-1]
    is_inside = np.cumsum(crosses[order])[:-1] % 2 == 1
    base, begin = base[order][:-1], begin[order][1:]
    first = np.ceil(end - base).astype(np.int64)
    last = np.floor(begin - base).astype(np.int64) - grid.length
    free = np.flatnonzero(is_inside & (last >= first))
    piece, row = piece[order[free]], row[order[free]]
    return grid.first_row[edges.sheet[piece]] + row, edges.tile[piece], first[free], last[free]


def _rows_met(
    across: NDArray[np.float64], margin: NDArray[np.float64], grid: RowGrid
) -> tuple[Ints, Ints]:
    """Pair each edge with the rows of its sheet whose strip it enters; touching is not entering."""
    low, high = across.min(axis=1) - grid.phase, across.max(axis=1) - grid.phase
    first = np.floor((low - margin - grid.length) / grid.pitch).astype(np.int64) + 2
    last = np.ceil((high + margin) / grid.pitch).astype(np.int64)
    number = np.maximum(last - first + 1, 0)
    edge = np.repeat(np.arange(len(number)), number)
    rank = np.arange(len(edge)) - np.repeat(np.cumsum(number) - number, number)
    return edge, first[edge] + rank


def _strips(edges: Outlines, grid: RowGrid) -> tuple[Ints, Ints]:
    """(P,) first row each piece can meet, and how many rows the pieces before it can meet."""
    low = edges.low[:, 1 - grid.along] - grid.phase - edges.margin - grid.length
    high = edges.high[:, 1 - grid.along] - grid.phase + edges.margin
    first = np.floor(low / grid.pitch).astype(np.int64) + 2
    number = np.ceil(high / grid.pitch).astype(np.int64) - first + 1
    return first, np.cumsum(np.maximum(number, 0)) - np.maximum(number, 0)


def _clipped(
    along: NDArray[np.float64],
    across: NDArray[np.float64],
    bottom: NDArray[np.float64],
    top: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Smallest and largest place along the row of the part of each edge between bottom and top."""
    rise, run = across[:, 1] - across[:, 0], along[:, 1] - along[:, 0]
    level = rise == 0
    slope = 1 / np.where(level, 1.0, rise)
    enter = np.where(level, 0.0, (bottom - across[:, 0]) * slope).clip(0, 1)
    leave = np.where(level, 1.0, (top - across[:, 0]) * slope).clip(0, 1)
    a, b = along[:, 0] + enter * run, along[:, 0] + leave * run
    return np.minimum(a, b), np.maximum(a, b)
