"""Areas, bends and the antimeridian seam, against pyproj and by hand."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod

from workbench.geo.footprint import area_m2, densified, projected, split_at_antimeridian

GEOD = Geod(ellps="WGS84")
EARTH_M2 = 510_065_621_724_089.0


def test_the_whole_earth_has_its_area():
    assert area_m2([shapely.box(-180, -90, 180, 90)])[0] == pytest.approx(EARTH_M2, rel=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.floats(-80, 80), st.floats(0.05, 1.5), st.floats(0, 90))
def test_turned_polygons_measure_as_their_densified_geodesics(lat, size, turn):
    polygon = shapely.affinity.rotate(shapely.box(5, lat, 5 + size, lat + size), turn)
    reference = abs(GEOD.geometry_area_perimeter(shapely.segmentize(polygon, 0.005))[0])
    assert area_m2([polygon])[0] == pytest.approx(reference, rel=1e-5)


def test_holes_parts_and_orientation():
    ring = shapely.Polygon([(0, 0), (3, 0), (3, 3), (0, 3)], [[(1, 1), (2, 1), (2, 2), (1, 2)]])
    whole, hole = area_m2([shapely.box(0, 0, 3, 3), shapely.box(1, 1, 2, 2)])
    two = shapely.MultiPolygon([ring, shapely.box(10, 0, 11, 1)])
    measured = area_m2([ring, ring.reverse(), two])
    assert measured[:2] == pytest.approx([whole - hole] * 2)
    assert measured[2] == pytest.approx(whole - hole + area_m2([shapely.box(10, 0, 11, 1)])[0])


def test_points_lines_and_empty_geometries_measure_nothing():
    nothing = [shapely.Point(1, 2), shapely.LineString([(0, 0), (1, 1)]), shapely.Polygon()]
    mixed = shapely.GeometryCollection([shapely.box(0, 0, 1, 1), shapely.Point(4, 4)])
    measured = area_m2([*nothing, mixed])
    assert measured[:3].tolist() == [0, 0, 0]
    assert measured[3] == pytest.approx(area_m2([shapely.box(0, 0, 1, 1)])[0])
    assert area_m2([]).tolist() == []


def test_a_polygon_across_the_antimeridian_is_split_and_keeps_its_area():
    beyond = shapely.box(179.0, 10, 181.5, 11)
    inside = shapely.box(20, 10, 22.5, 11)
    (split, same) = split_at_antimeridian([beyond, inside])
    assert same is inside
    assert split.geom_type == "MultiPolygon"
    assert split.bounds == (-180.0, 10.0, 180.0, 11.0)
    assert area_m2([split]) == pytest.approx(area_m2([inside]))


def test_a_polygon_that_only_touches_the_antimeridian_from_beyond_moves_whole():
    (moved,) = split_at_antimeridian([shapely.box(180, 0, 181, 1)])
    assert moved.equals(shapely.box(-180, 0, -179, 1))


@pytest.mark.parametrize("lat", [0.0, 45.0, -70.0, 83.0])
def test_densified_edges_stay_where_they_are_when_projected(lat):
    edge = shapely.Polygon([(9, lat), (10.5, lat), (10.5, lat + 0.5), (9, lat + 0.5)])
    (coarse,) = projected(densified([edge], max_bend=2.0), "EPSG:4326", "EPSG:32632")
    (fine,) = projected([shapely.segmentize(edge, 0.001)], "EPSG:4326", "EPSG:32632")
    assert shapely.hausdorff_distance(coarse, fine) < 2.0
    (straight,) = projected([edge], "EPSG:4326", "EPSG:32632")
    if abs(lat) > 10:
        assert shapely.hausdorff_distance(straight, fine) > 50.0  # what the vertices are for


def test_projecting_there_and_back_is_the_identity():
    squares = shapely.box(np.arange(6, 12), 50, np.arange(6, 12) + 0.1, 50.1)
    back = projected(projected(squares, "EPSG:4326", "EPSG:32632"), "EPSG:32632", "EPSG:4326")
    assert shapely.equals_exact(squares, back, tolerance=1e-9).all()
