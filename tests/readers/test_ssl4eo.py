"""SSL4EO-S12 as published, version 1: a folder for each scene, a file for each band."""

from datetime import UTC, datetime

import numpy as np
import pytest

from tests.readers.made_archives import entry, grid
from workbench.errors import TileError
from workbench.geo.footprint import area_m2
from workbench.geo.raster import write_raster
from workbench.readers import read_tiles
from workbench.readers.sentinel2 import EIGHT_BIT, open_scene
from workbench.readers.ssl4eo import (
    open_ssl4eo,
    ssl4eo_scenes,
)
from workbench.sensors import sensor

SCENES = ("20200612T100559_20200612T101054_T33UUP", "20190915T100031_20190915T100452_T33UUP")


def write_scene(folder, dtype="uint16", drop=()):
    for band in sensor("sentinel2_l1c").bands:
        if band.name not in drop:
            size = round(240 / band.gsd_m)
            values = np.full(
                (size, size), band.number * (10 if dtype == "uint8" else 100), dtype=dtype
            )
            write_raster(folder / f"{band.name}.tif", values, grid(size, band.gsd_m))
    return folder


def test_ssl4eo_scenes_are_in_order_of_time(tmp_path):
    for scene in SCENES:
        write_scene(tmp_path / "s2c" / "0000042" / scene)
    scenes = ssl4eo_scenes(tmp_path)
    assert [s.view for s in scenes] == sorted(SCENES)
    assert scenes[0].acquired == datetime(2019, 9, 15, 10, 0, 31, tzinfo=UTC)
    data, contract = open_ssl4eo(scenes[0].path)
    assert data.shape == (13, 24, 24)
    assert data.values[:, 5, 5].tolist() == [100 * n for n in range(1, 14)]
    assert (contract.offset, contract.gsd_m) == (0.0, 10)
    tiles = read_tiles(entry(tmp_path, "ssl4eo_s12", tmp_path, "sentinel2_l1c"))
    assert [t.acquired for t in tiles] == [s.acquired for s in scenes]
    assert area_m2([tiles[0].footprint])[0] == pytest.approx(240**2, rel=2e-3)


def test_coarse_bands_are_repeated_not_mixed(tmp_path):
    folder = write_scene(tmp_path / "scene")
    native = np.arange(16, dtype=np.uint16).reshape(4, 4)
    write_raster(folder / "B1.tif", native, grid(4, 60))
    data, _ = open_scene(folder, "sentinel2_l1c")
    assert (data.sel(band="B1").values == np.kron(native, np.ones((6, 6)))).all()


def test_eight_bit_scenes_do_not_pass_for_reflectance(tmp_path):
    _, contract = open_scene(write_scene(tmp_path / "scene", dtype="uint8"), "sentinel2_l1c")
    assert (contract.units, contract.scale, contract.nodata) == (EIGHT_BIT, 1.0, None)


def test_a_missing_band_is_named(tmp_path):
    with pytest.raises(TileError, match=r"lacks B9, B12"):
        open_scene(write_scene(tmp_path / "scene", drop=("B9", "B12")), "sentinel2_l1c")


def test_a_band_of_other_ground_is_refused(tmp_path):
    folder = write_scene(tmp_path / "scene")
    write_raster(folder / "B9.tif", np.ones((4, 4), np.uint16), grid(4, 30))
    with pytest.raises(TileError, match=r"must cover the same ground"):
        open_scene(folder, "sentinel2_l1c")


def test_bigearthnet_names_are_read_too(tmp_path):
    write_raster(tmp_path / "S2A_x_B02.tif", np.ones((4, 4), np.uint16), grid(4, 10))
    assert open_scene(tmp_path, bands=["B2"]).data.shape == (1, 4, 4)


def test_an_archive_without_scenes_is_named(tmp_path):
    with pytest.raises(TileError, match=r"There must be scenes at"):
        ssl4eo_scenes(tmp_path)
