import io
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from workbench.errors import EvaluationError
from workbench.execution.offline import external_references
from workbench.legends import HRL_TREE_MASK
from workbench.viz import Inspector, InspectorPatch
from workbench.viz.inspector import distinct_names
from workbench.viz.inspector_data import class_png, pack_patch, pack_spectra
from workbench.viz.statics_inspector import difference_classes, unpacked_maps

CLASSES = [("forest", "#228833"), ("water", "#3366cc"), ("crops", "#eecc66")]
HOSTILE = '</script><img src=x onerror="alert(1)">&amp; $x_2$ {{SCRIPT}}'


def made_patch(name, rng, shape=(20, 24), **more):
    maps = [ndimage.uniform_filter(rng.integers(0, 9, shape), 3) % 3 for _ in range(3)]
    image = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
    return replace(InspectorPatch(name, image, *maps), **more)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def meta_of(page):
    return json.loads(re.search(r'id="meta">(.*?)</script>', page, re.S).group(1))


def test_class_maps_come_back_from_the_png_with_indices_and_colours(rng):
    ids = rng.integers(0, 4, (17, 33)).astype(np.uint8)
    image = Image.open(io.BytesIO(class_png(ids, [colour for _, colour in CLASSES])))
    assert np.array_equal(np.asarray(image), ids)
    expected = np.array([[0x22, 0x88, 0x33], [0x33, 0x66, 0xCC], [0xEE, 0xCC, 0x66], [0x9A] * 3])
    assert np.array_equal(np.asarray(image.convert("RGB")), expected[ids])


def test_a_packed_patch_keeps_its_maps_and_counts_by_definition(rng):
    patch = made_patch("p", rng)
    target = patch.target.copy()
    target[:4] = 255
    packed = pack_patch(replace(patch, target=target), [c for _, c in CLASSES], 255)
    back, a, b = unpacked_maps(packed)
    assert np.array_equal(a, patch.a)
    assert np.array_equal(b, patch.b)
    assert np.array_equal(back, np.where(target == 255, 3, target))
    pixels = [(t, u, v) for t, u, v in zip(*map(np.ravel, (target, a, b)), strict=True) if t < 3]
    share = sum(u != v for _, u, v in pixels) / len(pixels)
    assert packed.scores["disagreement"] == pytest.approx(share)
    only_a = sum(u == t != v for t, u, v in pixels) / len(pixels)
    only_b = sum(v == t != u for t, u, v in pixels) / len(pixels)
    assert packed.scores["A right, B wrong"] == pytest.approx(only_a)
    assert packed.scores["B right, A wrong"] == pytest.approx(only_b)
    assert set(packed.differing) == {w for _, u, v in pixels if u != v for w in (u, v)}


def test_the_largest_region_is_that_of_pixels_that_count():
    target = np.zeros((8, 8), int)
    a, b = target.copy(), target.copy()
    b[1:3, 1:5] = 1  # 8 pixels, of which the first two columns carry no label
    b[6, 6] = 2
    target[:, :3] = 3
    image = np.zeros((8, 8, 3), np.uint8)
    packed = pack_patch(InspectorPatch("p", image, target, a, b), [c for _, c in CLASSES], 3)
    assert packed.largest == 4
    kinds = difference_classes(target, a, b, 3)
    assert kinds.sum() == 4 + 1  # only A is right wherever they differ


@pytest.mark.parametrize("bands", [5, 40])
def test_spectra_come_back_within_the_error_that_is_told(rng, bands):
    mixture = rng.random((bands, 4)) @ rng.random((4, 15 * 11))
    cube = (mixture + rng.normal(0, 0.001, mixture.shape)).reshape(bands, 15, 11)
    cube[:, 3, 4] = np.nan
    packed = pack_spectra(cube.astype(np.float32))
    kept = len(packed.low)
    planes = np.asarray(Image.open(io.BytesIO(packed.planes))).reshape(kept, 15, 11)
    basis = np.frombuffer(packed.basis, "<f4").reshape(kept + 1, bands)
    weights = np.array(packed.low) + (planes - 1.0).transpose(1, 2, 0) * np.array(packed.step)
    back = basis[0] + weights @ basis[1:]
    known = np.isfinite(cube[0])
    assert (planes[0] == 0).sum() == 1
    assert planes[:, 3, 4].max() == 0
    error = np.sqrt(np.mean((back[known] - cube[:, known].T) ** 2))
    assert error == pytest.approx(packed.error, rel=1e-3)
    assert error < 0.01


def test_the_page_fetches_nothing_and_shows_hostile_text_as_text(rng):
    patch = made_patch(HOSTILE, rng, scores={"<b>": 1.0})
    inspector = Inspector([patch], CLASSES, gsd=10, names=(HOSTILE, "b"), title=HOSTILE)
    page = inspector.page()
    assert external_references(page) == []
    assert "<img src=x" not in page
    assert meta_of(page)["patches"][0]["id"] == HOSTILE
    assert inspector.view().png.startswith(b"\x89PNG")  # nor does the picture read it as maths


def test_patches_are_packed_one_by_one(rng):
    alive = []

    def patches():
        for k in range(3):
            alive.append(made_patch(f"p{k}", rng))
            yield alive.pop()

    inspector = Inspector(patches(), CLASSES, gsd=10)
    assert len(inspector) == 3
    assert [patch.id for patch in inspector] == ["p0", "p1", "p2"]


def test_the_notebook_shows_the_first_patches_that_fit_and_says_how_many_there_are(rng):
    scores = [0.1, float("nan"), 0.9, 0.4]
    patches = [made_patch(f"p{k}", rng, scores={"loss": s}) for k, s in enumerate(scores)]
    inspector = Inspector(patches, CLASSES, gsd=10, sort_by="loss")
    assert [patch.id for patch in inspector.ranked()] == ["p2", "p3", "p0", "p1"]
    room = sum(patch.nbytes for patch in inspector.ranked()[:2]) * 4 / 3e6
    meta = meta_of(inspector.view(megabytes=room * 1.01).page)
    assert [patch["id"] for patch in meta["patches"]] == ["p2", "p3"]
    assert meta["total"] == 4
    assert meta_of(inspector.page())["patches"][1]["scores"].count(None) == 1
    bundle = inspector._repr_mimebundle_()
    assert re.search("</iframe><img alt=", bundle["text/html"])
    assert bundle["text/plain"].startswith("<Inspector of A and B: 4 patches")


def test_a_saved_page_is_the_whole_one(rng, tmp_path):
    inspector = Inspector([made_patch("p", rng)], CLASSES, gsd=10)
    path = inspector.save(tmp_path / "new" / "compare.html")
    assert path.read_text("utf-8") == inspector.page()
    assert [file.name for file in path.parent.iterdir()] == ["compare.html"]


def test_the_fingerprint_tells_comparisons_apart_and_not_orders(rng):
    patches = [made_patch(f"p{k}", rng) for k in range(3)]
    first = Inspector(patches, CLASSES, gsd=10).comparison
    assert Inspector(patches[::-1], CLASSES, gsd=10).comparison == first
    assert Inspector(patches[:2], CLASSES, gsd=10).comparison != first
    assert Inspector(patches, CLASSES, gsd=10, names=("A", "C")).comparison != first
    other = [replace(patches[0], b=patches[0].a), *patches[1:]]
    assert Inspector(other, CLASSES, gsd=10).comparison != first


def test_a_legend_gives_names_colours_and_the_ignored_index(rng):
    patch = made_patch("p", rng)
    target = np.where(patch.target > 1, HRL_TREE_MASK.ignore_index, patch.target)
    binary = replace(patch, target=target, a=patch.a % 2, b=patch.b % 2)
    meta = meta_of(Inspector([binary], HRL_TREE_MASK, gsd=10).page())
    assert tuple(one["name"] for one in meta["classes"]) == HRL_TREE_MASK.names


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"a": np.zeros((4, 4), int)}, "Predictions have the shape of their target, but in patch"),
        ({"b": np.full((20, 24), 3)}, "Every value of B must be a class 0–2, but patch 'p' has 3"),
        ({"target": np.full((20, 24), 7)}, "Every value of target must be a class 0–2"),
        ({"a": np.zeros((20, 24))}, "Class maps hold whole numbers, but A of patch 'p' is float64"),
        ({"target": np.zeros((2, 20, 24), int)}, r"A target is one map of \(H, W\) pixels"),
        ({"image": np.zeros((20, 24, 3))}, r"A picture is \(H, W, 3\) uint8"),
        ({"image": {}}, "A patch needs a picture or bands; 'p' has neither"),
        ({"bands": np.zeros((3, 5, 5))}, r"Bands are \(C, H, W\) on the pixels of the target"),
    ],
)
def test_what_is_wrong_with_a_patch_is_said(rng, change, message):
    with pytest.raises(EvaluationError, match=message):
        Inspector([replace(made_patch("p", rng), **change)], CLASSES, gsd=10)


def test_an_inspector_needs_patches_distinct_ids_a_size_and_a_known_measure(rng):
    patch = made_patch("p", rng)
    with pytest.raises(EvaluationError, match="needs at least one patch"):
        Inspector([], CLASSES, gsd=10)
    with pytest.raises(EvaluationError, match="'p' stands 2 times"):
        Inspector([patch, patch], CLASSES, gsd=10)
    with pytest.raises(EvaluationError, match="The side of a pixel must be positive"):
        Inspector([patch], CLASSES, gsd=-10)
    with pytest.raises(EvaluationError, match="`sort_by` must be a measure of the patches"):
        Inspector([patch], CLASSES, gsd=10, sort_by="boundary")
    with pytest.raises(EvaluationError, match="There must be 1–255 classes"):
        Inspector([patch], [], gsd=10)


def test_a_comparison_is_shown_with_its_ranking(rng):
    from workbench.evaluation.comparison import compare_models
    from workbench.evaluation.predictions import Predictions

    ids = tuple(f"p{k}" for k in range(6))
    truth = np.zeros((6, 24, 24), int)
    truth[:, 4:18, 4:18] = 1
    truth[:, 21, 2:20] = 1  # a line, lost by one model in two patches
    truth[:, 0, :6] = 9
    whole = truth % 9
    lossy = whole.copy()
    lossy[[2, 5], 21] = 0
    targets = Predictions("target", ids, truth, ("land", "water"), 30.0, 9)
    maps = {
        "whole": dict(zip(ids, whole, strict=True)),
        "lossy": dict(zip(ids, lossy, strict=True)),
    }
    found = compare_models(maps, targets, draws=100)
    images = {name: np.zeros((24, 24, 3), np.uint8) for name in ids}
    inspector = Inspector.from_comparison(found, maps, targets, images, title="Lost lines")
    assert inspector.names == ("whole", "lossy")
    assert {patch.id for patch in inspector.ranked()[:2]} == {"p2", "p5"}
    assert inspector.ranked()[0].scores["A right, B wrong"] == pytest.approx(18 / (24 * 24 - 6))
    assert {"dispute", "thin structures apart"} <= set(inspector.measures)
    assert inspector.gsd == 30.0
    turned = Inspector.from_comparison(
        found, maps, targets, images.__getitem__, pair=("lossy", "whole")
    )
    assert len(turned) == 6
    with pytest.raises(EvaluationError, match="Every compared patch needs its picture, but 'p"):
        Inspector.from_comparison(found, maps, targets, {})
    with pytest.raises(EvaluationError, match="those of 'lossy' are missing"):
        Inspector.from_comparison(found, {"whole": maps["whole"]}, targets, images)


def test_a_patch_without_labels_has_no_scores_and_comes_last(rng):
    bare = made_patch("bare", rng, target=np.full((20, 24), 3))
    inspector = Inspector([bare, made_patch("p", rng)], CLASSES, gsd=10)
    assert [patch.id for patch in inspector.ranked()] == ["p", "bare"]
    assert bytes(inspector.view().png[:4]) == b"\x89PNG"


def test_names_of_models_are_shortened_to_what_tells_them_apart():
    stem = (
        "finetune-2022-campaign-forest_segmentation-pretrained-{}-patch4-seed=0-protocol=finetune"
    )
    names = (stem.format("vit_small"), stem.format("resnet50"))
    assert distinct_names(names) == ("A · vit_small", "B · resnet50")
    assert distinct_names(("U-Net", "ViT")) == ("U-Net", "ViT")
    assert distinct_names(("same", "same")) == ("A", "B")
    assert distinct_names((stem, f"{stem}-2")) == ("A", "B · 2")
    long = distinct_names(("x" * 200, "y" * 200))
    assert long[0] != long[1]
    assert max(map(len, long)) <= 30


@pytest.mark.parametrize(
    ("given", "shown"), [("#0A8", "#00aa88"), ("red", "#ff0000"), ("336699", "#336699")]
)
def test_colours_may_be_written_in_other_ways(given, shown):
    ones = np.zeros((4, 4), int)
    patch = InspectorPatch("a", np.zeros((4, 4, 3), np.uint8), ones, ones, ones)
    assert Inspector([patch], [("only", given)], gsd=1.0).classes == (("only", shown),)


def test_what_is_no_colour_is_refused():
    ones = np.zeros((4, 4), int)
    patch = InspectorPatch("a", np.zeros((4, 4, 3), np.uint8), ones, ones, ones)
    with pytest.raises(EvaluationError, match="class 'only' is 'url"):
        Inspector([patch], [("only", "url(x)")], gsd=1.0)
