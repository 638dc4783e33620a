"""The real samples, from files of the same names, types and quirks but another size."""

import numpy as np
import pytest

from workbench.catalog import open_catalog
from workbench.errors import TileError
from workbench.geo.grid import PixelGrid
from workbench.geo.raster import write_raster
from workbench.readers.samples import indian_pines, nc_landsat_forest

GRID = PixelGrid("EPSG:32119", (28.5, 0, 630_534, 0, -28.5, 228_114), (6, 8))
ENTRY = """
version: 1
datasets:
  sample:
    description: A fixture.
    layout: {layout}
    source: {{type: local, path: {path}, obtain: Make it.}}
    license: CC0-1.0
    citation: None.
"""


def entry(tmp_path, layout):
    (tmp_path / "catalog.yaml").write_text(ENTRY.format(layout=layout, path=tmp_path / "data"))
    return open_catalog(tmp_path / "catalog.yaml")["sample"]


@pytest.fixture
def pines(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    cube = np.broadcast_to(np.arange(200, dtype=np.uint16), (5, 7, 200))
    np.save(folder / "Indian_pines_corrected.npy", cube)
    labels = np.zeros((5, 7), np.uint8)
    labels[1, 2] = 14
    np.save(folder / "Indian_pines_gt.npy", labels)
    return tmp_path


def test_indian_pines_has_bands_first_and_its_classes(pines):
    scene = indian_pines(entry(pines, "indian_pines"))
    assert scene.image.data.shape == (200, 5, 7)
    assert scene.image.contract.band_names[103] == "B109"  # 104-108 are left out
    assert scene.image.data.sel(band="B109").values[0, 0] == 103
    assert scene.legend.names[scene.labels[1, 2]] == "Woods"
    assert scene.labels[0, 0] == scene.legend.ignore_index


def test_an_array_that_needs_pickle_is_refused(pines):
    np.save(pines / "data/Indian_pines_gt.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(TileError, match="must be a plain NumPy array"):
        indian_pines(entry(pines, "indian_pines"))


def test_another_number_of_bands_is_refused(pines):
    np.save(pines / "data/Indian_pines_corrected.npy", np.zeros((5, 7, 220)))
    with pytest.raises(TileError, match=r"must have \(5, 7, 200\) numbers"):
        indian_pines(entry(pines, "indian_pines"))


@pytest.fixture
def landsat(tmp_path):
    for number in (10, 20, 30, 40, 50, 70):
        dtype, nodata = (np.int16, -32768) if number == 70 else (np.float32, -99999)
        values = np.full(GRID.shape, number, dtype)
        values[0] = nodata
        write_raster(tmp_path / f"data/lsat7_2000_{number}.tif", values, GRID, nodata=nodata)
    strata = np.full(GRID.shape, 5, np.float32)
    strata[0, 0] = -99999
    harn = PixelGrid("EPSG:3358", GRID.transform, GRID.shape)
    write_raster(tmp_path / "data/strata.tif", strata, harn, nodata=-99999)
    return tmp_path


def test_the_landsat_scene_has_one_nodata_and_its_strata(landsat):
    scene = nc_landsat_forest(entry(landsat, "landsat_bands"))
    assert scene.image.contract.band_names == ("B1", "B2", "B3", "B4", "B5", "B7")
    assert (scene.image.contract.nodata, scene.image.contract.gsd_m) == (-99999, 28.5)
    assert (scene.image.data.values[:, 0] == -99999).all()
    assert scene.image.data.values[:, 1, 1].tolist() == [10, 20, 30, 40, 50, 70]
    assert scene.image.data.rio.crs.to_epsg() == 32119
    assert scene.legend.names[scene.labels[1, 1]] == "Forest"
    assert scene.labels[0, 0] == scene.legend.ignore_index


@pytest.mark.parametrize("crs", ["EPSG:32118", "EPSG:3358"])
def test_only_the_known_difference_of_datum_is_accepted(landsat, crs):
    other = PixelGrid(crs, GRID.transform, GRID.shape)
    write_raster(landsat / "data/lsat7_2000_20.tif", np.ones(GRID.shape, np.float32), other)
    if crs == "EPSG:3358":
        nc_landsat_forest(entry(landsat, "landsat_bands"))
    else:
        with pytest.raises(TileError, match=r"must share their pixels, but lsat7_2000_20\.tif"):
            nc_landsat_forest(entry(landsat, "landsat_bands"))
