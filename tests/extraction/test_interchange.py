import json

import numpy as np
import pytest
import rasterio
from geopandas.testing import assert_geodataframe_equal

from workbench.errors import ManifestError
from workbench.extraction import PatchStore, read_manifest
from workbench.extraction.interchange import geotiff_to_store, store_to_geotiff
from workbench.extraction.stac_export import export_stac
from workbench.readers.spectralearth import open_spectralearth, spectralearth_patches


@pytest.fixture(scope="module")
def exported(extracted, tmp_path_factory):
    folder = tmp_path_factory.mktemp("geotiff")
    return folder, store_to_geotiff(extracted.path, folder)


def bytes_of(folder):
    files = [p for p in folder.rglob("c/**/*") if p.is_file()]
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


def test_there_and_back_is_the_same_store(extracted, exported, tmp_path):
    back = geotiff_to_store(exported[0], tmp_path)
    assert_geodataframe_equal(back, extracted.manifest)
    assert_geodataframe_equal(read_manifest(tmp_path / "manifest.parquet"), extracted.manifest)
    ours, theirs = (bytes_of(p / "patches.zarr") for p in (tmp_path, extracted.path))
    for array in ("pixels", "quality", "wavelength_nm", "fwhm_nm"):
        assert {k for k in ours if k.startswith(array)} == {
            k for k in theirs if k.startswith(array)
        }
        assert all(ours[k] == theirs[k] for k in ours if k.startswith(array))
    names = ("zarr.json", "pixels/zarr.json", "quality/zarr.json")
    for name in names:
        a, b = ((p / "patches.zarr" / name).read_bytes() for p in (tmp_path, extracted.path))
        assert a == b


def test_back_and_there_are_the_same_files(exported, tmp_path):
    folder, table = exported
    geotiff_to_store(folder, tmp_path / "store")
    store_to_geotiff(tmp_path / "store", tmp_path / "again")
    for name in table.file:
        for part in ("enmap", "quality"):
            assert (tmp_path / "again" / part / name).read_bytes() == (
                folder / part / name
            ).read_bytes()


def test_the_archives_reader_reads_the_export(extracted, exported):
    folder, table = exported
    patches = {
        p.path.relative_to(folder / "enmap").as_posix(): p for p in spectralearth_patches(folder)
    }
    assert sorted(patches) == sorted(table.file)
    row = table.iloc[0]
    image = open_spectralearth(patches[row.file].path)
    pixels = PatchStore(extracted.path).pixels(row.place)
    assert np.array_equal(image.data.values, pixels)
    assert image.data.rio.bounds() == (row.xmin, row.ymin, row.xmax, row.ymax)


def test_an_export_lies_in_place_with_its_bands_named(exported):
    folder, table = exported
    row = table.iloc[-1]
    with rasterio.open(folder / "enmap" / row.file) as file:
        assert file.crs.to_string() == row.crs
        assert tuple(file.bounds) == (row.xmin, row.ymin, row.xmax, row.ymax)
        assert file.descriptions[:2] == ("B001", "B002")
        assert file.nodata == -32768
        assert file.interleaving.value == "BAND"


def test_a_folder_without_an_export(extracted, exported, tmp_path):
    with pytest.raises(ManifestError, match=r"^The manifest of an export names a file"):
        geotiff_to_store(extracted.path, tmp_path)
    with pytest.raises(ManifestError, match="holds a patch store already"):
        geotiff_to_store(exported[0], extracted.path)


def test_stac_items_say_what_the_manifest_says(extracted, tmp_path):
    path = export_stac(extracted.path, tmp_path / "items.json")
    items = json.loads(path.read_text())["features"]
    assert len(items) == len(extracted.manifest)
    item, row = items[3], extracted.manifest.iloc[3]
    assert item["properties"]["datetime"] == f"{row.acquired:%Y-%m-%dT%H:%M:%SZ}"
    assert item["properties"]["proj:code"] == row["crs"]
    assert item["properties"]["proj:transform"] == [30, 0, row.xmin, 0, -30, row.ymax]
    assert item["assets"]["pixels"]["workbench:place"] == row.place
    assert item["bbox"] == list(row.geometry.bounds)
    assert len({item["id"] for item in items}) == len(items)


def test_stac_items_link_to_what_lies_beside_them(extracted):
    item = json.loads(export_stac(extracted.path).read_text())["features"][0]
    assert item["assets"]["pixels"]["href"] == "./patches.zarr/pixels"
    (extracted.path / "items.json").unlink()
