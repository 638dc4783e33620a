"""The manifest comes back as it was written, or says what is wrong with the file."""

import json
import os

import geopandas as gpd
import pyarrow.parquet as pq
import pytest
import shapely
from geopandas.testing import assert_geodataframe_equal

from workbench.errors import ManifestError
from workbench.extraction import (
    ViewRules,
    manifest_note,
    read_manifest,
    temporal_views,
    write_manifest,
)
from workbench.synthetic.footprints import simulated_footprints


@pytest.fixture(scope="module")
def plan():
    return temporal_views(simulated_footprints(12, seed=1))


def test_a_plan_comes_back_equal(plan, tmp_path):
    path = write_manifest(plan, tmp_path / "deep" / "manifest.parquet", note={"rules": "default"})
    assert_geodataframe_equal(read_manifest(path, kind="plan"), plan)
    assert manifest_note(path) == {"rules": "default"}


def test_geopandas_reads_it_without_us(plan, tmp_path):
    path = write_manifest(plan, tmp_path / "manifest.parquet")
    frame = gpd.read_parquet(path, columns=["location_id", "n_acquisitions", "geometry"])
    assert frame.crs == "EPSG:4326"
    assert frame.location_id.tolist() == plan.location_id.tolist()
    inside = gpd.read_parquet(path, bbox=plan.geometry.iloc[0].bounds)
    assert 0 < len(inside) < len(plan)


def test_an_empty_plan_comes_back_empty(tmp_path):
    empty = temporal_views([], ViewRules())
    again = read_manifest(write_manifest(empty, tmp_path / "manifest.parquet"))
    assert list(again.columns) == list(empty.columns)
    assert len(again) == 0


def test_two_writes_of_one_plan_are_the_same_bytes(plan, tmp_path):
    first = write_manifest(plan, tmp_path / "a.parquet").read_bytes()
    assert write_manifest(plan, tmp_path / "b.parquet").read_bytes() == first


def test_a_failed_write_leaves_the_old_file_and_nothing_else(plan, tmp_path, monkeypatch):
    path = write_manifest(plan, tmp_path / "manifest.parquet")
    before = path.read_bytes()

    def full_disk(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_manifest(plan.iloc[:3], path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["manifest.parquet"]


def test_a_missing_file_is_told_with_the_cure(tmp_path):
    with pytest.raises(ManifestError, match=r"No manifest at .*; it is written last"):
        read_manifest(tmp_path / "manifest.parquet")


def test_a_truncated_file_is_told(plan, tmp_path):
    path = write_manifest(plan, tmp_path / "manifest.parquet")
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ManifestError, match="is not a readable Parquet file"):
        read_manifest(path)


def test_a_foreign_table_is_told(tmp_path):
    frame = gpd.GeoDataFrame({"a": [1]}, geometry=[shapely.Point(0, 0)], crs="EPSG:4326")
    frame.to_parquet(tmp_path / "other.parquet")
    with pytest.raises(ManifestError, match="is a Parquet file, but no manifest of this workbench"):
        read_manifest(tmp_path / "other.parquet")


def test_another_version_is_told(plan, tmp_path):
    path = write_manifest(plan, tmp_path / "manifest.parquet")
    table = pq.read_table(path)
    told = dict(table.schema.metadata)
    told[b"spectral_workbench"] = json.dumps({"version": 99, "kind": "plan", "note": {}}).encode()
    pq.write_table(table.replace_schema_metadata(told), path)
    with pytest.raises(ManifestError, match="is a manifest of version 99, this workbench reads"):
        read_manifest(path)


def test_another_kind_is_told(plan, tmp_path):
    path = write_manifest(plan, tmp_path / "manifest.parquet")
    with pytest.raises(ManifestError, match="is a manifest of plan, but one of patches is needed"):
        read_manifest(path, kind="patches")


def test_a_table_without_crs_is_refused(plan, tmp_path):
    bare = gpd.GeoDataFrame({"a": [1]}, geometry=[shapely.Point(0, 0)])
    with pytest.raises(ManifestError, match="A manifest needs a CRS for its geometry"):
        write_manifest(bare, tmp_path / "manifest.parquet")
