"""Fixtures laid out exactly as the archives are published, and what is read from them."""

import json
import zipfile
from datetime import UTC, datetime

import numpy as np
import pytest
import xarray as xr

from workbench.catalog import open_catalog
from workbench.errors import CatalogError, TileError
from workbench.geo.footprint import area_m2
from workbench.geo.grid import PixelGrid
from workbench.geo.raster import write_raster
from workbench.readers import read_tiles
from workbench.readers.hyspecnet import hyspecnet_patches, hyspecnet_split, open_hyspecnet
from workbench.readers.sentinel2 import EIGHT_BIT, open_scene
from workbench.readers.spectralearth import (
    open_spectralearth,
    spectralearth_patches,
    spectralearth_task,
)
from workbench.readers.ssl4eo import (
    eu_forest_patches,
    open_eu_forest,
    open_ssl4eo,
    ssl4eo_scenes,
)
from workbench.readers.ssl4eo_zarr import open_ssl4eo_zarr, sample_grid, ssl4eo_zarr_tiles
from workbench.sensors import sensor

PRODUCT = "ENMAP01-____L2A-DT0000004950_20221103T162438Z_001_V010110_20221118T145147Z"
SCENES = ("20200612T100559_20200612T101054_T33UUP", "20190915T100031_20190915T100452_T33UUP")
ENTRY = """
version: 1
datasets:
  archive:
    description: A fixture.
    layout: {layout}
    {sensor}
    source: {{type: local, path: {path}, obtain: Make it.}}
    license: CC0-1.0
    citation: None.
"""


def grid(size: int, gsd: float, zone: int = 32633) -> PixelGrid:
    bounds = (400_000, 5_800_000 - size * gsd, 400_000 + size * gsd, 5_800_000)
    return PixelGrid.from_bounds(f"EPSG:{zone}", bounds, gsd)


def entry(tmp_path, layout: str, path, name: str = ""):
    text = f"sensor: {name}" if name else ""
    (tmp_path / "catalog.yaml").write_text(ENTRY.format(layout=layout, path=path, sensor=text))
    return open_catalog(tmp_path / "catalog.yaml")["archive"]


def numbered(count: int, size: int) -> np.ndarray:
    """Band k (from 1) holds the number k."""
    return np.broadcast_to(np.arange(1, count + 1)[:, None, None], (count, size, size)).copy()


# --- SpectralEarth


def test_spectralearth_pretraining_patches(tmp_path):
    image = numbered(202, 16).astype(np.int16)
    for name in ("0287155/07676", "0287155/00012", "0000001/07676"):
        write_raster(tmp_path / "enmap" / f"{name}.tif", image, grid(16, 30))
    (tmp_path / "enmap" / "0000001" / "notes.tif").touch()
    patches = spectralearth_patches(tmp_path)
    assert [(p.location, p.view) for p in patches] == [
        ("0000001", "07676"),
        ("0287155", "00012"),
        ("0287155", "07676"),
    ]
    data, contract = open_spectralearth(patches[0].path)
    assert contract == sensor("enmap").contract()
    assert data.sel(band="B142").values[0, 0] == 127


def test_spectralearth_has_no_dates_and_so_no_tiles(tmp_path):
    write_raster(
        tmp_path / "enmap/0000001/00001.tif", numbered(202, 4).astype(np.int16), grid(4, 30)
    )
    with pytest.raises(CatalogError, match=r"which has no reader of tiles"):
        read_tiles(entry(tmp_path, "spectralearth", tmp_path / "enmap", "enmap"))


def test_spectralearth_task_follows_its_split_files(tmp_path):
    folder = tmp_path / "enmap_cdl"
    names = {
        "train": ["0287155/07676.tif", "0000007/00003.tif"],
        "val": [],
        "test": ["0000009/00003.tif"],
    }
    for split, lines in names.items():
        folder.mkdir(exist_ok=True)
        (folder / f"{split}.txt").write_text("\n".join(lines) + "\n")
        for line in lines:
            write_raster(folder / "enmap" / line, numbered(202, 4).astype(np.int16), grid(4, 30))
            write_raster(folder / "cdl" / line, np.ones((4, 4), np.uint8), grid(4, 30))
    found = spectralearth_task(tmp_path, "cdl")
    assert [p.split for p in found] == ["train", "train", "test"]
    assert found[0].label == folder / "cdl" / "0287155" / "07676.tif"
    (folder / "cdl" / "0000009" / "00003.tif").unlink()
    with pytest.raises(TileError, match=r"Every line of test.txt must have its files"):
        spectralearth_task(tmp_path, "cdl")
    (folder / "test.txt").write_text("../../etc/passwd\n")
    with pytest.raises(TileError, match=r"must be like 0287155/07676.tif"):
        spectralearth_task(tmp_path, "cdl")


def test_a_patch_of_another_sensor_is_refused(tmp_path):
    path = write_raster(tmp_path / "x.tif", numbered(198, 4).astype(np.int16), grid(4, 30))
    with pytest.raises(TileError, match=r"must have 202 bands, but .* has 198"):
        open_spectralearth(path)


# --- SSL4EO-S12, version 1


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


# --- SSL4EO-S12, version 1.1


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
    with pytest.raises(TileError, match=r"must stay in its folder"):
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


# --- SSL4EO-EU-Forest


@pytest.fixture
def forest(tmp_path):
    record = {
        "group_id": "42",
        "mask_path": "masks/42/mask.tif",
        "bbox_epsg4326": [13.0, 52.0, 13.1, 52.1],
        "mask_width": 12,
        "mask_height": 12,
        "dimensions_match": True,
        "images": {},
    }
    for season, (start, end) in {
        "summer": ("20180702T100031", "20180702T100452"),
        "spring": ("20180408T100031", "20180408T100452"),
    }.items():
        path = f"images/42/{start}_{end}_T33UUP/all_bands.tif"
        record["images"][season] = {
            "path": path,
            "timestamp_start": datetime.strptime(start, "%Y%m%dT%H%M%S").isoformat(),
            "timestamp_end": datetime.strptime(end, "%Y%m%dT%H%M%S").isoformat(),
            "tile_id": "T33UUP",
            "season": season,
            "width": 12,
            "height": 12,
        }
        write_raster(tmp_path / path, numbered(12, 12).astype(np.uint16), grid(12, 10))
    write_raster(tmp_path / record["mask_path"], np.full((12, 12), 2, np.uint8), grid(12, 10))
    (tmp_path / "meta.jsonl").write_text(json.dumps(record) + "\n")
    return tmp_path


def test_eu_forest_images_are_in_order_of_time_with_their_mask(forest):
    patches = eu_forest_patches(forest)
    assert [p.acquired.month for p in patches] == [4, 7]
    assert {p.label for p in patches} == {forest / "masks/42/mask.tif"}
    data, contract = open_eu_forest(patches[0].path)
    assert contract.band_names == sensor("sentinel2_l2a").kept
    assert data.sel(band="B11").values[0, 0] == 11
    tiles = read_tiles(entry(forest, "ssl4eo_eu_forest", forest, "sentinel2_l2a"))
    assert [t.id for t in tiles] == [f"42/{p.view}" for p in patches]


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('"masks/42/mask.tif"', '"../mask.tif"', "must stay in"),
        ('"group_id"', '"id"', "whole meta.jsonl"),
        ("{", "", "whole meta.jsonl"),
        ("2018-07-02T10:00:31", "once", "must be a date"),
    ],
)
def test_a_broken_listing_is_named(forest, old, new, reason):
    file = forest / "meta.jsonl"
    file.write_text(file.read_text().replace(old, new, 1))
    with pytest.raises(TileError, match=reason):
        eu_forest_patches(forest)


# --- HySpecNet-11k


@pytest.fixture
def hyspecnet(tmp_path):
    names = [f"{PRODUCT}-Y01460273_X0311043{i}" for i in range(3)]
    for name in names:
        image = numbered(224, 8).astype(np.int16)
        path = tmp_path / "patches" / PRODUCT / name / f"{name}-SPECTRAL_IMAGE.TIF"
        write_raster(path, image, grid(8, 30), nodata=-32768)
    folder = tmp_path / "splits" / "hard"
    folder.mkdir(parents=True)
    for split, name in zip(("train", "val", "test"), names, strict=True):
        (folder / f"{split}.csv").write_text(f"{PRODUCT}/{name}/{name}-DATA.npy\n")
    return tmp_path


def test_hyspecnet_patches_have_the_time_of_their_tile(hyspecnet):
    patches = hyspecnet_patches(hyspecnet)
    assert [p.view for p in patches] == [PRODUCT] * 3
    assert patches[0].acquired == datetime(2022, 11, 3, 16, 24, 38, tzinfo=UTC)
    data, contract = open_hyspecnet(patches[0].path)
    assert contract == sensor("enmap").contract()
    assert data.sel(band="B092").values[0, 0] == 92
    assert open_hyspecnet(patches[0].path, bands="all").data.shape[0] == 224
    tiles = read_tiles(entry(hyspecnet, "hyspecnet_11k", hyspecnet, "enmap"))
    assert {t.group for t in tiles} == {"0000004950"}


def test_hyspecnet_splits_are_read_as_published(hyspecnet):
    assert [p.split for p in hyspecnet_split(hyspecnet)] == ["train", "val", "test"]
    with pytest.raises(TileError, match=r"must have its split files, but .*easy"):
        hyspecnet_split(hyspecnet, "easy")
    (hyspecnet / "splits/hard/val.csv").write_text("../../x/y-DATA.npy\n")
    with pytest.raises(TileError, match=r"must have its patch"):
        hyspecnet_split(hyspecnet)


@pytest.mark.parametrize(
    "layout", ["enmap_l2a", "ssl4eo_s12", "ssl4eo_s12_v1_1", "hyspecnet_11k", "stac_enmap"]
)
def test_a_path_without_tiles_is_an_error(tmp_path, layout):
    (tmp_path / "empty").mkdir()
    with pytest.raises(TileError, match=r"There must be (a product|scenes|patches)"):
        read_tiles(entry(tmp_path, layout, tmp_path / "empty"))
