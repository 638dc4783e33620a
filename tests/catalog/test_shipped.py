"""The catalog that comes with the repository."""

import json
from pathlib import Path

import pytest

from workbench.catalog import catalog_schema, open_catalog
from workbench.catalog.entries import LocalSource

ROOT = Path(__file__).parent.parent.parent
CATALOG = ROOT / "data_catalog.yaml"


@pytest.fixture
def shipped(monkeypatch):
    monkeypatch.delenv("WORKBENCH_DATA", raising=False)
    return open_catalog(CATALOG)


def test_the_promised_entries_are_there(shipped):
    assert set(shipped) >= {
        "bigearthnet_scenes",
        "indian_pines",
        "nc_landsat_forest",
        "wrs2_grid",
        "land_outline",
        "enmap_simulated",
        "footprints_simulated",
        "enmap_l2a",
        "spectralearth",
        "ssl4eo_s12",
        "ssl4eo_s12_v1_1",
        "ssl4eo_eu_forest",
        "hyspecnet_11k",
    }


def test_nobody_needs_a_variable_to_open_it(shipped):
    archives = [e for e in shipped.values() if isinstance(e.source, LocalSource)]
    assert {e.path.parts[: len(ROOT.parts) + 1] for e in archives} == {(*ROOT.parts, "data")}


def test_one_variable_moves_every_archive(monkeypatch, tmp_path):
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path))
    archives = [e for e in open_catalog(CATALOG).values() if isinstance(e.source, LocalSource)]
    assert all(e.path.is_relative_to(tmp_path) for e in archives)


def test_every_archive_says_where_to_put_it(shipped):
    for entry in shipped.values():
        if isinstance(entry.source, LocalSource):
            assert f"$WORKBENCH_DATA/{entry.name}" in " ".join(entry.source.obtain.split())


def test_the_schema_for_editors_is_in_step_with_the_models():
    first = CATALOG.read_text(encoding="utf-8").splitlines()[0]
    path = ROOT / first.removeprefix("# yaml-language-server: $schema=")
    assert json.loads(path.read_text(encoding="utf-8")) == catalog_schema(), (
        f"run: workbench catalog schema --output {path.relative_to(ROOT)}"
    )
