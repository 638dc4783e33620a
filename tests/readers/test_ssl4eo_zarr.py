"""SSL4EO-S12 as published, version 1.1: zarr in zip files."""

import zipfile
from datetime import UTC, datetime

import numpy as np
import pytest
import xarray as xr

from tests.readers.made_archives import entry
from workbench.errors import TileError
from workbench.geo.footprint import area_m2
from workbench.readers import read_tiles
from workbench.readers.ssl4eo_zarr import open_ssl4eo_zarr, sample_grid, ssl4eo_zarr_tiles
from workbench.sensors import sensor


def write_zarr(path, *, size=12, crs=32633):
    """One file as published: zarr format 2 in a zip file, 2 locations instead of 64."""
    sample, time = ["0080717", "0060573"], np.arange(4)
    names = ["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12"]
    bands = np.zeros((2, 4, 12, size, size), np.int16)
    bands += (1000 + 100 * np.arange(12)[:, None, None]).astype(np.int16)
    bands[1, 3] = 0  # a date without data
    centre = 10 * np.arange(size) + 5.0
    x = np.stack([400_000 + centre, 500_000 + centre])
    y = np.stack([5_800_000 - centre, 5_700_000 - centre])
    dates = np.array(["2020-11-16T02:30:01", "2021-01-20", "2021-04-20", "2021-08-03"], "M8[ns]")
    data = xr.Dataset(
        {
            "bands": (("sample", "time", "band", "y", "x"), bands),
            "cloud_mask": (("sample", "time", "y", "x"), np.zeros((2, 4, size, size), np.uint8)),
            "center_lat": ("sample", [52.3, 51.4]),
            "center_lon": ("sample", [13.5, 15.0]),
            "crs": ("sample", np.array([crs, crs])),
            "file_id": (("sample", "time"), [[f"S{i}{t}" for t in range(4)] for i in range(2)]),
            "time_": (("sample", "time"), np.stack([dates, dates])),
            "x_": (("sample", "x"), x),
            "y_": (("sample", "y"), y),
        },
        coords={
            "band": names,
            "sample": sample,
            "time": time,
            "x": np.arange(size),
            "y": np.arange(size),
        },
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = path.with_name("unpacked")
    data.to_zarr(folder, mode="w", zarr_format=2, consolidated=True)
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(f for f in folder.rglob("*") if f.is_file()):
            archive.write(file, file.relative_to(folder))
    return path


@pytest.fixture
def zarr_file(tmp_path):
    return write_zarr(tmp_path / "train/S2L2A/ssl4eos12_train_seasonal_data_000001.zarr.zip")


def test_version_1_1_is_opened_with_the_offset_of_its_baseline(zarr_file):
    data, contract = open_ssl4eo_zarr(zarr_file)
    assert data.bands.shape == (2, 4, 12, 12, 12)
    assert contract.offset == -0.1
    assert contract.band_names == sensor("sentinel2_l2a").kept
    pixel = data.bands.isel(sample=0, time=1, y=3, x=3)
    assert contract.physical(pixel.values[:, None, None])[:2, 0, 0] == pytest.approx(
        [0, 0.01], abs=1e-6
    )
    assert sample_grid(data, 1).bounds == (500_000, 5_699_880, 500_120, 5_700_000)


def test_every_location_and_date_of_version_1_1_is_a_tile(zarr_file, tmp_path):
    tiles, skipped = ssl4eo_zarr_tiles(zarr_file)
    assert [t.id for t in tiles] == [
        *(f"0080717_{i}" for i in range(4)),
        *(f"0060573_{i}" for i in range(3)),
    ]
    assert [s.path.name for s in skipped] == ["0060573_3"]
    assert tiles[0].acquired == datetime(2020, 11, 16, 2, 30, 1, tzinfo=UTC)
    assert tiles[0].group == "S00"
    assert tiles[0].crs == "EPSG:32633"
    assert area_m2([tiles[0].footprint])[0] == pytest.approx(120**2, rel=2e-3)
    assert len(read_tiles(entry(tmp_path, "ssl4eo_s12_v1_1", tmp_path, "sentinel2_l2a"))) == 7


def test_a_zarr_zip_that_leaves_its_folder_is_refused(zarr_file):
    with zipfile.ZipFile(zarr_file, "a") as archive:
        archive.writestr("../outside", "x")
    with pytest.raises(TileError, match=r"would be written outside its folder"):
        open_ssl4eo_zarr(zarr_file)


def test_a_truncated_zarr_zip_is_named(zarr_file):
    zarr_file.write_bytes(zarr_file.read_bytes()[:2000])
    with pytest.raises(TileError, match=r"must be a zip file, but .*000001.zarr.zip"):
        open_ssl4eo_zarr(zarr_file)


def test_a_zip_of_something_else_is_named(tmp_path):
    path = tmp_path / "S2L2A" / "x.zarr.zip"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "x")
    with pytest.raises(TileError, match=r"must be a zarr store|must have `bands`"):
        open_ssl4eo_zarr(path)


def test_the_folder_names_the_modality(tmp_path):
    with pytest.raises(TileError, match=r"must lie in the folder of its modality"):
        open_ssl4eo_zarr(tmp_path / "x.zarr.zip")
