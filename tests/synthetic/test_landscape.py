import numpy as np
import pytest

from workbench.geo.grid import PixelGrid
from workbench.geo.raster_grids import resampled
from workbench.synthetic import landscape as land
from workbench.synthetic.landscape import Disturbance, Landscape, sample_points

CRS = "EPSG:32632"


@pytest.fixture(scope="module")
def ground() -> Landscape:
    return Landscape("somewhere", CRS, (600_000.0, 5_400_000.0), 4)


def grid_of(gsd: float, metres: float = 6000.0, *, shift: float = 0.0) -> PixelGrid:
    half = metres / 2
    bounds = (600_000 - half, 5_400_000 - half, 600_000 + half, 5_400_000 + half)
    return PixelGrid.from_bounds(CRS, tuple(v + shift for v in bounds), gsd)


def cover_on(ground: Landscape, grid: PixelGrid) -> np.ndarray:
    x, y = sample_points(grid, ground.crs)
    return ground.cover(x, y)[0].reshape(grid.shape)


def test_all_that_a_landscape_needs_is_there(ground) -> None:
    cover = cover_on(ground, grid_of(10.0, 12_000))
    share = np.bincount(cover.ravel(), minlength=16) / cover.size
    assert share[0] == 0
    assert share[land.CLEARED] == 0
    woods = share[land.BROADLEAF] + share[land.CONIFER]
    fields = share[[land.CORN, land.SOYBEAN, land.WHEAT, land.ALFALFA, land.PASTURE]].sum()
    assert 0.1 < woods < 0.6
    assert 0.2 < fields < 0.8
    assert (share[[land.ROAD, land.HEDGE, land.RIVER]] > 0.002).all()


@pytest.mark.parametrize("thin", [land.ROAD, land.HEDGE])
def test_thin_structures_are_one_to_three_cells_wide(ground, thin) -> None:
    """Few cells of a 10 m map have the structure on all sides two cells away."""
    there = cover_on(ground, grid_of(10.0, 9000)) == thin
    inner = there[2:-2, 2:-2]
    thick = inner & there[4:, 2:-2] & there[:-4, 2:-2] & there[2:-2, 4:] & there[2:-2, :-4]
    assert inner.sum() > 300
    assert thick.sum() < 0.1 * inner.sum()


def test_river_is_one_to_three_pixels_of_30_m_wide(ground) -> None:
    rows = (cover_on(ground, grid_of(10.0, 6000)) == land.RIVER).sum(axis=1) * 10
    crossed = rows[rows > 0]
    assert len(crossed) > 100
    assert 30 <= np.median(crossed) <= 100


def test_a_map_of_any_part_shows_the_same_ground(ground) -> None:
    whole = grid_of(10.0)
    x, y = sample_points(whole, ground.crs)
    pixels = np.random.default_rng(0).integers(0, x.size, 500)
    px, py = sample_points(whole, ground.crs, pixels=pixels)
    cover, stand = ground.cover_and_stand(x[0], y[0])
    some_cover, some_stand = ground.cover_and_stand(px[0], py[0])
    assert np.array_equal(cover[pixels], some_cover)
    assert np.array_equal(stand[pixels], some_stand)


def test_the_next_zone_shows_the_same_ground(ground) -> None:
    here = grid_of(30.0, 3000)
    there = PixelGrid.from_bounds("EPSG:32633", (155_000, 5_410_000, 165_000, 5_420_000), 30.0)
    middle = sample_points(here, there.crs, pixels=np.array([50 * 100 + 50]))
    x, y = (float(v[0, 0]) for v in middle)
    there = PixelGrid.from_bounds(there.crs, (x - 3000, y - 3000, x + 3000, y + 3000), 10.0)
    warped = resampled(cover_on(ground, there), there, here)
    assert (warped == cover_on(ground, here)).mean() > 0.9  # 5 m off at most


def test_sample_points_lie_on_the_thirds_of_a_pixel() -> None:
    grid = PixelGrid(CRS, (30, 0, 600_000, 0, -30, 5_400_000), (2, 2))
    x, y = sample_points(grid, CRS, per_side=3)
    assert x.shape == y.shape == (9, 4)
    assert x[:3, 0].tolist() == [600_005, 600_015, 600_025]
    assert y[::3, 0].tolist() == [5_399_995, 5_399_985, 5_399_975]
    assert (x[4, 3], y[4, 3]) == (600_045, 5_399_955)


def test_felling_lies_around_its_centre(ground) -> None:
    what = Disturbance(600_000, 5_400_000, 400, "2023-03-01")
    x, y = sample_points(grid_of(10.0), ground.crs)
    felled = ground.felled(x, y, what)
    distance = np.hypot(x - what.x, y - what.y)
    assert felled[distance < 0.25 * what.radius].all()
    assert not felled[distance > 1.75 * what.radius].any()


def test_seeds_make_other_ground(ground) -> None:
    other = Landscape(ground.name, ground.crs, ground.origin, 5)
    grid = grid_of(30.0)
    assert (cover_on(ground, grid) != cover_on(other, grid)).mean() > 0.3
