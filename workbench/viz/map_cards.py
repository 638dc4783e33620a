"""Pictures and spectra of locations, small enough to lie in a page or to be sent when asked for."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.extraction.store import PatchStore
from workbench.viz.patch_images import (
    TRUE_COLOUR,
    UNUSABLE,
    composite,
    stretch_limits,
    stretch_told,
    stretched,
)

if TYPE_CHECKING:
    import geopandas as gpd

MOST_CARDS = 120
"""Cards that go into a page if no number is named; one of three dates weighs about 10 kB."""
MOST_REASONS = 20_000
"""Rejected dates whose reasons go into a page; one weighs about 70 bytes. Of more, only those of
locations with a card."""
MOST_DATES = 12
"""Dates of a card; of longer series the first, the last and evenly spread ones in between."""
_SIDE = 84  # pixels of a thumbnail, at most


@dataclass(frozen=True)
class Cards:
    """Thumbnails and spectra of some locations."""

    of: dict[str, dict[str, Any]]
    """One card by location_id, as `location_card` makes it."""
    about: dict[str, Any]
    """Wavelengths, units and how the thumbnails were made; the same for all."""
    rejected: dict[str, list[list[str]]] = field(default_factory=dict)
    """Planned dates that were not cut by location_id, as `rejected_dates` gives them."""
    without_reasons: int = 0
    """Locations that lost a date and whose reasons had no room; see `MOST_REASONS`."""

    def told(self, locations: int) -> dict[str, Any]:
        """What a page is given; it says how many of its locations have a card."""
        note = (
            f"Pictures of {len(self.of):,} of {locations:,} locations are in this page, not here."
        )
        if self.without_reasons:
            note += f" Why dates were not cut is left out for {self.without_reasons:,} locations."
        return {"of": self.of, "rejected": self.rejected, "note": note, **self.about}


def location_cards(
    store: PatchStore,
    manifest: "gpd.GeoDataFrame",
    location_ids: Sequence[str] | None = None,
    *,
    rejected: "gpd.GeoDataFrame | None" = None,
    most: int = MOST_CARDS,
) -> Cards:
    """Make cards for a page.

    Args:
        store: The patches.
        manifest: What was cut.
        location_ids: Which locations; None for the longest series, at most `most`.
        rejected: What was not cut; a click then tells which planned dates are missing and why,
            of every location as long as they are at most `MOST_REASONS`.
        most: See `location_ids`.

    Raises:
        ValueError: If a location is not in the manifest, or the bands have no wavelengths.
    """
    if location_ids is None:
        length = manifest.groupby("location_id", sort=True).size()
        location_ids = length.sort_values(ascending=False, kind="stable").index[:most].tolist()
    of = {name: location_card(store, manifest, name) for name in location_ids}
    reasons = {} if rejected is None else rejected_dates(rejected)
    told = reasons
    if sum(map(len, reasons.values())) > MOST_REASONS:
        told = {name: dates for name, dates in reasons.items() if name in of}
    return Cards(of, card_facts(store), told, len(reasons) - len(told))


def rejected_dates(rejected: "gpd.GeoDataFrame") -> dict[str, list[list[str]]]:
    """Give what was planned and not cut: for each location its dates by time.

    Args:
        rejected: As `Extraction.rejected`, or the rows of one location.

    Returns:
        By location_id a list of date (``YYYY-MM-DD``), reason with its limit, and tile.
    """
    rows = rejected.sort_values(["location_id", "acquired", "tile_id"])
    found: dict[str, list[list[str]]] = {}
    for row in rows.itertuples():
        told = [f"{row.acquired:%Y-%m-%d}", str(row.detail), str(row.tile_id)]
        found.setdefault(str(row.location_id), []).append(told)
    return found


def card_facts(store: PatchStore) -> dict[str, Any]:
    """What all cards of a store share: wavelengths in nm, units, how pictures are made."""
    wavelengths = [w for w in store.contract.wavelengths_nm if w is not None]
    told = "Mean spectra of clear pixels. Pictures: true colour, one stretch for all dates."
    return {"nm": [round(w, 1) for w in wavelengths], "units": store.contract.units, "told": told}


def location_card(
    store: PatchStore, manifest: "gpd.GeoDataFrame", location_id: str
) -> dict[str, Any]:
    """Read one location: for each date a thumbnail and the mean spectrum of its clear pixels.

    Args:
        store: The patches.
        manifest: What was cut.
        location_id: Which.

    Returns:
        ``dates``: by time, each with date, tile, image (base64 of a JPEG of at most 84 pixels) and
        spectrum (one value a band with a wavelength, None where no pixel is clear); ``of``: how
        many dates the location has, since long series are thinned out to `MOST_DATES`; ``told``.

    Raises:
        ValueError: If the manifest has no such location.
    """
    rows = manifest[manifest["location_id"] == location_id].sort_values(["acquired", "tile_id"])
    if rows.empty:
        raise ValueError(f"A card needs a location of the manifest, but {location_id!r} is none.")
    number = len(rows)
    rows = rows.iloc[np.unique(np.linspace(0, number - 1, min(number, MOST_DATES)).round())]
    places = [int(place) for place in rows["place"]]
    images = [composite(store.pixels(p), store.contract, TRUE_COLOUR) for p in places]
    clear = [store.quality(p) & UNUSABLE == 0 for p in places]
    limits = stretch_limits(images, clear)
    has_wavelength = np.array([w is not None for w in store.contract.wavelengths_nm])
    dates = [
        {
            "date": f"{row.acquired:%Y-%m-%d}",
            "tile": row.tile_id,
            "image": _thumbnail(stretched(image, limits)),
            "spectrum": _spectrum(store, place, mask)[has_wavelength].tolist(),
        }
        for row, place, image, mask in zip(rows.itertuples(), places, images, clear, strict=True)
    ]
    for date in dates:
        date["spectrum"] = [None if np.isnan(v) else round(v, 4) for v in date["spectrum"]]
    told = stretch_told("True colour", limits, store.contract, TRUE_COLOUR, "dates of the location")
    return {"dates": dates, "of": number, "told": told}


def _spectrum(store: PatchStore, place: int, clear: np.ndarray) -> np.ndarray:
    """(C,) mean over clear pixels that have a value, NaN where there is none."""
    pixels = store.contract.physical(store.pixels(place)[:, clear])
    known = np.isfinite(pixels)
    total = np.where(known, pixels, 0).sum(axis=1)
    counted = known.sum(axis=1)
    return np.where(counted > 0, total / np.maximum(counted, 1), np.nan)


def _thumbnail(image: np.ndarray) -> str:
    from PIL import Image

    step = max(1, -(-image.shape[0] // _SIDE))
    pixels = np.rint(image[::step, ::step] * 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="JPEG", quality=85)
    return base64.b64encode(buffer.getvalue()).decode()
