"""The manifest as arrays: which acquisitions each location has, and where their pixels lie.

A training loop asks for a location half a million times per epoch and in several processes. So the
table is laid out once in flat arrays: the acquisitions of location `i` are `first[i]` to
`first[i + 1]`, in order of time. A look-up costs the same for ten locations and for a million,
and a worker gets a few arrays instead of a million objects.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.errors import ManifestError
from workbench.geo.dates import acquisition_dates

if TYPE_CHECKING:
    import geopandas as gpd

Ints = NDArray[np.int64]
DAY = 86_400.0
"""Seconds."""
_NEEDED = ("location_id", "place", "acquired")
COLUMNS = (*_NEEDED, "group", "cloud")
"""Columns of a manifest of patches that are used here; the last two if they are there."""


@dataclass(frozen=True)
class Acquisitions:
    """N locations and their M acquisitions, sorted by location id, then by time."""

    location: NDArray[np.bytes_]
    """(N,) ids of the locations, distinct and sorted."""
    first: Ints
    """(N + 1,) number of each location's first acquisition; the last entry is M."""
    place: Ints
    """(M,) place in the patch store."""
    time: NDArray[np.float64]
    """(M,) seconds since 1970, UTC."""
    date: Ints
    """(M,) number of the date among those of its location, from 0: pieces of one pass are one date
    (`workbench.geo.dates`)."""
    cloud: NDArray[np.float32]
    """(M,) share of cloudy pixels in [0, 1]; NaN where it is not known."""

    def __len__(self) -> int:
        return len(self.location)

    @property
    def n_dates(self) -> Ints:
        """(N,) distinct dates of each location."""
        if not len(self):
            return np.zeros(0, np.int64)
        return np.maximum.reduceat(self.date, self.first[:-1]) + 1

    @property
    def of(self) -> Ints:
        """(M,) location of each acquisition."""
        return np.repeat(np.arange(len(self)), np.diff(self.first))

    def of_location(self, i: int) -> slice:
        """Say which acquisitions are of location `i`."""
        return slice(int(self.first[i]), int(self.first[i + 1]))

    def select(self, keep: NDArray[np.bool_]) -> "Acquisitions":
        """Keep some locations, with all their acquisitions.

        Args:
            keep: (N,) True for those that stay.
        """
        kept = keep[self.of]
        first = np.append(0, np.cumsum(np.diff(self.first)[keep])).astype(np.int64)
        return Acquisitions(
            location=self.location[keep],
            first=first,
            place=self.place[kept],
            time=self.time[kept],
            date=self.date[kept],
            cloud=self.cloud[kept],
        )

    def only(self, locations: Sequence[str]) -> "Acquisitions":
        """Keep the named locations.

        Raises:
            ManifestError: If one of them is not there.
        """
        wanted = np.unique(np.asarray(locations, dtype=bytes))
        if not (known := np.isin(wanted, self.location)).all():
            raise ManifestError(
                f"A chosen location must be in the manifest, but {wanted[~known][0].decode()!r} "
                f"is not ({int((~known).sum())} of {len(wanted)}).\n"
                "Is the split made from the plan, and was the location rejected since?"
            )
        return self.select(np.isin(self.location, wanted))


def acquisitions(manifest: "gpd.GeoDataFrame | pd.DataFrame") -> Acquisitions:
    """Lay a patch manifest out as arrays.

    Args:
        manifest: One row per patch, with the columns location_id, place and acquired; where it has
            them, `group` (acquisition a tile is a piece of) and `cloud` (share of pixels) are used.

    Raises:
        ManifestError: If it has no row, lacks a column, or lists a place twice.
    """
    if missing := [name for name in _NEEDED if name not in manifest.columns]:
        raise ManifestError(
            f"A manifest of patches must have the columns {', '.join(_NEEDED)}, but lacks "
            f"{', '.join(missing)}.\nIs it a plan? Cut its patches with `extract_patches` first."
        )
    if not len(manifest):
        raise ManifestError(
            "A dataset needs at least one patch, but the manifest lists none.\n"
            "The table of rejected patches beside it says why."
        )
    time = _seconds(manifest["acquired"])
    location, of = np.unique(manifest["location_id"].to_numpy(dtype=bytes), return_inverse=True)
    place = manifest["place"].to_numpy(dtype=np.int64)
    if len(np.unique(place)) < len(place):
        raise ManifestError("Each patch must have a place of its own, but a place is listed twice.")
    order = np.lexsort((place, time, of))
    of, time = of[order], time[order]
    date = _dates(manifest, of, time, order)
    cloud = (
        manifest["cloud"].to_numpy(dtype=np.float32)
        if "cloud" in manifest.columns
        else np.full(len(manifest), np.nan, np.float32)
    )
    first = np.searchsorted(of, np.arange(len(location) + 1))
    return Acquisitions(location, first, place[order], time, date, cloud[order])


def _seconds(column: pd.Series) -> NDArray[np.float64]:
    when = pd.to_datetime(column, utc=True, format="ISO8601")
    if when.isna().any():
        raise ManifestError(
            f"Each patch must have a time, but {int(when.isna().sum())} have none.\n"
            "Archives without times can be listed, not paired by date."
        )
    since = (when - pd.Timestamp(0, tz="UTC")).dt.total_seconds()
    return np.ascontiguousarray(since.to_numpy(dtype=np.float64))


def _dates(manifest: pd.DataFrame, of: Ints, time: NDArray[np.float64], order: Ints) -> Ints:
    """(M,) number of each acquisition's date among those of its location."""
    group = manifest["group"].to_numpy(dtype=object)[order] if "group" in manifest.columns else None
    date = acquisition_dates(time, group)
    pair, number = np.unique(of * (date.max() + 1) + date, return_inverse=True)
    first = np.searchsorted(pair // (date.max() + 1), of)  # pairs of earlier locations
    return (number - first).astype(np.int64)
