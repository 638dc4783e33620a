"""From ground to delivered numbers: one acquisition's spectral cube and its quality layers."""

from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from workbench.synthetic import landscape as land
from workbench.synthetic import spectra
from workbench.synthetic.acquisition import GSD, Acquisition
from workbench.synthetic.atmosphere import Sky, sky_over, sun_position
from workbench.synthetic.campaign import Site
from workbench.synthetic.indian_pines import COMPONENTS
from workbench.synthetic.noise import Float, hashed, normal_pool, rng, smooth

NODATA = -32768
STUCK = 12_000
"""DN of a defective pixel."""

_PER_SIDE = 3  # 10 m cells in a pixel of 30 m
_CHUNK = 32_768  # pixels computed at once: 30 MB of float32 for each copy of their spectra
_POOL = 1 << 16
_SCORE = 16  # scores are sixteenths: products stay whole numbers that float32 holds exactly
_STUCK_BANDS = {"VNIR": slice(40, 44), "SWIR": slice(150, 156)}


@dataclass(frozen=True)
class Rendered:
    """What one product holds."""

    cube: NDArray[np.int16]
    """(224, H, W) DN = reflectance × 10,000 in delivered order; -32768 where there is none."""
    layers: dict[str, NDArray[np.uint8]]
    """Quality layers by their genuine name, "QUALITY_CLOUD" …, each (H, W)."""
    defective: NDArray[np.uint8]
    """(224, H, W) the pixel mask: 1 where the detector is stuck."""


def render(acquisition: Acquisition, site: Site, *, surface: bool = False) -> Rendered:
    """Compute the pixels of one acquisition; the same arguments give the same numbers.

    Args:
        acquisition: What is taken.
        site: The ground under it.
        surface: Only the ground in its light: without haze, clouds, shadows, noise, bad bands,
            stuck detectors and errors of processing.
    """
    shape = acquisition.grid.shape
    valid = np.flatnonzero(acquisition.valid())
    cube = np.full((spectra.N_BANDS, *shape), NODATA, dtype=np.int16)
    flat = cube.reshape(spectra.N_BANDS, -1)
    layers = {name: np.zeros(shape, np.uint8) for name in LAYERS}
    layers["QUALITY_CLASSES"][:] = 3
    for first in range(0, len(valid), _CHUNK):
        at = valid[first : first + _CHUNK]
        flat[:, at] = _pixels(acquisition, site, at, layers, surface).T
    defective = np.zeros(cube.shape, dtype=np.uint8)
    if not surface:
        cube[[band - 1 for band in acquisition.bad_bands]] = NODATA
        _stick(acquisition, cube, defective)
    return Rendered(cube, layers, defective)


LAYERS = (
    "QUALITY_CLASSES", "QUALITY_CLOUD", "QUALITY_CLOUDSHADOW", "QUALITY_HAZE", "QUALITY_CIRRUS",
    "QUALITY_SNOW", "QUALITY_TESTFLAGS",
)  # fmt: skip
"""Quality layers of one band each; the pixel mask has 224."""


def ground_cover(
    acquisition: Acquisition, site: Site, pixels: NDArray[np.intp] | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.uint32]]:
    """Give the cover of the 10 m cells in each pixel on the day of the acquisition.

    Args:
        acquisition: Whose grid and day.
        site: The ground.
        pixels: (N,) flat indices; all if None.

    Returns:
        Codes (9, N) in `COVER_NAMES`, and the field or stand in the middle of each pixel (N,).
    """
    ground = site.landscape
    x, y = land.sample_points(acquisition.grid, ground.crs, per_side=_PER_SIDE, pixels=pixels)
    cover, stand = ground.cover_and_stand(x, y)
    what = site.disturbance
    if what is not None and acquisition.start.date() >= date.fromisoformat(what.day):
        woods = (cover == land.BROADLEAF) | (cover == land.CONIFER)
        cover[woods & ground.felled(x, y, what)] = land.CLEARED
    return cover, stand[_PER_SIDE**2 // 2]


def _pixels(
    acquisition: Acquisition,
    site: Site,
    at: NDArray[np.intp],
    layers: dict[str, NDArray[np.uint8]],
    surface: bool,
) -> NDArray[np.int16]:
    """Spectra (N, 224) of the pixels `at`; their quality is entered into the layers."""
    cover, stand = ground_cover(acquisition, site, at)
    x, y = land.sample_points(acquisition.grid, site.landscape.crs, pixels=at)
    counts = np.stack([(cover == code).sum(axis=0) for code in range(len(land.COVER_NAMES))])
    sky = sky_over(acquisition, site, x[0], y[0])
    spectrum = _mix(acquisition, site, counts, stand, x[0], y[0])
    spectrum[sky.snow] = spectrum[sky.snow] * 0.15 + 0.85 * spectra.snow()
    spectrum *= _light(acquisition, site, x[0], y[0])[:, None]
    _enter(layers, at, sky, counts[list(land.WATER)].sum(axis=0) > _PER_SIDE**2 // 2)
    if not surface:
        _through_the_air(spectrum, sky)
        spectrum += _noise(acquisition, site.landscape.seed, x[0], y[0])
        spectrum *= np.float32(acquisition.gain)
    np.clip(spectrum, -200, 15_000, out=spectrum)
    return np.rint(spectrum).astype(np.int16)


def _mix(
    acquisition: Acquisition,
    site: Site,
    counts: NDArray[np.int64],
    stand: NDArray[np.uint32],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
) -> Float:
    """Mixed spectra (N, 224): shares of covers, each with the variation of its field and pixel."""
    means, parts = spectra.cover_spectra(acquisition.day_of_year)
    pool = normal_pool((site.landscape.seed, "scores"), _POOL)
    col, row = np.floor(x / GSD), np.floor(y / GSD)
    there = np.flatnonzero(counts.any(axis=1))
    shares = counts[there].astype(np.float32)
    weights = [shares * _SCORE]
    endmembers = [means[there]]
    for k in range(COMPONENTS):
        field = pool[hashed(101 + k, stand) % _POOL]
        pixel = pool[hashed(111 + k, col, row) % _POOL]
        score = np.clip(np.rint((0.6 * field + 0.45 * pixel) * _SCORE), -40, 40)
        weights.append(shares * score)
        endmembers.append(parts[there, k])
    total = np.concatenate(weights).T @ np.concatenate(endmembers)
    mixed: Float = total * np.float32(1 / (_PER_SIDE**2 * _SCORE))
    return mixed


def _light(
    acquisition: Acquisition, site: Site, x: NDArray[np.float64], y: NDArray[np.float64]
) -> Float:
    """What slopes and an imperfect correction leave of the sun: factors (N,) around 1."""
    elevation, azimuth = (np.radians(a) for a in sun_position(acquisition))
    u, v = ((n - m).astype(np.float32) for n, m in zip((x, y), site.middle, strict=True))
    key, step = (site.landscape.seed, site.name, "relief"), np.float32(60)
    du, dv = step * np.float32(np.sin(azimuth)), step * np.float32(np.cos(azimuth))
    slope = smooth(key, u - du, v - dv, 700.0) - smooth(key, u + du, v + dv, 700.0)
    day = 1 + 0.03 * rng(site.landscape.seed, acquisition.datatake, "light").standard_normal()
    factor: Float = np.float32(day) + slope * np.float32(0.6 / np.tan(max(elevation, 0.3)))
    return np.clip(factor, 0.6, 1.4)


def _through_the_air(spectrum: Float, sky: Sky) -> None:
    """Lay shadow, haze, cirrus and cloud over the spectra (N, 224), in place."""
    spectrum[sky.shadow] = spectrum[sky.shadow] * np.float32(0.35) + spectra.haze() * 0.12
    if sky.haze.any():
        strength = sky.haze[:, None]
        spectrum *= 1 - 0.3 * strength
        spectrum += strength * spectra.haze()
    for level in (1, 2, 3):
        under = sky.cirrus == level
        spectrum[under] = spectrum[under] * np.float32(1 - 0.08 * level) + np.float32(260 * level)
    cloudy = sky.cloud > 0
    opacity = sky.cloud[cloudy, None]
    spectrum[cloudy] = spectrum[cloudy] * (1 - opacity) + opacity * spectra.cloud()


def _noise(
    acquisition: Acquisition, seed: int, x: NDArray[np.float64], y: NDArray[np.float64]
) -> Float:
    """Noise of the sensor (N, 224): a function of seed, acquisition and place, nothing else."""
    pool = normal_pool((seed, acquisition.datatake, acquisition.tile, "noise"), _POOL)
    runs = sliding_window_view(pool, spectra.N_BANDS)
    start = hashed(131, np.floor(x * (2 / GSD)), np.floor(y * (2 / GSD))) % len(runs)
    found: Float = runs[start] * spectra.noise_sigma()
    return found


def _enter(
    layers: dict[str, NDArray[np.uint8]], at: NDArray[np.intp], sky: Sky, water: NDArray[np.bool_]
) -> None:
    """Write what is known about the pixels `at` into the quality layers."""
    layers["QUALITY_CLASSES"].ravel()[at] = np.where(water, 2, 1)
    layers["QUALITY_CLOUD"].ravel()[at] = sky.cloud > 0
    layers["QUALITY_CLOUDSHADOW"].ravel()[at] = sky.shadow
    layers["QUALITY_HAZE"].ravel()[at] = sky.haze > 0.15
    layers["QUALITY_CIRRUS"].ravel()[at] = sky.cirrus
    layers["QUALITY_SNOW"].ravel()[at] = sky.snow


def _stick(acquisition: Acquisition, cube: NDArray[np.int16], defective: NDArray[np.uint8]) -> None:
    """Overwrite the stuck detector columns and mark them; they run along the track."""
    across, _ = acquisition.sensor_coordinates()
    valid = acquisition.valid()
    for k, bands in enumerate(list(_STUCK_BANDS.values())[: acquisition.defective_columns]):
        column = (np.abs(across - (k - 0.5) * 0.4 * acquisition.side) < 0.6) & valid
        cube[bands, column] = STUCK
        defective[bands, column] = 1
