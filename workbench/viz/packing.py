"""Columns of numbers as one short text that a page unpacks in the reader's browser.

Layout before compression: a little-endian uint32 with the length of a JSON header, the header,
padding to 4 bytes, then the columns one after the other as the header lists them, each as
[name, count, kind]. ``web/packed_layer.js`` reads it.
"""

import base64
import json
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

STEPS, NUMBERS, BYTES = "steps", "numbers", "bytes"
"""Kinds of columns: int32 as differences from row to row, for what grows or repeats; int32 as they
are, for what jumps; one byte a row, in [0, 255], for classes."""


def packed(
    header: Mapping[str, Any],
    columns: Mapping[str, NDArray[np.int64]],
    kinds: Mapping[str, str] | None = None,
) -> str:
    """Pack columns and what is told about them.

    Args:
        header: Plain values; "columns" is added.
        columns: Whole numbers by name, each (n,); lengths may differ.
        kinds: Kind of a column where it is not `STEPS`.

    Returns:
        Base64 of the deflated layout.

    Raises:
        ValueError: If a number does not fit its kind.
    """
    kinds = {name: (kinds or {}).get(name, STEPS) for name in columns}
    layout = {"columns": [[name, len(values), kinds[name]] for name, values in columns.items()]}
    text = json.dumps({**header, **layout}, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 4)
    body = b"".join(_written(values, kinds[name]) for name, values in columns.items())
    raw = len(text).to_bytes(4, "little") + text + body
    return base64.b64encode(zlib.compress(raw, 7)).decode()


def _written(values: NDArray[np.int64], kind: str) -> bytes:
    if kind == BYTES:
        if len(values) and not 0 <= values.min() <= values.max() <= 255:
            raise ValueError("A class of a location must lie in [0, 255].")
        return values.astype(np.uint8).tobytes()
    stored = np.diff(values, prepend=0) if kind == STEPS else values
    if len(stored) and np.abs(stored).max() >= 2**31:
        raise ValueError("Numbers of a plan must stay within 32 bits; coordinates are in metres.")
    # Lowest bytes first, then the next, and so on: bytes of one meaning deflate better together.
    return stored.astype("<i4").view(np.uint8).reshape(-1, 4).T.tobytes()
