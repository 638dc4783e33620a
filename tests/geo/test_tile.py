"""What a tile refuses, and tables of tiles."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import geopandas as gpd
import pandas as pd
import pytest
import shapely
from pyproj import CRS

from workbench.errors import CRSMismatchError, TileError
from workbench.geo.grid import PixelGrid
from workbench.geo.tile import Tile, tile_frame, tiles_from_geodataframe

DAY = datetime(2022, 6, 1, 10, tzinfo=UTC)
GROUND = shapely.box(10, 50, 10.4, 50.3)
BOW_TIE = shapely.Polygon([(0, 0), (1, 1), (1, 0), (0, 1)])


@pytest.mark.parametrize(
    ("footprint", "message"),
    [
        (shapely.Polygon(), "Tile 't': the footprint is empty"),
        (BOW_TIE, "Tile 't': the footprint is not a valid polygon \\(Self-intersection"),
        (shapely.Point(0, 0), "Tile 't': a footprint is a Polygon or MultiPolygon, got Point"),
        (None, "Tile 't': a footprint is a Polygon or MultiPolygon, got NoneType"),
        (shapely.box(5e5, 5e6, 6e5, 5.1e6), "Tile 't': a footprint is in longitude/latitude, got"),
        (shapely.box(179, 0, 181, 1), "Tile 't': a footprint is in longitude/latitude, got"),
        (shapely.box(-179, 0, 179, 1), "Tile 't': a part of the footprint is 358° wide"),
    ],
)
def test_footprints_that_cannot_be_used_are_refused(footprint, message):
    with pytest.raises(TileError, match=message):
        Tile("t", DAY, footprint, "EPSG:32632")


def test_an_empty_id_is_refused():
    with pytest.raises(TileError, match="A tile needs an id, got an empty one"):
        Tile("", DAY, GROUND, "EPSG:32632")


@pytest.mark.parametrize("acquired", ["2022-06-01", None, pd.NaT])
def test_a_tile_without_a_time_is_refused(acquired):
    with pytest.raises(TileError, match=r"Tile 't': `acquired` is a datetime, got ") as caught:
        Tile("t", acquired, GROUND, "EPSG:32632")
    assert str(caught.value).count("\n") == 1


def test_times_are_utc():
    assert Tile("t", datetime(2022, 6, 1, 10), GROUND, "EPSG:32632").acquired == DAY
    berlin = timezone(timedelta(hours=2))
    aware = Tile("t", datetime(2022, 6, 1, 12, tzinfo=berlin), GROUND, "EPSG:32632")
    assert aware.acquired == DAY


def test_a_table_of_footprints_becomes_tiles_and_back():
    frame = gpd.GeoDataFrame(
        {"id": ["a", "b"], "acquired": ["2022-06-01T10:00:00Z", "2022-06-02"], "take": [1, 2]},
        geometry=[GROUND, GROUND],
        crs="EPSG:4326",
    )
    tiles = tiles_from_geodataframe(frame.to_crs("EPSG:3035"), crs="EPSG:32632", group="take")
    assert [t.id for t in tiles] == ["a", "b"]
    assert tiles[0].acquired == DAY
    assert tiles[1].group == "2"
    assert tiles[0].footprint.equals_exact(GROUND, 1e-6)
    again = tiles_from_geodataframe(tile_frame(tiles), group="group")
    assert again == tiles


def test_paths_are_kept():
    frame = gpd.GeoDataFrame(
        {"id": ["a"], "acquired": [DAY], "crs": ["EPSG:32632"], "file": ["x/y.tif"]},
        geometry=[GROUND],
        crs="EPSG:4326",
    )
    assert tiles_from_geodataframe(frame, path="file")[0].path == Path("x/y.tif")


def test_footprints_without_crs_are_refused():
    frame = gpd.GeoDataFrame({"id": ["a"], "acquired": [DAY]}, geometry=[GROUND])
    with pytest.raises(CRSMismatchError, match="Footprints need a CRS, but the table has none"):
        tiles_from_geodataframe(frame, crs="EPSG:32632")


def test_a_missing_column_is_named():
    frame = gpd.GeoDataFrame({"name": ["a"]}, geometry=[GROUND], crs="EPSG:4326")
    with pytest.raises(TileError, match="The table of footprints has no column 'id', 'acquired'"):
        tiles_from_geodataframe(frame, crs="EPSG:32632")


@pytest.mark.parametrize(
    ("acquired", "message"),
    [
        ("soon", "Tile 'a': the time of acquisition cannot be read, got 'soon'"),
        (None, "Tile 'a': `acquired` is a datetime, got NaT"),
    ],
)
def test_a_time_that_is_none_is_named(acquired, message):
    frame = gpd.GeoDataFrame(
        {"id": ["a"], "acquired": [acquired]}, geometry=[GROUND], crs="EPSG:4326"
    )
    with pytest.raises(TileError, match=message):
        tiles_from_geodataframe(frame, crs="EPSG:32632")


@pytest.mark.parametrize("crs", ["crs", "EPSG:999999"])
def test_the_crs_of_pixels_is_one(crs):
    """Also where the column that should hold it is not there."""
    frame = gpd.GeoDataFrame({"id": ["a"], "acquired": [DAY]}, geometry=[GROUND], crs="EPSG:4326")
    with pytest.raises(CRSMismatchError, match=f"The pixels' CRS must be one .* got '{crs}'"):
        tiles_from_geodataframe(frame, crs=crs)


def test_an_empty_table_gives_no_tiles_and_back():
    assert tiles_from_geodataframe(tile_frame([])) == []


EAST = PixelGrid("EPSG:32632", (30, 0, 600015, 0, -30, 5400015), (100, 200))


def test_a_tile_tells_its_grid_and_keeps_it_in_a_table():
    tiles = [
        Tile("a", DAY, GROUND, "EPSG:32632", grid=EAST),
        Tile("b", DAY, GROUND, "EPSG:32632"),
    ]
    assert "grid 100 × 200 pixels of 30 m" in repr(tiles[0])
    assert "grid" not in repr(tiles[1])
    frame = tile_frame(tiles)
    assert [t.grid for t in tiles_from_geodataframe(frame, grid="grid")] == [EAST, None]
    assert "grid" not in tile_frame(tiles[1:]).columns


@pytest.mark.parametrize(
    ("crs", "transform", "size"),
    [
        ("EPSG:2264", (100, 0, 2000000, 0, -100, 700000), "30.4801 m"),
        ("EPSG:4326", (0.25, 0, 10, 0, -0.25, 50), "0.25°"),
        ("EPSG:25832", (30, 0, 600000, 0, -60, 5400000), "30 × 60 m"),
    ],
)
def test_a_grid_is_told_in_the_units_it_has(crs, transform, size):
    grid = PixelGrid(crs, transform, (4, 4))
    assert f"grid 4 × 4 pixels of {size}," in repr(Tile("t", DAY, GROUND, crs, grid=grid))


def test_a_grid_in_another_crs_than_the_tile_is_refused():
    with pytest.raises(TileError, match="its pixel grid must be in its CRS, but is in EPSG:32632"):
        Tile("t", DAY, GROUND, "EPSG:25832", grid=EAST)
    by_wkt = CRS.from_epsg(32632).to_wkt()
    assert Tile("t", DAY, GROUND, by_wkt, grid=EAST).grid == EAST  # one CRS, spelt in two ways


@pytest.mark.parametrize("text", ["[1, 2]", "thirty", "[30, 0, 0, 0, -30, 0, null, 4]", "{}"])
def test_a_grid_that_cannot_be_read_from_a_table_is_refused(text):
    frame = tile_frame([Tile("t", DAY, GROUND, "EPSG:32632", grid=EAST)]).assign(grid=text)
    with pytest.raises(TileError, match="Tile 't': a pixel grid is six numbers"):
        tiles_from_geodataframe(frame, grid="grid")


@pytest.mark.parametrize("south", [75, 80.5, 85, -84])
def test_a_footprint_that_jumps_over_the_antimeridian_is_refused_at_every_latitude(south):
    """Drawn from 179.5° to -179.5° the long way round: nearly all longitudes instead of 1°."""
    ring = [(179.5, south), (-179.5, south), (-179.5, south + 1), (179.5, south + 1)]
    with pytest.raises(TileError, match="seems to cross the antimeridian unsplit"):
        Tile("a", datetime(2022, 6, 1), shapely.Polygon(ring), "EPSG:32660")


@pytest.mark.parametrize(
    "footprint",
    [
        shapely.box(-180, 82, 180, 90),
        shapely.box(-180, -90, 180, -85),
        shapely.segmentize(shapely.box(-100, 82, 100, 83), 5.0),
    ],
)
def test_a_footprint_round_a_pole_is_wide_in_truth(footprint):
    assert Tile("a", datetime(2022, 6, 1), footprint, "EPSG:3413").footprint.equals(footprint)
