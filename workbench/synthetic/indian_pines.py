"""How the shipped class spectra were made: from the real Indian Pines scene to EnMAP's bands.

The scene (AVIRIS, 1992-06-12, doi:10.4231/R7RX991C, CC-BY 3.0) is at-sensor radiance without an
atmospheric correction. It is brought to reflectance with what the scene itself offers:

1. radiance = (DN − 1000) / 50, in W m⁻² sr⁻¹ µm⁻¹; top-of-atmosphere reflectance with the solar
   irradiance of a black body of 5778 K;
2. path reflectance 0.10 · (450 nm / λ)³·⁴ subtracted, which leaves the woods about 0.035 in blue
   and red light (dark-object method);
3. gas absorption removed by the bare fields (class 2, corn-notill, hardly grown in June): their
   spectrum is taken to be straight between wavelengths where the air is clear;
4. what no light reaches (transmittance below 0.25) is bridged by a straight line, and below 475 nm,
   where skylight outshines the ground, the spectrum is continued by a ramp. Faulty bands of the
   array, in which even the woods do not follow the bands around, are bridged too.

Each class keeps its mean and the leading principal components of its covariance. Both are linear
in the bands, so they are resampled through the Gaussian responses of EnMAP's bands.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Array = NDArray[np.float64]

CLASS_NAMES = (
    "alfalfa", "corn_notill", "corn_mintill", "corn", "grass_pasture", "grass_trees",
    "grass_pasture_mowed", "hay_windrowed", "oats", "soybean_notill", "soybean_mintill",
    "soybean_clean", "wheat", "woods", "buildings_grass_trees_drives", "stone_steel_towers",
)  # fmt: skip
"""Names of the classes 1 … 16 of the ground truth."""

COMPONENTS = 3
"""Principal components kept per class."""

SPECTRA_FILE = Path(__file__).with_name("indian_pines_spectra.csv")
"""The shipped table, written by `write_class_spectra`."""

_BARE = 2
_COS_SUN_ZENITH = 0.9
_CLEAR_NM = (400, 475, 530, 570, 640, 680, 706, 745, 783, 870, 1011, 1052, 1090, 1310,
             1531, 1561, 1611, 1671, 1700, 2130, 2212, 2240, 2500)  # fmt: skip
_FAULTY_NM = ((512, 524), (553, 566), (710, 722), (952, 970), (1095, 1116), (1170, 1304))
# Dry soil falls off beyond 2.24 µm; there the air is never clear, so the end is given.
_SOIL_END_SHARE = 0.88


def write_class_spectra(scene: Path, path: Path = SPECTRA_FILE) -> Path:
    """Derive the class spectra from the fetched `indian_pines` entry and write them as CSV.

    This is how the table in the package was made:
    `write_class_spectra(open_catalog().fetch("indian_pines"))`.

    Args:
        scene: Folder with `Indian_pines_corrected.npy` and `Indian_pines_gt.npy`, at any depth.
        path: CSV to write.

    Returns:
        The path written.
    """
    from workbench.sensors import sensor

    cube, labels = (
        np.load(next(scene.rglob(name)), allow_pickle=False)
        for name in ("Indian_pines_corrected.npy", "Indian_pines_gt.npy")
    )
    aviris, enmap = sensor("aviris"), sensor("enmap")
    wavelengths = np.array([aviris.band(name).wavelength_nm for name in aviris.kept])
    centres = np.array([b.wavelength_nm for b in enmap.bands])
    fwhm = np.array([b.fwhm_nm for b in enmap.bands])
    table = class_spectra(cube, labels, wavelengths, centres, fwhm)
    table.to_csv(path, index=False, lineterminator="\n")
    return path


def class_spectra(
    cube: NDArray[np.integer],
    labels: NDArray[np.integer],
    wavelengths: Array,
    centres: Array,
    fwhm: Array,
) -> pd.DataFrame:
    """Tabulate mean and principal components of each class at the bands of another sensor.

    Args:
        cube: (H, W, B) radiance DN of the scene.
        labels: (H, W) classes, 0 unlabelled, 1 … 16.
        wavelengths: (B,) band centres of the scene, nm.
        centres: (N,) band centres wanted, nm.
        fwhm: (N,) their full widths at half maximum, nm.

    Returns:
        Columns class, name, pixels, row ("mean", "pc1", …), b001 … bN in 1e-4 reflectance. A
        component is scaled by its standard deviation: scores are drawn from N(0, 1).
    """
    gain, offset, weights = _to_reflectance(cube, labels, wavelengths, centres, fwhm)
    rows: list[list[object]] = []
    for number, name in enumerate(CLASS_NAMES, start=1):
        reflectance = (cube[labels == number] * gain + offset) @ weights.T * 1e4  # (n, N)
        mean = reflectance.mean(axis=0)
        _, scale, axes = np.linalg.svd(reflectance - mean, full_matrices=False)
        parts = axes[:COMPONENTS] * (scale[:COMPONENTS, None] / np.sqrt(len(reflectance) - 1))
        parts *= np.sign(parts.sum(axis=1, keepdims=True))  # an SVD's signs are arbitrary
        for row, values in zip(("mean", "pc1", "pc2", "pc3"), [mean, *parts], strict=True):
            rows.append([number, name, len(reflectance), row, *np.round(values).astype(int)])
    columns = ["class", "name", "pixels", "row", *(f"b{i:03d}" for i in range(1, len(centres) + 1))]
    return pd.DataFrame(rows, columns=columns)


def gaussian_weights(samples: Array, centres: Array, fwhm: Array) -> Array:
    """Weights (N, S) of straight-line interpolated `samples` under Gaussian band responses.

    Each row sums to 1. Beyond the ends of `samples` the spectrum is continued by its last value.

    Args:
        samples: (S,) wavelengths at which spectra are known, ascending, nm.
        centres: (N,) band centres, nm.
        fwhm: (N,) full widths at half maximum, nm.
    """
    fine = np.arange(min(samples[0], centres[0]) - 30.0, max(samples[-1], centres[-1]) + 30.0, 0.5)
    response = np.exp(-4 * np.log(2) * ((fine - centres[:, None]) / fwhm[:, None]) ** 2)
    response /= response.sum(axis=1, keepdims=True)
    hats = np.stack([np.interp(fine, samples, unit) for unit in np.eye(len(samples))])  # (S, fine)
    weights: Array = response @ hats.T
    return weights


def _to_reflectance(
    cube: NDArray[np.integer], labels: NDArray[np.integer], nm: Array, centres: Array, fwhm: Array
) -> tuple[Array, Array, Array]:
    """Gain and offset (B,) from DN to reflectance, and the weights (N, B) that resample it."""
    gain = np.pi / (50.0 * _solar_irradiance(nm) * _COS_SUN_ZENITH)
    offset = -1000.0 * gain - 0.10 * (450.0 / nm) ** 3.4
    bare = cube[labels == _BARE].mean(axis=0) * gain + offset
    order = np.argsort(nm)
    clear = np.array(_CLEAR_NM, dtype=float)
    soil = np.interp(clear, nm[order], bare[order])
    soil[0], soil[-1] = 0.6 * soil[1], _SOIL_END_SHARE * soil[-2]
    transmittance = bare / np.interp(nm, clear, soil)
    sound = ~np.any([(nm > low) & (nm < high) for low, high in _FAULTY_NM], axis=0)
    used = np.flatnonzero((transmittance > 0.25) & (nm >= 475.0) & sound)
    used = used[np.argsort(nm[used])]
    samples = np.concatenate(([400.0], nm[used]))
    weights = np.zeros((len(centres), len(nm)))
    resampled = gaussian_weights(samples, centres, fwhm)
    weights[:, used] = resampled[:, 1:]
    weights[:, used[0]] += 0.7 * resampled[:, 0]  # the ramp: 70 % of the 475 nm value at 400 nm
    return gain / transmittance, offset / transmittance, weights


def _solar_irradiance(nm: Array) -> Array:
    """Irradiance of a 5778 K black body at one astronomical unit, W m⁻² µm⁻¹."""
    planck, light, boltzmann = 6.62607015e-34, 2.99792458e8, 1.380649e-23
    metres = nm * 1e-9
    radiance = 2 * planck * light**2 / metres**5
    radiance /= np.expm1(planck * light / (metres * boltzmann * 5778.0))
    distance = 6.957e8 / 1.495978707e11
    irradiance: Array = np.pi * radiance * distance**2 * 1e-6
    return irradiance
