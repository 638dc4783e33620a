import json
import re

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from shapely.geometry import box

from workbench.execution import external_references
from workbench.geo.tile import Tile
from workbench.viz import maps_coverage
from workbench.viz.maps import coverage_map
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


def test_a_map_opens_at_the_part_that_is_asked_for(plan, tiles):
    def opened_at(**options):
        page = coverage_map(plan, tiles, **options).page
        return json.loads(re.search(r"dressMap\(\w+, (\[\[.*?\]\]),", page).group(1))

    west, south, east, north = plan.total_bounds
    assert opened_at() == [[south, west], [north, east]]
    assert opened_at(focus=(11.0, 46.0, 11.5, 46.5)) == [[46.0, 11.0], [46.5, 11.5]]
    assert opened_at(focus=(11.0, 46.0, 11.5, 46.5), tier="packed") == [[46.0, 11.0], [46.5, 11.5]]
    with pytest.raises(ValueError, match="west < east and south < north, but the focus is"):
        opened_at(focus=(11.5, 46.0, 11.0, 46.5))


def test_the_number_of_locations_chooses_the_tier(plan, tiles, monkeypatch):
    monkeypatch.setattr(maps_coverage, "MOST_FEATURES", len(plan))
    few = coverage_map(plan, tiles)
    assert few.tier == "features"
    assert len(features(few.page)[0]) == len(plan)
    monkeypatch.setattr(maps_coverage, "MOST_FEATURES", len(plan) - 1)
    many = coverage_map(plan, tiles)
    assert many.tier == "packed"
    assert features(many.page) == []
    assert "of 5 locations shown" in few.page
    assert "of 5 locations shown" in many.page
    assert coverage_map(plan, tiles, tier="features").tier == "features"


def test_rows_of_the_page_lead_back_to_ids(plan, tiles):
    shuffled = plan.iloc[[3, 0, 4, 1, 2]]
    view = coverage_map(shuffled, tiles)
    squares = features(view.page)[0]
    where = {f["properties"]["row"]: f["geometry"]["coordinates"][0][0] for f in squares}
    expected = dict(zip(plan["location_id"], plan.geometry, strict=True))
    for row, name in enumerate(view.location_ids):
        assert (
            np.abs(np.array(expected[name].exterior.coords) - where[row]).sum(axis=1).min() < 1e-5
        )


def test_values_are_joined_by_id_and_what_is_missing_is_counted(plan, tiles):
    ids = plan["location_id"]
    values = pd.DataFrame({"score": [0.5, np.nan, 0.7], "location_id": ids.iloc[[2, 0, 1]]})
    page = coverage_map(plan, tiles, values=values, units={"score": "mIoU"}).page
    assert "score (mIoU)" in page
    assert "no value" in page
    assert ">3</span>" in page.replace("\\u003c", "<").replace("\\u003e", ">")


def test_one_location_and_a_manifest_that_knows_its_tiles(plan, tiles):
    assert "of 1 locations shown" in coverage_map(plan.iloc[[3]], tiles).page
    rows = plan.loc[np.repeat(plan.index, plan["tile_ids"].map(len))].reset_index(drop=True)
    rows["tile_id"] = [name for ids in plan["tile_ids"] for name in ids]
    rows["acquired"] = rows["tile_id"].map({tile.id: tile.acquired for tile in tiles})
    manifest = rows.drop(columns="tile_ids")
    view = coverage_map(manifest, colour_by=["n_acquisitions", "first_date", "last_date"])
    assert sorted(view.location_ids) == sorted(plan["location_id"])
    assert "First date" in view.page


def test_names_of_categories_never_become_markup(plan, tiles):
    evil = "</script><img src=x onerror=alert(1)>$x_1$"
    split = pd.Series([evil, "a", "a", "b", evil], index=plan["location_id"], name=evil)
    view = coverage_map(plan, tiles, values=split, title=evil)
    assert "<img src=x" not in view.page
    assert view.png.startswith(PNG)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"colour_by": "speed"}, "A map can be coloured by n_acquisitions, first_date, last_date"),
        ({"values": pd.Series([1.0], index=["x"])}, "none of them is a location of the map"),
        ({"values": pd.Series([1.0, 2.0], index=["x", "x"])}, "one row for each location"),
    ],
)
def test_what_cannot_be_coloured_is_told(plan, tiles, options, problem):
    with pytest.raises(ValueError, match=problem):
        coverage_map(plan, tiles, **options)


def test_dates_need_tiles_and_squares_need_columns(plan):
    with pytest.raises(ValueError, match="To colour by 'first_date' the times of the tiles"):
        coverage_map(plan, colour_by="first_date")
    with pytest.raises(ValueError, match="but 'xmin' is missing"):
        coverage_map(plan.drop(columns="xmin"))
    with pytest.raises(ValueError, match=r"one row for each location, but .* has several"):
        coverage_map(pd.concat([plan, plan]))


def test_a_map_without_tiles_shows_squares_and_their_counts(plan):
    page = coverage_map(plan).page
    assert external_references(page) == []
    assert "of 5 locations shown" in page
