"""Packing on a line: intervals of integers, how many cover each place, and squares set on them.

All rows of a plan lie one after another on a single line of integers, far enough apart that what
starts in one cannot reach the next. So one sort serves thousands of rows at once.

An interval is closed, [first, last], and holds *starts*: the places where a square of length
`length` may begin. Two squares are apart if their starts differ by at least `length`.
"""

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

_NEVER = np.iinfo(np.int64).max // 4


def merged(group: Ints, first: Ints, last: Ints, span: int) -> tuple[Ints, Ints]:
    """Unite the intervals of each group that overlap or are adjacent.

    Args:
        group: (N,) group of each interval, >= 0.
        first: (N,) starts, each in [0, span).
        last: (N,) ends, each in [first, span).
        span: Length of the line.

    Returns:
        First and last of the united intervals, ordered by group.

    Example:
        >>> merged(np.array([0, 0, 1]), np.array([0, 4, 2]), np.array([3, 6, 9]), 10)
        (array([0, 2]), array([6, 9]))
    """
    base = group * (span + 1)
    order = np.argsort(base + first, kind="stable")
    begin, end = (base + first)[order], np.maximum.accumulate((base + last)[order])
    is_new = np.ones(len(begin), dtype=bool)
    is_new[1:] = begin[1:] > end[:-1] + 1
    at = np.flatnonzero(is_new)
    final = np.append(at[1:] - 1, len(begin) - 1) if len(at) else at
    return begin[at] - base[order][at], end[final] - base[order][at]


def counted(first: Ints, last: Ints) -> tuple[Ints, Ints]:
    """Count how many intervals hold each place.

    Args:
        first: (N,) starts.
        last: (N,) ends, closed.

    Returns:
        Breaks (M,) and counts (M,): from each break up to the next, the count is constant; after
        the last it is 0.

    Example:
        >>> counted(np.array([0, 3]), np.array([5, 9]))
        (array([ 0,  3,  6, 10]), array([1, 2, 1, 0]))
    """
    events = np.concatenate([first, last + 1])
    steps = np.concatenate([np.ones(len(first), np.int64), np.full(len(last), -1)])
    breaks, place = np.unique(events, return_inverse=True)
    change = np.bincount(place, weights=steps, minlength=len(breaks)).astype(np.int64)
    return breaks, np.cumsum(change)


def stretches(breaks: Ints, holds: NDArray[np.bool_]) -> tuple[Ints, Ints]:
    """Give the maximal intervals on which `holds` is true; it is false after the last break."""
    before, after = np.append(False, holds[:-1]), np.append(holds[1:], False)
    begin, end = np.flatnonzero(holds & ~before), np.flatnonzero(holds & ~after)
    return breaks[begin], breaks[end + 1] - 1


def common(first: Ints, last: Ints, wide: tuple[Ints, Ints]) -> tuple[Ints, Ints, Ints]:
    """Cut intervals down to what lies in the stretches of `wide`, disjoint and in order.

    Returns:
        First and last of each common part, and the index of the stretch it lies in.

    Example:
        >>> common(np.array([2]), np.array([9]), (np.array([0, 6]), np.array([3, 7])))
        (array([2, 6]), array([3, 7]), array([0, 1]))
    """
    wide_first, wide_last = wide
    low = np.searchsorted(wide_last, first)
    number = np.maximum(np.searchsorted(wide_first, last, side="right") - low, 0)
    which = np.repeat(np.arange(len(first)), number)
    inside = np.repeat(low, number) + rank_within(number)
    return (
        np.maximum(first[which], wide_first[inside]),
        np.minimum(last[which], wide_last[inside]),
        inside,
    )


def without(wide: tuple[Ints, Ints], first: Ints, last: Ints) -> tuple[Ints, Ints]:
    """Take intervals out of stretches; each must lie in one stretch, and none may overlap another.

    Sorted apart, the firsts and lasts of what is left pair up again, since all parts are disjoint.

    Example:
        >>> without((np.array([0]), np.array([20])), np.array([5]), np.array([11]))
        (array([ 0, 12]), array([ 4, 20]))
    """
    left_first = np.sort(np.concatenate([wide[0], last + 1]))
    left_last = np.sort(np.concatenate([wide[1], first - 1]))
    some = left_last >= left_first
    return left_first[some], left_last[some]


def unblocked(wide: tuple[Ints, Ints], squares: Ints, length: int) -> tuple[Ints, Ints]:
    """Take away the starts at which a square would lie on one that is there already.

    Args:
        wide: Firsts and lasts of disjoint stretches, in order.
        squares: Starts of the squares there, in any order; they may lie outside the stretches.
        length: Side of a square.

    Example:
        >>> unblocked((np.array([0]), np.array([20])), np.array([8, -1]), 4)
        (array([ 3, 12]), array([ 4, 20]))
    """
    if not len(squares):
        return wide
    near = np.sort(squares)
    first, last = merged(
        np.zeros_like(near), near - near[0], near - near[0] + 2 * (length - 1), 1 << 62
    )
    shift = near[0] - length + 1
    first, last, _ = common(first + shift, last + shift, wide)
    return without(wide, first, last)


def room(first: Ints, last: Ints, length: int) -> Ints:
    """Say how many squares each interval of starts can take."""
    return (last - first) // length + 1


def pack_longest_first(
    breaks: Ints, counts: Ints, *, length: int, fewest: int, squares: Ints
) -> Ints:
    """Set squares on the places of highest count first, as many as fit at each count.

    Where the squares of one count can slide without losing one of them, they are slid to where
    the ground around them, seen at least `fewest` times, keeps the most room for later squares.

    Args:
        breaks: (M,) see `counted`.
        counts: (M,) see `counted`.
        length: Side of a square, >= 1.
        fewest: Lowest count to set squares on, >= 1.
        squares: Starts of squares that are there already.

    Returns:
        Starts of the new squares, highest counts first.
    """
    starts = [np.zeros(0, np.int64)]
    wide = unblocked(stretches(breaks, counts >= fewest), squares, length)
    for level in range(int(counts.max(initial=0)), fewest - 1, -1):
        runs = common(*stretches(breaks, counts >= level), wide)
        first, number = _placed_runs(*runs, wide, length)
        if not len(first):
            continue
        starts.append(np.repeat(first, number) + length * rank_within(number))
        wide = _less_squares(wide, first, first + length * (number - 1), length)
    return np.concatenate(starts)


def _placed_runs(
    first: Ints, last: Ints, inside: Ints, wide: tuple[Ints, Ints], length: int
) -> tuple[Ints, Ints]:
    """Set squares on intervals of one count, from left to right wherever intervals are close.

    Squares on one interval may take the beginning of the next if that is less than a square away.
    Intervals are therefore taken by their rank within such a cluster: first all first ones, then
    all second ones …

    Returns:
        First square and number of squares of each interval that took any, in order.
    """
    is_far = np.ones(len(first), dtype=bool)
    is_far[1:] = first[1:] - last[:-1] >= length
    cluster = np.cumsum(is_far) - 1
    heads = np.flatnonzero(is_far)
    rank = np.arange(len(first)) - heads[cluster]
    following = np.append(np.where(is_far[1:], _NEVER, first[1:]), _NEVER)[: len(first)]
    free_from = np.full(len(heads), -_NEVER)
    first, number = first.copy(), np.zeros(len(first), np.int64)
    for some in np.split(np.argsort(rank, kind="stable"), np.cumsum(np.bincount(rank))[:-1]):
        some = some[np.maximum(first[some], free_from[cluster[some]]) <= last[some]]
        begin = np.maximum(first[some], free_from[cluster[some]])
        count = room(begin, last[some], length)
        end = begin + length * (count - 1)
        slack = np.minimum(last[some] - end, np.maximum(following[some] - length - end, 0))
        left = begin - np.maximum(wide[0][inside[some]], free_from[cluster[some]])
        begin = begin + _best_shift(left, wide[1][inside[some]] - end, slack, length)
        first[some], number[some] = begin, count
        free_from[cluster[some]] = begin + length * count
    return first[number > 0], number[number > 0]


def _best_shift(left: Ints, right: Ints, slack: Ints, length: int) -> Ints:
    """How far to slide runs of squares, up to `slack`, to keep the most room on their two sides.

    Only three shifts can be best: none, all, and the one after which the room on the left is used
    up exactly. `left` and `right` are how far the outer squares are from the ends of the stretch.
    """
    shifts = np.stack([np.zeros_like(left), np.minimum(-left % length, slack), slack])
    kept = (left + shifts) // length + (right - shifts) // length
    return np.take_along_axis(shifts, kept.argmax(axis=0)[None], axis=0)[0]


def _less_squares(
    wide: tuple[Ints, Ints], first: Ints, last: Ints, length: int
) -> tuple[Ints, Ints]:
    """Take from stretches the starts that squares from `first` to `last` make impossible."""
    low, high = first - length + 1, last + length - 1
    low[1:] = np.maximum(low[1:], high[:-1] + 1)
    low, high, _ = common(low, high, wide)
    return without(wide, low, high)


def rank_within(number: Ints) -> Ints:
    """Count 0, 1, … within each of the groups of the given sizes."""
    ends = np.cumsum(number)
    return np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - number, number)
