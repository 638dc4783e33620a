"""What each cover reflects on a day of the year, at EnMAP's 224 bands in delivered order.

Land spectra are mixtures of the class means of the real Indian Pines scene (`indian_pines.py`);
how a class varies is its principal components. What that scene does not hold is derived and said
so here: conifers are darkened woods, roads are darkened stone, water, cloud and snow are formulas.
All numbers are whole DN (reflectance × 10,000), so that mixing is exact whatever computes it.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.sensors import sensor
from workbench.synthetic import landscape as land
from workbench.synthetic.indian_pines import COMPONENTS, SPECTRA_FILE

N_BANDS = 224

Spectra = NDArray[np.float32]
Mixture = dict[str, float]


@dataclass(frozen=True)
class Season:
    """How green a cover is through the year: low + swing · exp(−|(day − peak) / width|^power)."""

    low: float = 0.0
    """Greenness out of season, in [0, 1]."""
    swing: float = 0.0
    """Rise to the peak, in [0, 1]."""
    peak: float = 200.0
    """Day of the year of the peak."""
    width: float = 50.0
    """Half length of the season in days."""
    power: float = 2.0
    """2 for crops; higher for a plateau, as of leaves."""

    def greenness(self, day: float) -> float:
        """Greenness on a day of the year, in [0, 1]."""
        apart = abs((day - self.peak + 182.5) % 365.0 - 182.5)
        return self.low + self.swing * float(np.exp(-((apart / self.width) ** self.power)))


@dataclass(frozen=True)
class Recipe:
    """What a cover is made of, out of season and at its peak."""

    bare: Mixture
    """Weights of class means when nothing is green."""
    green: Mixture
    """Weights of class means at the peak."""
    season: Season
    """How it goes from one to the other."""
    varies: str
    """Class whose principal components it varies by."""
    liveliness: float = 1.0
    """Factor on that variation."""


_WOODS_BARE: Mixture = {"corn_notill": 0.42, "woods": 0.22}
_RECIPES: dict[int, Recipe] = {
    land.BROADLEAF: Recipe(_WOODS_BARE, {"woods": 1.0}, Season(0.05, 0.95, 207, 88, 8), "woods"),
    land.CONIFER: Recipe({"woods": 0.52}, {"woods": 0.6}, Season(0.3, 0.7, 190, 120), "woods", 0.6),
    land.CORN: Recipe(
        {"corn_notill": 1.0},
        {"grass_pasture": 0.95, "corn": 0.1},
        Season(0.05, 0.9, 208, 45, 3),
        "corn_notill",
    ),
    land.SOYBEAN: Recipe(
        {"soybean_mintill": 1.0},
        {"grass_pasture": 0.4, "woods": 0.65},
        Season(0.03, 0.92, 218, 38, 3),
        "soybean_mintill",
    ),
    land.WHEAT: Recipe(
        {"soybean_clean": 0.75, "hay_windrowed": 0.3},
        {"wheat": 1.0},
        Season(0.25, 0.75, 132, 42),
        "wheat",
        0.8,
    ),
    land.ALFALFA: Recipe(
        {"hay_windrowed": 1.0}, {"grass_pasture": 1.05}, Season(0.35, 0.55, 165, 70, 4), "alfalfa"
    ),
    land.PASTURE: Recipe(
        {"grass_pasture_mowed": 1.0},
        {"grass_pasture": 1.0},
        Season(0.3, 0.6, 160, 80),
        "grass_pasture",
        0.6,
    ),
    land.FALLOW: Recipe(
        {"soybean_clean": 1.05}, {"grass_pasture": 1.0}, Season(0.02, 0.15), "corn"
    ),
    land.URBAN: Recipe(
        {"stone_steel_towers": 0.85},
        {"buildings_grass_trees_drives": 1.0},
        Season(0.05, 0.15, 200, 90),
        "stone_steel_towers",
    ),
    land.ROAD: Recipe(
        {"stone_steel_towers": 0.55},
        {"grass_trees": 1.0},
        Season(0.02, 0.04),
        "stone_steel_towers",
        0.3,
    ),
    land.HEDGE: Recipe(
        _WOODS_BARE,
        {"woods": 0.65, "grass_trees": 0.3},
        Season(0.1, 0.9, 205, 90, 8),
        "grass_trees",
        0.6,
    ),
    land.CLEARED: Recipe(
        {"soybean_clean": 0.55, "hay_windrowed": 0.45},
        {"grass_pasture": 1.0},
        Season(0.05, 0.2, 190, 80),
        "corn_mintill",
    ),
}
_WET_SHARE = 0.3  # of open water in a wetland


@lru_cache(maxsize=1)
def class_table() -> tuple[dict[str, NDArray[np.float64]], dict[str, NDArray[np.float64]]]:
    """Read the shipped statistics: means (224,) and components (3, 224) by class name, in DN."""
    table = pd.read_csv(SPECTRA_FILE)
    values = table.filter(regex=r"^b\d+$").to_numpy(dtype=np.float64)
    means = {n: values[i] for i, n in enumerate(table["name"]) if table["row"][i] == "mean"}
    parts = {n: values[np.flatnonzero((table["name"] == n) & (table["row"] != "mean"))]
             for n in means}  # fmt: skip
    return means, parts


@lru_cache(maxsize=1)
def wavelengths() -> NDArray[np.float64]:
    """Centres of the 224 bands in delivered order, in nm."""
    return np.array([b.wavelength_nm for b in sensor("enmap").bands], dtype=np.float64)


@lru_cache(maxsize=16)
def cover_spectra(day: float) -> tuple[Spectra, Spectra]:
    """Give the spectrum of each cover on a day of the year and how it varies.

    Args:
        day: Day of the year, in [1, 366].

    Returns:
        Means (16, 224) and components (16, 3, 224), whole DN as float32, by code of `COVER_NAMES`.
        A component is one standard deviation.
    """
    means = np.zeros((len(land.COVER_NAMES), N_BANDS))
    parts = np.zeros((len(land.COVER_NAMES), COMPONENTS, N_BANDS))
    _, components = class_table()
    for code, recipe in _RECIPES.items():
        green = recipe.season.greenness(day)
        means[code] = (1 - green) * _mixed(recipe.bare) + green * _mixed(recipe.green)
        parts[code] = recipe.liveliness * components[recipe.varies]
    means[land.LAKE], means[land.RIVER] = water(0.012), water(0.035)
    means[land.WETLAND] = _WET_SHARE * water(0.025) + (1 - _WET_SHARE) * (
        0.5 * means[land.PASTURE] + 0.35 * means[land.BROADLEAF]
    )
    parts[land.WETLAND] = 0.5 * components["grass_pasture"]
    return np.round(means).astype(np.float32), np.round(parts).astype(np.float32)


def _mixed(mixture: Mixture) -> NDArray[np.float64]:
    means, _ = class_table()
    total: NDArray[np.float64] = sum(
        (weight * means[name] for name, weight in mixture.items()), np.zeros(N_BANDS)
    )
    return total


def water(turbidity: float) -> NDArray[np.float64]:
    """Water leaving light, in DN: green peak that grows with `turbidity`, nothing beyond 900 nm."""
    nm = wavelengths()
    peak = np.exp(-(((nm - 565) / 75) ** 2)) + 0.5 * np.exp(-(((nm - 700) / 60) ** 2))
    glint = 0.006
    return 1e4 * (glint + 0.02 * np.exp(-(nm - 420) / 120) * (nm < 900) + turbidity * peak)


def cloud() -> Spectra:
    """Reflectance of a thick cloud, (224,) in DN: bright, with the absorption of its droplets."""
    nm = wavelengths()
    dips = 0.45 * np.exp(-(((nm - 1480) / 110) ** 2)) + 0.6 * np.exp(-(((nm - 1990) / 130) ** 2))
    level = np.interp(nm, [400, 1000, 1300, 1650, 2200, 2500], [0.72, 0.7, 0.66, 0.55, 0.42, 0.3])
    return (1e4 * level * (1 - dips)).astype(np.float32)


def snow() -> Spectra:
    """Reflectance of settled snow, (224,) in DN: white for the eye, black beyond 1.4 µm."""
    nm = wavelengths()
    knots = [400, 900, 1030, 1100, 1250, 1350, 1450, 1650, 1800, 2000, 2250, 2500]
    level = [0.88, 0.8, 0.62, 0.68, 0.4, 0.38, 0.06, 0.12, 0.16, 0.02, 0.1, 0.03]
    return (1e4 * np.interp(nm, knots, level)).astype(np.float32)


def haze() -> Spectra:
    """Light that full haze adds, (224,) in DN: mostly blue."""
    return (1e4 * 0.16 * (wavelengths() / 450.0) ** -1.4).astype(np.float32)


def noise_sigma() -> Spectra:
    """Standard deviation of the sensor's noise, (224,) in DN: more where little light arrives."""
    nm = wavelengths()
    level = np.where(nm < 1000, 7.0, 9.0)
    for centre, width, more in ((420, 15, 8), (940, 25, 8), (1130, 25, 10), (1400, 70, 60),
                                (1850, 90, 60), (2440, 60, 14)):  # fmt: skip
        level = level + more * np.exp(-(((nm - centre) / width) ** 2))
    return level.astype(np.float32)
