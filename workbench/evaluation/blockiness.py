"""Blocks in maps: how much of the boundary lies on the grid of a network's tokens.

A transformer that decides token by token draws edges at multiples of its token size. In a map of
the ground, edges lie at all columns alike. The score is the share of edges on the grid beyond that.
Where the grid begins may be unknown, as in windows cut from a scene: then it is looked for in one
half of the maps and scored in the other, so that smooth maps still score about 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.errors import EvaluationError
from workbench.evaluation.label_maps import Labels, label_pair

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Blockiness:
    """How blocky some maps are."""

    period: int | None
    """Side of the blocks in pixels, as found; None if there are none."""
    score: float
    """At the token size asked for, or else at the period found, or 0: 1 if all edges lie on the
    grid, about 0 if they lie anywhere; below 0 if they avoid it. NaN without edges."""
    by_period: dict[int, float]
    """The score at every period that was tried."""
    offset: tuple[int, int] | None = None
    """First row and column at which a block begins, of the grid that is scored; None if none is."""


def blockiness(
    pred: Labels,
    *,
    classes: int,
    token_size: int | None = None,
    target: Labels | None = None,
    periods: Sequence[int] | None = None,
    offset: tuple[int, int] | None = (0, 0),
    ignore_index: int | None = None,
    least: float = 0.1,
) -> Blockiness:
    """Measure how many edges lie at multiples of a period, beyond chance, in rows and columns.

    Args:
        pred: (..., H, W) class indices, numpy or torch; the more images, the surer.
        classes: Number of classes.
        token_size: Period in pixels that the score is for; None for the one found.
        target: True maps: their score is taken off, as straight edges of fields may lie anywhere.
        periods: Periods tried, from 2; None for 2 to a quarter of the smaller side.
        offset: First row and column at which a block begins; None if that is to be found.
        ignore_index: Value of target pixels that are left out.
        least: Score from which on a period counts as found.

    Raises:
        EvaluationError: If a period is less than 2 pixels or more than half a side.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> coarse = rng.integers(0, 2, (8, 16, 16))
        >>> found = blockiness(coarse.repeat(8, 1).repeat(8, 2), classes=2)
        >>> found.period, round(found.score, 6)
        (8, 1.0)
    """
    truth = pred if target is None else target
    pair = label_pair(pred, truth, classes=classes, ignore_index=ignore_index)
    _, _, h, w = pair.shape
    tried = list(range(2, min(h, w) // 4 + 1)) if periods is None else [int(p) for p in periods]
    tried = sorted({*tried, *([] if token_size is None else [token_size])})
    if not tried or tried[0] < 2 or tried[-1] > min(h, w) // 2:
        raise EvaluationError(
            f"Periods must be from 2 to half a side ({min(h, w) // 2} px), but are {tried}."
        )
    valid = None if pair.valid is None else pair.valid.cpu().numpy()
    own = _edge_profiles(pair.pred.cpu().numpy(), valid)
    begins = {p: offset if offset is not None else _offset(own, p) for p in tried}
    scores = {p: _score(own, p, offset) for p in tried}
    if target is not None:
        true = _edge_profiles(pair.target.cpu().numpy(), valid)
        scores = {p: s - _excess(true, p, begins[p]) for p, s in scores.items()}
    period = _found(scores, least)
    at = token_size if token_size is not None else period
    nothing = float("nan") if all(np.isnan(s) for s in scores.values()) else 0.0
    if at is None:
        return Blockiness(period, nothing, scores)
    first = (begins[at][0] % at, begins[at][1] % at)
    return Blockiness(period, scores[at], scores, first)


def _edge_profiles(
    labels: NDArray[np.integer], valid: NDArray[np.bool_] | None
) -> tuple[Floats, Floats]:
    """Edges before the rows, and columns, 1 … side - 1: (2, side - 1), one row for each half.

    The halves are the first and the last images, or the two sides of a single one.
    """
    found = []
    for axis in (1, 2):
        here, there = (np.take(labels, range(i, labels.shape[axis] - 1 + i), axis) for i in (0, 1))
        edge = here != there
        if valid is not None:
            known = [np.take(valid, range(i, labels.shape[axis] - 1 + i), axis) for i in (0, 1)]
            edge &= known[0] & known[1]
        lines = np.moveaxis(edge, axis, 2).reshape(-1, labels.shape[axis] - 1)
        halves = np.array_split(lines, 2)
        found.append(np.array([half.sum(0) for half in halves], np.float64))
    return found[0], found[1]


def _score(profiles: tuple[Floats, Floats], period: int, offset: tuple[int, int] | None) -> float:
    """Excess on the grid; one that is not known is found in each half and scored in the other."""
    if offset is not None:
        return _excess(profiles, period, offset)
    halves = [(profiles[0][i : i + 1], profiles[1][i : i + 1]) for i in (0, 1)]
    scores = [
        _excess(other, period, _offset(half, period))
        for half, other in zip(halves, halves[::-1], strict=True)
    ]
    return float(np.mean(scores))


def _offset(profiles: tuple[Floats, Floats], period: int) -> tuple[int, int]:
    """Row and column from which on multiples of the period hold the most edges."""
    found = []
    for profile in profiles:
        at = np.arange(1, profile.shape[1] + 1) % period
        share = np.bincount(at, profile.sum(0), period) / np.maximum(np.bincount(at), 1)
        found.append(int(share.argmax()))
    return found[0], found[1]


def _excess(profiles: tuple[Floats, Floats], period: int, offset: tuple[int, int]) -> float:
    """Share of the edges on the grid beyond that of the positions, scaled to 1."""
    on = total = positions = places = 0.0
    for profile, first in zip(profiles, offset, strict=True):
        grid = np.arange(1, profile.shape[1] + 1) % period == first % period
        on += float(profile[:, grid].sum())
        total += float(profile.sum())
        positions += float(grid.sum())
        places += len(grid)
    chance = positions / places
    return float("nan") if total == 0 else (on / total - chance) / (1 - chance)


def _found(scores: dict[int, float], least: float) -> int | None:
    """The period whose excess is the least likely by chance; its divisors share its edges."""
    # an excess of s at period p is s * sqrt(p - 1) standard deviations of a share of 1 / p
    sure = {p: s * (p - 1) ** 0.5 for p, s in scores.items() if s >= least}
    return max(sure, key=lambda p: sure[p]) if sure else None
