"""Footprints from masks: inside the valid pixels, close to their edge, right in lon/lat."""

import numpy as np
import pytest
import shapely
from shapely import affinity

from workbench.errors import TileError
from workbench.geo.footprint import area_m2, densified, projected
from workbench.geo.grid import PixelGrid
from workbench.geo.outline import lonlat_footprint, valid_outline
from workbench.geo.raster_grids import mask_polygons


def grid(size: int = 120, crs: str = "EPSG:32632", x: float = 600_000, y: float = 5_400_000):
    return PixelGrid.from_bounds(crs, (x, y - 30 * size, x + 30 * size, y), 30)


def rotated_mask(angle: float, size: int = 120) -> np.ndarray:
    square = affinity.rotate(shapely.box(0.18 * size, 0.2 * size, 0.8 * size, 0.83 * size), angle)
    y, x = np.mgrid[:size, :size] + 0.5
    return shapely.contains_xy(square, x, y)


@pytest.mark.parametrize("angle", [0, 5, 12.3, 20, 45])
def test_the_outline_stays_inside_the_valid_pixels_and_near_their_edge(angle):
    mask = rotated_mask(angle)
    mask[60, 60] = False  # a hole of one pixel
    outline = valid_outline(mask, grid())
    exact = shapely.union_all(mask_polygons(mask, grid()))
    assert outline.difference(exact).area < 1e-6
    assert exact.buffer(-2 * 30 * np.sqrt(2) - 1e-6).difference(outline).area < 1.0
    assert shapely.get_num_coordinates(outline) < 60


def test_a_square_patch_keeps_its_exact_outline():
    mask = np.ones((128, 128), dtype=bool)
    assert valid_outline(mask, grid(128)).equals(grid(128).outline)


def test_zero_tolerance_keeps_the_staircase():
    mask = rotated_mask(10)
    assert valid_outline(mask, grid(), tolerance=0).area == mask.sum() * 900


def test_separate_regions_make_a_multipolygon():
    mask = np.zeros((120, 120), dtype=bool)
    mask[:10, :10] = mask[50:60, 50:60] = True
    assert valid_outline(mask, grid()).geom_type == "MultiPolygon"


def test_valid_pixels_thinner_than_the_tolerance_are_not_lost():
    mask = np.eye(120, dtype=bool)  # one pixel each, touching at corners only
    outline = valid_outline(mask, grid())
    assert outline.is_valid
    assert outline.area == pytest.approx(120 * 900)


def test_a_mask_without_valid_pixels_is_refused():
    with pytest.raises(TileError, match="needs valid pixels"):
        valid_outline(np.zeros((120, 120), dtype=bool), grid())


def test_a_mask_of_another_shape_is_refused():
    with pytest.raises(TileError, match="must fit its grid"):
        valid_outline(np.ones((3, 3), dtype=bool), grid())


@pytest.mark.parametrize(("crs", "x", "y"), [("EPSG:32632", 3e5, 7e6), ("EPSG:32733", 6e5, 5e6)])
def test_lonlat_edges_lie_where_the_projected_edges_lie(crs, x, y):
    """Back in the projection, densely sampled, no edge leaves the outline by more than 2 cm."""
    outline = grid(1200, crs, x, y).outline
    footprint = lonlat_footprint(outline, crs)
    back = projected(densified([footprint], max_bend=0.001), "EPSG:4326", crs)[0]
    assert back.hausdorff_distance(shapely.segmentize(outline, 100)) < 100
    assert (
        shapely.distance(shapely.points(shapely.get_coordinates(back)), outline.exterior).max()
        < 0.02
    )
    assert area_m2([footprint])[0] == pytest.approx(outline.area, rel=2e-3)  # scale of UTM


def test_an_outline_across_the_antimeridian_is_split_there():
    footprint = lonlat_footprint(grid(1200, "EPSG:32601", 285_000, 6_000_000).outline, "EPSG:32601")
    assert footprint.geom_type == "MultiPolygon"
    assert footprint.bounds[0] == -180
    assert footprint.bounds[2] == 180
    assert area_m2([footprint])[0] == pytest.approx(36_000**2, rel=5e-3)


def test_longitude_and_latitude_stay_as_they_are():
    box = shapely.box(1, 2, 3, 4)
    assert lonlat_footprint(box, "EPSG:4326") is box
