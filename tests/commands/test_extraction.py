import logging

import pytest
from typer.testing import CliRunner

from workbench.__main__ import app
from workbench.commands import extraction
from workbench.errors import ManifestError
from workbench.extraction import ValidityRules, read_manifest

CATALOG = """
version: 1
datasets:
  made:
    description: A simulated campaign.
    sensor: enmap
    layout: enmap_simulated
    source:
      type: simulated
      seed: 0
      parameters: {tile_size: 40, nasty: false, n_tiles: 4}
    gsd: 30
    license: Apache-2.0
    citation: none
  outlines:
    description: Simulated footprints.
    sensor: enmap
    layout: footprints_simulated
    source: {type: simulated, seed: 0, parameters: {n_tiles: 300}}
    license: Apache-2.0
    citation: none
"""


@pytest.fixture
def run(tmp_path, monkeypatch, caplog):
    """Run the command line in a folder with a catalog of one simulated entry."""
    caplog.set_level(logging.ERROR, logger="workbench")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data_catalog.yaml").write_text(CATALOG)

    def call(*words):
        return CliRunner().invoke(app, [str(word) for word in words])

    return call


def test_from_a_catalog_entry_to_patches(run, tmp_path):
    listed = run("tiles", "made", "-o", "tiles.parquet")
    assert listed.exit_code == 0, listed.output
    assert listed.output.startswith("4 tiles of 4 dates, 0 left out")
    planned = run("plan", "made", "-o", "plan.parquet", "--patch-size", 8)
    assert planned.exit_code == 0, planned.output
    plan = read_manifest("plan.parquet", kind="plan")
    assert f"locations             {len(plan)}" in planned.output
    cut = run("extract", "plan.parquet", "-o", "store", "--workers", 1, "--accept-all")
    assert cut.exit_code == 0, cut.output
    patches = read_manifest("store/manifest.parquet", kind="patches")
    assert len(patches) == plan.tile_ids.map(len).sum()
    assert f"{len(patches)} patches of {len(plan)} locations" in cut.output
    again = run("extract", "plan.parquet", "-o", "store", "--workers", 1, "--accept-all")
    assert again.exit_code == 0


def test_a_plan_over_simulated_footprints(run):
    assert run("tiles", "outlines").output.startswith("300 tiles of ")
    planned = run("plan", "outlines", "-o", "plan.parquet")
    assert planned.exit_code == 0, planned.output
    plan = read_manifest("plan.parquet", kind="plan")
    assert len(plan) > 1000
    assert f"locations             {len(plan):,}" in planned.output


def test_a_plan_over_clear_ground(run):
    assert run("plan", "made", "-o", "clear.parquet", "--patch-size", 8, "--clear").exit_code == 0
    assert len(read_manifest("clear.parquet", kind="plan")) > 0


def test_a_plan_without_its_tiles(run, tmp_path):
    run("plan", "made", "-o", "plan.parquet", "--patch-size", 8)
    (tmp_path / "plan.tiles.parquet").unlink()
    failed = run("extract", "plan.parquet", "-o", "store")
    assert isinstance(failed.exception, ManifestError)
    assert str(failed.exception).startswith("A plan needs the table of its tiles beside it")


def test_the_help_tells_the_limits_of_the_rules():
    assert (ValidityRules.cloud, ValidityRules.snow) == (extraction.CLOUD, extraction.SNOW)
