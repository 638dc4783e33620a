import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from workbench.errors import VoteError
from workbench.viz.votes import (
    agreement,
    krippendorff_alpha,
    preference,
    read_votes,
    votes_table,
    write_votes,
)


def vote(patch, rater, preferred, *, left="A", at="2026-11-20T10:00:00.000Z"):
    choice = "tie" if preferred == "tie" else "left" if preferred == left else "right"
    return {
        "patch": patch,
        "rater": rater,
        "left": left,
        "choice": choice,
        "preferred": preferred,
        "at": at,
        "seconds": 2.5,
    }


def saved(path, votes, comparison="abc"):
    page = {"format": "workbench-votes", "version": 1, "comparison": comparison, "votes": votes}
    path.write_text(json.dumps(page))
    return path


# Krippendorff, Computing Krippendorff's Alpha-Reliability (2011): data and values of A to C.
FOUR_OBSERVERS = ["1 2 3 3 2 1 4 1 2 . . .", "1 2 3 3 2 2 4 1 2 5 . 3"]
FOUR_OBSERVERS += [". 3 3 3 2 3 4 2 2 5 1 .", "1 2 3 3 2 4 4 1 2 5 1 ."]
BINARY = ["0 1 0 0 0 0 0 0 1 0", "1 1 1 0 0 1 0 0 0 0"]
FIVE_CLASSES = ["1 1 2 2 4 3 3 3 5 4 4 1", "2 1 2 2 2 3 3 3 5 4 4 4"]


@pytest.mark.parametrize(
    ("rows", "level", "published"),
    [
        (BINARY, "nominal", 0.095),
        (FIVE_CLASSES, "nominal", 0.692),
        (FOUR_OBSERVERS, "nominal", 0.743),
        (FOUR_OBSERVERS, "ordinal", 0.815),
        (FOUR_OBSERVERS, "interval", 0.849),
    ],
)
def test_alpha_is_the_published_one(rows, level, published):
    ratings = np.array([[float(v.replace(".", "nan")) for v in row.split()] for row in rows])
    assert krippendorff_alpha(ratings, level=level) == pytest.approx(published, abs=5e-4)


def defined_alpha(ratings, level):
    """One minus observed over expected disagreement, summed pair by pair."""
    units = [u[np.isfinite(u)] for u in ratings.T if np.isfinite(u).sum() >= 2]
    pool = np.sort(np.concatenate(units))

    def apart(a, b):
        if level == "ordinal":  # all ratings between two values, and half of those equal to either
            low, high = min(a, b), max(a, b)
            between = ((pool >= low) & (pool <= high)).sum()
            return (between - ((pool == low).sum() + (pool == high).sum()) / 2) ** 2 * (a != b)
        return float(a != b) if level == "nominal" else (a - b) ** 2

    observed = sum(apart(a, b) / (len(u) - 1) for u in units for a in u for b in u) / len(pool)
    expected = sum(apart(a, b) for a in pool for b in pool) / (len(pool) * (len(pool) - 1))
    return 1 - observed / expected


@pytest.mark.parametrize("level", ["nominal", "ordinal", "interval"])
def test_alpha_is_that_of_its_definition(level):
    rng = np.random.default_rng(0)
    for _ in range(10):
        truth = rng.integers(0, 4, 12)
        ratings = np.where(rng.random((4, 12)) < 0.6, truth, rng.integers(0, 4, (4, 12))) / 2.0
        ratings[rng.random(ratings.shape) < 0.35] = np.nan
        expected = defined_alpha(ratings, level)
        assert krippendorff_alpha(ratings, level=level) == pytest.approx(expected, abs=1e-9)


def test_alpha_at_its_ends():
    same = np.array([[0.0, 1, 2, 1], [0, 1, 2, 1]])
    assert krippendorff_alpha(same) == 1.0
    assert np.isnan(krippendorff_alpha(np.ones((2, 5))))  # nothing to tell apart
    assert np.isnan(krippendorff_alpha(np.array([[1.0, np.nan], [np.nan, 0.0]])))
    chance = np.random.default_rng(0).integers(0, 2, (2, 20_000)).astype(float)
    assert abs(krippendorff_alpha(chance)) < 0.03
    with pytest.raises(ValueError, match="The level must be nominal, ordinal or interval"):
        krippendorff_alpha(same, level="ratio")


def test_agreement_is_over_the_patches_two_raters_share():
    pairs = [("A", "A"), ("B", "B"), ("tie", "A"), ("B", "tie")]
    votes = [
        vote(f"p{k}", r, p) for k, both in enumerate(pairs) for r, p in zip("xy", both, strict=True)
    ]
    votes.append(vote("only x", "x", "A"))
    values = {"A": 1, "tie": 0.5, "B": 0}
    ratings = np.array([[values[both[r]] for both in pairs] for r in (0, 1)])
    expected = defined_alpha(ratings, "ordinal")
    assert agreement(votes_table(votes)) == pytest.approx(expected)


def test_preference_counts_each_patch_once():
    preferred = {"p0": "AAB", "p1": "A", "p2": "AB", "p3": "BBB", "p4": "A"}
    votes = [vote(p, f"r{k}", each) for p, row in preferred.items() for k, each in enumerate(row)]
    votes.append(vote("p5", "r0", "tie"))
    found = preference(votes_table(votes))
    assert (found.decided, found.undecided) == (4, 2)
    assert found.share == 3 / 4
    interval = binomtest(3, 4).proportion_ci(0.95, method="wilson")
    assert (found.low, found.high) == (interval.low, interval.high)
    assert found.p_value == pytest.approx(5 / 8)
    nothing = preference(votes_table([vote("p", "r", "tie")]))
    assert np.isnan(nothing.share)
    assert nothing.undecided == 1


def test_preference_interval_covers_the_truth():
    rng, covered = np.random.default_rng(0), 0
    for _ in range(200):
        votes = pd.DataFrame(
            {"patch": range(60), "preferred": rng.choice(["A", "B"], 60, p=(0.7, 0.3))}
        )
        found = preference(votes)
        covered += found.low <= 0.7 <= found.high
    assert 184 <= covered <= 198


def test_the_later_of_two_votes_counts_and_files_of_both_kinds_are_one_table(tmp_path):
    early, late = "2026-11-20T10:00:00.000Z", "2026-11-20T10:00:05.250Z"
    first = saved(
        tmp_path / "x.json", [vote("p", "x", "A", at=late), vote("p", "x", "B", at=early)]
    )
    second = write_votes(tmp_path / "y.parquet", votes_table([vote("p", "y", "tie")]), "abc")
    votes = read_votes(first, second)
    assert votes[["rater", "preferred"]].sort_values("rater").to_numpy().tolist() == [
        ["x", "A"],
        ["y", "tie"],
    ]
    assert str(votes["at"].dt.tz) == "UTC"
    again = read_votes(write_votes(tmp_path / "all.parquet", votes, "abc"), comparison="abc")
    pd.testing.assert_frame_equal(again, votes)
    assert not list(tmp_path.glob("*.tmp"))


def test_votes_of_another_comparison_are_refused(tmp_path):
    ours = saved(tmp_path / "a.json", [vote("p", "x", "A")], "abc")
    theirs = write_votes(tmp_path / "b.parquet", votes_table([vote("p", "y", "A")]), "def")
    for paths, comparison in (((ours, theirs), None), ((theirs,), "abc")):
        with pytest.raises(VoteError, match=r"Votes must be of one comparison \(abc\)"):
            read_votes(*paths, comparison=comparison)


def test_what_holds_no_votes_is_refused(tmp_path):
    other = tmp_path / "other.parquet"
    pd.DataFrame({"a": [1]}).to_parquet(other)
    torn = tmp_path / "torn.json"
    torn.write_text('{"format": "workbench-votes"')
    for path in (other, torn, tmp_path / "absent.json", saved(tmp_path / "v.json", [])):
        if path.name == "v.json":
            path.write_text(path.read_text().replace('"version": 1', '"version": 2'))
        with pytest.raises(VoteError, match=r"file of votes|Votes of version"):
            read_votes(path)


def test_a_vote_must_be_whole_and_follow_from_its_choice():
    with pytest.raises(VoteError, match="one lacks 'rater'"):
        votes_table([{"patch": "p"}])
    with pytest.raises(VoteError, match="What a vote prefers follows from its choice"):
        votes_table([vote("p", "x", "A") | {"preferred": "B"}])
    assert votes_table([]).empty


def test_votes_can_be_read_while_more_are_cast(tmp_path):
    path = tmp_path / "v.parquet"
    few = votes_table([vote("p0", "ann", "A")])
    many = votes_table([vote(f"p{n}", "ann", "A") for n in range(40)])
    write_votes(path, few, "abc")

    def cast():
        for _ in range(150):
            write_votes(path, many, "abc")
            write_votes(path, few, "abc")

    with ThreadPoolExecutor(1) as pool:
        casting = pool.submit(cast)
        seen = set()
        while not casting.done():
            seen.add(len(read_votes(path)))
        casting.result()
    assert seen == {1, 40}
