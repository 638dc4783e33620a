"""What stands between the ground and the sensor on one date: clouds, shadows, haze, cirrus; snow.

All are fields over the ground that belong to a datatake: its tiles see one sky.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.synthetic.acquisition import GSD, Acquisition
from workbench.synthetic.campaign import Site
from workbench.synthetic.noise import Float, Key, fractal, smooth

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Sky:
    """State of the air over N places."""

    cloud: Float
    """Opacity of the cloud, 0 without one, else in [0.6, 1]."""
    shadow: Mask
    """Under the shadow of a cloud and not under a cloud."""
    haze: Float
    """Strength of the haze, in [0, 1]."""
    cirrus: NDArray[np.uint8]
    """0 none, 1 thin, 2 medium, 3 thick."""
    snow: Mask
    """Snow on the ground."""


def sun_position(acquisition: Acquisition) -> tuple[float, float]:
    """Elevation and azimuth (clockwise from north) of the sun at the scene's middle, in degrees.

    Declination by day of the year and hour angle by mean solar time: good to about one degree.
    """
    lon, lat = acquisition.footprint.centroid.coords[0]
    hours = acquisition.start.hour + acquisition.start.minute / 60 + lon / 15
    hour_angle = math.radians(15 * (hours - 12))
    season = 2 * math.pi * (acquisition.day_of_year + 10) / 365.25
    declination = -math.radians(23.44) * math.cos(season)
    phi = math.radians(lat)
    sine = math.sin(phi) * math.sin(declination)
    sine += math.cos(phi) * math.cos(declination) * math.cos(hour_angle)
    south = math.sin(phi) * math.cos(hour_angle) - math.cos(phi) * math.tan(declination)
    azimuth = math.pi + math.atan2(math.sin(hour_angle), south)
    return math.degrees(math.asin(sine)), math.degrees(azimuth) % 360


def sky_over(
    acquisition: Acquisition, site: Site, x: NDArray[np.float64], y: NDArray[np.float64]
) -> Sky:
    """Say what the sky is like over places of a site.

    Args:
        acquisition: When.
        site: Where.
        x: (N,) coordinates in metres in the CRS of the site's landscape.
        y: (N,) the same.
    """
    u, v = (x - site.middle[0]).astype(np.float32), (y - site.middle[1]).astype(np.float32)
    seed = site.landscape.seed
    size = min(max(0.3 * acquisition.side * GSD, 200.0), 3500.0)

    def patchy(name: str, share: float, wavelength: float) -> Float:
        """How far a field stands above the level that the given share of the site exceeds."""
        if share <= 0:
            return np.full(u.shape, -1, dtype=np.float32)
        key = (seed, acquisition.datatake, name)
        return fractal(key, u, v, wavelength) - _level(key, share, wavelength, acquisition)

    thick = patchy("cloud", acquisition.cloud, size)
    cloud = np.where(thick > 0, np.clip(0.6 + 6 * thick, 0, 1), 0).astype(np.float32)
    shadow = np.zeros(u.shape, dtype=bool)
    if acquisition.cloud > 0:
        elevation, azimuth = (math.radians(a) for a in sun_position(acquisition))
        reach = min(0.25 * size, 600.0) / math.tan(elevation)  # lower clouds in smaller scenes
        key = (seed, acquisition.datatake, "cloud")
        east, north = (np.float32(reach * f(azimuth)) for f in (math.sin, math.cos))
        caster = fractal(key, u + east, v + north, size)
        shadow = (caster > _level(key, acquisition.cloud, size, acquisition)) & (cloud == 0)
    veil = patchy("cirrus", acquisition.cirrus, 1.5 * size)
    cirrus = np.where(veil > 0, 1 + (veil > 0.05) + (veil > 0.1), 0).astype(np.uint8)
    haze = np.zeros(u.shape, dtype=np.float32)
    if acquisition.haze > 0:
        haze += acquisition.haze * smooth((seed, acquisition.datatake, "haze"), u, v, size)
    return Sky(cloud, shadow, haze, cirrus, patchy("snow", acquisition.snow, 0.5 * size) > 0)


def _level(key: Key, share: float, wavelength: float, acquisition: Acquisition) -> np.float32:
    """Level of a field that the given share of a scene in the middle of the site exceeds."""
    half = acquisition.side * GSD / 2
    line = np.linspace(-half, half, 48, dtype=np.float32)
    field = fractal(key, line[None, :], line[:, None], wavelength)
    return np.float32(np.quantile(field, 1 - share))
