"""Zones against pyproj's own areas of use."""

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from pyproj import CRS

from workbench.geo.zones import Zone, utm_crs, zone_codes, zone_number


@given(st.integers(-180_000_000, 179_999_999), st.integers(-79_999_999, 83_999_999))
def test_a_place_lies_in_the_bounds_of_its_zone(lon_micro, lat_micro):
    lon, lat = lon_micro / 1e6, lat_micro / 1e6
    zone = Zone(int(zone_codes(lon, lat)))
    holding = [
        (west, south, east, north)
        for west, south, east, north in zone.boxes
        if west <= lon < east and (south <= lat < north or (lat == 0 and south == 0))
    ]
    assert len(holding) == 1


def test_zones_are_wider_around_norway_and_svalbard():
    """DMA TM 8358.2: 32V reaches from 3° E, 31X and 37X are 9°, 33X and 35X 12° wide."""
    for lon, lat, number in (
        (5.0153, 61.2967, 32), (2.9, 61, 31), (3, 55.9, 31), (3, 56, 32), (5.9, 64, 31),
        (10, 78, 33), (8.9, 72, 31), (9, 72, 33), (20.9, 83.9, 33), (21, 78, 35), (32.9, 78, 35),
        (33, 78, 37), (42, 78, 38), (10, 71.9, 32), (10, 84, 61), (370, 78, 33),
    ):  # fmt: skip
        assert zone_codes(lon, lat) == 32600 + number, (lon, lat)
    assert utm_crs(5.0153, 61.2967) == "EPSG:32632"
    assert zone_codes([5.0, 5.0], [61.0, -61.0]).tolist() == [32632, 32731]


def test_zones_cover_the_earth_once():
    boxes = [
        shapely.box(*box)
        for code in (*range(32601, 32662), *range(32701, 32762))
        for box in Zone(code).boxes
    ]
    assert sum(box.area for box in boxes) == pytest.approx(360 * 180)
    assert shapely.union_all(boxes).area == pytest.approx(360 * 180)
    assert zone_codes(2, 61) == 32631


@pytest.mark.parametrize(
    ("crs", "number"),
    [("EPSG:32633", 33), ("EPSG:32733", 33), ("EPSG:25833", 33), ("EPSG:26910", 10),
     ("EPSG:3035", None), ("EPSG:2056", None), ("EPSG:32661", None), ("EPSG:4326", None)],
)  # fmt: skip
def test_a_crs_knows_its_zone(crs, number):
    assert zone_number(crs) == number


@pytest.mark.parametrize("code", [32601, 32632, 32660, 32701, 32733, 32760])
def test_bounds_are_those_of_the_registry(code):
    area = CRS.from_epsg(code).area_of_use
    assert Zone(code).bounds == pytest.approx((area.west, area.south, area.east, area.north))


def test_turns_of_the_earth_and_its_ends():
    assert zone_codes([11, 371, -349], [48] * 3).tolist() == [32632] * 3
    assert zone_codes([180, -180, 179.9], [0, 0, 0]).tolist() == [32601, 32601, 32660]
    assert zone_codes([0, 0, 0, 0], [84, 83.9, -80, -80.1]).tolist() == [
        32661,
        32631,
        32731,
        32761,
    ]
    assert utm_crs(-3.7, 40.4) == "EPSG:32630"


def test_an_array_keeps_its_shape():
    assert zone_codes(np.zeros((2, 3)), np.zeros((2, 3))).shape == (2, 3)
