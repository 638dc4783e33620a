import bz2
from datetime import UTC, datetime

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Transformer

from workbench.catalog import Entry
from workbench.catalog.entries import LocalSource
from workbench.readers import read_tiles
from workbench.readers.bigearthnet_scenes import cells_outline, read_bigearthnet_scenes

CELLS = {  # scene: its cells (col, row)
    ("33UUP", "S2A_MSIL2A_20170613T101031"): [(0, 0), (1, 0), (1, 1), (2, 2), (40, 7)],
    ("33UUP", "S2A_MSIL2A_20170613T101032"): [(3, 0)],
    ("29UPU", "S2A_MSIL2A_20170617T113321"): [(36, 85), (4, 55)],
}


@pytest.fixture
def entry(tmp_path):
    rows = [
        f"S1A_IW_GRDH_1SDV_20170613T165043_{tile}_{col}_{row},{datatake}_{col}_{row},Austria,Summer"
        for (tile, datatake), cells in CELLS.items()
        for col, row in cells
    ]
    name = "s1_s2_name_country_season.csv.bz2"
    text = "\n".join(["s1_name,s2_name,country,season", *rows])
    (tmp_path / name).write_bytes(bz2.compress(text.encode()))
    return Entry(
        name="ben",
        folder=tmp_path,
        description="",
        sensor="sentinel2_l2a",
        layout="bigearthnet_scenes",
        source=LocalSource(type="local", path=name, obtain="write it"),
        license="",
        citation="",
        checksum=None,
        gsd=None,
        bands=None,
    )


def in_utm(footprint, epsg):
    to_metres = Transformer.from_crs(4326, epsg, always_xy=True)
    return shapely.transform(
        footprint, lambda xy: np.column_stack(to_metres.transform(xy[:, 0], xy[:, 1]))
    )


def test_a_scene_is_a_tile_and_a_datatake(entry):
    tiles = read_tiles(entry)
    assert [tile.id for tile in tiles] == [
        "29UPU_S2A_20170617T113321",
        "33UUP_S2A_20170613T101031",
        "33UUP_S2A_20170613T101032",
    ]
    assert [tile.crs for tile in tiles] == ["EPSG:32629", "EPSG:32633", "EPSG:32633"]


def test_scenes_of_one_overpass_are_one_date(entry):
    _, first, second = read_tiles(entry)
    assert first.group == second.group == "S2A_MSIL2A_20170613T101031"
    assert first.acquired == second.acquired == datetime(2017, 6, 13, 10, 10, 31, tzinfo=UTC)


@pytest.mark.parametrize(
    ("scene", "epsg", "cell", "bounds"),
    [  # bounds of real patches of these names, from the metadata that come with their pixels
        (0, 32629, (36, 85), (643_200, 5_796_840, 644_400, 5_798_040)),
        (0, 32629, (4, 55), (604_800, 5_832_840, 606_000, 5_834_040)),
    ],
)
def test_a_patch_lies_where_its_pixels_say(entry, scene, epsg, cell, bounds):
    footprint = in_utm(read_tiles(entry)[scene].footprint, epsg)
    assert any(np.allclose(part.bounds, bounds, atol=1e-3) for part in footprint.geoms)
    assert cell in CELLS["29UPU", "S2A_MSIL2A_20170617T113321"]


def test_the_footprint_is_the_union_of_the_patches(entry):
    footprint = in_utm(read_tiles(entry)[1].footprint, 32633)
    west, north = 300_000, 5_400_000
    squares = [
        shapely.box(
            west + 1200 * c, north - 1200 * (r + 1), west + 1200 * (c + 1), north - 1200 * r
        )
        for c, r in CELLS["33UUP", "S2A_MSIL2A_20170613T101031"]
    ]
    union = shapely.union_all(squares)
    assert shapely.symmetric_difference(footprint, union).area < 1.0
    assert footprint.area == pytest.approx(5 * 1200**2, rel=1e-6)


def test_the_extent_is_the_rectangle_around_the_patches(entry):
    tiles = read_bigearthnet_scenes(entry, footprint="extent")
    footprint = in_utm(tiles[1].footprint, 32633)
    assert footprint.area == pytest.approx(41 * 8 * 1200**2, rel=1e-6)
    assert [t.id for t in tiles] == [t.id for t in read_tiles(entry)]


@pytest.mark.parametrize("footprint", ["patches", "extent"])
def test_edges_stay_straight_in_utm(entry, footprint):
    tile = read_bigearthnet_scenes(entry, footprint=footprint)[1]
    dense = in_utm(shapely.segmentize(tile.footprint, 1e-4), 32633)
    coarse = in_utm(tile.footprint, 32633)
    assert shapely.hausdorff_distance(dense.boundary, coarse.boundary) < 0.1


@given(
    st.sets(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1).map(
        lambda cells: np.array(sorted(cells))
    )
)
def test_the_outline_of_cells_is_their_union(cells):
    col, row = cells.T
    outline = cells_outline(col, row)
    union = shapely.union_all(shapely.box(col, -(row + 1), col + 1, -row))
    assert outline.is_valid
    assert outline.equals(union)
    corners = shapely.get_coordinates(outline)
    assert (corners == np.round(corners)).all()
    edges = np.abs(
        np.diff(shapely.get_coordinates(shapely.get_rings(shapely.get_parts(outline))[0]), axis=0)
    )
    assert edges.sum(axis=1).max() == 1


def test_cells_around_a_gap_leave_a_hole():
    col, row = np.array([(c, r) for c in range(3) for r in range(3) if (c, r) != (1, 1)]).T
    assert len(cells_outline(col, row).interiors) == 1
