import networkx as nx
import numpy as np
import pytest

from workbench.viz.network import component_sizes, largest_component, spring_positions


def test_largest_component_keeps_edges_and_their_areas():
    graph = nx.Graph()
    graph.add_edge("a", "b", area=5.0)
    graph.add_edges_from([("x", "y"), ("y", "z")])
    best = largest_component(graph)
    assert set(best) == {"x", "y", "z"}
    best.remove_node("x")
    assert "x" in graph


@pytest.mark.parametrize("seed", range(5))
def test_cut_down_component_is_connected_and_holds_the_busiest_tile(seed):
    graph = nx.relabel_nodes(nx.barabasi_albert_graph(200, 2, seed=seed), str)
    best = largest_component(graph, max_nodes=40)
    hub = max(graph.degree, key=lambda item: (item[1], item[0]))[0]
    assert len(best) == 40
    assert nx.is_connected(best)
    assert hub in best


def test_empty_graph_has_no_component():
    with pytest.raises(ValueError, match="A graph needs at least one node"):
        largest_component(nx.Graph())


def test_positions_depend_on_the_seed_and_not_on_the_order():
    graph = nx.Graph([("a", "b"), ("b", "c"), ("c", "d")])
    shuffled = nx.Graph([("d", "c"), ("b", "a"), ("c", "b")])
    first, again = spring_positions(graph, seed=1), spring_positions(shuffled, seed=1)
    for name in graph:
        np.testing.assert_allclose(first[name], again[name])
    assert not np.allclose(first["a"], spring_positions(graph, seed=2)["a"])


def test_component_sizes_count_every_tile():
    graph = nx.Graph([("a", "b"), ("c", "d"), ("d", "e")])
    graph.add_node("alone")
    assert component_sizes(graph) == [3, 2, 1]
