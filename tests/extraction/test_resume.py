"""An extraction that is killed, or whose disk is full, goes on where it was cut off."""

import json
import os
import pickle
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from geopandas.testing import assert_geodataframe_equal

from workbench.errors import ManifestError, WorkbenchError
from workbench.extraction import PatchStore, extract_patches, read_manifest
from workbench.extraction.journal import Journal

RUN = """
import pickle, sys
from workbench.extraction import extract_patches

if __name__ == "__main__":
    with open(sys.argv[1], "rb") as file:
        plan, tiles = pickle.load(file)
    extract_patches(plan, tiles, sys.argv[2], workers=int(sys.argv[3]))
"""


@pytest.fixture(scope="session")
def program(campaign, tmp_path_factory):
    """Command line of a run in a process of its own: folder and number of workers follow."""
    folder = tmp_path_factory.mktemp("program")
    (folder / "run.py").write_text(RUN)
    (folder / "plan.pickle").write_bytes(pickle.dumps((campaign.plan, campaign.tiles)))
    return [sys.executable, str(folder / "run.py"), str(folder / "plan.pickle")]


def files(out):
    return {p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()}


def same_bytes(a, b):
    return all((a / name).read_bytes() == (b / name).read_bytes() for name in files(a))


def kill_after(command, seconds):
    """Start a run and kill it, but not the workers it started; False if it was faster."""
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return True
    return False


def kill_at(command, out, finished):
    """Kill a run once so many tiles are done; False if it ended before."""
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
    while process.poll() is None:
        if len(list(out.glob("journal/tiles/*.json"))) >= finished:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return True
        time.sleep(0.005)
    return False


def test_a_killed_run_is_completed(program, extracted, campaign, tmp_path):
    assert kill_at([*program, tmp_path, "1"], tmp_path, 3)
    assert not (tmp_path / "manifest.parquet").exists()
    before = set((tmp_path / "journal" / "tiles").glob("*.json"))
    told = []
    found = extract_patches(
        campaign.plan, campaign.tiles, tmp_path, workers=1, progress=told.append
    )
    assert told[0].tiles_done == len(before)  # what was done is not done again
    assert len(told) == 1 + len(campaign.tiles) - len(before)
    assert_geodataframe_equal(found.manifest, extracted.manifest)
    assert files(tmp_path) == files(extracted.path)
    assert same_bytes(tmp_path, extracted.path)


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_twenty_kills_at_random_moments_change_nothing(
    program, extracted, campaign, tmp_path, workers
):
    rng = np.random.default_rng(20)
    start = time.perf_counter()
    subprocess.run([*program, tmp_path / "whole", workers], check=True)
    whole = time.perf_counter() - start
    kills, out, runs = 0, tmp_path / "killed", 0
    while kills < 20:
        kills += kill_after([*program, out, workers], rng.uniform(0, whole))
        runs += 1
        if (out / "manifest.parquet").exists():
            found = read_manifest(out / "manifest.parquet")
            assert_geodataframe_equal(found, extracted.manifest)
            out = tmp_path / f"killed{runs}"
    found = extract_patches(campaign.plan, campaign.tiles, out, workers=1)
    assert_geodataframe_equal(found.manifest, extracted.manifest)
    assert_geodataframe_equal(found.rejected, extracted.rejected)
    assert files(out) == files(extracted.path)
    assert same_bytes(out, extracted.path)


def test_a_finished_run_is_found_again(extracted, campaign):
    stamps = {p: p.stat().st_mtime_ns for p in (extracted.path / "patches.zarr").rglob("*")}
    told = []
    found = extract_patches(
        campaign.plan, campaign.tiles, extracted.path, workers=1, progress=told.append
    )
    assert [progress.tiles_done for progress in told] == [len(campaign.tiles)]
    assert_geodataframe_equal(found.manifest, extracted.manifest)
    assert stamps == {p: p.stat().st_mtime_ns for p in stamps}


def test_a_shard_that_was_lost_is_cut_again(extracted, campaign, tmp_path):
    found = extract_patches(campaign.plan, campaign.tiles, tmp_path, workers=1)
    path, _, _ = PatchStore(tmp_path).extent(int(found.manifest.place[0]))
    path.unlink()
    told = []
    again = extract_patches(
        campaign.plan, campaign.tiles, tmp_path, workers=1, progress=told.append
    )
    assert [progress.tiles_done for progress in told] == [11, 12]
    assert_geodataframe_equal(again.manifest, extracted.manifest)
    assert path.is_file()


def test_two_runs_do_not_write_one_folder(campaign, tmp_path):
    with (
        Journal(tmp_path).held(),
        pytest.raises(ManifestError, match=r"^One run at a time may write a folder"),
    ):
        extract_patches(campaign.plan, campaign.tiles, tmp_path, workers=1)


def test_a_full_disk_is_said_and_nothing_done_is_lost(program, extracted, campaign, tmp_path):
    # A limit on the size of a file stands for a full disk: the write fails half-way.
    tiles = Journal(tmp_path).tiles
    size = max(p.stat().st_size for p in extracted.path.rglob("pixels/c/**/*") if p.is_file())
    limited = (
        f"import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({size - 1},) * 2)\n"
    )
    script = tmp_path / "limited.py"
    script.write_text(limited + RUN)
    done = subprocess.run(
        [program[0], script, program[2], tmp_path, "1"], capture_output=True, text=True
    )
    assert "WorkbenchError: Patches must be written to" in done.stderr
    assert "File too large" in done.stderr
    before = [json.loads(p.read_text())["tile_id"] for p in tiles.glob("*.json")]
    told = []
    found = extract_patches(
        campaign.plan, campaign.tiles, tmp_path, workers=1, progress=told.append
    )
    assert len(told) == bool(before) + len(campaign.tiles) - len(before)
    assert_geodataframe_equal(found.manifest, extracted.manifest)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(campaign, tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(WorkbenchError, match=r"^Patches must be written to .*Permission denied"):
        extract_patches(campaign.plan, campaign.tiles, tmp_path / "out", workers=1)
