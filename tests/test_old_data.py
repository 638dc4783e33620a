"""Files that commit 7acea7f wrote are opened with their content, or refused with the cure.

`tests/tools/make_fixtures.py` made them with the code of that commit.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from workbench.errors import CheckpointError, WorkbenchError

OLD = Path(__file__).parent / "fixtures" / "7acea7f"


def test_plans_and_their_tiles_are_read():
    from workbench.commands.extraction import _read_tiles
    from workbench.extraction import read_manifest
    from workbench.extraction.manifest import manifest_note

    plan = read_manifest(OLD / "plan.parquet", kind="plan")
    tiles = _read_tiles(OLD / "plan.tiles.parquet")
    assert len(plan) == plan["location_id"].nunique() == 33
    assert manifest_note(OLD / "plan.parquet") == {"entry": "e", "patch_size": 8}
    assert (plan["xmax"] - plan["xmin"] == 240).all()
    assert {t for ids in plan["tile_ids"] for t in ids} <= {tile.id for tile in tiles}
    assert all(tile.path is not None and tile.group is not None for tile in tiles)


@pytest.mark.parametrize("name", ["patches", "compressed"])
def test_stores_give_the_pixels_that_were_cut(name):
    from workbench.datasets import open_patches

    patches = open_patches(OLD / name)
    truth = json.loads((OLD / f"{name}.truth.json").read_text())
    assert {str(p) for p in patches.index.place} == set(truth)
    for place, total in truth.items():
        assert int(patches.store.pixels(int(place)).astype(int).sum()) == total
        assert patches.store.quality(int(place)).shape == (8, 8)
    assert patches.contract.band_names == ("B010", "B030", "B050", "B090")


def test_both_tables_of_an_extraction_are_read():
    from workbench.extraction import read_manifest

    kept = read_manifest(OLD / "patches/manifest.parquet", kind="patches")
    rejected = read_manifest(OLD / "patches/rejected.parquet", kind="rejected")
    assert kept["place"].is_unique
    assert (len(kept), len(rejected)) == (36, 0)
    assert all(len(reasons) for reasons in rejected["reasons"])


@pytest.mark.parametrize("name", ["split.parquet", "split.csv"])
def test_split_files_are_read(name):
    from workbench.commands.finetune import _split

    split = _split(OLD / name)
    assert len(split) == 33
    assert set(split) == {"train", "val", "test"}


def test_statistics_and_labels_belong_to_their_manifest():
    from workbench.datasets import open_patches
    from workbench.datasets.alignment import read_labels
    from workbench.datasets.statistics import read_statistics

    patches = open_patches(OLD / "patches")
    stored = read_statistics(OLD / "patches/statistics.json", made_from=patches.made_from)
    measured = patches.statistics()
    np.testing.assert_array_equal(stored.mean, measured.mean)
    np.testing.assert_array_equal(stored.count, measured.count)
    labels = read_labels(OLD / "patches", "leaf")
    assert labels.values.shape == (len(labels.location), 8, 8)
    assert len(labels.class_names) == 3
    assert labels.values.max() <= 3


def test_a_checkpoint_gives_its_network():
    from workbench.training.checkpoint import load_checkpoint

    encoder, card = load_checkpoint(OLD / "pretraining/encoder.safetensors")
    assert card.method == "MoCo"
    assert card.steps == 2
    assert encoder.bands == 4
    assert card.statistics is not None
    assert card.statistics.patches > 0


def test_the_state_of_a_run_goes_on_or_is_refused_with_the_cure():
    from workbench.training.run_state import read_state

    told = "step 2"
    try:
        state = read_state(OLD / "pretraining")
        told = f"step {state.step}" if state is not None else "nothing"
    except CheckpointError as error:
        told = str(error)
    assert told == "step 2" or told.count("\n") == 1  # what is wrong, and the cure


def test_predictions_are_those_of_their_ids():
    from workbench.evaluation.predictions import read_predictions

    target, one, two = (read_predictions(OLD / "predictions" / n) for n in ("target", "one", "two"))
    assert target.ids == one.ids
    assert target.groups == ("g0", "g0", "g1", "g1", "g2", "g2")
    assert two.groups == ()
    assert target.classes == ("water", "wood", "field")
    wrong = [float((p.maps != target.maps).mean()) for p in (one, two)]
    assert 0.1 < wrong[0] < 0.3 < wrong[1] < 0.5


def test_votes_of_both_kinds_are_the_same():
    from workbench.viz.votes import read_votes

    kinds = [read_votes(OLD / "votes" / f"votes.{end}", comparison="abc") for end in
             ("json", "parquet")]  # fmt: skip
    pd.testing.assert_frame_equal(*kinds)
    assert len(kinds[0]) == 15


def test_results_studies_and_catalogs_are_read():
    from workbench.catalog import open_catalog
    from workbench.evaluation.results import ResultsTable
    from workbench.evaluation.study_files import read_study

    table = ResultsTable(OLD / "study/results.parquet")
    frame = table.frame()
    assert len(frame) == 2
    assert frame.attrs["design"]
    for _, row in frame.iterrows():
        scores = table.record(row["key"]).scores()
        assert scores
        assert all(row[n] == pytest.approx(s.value) for n, s in scores.items())
    assert read_study(OLD / "study/study.yaml").cells()
    assert "enmap_simulated" in open_catalog(OLD / "study/data_catalog.yaml")


def test_a_run_folder_is_listed_and_its_results_opened(tmp_path):
    from workbench.execution.history import list_runs

    shutil.copytree(OLD / "run", tmp_path / "runs/old")
    runs = list_runs(tmp_path / "runs")
    assert [run.name for run in runs] == ["old"]
    assert runs[0].status == "ok"


def test_a_finished_extraction_is_not_gone_on_with_in_silence(tmp_path):
    """Its journal says what was extracted; other settings are refused by name."""
    from workbench.extraction.journal import Journal

    job = Journal(OLD / "patches").job()
    assert job is not None
    assert job["format"] == 1
    finished = Journal(OLD / "patches").finished()
    assert len(finished) == 4
    assert all(patches for patches in finished.values())


@pytest.mark.parametrize(
    ("name", "key"),
    [("patches/labels/leaf.json", "format"), ("patches/statistics.json", "format"),
     ("predictions/one/manifest.json", "format"), ("patches/patches.zarr/zarr.json", "format"),
     ("votes/votes.json", "version")],
)  # fmt: skip
def test_a_newer_version_is_refused_in_a_sentence(tmp_path, name, key):
    from workbench.datasets import open_patches
    from workbench.datasets.alignment import read_labels
    from workbench.datasets.statistics import read_statistics
    from workbench.evaluation.predictions import read_predictions
    from workbench.viz.votes import read_votes

    shutil.copytree(OLD, tmp_path / "old")
    path = tmp_path / "old" / name
    values = json.loads(path.read_text())
    holder = values["attributes"]["spectral_workbench"] if "zarr" in name else values
    holder[key] = 99
    path.write_text(json.dumps(values))
    read = {
        "leaf.json": lambda: read_labels(path.parents[1], "leaf"),
        "statistics.json": lambda: read_statistics(path),
        "manifest.json": lambda: read_predictions(path.parent),
        "zarr.json": lambda: open_patches(path.parents[1]),
        "votes.json": lambda: read_votes(path),
    }[path.name]
    with pytest.raises(WorkbenchError, match="99") as caught:
        read()
    assert str(caught.value).count("\n") <= 2
