"""Duplicates: one delivery of each acquisition stays, and the reason is kept."""

from datetime import UTC, datetime, timedelta

import shapely

from workbench.extraction import Tile, bounding_boxes, drop_duplicates, overlap_graph

DAY = datetime(2022, 6, 27, 10, 45, 48, tzinfo=UTC)
GROUND = shapely.box(10, 50, 10.4, 50.3)


def tile(name, *, footprint=GROUND, acquired=DAY, group="DT1"):
    return Tile(name, acquired, footprint, "EPSG:32632", group=group)


def test_the_newest_version_then_the_newest_processing_stays():
    names = [
        "ENMAP01-____L2A-DT0000000001_20220627T104548Z_006_V010111_20230101T000000Z",
        "ENMAP01-____L2A-DT0000000001_20220627T104548Z_006_V010203_20230401T000000Z",
        "ENMAP01-____L2A-DT0000000001_20220627T104548Z_006_V010203_20230501T000000Z",
    ]
    kept, dropped = drop_duplicates([tile(n) for n in names])
    assert [t.id for t in kept] == [names[2]]
    assert [(d.tile.id, d.kept) for d in dropped] == [(names[0], names[2]), (names[1], names[2])]
    assert dropped[0].reason == (
        f"same acquisition (2022-06-27T10:45:48Z, DT1) delivered again as {names[2]}"
    )


def test_the_order_of_the_tiles_does_not_matter_and_is_kept():
    tiles = [tile("b1"), tile("a"), tile("b2"), tile("c", acquired=DAY + timedelta(days=1))]
    kept, _ = drop_duplicates(tiles)
    again, _ = drop_duplicates(tiles[::-1])
    assert [t.id for t in kept] == ["b2", "c"]
    assert {t.id for t in again} == {t.id for t in kept}


def test_neighbours_of_one_datatake_both_stay():
    beside = shapely.box(10.35, 50, 10.75, 50.3)
    kept, dropped = drop_duplicates([tile("a"), tile("b", footprint=beside)])
    assert len(kept) == 2
    assert dropped == []


def test_the_same_ground_on_another_date_or_by_another_sensor_stays():
    later = tile("later", acquired=DAY + timedelta(days=1))
    other = tile("other", group="DT2")
    kept, dropped = drop_duplicates([tile("a"), later, other])
    assert len(kept) == 3
    assert dropped == []


def test_one_id_listed_twice_is_a_duplicate():
    kept, dropped = drop_duplicates([tile("a"), tile("a")])
    assert [t.id for t in kept] == ["a"]
    assert dropped[0].reason == "listed twice under one id (2022-06-27T10:45:48Z)"


def test_footprints_that_differ_slightly_are_one_delivery_but_not_beyond_the_limit():
    nearly = shapely.box(10.001, 50, 10.4, 50.3)
    assert len(drop_duplicates([tile("a"), tile("b", footprint=nearly)])[0]) == 1
    half = shapely.box(10, 50, 10.2, 50.3)
    assert len(drop_duplicates([tile("a"), tile("b", footprint=half)])[0]) == 2


def test_nothing_gives_nothing():
    assert drop_duplicates([]) == ([], [])


def test_bounding_boxes_overlap_where_footprints_do_not():
    left = shapely.Polygon([(0, 0), (1, 0), (0, 1)])
    right = shapely.Polygon([(1, 0.1), (1, 1), (0.1, 1)])
    tiles = [tile("a", footprint=left), tile("b", footprint=right)]
    assert overlap_graph(tiles).number_of_edges() == 0
    assert overlap_graph(bounding_boxes(tiles)).number_of_edges() == 1
    assert [t.footprint for t in tiles] == [left, right]
