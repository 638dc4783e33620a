import numpy as np
import pytest
from pyproj import Transformer

from workbench.geo.mgrs import SQUARE, Square, mgrs_square

BANDS = "CDEFGHJKLMNPQRSTUVWX"


@pytest.mark.parametrize(
    ("name", "square"),
    [  # from the georeference of real Sentinel-2 patches, and the equator
        ("33UUP", Square(32633, 300_000, 5_300_000)),
        ("29UPU", Square(32629, 600_000, 5_800_000)),
        ("29SND", Square(32629, 500_000, 4_300_000)),
        ("35VPK", Square(32635, 600_000, 6_900_000)),
        ("31NAA", Square(32631, 100_000, 0)),
    ],
)
def test_known_squares(name, square):
    assert mgrs_square(name) == square


def random_points(count):
    rng = np.random.default_rng(0)
    return zip(rng.uniform(-180, 180, count), rng.uniform(-79.9, 83.9, count), strict=True)


def name_of(zone, lat, east, north):
    """The definition, forwards: letters from a UTM position."""
    band = BANDS[min(int((lat + 80) // 8), 19)]
    column = ["STUVWXYZ", "ABCDEFGH", "JKLMNPQR"][zone % 3][int(east // SQUARE) - 1]
    row = "ABCDEFGHJKLMNPQRSTUV"[(int(north // SQUARE) + (0 if zone % 2 else 5)) % 20]
    return f"{zone}{band}{column}{row}"


def test_a_point_lies_in_the_square_of_its_name():
    for lon, lat in random_points(2000):
        zone = int((lon + 180) // 6) + 1
        code = (32600 if lat >= 0 else 32700) + zone
        east, north = Transformer.from_crs(4326, code, always_xy=True).transform(lon, lat)
        square = mgrs_square(name_of(zone, lat, east, north))
        assert square.epsg == code
        assert square.west <= east < square.west + SQUARE
        assert square.south <= north < square.north


@pytest.mark.parametrize(
    "name", ["", "32TPS1", "61TPS", "00TPS", "32IPS", "32TIS", "32TPW", "33TPS"]
)
def test_what_is_no_square_is_refused(name):
    with pytest.raises(ValueError, match="A 100 km square is named as"):
        mgrs_square(name)
