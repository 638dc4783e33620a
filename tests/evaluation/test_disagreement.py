"""Patches ranked by dispute: planted losses come first, on pairs that the rules never saw."""

import numpy as np
import pytest
from scipy import ndimage

from tests.evaluation.made_pairs import KINDS, made_pair, miou
from workbench.evaluation.disagreement import DisagreementRules, disagreement, rank_patches

UNSEEN = ((2, 2001), (4, 2002), (6, 2003), (10, 2004))
"""Class counts and seeds; the weights of the measures were chosen on the seeds 0 to 4."""


@pytest.mark.parametrize("kind", KINDS)
def test_planted_losses_rank_first_on_unseen_pairs_of_equal_miou(kind):
    found, by_area = [], []
    for classes, seed in UNSEEN:
        pair = made_pair(kind, classes, seed)
        scores = [miou(m, pair.target, classes) for m in (pair.first, pair.second)]
        assert abs(scores[0] - scores[1]) < 0.002
        measured = disagreement(pair.first, pair.second, classes=classes)
        for by, hits in (("score", found), ("area", by_area)):
            top = rank_patches([f"{k:02d}" for k in range(len(measured))], measured, by=by)
            hits.append(len({int(name) for name in top["id"][:10]} & pair.planted) / 10)
    assert np.mean(found) >= 0.9
    assert min(found) >= 0.8
    assert np.mean(by_area) < 0.9  # the pairs are not easy: fields of a wrong class stand between


def spiral(side: int) -> np.ndarray:
    """A line of one pixel that winds inwards, two pixels apart."""
    maze = np.zeros((side, side), bool)
    y, x, step = 0, 0, (0, 1)
    maze[0, 0] = True
    for length in np.repeat(np.arange(side - 1, 1, -2), 2):
        for _ in range(length):
            y, x = y + step[0], x + step[1]
            maze[y, x] = True
        step = (step[1], -step[0])
    return maze


def lost_by_definition(one: np.ndarray, other: np.ndarray, known: np.ndarray, least: int) -> int:
    """Objects of one map, of so many pixels, of which the other has no pixel."""
    count = 0
    for k in np.unique(one):
        # ground that does not count holds no object, but what both have there keeps one
        parts, number = ndimage.label((one == k) & ~((other == k) & known), np.ones((3, 3)))
        shared = ndimage.binary_dilation((one == k) & ~(known & (one != other)), np.ones((3, 3)))
        for n in range(1, number + 1):
            part = (parts == n) & known & (one != other)
            whole, inner = ndimage.label(part, np.ones((3, 3)))
            for m in range(1, inner + 1):
                piece = whole == m
                count += piece.sum() >= least and not (shared & piece).any()
    return count


@pytest.mark.parametrize("highest", [3, 254, 255, 300])
def test_lost_objects_are_those_of_the_definition_however_long_they_are(highest):
    rng = np.random.default_rng(highest)
    smooth = ndimage.gaussian_filter(rng.normal(size=(2, 21, 3, 33, 33)), (0, 0, 0, 1.2, 1.2))
    first, second = np.where((maps := smooth.argmax(2)) == 2, highest, maps)
    first[3], second[3] = np.where(spiral(33), highest, 0), 0  # 8-connected, far from its end
    first[4], second[4] = first[3], np.where(np.eye(33)[::-1] > 0, highest, 0)
    known = rng.random(first.shape) < 0.98
    for least, valid in ((1, None), (4, None), (4, known)):
        found = disagreement(
            first,
            second,
            classes=highest + 1,
            rules=DisagreementRules(object_pixels=least),
            valid=valid,
        )
        counts = np.ones_like(known) if valid is None else valid
        expected = [
            lost_by_definition(a, b, k, least) + lost_by_definition(b, a, k, least)
            for a, b, k in zip(first, second, counts, strict=True)
        ]
        assert found["objects"].tolist() == expected


def test_a_measure_that_no_patch_has_does_not_dilute_the_others():
    first = np.zeros((4, 40, 40), int)
    second = first.copy()
    second[1, 5:25, 5:25] = 1  # fields: area, and an object
    second[2, 5:35, 5:35] = 1
    found = disagreement(first, second, classes=2)
    assert found["score"].iloc[[0, 3]].tolist() == [0, 0]
    assert found["score"].mean() == pytest.approx(1)
    assert (disagreement(first, first, classes=2)["score"] == 0).all()
