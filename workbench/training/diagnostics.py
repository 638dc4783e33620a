"""What the loss does not tell: whether embeddings still differ, and whether teachers still teach.

Pure functions of tensors, each without gradients and in float32. `CollapseSentinel` judges them.
"""

import math
from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional

_TINY = 1e-12


def dimension_std(embeddings: Tensor) -> Tensor:
    """Standard deviation of each dimension of the unit embeddings, times sqrt(D).

    Embeddings spread evenly over the sphere give 1 in every dimension; equal ones give 0.

    Args:
        embeddings: (N, D), N >= 2.

    Returns:
        (D,) float32, >= 0.

    Raises:
        ValueError: If there are fewer than two embeddings.
    """
    unit = _unit(embeddings)
    return unit.std(dim=0, unbiased=False) * math.sqrt(unit.shape[1])


def spread(embeddings: Tensor) -> Tensor:
    """How far the unit embeddings lie from their mean: root mean square, in [0, 1].

    0 is total collapse; 1 is a mean of zero, as for directions drawn evenly.

    Args:
        embeddings: (N, D), N >= 2.

    Raises:
        ValueError: If there are fewer than two embeddings.
    """
    unit = _unit(embeddings)
    return (unit - unit.mean(dim=0)).square().sum(dim=1).mean().sqrt()


def effective_rank(embeddings: Tensor, *, centred: bool = False) -> Tensor:
    """Exponential of the entropy of the normalised singular values (RankMe), in [1, min(N, D)].

    Args:
        embeddings: (N, D), N >= 2, as they are: lengths count.
        centred: Take the mean away first, so that an offset common to all is no dimension.

    Returns:
        Scalar; 1 if all are equal (also when centred, where nothing is left).

    Raises:
        ValueError: If there are fewer than two embeddings.

    References:
        Garrido et al. 2023, RankMe, eq. 2, https://arxiv.org/abs/2210.02885
    """
    values = _pairs(embeddings)
    values = values - values.mean(dim=0) if centred else values
    singular = torch.linalg.svdvals(values)
    share = singular / singular.sum().clamp_min(_TINY)
    return torch.special.entr(share).sum().exp()


def mean_cosine(embeddings: Tensor) -> Tensor:
    """Mean cosine of all pairs of different embeddings, in [-1, 1]; 1 is total collapse.

    Args:
        embeddings: (N, D), N >= 2.

    Raises:
        ValueError: If there are fewer than two embeddings.
    """
    unit = _unit(embeddings)
    n = len(unit)
    own = unit.square().sum()  # n, unless an embedding is zero
    return (unit.sum(dim=0).square().sum() - own) / (n * (n - 1))


def normalised_entropy(probabilities: Tensor) -> Tensor:
    """Mean entropy of distributions over K outputs, in units of log K: 0 is one output, 1 uniform.

    Args:
        probabilities: (..., K), each row sums to 1, K >= 2.
    """
    rows = probabilities.detach().float()
    return torch.special.entr(rows).sum(dim=-1).mean() / math.log(rows.shape[-1])


def centre_drift(before: Tensor, after: Tensor) -> Tensor:
    """How far a teacher's centre moved, relative to its length before; 0 if it stood still.

    Args:
        before: (..., K) centre.
        after: The same, later.
    """
    moved = (after.detach().float() - before.detach().float()).norm()
    return moved / before.detach().float().norm().clamp_min(_TINY)


def parameter_motion(before: Iterable[Tensor], after: Iterable[Tensor]) -> Tensor:
    """How far a network moved, relative to its length before: exactly 0 for a frozen teacher.

    Args:
        before: Its parameters (copies).
        after: The same, later.

    Raises:
        ValueError: If their number differs.
    """
    moved, length = torch.zeros(()), torch.zeros(())
    for old, new in zip(before, after, strict=True):
        old = old.detach().float().cpu()
        moved += (new.detach().float().cpu() - old).square().sum()
        length += old.square().sum()
    return (moved / length.clamp_min(_TINY)).sqrt()


def queue_age(written: Tensor, step: int) -> tuple[Tensor, Tensor]:
    """Mean age of a queue's entries and age of its newest one, in steps.

    Args:
        written: (Q,) step at which each entry was written; negative for never.
        step: Now.

    Returns:
        Mean over the entries written so far, and the smallest. Both `step + 1` if there is none.
    """
    ages = (step - written[written >= 0]).float()
    if len(ages) == 0:
        return torch.tensor(step + 1.0), torch.tensor(step + 1.0)
    return ages.mean(), ages.min()


def token_losses(prediction: Tensor, target: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Mean squared error of masked and of visible tokens, each over its own tokens.

    Args:
        prediction: (B, L, P).
        target: (B, L, P).
        mask: (B, L) bool, True where removed.

    Returns:
        Masked and visible loss; NaN where there is no such token.
    """
    error = (prediction.detach().float() - target.detach().float()).square().mean(dim=-1)  # (B, L)
    return error[mask].mean(), error[~mask].mean()


def prediction_spread(prediction: Tensor, target: Tensor) -> Tensor:
    """Spread of predictions over the tokens, relative to that of the targets: 0 is one constant.

    A decoder that answers every token with the mean reaches a falling loss and a spread of 0.

    Args:
        prediction: (B, L, P) or (N, P).
        target: The same shape.
    """
    predicted, wanted = (
        values.detach().float().flatten(end_dim=-2).std(dim=0, unbiased=False).square().mean()
        for values in (prediction, target)
    )
    return (predicted / wanted.clamp_min(_TINY)).sqrt()


def embedding_diagnostics(embeddings: Tensor) -> dict[str, float]:
    """Give the diagnostics that every method has, under the names they are logged with.

    Args:
        embeddings: (N, D), N >= 2.

    Returns:
        std (mean of `dimension_std`), spread, effective_rank, mean_cosine.

    Example:
        >>> import torch
        >>> found = embedding_diagnostics(torch.eye(4))
        >>> {name: round(value, 3) for name, value in found.items()}
        {'std': 0.866, 'spread': 0.866, 'effective_rank': 4.0, 'mean_cosine': 0.0}
    """
    return {
        "std": float(dimension_std(embeddings).mean()),
        "spread": float(spread(embeddings)),
        "effective_rank": float(effective_rank(embeddings)),
        "mean_cosine": float(mean_cosine(embeddings)),
    }


def _pairs(embeddings: Tensor) -> Tensor:
    """Detached, in float32, checked."""
    if embeddings.ndim != 2 or len(embeddings) < 2:
        raise ValueError(
            f"Embeddings are compared with each other: (N, D) with N >= 2, got the shape "
            f"{tuple(embeddings.shape)}.\nGather some batches first."
        )
    return embeddings.detach().float()


def _unit(embeddings: Tensor) -> Tensor:
    return functional.normalize(_pairs(embeddings), dim=1)
