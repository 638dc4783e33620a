"""No-data pixels: which stored numbers are no measurement. The one rule used everywhere.

NaN and infinite numbers are never measurements, whatever a header says; beside them the stored
nodata number, if one is named. Masks and alpha bands are read by `RasterFile.missing`. Validity,
statistics, normalisation, label maps and prediction ask here and nowhere else.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray


def is_missing(array: NDArray[Any], nodata: float | None = None) -> NDArray[np.bool_]:
    """Mask of the numbers that are no measurement: nodata, NaN, plus and minus infinity.

    Args:
        array: Stored numbers of any shape and type.
        nodata: Stored number without a measurement (it may be NaN); None if there is none.

    Returns:
        bool of the same shape. The comparison is exact in the type of the array: 2147483000 is
        not -2147483648 although float32 cannot tell some such neighbours apart.

    Example:
        >>> is_missing(np.array([1.0, np.nan, np.inf, -9999.0]), -9999.0).tolist()
        [False, True, True, True]
    """
    number = nodata_as(array.dtype, nodata)
    if array.dtype.kind not in "fc":
        return np.zeros(array.shape, dtype=bool) if number is None else array == number
    missing: NDArray[np.bool_] = ~np.isfinite(array)
    if number is not None:
        missing |= array == number
    return missing


def nodata_as(dtype: Any, nodata: float | None) -> int | float | None:
    """Give a nodata number in the type of an array.

    Args:
        dtype: NumPy type or its name.
        nodata: The number, as a header names it.

    Returns:
        The number that the type stores for it; None where there is none to compare with: no
        nodata, a number that the type cannot store (-9999 in uint16, NaN in int16), or one that
        is missing by itself (NaN, infinite).

    Example:
        >>> nodata_as("int16", -9999.0), nodata_as("uint16", -9999.0), nodata_as("int16", 0.5)
        (-9999, None, None)
    """
    if nodata is None or not math.isfinite(nodata):
        return None
    kind = np.dtype(dtype)
    if kind.kind == "b":
        return int(nodata) if nodata in (0, 1) else None
    if kind.kind in "iu":
        if nodata != math.floor(nodata):
            return None
        limits, whole = np.iinfo(kind), int(nodata)
        if whole == limits.max + 1 and float(limits.max) == nodata:
            whole = limits.max  # 2**64 - 1 has no float of its own
        return whole if limits.min <= whole <= limits.max else None
    with np.errstate(over="ignore"):
        stored = float(np.dtype(np.float64 if kind.kind == "c" else kind).type(nodata))
    return stored if math.isfinite(stored) else None


def can_store(dtype: Any, nodata: float) -> bool:
    """Tell whether a type can hold a nodata number: NaN only floats, -9999 no unsigned one.

    Example:
        >>> can_store("uint8", 255), can_store("uint8", -1), can_store("float32", math.nan)
        (True, False, True)
    """
    if math.isfinite(nodata):
        return nodata_as(dtype, nodata) is not None
    return np.dtype(dtype).kind in "fc"
