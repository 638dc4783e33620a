"""Which pairs a policy allows, against its definition; what no pair can be drawn from."""

import numpy as np
import pandas as pd
import pytest

from tests.datasets.made_dates import DATES, JULY, JUNE
from workbench.datasets.acquisitions import Acquisitions, acquisitions
from workbench.datasets.positives import PairPolicy, allowed_pairs
from workbench.datasets.temporal_patches import TemporalPatches
from workbench.errors import ManifestError


def brute_force(days, policy, cloud):
    """Every pair of one location that a policy allows, from calendar days."""
    found = set()
    for a in range(len(days)):
        for b in range(a + 1, len(days)):
            gap = days[b] - days[a]
            season = min(gap % 365.2425, 365.2425 - gap % 365.2425)
            if (
                gap > 0
                and policy.days[0] <= gap <= policy.days[1]
                and policy.season_days[0] <= season <= policy.season_days[1]
                and max(cloud[a], cloud[b]) <= policy.max_cloud
            ):
                found.add((a, b))
    return found


@pytest.mark.parametrize(
    "policy",
    [
        PairPolicy(),
        PairPolicy(days=(20, 200)),
        PairPolicy(season_days=(0, 30)),
        PairPolicy(season_days=(120, 183)),
        PairPolicy(max_cloud=0.4),
        PairPolicy(days=(300, 900), season_days=(0, 60), max_cloud=0.7),
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_allowed_pairs_are_those_of_the_definition(policy, seed):
    rng = np.random.default_rng(seed)
    days = [np.sort(rng.integers(0, 900, rng.integers(1, 9))) for _ in range(30)]
    cloud = rng.random(sum(map(len, days))).astype(np.float32)
    first = np.append(0, np.cumsum([len(d) for d in days]))
    date = np.concatenate([np.unique(d, return_inverse=True)[1] for d in days])
    time = np.concatenate(days) * 86_400.0
    names = np.array([f"{i:02d}" for i in range(30)], dtype=bytes)
    index = Acquisitions(names, first, np.arange(len(time)), time, date, cloud)
    pairs = allowed_pairs(index, policy)
    for i, mine in enumerate(days):
        chosen = slice(pairs.first[i], pairs.first[i + 1])
        found = zip(pairs.earlier[chosen] - first[i], pairs.later[chosen] - first[i], strict=True)
        assert set(found) == brute_force(mine, policy, cloud[first[i] : first[i + 1]])


def test_the_time_between_pairs_can_be_looked_at(make):
    policy = PairPolicy(days=(30, 200))
    days = TemporalPatches(make(DATES), min_acquisitions=2, pairs=policy).pair_days()
    assert sorted(days) == [35, 35, 153, 188]


def test_cloud_that_is_not_known_is_not_clear(make):
    with pytest.raises(ManifestError, match="none of the 5 locations"):
        TemporalPatches(make(DATES), min_acquisitions=2, pairs=PairPolicy(max_cloud=0.5))


def test_pairs_without_a_location_of_two_dates_are_refused(make):
    patches = make([[JUNE], [JULY]])
    for least in (1, 2):
        with pytest.raises(ManifestError, match="needs a location with two dates"):
            TemporalPatches(patches, min_acquisitions=least)
    assert len(TemporalPatches(patches, min_acquisitions=1, pairs=None)) == 2


def test_a_policy_that_no_pair_meets_is_refused(make):
    with pytest.raises(ManifestError, match=r"days=\(5000, 6000\).* allows, but none of the 5"):
        TemporalPatches(make(DATES), min_acquisitions=2, pairs=PairPolicy(days=(5000, 6000)))


def test_more_dates_than_any_location_has_are_refused(make):
    with pytest.raises(ManifestError, match=r"at least 9 dates, but the most .* is 4"):
        TemporalPatches(make(DATES), min_acquisitions=9)


@pytest.mark.parametrize(
    "arguments", [{"min_acquisitions": 0}, {"min_acquisitions": 1, "seed": -1}]
)
def test_arguments_out_of_range_are_refused(make, arguments):
    with pytest.raises(ValueError, match="min_acquisitions >= 1 and seed >= 0"):
        TemporalPatches(make(DATES), **arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"days": (5, 3)}, "PairPolicy.days must be"),
        ({"season_days": (-1, 3)}, "PairPolicy.season_days must be"),
        ({"max_cloud": 20}, "PairPolicy.max_cloud must be in"),
    ],
)
def test_policies_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        PairPolicy(**arguments)


@pytest.mark.parametrize("i", [-1, 3])
def test_an_index_out_of_range_ends_iteration(make, i):
    with pytest.raises(IndexError, match="has 3 locations"):
        TemporalPatches(make(DATES), min_acquisitions=2)[i]


def rows(**columns):
    base = {"location_id": ["a", "a"], "place": [0, 1], "acquired": [JUNE, JULY]}
    return pd.DataFrame(base | columns)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (rows().drop(columns="place"), "must have the columns .* but lacks place"),
        (rows().iloc[:0], "needs at least one patch"),
        (rows(place=[1, 1]), "a place is listed twice"),
        (rows(acquired=[JUNE, None]), "must have a time, but 1 have none"),
    ],
)
def test_manifests_that_cannot_be_used_are_refused(frame, message):
    with pytest.raises(ManifestError, match=message):
        acquisitions(frame)


def test_a_group_flown_again_is_another_date():
    """An orbit's name comes again days later; pieces without a group are not of one pass."""
    frame = pd.DataFrame(
        {
            "location_id": ["a"] * 4 + ["b"] * 3,
            "place": range(7),
            "acquired": pd.to_datetime(
                ["2023-06-01T10:00:00Z", "2023-06-01T10:00:04Z", "2023-06-28T10:00:00Z",
                 "2023-06-01T10:20:00Z", "2023-06-01T10:00:00Z", "2023-06-01T10:30:00Z",
                 "2023-06-01T10:00:00Z"]
            ),
            "group": ["orbit 65", "orbit 65", "orbit 65", "orbit 7", None, float("nan"), ""],
        }
    )  # fmt: skip
    index = acquisitions(frame)
    assert index.n_dates.tolist() == [3, 2]
    assert index.date.tolist() == [0, 0, 1, 2, 0, 0, 1]
