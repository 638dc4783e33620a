"""The overlap graph on geography: what its page holds, against the graph."""

import re
from dataclasses import replace

import networkx as nx
import numpy as np
import pytest

from tests.viz.test_packed_layer import unpacked
from workbench.execution import external_references
from workbench.viz.maps import graph_map


def held(page):
    """Header and columns of the packed graph in a page."""
    return unpacked(re.search(r'showGraph\(\w+, "([\w+/=]+)"', page).group(1))


def test_the_page_holds_every_tile_and_edge_and_asks_the_network_for_nothing(tiles, graph, land):
    view = graph_map(tiles, graph, land=land)
    header, columns = held(view.page)
    names = [tile[0] for tile in header["tiles"]]
    assert names == [tile.id for tile in tiles]
    edges = {
        frozenset((names[a], names[b])) for a, b in zip(columns["a"], columns["b"], strict=True)
    }
    assert edges == {frozenset(edge) for edge in graph.edges}
    assert external_references(view.page) == []
    assert view.png.startswith(b"\x89PNG")
    assert "of 4 tiles selected" in view.page
    assert "2 components, 1 tiles alone" in view.page


def test_nodes_stand_where_the_tiles_are(tiles, graph):
    _, columns = held(graph_map(tiles, graph).page)
    for k, tile in enumerate(tiles):
        place = np.array([columns["node_lon"][k], columns["node_lat"][k]]) / 1e4
        np.testing.assert_allclose(place, tile.footprint.centroid.coords[0], atol=1e-4)


def test_text_of_files_never_becomes_markup(tiles, graph):
    evil = "</script><img src=x onerror=alert(1)>"
    named = [replace(tiles[0], id=evil), *tiles[1:]]
    view = graph_map(named, nx.relabel_nodes(graph, {"a": evil}), title=evil)
    assert "<img src=x" not in view.page


def test_one_tile_alone_is_a_graph(tiles):
    graph = nx.Graph()
    graph.add_node("far")
    assert "of 1 tiles selected" in graph_map(tiles[3:], graph).page


def test_no_tile_and_a_tile_that_is_no_node_are_errors(tiles, graph):
    with pytest.raises(ValueError, match="needs at least one tile"):
        graph_map([], graph)
    graph.remove_node("far")
    with pytest.raises(ValueError, match="Every tile must be a node of the graph, but 1 are not"):
        graph_map(tiles, graph)
