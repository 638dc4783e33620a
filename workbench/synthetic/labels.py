"""Label maps of the simulated ground, each on its own grid and in the codes of its product.

Europe: CORINE codes at 100 m, dominant leaf type and tree cover density at 10 m (EPSG:3035).
America: CDL and NLCD codes at 30 m, leaf type and density at 10 m (EPSG:5070). The site with the
disturbance also gets a map of it, on the site's 30 m pixels. All but that last one show the ground
before the disturbance. They are simulated, like the ground.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray

from workbench.geo.footprint import densified, projected
from workbench.geo.grid import PixelGrid
from workbench.geo.raster import write_raster
from workbench.synthetic import landscape as land
from workbench.synthetic.acquisition import GSD, Acquisition
from workbench.synthetic.campaign import Site
from workbench.synthetic.noise import smooth

Codes = NDArray[np.integer]

_EUROPE, _AMERICA = "EPSG:3035", "EPSG:5070"
_CHUNK = 400_000  # sample points looked up at once
_MARGIN = 150.0  # metres of map beyond the last footprint

CDL_CODES = {
    land.BROADLEAF: 141, land.CONIFER: 142, land.CORN: 1, land.SOYBEAN: 5, land.WHEAT: 24,
    land.ALFALFA: 36, land.PASTURE: 176, land.FALLOW: 61, land.URBAN: 123, land.ROAD: 122,
    land.RIVER: 111, land.LAKE: 111, land.HEDGE: 141, land.WETLAND: 195, land.CLEARED: 131,
}  # fmt: skip
"""CDL code of each cover."""
NLCD_CODES = {
    land.BROADLEAF: 41, land.CONIFER: 42, land.CORN: 82, land.SOYBEAN: 82, land.WHEAT: 82,
    land.ALFALFA: 81, land.PASTURE: 81, land.FALLOW: 82, land.URBAN: 23, land.ROAD: 21,
    land.RIVER: 11, land.LAKE: 11, land.HEDGE: 41, land.WETLAND: 95, land.CLEARED: 31,
}  # fmt: skip
"""NLCD code of each cover; 43 (mixed) where both kinds of trees hold a quarter of the pixel."""


def write_labels(folder: Path, site: Site, acquisitions: Sequence[Acquisition]) -> dict[str, Path]:
    """Write the label maps that describe a site.

    Args:
        folder: Where the maps go.
        site: The ground.
        acquisitions: What was taken of it; the maps cover their footprints.

    Returns:
        Path of each map by its kind: "corine", "cdl", "nlcd", "leaf_type", "tree_density",
        "disturbance".
    """
    crs = _AMERICA if site.is_american else _EUROPE
    grids = {gsd: _grid_over(acquisitions, crs, gsd) for gsd in (10.0, 30.0, 100.0)}
    maps: dict[str, tuple[Codes, PixelGrid, int]] = {}
    if site.is_american:
        shares = cover_shares(site, grids[30.0], per_side=3)
        maps["cdl"] = _majority(shares, CDL_CODES, grids[30.0]), grids[30.0], 0
        maps["nlcd"] = _nlcd(shares, grids[30.0]), grids[30.0], 0
    else:
        shares = cover_shares(site, grids[100.0], per_side=5)
        maps["corine"] = corine_codes(shares).reshape(grids[100.0].shape), grids[100.0], 999
    leaf_type, density = _trees(site, grids[10.0])
    maps["leaf_type"] = leaf_type, grids[10.0], 255
    maps["tree_density"] = density, grids[10.0], 255
    if site.disturbance is not None:
        ground = _grid_over(acquisitions, site.landscape.crs, GSD)
        maps["disturbance"] = _felled(site, ground), ground, 255
    found = {}
    for kind, (codes, grid, nodata) in maps.items():
        path = folder / f"{kind}.tif"
        names = [f"{kind}, simulated"]
        found[kind] = write_raster(
            path, codes, grid, nodata=nodata, band_names=names, compress="deflate"
        )
    return found


def cover_shares(site: Site, grid: PixelGrid, *, per_side: int) -> NDArray[np.float32]:
    """Share of each cover in each pixel of any grid, before the disturbance.

    Args:
        site: The ground.
        grid: Pixels in any CRS.
        per_side: Sample points per side of a pixel.

    Returns:
        (16, H · W), by code of `COVER_NAMES`; each column sums to 1.
    """
    found = np.zeros((len(land.COVER_NAMES), grid.height * grid.width), dtype=np.float32)
    for pixels, cover in _covers(site, grid, per_side):
        for code in range(1, len(found)):
            found[code, pixels] = (cover == code).mean(axis=0)
    return found


def corine_codes(shares: NDArray[np.floating]) -> NDArray[np.uint16]:
    """Give the CORINE code of pixels (N,) from the shares (16, N) of the covers in them."""
    leaves, needles = shares[land.BROADLEAF] + shares[land.HEDGE], shares[land.CONIFER]
    woods = leaves + needles
    crops = shares[[land.CORN, land.SOYBEAN, land.WHEAT, land.ALFALFA, land.FALLOW]].sum(axis=0)
    built = shares[land.URBAN] + shares[land.ROAD]
    mixed = np.minimum(leaves, needles) > 0.25 * woods
    rules = [
        (shares[land.RIVER] >= 0.5, 511),
        (shares[land.LAKE] >= 0.5, 512),
        (shares[land.WETLAND] >= 0.5, 411),
        (built >= 0.4, 112),
        ((woods >= 0.5) & mixed, 313),
        ((woods >= 0.5) & (leaves >= needles), 311),
        (woods >= 0.5, 312),
        (shares[land.PASTURE] >= 0.6, 231),
        (crops >= 0.6, 211),
        (woods >= 0.2, 243),
    ]
    found = np.select([r for r, _ in rules], [code for _, code in rules], default=242)
    return found.astype(np.uint16)


def _covers(
    site: Site, grid: PixelGrid, per_side: int
) -> Iterable[tuple[NDArray[np.intp], NDArray[np.uint8]]]:
    """Pixels (N,) of a grid and the covers (per_side², N) sampled in them, piece by piece."""
    ground = site.landscape
    step = max(1, _CHUNK // per_side**2)
    for first in range(0, grid.height * grid.width, step):
        pixels = np.arange(first, min(first + step, grid.height * grid.width))
        x, y = land.sample_points(grid, ground.crs, per_side=per_side, pixels=pixels)
        yield pixels, ground.cover(x, y)


def _grid_over(acquisitions: Sequence[Acquisition], crs: str, gsd: float) -> PixelGrid:
    """Pixels on multiples of their size over all footprints."""
    outline = shapely.union_all([a.footprint for a in acquisitions])
    xmin, ymin, xmax, ymax = projected(densified([outline], max_bend=1), "EPSG:4326", crs)[0].bounds
    low = [np.floor((v - _MARGIN) / gsd) * gsd for v in (xmin, ymin)]
    high = [np.ceil((v + _MARGIN) / gsd) * gsd for v in (xmax, ymax)]
    return PixelGrid.from_bounds(crs, (*low, *high), gsd)


def _majority(
    shares: NDArray[np.float32], codes: dict[int, int], grid: PixelGrid
) -> NDArray[np.uint8]:
    """Code of the cover with the largest share; the lower cover wins a tie."""
    table = np.zeros(len(shares), dtype=np.uint8)
    table[list(codes)] = list(codes.values())
    return table[shares.argmax(axis=0)].reshape(grid.shape)


def _nlcd(shares: NDArray[np.float32], grid: PixelGrid) -> NDArray[np.uint8]:
    found = _majority(shares, NLCD_CODES, grid)
    both = np.minimum(shares[land.BROADLEAF], shares[land.CONIFER]).reshape(grid.shape)
    return np.where((both >= 0.25) & np.isin(found, (41, 42)), 43, found).astype(np.uint8)


def _trees(site: Site, grid: PixelGrid) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Leaf type (0 none, 1 broadleaved, 2 coniferous) and density (percent) of each pixel."""
    leaf_type, density = (np.zeros(grid.height * grid.width, np.uint8) for _ in range(2))
    for pixels, cover in _covers(site, grid, per_side=1):
        trees = np.isin(cover[0], land.TREES)
        x, y = land.sample_points(grid, site.landscape.crs, pixels=pixels)
        u, v = ((n[0] - m).astype(np.float32) for n, m in zip((x, y), site.middle, strict=True))
        closure = 70 + 30 * smooth((site.landscape.seed, site.name, "closure"), u, v, 200.0)
        density[pixels] = np.rint(trees * closure)
        leaf_type[pixels] = np.where(cover[0] == land.CONIFER, 2, trees)
    return leaf_type.reshape(grid.shape), density.reshape(grid.shape)


def _felled(site: Site, grid: PixelGrid) -> NDArray[np.uint8]:
    """1 where most of a pixel was forest and is felled, else 0."""
    assert site.disturbance is not None
    found = np.zeros(grid.height * grid.width, dtype=np.uint8)
    for pixels, cover in _covers(site, grid, per_side=3):
        x, y = land.sample_points(grid, site.landscape.crs, per_side=3, pixels=pixels)
        woods = (cover == land.BROADLEAF) | (cover == land.CONIFER)
        gone = site.landscape.felled(x, y, site.disturbance) & woods
        found[pixels] = gone.mean(axis=0) > 0.5
    return found.reshape(grid.shape)
