"""Packed outlines and edges against the tiles and the graph they came from."""

import networkx as nx
import numpy as np
import shapely

from tests.viz.test_packed_layer import unpacked
from workbench.viz.map_lines import packed_overlays


def test_outlines_come_back_as_rings(tiles):
    header, columns = unpacked(packed_overlays(tiles, None, {"outlines": "o"}))
    assert header["names"] == {"outlines": "o"}
    points = np.column_stack([columns["ring_lon"], columns["ring_lat"]]) / 1e4
    rings = np.split(points, np.cumsum(columns["ring_lengths"])[:-1])
    for tile, ring in zip(tiles, rings, strict=True):
        assert shapely.Polygon(ring).equals(shapely.set_precision(tile.footprint, 1e-4))


def test_every_edge_comes_back_with_its_area(tiles, graph):
    graph.add_edge("a", "stranger", area=1.0)
    _, columns = unpacked(packed_overlays(tiles, graph, {}))
    names = [tile.id for tile in tiles]
    found = {
        (names[a], names[b]): h
        for a, b, h in zip(columns["a"], columns["b"], columns["hectares"], strict=True)
    }
    assert found == {("a", "b"): 25_000, ("b", "c"): 25_000}
    assert columns["node_lon"].size == len(tiles)


def test_an_edge_without_area_says_so(tiles):
    graph = nx.Graph([("far", "a")])
    graph.add_nodes_from(tile.id for tile in tiles)
    _, columns = unpacked(packed_overlays(tiles, graph, {}))
    assert columns["hectares"].tolist() == [-1]
