"""Rasters on disk: what is written is read back, whole or not at all."""

import resource

import numpy as np
import pytest

from workbench.errors import CRSMismatchError, TileError
from workbench.geo.grid import PixelGrid, Window
from workbench.geo.raster import (
    RasterFile,
    open_raster,
    raster_info,
    read_raster,
    write_raster,
)
from workbench.geo.raster_grids import mask_polygons, resampled

GRID = PixelGrid("EPSG:32632", (30, 0, 600_000, 0, -30, 5_400_000), (150, 200))
WAYS = [
    {},
    {"interleave": "pixel"},
    {"tiled": False},
    {"compress": "deflate"},
    {"cog": True},
]


def cube(dtype="int16", bands=5) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(0, 200, (bands, *GRID.shape)).astype(dtype)


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("dtype", ["int16", "uint8", "float32"])
def test_what_is_written_is_read_back(tmp_path, way, dtype):
    names = [f"B{i}" for i in range(5)]
    path = write_raster(tmp_path / "a" / "x.tif", cube(dtype), GRID, band_names=names, **way)
    info = raster_info(path)
    assert (info.grid, info.count, info.dtype, info.band_names) == (GRID, 5, dtype, tuple(names))
    assert info.interleave == ("pixel" if way.get("cog") or "interleave" in way else "band")
    assert (read_raster(path) == cube(dtype)).all()
    assert [p.name for p in path.parent.iterdir()] == ["x.tif"]


def test_a_window_of_some_bands_is_a_part_of_the_array(tmp_path):
    path = write_raster(tmp_path / "x.tif", cube(), GRID, nodata=-32768)
    window = Window(11, 120, 30, 40)
    part = read_raster(path, window, indexes=[4, 1])
    assert (part == cube()[[3, 0], 11:41, 120:160]).all()


def test_a_lazy_raster_gives_the_same_pixels_with_coordinates(tmp_path):
    path = write_raster(tmp_path / "x.tif", cube(), GRID, nodata=-32768, band_names=list("abcde"))
    data = open_raster(path, chunks={"band": 1, "y": 64, "x": 64})
    assert data.dims == ("band", "y", "x")
    assert (data.x.values == GRID.x).all()
    assert data.rio.crs.to_epsg() == 32632
    assert data.rio.nodata == -32768
    data.isel(band=[1, 3]).rio.to_raster(
        tmp_path / "y.tif"
    )  # the bands' names do not stand in the way
    assert (read_raster(tmp_path / "y.tif") == cube()[[1, 3]]).all()


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("share", [0.1, 0.6, 0.95])
def test_a_truncated_file_is_known_by_its_header(tmp_path, way, share):
    path = write_raster(tmp_path / "x.tif", cube(), GRID, **way)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(TileError, match=r"x\.tif"), RasterFile(path) as source:
        source.require_whole()


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_a_full_disk_leaves_the_old_file(tmp_path, way):
    path = write_raster(tmp_path / "x.tif", cube(bands=1), GRID)
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))  # writing beyond it fails
    try:
        with pytest.raises(TileError, match=r"A raster must be (writable|readable)|hold all its"):
            write_raster(path, cube(), GRID, **way)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["x.tif"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(TileError, match=r"A raster must be writable, but .*file/x\.tif"):
        write_raster(tmp_path / "file" / "x.tif", cube(), GRID)


def test_an_array_that_does_not_fit_is_refused(tmp_path):
    with pytest.raises(TileError, match="must fit its grid"):
        write_raster(tmp_path / "x.tif", cube()[:, 1:], GRID)
    with pytest.raises(TileError, match="Each band has one name, got 1 for 5"):
        write_raster(tmp_path / "x.tif", cube(), GRID, band_names=["a"])


def test_files_that_are_no_rasters_are_named(tmp_path):
    (tmp_path / "x.tif").write_text("not a raster")
    for name in ("x.tif", "missing.tif"):
        with pytest.raises(TileError, match=f"A raster must be readable, but .*{name}"):
            open_raster(tmp_path / name)


def test_a_raster_without_crs_is_refused(tmp_path):
    from PIL import Image

    Image.fromarray(np.zeros((4, 4), dtype=np.uint8)).save(tmp_path / "x.tif")
    with (
        pytest.warns(match="no geotransform"),
        pytest.raises(CRSMismatchError, match="needs a CRS"),
    ):
        raster_info(tmp_path / "x.tif")


def test_a_window_outside_is_refused(tmp_path):
    path = write_raster(tmp_path / "x.tif", cube(), GRID)
    with pytest.raises(TileError, match="A window must lie inside the raster"):
        read_raster(path, Window(140, 0, 20, 20))


def test_traced_polygons_hold_the_pixels_of_the_mask():
    mask = cube()[0] > 100
    assert sum(p.area for p in mask_polygons(mask, GRID)) == mask.sum() * 900


def test_resampling_onto_a_part_of_the_grid_is_a_crop():
    part = GRID.crop(Window(3, 4, 20, 30))
    assert (resampled(cube(), GRID, part) == cube()[:, 3:23, 4:34]).all()


def test_a_shifted_grid_takes_the_nearest_pixel():
    shifted = PixelGrid(GRID.crs, (30, 0, 600_000 + 3 * 30 + 12, 0, -30, 5_400_000), (20, 30))
    assert (resampled(cube(), GRID, shifted) == cube()[:, :20, 3:33]).all()


def test_pixels_without_source_are_filled():
    outside = GRID.crop(Window(-5, 0, 10, 10))
    found = resampled(cube(), GRID, outside, nodata=-32768)
    assert (found[:, :5] == -32768).all()
    assert (found[:, 5:] == cube()[:, :5, :10]).all()


def test_nodata_takes_no_part_in_a_mean():
    values = np.array([[1.0, np.nan], [3.0, 5.0]], dtype=np.float32)
    fine = PixelGrid("EPSG:32632", (15, 0, 0, 0, -15, 30), (2, 2))
    coarse = PixelGrid("EPSG:32632", (30, 0, 0, 0, -30, 30), (1, 1))
    assert resampled(values, fine, coarse, method="average", nodata=np.nan).item() == 3.0
