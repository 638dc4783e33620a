"""The ground truth of a simulated site: which cover lies at a place, before any sensor looks.

A landscape is a function of coordinates, so every map of it (10 m, 30 m, shifted by half a pixel,
in the next zone, in another projection) shows the same ground.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from workbench.geo.footprint import transformer
from workbench.geo.grid import PixelGrid
from workbench.synthetic.noise import Float, fractal, hashed, rng, share, smooth

BROADLEAF, CONIFER, CORN, SOYBEAN, WHEAT, ALFALFA, PASTURE, FALLOW = range(1, 9)
URBAN, ROAD, RIVER, LAKE, HEDGE, WETLAND, CLEARED = range(9, 16)

COVER_NAMES: tuple[str, ...] = (
    "nothing", "broadleaf forest", "conifer forest", "corn", "soybean", "winter wheat", "alfalfa",
    "pasture", "fallow", "built-up", "road", "river", "lake", "hedge", "wetland", "cleared forest",
)  # fmt: skip
"""Name of each cover; the index is its code."""

WATER = (RIVER, LAKE)
TREES = (BROADLEAF, CONIFER, HEDGE)

_CROPS = np.array([CORN, SOYBEAN, WHEAT, ALFALFA, PASTURE, FALLOW], dtype=np.uint8)
_CROP_SHARE = np.cumsum([0.26, 0.24, 0.16, 0.08, 0.18, 0.08])
_BLOCK = 1400.0  # metres between the villages' field systems
_FOREST_LEVEL, _LAKE_LEVEL, _WETLAND_LEVEL = 0.565, 0.80, 0.775


@dataclass(frozen=True)
class Disturbance:
    """A patch of forest that is felled between two dates."""

    x: float
    """Centre, metres in the site's CRS."""
    y: float
    """The same."""
    radius: float
    """Mean radius in metres; the outline wavers."""
    day: str
    """First date on which the forest is gone, ISO."""


@dataclass(frozen=True)
class Landscape:
    """The simulated ground of one site."""

    name: str
    """Name of the site."""
    crs: str
    """Reference system in which the ground is laid out."""
    origin: tuple[float, float]
    """Middle of the site, metres in `crs`."""
    seed: int
    """Seed of the campaign."""

    @cached_property
    def _bits(self) -> int:
        return int(rng(self.seed, self.name).integers(2**31))

    def cover(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.uint8]:
        """Say what covers each place, in `COVER_NAMES`.

        Args:
            x: Coordinates in metres in the site's CRS.
            y: The same shape.
        """
        return self.cover_and_stand(x, y)[0]

    def cover_and_stand(
        self, x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint32]]:
        """Give the cover and the field or stand that each place belongs to.

        Args:
            x: Coordinates in metres in the site's CRS.
            y: The same shape.

        Returns:
            Codes in `COVER_NAMES`, and hashes that are equal inside one field or stand.
        """
        u = (x - self.origin[0]).astype(np.float32)
        v = (y - self.origin[1]).astype(np.float32)
        cover, stand = self._fields(u, v)
        forest = self._forest(u, v, cover, stand)
        self._towns(u, v, cover, forest)
        self._waters(u, v, cover)
        self._highway(u, v, cover)
        return cover, stand

    def felled(
        self, x: NDArray[np.float64], y: NDArray[np.float64], what: Disturbance
    ) -> NDArray[np.bool_]:
        """Say where the disturbance fells what stands there, if it is forest."""
        u, v = (x - what.x).astype(np.float32), (y - what.y).astype(np.float32)
        waver = smooth((self._bits, "felled"), u, v, what.radius / 1.2)
        found: NDArray[np.bool_] = np.hypot(u, v) < what.radius * (0.25 + 1.5 * waver)
        return found

    def _fields(self, u: Float, v: Float) -> tuple[NDArray[np.uint8], NDArray[np.uint32]]:
        """Field systems around villages, their crops, hedges and the roads between them."""
        bits = self._bits
        block, other, to_edge, du, dv = _nearest_seeds(bits, u, v)
        turn = share(hashed(bits + 1, block)) * np.float32(np.pi)
        along = du * np.cos(turn) + dv * np.sin(turn)
        across = dv * np.cos(turn) - du * np.sin(turn)
        width = 110 + 220 * share(hashed(bits + 2, block))
        length = 260 + 380 * share(hashed(bits + 3, block))
        strip = np.floor(across / width)
        row = along / length + share(hashed(bits + 4, block, strip))
        cell = np.floor(row)
        parcel = hashed(bits + 5, block, strip, cell)
        crop = np.searchsorted(_CROP_SHARE, share(hashed(bits + 6, parcel))).clip(max=5)
        cover = _CROPS[crop]
        # hedges stand on the strips' lower edge, 10 to 22 m wide, in half of the blocks
        hedged = (hashed(bits + 7, block) % 2 == 0) & (hashed(bits + 8, block, strip) % 3 > 0)
        hedge = 10 + 12 * share(hashed(bits + 9, block, strip))
        cover[hedged & (across - strip * width < hedge)] = HEDGE
        kind = share(hashed(bits + 10, block ^ other))  # the same from both sides of the road
        half_width = np.where(kind < 0.35, 0.0, np.where(kind < 0.8, 5.0, 15.0))
        cover[to_edge < half_width] = ROAD
        return cover, parcel

    def _forest(
        self, u: Float, v: Float, cover: NDArray[np.uint8], stand: NDArray[np.uint32]
    ) -> NDArray[np.bool_]:
        """Woods over fields (roads stay), broadleaf and conifer with mixed belts between."""
        bits = self._bits
        woods = fractal((bits, "woods"), u, v, 2600.0, 4) > _FOREST_LEVEL
        woods &= cover != ROAD
        at = np.flatnonzero(woods)
        x, y = u.ravel()[at], v.ravel()[at]
        tree = hashed(bits + 20, np.floor(x / 10), np.floor(y / 10))
        needles = (fractal((bits, "needles"), x, y, 1500.0, 2) - 0.5) * 6 + 0.4
        cover.ravel()[at] = np.where(share(tree) < needles, CONIFER, BROADLEAF)
        bend = 80 * smooth((bits, "bend"), x, y, 300.0)
        stand.ravel()[at] = hashed(
            bits + 21, np.floor((x + bend) / 240), np.floor((y + bend) / 240)
        )
        return woods

    def _towns(self, u: Float, v: Float, cover: NDArray[np.uint8], woods: NDArray) -> None:
        """Built-up ground with streets, gardens and trees, where few fields are."""
        bits = self._bits
        towns = (fractal((bits, "towns"), u, v, 1900.0, 3) > 0.725) & ~woods
        at = np.flatnonzero(towns)
        x, y = u.ravel()[at], v.ravel()[at]
        lot = share(hashed(bits + 30, np.floor(x / 20), np.floor(y / 20)))
        found = np.where(lot < 0.55, URBAN, np.where(lot < 0.85, PASTURE, BROADLEAF))
        street = np.minimum(np.mod(x + 0.2 * y, 140), np.mod(y - 0.2 * x, 110)) < 10
        cover.ravel()[at] = np.where(street, ROAD, found)

    def _waters(self, u: Float, v: Float, cover: NDArray[np.uint8]) -> None:
        """Lakes with wet margins, and a meandering river 35 to 80 m wide with trees along it."""
        bits = self._bits
        level = fractal((bits, "lakes"), u, v, 2100.0, 3)
        cover[(level > _WETLAND_LEVEL) & (cover != ROAD)] = WETLAND
        cover[level > _LAKE_LEVEL] = LAKE
        phase = rng(bits, "river").uniform(0, 6.28, 3).astype(np.float32)
        middle = (
            420 * np.sin(v / 1900 + phase[0]) + 160 * np.sin(v / 610 + phase[1])
            - 0.18 * v - 500
        )  # fmt: skip
        across = np.abs(u - middle) * np.float32(0.9)  # the course is not straight north
        half_width = 28 + 12 * np.sin(v / 2300 + phase[2])
        trees = smooth((bits, "banks"), u, v, 220.0) > 0.55
        banks = (across < half_width + 35) & trees & (cover != ROAD) & (cover != LAKE)
        cover[banks] = BROADLEAF
        cover[across < half_width] = RIVER

    def _highway(self, u: Float, v: Float, cover: NDArray[np.uint8]) -> None:
        """One road 34 m wide across the site, over the river too."""
        bend = rng(self._bits, "highway").uniform(0, 6.28, 2).astype(np.float32)
        middle = 260 * np.sin(u / 3100 + bend[0]) + 0.25 * u + 600 * np.sin(bend[1])
        cover[np.abs(v - middle) < 17] = ROAD


def _nearest_seeds(
    bits: int, u: Float, v: Float
) -> tuple[NDArray[np.uint32], NDArray[np.uint32], Float, Float, Float]:
    """Two nearest seeds of a jittered grid, distance to the line between, offset to the nearer."""
    col, row = np.floor(u / _BLOCK).astype(np.int32), np.floor(v / _BLOCK).astype(np.int32)
    first_col, first_row = col.min() - 1, row.min() - 1
    cols, rows = np.arange(first_col, col.max() + 2), np.arange(first_row, row.max() + 2)
    seeds = hashed(bits + 40, cols, rows[:, None])
    seeds_x = (cols + 0.15 + 0.7 * share(seeds)).astype(np.float32) * np.float32(_BLOCK)
    seeds_y = rows[:, None] + 0.15 + 0.7 * share(hashed(bits + 41, seeds))
    seeds_y = seeds_y.astype(np.float32) * np.float32(_BLOCK)
    cell = (row - first_row) * len(cols) + (col - first_col)
    near = np.full((2, *u.shape), np.float32(1e12))
    name = np.zeros((2, *u.shape), dtype=np.uint32)
    place = np.zeros((2, 2, *u.shape), dtype=np.float32)
    for dc in (-1, 0, 1):
        for dr in (-1, 0, 1):
            at = cell + (dr * len(cols) + dc)
            seed, sx, sy = (table.ravel()[at] for table in (seeds, seeds_x, seeds_y))
            found = np.square(u - sx) + np.square(v - sy)
            first = found < near[0]
            second = ~first & (found < near[1])
            near[1] = np.where(first, near[0], np.where(second, found, near[1]))
            name[1] = np.where(first, name[0], np.where(second, seed, name[1]))
            for axis, seed_at in enumerate((sx, sy)):
                old = place[axis]
                old[1] = np.where(first, old[0], np.where(second, seed_at, old[1]))
                old[0] = np.where(first, seed_at, old[0])
            near[0] = np.where(first, found, near[0])
            name[0] = np.where(first, seed, name[0])
    (x1, x2), (y1, y2) = place
    apart = np.maximum(np.hypot(x1 - x2, y1 - y2), 1)
    to_edge = (near[1] - near[0]) / (2 * apart)
    return name[0], name[1], to_edge.astype(np.float32), (u - x1), (v - y1)


def sample_points(
    grid: PixelGrid, crs: str, *, per_side: int = 1, pixels: NDArray[np.intp] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Place regular sample points in pixels of a grid and bring them to another CRS.

    Args:
        grid: Any grid.
        crs: Where the coordinates shall be.
        per_side: Points per side of a pixel; 3 puts them on the cells of a third of the pixel.
        pixels: (N,) flat indices of pixels, row by row; all if None.

    Returns:
        x and y, each (per_side², N); with an odd `per_side` the middle row holds the centres.
    """
    dx, dy = grid.resolution
    inner = (np.arange(per_side) + 0.5) / per_side - 0.5
    south, east = (n.ravel()[:, None] for n in np.meshgrid(inner, inner, indexing="ij"))
    at = np.arange(grid.height * grid.width) if pixels is None else pixels
    row, col = np.divmod(at, grid.width)
    x, y = grid.x[col] + east * dx, grid.y[row] - south * dy
    if grid.crs == crs:
        return x, y
    moved = transformer(grid.crs, crs).transform(x.ravel(), y.ravel())
    return moved[0].reshape(x.shape), moved[1].reshape(x.shape)
