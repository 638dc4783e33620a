"""What the figures of an extraction show, as tables."""

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from workbench.extraction.leakage import LeakReport
from workbench.extraction.store import PatchStore
from workbench.extraction.validity import MEASURES
from workbench.sensors import InputContract
from workbench.viz.patch_images import UNUSABLE

if TYPE_CHECKING:
    import geopandas as gpd

FATES = ("cut", *MEASURES, "same date", "unreadable tile")
"""What may become of a planned patch: it is cut, or rejected for one or several reasons."""
_COMPARED = 50  # locations looked at before one is chosen


def series_of(
    store: PatchStore, manifest: "gpd.GeoDataFrame", location_id: str | None
) -> "gpd.GeoDataFrame":
    """Give the patches of one location by time.

    Args:
        store: The patches.
        manifest: What was cut.
        location_id: Which location; None for that of the longest series which changed most.

    Raises:
        ValueError: If there is no patch, or none of that location.
    """
    if manifest.empty:
        raise ValueError("A series needs at least one patch, but the manifest has none.")
    if location_id is None:
        location_id = _most_changed(store, manifest)
    rows = manifest[manifest["location_id"] == location_id]
    if rows.empty:
        raise ValueError(
            f"A location must have a patch, but {location_id!r} has none.\n"
            f"Ids look like {manifest['location_id'].iloc[0]!r}."
        )
    return rows.sort_values("acquisition")


def _most_changed(store: PatchStore, manifest: "gpd.GeoDataFrame") -> str:
    """Among the locations of the longest series, the one whose pixels differ most over time."""
    longest = manifest[manifest["n_acquisitions"] == manifest["n_acquisitions"].max()]
    band = store.shape[0] // 3  # any one band tells; that of EnMAP is in the near infrared
    change = {}
    for name, rows in list(longest.groupby("location_id", sort=False))[:_COMPARED]:
        patches = [store.contract.physical(store.pixels(p)[band]) for p in rows["place"]]
        change[str(name)] = float(np.nan_to_num(np.std(patches, axis=0)).mean())
    return max(change, key=lambda name: change[name])


def spectral_gaps(contract: InputContract) -> list[tuple[float, float]]:
    """Find the ranges in nm that no band covers, between bands sorted by wavelength.

    A gap is where two neighbours lie further apart than both of their widths: bands that were
    dropped, as those of EnMAP in which water vapour leaves no light.
    """
    known = sorted(
        (centre, 0.0 if width is None else width)
        for centre, width in zip(contract.wavelengths_nm, contract.fwhm_nm, strict=True)
        if centre is not None
    )
    return [(a + da / 2, b - db / 2) for (a, da), (b, db) in pairwise(known) if b - a > da + db]


def location_spectra(
    store: PatchStore, manifest: "gpd.GeoDataFrame", location_id: str | None = None
) -> pd.DataFrame:
    """Take the median spectrum of a location's clear pixels on each of its dates.

    Args:
        store: The patches.
        manifest: What was cut.
        location_id: Which location; None for that of the longest series which
            changed most.

    Returns:
        One row per date and band, bands by wavelength: acquired, band, wavelength_nm, value (in the
        contract's units; NaN without a clear pixel), pixels (clear ones).

    Raises:
        ValueError: If there is no such location, or a band has no wavelength.
    """
    contract = store.contract
    if None in contract.wavelengths_nm:
        raise ValueError("A spectrum needs bands with wavelengths, but some of these have none.")
    order = np.argsort(np.array(contract.wavelengths_nm, dtype=float), kind="stable")
    frames = []
    for row in series_of(store, manifest, location_id).itertuples():
        clear = store.quality(row.place) & UNUSABLE == 0
        values = contract.physical(store.pixels(row.place)[:, clear])  # (C, N)
        median = np.median(values, axis=1) if clear.any() else np.full(len(values), np.nan)
        frame = pd.DataFrame(
            {"band": contract.band_names, "wavelength_nm": contract.wavelengths_nm, "value": median}
        )
        frame.insert(0, "acquired", row.acquired)
        frames.append(frame.iloc[order].assign(pixels=int(clear.sum())))
    return pd.concat(frames, ignore_index=True)


def rejection_table(manifest: pd.DataFrame, rejected: pd.DataFrame) -> pd.DataFrame:
    """Count for each tile how many patches were cut, and how many were rejected for each reason.

    A patch that has several reasons counts under each of them.

    Args:
        manifest: What was cut.
        rejected: What was not.

    Returns:
        One row per tile by component and time: tile_id, component, acquired, planned, cut, then
        one column per reason that occurs.
    """
    told = [(tile, "cut") for tile in manifest["tile_id"]]
    for tile, reasons in zip(rejected["tile_id"], rejected["reasons"], strict=True):
        told += [(tile, reason) for reason in reasons]
    pairs = pd.DataFrame(told, columns=["tile_id", "fate"])
    table = pd.crosstab(pairs["tile_id"], pairs["fate"])
    columns = [name for name in FATES if name == "cut" or name in table.columns]
    table = table.reindex(columns=columns, fill_value=0)
    both = pd.concat([t[["tile_id", "component", "acquired"]] for t in (manifest, rejected)])
    tiles = both.drop_duplicates("tile_id").set_index("tile_id")
    tiles["planned"] = both["tile_id"].value_counts()
    found = tiles.join(table).sort_values(["component", "acquired", "tile_id"])
    return found.reset_index()


def leak_table(reports: Mapping[str, LeakReport]) -> pd.DataFrame:
    """Put the leak reports of several splits into one table.

    Args:
        reports: Reports by the name of the split.

    Returns:
        The rows of `LeakReport.pairs` with `split` before them.
    """
    frames = [report.pairs.assign(split=name) for name, report in reports.items()]
    table = pd.concat(frames, ignore_index=True)
    return table[["split", *(c for c in table.columns if c != "split")]]
