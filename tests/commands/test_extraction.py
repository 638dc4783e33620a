import logging
from datetime import UTC, datetime

import numpy as np
import pytest
from typer.testing import CliRunner

from workbench.__main__ import app
from workbench.catalog import open_catalog
from workbench.commands import extraction
from workbench.errors import ManifestError
from workbench.extraction import (
    Tile,
    ValidityRules,
    ViewRules,
    read_manifest,
    temporal_views,
    write_manifest,
)
from workbench.extraction.tiles import tile_frame
from workbench.geo.grid import PixelGrid
from workbench.geo.outline import lonlat_footprint
from workbench.geo.raster import write_raster

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


FILLED = """version: 1
datasets:
  scenes:
    description: Scenes with fill. Made up.
    layout: footprints
    source: {type: local, path: scenes.gpkg, obtain: made up}
    license: CC0-1.0
    citation: none
    nodata: 0
"""


@pytest.fixture
def filled(tmp_path):
    """A scene of three bands: half is fill of 0 that no header names, and one band is empty."""
    array = np.random.default_rng(0).integers(100, 200, (3, 64, 64)).astype(np.uint16)
    array[:, :32] = 0
    grid = PixelGrid("EPSG:32632", (30, 0, 600_015, 0, -30, 5_400_015), (64, 64))
    whole = write_raster(tmp_path / "a.tif", array[:2], grid)
    array[1] = 0
    lost = write_raster(tmp_path / "b.tif", array, grid)
    frames = {}
    for name, path in (("whole", whole), ("lost", lost)):
        tile = Tile("t", datetime(2023, 6, 1, tzinfo=UTC), lonlat_footprint(grid.outline, grid.crs),
                    grid.crs, path, grid=grid)  # fmt: skip
        plan = temporal_views([tile], ViewRules(patch_size=16))
        frames[name] = tmp_path / f"{name}.parquet"
        write_manifest(plan, frames[name], kind="plan", note={"nodata": 0.0})
        table = tile_frame([tile])
        texts = [n for n in ("path", "group", "grid") if n in table.columns]
        table[texts] = table[texts].fillna("").astype(str)
        write_manifest(table, tmp_path / f"{name}.tiles.parquet", kind="tiles")
    return frames


def test_fill_that_the_entry_states_is_no_measurement(run, filled, tmp_path):
    done = run("extract", str(filled["whole"]), "-o", str(tmp_path / "p"), "--workers", "1")
    assert done.exit_code == 0, done.output
    kept = read_manifest(tmp_path / "p" / "manifest.parquet", kind="patches")
    assert 0 < len(kept) < 16
    assert (kept.ymax <= 5_400_015 - 30 * 32).all()


def test_nothing_kept_ends_with_1_and_names_cause_and_cure(run, filled, tmp_path):
    done = run("extract", str(filled["lost"]), "-o", str(tmp_path / "p"), "--workers", "1")
    assert done.exit_code == 1
    assert "No patch was kept" in done.output
    assert "--bands=-B2" in done.output
    cured = run(
        "extract", str(filled["lost"]), "-o", str(tmp_path / "q"), "--workers", "1", "--bands=-B2"
    )
    assert cured.exit_code == 0, cured.output


def test_an_entry_states_its_nodata(tmp_path):
    (tmp_path / "c.yaml").write_text(FILLED)
    assert open_catalog(tmp_path / "c.yaml")["scenes"].nodata == 0
