import json

import geopandas as gpd
import numpy as np
import pytest
import shapely

from workbench.viz.map_selection import read_selection, select_locations


def frame(boxes):
    names = [f"loc {k}" for k in range(len(boxes))]
    return gpd.GeoDataFrame({"location_id": names}, geometry=list(boxes), crs="EPSG:4326")


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    x, y = rng.uniform(-170, 170, 400), rng.uniform(-60, 60, 400)
    return frame(shapely.box(x, y, x + 0.05, y + 0.05))


@pytest.mark.parametrize("seed", range(4))
def test_a_box_keeps_the_squares_whose_centre_it_holds(table, seed):
    west, east = np.sort(np.random.default_rng(seed).uniform(-180, 180, 2))
    found = select_locations(table, bounds=(west, -20, east, 30))
    expected = [
        row.location_id
        for row in table.itertuples()
        if west <= row.geometry.centroid.x <= east and -20 <= row.geometry.centroid.y <= 30
    ]
    assert found["location_id"].tolist() == expected


def test_a_box_over_the_antimeridian_holds_both_sides_and_squares_across_it():
    across = shapely.MultiPolygon(
        [shapely.box(179.99, 0, 180, 0.04), shapely.box(-180, 0, -179.97, 0.04)]
    )
    table = frame(
        [
            shapely.box(179, 0, 179.1, 0.1),
            across,
            shapely.box(-179, 0, -178.9, 0.1),
            shapely.box(0, 0, 1, 1),
        ]
    )
    found = select_locations(table, bounds=(178, -1, -178, 1))
    assert found["location_id"].tolist() == ["loc 0", "loc 1", "loc 2"]
    east = select_locations(table, bounds=(-180, -1, -178.95, 1))
    assert east["location_id"].tolist() == ["loc 1", "loc 2"]


def test_a_polygon_and_a_box_must_both_hold(table):
    ring = shapely.Point(0, 0).buffer(50)
    found = select_locations(table, shape=ring, bounds=(0, -90, 180, 90))
    centres = shapely.centroid(table.geometry.to_numpy())
    expected = table[shapely.within(centres, ring) & (shapely.get_x(centres) >= 0)]
    assert found.index.tolist() == expected.index.tolist()


def test_ids_keep_every_patch_of_a_location(table):
    manifest = table.loc[np.repeat(table.index, 3)].reset_index(drop=True)
    found = select_locations(manifest, ids=["loc 7", "loc 2"])
    assert found["location_id"].tolist() == ["loc 2"] * 3 + ["loc 7"] * 3
    assert len(select_locations(manifest, ids=[])) == 0


def test_an_id_of_another_table_is_named(table):
    with pytest.raises(ValueError, match=r"must be in the table, but 1 of 2 are not, e\.g\. 'x'"):
        select_locations(table, ids=["loc 1", "x"])


def test_nothing_asked_for_and_empty_boxes_are_errors(table):
    with pytest.raises(ValueError, match="A selection needs ids, bounds or a shape"):
        select_locations(table)
    with pytest.raises(ValueError, match="south below north"):
        select_locations(table, bounds=(0, 10, 5, -10))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("no json", "must be a file that a map saved"),
        ("[1, 2]", "must be a file that a map saved"),
        ('{"format": "other"}', "must be a file that a map saved"),
        ('{"format": "workbench-selection", "version": 9}', "version 1 is read here"),
        ('{"format": "workbench-selection", "version": 1, "ids": [3]}', "must list ids as texts"),
    ],
)
def test_files_that_are_no_selection_are_refused(tmp_path, content, problem):
    path = tmp_path / "selection.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=problem):
        read_selection(path)


def test_a_saved_file_gives_its_ids_back(tmp_path, table):
    path = tmp_path / "selection.json"
    content = {"format": "workbench-selection", "version": 1, "ids": ["loc 3", "loc 9"]}
    path.write_text(json.dumps(content))
    found = select_locations(table, ids=read_selection(path))
    assert found["location_id"].tolist() == ["loc 3", "loc 9"]
