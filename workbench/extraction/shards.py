"""Zarr 3 shards as files: chunks one after the other, then the index of where each one begins.

Layout (Zarr 3, codec "sharding_indexed", index at the end): the chunks' bytes, then for each place
two little-endian uint64, offset and length, both 2⁶⁴-1 where there is no chunk, then the CRC-32C of
these numbers.
"""

import os
import struct
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from workbench.errors import ManifestError

Compression = Literal["zstd"]
LEVEL = 3
"""Level of zstd."""
EMPTY = 2**64 - 1
_NUMBER = 16  # bytes of the index for each place
_CHECK = 4  # bytes of its checksum
_POLYNOMIAL = 0x82F63B78  # Castagnoli, bits reversed


class ShardWriter:
    """One shard, written beside its place and renamed when whole. A context manager.

    Leaving it with an error removes what was written; leaving it without writing a chunk makes no
    file, which Zarr reads as empty places.
    """

    def __init__(
        self, path: Path, temporary: Path, *, places: int, compression: Compression | None = None
    ) -> None:
        """Prepare a shard.

        Args:
            path: The shard's file; an existing one is replaced.
            temporary: File to write until it is whole, on the same file system.
            places: Number of places in the shard.
            compression: How each chunk is compressed.
        """
        self.path, self.temporary = path, temporary
        self._index = np.full((places, 2), EMPTY, dtype="<u8")
        self._compression = compression
        self._end = 0
        self._file: Any = None

    def put(self, place: int, array: NDArray[Any]) -> None:
        """Append the chunk of a place.

        Args:
            place: In [0, places).
            array: Its values, in native byte order.

        Raises:
            OSError: If the disk is full or the folder cannot be written.
        """
        if self._file is None:
            self.temporary.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.temporary.open("wb")
        array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        data = array.reshape(-1).view(np.uint8) if self._compression is None else _packed(array)
        self._file.write(data)
        self._index[place] = self._end, len(data)
        self._end += len(data)

    def __enter__(self) -> "ShardWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        if self._file is None:
            return
        try:
            if kind is None:
                index = self._index.tobytes()
                self._file.write(index + struct.pack("<I", crc32c(index)))
        finally:
            self._file.close()
            if kind is not None:
                self.temporary.unlink(missing_ok=True)
        if kind is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            os.replace(self.temporary, self.path)


def read_index(path: Path, places: int, chunk_bytes: int | None = None) -> NDArray[np.uint64]:
    """Read where the chunks of a shard lie.

    Args:
        path: The shard; a file that is not there is a shard without chunks.
        places: Number of places in the shard.
        chunk_bytes: What each chunk must have; None where chunks are compressed.

    Returns:
        (places, 2) offset and length in bytes; `EMPTY` twice where there is no chunk.

    Raises:
        ManifestError: If the file is cut short or damaged, or its index does not fit its length.
    """
    size = places * _NUMBER
    try:
        with path.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(0, end - size - _CHECK))
            data = file.read()
    except FileNotFoundError:
        return np.full((places, 2), EMPTY, dtype="<u8")
    except OSError as error:
        raise ManifestError(
            f"A shard must be a readable file, but {path} is none ({error.strerror}).\n{_CURE}"
        ) from None
    whole = len(data) == size + _CHECK and struct.unpack("<I", data[size:])[0] == crc32c(
        data[:size]
    )
    if not whole:
        raise ManifestError(
            f"A shard must end with its index of {places} places, but {path} does not.\n{_CURE}"
        )
    index = np.frombuffer(data[:size], dtype="<u8").reshape(-1, 2)
    _require_fitting(path, index, end - size - _CHECK, chunk_bytes)
    return index


_CURE = "It is cut short or damaged: remove its tile's file from the journal and extract again."


def _require_fitting(
    path: Path, index: NDArray[np.uint64], length: int, chunk_bytes: int | None
) -> None:
    """Chunks must fill the bytes before the index, one after the other, without gap or overlap."""
    is_empty = (index == EMPTY).all(axis=1)
    listed = index[~is_empty]
    listed = listed[np.argsort(listed[:, 0], kind="stable")]
    inside = (listed <= length).all()  # before any sum, which could pass 2**64
    ends = listed.sum(axis=1) if inside else np.zeros(len(listed), "<u8")
    starts = np.concatenate([[0], ends[:-1]]).astype("<u8") if len(ends) else ends
    last = int(ends[-1]) if len(ends) else 0
    if not inside or last != length or not np.array_equal(starts, listed[:, 0]):
        raise ManifestError(
            f"The index of a shard must fit its {length:,} bytes of chunks, but that of {path} "
            f"lists {len(listed)} chunks up to byte {int(listed.max(initial=0)):,}.\n{_CURE}"
        )
    if chunk_bytes is not None and len(listed) and (listed[:, 1] != chunk_bytes).any():
        raise ManifestError(
            f"A chunk of plain bytes must have {chunk_bytes:,} of them, but {path} lists one of "
            f"{int(listed[listed[:, 1] != chunk_bytes][0, 1]):,}.\n{_CURE}"
        )


def unpacked(
    data: bytes | memoryview, compression: Compression | None, size: int, path: Path
) -> bytes | memoryview:
    """Undo a chunk's compression.

    Args:
        data: The chunk as it is stored.
        compression: How it was compressed.
        size: Bytes that it must have; no more are allocated, whatever the chunk says.
        path: The shard, for the message.

    Raises:
        ManifestError: If the chunk is damaged.
    """
    if compression is None:
        return data
    from numcodecs import zstd  # type: ignore[import-untyped]  # zarr's own

    room = np.empty(size, np.uint8)
    try:
        found = zstd.decompress(data, room)
    except (RuntimeError, ValueError) as error:
        raise ManifestError(
            f"A chunk of {path} must be {size:,} bytes of zstd, but is damaged ({error}).\n{_CURE}"
        ) from None
    if len(memoryview(found)) != size:
        raise ManifestError(f"A chunk of {path} must be {size:,} bytes of zstd.\n{_CURE}")
    return room.tobytes()


def _packed(array: NDArray[Any]) -> bytes:
    from numcodecs import zstd

    return bytes(zstd.compress(array, LEVEL))


def crc32c(data: bytes) -> int:
    """Compute the CRC-32C (Castagnoli) of an index.

    Example:
        >>> hex(crc32c(b"123456789"))
        '0xe3069283'
    """
    table, found = _crc_table(), 0xFFFFFFFF
    for byte in data:
        found = table[(found ^ byte) & 0xFF] ^ (found >> 8)
    return found ^ 0xFFFFFFFF


@cache
def _crc_table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (_POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return tuple(table)
