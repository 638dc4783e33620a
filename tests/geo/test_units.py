"""Units of reference systems against the registry's own definitions."""

import pytest

from workbench.errors import CRSMismatchError, TileError
from workbench.geo.grid import PixelGrid
from workbench.geo.units import is_geographic, metres_per_unit, short_crs, unit_name


@pytest.mark.parametrize(
    ("crs", "metres", "name"),
    [
        ("EPSG:32632", 1.0, "metre"),
        ("EPSG:2056", 1.0, "metre"),
        ("EPSG:3035", 1.0, "metre"),
        ("EPSG:2264", 1200 / 3937, "US survey foot"),  # NIST SP 811: the foot of surveyors
        ("EPSG:2222", 0.3048, "foot"),  # Arizona: the international foot
    ],
)
def test_metres_in_a_unit(crs, metres, name):
    assert metres_per_unit(crs) == pytest.approx(metres, rel=1e-12)
    assert unit_name(crs) == name
    assert not is_geographic(crs)


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:4258", "OGC:CRS84"])
def test_degrees_are_no_metres(crs):
    assert is_geographic(crs)
    with pytest.raises(CRSMismatchError, match="its unit is the degree") as caught:
        metres_per_unit(crs)
    assert "resample=True" in str(caught.value)


def test_what_is_no_crs_is_refused():
    with pytest.raises(CRSMismatchError, match="'nowhere' is none"):
        metres_per_unit("nowhere")


def test_the_size_of_a_pixel_is_in_metres():
    feet = PixelGrid("EPSG:2264", (100, 0, 2_000_000, 0, -100, 700_000), (8, 8))
    assert feet.gsd_m == pytest.approx(30.48006096)
    assert feet.resolution_m == pytest.approx((30.48006096, 30.48006096))
    assert PixelGrid("EPSG:32632", (30, 0, 15, 0, -30, 15), (8, 8)).gsd_m == 30.0


def test_a_pixel_that_is_not_square_has_no_one_size():
    tall = PixelGrid("EPSG:25832", (30, 0, 600_000, 0, -60, 5_400_000), (8, 8))
    assert tall.resolution_m == (30.0, 60.0)
    with pytest.raises(TileError, match="must be square to have one size, but is 30 × 60 m"):
        _ = tall.gsd_m


def test_a_crs_is_named_in_a_few_words():
    import pyproj

    assert short_crs("EPSG:32632") == "EPSG:32632"
    assert short_crs(pyproj.CRS.from_epsg(3035).to_wkt()) == "ETRS89-extended / LAEA Europe"
