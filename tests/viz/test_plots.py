import re

import networkx as nx
import pytest

from workbench.execution import external_references
from workbench.geo.tile import Tile
from workbench.viz.plots import (
    component_graph,
    graph_distributions,
    location_timeline,
    plan_comparison,
)

PNG = b"\x89PNG"


@pytest.fixture(params=["distributions", "component", "comparison", "timeline"])
def view(request, tiles, graph, plan):
    return {
        "distributions": lambda: graph_distributions(graph),
        "component": lambda: component_graph(graph, tiles),
        "comparison": lambda: plan_comparison({"one": plan, "other": plan.iloc[:2]}),
        "timeline": lambda: location_timeline(plan, tiles),
    }[request.param]()


def test_page_asks_the_network_for_nothing_and_is_small(view):
    assert external_references(view.page) == []
    assert len(view.page) < 1e6
    assert "static/extensions" not in view.page


def test_picture_stands_behind_every_figure(view):
    assert view.png.startswith(PNG)
    assert view.title


def test_names_in_the_page_cannot_end_the_script(tiles, graph, plan):
    evil = "</script><script>alert(1)</script>"
    bad = Tile(evil, tiles[0].acquired, tiles[0].footprint, "EPSG:32632")
    page = component_graph(nx.relabel_nodes(graph, {"a": evil}), [bad, *tiles[1:]]).page
    assert "<script>alert(1)" not in page


def test_component_title_tells_what_was_left_out(tiles, graph):
    assert component_graph(graph, tiles).title == "Largest component: 3 tiles, 2 overlaps"
    assert component_graph(graph, tiles, max_nodes=2).title.startswith("Largest component: 2 of 3")


def test_isolated_tiles_alone_are_a_component_of_one(tiles):
    graph = nx.empty_graph([tile.id for tile in tiles])
    assert component_graph(graph, tiles).title == "Largest component: 1 tile, 0 overlaps"
    assert graph_distributions(graph).png.startswith(PNG)


def test_nodes_of_one_degree_are_drawn_too(tiles):
    graph = nx.complete_graph([tile.id for tile in tiles])
    assert "LinearColorMapper" in component_graph(graph, tiles).page


def test_empty_graph_has_distributions():
    assert graph_distributions(nx.Graph()).png.startswith(PNG)


def test_timeline_takes_the_longest_series_or_the_one_asked_for(plan, tiles):
    assert re.search(r"3 dates within 20 days, 3 tiles", location_timeline(plan, tiles).title)
    first = plan["location_id"][0]
    assert location_timeline(plan, tiles, first).title.startswith(f"Location {first}: 1 date")


def test_timeline_of_an_unknown_location_says_what_ids_look_like(plan, tiles):
    with pytest.raises(ValueError, match="The plan has no location 'nowhere'"):
        location_timeline(plan, tiles, "nowhere")


def test_timeline_of_an_empty_plan_is_an_error(plan, tiles):
    with pytest.raises(ValueError, match="A timeline needs at least one location"):
        location_timeline(plan.iloc[:0], tiles)
