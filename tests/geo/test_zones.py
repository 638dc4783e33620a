"""Zones against pyproj's own areas of use."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj import CRS

from workbench.geo.zones import Zone, utm_crs, zone_codes


@given(st.integers(-180_000_000, 179_999_999), st.integers(-79_999_999, 83_999_999))
def test_a_place_lies_in_the_bounds_of_its_zone(lon_micro, lat_micro):
    lon, lat = lon_micro / 1e6, lat_micro / 1e6
    zone = Zone(int(zone_codes(lon, lat)))
    west, south, east, north = zone.bounds
    assert west <= lon < east
    assert south <= lat < north or (lat == 0 and south == 0)


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
