"""Many models on one test set: corrected comparisons, ties as groups, and the resolution floor."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from workbench.evaluation.resampling import (
    MIN_GROUPS,
    Floats,
    Resampled,
    as_score,
    by_group,
    group_numbers,
    leave_out,
)
from workbench.evaluation.statistics import PairedDifference
from workbench.evaluation.statistics_seeds import SeededDifference, compare_seeds


@dataclass(frozen=True)
class ResolutionFloor:
    """The smallest difference that a test set can separate."""

    smallest: float
    """Difference that is found with the chance `power`, in the unit of the score; infinite with
    fewer than `MIN_GROUPS` groups, of which nothing is claimed."""
    power: float
    """Chance that a true difference of this size is called one, in (0, 1)."""
    level: float
    """Level of the intervals that decide."""
    standard_error: float
    """Of the paired difference."""
    n_groups: int
    """Groups of images it is from."""

    def __str__(self) -> str:
        if math.isinf(self.smallest):
            return (
                f"No difference is claimed from {self.n_groups} groups of images: at least "
                f"{MIN_GROUPS} are needed."
            )
        return (
            f"Differences below {self.smallest:.4f} are not told apart here "
            f"({self.n_groups} groups of images, power {self.power:.0%}, level {self.level:.0%})."
        )


@dataclass(frozen=True)
class Comparisons:
    """Every pair of several models on the same images."""

    table: pd.DataFrame
    """One row a pair: a, b, difference (a - b), low, high, standard_error, p_value, p_holm,
    separated (bool)."""
    scores: dict[str, float]
    """Interquartile mean over seeds of each model."""
    letters: dict[str, str]
    """Models that share a letter are not separated; "a" goes to the best."""
    best: frozenset[str]
    """The model with the best score and those tied with it."""
    claims: bool
    """False if a model has too few seeds, or there are too few groups of images: then nothing is
    separated."""
    least_p: float = 0.0
    """The smallest corrected p-value that so many groups can give: if it is above 1 - level, no
    pair of so many models can be separated on these images."""


def holm(p_values: ArrayLike) -> Floats:
    """Correct p-values for the number of comparisons, keeping the chance of any false claim.

    Args:
        p_values: (M,) in [0, 1].

    Returns:
        (M,) corrected p-values, in the order given, at most 1.

    References:
        Holm: A Simple Sequentially Rejective Multiple Test Procedure. Scand. J. Stat. 6 (1979).

    Example:
        >>> holm([0.01, 0.04, 0.03]).round(2).tolist()
        [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    steps = p[order] * np.arange(len(p), 0, -1)
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(steps))
    return corrected


def corrected(tests: Sequence[PairedDifference]) -> list[PairedDifference]:
    """Correct the p-values of a family of comparisons by Holm, so that all claims hold together."""
    p_values = holm([test.p_value for test in tests])
    return [replace(test, p_holm=float(p)) for test, p in zip(tests, p_values, strict=True)]


def resolution_floor(
    a: "ArrayLike | Resampled",
    b: "ArrayLike | Resampled",
    *,
    groups: Sequence[Any] | NDArray[Any] | None = None,
    power: float = 0.8,
    level: float = 0.95,
    draws: int = 2000,
    rng: np.random.Generator,
) -> ResolutionFloor:
    """Say how large a difference must be for this test set to separate two models like these.

    Args:
        a: (N,) one number an image; or a score of N images.
        b: The same of the other model, images in the same order.
        groups: (N,) group of each image; None if the images are independent.
        power: Chance with which a true difference of that size shall be found, in (0, 1).
        level: Level of the intervals that decide, in (0, 1).
        draws: Not used any more: the standard error follows from leaving groups out.
        rng: Likewise.

    Raises:
        ValueError: If `power` is out of its range, or there are fewer than two groups.
    """
    if not 0 < power < 1:
        raise ValueError(f"A power is in (0, 1), got {power!r}.")
    group, n_groups = group_numbers(groups, as_score(a)[1])
    difference = by_group(a, group, n_groups).minus(by_group(b, group, n_groups))
    return floor_of(leave_out(difference).error, n_groups, power=power, level=level)


def floor_of(
    standard_error: float, n_groups: int, *, power: float = 0.8, level: float = 0.95
) -> ResolutionFloor:
    """Give the resolution floor that follows from the standard error of a difference."""
    from scipy import stats

    if n_groups < MIN_GROUPS:
        return ResolutionFloor(math.inf, power, level, standard_error, n_groups)
    reach = stats.t.ppf((1 + level) / 2, n_groups - 1) + stats.t.ppf(power, n_groups - 1)
    return ResolutionFloor(float(reach * standard_error), power, level, standard_error, n_groups)


def compare_all(
    models: Mapping[str, Sequence["ArrayLike | Resampled"]],
    *,
    groups: Sequence[Any] | NDArray[Any] | None = None,
    level: float = 0.95,
    draws: int = 2000,
    higher_is_better: bool = True,
    rng: np.random.Generator,
) -> Comparisons:
    """Compare every two models, correct for their number, and group the ties.

    Args:
        models: Name of each model and its seeds: (N,) values, one an image, or a score.
        groups: (N,) group of each image; None if the images are independent.
        level: 1 minus the chance of any false claim among all comparisons, in (0, 1).
        draws: Number of draws behind intervals of single seeds, >= 100.
        higher_is_better: False for errors.
        rng: Source of the draws.

    Raises:
        ValueError: If the models were not judged on the same images.
    """
    pairs = list(combinations(models, 2))
    found = {
        (a, b): compare_seeds(
            models[a], models[b], groups=groups, level=level, draws=draws, rng=rng
        )
        for a, b in pairs
    }
    corrected = dict(zip(pairs, holm([f.p_value for f in found.values()]), strict=True))
    separated = {
        pair: f.claims and not f.is_tie and corrected[pair] <= 1 - level
        for pair, f in found.items()
    }
    scores = {name: _iqm(seeds) for name, seeds in models.items()}
    ranked = sorted(scores, key=lambda name: scores[name], reverse=higher_is_better)
    tied = [pair for pair in pairs if not separated[pair]]
    return Comparisons(
        _pair_table(found, corrected, separated),
        scores,
        tie_letters(ranked, tied),
        frozenset(ranked[:1])
        | {n for pair in tied if ranked[0] in pair for n in pair},
        all(f.claims for f in found.values()) and bool(found),
        min(1.0, len(pairs) * least_p_value(max(f.n_groups for f in found.values())))
        if found else 1.0,
    )  # fmt: skip


def least_p_value(n_groups: int) -> float:
    """Give the smallest two-sided p-value that a swap of so many groups can give.

    Example:
        >>> least_p_value(6)
        0.03125
    """
    return float(2.0 ** (1 - n_groups))


def tie_letters(ranked: Sequence[str], tied: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Give letters so that two share one exactly if they are tied (a compact letter display).

    Each letter is a largest set of models of which every two are tied; being tied is not handed
    on: the first may tie with the second and the second with the third, and still beat the third.

    Args:
        ranked: Names, best first.
        tied: Pairs that are not separated.

    Example:
        >>> tie_letters(["x", "y", "z"], [("x", "y"), ("y", "z")])
        {'x': 'a', 'y': 'ab', 'z': 'b'}
    """
    graph: nx.Graph[str] = nx.Graph()
    graph.add_nodes_from(ranked)
    graph.add_edges_from(tied)
    rank = {name: i for i, name in enumerate(ranked)}
    sets = sorted(sorted(rank[n] for n in clique) for clique in nx.find_cliques(graph))
    letters = {name: "" for name in ranked}
    for i, members in enumerate(sets):
        for member in members:
            letters[ranked[member]] += _letter(i)
    return letters


def _letter(i: int) -> str:
    return chr(ord("a") + i % 26) + (str(i // 26) if i >= 26 else "")


def _iqm(seeds: Sequence["ArrayLike | Resampled"]) -> float:
    from workbench.evaluation.statistics_seeds import interquartile_mean

    each = [as_score(one) for one in seeds]
    return float(interquartile_mean([score(np.ones((1, n)))[0] for score, n in each]))


def _pair_table(
    found: Mapping[tuple[str, str], SeededDifference],
    corrected: Mapping[tuple[str, str], float],
    separated: Mapping[tuple[str, str], bool],
) -> pd.DataFrame:
    columns = ["a", "b", "difference", "low", "high", "standard_error", "p_value", "p_holm"]
    rows = [
        (*pair, f.difference, f.low, f.high, f.standard_error, f.p_value, float(corrected[pair]))
        for pair, f in found.items()
    ]
    table = pd.DataFrame(rows, columns=columns)
    return table.assign(separated=[separated[pair] for pair in found])
