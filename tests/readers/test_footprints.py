from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely
from shapely import MultiPolygon, Polygon, box

from workbench.catalog import Entry
from workbench.catalog.entries import LocalSource, SimulatedSource
from workbench.errors import CatalogError, CRSMismatchError, TileError
from workbench.geo.dates import tile_dates
from workbench.geo.grid import PixelGrid, Window
from workbench.geo.raster import write_raster
from workbench.geo.tile import Tile, tile_frame
from workbench.readers import has_tiles, read_land_outline, read_tiles
from workbench.readers.footprints import UNDATED


def entry_of(path: Path, layout: str) -> Entry:
    return Entry(
        name="vectors",
        folder=path.parent,
        description="",
        sensor=None,
        layout=layout,
        source=LocalSource(type="local", path=path.name, obtain="draw them"),
        license="",
        citation="",
        checksum=None,
        gsd=None,
        bands=None,
    )


def tile(name: str, west: float, **more) -> Tile:
    return Tile(
        id=name,
        acquired=datetime(2022, 7, 1, 10, tzinfo=UTC),
        footprint=box(west, 48, west + 1, 49),
        crs="EPSG:32632",
        **more,
    )


@pytest.mark.parametrize("name", ["t.parquet", "t.gpkg", "t.geojson"])
def test_dated_footprints_come_back_as_the_tiles_they_were(tmp_path, name):
    tiles = [tile("b", 8, group="x"), tile("a", 9, group="x")]
    frame = tile_frame(tiles).drop(columns="path")
    path = tmp_path / name
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_file(path)
    assert read_tiles(entry_of(path, "footprints")) == tiles


def test_footprints_without_the_pixels_crs_are_refused(tmp_path):
    tile_frame([tile("a", 8)]).drop(columns="crs").to_parquet(tmp_path / "t.parquet")
    with pytest.raises(TileError, match="the footprints must have a column 'crs'"):
        read_tiles(entry_of(tmp_path / "t.parquet", "footprints"))


def test_footprints_without_a_date_are_refused(tmp_path):
    tile_frame([tile("a", 8)]).drop(columns="acquired").to_parquet(tmp_path / "t.parquet")
    with pytest.raises(TileError, match="has no column 'acquired'"):
        read_tiles(entry_of(tmp_path / "t.parquet", "footprints"))


def test_footprints_without_a_reference_system_are_refused(tmp_path):
    frame = tile_frame([tile("a", 8)])
    gpd.GeoDataFrame(frame.drop(columns="geometry"), geometry=list(frame.geometry)).to_parquet(
        tmp_path / "t.parquet"
    )
    with pytest.raises(CRSMismatchError, match=r"Footprints need a CRS, but t\.parquet of entry"):
        read_tiles(entry_of(tmp_path / "t.parquet", "footprints"))


def grid(path: Path, **shapes) -> Entry:
    frame = gpd.GeoDataFrame({"id": list(shapes)}, geometry=list(shapes.values()), crs=4326)
    frame.to_parquet(path)
    return entry_of(path, "wrs2_grid")


def test_a_grid_has_no_dates_and_never_two_of_them(tmp_path):
    tiles = read_tiles(grid(tmp_path / "g.parquet", a=box(8, 48, 9, 49), b=box(8, 48, 9, 49)))
    assert [t.acquired for t in tiles] == [UNDATED, UNDATED]
    assert set(tile_dates(tiles)) == {0}


@pytest.mark.parametrize(
    ("shape", "crs"),
    [
        (box(8, 48, 9, 49), "EPSG:32632"),
        (box(8, -49, 9, -48), "EPSG:32632"),  # northern code in the south, as Landsat delivers
        (box(8, -70, 9, -69), "EPSG:3031"),
        (MultiPolygon([box(179, 10, 180, 11), box(-180, 10, -178.5, 11)]), "EPSG:32601"),
        (MultiPolygon([box(178, 10, 180, 11), box(-180, 10, -179, 11)]), "EPSG:32660"),
        (MultiPolygon([box(5, 10, 5.5, 11), box(6, 10, 8, 11)]), "EPSG:32632"),
    ],
)
def test_the_zone_is_that_of_the_middle(tmp_path, shape, crs):
    (found,) = read_tiles(grid(tmp_path / "g.parquet", a=shape))
    assert found.crs == crs
    assert found.footprint.equals(shape)


def test_unusable_footprints_of_a_grid_are_left_out_and_counted(tmp_path, caplog):
    entry = grid(
        tmp_path / "g.parquet",
        good=box(8, 48, 9, 49),
        bow_tie=Polygon([(0, 0), (1, 1), (1, 0), (0, 1)]),
        empty=Polygon(),
        line=shapely.LineString([(0, 0), (1, 1)]),
        none=None,
    )
    assert [t.id for t in read_tiles(entry)] == ["good"]
    assert "4 of 5 footprints of 'vectors' are empty, invalid or no polygons" in caplog.text


def test_a_grid_without_ids_is_refused(tmp_path):
    frame = gpd.GeoDataFrame({"name": ["a"]}, geometry=[box(0, 0, 1, 1)], crs=4326)
    frame.to_parquet(tmp_path / "g.parquet")
    with pytest.raises(TileError, match="the grid must have a column 'id'"):
        read_tiles(entry_of(tmp_path / "g.parquet", "wrs2_grid"))


def test_land_comes_from_a_shapefile_and_its_parts(tmp_path):
    frame = gpd.GeoDataFrame({"name": ["Here"]}, geometry=[box(8, 48, 9, 49)], crs=4326)
    (tmp_path / "land").mkdir()
    frame.to_file(tmp_path / "land/land.shp")
    land = read_land_outline(entry_of(tmp_path / "land", "land_outline"))
    assert land["name"].tolist() == ["Here"]
    assert land.crs.to_epsg() == 4326
    assert land.geometry.iloc[0].equals(box(8, 48, 9, 49))


def test_land_beyond_the_antimeridian_is_split_there(tmp_path):
    shapes = [box(170, 60, 190, 70), box(-180, 60, 180 + 3e-14, 61)]
    gpd.GeoDataFrame(geometry=shapes, crs=4326).to_parquet(tmp_path / "land.parquet")
    land = read_land_outline(entry_of(tmp_path / "land.parquet", "land_outline"))
    assert sorted(part.bounds for part in land.geometry.iloc[0].geoms) == [
        (-180, 60, -170, 70),
        (170, 60, 180, 70),
    ]
    assert land.geometry.iloc[1].equals(box(-180, 60, 180, 61))
    assert land["name"].tolist() == ["", ""]


def test_a_layout_without_tiles_is_named(tmp_path):
    entry = entry_of(tmp_path / "land.parquet", "land_outline")
    assert not has_tiles(entry)
    with pytest.raises(
        CatalogError, match="'land_outline', which has no reader of tiles"
    ) as caught:
        read_tiles(entry)
    assert "bigearthnet_scenes" in str(caught.value)


def test_simulated_tiles_are_made_not_read(tmp_path):
    source = SimulatedSource(type="simulated", seed=0)
    with pytest.raises(CatalogError, match="Entry 'vectors' has the layout") as caught:
        read_tiles(replace(entry_of(tmp_path, "footprints_simulated"), source=source))
    assert "Make them with `workbench tiles vectors`" in str(caught.value)


GRID = PixelGrid("EPSG:32632", (30, 0, 400_015, 0, -30, 5_400_015), (7, 9))


@pytest.mark.parametrize("name", ["t.parquet", "t.gpkg", "t.geojson"])
def test_every_field_survives_a_round_trip_known_or_not(tmp_path, name):
    tiles = [
        tile("b", 8, group="x", path=tmp_path / "images" / "b.tif", grid=GRID),
        tile("a", 9),
        tile("c", 9, grid=GRID),
    ]
    frame = tile_frame(tiles)
    frame.to_parquet(tmp_path / name) if name == "t.parquet" else frame.to_file(tmp_path / name)
    assert read_tiles(entry_of(tmp_path / name, "footprints")) == tiles


def test_missing_cells_of_a_table_stay_missing(tmp_path):
    frame = tile_frame([tile(name, 8) for name in "abcd"])
    frame["group"] = [7.0, float("nan"), None, 12.0]  # numbers with gaps, as tables hold them
    frame["path"] = [None, float("nan"), "", "x.tif"]
    frame["path"] = frame["path"].astype("string")
    frame.to_parquet(tmp_path / "t.parquet")
    tiles = read_tiles(entry_of(tmp_path / "t.parquet", "footprints"))
    assert [t.group for t in tiles] == ["7", None, None, "12"]
    assert [t.path for t in tiles] == [None, None, None, tmp_path / "x.tif"]


def test_relative_paths_start_at_the_file_and_headers_tell_the_grid(tmp_path, monkeypatch):
    array = np.ones(GRID.shape, np.int16)
    write_raster(tmp_path / "data" / "images" / "a.tif", array, GRID)
    write_raster(
        tmp_path / "images" / "a.tif", array[:2, :2], GRID.crop(Window(1, 1, 2, 2))
    )  # elsewhere
    (tmp_path / "data" / "images" / "b.tif").write_text("no raster")
    tiles = [tile(n, 8, path=Path("images") / f"{n}.tif") for n in "abc"]
    tile_frame(tiles).to_parquet(tmp_path / "data" / "t.parquet")
    monkeypatch.chdir(tmp_path)
    found = read_tiles(entry_of(tmp_path / "data" / "t.parquet", "footprints"))
    assert [t.path for t in found] == [tmp_path / "data" / "images" / f"{n}.tif" for n in "abc"]
    assert [t.grid for t in found] == [GRID, None, None]


def test_all_faults_of_a_table_are_told_at_once(tmp_path):
    frame = tile_frame([tile(name, 8) for name in "abcde"])
    frame["acquired"] = [None, "2023-01-01", "never", "2023-01-02", "2023-01-03"]
    frame.loc[3, "id"] = None
    frame.loc[4, "geometry"] = Polygon()
    frame.to_parquet(tmp_path / "t.parquet")
    with pytest.raises(TileError) as caught:
        read_tiles(entry_of(tmp_path / "t.parquet", "footprints"))
    first, *lines = str(caught.value).splitlines()
    assert first == "4 of 5 footprints cannot be used:"
    for part, line in zip(("'a'", "'c'", "needs an id", "'e'"), lines, strict=True):
        assert part in line


@pytest.mark.parametrize("name", ["t.geojson", "t.json"])
def test_a_geojson_may_begin_with_a_byte_order_mark(tmp_path, name):
    tile_frame([tile("a", 8)]).to_file(tmp_path / "x.geojson")
    text = (tmp_path / "x.geojson").read_bytes().replace(b"\n", b"\r\n")
    (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + text)
    assert read_tiles(entry_of(tmp_path / name, "footprints")) == [tile("a", 8)]
