import numpy as np
import pytest

from workbench.synthetic.noise import fractal, hashed, normal_pool, rng, share, smooth


def test_hash_depends_on_every_part_and_on_the_key() -> None:
    col, row = np.arange(-500, 500), np.arange(700)[:, None]
    found = hashed(1, col, row)
    assert found.shape == (700, 1000)
    assert len(np.unique(found)) > 0.999 * found.size
    assert (hashed(2, col, row) != found).mean() > 0.999
    assert np.array_equal(hashed(1, col[3:4], row[5:6]), found[5:6, 3:4])


def test_share_is_uniform() -> None:
    found = share(hashed(7, np.arange(100_000)))
    assert 0 <= found.min() <= found.max() < 1
    counts = np.histogram(found, bins=20, range=(0, 1))[0]
    assert np.abs(counts - 5000).max() < 400


@pytest.mark.parametrize("field", [smooth, fractal])
def test_field_is_a_function_of_the_place(field) -> None:
    x = np.linspace(-9e4, 9e4, 3001, dtype=np.float32)
    whole = field((3, "a"), x, x[::-1], 700.0)
    some = field((3, "a"), x[1000:1100], x[::-1][1000:1100], 700.0)
    assert np.array_equal(whole[1000:1100], some)
    assert 0 <= whole.min() < 0.3 < 0.7 < whole.max() <= 1
    assert not np.allclose(whole, field((3, "b"), x, x[::-1], 700.0))


def test_field_is_smooth() -> None:
    x = np.arange(0, 5000, 1, dtype=np.float32)
    steps = np.diff(smooth((1,), x, np.zeros_like(x), 200.0))
    assert np.abs(steps).max() < 1.6 / 200  # the blend's slope is at most 1.5 per wavelength


def test_field_broadcasts() -> None:
    x = np.arange(5, dtype=np.float32)[None, :]
    y = np.arange(4, dtype=np.float32)[:, None]
    grid = smooth((1,), x + 0 * y, y + 0 * x, 3.0)
    assert np.array_equal(smooth((1,), x, y, 3.0), grid)


def test_generators_depend_on_the_key_alone() -> None:
    assert rng(1, "a").random() == rng(1, "a").random()
    assert rng(1, "a").random() != rng(1, "b").random()
    pool = normal_pool((5, "x"), 4096)
    assert abs(pool.mean()) < 0.05
    assert pool.std() == pytest.approx(1, abs=0.05)
