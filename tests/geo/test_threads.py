"""Work in pieces gives what it gives in one."""

import numpy as np
import pytest
import shapely

from workbench.geo.threads import in_threads


@pytest.mark.parametrize("size", [0, 1, 3_999, 4_000, 10_001])
def test_pieces_come_back_in_order(size):
    numbers = np.arange(size)
    assert in_threads(lambda a, b: a * 2 + b, numbers, numbers[::-1]).tolist() == (
        (numbers * 2 + numbers[::-1]).tolist()
    )


def test_geometries_of_any_shape_pass_through():
    corners = np.random.default_rng(0).uniform(size=(9_000, 4, 2))
    assert shapely.equals(in_threads(shapely.polygons, corners), shapely.polygons(corners)).all()


def test_an_error_in_a_thread_is_raised():
    with pytest.raises(ZeroDivisionError):
        in_threads(lambda a: a.tolist()[0] // 0, np.arange(9_000))
