"""Few labels: an order in which every beginning is a fair sample, so that fractions are nested.

For images that hold several classes, with a floor of one image for each. Samples of one class each
are drawn by `workbench.extraction.label_fractions`.
"""

import math

import numpy as np
from numpy.typing import NDArray


def stratified_order(occurrence: NDArray[np.bool_], *, draw: int, seed: int) -> NDArray[np.int64]:
    """Order images so that each beginning holds the classes in the shares of the whole.

    First come images that hold a class not seen so far, the rarest class first; then, one after
    the other, an image that holds the class which lags most behind its share. Among those that
    serve equally, the draw decides. No image comes twice.

    Args:
        occurrence: (N, K) True where a class occurs in an image.
        draw: Number of the draw; draws are independent orders.
        seed: Seed of all draws, >= 0.

    Returns:
        (N,) a permutation of 0 ... N-1.

    Example:
        >>> occurrence = np.repeat(np.eye(2, dtype=bool), [8, 2], axis=0)
        >>> order = stratified_order(occurrence, draw=0, seed=0)
        >>> occurrence[order[:5]].sum(axis=0).tolist()
        [4, 1]
    """
    size = len(occurrence)
    rng = np.random.default_rng([seed, draw])
    shuffled = rng.permutation(size)
    holds = occurrence[shuffled].astype(np.float64)  # so that the first of equals is a random one
    total = holds.sum(axis=0)
    share = total / max(size, 1)
    weight = np.where(total > 0, 1 / np.maximum(total, 1), 0.0)
    taken, so_far = np.zeros(size, dtype=bool), np.zeros(holds.shape[1])
    order = []
    for place in range(size):
        missing = (so_far == 0) & (total > 0)
        lag = np.where(missing, 1e3, np.maximum(share * (place + 1) - so_far, 0.0)) * weight
        surplus = np.maximum(so_far - share * (place + 1), 0.0) * weight
        gain = holds @ (lag - surplus)
        gain[taken] = -np.inf
        best = int(np.argmax(gain))
        taken[best] = True
        so_far += holds[best]
        order.append(best)
    return shuffled[order].astype(np.int64)


def label_fraction(
    occurrence: NDArray[np.bool_], fraction: float, *, draw: int = 0, seed: int = 0
) -> NDArray[np.int64]:
    """Choose a share of the labelled images: without replacement, stratified, nested.

    The images of a fraction are among those of every larger one of the same draw. Each class that
    occurs at all is kept: if the share were too small for that, as many images more are taken as
    are needed.

    Args:
        occurrence: (N, K) True where a class occurs in an image (`Examples.occurrence`).
        fraction: Share of the images, in (0, 1].
        draw: Number of the draw.
        seed: Seed of all draws.

    Returns:
        Numbers of the images chosen, sorted.

    Raises:
        ValueError: If the fraction is outside (0, 1], or there is no image.
    """
    if not 0 < fraction <= 1 or len(occurrence) == 0:
        raise ValueError(
            f"A fraction of labels is in (0, 1] of at least one image, got {fraction!r} of "
            f"{len(occurrence)}."
        )
    order = stratified_order(occurrence, draw=draw, seed=seed)
    wanted = max(1, math.floor(fraction * len(order) + 0.5))
    seen = np.cumsum(occurrence[order], axis=0) > 0
    complete = seen.sum(axis=1) == occurrence.any(axis=0).sum()
    floor = int(np.argmax(complete)) + 1 if complete.any() else 1
    return np.sort(order[: max(wanted, floor)])
