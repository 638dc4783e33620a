import numpy as np
import pytest
import torch
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassCalibrationError,
    MulticlassF1Score,
    MulticlassJaccardIndex,
    MultilabelAveragePrecision,
    MultilabelF1Score,
)
from torchmetrics.regression import MeanSquaredError, R2Score

from workbench.errors import ContractMismatchError
from workbench.evaluation.metrics import SegmentationTally
from workbench.evaluation.metrics_density import DensityTally
from workbench.evaluation.metrics_labels import MultiLabelTally
from workbench.evaluation.score_records import read_scores
from workbench.evaluation.scores import average_precision
from workbench.evaluation.statistics import paired_bootstrap, paired_permutation

NAMES = ["water", "forest", "field", "town"]
IGNORED = 4


@pytest.fixture
def maps():
    """Logits and labels of 6 images of 4 classes, one of them nowhere, some pixels ignored."""
    rng = torch.Generator().manual_seed(0)
    target = torch.randint(0, 3, (6, 9, 9), generator=rng)
    target[:, 0, :3] = IGNORED
    logits = torch.randn(6, 4, 9, 9, generator=rng)
    logits[:, 3] -= 20
    logits += 1.5 * torch.nn.functional.one_hot(target % 4, 4).permute(0, 3, 1, 2)
    return logits, target


@pytest.fixture
def tally(maps):
    tally = SegmentationTally(NAMES, ignore_index=IGNORED)
    logits, target = maps
    tally.add(logits[:4], target[:4], list("abcd"))
    tally.add(logits[4:], target[4:], list("ef"))
    return tally


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("overall_accuracy", MulticlassAccuracy(4, average="micro", ignore_index=IGNORED)),
        ("macro_miou", MulticlassJaccardIndex(4, average="macro", ignore_index=IGNORED)),
        ("micro_iou", MulticlassJaccardIndex(4, average="micro", ignore_index=IGNORED)),
        ("macro_f1", MulticlassF1Score(4, average="macro", ignore_index=IGNORED)),
        ("ece", MulticlassCalibrationError(4, n_bins=15, norm="l1", ignore_index=IGNORED)),
    ],
)
def test_scores_of_maps_equal_the_reference(tally, maps, name, reference):
    logits, target = maps
    given = logits.softmax(1) if name == "ece" else logits.argmax(1)
    assert tally.scores()[name].value == pytest.approx(float(reference(given, target)), abs=1e-6)


def test_micro_iou_is_a_function_of_overall_accuracy(tally):
    oa = tally.scores()["overall_accuracy"].per_image
    assert tally.scores()["micro_iou"].per_image == pytest.approx(oa / (2 - oa))


def test_the_iou_of_a_class_is_that_of_its_pixels(tally, maps):
    logits, target = maps
    found, known = logits.argmax(1), target != IGNORED
    shared = ((found == 1) & (target == 1) & known).sum()
    either = (((found == 1) | (target == 1)) & known).sum()
    assert tally.scores()["iou/forest"].value == pytest.approx(float(shared / either))
    assert np.isnan(tally.scores()["iou/town"].value)


def test_a_score_under_weights_is_the_score_of_the_images_drawn(tally, maps):
    logits, target = maps
    drawn = [0, 0, 2, 5]
    again = SegmentationTally(NAMES, ignore_index=IGNORED)
    again.add(logits[drawn], target[drawn], list("wxyz"))
    weights = np.bincount(drawn, minlength=6)[None].astype(float)
    for name, score in tally.scores().items():
        wanted = again.scores()[name].value
        assert score.under(weights)[0] == pytest.approx(wanted, nan_ok=True), name


def test_every_score_says_what_it_is(tally):
    for score in tally.scores().values():
        assert score.definition.endswith(".")
        assert score.name in str(score)
    assert tally.scores()["ece"].metric.higher_is_better is False


def test_images_without_labelled_pixels_are_refused_or_counted(maps):
    logits, target = maps
    target[2] = IGNORED
    tally = SegmentationTally(NAMES, ignore_index=IGNORED)
    with pytest.raises(ContractMismatchError, match=r"but 1 \(such as 'c'\) has only ignored"):
        tally.add(logits, target, list("abcdef"))
    with pytest.raises(ContractMismatchError, match="every image of the batch"):
        tally.add(logits[2:3], target[2:3], ["c"])
    lenient = SegmentationTally(NAMES, ignore_index=IGNORED, empty="drop")
    lenient.add(logits, target, list("abcdef"))
    assert lenient.dropped == 1
    assert lenient.scores()["ece"].images == tuple("abdef")


def test_what_is_outside_the_legend_is_refused(maps):
    logits, target = maps
    target[1, 3, 3] = 7
    tally = SegmentationTally(NAMES, ignore_index=IGNORED)
    with pytest.raises(ContractMismatchError, match=r"labels are 0 to 3 or the ignored 4.*'b'"):
        tally.add(logits, target, list("abcdef"))
    target[1, 3, 3] = 0
    with pytest.raises(ContractMismatchError, match="predictions are 0 to 3"):
        tally.add(torch.full_like(target, 4), target, list("abcdef"))
    with pytest.raises(ContractMismatchError, match="one channel for each of the 4 classes"):
        tally.add(logits[:, :3], target, list("abcdef"))
    with pytest.raises(ContractMismatchError, match="judged once, but 'a' came twice"):
        tally.add(logits, target, list("aacdef"))
    with pytest.raises(ContractMismatchError, match="at least one image"):
        tally.scores()


@pytest.fixture
def vectors():
    rng = torch.Generator().manual_seed(1)
    target = (torch.rand(40, 4, generator=rng) < 0.4).long()
    return torch.randn(40, 4, generator=rng) + target, target


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("micro_f1", MultilabelF1Score(4, average="micro")),
        ("macro_f1", MultilabelF1Score(4, average="macro")),
        ("micro_map", MultilabelAveragePrecision(4, average="micro")),
        ("macro_map", MultilabelAveragePrecision(4, average="macro")),
    ],
)
def test_scores_of_label_vectors_equal_the_reference(vectors, name, reference):
    logits, target = vectors
    tally = MultiLabelTally(NAMES)
    tally.add(logits, target, [str(i) for i in range(40)])
    wanted = float(reference(logits.sigmoid(), target))
    assert tally.scores()[name].value == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("name", ["micro_f1", "macro_f1", "micro_map", "macro_map"])
def test_label_vectors_drawn_twice_count_twice(vectors, name):
    logits, target = vectors
    drawn = [0, 3, 3, 3, 7, 20, 21, 39]
    whole, part = MultiLabelTally(NAMES), MultiLabelTally(NAMES)
    whole.add(logits, target, [str(i) for i in range(40)])
    part.add(logits[drawn], target[drawn], [str(i) for i in range(8)])
    weights = np.bincount(drawn, minlength=40)[None].astype(float)
    again = whole.scores()[name].under(np.concatenate([weights, weights]))
    assert again == pytest.approx([part.scores()[name].value] * 2)


def test_equal_confidences_have_no_order():
    truth = np.array([True, False, True, False])
    even = average_precision(np.full(4, 0.3), truth, np.ones((1, 4)))
    assert even == pytest.approx([0.5])
    assert np.isnan(average_precision(np.ones(2), np.zeros(2, bool), np.ones((1, 2))))[0]


def test_label_vectors_that_do_not_fit_are_refused(vectors):
    logits, target = vectors
    tally = MultiLabelTally(NAMES)
    with pytest.raises(ContractMismatchError, match="40 images and 4 classes"):
        tally.add(logits[:, :3], target, [str(i) for i in range(40)])
    with pytest.raises(ContractMismatchError, match="label vectors are 0 to 1"):
        tally.add(logits, target + 1, [str(i) for i in range(40)])


def test_scores_of_densities_equal_the_reference():
    rng = torch.Generator().manual_seed(2)
    target = torch.rand(5, 8, 8, generator=rng)
    found = target + 0.2 * torch.randn(5, 8, 8, generator=rng)
    target[:, :2] = torch.nan
    tally = DensityTally()
    tally.add(found, target, list("abcde"))
    known = ~target.isnan()
    scores = tally.scores()
    wanted = float(MeanSquaredError(squared=False)(found[known], target[known]))
    assert scores["rmse"].value == pytest.approx(wanted, rel=1e-5)
    assert scores["r2"].value == pytest.approx(float(R2Score()(found[known], target[known])), 1e-4)
    with pytest.raises(ContractMismatchError, match=r"labelled pixel.*'f'"):
        tally.add(found[:1], torch.full((1, 8, 8), torch.nan), ["f"])


def test_r2_of_labels_without_spread_is_undefined():
    tally = DensityTally()
    tally.add(torch.rand(1, 4, 4), torch.full((1, 4, 4), 0.3), ["a"])
    assert np.isnan(tally.scores()["r2"].value)


@pytest.mark.parametrize("kind", ["maps", "vectors", "densities"])
def test_scores_come_back_from_their_file(kind, tally, vectors, tmp_path):
    if kind == "vectors":
        tally = MultiLabelTally(NAMES)
        tally.add(*vectors, [str(i) for i in range(40)])
    if kind == "densities":
        tally = DensityTally()
        tally.add(torch.rand(4, 3, 3), torch.rand(4, 3, 3), list("abcd"))
    groups = [f"tile {i // 2}" for i in range(len(tally.record().images))]
    tally.record().grouped(groups).write(tmp_path / "cell.npz")
    again = read_scores(tmp_path / "cell.npz")
    assert again.groups == tuple(groups)
    for name, score in tally.scores().items():
        assert again.scores()[name].value == pytest.approx(score.value, nan_ok=True)
        assert again.scores()[name].definition == score.definition
        assert again.scores()[name].images == score.images


def test_models_are_compared_by_their_scores_not_by_means_over_images(tally, maps):
    """A permutation of macro mIoU: swapping every image swaps the models."""
    logits, target = maps
    other = SegmentationTally(NAMES, ignore_index=IGNORED)
    other.add(logits.roll(1, dims=0), target, list("abcdef"))
    a, b = tally.scores()["macro_miou"], other.scores()["macro_miou"]
    rng = np.random.default_rng(0)
    for test in (paired_bootstrap, paired_permutation):
        found = test(a, b, rng=rng)
        assert found.difference == pytest.approx(a.value - b.value)
        assert found.better == "a"
    assert paired_permutation(a, b, rng=rng).p_value == 2 / 2**6
    assert paired_bootstrap(a, a, rng=rng).is_tie
    fewer = SegmentationTally(NAMES, ignore_index=IGNORED)
    fewer.add(logits[:3], target[:3], list("abc"))
    with pytest.raises(ValueError, match="of 6 and 3 images 3 are in both"):
        paired_bootstrap(a, fewer.scores()["macro_miou"], rng=rng)


@pytest.mark.parametrize(("images", "classes"), [(1, 3), (3, 1), (1, 1)])
def test_one_image_or_one_class_of_labels_can_be_scored(images, classes):
    logits = torch.arange(images * classes).reshape(images, classes) - 0.5
    tally = MultiLabelTally([f"c{k}" for k in range(classes)])
    tally.add(logits, torch.ones(images, classes), [str(i) for i in range(images)])
    scores = tally.scores()
    hits = int((logits > 0).sum())
    wanted = 2 * hits / (hits + images * classes)
    assert scores["micro_f1"].value == pytest.approx(wanted)


def test_logits_that_are_no_numbers_are_refused():
    logits = torch.zeros(2, 3, 4, 4)
    logits[1, 0, 0, 0] = float("nan")
    target = torch.zeros(2, 4, 4, dtype=torch.long)
    tally = SegmentationTally(["a", "b", "c"], ignore_index=9)
    with pytest.raises(ContractMismatchError, match=r"1 are NaN \(first in image 'y'\)"):
        tally.add(logits, target, ["x", "y"])
    target[1, 0, 0] = 9  # nobody asks there
    tally.add(logits, target, ["x", "y"])
    assert tally.scores()["overall_accuracy"].value == 1
    with pytest.raises(ContractMismatchError, match="are NaN"):
        MultiLabelTally(["a"]).add(torch.full((1, 1), float("nan")), torch.ones(1, 1), ["x"])
