"""Label maps on their own grids, asked for patches in other grids and systems."""

import numpy as np
import pytest
from pyproj import Transformer

from workbench.errors import ContractMismatchError, CRSMismatchError, TileError
from workbench.geo.grid import PixelGrid, Window
from workbench.geo.raster import write_raster
from workbench.legends import CORINE_19, HRL_LEAF_TYPE, NLCD_15
from workbench.readers.labels import LabelMap, LabelMosaic, label_maps, open_labels

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
    assert (found == NLCD_15.encode(codes[row, col])).all()


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


@pytest.mark.parametrize(
    ("crs", "gsd"), [("EPSG:3035", 100), ("EPSG:3035", 30), ("EPSG:32618", 30), ("EPSG:32618", 45)]
)
def test_a_majority_of_a_map_that_is_not_finer_is_the_class_under_the_centre(tmp_path, crs, gsd):
    own = map_around(UTM, crs, gsd)
    rng = np.random.default_rng(1)
    codes = rng.choice(sorted(NLCD_15.index_of_code), size=own.shape).astype(np.uint8)
    with LabelMap(write_raster(tmp_path / "x.tif", codes, own)) as labels:
        most = labels.classes(UTM, NLCD_15, majority=True)
    x, y = Transformer.from_crs(UTM.crs, crs, always_xy=True).transform(*np.meshgrid(UTM.x, UTM.y))
    col = np.floor((x - own.bounds[0]) / gsd).astype(int)
    row = np.floor((own.bounds[3] - y) / gsd).astype(int)
    assert (most == NLCD_15.encode(codes[row, col])).all()


@pytest.mark.parametrize("gsd", [10, 15, 20])
def test_a_majority_counts_the_centres_in_each_pixel(tmp_path, gsd):
    own = map_around(UTM, "EPSG:5070", gsd)
    rng = np.random.default_rng(2)
    codes = rng.choice(np.array([0, 1, 2, 255], np.uint8), size=own.shape)
    with LabelMap(write_raster(tmp_path / "x.tif", codes, own)) as labels:
        found = labels.classes(UTM, HRL_LEAF_TYPE, majority=True)
    x, y = Transformer.from_crs("EPSG:5070", UTM.crs, always_xy=True).transform(
        *np.meshgrid(own.x, own.y)
    )
    col = np.floor((x - UTM.bounds[0]) / 30).astype(int)
    row = np.floor((UTM.bounds[3] - y) / 30).astype(int)
    votes = np.zeros((*UTM.shape, 3), int)
    inside = (col >= 0) & (col < UTM.width) & (row >= 0) & (row < UTM.height) & (codes < 3)
    np.add.at(votes, (row[inside], col[inside], codes[inside]), 1)
    voted = votes.sum(axis=-1) > 0
    assert voted.any()
    assert (found[voted] == votes.argmax(axis=-1)[voted]).all()  # of a tie, the first class


@pytest.mark.parametrize(
    ("dtype", "nodata"),
    [("int8", -128), ("uint8", 250), ("uint16", 65535), ("int16", -9999), ("float32", -9999.0),
     ("float32", np.nan), ("uint8", 77)],
)  # fmt: skip
def test_nodata_of_the_header_has_no_class(tmp_path, dtype, nodata):
    rng = np.random.default_rng(3)
    is_empty = rng.random(UTM.shape) < 0.3
    codes = np.where(is_empty, nodata, rng.choice([11, 41, 95], UTM.shape)).astype(dtype)
    with LabelMap(write_raster(tmp_path / "x.tif", codes, UTM, nodata=nodata)) as labels:
        classes = labels.classes(UTM, NLCD_15)
        most = labels.classes(UTM, NLCD_15, majority=True)
        present = labels.present(UTM, NLCD_15)
    assert (classes[is_empty] == NLCD_15.ignore_index).all()
    known = codes[~is_empty].astype(int)
    assert (classes[~is_empty] == NLCD_15.encode(known)).all()
    assert (most == classes).all()
    assert np.flatnonzero(present).tolist() == [0, 6, 14]


def test_a_class_that_the_header_calls_nodata_is_a_class_and_said(tmp_path, caplog):
    codes = np.tile(np.array([0, 1, 2, 255], np.uint8), (32, 8))
    path = write_raster(tmp_path / "x.tif", codes, UTM, nodata=0)
    with LabelMap(path) as labels:
        assert (labels.classes(UTM, HRL_LEAF_TYPE) == np.tile([0, 1, 2, 3], (32, 8))).all()
    assert "calls 0 nodata, but it is a class" in caplog.text
    with LabelMap(path, nodata=0) as labels:  # stated: it means no label
        assert (labels.classes(UTM, HRL_LEAF_TYPE) == np.tile([3, 1, 2, 3], (32, 8))).all()


@pytest.mark.parametrize("kind", ["classes", "majority", "density"])
def test_tiles_of_a_product_have_no_seams(tmp_path, kind):
    own = map_around(UTM, UTM.crs, 10)
    rng = np.random.default_rng(4)
    codes = rng.integers(0, 3, own.shape).astype(np.uint8)
    with LabelMap(write_raster(tmp_path / "whole.tif", codes, own)) as labels:
        whole = _asked(labels, kind)
    middle = own.height // 2 + 1, own.width // 2 + 2  # seams through pixels of the patch
    paths = []
    for i, rows in enumerate((slice(0, middle[0]), slice(middle[0], None))):
        for j, cols in enumerate((slice(0, middle[1]), slice(middle[1], None))):
            part = codes[rows, cols]
            window = Window(rows.start, cols.start, *part.shape)
            paths.append(write_raster(tmp_path / f"{i}{j}.tif", part, own.crop(window)))
    with LabelMosaic(paths) as labels:
        assert labels.covers(UTM)
        np.testing.assert_array_equal(_asked(labels, kind), whole)
    with LabelMosaic(paths[:3]) as labels:
        assert not labels.covers(UTM)
        with pytest.raises(TileError, match="none of 3 covers it whole, alone or together"):
            labels.codes(UTM)


def _asked(labels, kind):
    if kind == "density":
        return labels.density(UTM)
    return labels.classes(UTM, HRL_LEAF_TYPE, majority=kind == "majority")


def test_no_data_of_one_tile_gives_way_to_the_next(tmp_path):
    rng = np.random.default_rng(5)
    codes = rng.choice(sorted(NLCD_15.index_of_code), UTM.shape).astype(np.uint8)
    state, rest = codes.copy(), codes.copy()
    state[:, 20:], rest[:, :20] = 0, 250  # as published: what lies beyond the border is fill
    paths = [
        write_raster(tmp_path / "state.tif", state, UTM),
        write_raster(tmp_path / "rest.tif", rest, UTM, nodata=250),
    ]
    with LabelMosaic(paths) as labels:
        assert (labels.classes(UTM, NLCD_15) == NLCD_15.encode(codes)).all()


def test_maps_on_several_grids_are_joined_by_the_patchs_pixels(tmp_path):
    west, east = UTM.crop(Window(0, -5, 32, 21)), map_around(UTM, "EPSG:3035", 10)
    paths = [
        write_raster(tmp_path / "w.tif", np.full(west.shape, 41, np.uint8), west),
        write_raster(tmp_path / "e.tif", np.full(east.shape, 11, np.uint8), east),
    ]
    with LabelMosaic(paths[:1]) as labels:
        assert not labels.covers(UTM)
    with LabelMosaic(paths) as labels:
        found = labels.classes(UTM, NLCD_15)
    assert set(np.unique(found)) == {0}  # one map covers it whole
