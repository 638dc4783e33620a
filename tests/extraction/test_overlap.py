"""The overlap graph against every pair taken by hand, at all awkward places of the Earth."""

from datetime import datetime
from itertools import combinations

import networkx as nx
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod

from workbench.errors import TileError
from workbench.extraction import Tile, overlap_graph
from workbench.geo.footprint import split_at_antimeridian

GEOD = Geod(ellps="WGS84")
DAY = datetime(2022, 6, 1)


def tile(name, footprint, crs="EPSG:32632"):
    return Tile(name, DAY, footprint, crs)


def boxes(n, seed, lon=10.0, lat=50.0, spread=2.0):
    corners = np.random.default_rng(seed).uniform([lon, lat], [lon + spread, lat + spread], (n, 2))
    return [
        tile(f"t{i:02d}", shapely.box(x, y, x + 0.4, y + 0.3)) for i, (x, y) in enumerate(corners)
    ]


def geodesic_area(geometry):
    """Area by another library, along edges densified so that they are straight in lon/lat."""
    return abs(GEOD.geometry_area_perimeter(shapely.segmentize(geometry, 0.002))[0])


@pytest.mark.parametrize("seed", range(5))
def test_edges_are_the_pairs_that_share_area(seed):
    tiles = boxes(40, seed)
    by_hand = {
        (a.id, b.id): geodesic_area(shared)
        for a, b in combinations(tiles, 2)
        if (shared := a.footprint.intersection(b.footprint)).area > 0
    }
    edges = {(a, b): area for a, b, area in overlap_graph(tiles).edges(data="area")}
    assert edges == pytest.approx(by_hand, rel=1e-4)


@settings(max_examples=30, deadline=None)
@given(st.floats(-179, 178), st.floats(-89, 88), st.floats(0.01, 0.9), st.floats(0.01, 0.9))
def test_areas_are_within_a_thousandth_of_the_geodesic_ones_anywhere(lon, lat, width, height):
    a = tile("a", shapely.box(lon, lat, lon + width, lat + height))
    b = tile("b", shapely.box(lon + width / 3, lat, lon + width, lat + height))
    area = overlap_graph([a, b]).edges["a", "b"]["area"]
    assert area == pytest.approx(geodesic_area(b.footprint), rel=1e-3)


def test_tiles_of_two_zones_overlap():
    a = tile("a", shapely.box(11.8, 50, 12.2, 50.3), "EPSG:32632")
    b = tile("b", shapely.box(12.1, 50, 12.5, 50.3), "EPSG:32633")
    assert list(overlap_graph([a, b]).edges) == [("a", "b")]


def test_tiles_meet_across_the_antimeridian():
    west, across = split_at_antimeridian(
        [shapely.box(179.5, -17, 179.95, -16.5), shapely.box(179.9, -17, 180.4, -16.5)]
    )
    east = shapely.box(-179.8, -17, -179.2, -16.5)
    assert across.geom_type == "MultiPolygon"
    graph = overlap_graph([tile("west", west), tile("across", across), tile("east", east)])
    assert set(map(frozenset, graph.edges)) == {
        frozenset({"west", "across"}),
        frozenset({"across", "east"}),
    }
    shared = shapely.box(0.0, -17, 0.2, -16.5)  # as wide, at another longitude
    assert graph.edges["across", "east"]["area"] == pytest.approx(geodesic_area(shared), rel=1e-4)


def test_tiles_that_touch_stay_isolated_nodes():
    graph = overlap_graph([tile("a", shapely.box(0, 0, 1, 1)), tile("b", shapely.box(1, 0, 2, 1))])
    assert list(graph.nodes) == ["a", "b"]
    assert graph.number_of_edges() == 0


def test_footprints_that_share_a_line_and_an_area_are_measured_by_the_area():
    a = shapely.union_all([shapely.box(0, 0, 1, 1), shapely.box(2, 0, 3, 1)])
    b = shapely.union_all([shapely.box(1, 0, 1.5, 1), shapely.box(2.5, 0, 3.5, 1)])
    graph = overlap_graph([tile("a", a), tile("b", b)])
    expected = geodesic_area(shapely.box(2.5, 0, 3, 1))
    assert graph.edges["a", "b"]["area"] == pytest.approx(expected, rel=1e-4)


def test_a_smallest_area_leaves_slivers_out():
    tiles = [tile("a", shapely.box(0, 0, 1, 1)), tile("b", shapely.box(0.999, 0, 2, 1))]
    sliver = overlap_graph(tiles).edges["a", "b"]["area"]
    assert overlap_graph(tiles, min_area=sliver * 0.99).number_of_edges() == 1
    assert overlap_graph(tiles, min_area=sliver).number_of_edges() == 0


def test_components_and_degrees_are_those_of_the_ground():
    chain = [tile(f"c{i}", shapely.box(i * 0.9, 0, i * 0.9 + 1, 1)) for i in range(4)]
    alone = tile("alone", shapely.box(20, 0, 21, 1))
    graph = overlap_graph([*chain, alone])
    assert sorted(len(c) for c in nx.connected_components(graph)) == [1, 4]
    assert dict(graph.degree()) == {"c0": 1, "c1": 2, "c2": 2, "c3": 1, "alone": 0}


def test_no_tiles_give_an_empty_graph():
    assert overlap_graph([]).number_of_nodes() == 0


def test_two_tiles_of_one_id_are_refused():
    with pytest.raises(
        TileError, match=r"Tile ids must be distinct, but 1 occur twice, e\.g\. 'a'"
    ):
        overlap_graph([tile("a", shapely.box(0, 0, 1, 1)), tile("a", shapely.box(0, 0, 1, 1))])


def test_a_negative_smallest_area_is_refused():
    with pytest.raises(ValueError, match=r"min_area must be >= 0 m², got -1\.0"):
        overlap_graph([], min_area=-1.0)
