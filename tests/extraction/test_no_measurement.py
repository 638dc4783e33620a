"""Plain rasters: whatever says that a pixel is no measurement is heard, and nothing else is."""

from datetime import UTC, datetime

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.enums import ColorInterp
from rasterio.transform import from_origin

from workbench.datasets import open_patches
from workbench.errors import ContractMismatchError
from workbench.extraction import ValidityRules, ViewRules, extract_patches, temporal_views
from workbench.extraction.resampling import place
from workbench.geo.grid import PixelGrid, Window
from workbench.geo.outline import lonlat_footprint
from workbench.geo.raster import RasterFile, raster_info
from workbench.geo.tile import Tile

SIDE, PATCH = 64, 16


def write(path, array, *, mask=None, inside=True, alpha=False, **profile):
    with rasterio.open(
        path, "w", driver="GTiff", count=len(array), height=SIDE, width=SIDE,
        dtype=array.dtype.name, crs="EPSG:32632", transform=from_origin(6e5, 5.4e6, 30, 30),
        **profile,
    ) as file:  # fmt: skip
        if alpha:
            grey = [ColorInterp.gray] + [ColorInterp.undefined] * (len(array) - 2)
            file.colorinterp = [*grey, ColorInterp.alpha]
        file.write(array)
    if mask is not None:
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=inside), rasterio.open(path, "r+") as file:
            file.write_mask(mask)
    return path


def tile_of(path, name="t", day=1):
    grid = raster_info(path).grid
    ground = lonlat_footprint(grid.outline, grid.crs)
    return Tile(name, datetime(2023, 6, day, tzinfo=UTC), ground, grid.crs, path, grid=grid)


def cut(folder, *paths, **options):
    tiles = [tile_of(p, f"t{i}", i + 1) for i, p in enumerate(paths)]
    plan = temporal_views(tiles, ViewRules(patch_size=PATCH))
    return extract_patches(plan, tiles, folder, workers=1, **options)


def scene(dtype, seed=0, bands=2):
    return np.random.default_rng(seed).integers(100, 120, (bands, SIDE, SIDE)).astype(dtype)


HALF = np.repeat(np.array([[True], [False]]), SIDE // 2, axis=0) & np.ones((SIDE, SIDE), bool)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(
    st.sampled_from(["uint8", "int16", "uint16", "float32", "float64"]),
    st.sampled_from(["internal", "msk", "alpha", "nan", "inf", "nodata", "all"]),
    st.integers(0, 2**16),
)
def test_missing_is_told_whatever_says_it(tmp_path_factory, dtype, how, seed):
    folder = tmp_path_factory.mktemp("m")
    rng = np.random.default_rng(seed)
    gone = rng.random((SIDE, SIDE)) < 0.3
    array, options, wanted = scene(dtype, seed), {}, np.zeros((2, SIDE, SIDE), bool)
    if how in ("nan", "inf") and dtype[0] != "f":
        how = "nodata"
    if how in ("internal", "msk", "all"):
        options |= {"mask": np.where(gone, 0, 255).astype(np.uint8), "inside": how != "msk"}
        wanted |= gone
    if how == "alpha":
        extra = np.where(gone, 0, 255).astype(dtype)
        array = np.concatenate([array, extra[None]])
        options["alpha"] = True
        wanted |= gone
    if how in ("nan", "inf"):
        array[1, gone] = np.nan if how == "nan" else np.inf
        wanted[1] |= gone
    if how in ("nodata", "all"):
        other = rng.random((SIDE, SIDE)) < 0.2
        array[0, other] = 7
        options["nodata"] = 7
        wanted[0] |= other
    with RasterFile(write(folder / "x.tif", array, **options)) as file:
        assert (file.missing() == wanted).all()
        part = Window(3, 5, 20, 31)
        assert (file.missing(part) == wanted[:, *part.slices]).all()


def test_a_stated_nodata_counts_for_files_that_name_none(tmp_path, caplog):
    array = scene("uint16")
    array[:, HALF] = 0  # Landsat's fill, without a tag
    path = write(tmp_path / "x.tif", array)
    told = cut(tmp_path / "untold", path)
    assert "names no nodata and has no mask" in caplog.text
    assert not len(told.rejected)
    right = cut(tmp_path / "told", path, nodata=0)
    halves = right.manifest.ymax <= 5.4e6 - 30 * SIDE / 2 + 1e-6
    assert halves.all()
    assert len(right.manifest)
    assert open_patches(right.path).contract.nodata == 0
    with pytest.raises(Exception, match=r"uint16 of .* cannot hold -1"):
        cut(tmp_path / "wrong", path, nodata=-1)


def test_what_only_a_mask_says_is_not_kept_as_a_number(tmp_path):
    path = write(tmp_path / "x.tif", scene("uint8"), mask=np.where(HALF, 0, 255).astype(np.uint8))
    allowed = ValidityRules.accept_all()
    found = cut(tmp_path / "a", path, rules=allowed)
    assert len(found.rejected)
    assert found.rejected["detail"].str.contains("no number of uint8 stands for").all()
    kept = cut(tmp_path / "b", path, rules=allowed, nodata=0)
    assert not len(kept.rejected)
    patches = open_patches(kept.path)
    low = min(patches.statistics().minimum)
    assert low >= 100  # 0 stands for what is masked, and is no measurement


def test_a_band_without_data_is_named_with_the_cure(tmp_path):
    array = scene("int16", bands=3)
    array[1] = -999
    path = write(tmp_path / "x.tif", array, nodata=-999)
    found = cut(tmp_path / "p", path)
    assert not len(found.manifest)
    assert found.rejected["detail"].str.contains("most of it in band B2").all()
    assert found.lost_bands == {"B2": len(found.rejected)}
    assert any("--bands=-B2" in text for text in found.advice())
    cured = cut(tmp_path / "q", path, bands=["-B2"])
    assert len(cured.manifest) == len(found.rejected)
    assert open_patches(cured.path).contract.band_names == ("B1", "B3")


def test_the_first_tile_does_not_decide_for_all(tmp_path):
    odd = write(tmp_path / "odd.tif", scene("int16", bands=3), nodata=-999)
    rest = [write(tmp_path / f"{i}.tif", scene("int16", i), nodata=-999) for i in range(4)]
    found = cut(tmp_path / "p", odd, *rest)
    assert set(found.failed) == {"t0"}
    assert found.odd == ("t0",)
    assert set(found.rejected["reasons"].explode()) == {"breaks the contract"}
    assert len(found.manifest) == 4 * len(found.rejected)


def test_half_against_half_is_asked(tmp_path):
    one = write(tmp_path / "a.tif", scene("int16"), nodata=-999)
    two = write(tmp_path / "b.tif", scene("float32"), nodata=-999)
    with pytest.raises(ContractMismatchError, match="half of the patches are of one kind"):
        cut(tmp_path / "p", one, two)


@pytest.mark.parametrize("method", ["nearest", "bilinear"])
@pytest.mark.parametrize(
    ("dtype", "value"),
    [("int32", 123456789), ("uint32", 2**32 - 1), ("int64", 2**53 + 1), ("uint64", 2**64 - 1),
     ("int64", -(2**63)), ("uint16", 65535), ("float64", 0.1234567890123), ("float32", 0.1)],
)  # fmt: skip
def test_numbers_keep_their_digits_across_zones(dtype, value, method):
    tile = PixelGrid("EPSG:32632", (30, 0, 716000, 0, -30, 5540000), (64, 64))
    location = PixelGrid("EPSG:32633", (30, 0, 286020, 0, -30, 5539500), (8, 8))
    found = place(location, tile, across_zones=method)
    shape = (1, found.window.height, found.window.width)
    if found.is_empty:
        pytest.skip("the square lies outside the tile")
    out = np.zeros((1, 8, 8), dtype)
    lost = found.carry(np.full(shape, value, dtype), None, 0, out)
    assert (out[~lost] == np.array(value, dtype)).all()


def test_mixtures_round_to_the_nearest_whole_number():
    tile = PixelGrid("EPSG:32632", (30, 0, 716000, 0, -30, 5540000), (64, 64))
    location = PixelGrid("EPSG:32632", (30, 0, 716000, 0, -30, 5540000), (8, 8))
    found = place(location, tile)
    index = np.array([[0], [1], [2], [3]])
    weight = np.array([[0.25], [0.25], [0.25], [0.25]])
    one = type(found)("bilinear", (0, 0), Window(0, 0, 2, 2), (1, 1), (0, 0), index, weight)
    for dtype, numbers in (
        ("uint32", [2**32 - 1, 2**32 - 1, 2**32 - 5, 2**32 - 9]),
        ("int32", [-(2**31), 2**31 - 1, 5, 11]),
        ("int16", [-32768, 32767, 0, 2]),
    ):
        out = np.zeros((1, 1, 1), dtype)
        one.carry(np.array(numbers, dtype).reshape(1, 2, 2), None, 0, out)
        assert abs(int(out[0, 0, 0]) - sum(numbers) / 4) <= 0.5
