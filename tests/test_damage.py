"""Damaged files of every format are refused in a sentence, never read as something else."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from workbench.__main__ import app
from workbench.datasets import open_patches
from workbench.errors import EvaluationError, ManifestError, WorkbenchError
from workbench.evaluation.predictions import read_predictions
from workbench.extraction import read_manifest
from workbench.extraction.manifest import manifest_note
from workbench.extraction.schemas import write_checksums
from workbench.extraction.shards import crc32c, read_index
from workbench.files import sha256_of

OLD = Path(__file__).parent / "fixtures" / "7acea7f"
sys.path.insert(0, str(Path(__file__).parent / "tools"))
import fuzz  # noqa: E402 - a script beside the tests

FORMATS = fuzz.formats()


@pytest.mark.parametrize("name", list(FORMATS))
def test_damage_is_refused_in_a_sentence(name):
    cases = fuzz.fuzz(name, FORMATS[name], count=8, seed=5, run=fuzz.outcome)
    assert len(cases) == 8
    assert [c for c in cases if c[0] in fuzz.FAULTS] == []


@pytest.fixture
def extraction(tmp_path):
    """A copy of an old extraction, with the checksums that are written today."""
    folder = tmp_path / "patches"
    shutil.copytree(OLD / "patches", folder)
    write_checksums(folder, folder / "patches.zarr")
    return folder


def shard_of(folder, array="pixels"):
    return sorted(p for p in (folder / "patches.zarr" / array / "c").rglob("*") if p.is_file())[0]


@pytest.mark.parametrize("change", ["before", "behind", "between"])
def test_an_index_must_fit_the_length_of_its_shard(extraction, change):
    path = shard_of(extraction)
    data = path.read_bytes()
    patches = open_patches(extraction)
    size = patches.store.shard_size * 16 + 4
    chunks, index = data[:-size], data[-size:]
    extra = bytes(7)
    path.write_bytes({
        "before": extra + chunks + index,
        "behind": chunks + extra + index,
        "between": chunks[:512] + extra + chunks[512:] + index,
    }[change])  # fmt: skip
    with pytest.raises(ManifestError, match=r"^The index of a shard must fit its"):
        read_index(path, patches.store.shard_size)


@pytest.mark.parametrize(
    ("offset", "size"), [(10**6, 512), (0, 10**6), (2**64 - 512, 1024), (512, 512)]
)
def test_an_index_beyond_the_file_is_refused(tmp_path, offset, size):
    """Its checksum is right: only the length of the file tells."""
    index = np.full((4, 2), 2**64 - 1, dtype="<u8")
    index[1] = offset, size
    text = index.tobytes()
    path = tmp_path / "shard"
    path.write_bytes(bytes(512) + text + crc32c(text).to_bytes(4, "little"))
    with pytest.raises(ManifestError, match=r"^The index of a shard must fit its 512 bytes"):
        read_index(path, 4)


def test_an_index_that_fits_is_read(tmp_path):
    index = np.full((4, 2), 2**64 - 1, dtype="<u8")
    index[3], index[1] = (0, 200), (200, 312)
    text = index.tobytes()
    path = tmp_path / "shard"
    path.write_bytes(bytes(512) + text + crc32c(text).to_bytes(4, "little"))
    np.testing.assert_array_equal(read_index(path, 4), index)


@pytest.mark.parametrize("name", ["patches", "compressed"])
def test_one_flipped_bit_of_a_patch_is_seen_where_it_is_read(tmp_path, name):
    shutil.copytree(OLD / name, tmp_path / name)
    path = shard_of(tmp_path / name)
    data = bytearray(path.read_bytes())
    data[40] ^= 4
    path.write_bytes(data)
    patches = open_patches(tmp_path / name)
    with pytest.raises(ManifestError, match=r"damaged"):
        patches.statistics()


def test_places_beyond_the_store_and_contracts_of_another_are_refused(extraction):
    from workbench.extraction import write_manifest

    path = extraction / "manifest.parquet"
    note, frame = manifest_note(path), read_manifest(path)
    frame.loc[0, "place"] = 10_000
    write_manifest(frame, path, kind="patches", note=note)
    with pytest.raises(ManifestError, match=r"^Places of a manifest must be in its store"):
        open_patches(extraction)


def test_check_names_each_damaged_file_and_what_it_cannot_verify(extraction, tmp_path):
    runner = CliRunner()
    whole = runner.invoke(app, ["check", str(extraction), str(OLD / "pretraining")])
    assert whole.exit_code == 0, whole.output
    assert "not verified" in whole.output  # an old checkpoint has no checksum
    path = shard_of(extraction, "quality")
    data = bytearray(path.read_bytes())
    data[3] ^= 1
    path.write_bytes(data)
    array = next((extraction / "labels").glob("*.npy"))
    array.write_bytes(array.read_bytes()[:-9])
    broken = runner.invoke(app, ["check", str(extraction)])
    assert broken.exit_code == 1
    assert "quality" in broken.output
    assert array.name in broken.output.replace("\n", "")


def test_check_compares_outputs_of_a_run(tmp_path):
    shutil.copytree(OLD / "run", tmp_path / "run")
    table, path = tmp_path / "run/tables/a.csv", tmp_path / "run/records/01_first.json"
    record = json.loads(path.read_text())
    record["artifacts"] = [
        {
            "path": "tables/a.csv",
            "kind": "table",
            "title": "",
            "bytes": 4,
            "rows": 1,
            "columns": ["x"],
            "preview": {"columns": ["x"], "rows": [["1"]]},
            "sha256": sha256_of(table),
        }
    ]
    path.write_text(json.dumps(record))
    whole = CliRunner().invoke(app, ["check", str(tmp_path / "run")])
    assert whole.exit_code == 0, whole.output
    table.write_text("x\n2\n")
    changed = CliRunner().invoke(app, ["check", str(tmp_path / "run")])
    assert changed.exit_code == 1
    assert "is not what step 01_first made" in changed.output
    table.unlink()
    gone = CliRunner().invoke(app, ["check", str(tmp_path / "run")])
    assert gone.exit_code == 1
    assert "is not there" in gone.output


def test_check_refuses_what_it_does_not_know(tmp_path):
    result = CliRunner().invoke(app, ["check", str(tmp_path)])
    assert isinstance(result.exception, WorkbenchError)


def test_half_of_the_maps_zeroed_is_no_verdict(tmp_path):
    shutil.copytree(OLD / "predictions/one", tmp_path / "one")
    path = tmp_path / "one/maps.npy"
    data = bytearray(path.read_bytes())
    data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
    path.write_bytes(data)
    with pytest.raises(EvaluationError, match="has changed"):
        read_predictions(tmp_path / "one")


@pytest.mark.parametrize("change", [{"ids": ["p0"] * 6}, {"gsd": "30"}, {"groups": ["a"]}])
def test_a_manifest_of_predictions_that_was_edited_is_refused(tmp_path, change):
    shutil.copytree(OLD / "predictions/one", tmp_path / "one")
    path = tmp_path / "one/manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises((EvaluationError, ManifestError)):
        read_predictions(tmp_path / "one")
