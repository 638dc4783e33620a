"""A simulated scene at 10 m for questions of detail: hedges, roads and rivers of 1 to 3 pixels.

The ground is that of the campaign (`landscape`). A pixel is the mixture of what lies in it, so that
a hedge of half a pixel is half there; the labels are the cover with most of each pixel.
"""

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from workbench.geo.grid import PixelGrid
from workbench.legends import Legend, LegendClass
from workbench.readers.images import named_image
from workbench.readers.samples import LabelledScene
from workbench.sensors import sensor
from workbench.synthetic import landscape as land
from workbench.synthetic.campaign import plan_campaign
from workbench.synthetic.labels import cover_shares
from workbench.synthetic.spectra import cover_spectra, wavelengths

THIN_4 = Legend(
    "thin4",
    "Simulated ground at 10 m: open, trees, sealed, water",
    (
        LegendClass("open", (1,), "#e3d9a6"),
        LegendClass("trees", (2,), "#1b7837"),
        LegendClass("sealed", (3,), "#b2182b"),
        LegendClass("water", (4,), "#2166ac"),
    ),
)
"""Classes of the scene; hedges are trees, roads and rivers are thin as well."""

_BANDS = ("B2", "B3", "B4", "B8", "B11", "B12")
_MEMBERS = {
    1: (land.BROADLEAF, land.CONIFER, land.HEDGE),
    2: (land.URBAN, land.ROAD),
    3: (land.RIVER, land.LAKE),
}
_FIELDS = 0.12  # how much the brightness of fields and stands differs, as a share


def thin_structures(
    side: int = 256, *, seed: int = 0, noise: float = 0.04, day: float = 200.0, per_side: int = 4
) -> LabelledScene:
    """Simulate a scene of Sentinel-2's 10 and 20 m bands over the campaign's "saale" site.

    Args:
        side: Pixels of 10 m on each side.
        seed: Of ground and noise, >= 0.
        noise: Standard deviation of each pixel's noise, as a share of its value.
        day: Day of the year.
        per_side: Sample points per side of a pixel, from which it is mixed.

    Returns:
        Six bands, stored as reflectance × 10,000, and the classes of `THIN_4`. Simulated.
    """
    site = plan_campaign(seed=seed, tile_size=192).sites["saale"]
    half = side * 5.0
    x, y = (round(value / 10) * 10.0 for value in site.middle)
    crs = site.landscape.crs
    grid = PixelGrid.from_bounds(crs, (x - half, y - half, x + half, y + half), 10.0)
    shares = cover_shares(site, grid, per_side=per_side)
    contract = sensor("sentinel2_l2a").contract(_BANDS)
    pixels = _mixed(shares, contract.wavelengths_nm, day)
    rng = np.random.default_rng([seed, 10])
    pixels *= 1 + _FIELDS * _texture(site.landscape, grid)
    pixels *= 1 + noise * rng.standard_normal(pixels.shape)
    stored = np.clip(np.rint(pixels), 1, 32_767).astype(np.float32)
    cube = stored.reshape(len(_BANDS), *grid.shape)
    data = xr.DataArray(cube, dims=("band", "y", "x"))
    return LabelledScene(named_image(data, contract), _labels(shares, grid.shape), THIN_4)


def _mixed(
    shares: NDArray[np.float32], centres_nm: tuple[float | None, ...], day: float
) -> NDArray[np.float64]:
    """(C, N) mixtures of the covers' mean spectra, at EnMAP's bands next to the centres."""
    means, _ = cover_spectra(day)
    at = [int(np.abs(wavelengths() - (c or 0.0)).argmin()) for c in centres_nm]
    found: NDArray[np.float64] = means[:, at].T.astype(np.float64) @ shares
    return found


def _labels(shares: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """(H, W) class with the largest share; the first of equals."""
    grouped = np.zeros((len(THIN_4.classes), shares.shape[1]), dtype=np.float32)
    for number, members in _MEMBERS.items():
        grouped[number] = shares[list(members)].sum(axis=0)
    grouped[0] = 1 - grouped[1:].sum(axis=0)
    return grouped.argmax(axis=0).astype(np.uint8).reshape(shape)


def _texture(ground: land.Landscape, grid: PixelGrid) -> NDArray[np.float64]:
    """(1, N) how much brighter or darker each field or stand is, in (-1, 1)."""
    pixels = np.arange(grid.height * grid.width)
    x, y = land.sample_points(grid, ground.crs, per_side=1, pixels=pixels)
    _, stand = ground.cover_and_stand(x, y)
    bright = (stand.astype(np.uint64) * np.uint64(2654435761) % np.uint64(2**16)) / 2**15 - 1.0
    return bright.reshape(1, -1).astype(np.float64)
