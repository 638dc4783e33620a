"""Patches whose predictions differ between two runs, found and shown."""

import dataclasses

import numpy as np
import pytest

from workbench.commands.changed_patches import changed_patches, changed_shares, kept_in_both
from workbench.evaluation import Predictions, read_predictions
from workbench.evaluation.predictions import write_predictions

IDS = tuple(f"<i>p{k}</i>" for k in range(5))


def made(model, maps, **more):
    about = {"ids": IDS, "classes": ("open", "wood"), "gsd": 10.0, "ignore_index": 255}
    return Predictions(model=model, maps=maps, **(about | more))


@pytest.fixture
def runs(tmp_path):
    """Two runs that kept three models' maps of one task; of the first, two patches differ."""
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 2, (5, 16, 16)).astype(np.uint8)
    other = truth.copy()
    other[3, :8] = 1 - other[3, :8]
    other[1, 0, 0] = 1 - other[1, 0, 0]
    for name, maps in (("a", truth), ("b", other)):
        folder = tmp_path / name / "kept" / "forest"
        write_predictions(folder / "targets", made("target", truth))
        write_predictions(folder / "0011", made("unet", maps))
        write_predictions(folder / "0022", made("fcn", truth))
        write_predictions(folder / f"key-of-{name}", made("linear", maps))
    return tmp_path / "a", tmp_path / "b"


def test_sets_are_matched_by_place_or_by_their_model(runs):
    found, equal = kept_in_both(*runs)
    assert equal == 1
    assert [(k.name, k.a.name, k.b.name) for k in found] == [
        ("unet (kept/forest)", "0011", "0011"),
        ("linear (kept/forest)", "key-of-a", "key-of-b"),
    ]


def test_shares_are_counted_by_hand(runs):
    a, b = (read_predictions(run / "kept" / "forest" / "0011") for run in runs)
    shares = changed_shares(a, b)
    assert shares == {**dict.fromkeys(IDS, 0.0), IDS[3]: 0.5, IDS[1]: 1 / 256}


def test_a_page_holds_the_changed_patches_only(runs, tmp_path):
    found = changed_patches(*runs, tmp_path / "pages")
    assert found.notes == ["1 sets of predictions are equal byte for byte."]
    assert [title for title, _ in found.pages] == [
        "unet (kept/forest): 2 of 5 patches changed",
        "linear (kept/forest): 2 of 5 patches changed",
    ]
    text = found.pages[0][1].read_text(encoding="utf-8")
    assert "p3" in text
    assert "p4" not in text
    assert "<i>p3" not in text


def test_what_cannot_be_shown_is_told(runs, tmp_path):
    forest = runs[1] / "kept" / "forest"
    ours = read_predictions(forest / "0011")
    write_predictions(forest / "0011", dataclasses.replace(ours, classes=("open", "wood", "water")))
    (forest / "key-of-b" / "manifest.json").write_text("[]")
    found = changed_patches(*runs, tmp_path / "pages")
    assert not found.pages
    assert len(found.notes) == 2
    assert found.notes[1].startswith(
        "unet (kept/forest): not shown. Maps of two runs must be of the"
    )
    assert not (tmp_path / "pages").exists()


def test_a_reason_that_holds_of_several_sets_is_told_once(runs, tmp_path):
    moved = tuple(f"q{k}" for k in range(5))
    for name in ("0011", "key-of-b"):
        place = runs[1] / "kept" / "forest" / name
        write_predictions(place, dataclasses.replace(read_predictions(place), ids=moved))
    found = changed_patches(*runs, tmp_path / "pages")
    assert found.notes[1:] == [
        "unet (kept/forest); linear (kept/forest): not shown. Maps of two runs must be of the same "
        "patches, but the 5 and 5 of these have none in common: '<i>p0</i>' … and 'q0' ….\n"
        "Runs with another split or seed of the split judge other patches."
    ]


def test_runs_without_predictions_say_nothing(tmp_path):
    (tmp_path / "a").mkdir()
    found = changed_patches(tmp_path / "a", tmp_path / "a", tmp_path / "pages")
    assert (found.pages, found.notes) == ([], [])
