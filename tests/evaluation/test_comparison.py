"""Two models of equal mIoU, one of which loses what is thin: found, ranked and told."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from workbench.errors import EvaluationError
from workbench.evaluation import Predictions, compare_models, disagreement
from workbench.evaluation.attribution import attribution, object_sizes
from workbench.evaluation.disagreement import DisagreementRules, rank_patches

N, SIDE, PLANTED = 60, 64, 10


def made_pair(seed: int = 0) -> tuple[dict, dict, dict, list[str]]:
    """Woods with hedges; B loses hedges in ten patches, A has clearings in others, as large."""
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.normal(size=(N, SIDE, SIDE)), (0, 8, 8))
    target = (smooth > 0).astype(np.uint8)
    woods = target.copy()
    for i in range(N):
        for row in rng.integers(4, SIDE - 4, 4):
            target[i, row : row + 2] = 1
    a, b = target.copy(), target.copy()
    for i, y, x in zip(range(N), *rng.integers(0, SIDE - 4, (2, N)), strict=True):
        a[i, y : y + 4, x : x + 4] ^= 1  # both make errors everywhere, most of them the same
        b[i, y : y + 4, x : x + 3] ^= 1
    planted = sorted(rng.choice(N, PLANTED, replace=False).tolist())
    for i in planted:  # most pieces of the hedges are lost
        lost = ndimage.uniform_filter(rng.normal(size=(SIDE, SIDE)), 8) > -0.1
        b[i] = np.where((target[i] > woods[i]) & lost, 0, b[i])
    widest = np.argsort([-ndimage.distance_transform_cdt(m).max() for m in woods])
    for i in (i for i in widest if i not in planted):
        if scores(a, target) <= scores(b, target):
            break
        inside = ndimage.distance_transform_cdt(a[i])
        y, x = np.unravel_index(inside.argmax(), inside.shape)
        half = inside[y, x] - 3
        missing = max(1, (b != target).sum() - (a != target).sum())
        half = min(half, int(np.ceil(missing**0.5 / 2)))
        a[i, max(0, y - half) : y + half, max(0, x - half) : x + half] = 0
    ids = [f"patch {i:03d}" for i in range(N)]
    maps = [dict(zip(ids, m, strict=True)) for m in (a, b, target)]
    return maps[0], maps[1], maps[2], [ids[i] for i in planted]


def scores(pred: np.ndarray, target: np.ndarray) -> float:
    """Macro mIoU by its definition."""
    return float(
        np.mean(
            [
                ((pred == k) & (target == k)).sum() / ((pred == k) | (target == k)).sum()
                for k in range(2)
            ]
        )
    )


@pytest.fixture(scope="module")
def made():
    return made_pair()


@pytest.fixture(scope="module")
def compared(made):
    a, b, target, _ = made
    names = ("open", "wood")
    return compare_models({"A": a, "B": b}, target, classes=names, gsd=10, draws=500)


def test_tied_models_with_different_boundaries_are_found(made, compared):
    a, b, target, _ = (
        np.stack(list(maps.values())) if isinstance(maps, dict) else maps for maps in made
    )
    assert abs(scores(a, target) - scores(b, target)) < 0.002
    (pair,) = compared.hidden
    assert (pair.first, pair.second) == ("A", "B")
    assert pair.miou.difference == pytest.approx(scores(a, target) - scores(b, target))
    assert pair.miou.is_tie
    assert not pair.boundary.is_tie
    assert pair.area.difference > 0
    assert compared.pair("B", "A") is pair
    assert compared.table().hides_a_difference.tolist() == [True]
    assert compared.curves.groupby("model").size().tolist() == [21, 21]


def test_the_patches_with_planted_losses_rank_first(made, compared):
    *_, planted = made
    top = compared.hidden[0].ranking["id"].head(PLANTED)
    assert len(set(top) & set(planted)) >= 9


def test_the_loss_is_attributed_and_told(compared):
    (pair,) = compared.hidden
    shares = pair.attribution.set_index(["by", "part"])
    narrow = shares.loc[("width_m", "20 m wide structures")]
    assert narrow["first"] > 0.95 > narrow["second"]
    wide = shares.loc[("width_m", "over 70 m wide structures")]
    assert wide["lost"] < 0  # the clearings
    assert narrow["lost"] > 0
    for words in (
        "A and B are tied in mIoU",
        "But B draws the worse boundaries",
        "wood",
        "20 m wide",
    ):
        assert words in pair.paragraph
    assert "\n" not in pair.paragraph


def test_ids_are_matched_and_not_positions(made, compared):
    a, b, target, _ = made
    turned = dict(reversed(list(b.items()))) | {"elsewhere": b["patch 000"]}
    again = compare_models({"A": a, "B": turned}, target, classes=2, gsd=10, draws=500)
    pd.testing.assert_frame_equal(again.pairs[0].ranking, compared.pairs[0].ranking)


def test_every_two_of_several_models_are_compared(made):
    a, b, target, _ = made
    found = compare_models({"A": a, "B": b, "again": a}, target, classes=2, gsd=10, draws=100)
    assert {(p.first, p.second) for p in found.pairs} >= {("A", "B"), ("again", "B")}
    assert len(found.pairs) == 3
    assert len(found.hidden) == 0  # p = 0.045 alone, but three pairs were looked at
    p = sorted(pair.boundary.p_value for pair in found.pairs)
    assert p[0] < 0.05
    assert min(pair.boundary.p_corrected for pair in found.pairs) == pytest.approx(3 * p[0])
    assert "0 of these differ in Boundary IoU, corrected for all pairs" in str(found)
    same = found.pair("A", "again")
    assert same.miou.difference == 0
    assert "not told apart" in same.paragraph
    assert same.ranking["score"].max() == 0


def test_ignored_pixels_are_nobodys_business(made):
    a, _, target, _ = made
    ids = list(target)[:12]
    hidden = {i: np.where(np.arange(SIDE) < 20, 9, target[i]) for i in ids}
    noisy = {i: np.where(np.arange(SIDE) < 20, 1 - a[i], a[i]) for i in ids}
    plain = {i: a[i] for i in ids}
    found = compare_models(
        {"A": plain, "B": noisy}, hidden, classes=2, gsd=10, ignore_index=9, draws=100
    )
    (pair,) = found.pairs
    assert pair.miou.difference == pair.area.difference == 0
    assert (pair.ranking[["area", "boundary", "thin", "objects"]] == 0).all(axis=None)


def test_groups_are_drawn_whole(made):
    a, b, target, _ = made
    groups = {i: int(i[-3:]) // 6 for i in target}
    found = compare_models({"A": a, "B": b}, target, classes=2, gsd=10, groups=groups, draws=100)
    assert found.pairs[0].miou.n_groups == 10


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"predictions": {"A": {}}}, "needs at least two models"),
        ({"classes": None}, "needs the classes"),
        ({"gsd": None}, "needs the size of a pixel"),
        ({"gsd": -10.0}, "must be positive and finite"),
        ({"targets": {"other": np.zeros((4, 4), int)}}, "'A' must have a map of each of the 1"),
        ({"targets": {"p": np.zeros((5, 4), int)}}, "must be \\(5, 4\\) pixels as the targets"),
        ({"classes": 1}, "Every label of the prediction must be a class"),
        ({"groups": {}}, "Each patch needs its group"),
        (
            {"targets": {"p": np.full((4, 4), 9)}, "ignore_index": 9},
            "needs a labelled pixel, but all of the 1 targets hold the ignored 9",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused(change, message):
    maps = {"p": np.eye(4, dtype=int)}
    given = {"predictions": {"A": maps, "B": maps}, "targets": maps, "classes": 2, "gsd": 10.0}
    with pytest.raises(EvaluationError, match=message):
        compare_models(**(given | change))


def test_disagreement_counts_pixels_bands_and_lost_objects():
    rng = np.random.default_rng(1)
    a = (ndimage.gaussian_filter(rng.normal(size=(6, 40, 40)), (0, 2, 2)) > 0).astype(int)
    b = (ndimage.gaussian_filter(rng.normal(size=(6, 40, 40)), (0, 2, 2)) > 0).astype(int)
    b[0] = a[0]
    found = disagreement(a, b, classes=2, rules=DisagreementRules(object_pixels=1))
    np.testing.assert_allclose(found["area"], (a != b).mean((1, 2)))
    for i in range(6):
        lost = 0
        for one, other in ((a[i], b[i]), (b[i], a[i])):
            for k in (0, 1):
                parts, count = ndimage.label(one == k, np.ones((3, 3)))
                lost += sum(not (other[parts == n] == k).any() for n in range(1, count + 1))
        assert found["objects"][i] == lost
        bands = [
            (m[i] == k) & ~ndimage.binary_erosion(m[i] == k, np.ones((3, 3)), 2, border_value=1)
            for m in (a, b)
            for k in (0, 1)
        ]
        differ = np.pad(a[i] != b[i], 9, constant_values=True)  # what is beyond may go on
        strips = differ & ~ndimage.binary_opening(differ, np.ones((6, 6)))
        expected = (strips[9:-9, 9:-9] & np.any(bands, axis=0)).mean()
        assert found["boundary"][i] == pytest.approx(expected)
    assert found.iloc[0].tolist() == [0, 0, 0, 0, 0]
    pd.testing.assert_frame_equal(
        found, disagreement(b, a, classes=2, rules=DisagreementRules(object_pixels=1))
    )
    with pytest.raises(EvaluationError, match="Patches are ranked by"):
        rank_patches(list("abcdef"), found, by="error")
    with pytest.raises(EvaluationError, match="at least 1 pixel"):
        DisagreementRules(band=0)


def test_thin_ground_that_is_disputed_is_counted():
    a = np.zeros((1, 30, 30), int)
    a[0, 10:13, :] = 1  # 3 px wide: thin
    a[0, 20:24, :] = 1  # 4 px: not
    found = disagreement(a, np.zeros_like(a), classes=2)
    assert found["thin"][0] == pytest.approx(3 * 30 / 900)


def test_attribution_counts_every_valid_pixel_once_in_each_table():
    rng = np.random.default_rng(2)
    first, second, target = rng.integers(0, 3, (3, 4, 20, 20))
    target[:, :3] = 7
    found = attribution(first, second, target, classes=list("abc"), gsd=30.0, ignore_index=7)
    valid = target != 7
    for _, rows in found.groupby("by"):
        assert rows["pixels"].sum() == valid.sum()
        alone = (first == target) & (second != target)
        assert rows["only_first"].sum() == (alone & valid).sum()
        assert (rows["only_first"] - rows["only_second"] == rows["lost"]).all()
    assert found[found["by"] == "distance_m"]["to"].tolist() == [30, 60, 120, 240, np.inf]


def test_objects_are_eight_connected_and_end_at_the_image():
    maps = np.zeros((2, 5, 5), int)
    maps[0, 4, 4] = maps[1, 0, 0] = 1
    maps[0, 3, 3] = 1
    sizes = object_sizes(maps, np.ones_like(maps, bool))
    assert (sizes[0, 4, 4], sizes[1, 0, 0], sizes[1, 1, 0]) == (2, 1, 24)


def test_targets_that_know_their_classes_need_no_more(made):
    a, b, target, _ = made
    stored = [
        Predictions(name, tuple(m), np.stack(list(m.values())), ("x", "y"), 10.0)
        for name, m in (("A", a), ("B", b), ("target", target))
    ]
    found = compare_models({p.model: p for p in stored[:2]}, stored[2], draws=100)
    assert found.classes == ("x", "y")


def test_scores_that_contradict_each_other_name_no_worse_model():
    """One model is a pixel off everywhere; the other has the wrong field inside each wood."""
    n, side = 24, 64
    target = np.zeros((n, side, side), np.uint8)
    target[:, 12:52, 12:52] = 1
    moved = np.roll(target, 1, axis=2)
    blob = target.copy()
    rng = np.random.default_rng(3)
    for i in range(n):
        half = 7 + int(rng.integers(2))
        blob[i, 32 - half : 32 + half, 32 - half : 32 + half] = 0
    ids = [f"p{i}" for i in range(n)]
    maps = {k: dict(zip(ids, m, strict=True)) for k, m in (("moved", moved), ("field", blob))}
    (pair,) = compare_models(
        maps, dict(zip(ids, target, strict=True)), classes=2, gsd=10, dilation=1, draws=200
    ).pairs
    assert pair.boundary.difference * pair.area.difference < 0
    assert pair.contradicts
    assert "disagree" in pair.paragraph
    assert "worse" not in pair.paragraph
    assert "tolerances of" in pair.paragraph
    assert pair.shifts["moved"].whole == (0, -1)
    assert "maps of moved fit the labels better" in pair.paragraph


def test_equal_models_hide_nothing():
    """Six models with the same kind of errors, drawn anew: at most one family in ten claims."""
    claimed = 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        target = (ndimage.gaussian_filter(rng.normal(size=(20, 24, 24)), (0, 3, 3)) > 0).astype(int)
        ids = [str(i) for i in range(20)]
        models = {
            str(m): dict(zip(ids, target ^ (rng.random(target.shape) < 0.05), strict=True))
            for m in range(6)
        }
        truth = dict(zip(ids, target, strict=True))
        claimed += bool(compare_models(models, truth, classes=2, gsd=10, draws=100).hidden)
    assert claimed <= 1


def test_missing_and_travelling_groups_are_told(made):
    a, b, target, _ = made
    ids = tuple(target)
    stored = {
        name: Predictions(name, ids, np.stack(list(m.values())), ("x", "y"), 10.0)
        for name, m in (("A", a), ("B", b), ("target", target))
    }
    truth = stored.pop("target")
    assert "No groups" in compare_models(stored, truth, draws=100).notes[0]
    blocks = tuple(str(i // 6) for i in range(N))
    grouped = {k: dataclasses.replace(p, groups=blocks) for k, p in stored.items()}
    found = compare_models(grouped, truth, draws=100)
    assert (found.n_groups, found.has_groups) == (10, True)
    grouped["B"] = dataclasses.replace(stored["B"], groups=tuple(str(i % 7) for i in range(N)))
    with pytest.raises(EvaluationError, match="groups them otherwise"):
        compare_models(grouped, truth, draws=100)


def test_maps_without_boundaries_have_an_miou():
    ids = [str(i) for i in range(8)]
    flat = {i: np.zeros((16, 16), int) for i in ids}
    other = {i: np.full((16, 16), k % 2) for k, i in enumerate(ids)}
    found = compare_models({"a": flat, "b": other}, flat, classes=2, gsd=10, draws=100)
    assert found.pairs[0].miou.difference > 0
    assert found.pairs[0].boundary.is_tie
