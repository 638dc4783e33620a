"""A store of predictions: the same maps back, whole or not at all, and matched by id."""

import numpy as np
import pytest

from workbench.errors import EvaluationError, ManifestError
from workbench.evaluation import Predictions, read_predictions, write_predictions
from workbench.evaluation.predictions import matched, short_names


def made(**change) -> Predictions:
    rng = np.random.default_rng(0)
    given = {
        "model": "<b>ViT-S</b>",
        "ids": ("n/1", "n/2", "n/3"),
        "maps": rng.integers(0, 3, (3, 8, 9), dtype=np.uint8),
        "classes": ("a", "b", "c"),
        "gsd": 30.0,
        "ignore_index": 3,
        "colors": ("#000000", "#111111", "#222222"),
    }
    return Predictions(**(given | change))


def test_what_was_written_is_read(tmp_path):
    wanted = made()
    write_predictions(tmp_path / "store", wanted)
    found = read_predictions(tmp_path / "store", verify=True)
    np.testing.assert_array_equal(found.maps, wanted.maps)
    for name in ("model", "ids", "classes", "gsd", "ignore_index", "colors"):
        assert getattr(found, name) == getattr(wanted, name)
    np.testing.assert_array_equal(found.of(["n/3", "n/1"]), wanted.maps[[2, 0]])
    assert sorted(p.name for p in (tmp_path / "store").iterdir()) == ["manifest.json", "maps.npy"]


def test_without_a_manifest_there_is_nothing(tmp_path):
    manifest = write_predictions(tmp_path, made())
    manifest.unlink()
    with pytest.raises(ManifestError, match="There is no set of predictions at"):
        read_predictions(tmp_path)


def test_maps_that_changed_are_noticed(tmp_path):
    write_predictions(tmp_path, made())
    np.save(tmp_path / "maps.npy", np.zeros((3, 8, 9), np.uint8))
    with pytest.raises(EvaluationError, match="but has changed"):
        read_predictions(tmp_path, verify=True)
    (tmp_path / "maps.npy").write_bytes(b"no array")
    with pytest.raises(EvaluationError, match="needs its maps beside it"):
        read_predictions(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ids": ("a", "b", "a")}, "Each patch has one map, but 'a' stands twice"),
        ({"ids": ("a", "b")}, "must be \\(2, H, W\\) whole numbers"),
        ({"maps": np.zeros((3, 8, 9))}, "must be \\(3, H, W\\) whole numbers"),
        ({"gsd": -30.0}, "must be > 0 m, but is -30.0"),
    ],
)
def test_what_is_no_set_of_maps_is_refused(change, message):
    with pytest.raises(EvaluationError, match=message):
        made(**change)


def test_patches_without_a_map_are_named():
    with pytest.raises(EvaluationError, match="of each of the 2 patches, but not of 'x'"):
        made().of(["n/1", "x"])


def test_classes_in_another_order_are_matched_by_name():
    truth = made(model="target")
    places = [2, 0, 1]  # where a, b and c stand in the other legend
    turned = made(maps=np.array(places, np.uint8)[truth.maps], classes=("b", "c", "a"))
    found = matched("m", turned, truth)
    np.testing.assert_array_equal(found.maps, truth.maps)
    assert found.classes == truth.classes


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": ("a", "b", "water")}, "'water' is none of them"),
        ({"gsd": 10.0}, "pixels of 30 m, but have 10 m"),
        ({"classes": ("a", "a", "b")}, "'a' stands twice"),
    ],
)
def test_other_classes_and_other_pixels_are_refused(change, message):
    with pytest.raises(EvaluationError, match=message):
        matched("m", made(**change), made(model="target"))


def test_maps_that_were_exchanged_are_noticed_without_asking(tmp_path):
    for name, seed in (("a", 1), ("b", 2)):
        maps = np.random.default_rng(seed).integers(0, 3, (3, 8, 9), dtype=np.uint8)
        write_predictions(tmp_path / name, made(model=name, maps=maps))
    (tmp_path / "a" / "maps.npy").write_bytes((tmp_path / "b" / "maps.npy").read_bytes())
    with pytest.raises(EvaluationError, match="another checksum"):
        read_predictions(tmp_path / "a")


def test_models_are_named_by_what_differs():
    long = "wood / unet / resnet18 / random / scratch / "
    words = [made(model=f"{long}{stem}, seed {i}") for i, stem in enumerate(("s=plain", "s=fine"))]
    assert short_names(words) == ("s=plain 0", "s=fine 1")
    same = [made(model=long * 3)] * 2
    assert len(set(short_names(same))) == 2
    assert max(map(len, short_names(same))) <= 33
