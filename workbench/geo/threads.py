"""Bulk geometry calls over several threads: shapely and numpy let other threads run meanwhile."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SMALLEST = 2_000  # below this many elements a thread costs more than it saves

Array = NDArray[Any]


def in_threads(work: Callable[..., Array], *arrays: Array) -> Array:
    """Apply an element-wise function to arrays in pieces, one thread for each core.

    Args:
        work: Takes as many arrays as are given, of length n, and gives one of length n; it must not
            depend on the other elements.
        arrays: Arrays of one length.

    Returns:
        What `work` gives for the whole arrays, in order.

    Example:
        >>> in_threads(np.add, np.arange(3), np.ones(3, dtype=int))
        array([1, 2, 3])
    """
    pieces = min(os.cpu_count() or 1, len(arrays[0]) // _SMALLEST)
    if pieces < 2:
        return work(*arrays)
    with ThreadPoolExecutor(pieces) as pool:
        parts = pool.map(work, *(np.array_split(array, pieces) for array in arrays))
        return np.concatenate(list(parts))
