"""Pairs of made models of equal mIoU, one of which loses boundaries in some patches."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Thing = tuple[str, NDArray[np.bool_], int]
"""A line or an object: its kind, where it is, and how far its class is from the ground's."""
KINDS = ("lines", "boundaries", "objects", "mixed")
N, SIDE, PLANTED = 60, 64, 10


@dataclass(frozen=True)
class MadePair:
    """Two models' maps (N, SIDE, SIDE) of one made ground, and which patches were planted."""

    first: NDArray[np.uint8]
    second: NDArray[np.uint8]
    target: NDArray[np.uint8]
    classes: int
    planted: frozenset[int]


def made_pair(kind: str, classes: int, seed: int) -> MadePair:
    """Plant boundary losses of one kind in ten patches; pay for them with fields elsewhere.

    Both models err along all boundaries, mostly in the same places. In ten patches the second one
    loses most lines, or most small objects, or puts boundaries 2 px off in half of the patch. The
    first one loses as much mIoU by fields of a wrong class in the other patches.
    """
    rng = np.random.default_rng([seed, classes, KINDS.index(kind)])
    ground = np.argmax(smooth(rng, (N, classes), 8.0), axis=1).astype(np.uint8)
    things = [[*_objects(g, rng, classes), *_lines(g, rng, classes)] for g in ground]
    target = np.stack([_drawn(g, t, classes) for g, t in zip(ground, things, strict=True)])
    first, second = _ragged(target, rng)
    planted = frozenset(rng.choice(N, PLANTED, replace=False).tolist())
    for n, i in enumerate(sorted(planted)):
        one = KINDS[n % 3] if kind == "mixed" else kind
        second[i] = _lossy(one, second[i], ground[i], things[i], rng, classes)
    _pay(first, second, target, planted, classes, rng)
    return MadePair(first, second, target, classes, planted)


def smooth(rng: np.random.Generator, batch: tuple[int, ...], width: float) -> NDArray[np.float64]:
    """Random fields (*batch, SIDE, SIDE)."""
    noise = rng.normal(size=(*batch, SIDE, SIDE))
    return ndimage.gaussian_filter(noise, (*(0 for _ in batch), width, width))


def miou(pred: NDArray[np.uint8], target: NDArray[np.uint8], classes: int) -> float:
    """Macro mIoU over all patches, by its definition."""
    table = np.bincount(target.ravel() * classes + pred.ravel(), minlength=classes**2)
    table = table.reshape(classes, classes)
    return float(np.mean(np.diag(table) / (table.sum(0) + table.sum(1) - np.diag(table))))


def _drawn(ground: NDArray[np.uint8], things: list[Thing], classes: int) -> NDArray[np.uint8]:
    found = ground.copy()
    for _, where, step in things:
        found[where] = (ground[where] + step) % classes
    return found


def _lines(ground: NDArray[np.uint8], rng: np.random.Generator, classes: int) -> Iterator[Thing]:
    """Three lines, 1 to 3 px wide, across the patch; each of another class than its ground."""
    for _ in range(3):
        start, width, slope = rng.integers(6, SIDE - 6), rng.integers(1, 4), rng.uniform(-0.5, 0.5)
        y, x = np.indices(ground.shape)
        place = np.floor(start + slope * (x - SIDE / 2))
        where = (y >= place) & (y < place + width)
        yield "lines", where.T if rng.random() < 0.5 else where, rng.integers(1, classes)


def _objects(ground: NDArray[np.uint8], rng: np.random.Generator, classes: int) -> Iterator[Thing]:
    """Ten small objects, 3 to 5 px, each of another class than its ground."""
    for _ in range(10):
        (y, x), (h, w) = rng.integers(2, SIDE - 8, 2), rng.integers(3, 6, 2)
        where = np.zeros(ground.shape, bool)
        where[y : y + h, x : x + w] = True
        yield "objects", where, rng.integers(1, classes)


def _ragged(target: NDArray[np.uint8], rng: np.random.Generator) -> list[NDArray[np.uint8]]:
    """Two models' errors along all boundaries: most they share, some are each one's own."""
    place = np.indices(target.shape[1:])
    found = [np.empty_like(target) for _ in range(2)]
    for i, patch in enumerate(target):
        shared = 6 * smooth(rng, (2,), 3.0)
        for maps in found:
            steps = np.rint(shared + rng.uniform(1.5, 3) * smooth(rng, (2,), 3.0)).astype(int)
            rows, columns = np.clip(place + steps, 0, SIDE - 1)
            maps[i] = patch[rows, columns]
    return found


def _lossy(
    kind: str,
    own: NDArray[np.uint8],
    ground: NDArray[np.uint8],
    things: list[Thing],
    rng: np.random.Generator,
    classes: int,
) -> NDArray[np.uint8]:
    """A patch with one kind of loss."""
    if kind == "boundaries":
        half = np.zeros(own.shape, bool)
        half[: SIDE // 2] = True
        moved = np.roll(own, int(rng.choice([-2, 2])), int(rng.integers(2)))
        return np.where(np.rot90(half, int(rng.integers(4))), moved, own)
    lost = [thing for thing in things if thing[0] == kind and rng.random() < 0.9]
    kept = [thing for thing in things if not any(thing is one for one in lost)]
    where = ndimage.maximum_filter(np.any([mask for _, mask, _ in lost], axis=0), 3)
    return np.where(where, _drawn(ground, kept, classes), own)


def _pay(
    first: NDArray[np.uint8],
    second: NDArray[np.uint8],
    target: NDArray[np.uint8],
    planted: frozenset[int],
    classes: int,
    rng: np.random.Generator,
) -> None:
    """Fields of a wrong class in the first model until its mIoU is the second one's."""
    goal = miou(second, target, classes)
    others = [i for i in range(N) if i not in planted]
    for i in np.concatenate([rng.permutation(others) for _ in range(8)]):
        if miou(first, target, classes) - goal <= 0.0005:
            return
        low, high = (f(first[i], 3) for f in (ndimage.minimum_filter, ndimage.maximum_filter))
        inside = ndimage.distance_transform_cdt((low == high) & (first[i] == target[i]))
        y, x = np.unravel_index(int(inside.argmax()), inside.shape)
        before, wrong = first[i].copy(), (int(first[i, y, x]) + 1) % classes
        for half in range(int(inside[y, x]) - 1, 2, -1):
            first[i, max(0, y - half) : y + half, max(0, x - half) : x + half] = wrong
            if miou(first, target, classes) >= goal - 0.001:
                break
            first[i] = before
