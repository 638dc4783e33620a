"""Which two acquisitions of a location may be shown as a positive pair."""

import math
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.datasets.acquisitions import DAY, Acquisitions, Ints

YEAR = 365.2425
"""Days."""
Range = tuple[float, float]


@dataclass(frozen=True)
class PairPolicy:
    """The conditions on two acquisitions of a location, all of which must hold.

    The two are always of different dates. Without an argument any two dates will do. The talk and
    its archive draw two dates at random; the other conditions are choices of ours.

    Raises:
        ValueError: If a range is empty or negative, or the cloud is outside [0, 1].

    Example:
        >>> PairPolicy()                                   # two dates at random
        PairPolicy(days=(0.0, inf), season_days=(0.0, 183.0), max_cloud=1.0)
        >>> PairPolicy(days=(20, 120)).days                # from three weeks to four months apart
        (20, 120)
        >>> PairPolicy(season_days=(0, 30)).season_days    # one season, of the same or other years
        (0, 30)
    """

    days: Range = (0.0, math.inf)
    """Shortest and longest time between the two, in days, ends included."""
    season_days: Range = (0.0, 183.0)
    """Smallest and largest distance in the course of the year, in days, whatever the year: 0 is the
    same day of the year, 183 the opposite season, on both hemispheres."""
    max_cloud: float = 1.0
    """Largest share of cloudy pixels in each of the two; below 1, an acquisition whose cloud is
    not known is not used."""

    def __post_init__(self) -> None:
        for name, (low, high) in (("days", self.days), ("season_days", self.season_days)):
            if not 0 <= low <= high:
                raise ValueError(
                    f"PairPolicy.{name} must be (shortest, longest) with 0 <= shortest <= longest, "
                    f"got ({low!r}, {high!r})."
                )
        if not 0 <= self.max_cloud <= 1:
            raise ValueError(f"PairPolicy.max_cloud must be in [0, 1], got {self.max_cloud!r}.")

    def usable(self, cloud: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Say which acquisitions are clear enough."""
        return np.ones(cloud.shape, bool) if self.max_cloud == 1 else cloud <= self.max_cloud

    def allows(self, seconds: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Say which time differences are in the ranges.

        Args:
            seconds: Time from the earlier to the later acquisition, >= 0.
        """
        days = seconds / DAY
        of_year = days % YEAR
        season = np.minimum(of_year, YEAR - of_year)
        found: NDArray[np.bool_] = _within(days, self.days) & _within(season, self.season_days)
        return found

    def to_dict(self) -> dict[str, object]:
        """Lay the policy out for a run's record; no upper bound becomes None."""
        low, high = self.days
        return {**asdict(self), "days": [low, None if math.isinf(high) else high]}


POLICIES: dict[str, PairPolicy | None] = {
    "any_dates": PairPolicy(),
    "one_season": PairPolicy(season_days=(0, 30)),
    "months": PairPolicy(days=(20, 120)),
    "one_date": None,
}
"""Policies by name, as the study of positives and the command line call them: two dates at random;
one season of the same or other years; three weeks to four months apart; no pairs, so that all views
of a location are of one date."""


@dataclass(frozen=True)
class Pairs:
    """All allowed pairs: those of location `i` are `first[i]` to `first[i + 1]`."""

    first: Ints
    """(N + 1,)"""
    earlier: Ints
    """(P,) number of the earlier acquisition."""
    later: Ints
    """(P,) number of the later one."""

    @property
    def count(self) -> Ints:
        """(N,) number of allowed pairs of each location."""
        return np.diff(self.first)


def allowed_pairs(index: Acquisitions, policy: PairPolicy) -> Pairs:
    """List every pair that a policy allows, in order of location, earlier and later date."""
    size = np.diff(index.first)
    found: list[NDArray[np.int64]] = []
    for n in np.unique(size[size > 1]).tolist():  # locations with as many acquisitions at once
        start = index.first[:-1][size == n]
        low, high = np.triu_indices(n, k=1)
        pair = np.stack([start[:, None] + low, start[:, None] + high], axis=-1).reshape(-1, 2)
        found.append(pair[_is_allowed(index, policy, *pair.T)])
    pairs = np.concatenate([np.zeros((0, 2), np.int64), *found])
    pairs = pairs[np.lexsort(pairs.T[::-1])]
    count = np.bincount(index.of[pairs[:, 0]], minlength=len(index))
    return Pairs(np.append(0, np.cumsum(count)), *np.ascontiguousarray(pairs.T))


def _is_allowed(
    index: Acquisitions, policy: PairPolicy, earlier: Ints, later: Ints
) -> NDArray[np.bool_]:
    clear = policy.usable(index.cloud)
    return (
        (index.date[earlier] != index.date[later])
        & policy.allows(index.time[later] - index.time[earlier])
        & clear[earlier]
        & clear[later]
    )


def _within(values: NDArray[np.float64], limits: Range) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = (values >= limits[0]) & (values <= limits[1])
    return found
