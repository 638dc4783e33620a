"""One location through time: the same ground on every date, and what became of each date."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from workbench.extraction.store import PatchStore
from workbench.viz import palettes
from workbench.viz.embed import OfflineView
from workbench.viz.patch_images import (
    FALSE_COLOUR,
    TRUE_COLOUR,
    UNUSABLE,
    composite,
    stretch_limits,
    stretch_told,
    stretched,
)
from workbench.viz.patch_tables import series_of
from workbench.viz.statics import blank_figure, picture

if TYPE_CHECKING:
    import geopandas as gpd
    from matplotlib.axes import Axes

_MOST_PER_ROW = 8
_HOW = {"none": "", "nearest": "nearest pixel", "bilinear": "resampled (zone)"}
_LOOKS = {"True colour": TRUE_COLOUR, "Infrared": FALSE_COLOUR}


def dates_figure(
    store: PatchStore,
    manifest: "gpd.GeoDataFrame",
    rejected: "gpd.GeoDataFrame",
    location_id: str | None = None,
) -> OfflineView:
    """Show one location on every planned date, in true colours and in the infrared.

    One stretch holds for all dates, so that what looks brighter is brighter; it is stated below the
    pictures. A date that was rejected has its place, with the reason in it.

    Args:
        store: The patches.
        manifest: What was cut.
        rejected: What was not.
        location_id: Which location; None for that of the longest series which changed most.

    Raises:
        ValueError: If there is no such location, or the bands have no wavelengths.
    """
    rows = series_of(store, manifest, location_id)
    name = str(rows["location_id"].iloc[0])
    dates = pd.concat([rows, rejected[rejected["location_id"] == name]])
    dates = dates.sort_values(["acquired", "tile_id"])
    clear = [store.quality(place) & UNUSABLE == 0 for place in rows["place"]]
    blocks = -(-len(dates) // _MOST_PER_ROW)
    wide = -(-len(dates) // blocks)
    figure = blank_figure(9.6, 0.9 + blocks * (2 * 9.2 / max(wide, 4) + 0.3))
    panels = figure.subplots(2 * blocks, wide, squeeze=False)
    told = []
    for line, (look, wavelengths) in enumerate(_LOOKS.items()):
        images = [composite(store.pixels(p), store.contract, wavelengths) for p in rows["place"]]
        limits = stretch_limits(images, clear)
        shown = dict(zip(rows["place"], (stretched(i, limits) for i in images), strict=True))
        told.append(stretch_told(look, limits, store.contract, wavelengths, "all dates"))
        for k, date in enumerate(dates.itertuples()):
            axes = panels[2 * (k // wide) + line, k % wide]
            image = None if pd.isna(date.place) else shown[int(date.place)]
            _panel(axes, image, "" if line else f"{date.acquired:%Y-%m-%d}", str(date.detail))
            if line and image is not None:
                axes.set_xlabel(_HOW[date.resampling], fontsize=8, color=palettes.MUTED)
        for block in range(blocks):
            panels[2 * block + line, 0].set_ylabel(look, fontsize=10, color=palettes.MUTED)
    for axes in panels.ravel():
        if not axes.has_data() and not axes.texts:
            axes.set_axis_off()
    title = f"Location {name}: cut on {len(rows)} of {len(dates)} dates"
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold", color=palettes.INK)
    figure.supxlabel("\n".join(told), x=0.01, ha="left", fontsize=8.5, color=palettes.MUTED)
    return OfflineView(title, png=picture(figure))


def _panel(axes: "Axes", image: np.ndarray | None, title: str, detail: str) -> None:
    """Draw one date, or say why it is not there."""
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_color(palettes.BORDER)
    axes.set_title(title, fontsize=10.5, color=palettes.INK)
    if image is not None:
        axes.imshow(image, interpolation="nearest")
        return
    axes.set_facecolor("#f1f2f4")
    axes.set_box_aspect(1)
    words = detail.replace("; ", "\n").replace(" (", "\n(")
    axes.text(
        0.5, 0.5, f"not cut:\n{words}", transform=axes.transAxes, ha="center", va="center",
        fontsize=7.5, color=palettes.MUTED,
    )  # fmt: skip
