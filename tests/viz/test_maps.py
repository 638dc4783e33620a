import json
import re

import networkx as nx
import pytest
from shapely.geometry import box

from workbench.execution import external_references
from workbench.geo.tile import Tile
from workbench.viz.maps_coverage import coverage_map
from workbench.viz.maps_tiles import tile_map
from workbench.viz.palettes import SERIES_COLOURS

PNG = b"\x89PNG"


def features(page):
    found = re.findall(r'_add\((\{.*?"type": "FeatureCollection"\})\);', page)
    return [json.loads(text)["features"] for text in found]


def test_tile_map_asks_the_network_for_nothing(tiles, graph, land):
    view = tile_map(tiles, graph, land=land)
    assert external_references(view.page) == []
    assert external_references(view._repr_html_()) == []
    assert view.png.startswith(PNG)


def test_online_basemap_is_an_option(tiles, graph):
    assert "tile.openstreetmap.org" in tile_map(tiles, graph, basemap="OpenStreetMap").page
    assert "tile.openstreetmap.org" not in tile_map(tiles, graph).page


def test_tile_map_draws_every_tile_and_every_edge(tiles, graph):
    footprints, edges, nodes = features(tile_map(tiles, graph).page)
    assert {f["properties"]["id"]: f["properties"]["degree"] for f in footprints} == dict(
        graph.degree
    )
    assert {f["properties"]["id"] for f in nodes} == set(graph)
    assert {(f["properties"]["a"], f["properties"]["b"]) for f in edges} == set(graph.edges)
    assert {f["properties"]["km2"] for f in edges} == {250.0}


def test_more_overlaps_are_drawn_in_another_colour(tiles, graph):
    footprints, _, _ = features(tile_map(tiles, graph).page)
    colour = {f["properties"]["id"]: f["properties"]["style"]["fillColor"] for f in footprints}
    assert colour["a"] == colour["c"]
    assert len(set(colour.values())) == 3


def test_legend_counts_and_says_what_is_simplified(tiles, graph):
    page = tile_map(tiles, graph).page
    assert "4 of 4 tiles, 2 components, 1 isolated" in page
    assert "Outlines are drawn to within 2 km" in page


def test_text_of_files_never_becomes_markup(graph, tiles):
    evil = "</script><script>alert(1)</script>"
    bad = Tile(evil, tiles[0].acquired, tiles[0].footprint, "EPSG:32632", None, evil)
    renamed = nx.relabel_nodes(graph, {"a": evil})
    page = tile_map([bad, *tiles[1:]], renamed, title=evil).page
    assert "<script>alert(1)" not in page


def test_edge_over_the_antimeridian_goes_the_short_way(tiles):
    when = tiles[0].acquired
    pair = [
        Tile("west", when, box(179, 0, 179.9, 1), "EPSG:32660"),
        Tile("east", when, box(-179.9, 0, -179, 1), "EPSG:32601"),
    ]
    graph = nx.Graph([("west", "east")])
    _, edges, _ = features(tile_map(pair, graph).page)
    (x0, _), (x1, _) = edges[0]["geometry"]["coordinates"]
    assert abs(x1 - x0) < 2


def test_tile_missing_from_the_graph_is_named(tiles, graph):
    graph.remove_node("far")
    with pytest.raises(ValueError, match="Every tile must be a node of the graph, but 1 are not"):
        tile_map(tiles, graph)


def test_no_tile_is_an_error(graph):
    with pytest.raises(ValueError, match="A tile map needs at least one tile"):
        tile_map([], graph)


def test_coverage_map_asks_the_network_for_nothing(plan, tiles, land):
    view = coverage_map(plan, tiles, land=land)
    assert external_references(view.page) == []
    assert view.png.startswith(PNG)


def test_coverage_legend_shows_the_classes_there_are_and_all_locations(plan, tiles):
    page = coverage_map(plan, tiles).page
    assert "of 5 locations shown" in page
    for k, colour in enumerate(SERIES_COLOURS):
        assert (f'data-series=\\"{k}\\"' in page) == (k < 3), colour


def test_empty_plan_still_makes_a_map(plan, tiles):
    page = coverage_map(plan.iloc[:0], tiles).page
    assert "of 0 locations shown" in page
