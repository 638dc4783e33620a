"""The simple alternative to a plan: all squares of one fixed lattice that two dates or more hold.

What most archives do: cut the ground into a regular lattice and keep the squares that are seen
often enough. It is the honest baseline of a plan, beside the bound that no plan can reach.
"""

from dataclasses import replace

import numpy as np

from workbench.extraction.frames import Outlines, outlines
from workbench.extraction.line import Ints, stretches
from workbench.extraction.regions import Division
from workbench.extraction.rows import RowGrid, row_counts
from workbench.extraction.rules import ViewRules

POSITIONS = 4
"""Positions of the lattice that are tried along each axis: 4 × 4 offsets."""


def best_fixed_grid(division: Division, date: Ints, rules: ViewRules, *, fewest: int = 2) -> int:
    """Count the squares that the best of 16 regular lattices has on `fewest` dates or more.

    A lattice covers a region of the plan on the region's own pixel grid (UTM, where tiles say
    nothing else), at offsets of a quarter of a square in x and in y. The best offset is taken for
    each region by itself, which is the hardest baseline of this kind.

    Args:
        division: The footprints, cut along the regions of the plan.
        date: (N,) number of each tile's date.
        rules: `patch_size` and `tolerance` as in the plan.
        fewest: Dates that a square must be seen on, >= 1.

    Returns:
        Squares of the best lattices.
    """
    length = rules.patch_size
    edges = _on_corners(
        outlines(
            division.pieces,
            division.owner,
            division.sheet,
            division.lines,
            patch_size=length,
            tolerance=rules.tolerance,
        ),
        length,
    )
    shifts = sorted({k * length // POSITIONS for k in range(POSITIONS)})
    counts = []
    for phase in shifts:
        grid = RowGrid(phase, length, length, 0, edges.extent)
        breaks, dates = row_counts(edges, date, grid)
        first, last = stretches(breaks, dates >= fewest)
        row = first // grid.width  # a stretch does not leave its row
        first, last = first - row * grid.width, last - row * grid.width
        for shift in shifts:
            squares = (last - shift) // length - (first - 1 - shift) // length
            counts.append(np.bincount(grid.row_sheet[row], squares, minlength=len(edges.extent)))
    return int(np.max(counts, axis=0).sum())


def _on_corners(edges: Outlines, length: int) -> Outlines:
    """Bring the origin of each sheet to a corner of the lattice that starts at 0."""
    rest = edges.origin % length
    of_piece = rest[edges.sheet]
    return replace(
        edges,
        ends=edges.ends + of_piece[edges.piece][:, None, :],
        low=edges.low + of_piece,
        high=edges.high + of_piece,
        origin=edges.origin - rest,
        extent=edges.extent + rest,
    )
