"""Label maps on their own grids, asked for patches in other grids and systems."""

import numpy as np
import pytest
from pyproj import Transformer

from workbench.errors import ContractMismatchError, CRSMismatchError, TileError
from workbench.geo.grid import PixelGrid
from workbench.geo.raster import write_raster
from workbench.legends import CORINE_19, HRL_LEAF_TYPE, NLCD_15
from workbench.readers.labels import LabelMap, label_maps, open_labels

UTM = PixelGrid("EPSG:32618", (30, 0, 600_000, 0, -30, 4_200_000), (32, 32))


def map_around(patch: PixelGrid, crs: str, gsd: float, margin: float = 500) -> PixelGrid:
    """A grid of another CRS that covers the patch."""
    to = Transformer.from_crs(patch.crs, crs, always_xy=True)
    xmin, ymin, xmax, ymax = to.transform_bounds(*patch.bounds)
    low = np.floor((np.array([xmin, ymin]) - margin) / gsd) * gsd
    high = np.ceil((np.array([xmax, ymax]) + margin) / gsd) * gsd
    return PixelGrid.from_bounds(crs, (*low, *high), gsd)


@pytest.mark.parametrize(
    ("crs", "gsd"), [("EPSG:5070", 30), ("EPSG:3035", 100), ("EPSG:32618", 10)]
)
def test_each_pixel_takes_the_code_under_its_centre(tmp_path, crs, gsd):
    own = map_around(UTM, crs, gsd)
    rng = np.random.default_rng(0)
    codes = rng.choice(sorted(NLCD_15.index_of_code), size=own.shape).astype(np.uint8)
    path = write_raster(tmp_path / "x.tif", codes, own)
    with LabelMap(path) as labels:
        found = labels.classes(UTM, NLCD_15)
    x, y = np.meshgrid(UTM.x, UTM.y)
    mx, my = Transformer.from_crs(UTM.crs, crs, always_xy=True).transform(x, y)
    col = np.floor((mx - own.bounds[0]) / gsd).astype(int)
    row = np.floor((own.bounds[3] - my) / gsd).astype(int)
    # GDAL approximates the projection to an eighth of a pixel, so that a centre may cross an edge
    assert (found == NLCD_15.encode(codes[row, col])).mean() > 0.99


def test_the_classes_of_a_patch_are_those_of_the_maps_own_pixels(tmp_path):
    own = map_around(UTM, "EPSG:3035", 100)
    codes = np.full(own.shape, 211, dtype=np.int16)
    codes[own.height // 2, own.width // 2] = 512  # one pixel in the middle
    codes[0, 0] = 523  # outside the patch
    with LabelMap(write_raster(tmp_path / "x.tif", codes, own)) as labels:
        assert np.flatnonzero(labels.present(UTM, CORINE_19)).tolist() == [2, 17]


def test_density_is_averaged_over_the_finer_pixels(tmp_path):
    own = PixelGrid.from_bounds(UTM.crs, UTM.bounds, 10)
    percent = np.zeros(own.shape, dtype=np.uint8)
    percent[::3] = 90  # one row of three
    percent[:3, :3] = 255
    percent[3:6, :2] = 255
    with LabelMap(write_raster(tmp_path / "x.tif", percent, own)) as labels:
        density = labels.density(UTM)
    assert density[5, 5] == pytest.approx(0.3)
    assert np.isnan(density[0, 0])
    assert density[1, 0] == pytest.approx(0.3)  # what is left of a pixel counts
    assert density.dtype == np.float32


def test_a_map_may_end_where_the_patch_ends(tmp_path):
    path = write_raster(tmp_path / "x.tif", np.ones(UTM.shape, np.uint8), UTM)
    with LabelMap(path) as labels:
        assert (labels.classes(UTM, HRL_LEAF_TYPE) == 1).all()


def test_a_map_that_does_not_cover_the_patch_is_refused(tmp_path):
    part = UTM.crop(UTM.whole._replace(width=31))
    path = write_raster(tmp_path / "x.tif", np.ones(part.shape, np.uint8), part)
    with (
        LabelMap(path) as labels,
        pytest.raises(TileError, match=r"must cover the patch, but .*x.tif"),
    ):
        labels.codes(UTM)


def test_a_code_outside_the_legend_names_the_map(tmp_path):
    path = write_raster(tmp_path / "x.tif", np.full(UTM.shape, 7, np.uint8), UTM)
    with LabelMap(path) as labels, pytest.raises(ContractMismatchError, match=r"of .*x\.tif must"):
        labels.classes(UTM, NLCD_15)


def test_labels_are_opened_lazily_on_their_own_grid(tmp_path):
    path = write_raster(tmp_path / "x.tif", np.ones(UTM.shape, np.uint8), UTM)
    data = open_labels(path)
    assert data.dims == ("y", "x")
    assert data.rio.crs.to_epsg() == 32618


def test_several_maps_are_closed_together(tmp_path):
    path = write_raster(tmp_path / "x.tif", np.ones(UTM.shape, np.uint8), UTM)
    with label_maps({"a": path, "b": path}) as maps:
        assert maps["a"].codes(UTM).shape == UTM.shape


def test_a_map_of_several_bands_is_refused(tmp_path):
    path = write_raster(tmp_path / "x.tif", np.ones((2, *UTM.shape), np.uint8), UTM)
    with pytest.raises(TileError, match=r"must have one band, but .* has 2"):
        LabelMap(path)


def test_a_missing_map_is_named(tmp_path):
    with pytest.raises((TileError, CRSMismatchError), match=r"y\.tif is not"):
        open_labels(tmp_path / "y.tif")
