"""Pictures of what goes into pretraining and comes out: views of a patch, tokens as colours."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.sensors import InputContract
from workbench.viz import palettes
from workbench.viz.embed import OfflineView
from workbench.viz.patch_images import TRUE_COLOUR, band_near, stretch_limits, stretched
from workbench.viz.patch_tables import spectral_gaps
from workbench.viz.pretraining_tables import as_colours, run_colour
from workbench.viz.statics import blank_figure, legend_label, picture, tidy
from workbench.viz.statics_patches import GAP


def views_figure(
    patches: Mapping[str, NDArray[Any]], contract: InputContract, *, title: str
) -> OfflineView:
    """Show views of one patch in true colour, and their median spectra below.

    Args:
        patches: By name, each (C, H, W) in the contract's units; the first is the patch itself.
        contract: Says at which wavelength each band lies.
        title: Heading.

    Raises:
        ValueError: If the contract names no wavelengths.
    """
    colours = [band_near(contract, nm) for nm in TRUE_COLOUR]
    images = [np.moveaxis(np.asarray(patch)[colours], 0, -1) for patch in patches.values()]
    limits = stretch_limits(images[:1], [np.ones(images[0].shape[:2], bool)])
    figure = blank_figure(9.0, 5.6)
    halves: Any = figure.subfigures(2, 1, height_ratios=(1, 1.15))
    above, below = halves
    for axes, name, image in zip(
        above.subplots(1, len(images), squeeze=False)[0], patches, images, strict=True
    ):
        axes.imshow(stretched(image, limits), interpolation="nearest")
        axes.set(xticks=[], yticks=[])
        axes.set_title(name, fontsize=10, color=palettes.INK)
    axes = below.subplots()
    gaps = spectral_gaps(contract)
    for left, right in gaps:
        axes.axvspan(left, right, color=GAP, lw=0)
    centres = np.array([np.nan if nm is None else nm for nm in contract.wavelengths_nm])
    for number, (name, patch) in enumerate(patches.items()):
        median = np.nanmedian(np.asarray(patch).reshape(len(centres), -1), axis=1)
        holes = [(left + right) / 2 for left, right in gaps]  # no line crosses a gap
        places = np.append(centres, holes)
        order = np.argsort(places, kind="stable")
        values = np.append(median, np.full(len(holes), np.nan))
        width = 1.2 if number else 2.4
        look = {"color": run_colour(number), "lw": width}
        axes.plot(places[order], values[order], label=legend_label(name), **look)
    axes.legend(frameon=False, fontsize=9)
    units = contract.units.capitalize()
    tidy(axes, "Median spectrum", "Wavelength (nm); grey: bands that are not used", units)
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold", color=palettes.INK)
    return OfflineView(title, png=picture(figure))


def tokens_figure(
    images: Sequence[NDArray[Any]],
    scores: Mapping[str, NDArray[Any]],
    contract: InputContract,
    *,
    title: str,
) -> OfflineView:
    """Show patches in true colour, and below them the tokens' first three components as colours.

    Args:
        images: (C, H, W) each, in the contract's units.
        scores: For each encoder (B, 3, h, w), as `training.inspection.token_components` gives them.
        contract: Of the images.
        title: Heading.

    Raises:
        ValueError: If there are not as many images as scores.
    """
    colours = [band_near(contract, nm) for nm in TRUE_COLOUR]
    shown = [np.moveaxis(np.asarray(image)[colours], 0, -1) for image in images]
    limits = stretch_limits(shown, [np.ones(image.shape[:2], bool) for image in shown])
    rows = {"True colour": [stretched(image, limits) for image in shown]}
    for name, values in scores.items():
        if len(values) != len(shown):
            raise ValueError(
                f"{len(shown)} images need as many scores, got {len(values)} ({name})."
            )
        rows[name] = list(as_colours(values))
    wide = len(shown)
    figure = blank_figure(9.0, 0.5 + len(rows) * 8.6 / max(wide, 4))
    panels = figure.subplots(len(rows), wide, squeeze=False)
    for line, (name, pictures) in zip(panels, rows.items(), strict=True):
        for axes, one in zip(line, pictures, strict=True):
            axes.imshow(one, interpolation="nearest")
            axes.set(xticks=[], yticks=[])
        line[0].set_ylabel(name, fontsize=10, color=palettes.MUTED)
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold", color=palettes.INK)
    return OfflineView(title, png=picture(figure))
