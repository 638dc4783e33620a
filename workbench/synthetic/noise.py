"""Random fields that are functions of the place: ask for any coordinates, get the same answer.

Nothing here has a state. A field is known by its key, so tiles of one ground, on whatever grid
and in whatever order they are made, see the same ground.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float = NDArray[np.float32]
Key = tuple[int | str, ...]

_LATTICE = 256  # nodes per side before a field repeats


def rng(*key: int | str) -> np.random.Generator:
    """Give a generator that depends on the key and on nothing else."""
    words = [part if isinstance(part, int) else int.from_bytes(part.encode()) for part in key]
    return np.random.default_rng(words)


def hashed(key: int | np.uint32, *parts: ArrayLike) -> NDArray[np.uint32]:
    """Mix whole numbers into 32 random bits each.

    Args:
        key: Which of many independent hashes.
        parts: Arrays of whole numbers that broadcast against each other; negative ones too.

    Returns:
        Bits that look random and differ between keys.
    """
    state = np.uint32(int(key) & 0xFFFFFFFF)
    found = np.full(np.broadcast_shapes(*(np.shape(p) for p in parts)), state, dtype=np.uint32)
    for part in parts:
        found ^= np.asarray(part).astype(np.int64).astype(np.uint32)
        for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
            found ^= found >> np.uint32(shift)
            found *= np.uint32(factor)
        found ^= found >> np.uint32(16)
    return found


def share(bits: NDArray[np.uint32]) -> Float:
    """Turn 32 random bits into a number in [0, 1)."""
    return (bits >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)


@lru_cache(maxsize=64)
def _lattice(key: Key) -> Float:
    return rng(*key).random(_LATTICE * _LATTICE, dtype=np.float32)


def smooth(key: Key, x: Float, y: Float, wavelength: float) -> Float:
    """Smooth random field in [0, 1): random values on a lattice, blended between its nodes.

    Args:
        key: Which field.
        x: Coordinates in metres, any shape.
        y: The same, or a shape that broadcasts against it.
        wavelength: Distance between nodes in metres; the field repeats after 256 of them.
    """
    lattice = _lattice(key)
    u, v = x / np.float32(wavelength), y / np.float32(wavelength)
    col, row = np.floor(u), np.floor(v)
    u, v = u - col, v - row
    u *= u * (3 - 2 * u)
    v *= v * (3 - 2 * v)
    c0, r0 = (n.astype(np.int32) & (_LATTICE - 1) for n in (col, row))
    c1, r1 = (c0 + 1) & (_LATTICE - 1), ((r0 + 1) & (_LATTICE - 1)) * _LATTICE
    r0 = r0 * _LATTICE
    top = lattice[r0 + c0] * (1 - u) + lattice[r0 + c1] * u
    bottom = lattice[r1 + c0] * (1 - u) + lattice[r1 + c1] * u
    found: Float = top * (1 - v) + bottom * v
    return found


def fractal(key: Key, x: Float, y: Float, wavelength: float, octaves: int = 3) -> Float:
    """Sum smooth fields of halving wavelength and weight; in [0, 1), 0.5 on average."""
    total = np.zeros(np.broadcast_shapes(x.shape, y.shape), dtype=np.float32)
    weight, sum_of_weights = 1.0, 0.0
    for octave in range(octaves):
        field = smooth((*key, octave), x, y, wavelength / 2**octave)
        total += np.float32(weight) * field
        sum_of_weights += weight
        weight /= 2
    total /= np.float32(sum_of_weights)
    return total


@lru_cache(maxsize=8)
def normal_pool(key: Key, size: int) -> Float:
    """Give `size` standard normal numbers, to be picked from by hashed position."""
    return rng(*key).standard_normal(size, dtype=np.float32)
