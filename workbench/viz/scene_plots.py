"""A labelled scene and its split on a map, and the scores of trainings beside a baseline."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.escape import tip_text
from workbench.viz import palettes
from workbench.viz.bokeh_page import bokeh_page
from workbench.viz.embed import OfflineView
from workbench.viz.patch_images import (
    FALSE_COLOUR,
    TRUE_COLOUR,
    composite,
    stretch_limits,
    stretch_told,
)
from workbench.viz.patch_images import stretched as as_shown
from workbench.viz.statics import blank_figure, legend_label, picture, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from workbench.datasets.examples import Examples
    from workbench.evaluation.tasks import Task
    from workbench.readers.samples import LabelledScene

PART_COLOURS = {"train": palettes.ACCENT, "val": "#8c6bb1", "test": palettes.CONTRAST}
"""Colours of the parts of a split, told apart with any colour vision."""
_UNLABELLED = "#b3b7bd"


def split_figure(scene: "LabelledScene", task: "Task", *, title: str) -> OfflineView:
    """Show a scene, its labels and which window is in which part; a picture.

    Args:
        scene: Image and labels.
        task: Made from it by `scene_task`.
        title: Heading.
    """
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    contract, gsd = scene.image.contract, task.gsd_m
    image = composite(scene.image.data.values, contract, FALSE_COLOUR)
    known = np.isfinite(image)
    limits = stretch_limits([image], [np.asarray(known.all(axis=-1))])
    labels, colours, names = _labels(scene)
    figure = blank_figure(9.6, 4.9)
    left, right = figure.subplots(1, 2, sharex=True, sharey=True)
    height, width = labels.shape
    extent = (0.0, width * gsd / 1000, height * gsd / 1000, 0.0)
    left.imshow(as_shown(image, limits), extent=extent, interpolation="nearest")
    right.imshow(colours[labels], extent=extent, interpolation="nearest")
    for axes, head in ((left, "Image, and the windows of each part"), (right, "Labels")):
        _windows(axes, task)
        tidy(axes, head, "km", "km" if axes is left else "")
    handles: list[Any] = [
        Line2D([], [], ls="", marker="s", ms=9, mfc="none", mew=1.8, mec=colour,
               label=f"{part}: {len(getattr(task, part))} windows, "
                     f"{len(set(getattr(task, part).groups))} blocks")
        for part, colour in PART_COLOURS.items()
    ]  # fmt: skip
    handles += [
        Patch(fc=colour, ec=palettes.BORDER, label=legend_label(name))
        for name, colour in zip(names, colours, strict=True)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    told = stretch_told("Image", limits, contract, FALSE_COLOUR, "known pixels")
    figure.suptitle(f"{title}\n{told}", x=0.01, ha="left", fontsize=9.5, color=palettes.MUTED)
    return OfflineView(title, png=picture(figure))


def window_pictures(examples: "Examples") -> dict[str, dict[str, NDArray[np.uint8]]]:
    """Make pictures of examples by id, for the inspector: infrared and true colour.

    Args:
        examples: With bands of known wavelengths; all are stretched alike.

    Returns:
        (H, W, 3) by name of the picture, for each id.
    """
    kinds = {"Infrared": FALSE_COLOUR, "True colour": TRUE_COLOUR}
    found: dict[str, dict[str, NDArray[np.uint8]]] = {name: {} for name in examples.ids}
    for kind, wavelengths in kinds.items():
        stored = (examples[i][0].numpy() for i in range(len(examples)))
        images = [composite(pixels, examples.contract, wavelengths) for pixels in stored]
        limits = stretch_limits(images, [np.asarray(np.isfinite(i).all(axis=-1)) for i in images])
        for name, image in zip(examples.ids, images, strict=True):
            found[name][kind] = np.rint(255 * as_shown(image, limits)).astype(np.uint8)
    return found


def window_bands(examples: "Examples") -> dict[str, NDArray[Any]]:
    """Give the measurements of examples by id: (C, H, W) in the units of their contract."""
    stored = {name: examples[i][0].numpy() for i, name in enumerate(examples.ids)}
    return {name: examples.contract.physical(pixels) for name, pixels in stored.items()}


def _labels(scene: "LabelledScene") -> tuple[NDArray[Any], NDArray[Any], list[str]]:
    """(H, W) class indices, one colour for each, the last for what has no label, and names."""
    from matplotlib.colors import to_rgb

    size = len(scene.legend.classes)
    hues = [*(c.color for c in scene.legend.classes), _UNLABELLED]
    indices = np.where(scene.labels < size, scene.labels, size)
    return indices, np.array([to_rgb(h) for h in hues]), [*scene.legend.names, "no label"]


def _windows(axes: "Axes", task: "Task") -> None:
    """Outline each window in the colour of its part, in kilometres from the upper left corner."""
    from matplotlib.collections import PolyCollection

    size = task.image_size
    for part, colour in PART_COLOURS.items():
        corners = [_corner(name) for name in getattr(task, part).ids]
        inside = np.array([(1, 1), (size - 1, 1), (size - 1, size - 1), (1, size - 1)])
        rings = [(inside + corner) * task.gsd_m / 1000 for corner in corners]
        axes.add_collection(
            PolyCollection(rings, facecolor="none", edgecolor=colour, lw=1.6), autolim=False
        )


def _corner(name: str) -> tuple[int, int]:
    """Column and row of a window, which its id names: "r00032-c00128"."""
    row, column = name.split("-")
    return int(column[1:]), int(row[1:])


def beside_figure(
    scores: pd.DataFrame, baseline: tuple[float, float, float], *, metric: str, title: str
) -> OfflineView:
    """Draw the scores of trainings with their intervals, and that of the baseline as a band.

    Args:
        scores: As `beside` gives it.
        baseline: Score of the baseline, lower and upper end.
        metric: What the score is, for the axis.
        title: Heading.
    """
    from bokeh.models import ColumnDataSource, FactorRange
    from bokeh.plotting import figure as bokeh_figure

    rows = scores.iloc[::-1]
    names = rows["training"].to_list()
    colour = [palettes.ACCENT if above else palettes.MUTED for above in rows["above"]]
    gains = [
        f"{100 * g:+.1f} points ({100 * lo:+.1f} to {100 * hi:+.1f})"
        for g, lo, hi in zip(rows["gain"], rows["gain_low"], rows["gain_high"], strict=True)
    ]
    columns = {name: rows[name].to_list() for name in ("score", "low", "high", "seconds")}
    source = ColumnDataSource({"name": names, "gain": gains, "colour": colour, **columns})
    tooltips = [("", "@name"), (tip_text(metric), "@score{0.000}"), ("over the baseline", "@gain")]
    tooltips += [("trained for", "@seconds{0} s")]
    options: dict[str, Any] = {"y_range": FactorRange(factors=names, range_padding=0.06)}
    options |= {"tools": "", "toolbar_location": None, "tooltips": tooltips, "title": title}
    panel: Any = bokeh_figure(**options)
    panel.update(height=_height(names) - 20, sizing_mode="stretch_width", output_backend="canvas")
    panel.update(outline_line_color=None)
    panel.xaxis.axis_label = metric
    orange = palettes.CONTRAST
    panel.vstrip(x0=[baseline[1]], x1=[baseline[2]], color=orange, alpha=0.12, line_alpha=0)
    panel.vspan(x=[baseline[0]], line_color=orange, line_width=2)
    panel.segment("low", "name", "high", "name", source=source, color=palettes.MUTED, line_width=2)
    dots = panel.scatter("score", "name", source=source, size=10, color="colour")
    panel.hover.renderers = [dots]
    static = _beside_static(rows, names, colour, baseline, metric, title)
    page = bokeh_page(panel, title)
    return OfflineView(title, picture(static), page, height=_height(names))


def _height(names: list[str]) -> int:
    return 110 + 32 * len(names)


def _beside_static(
    rows: pd.DataFrame, names: list[str], colour: list[str], baseline: Any, metric: str, title: str
) -> Any:
    figure = blank_figure(9.0, 1.3 + 0.32 * len(names))
    axes = figure.subplots()
    axes.axvspan(*baseline[1:], color=palettes.CONTRAST, alpha=0.12, lw=0)
    axes.axvline(baseline[0], color=palettes.CONTRAST, lw=2)
    axes.hlines(range(len(names)), rows["low"], rows["high"], color=palettes.MUTED, lw=1.3)
    axes.scatter(rows["score"], range(len(names)), color=colour, s=40, zorder=3)
    axes.set_yticks(range(len(names)), names)
    tidy(axes, "", metric)
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold", color=palettes.INK)
    return figure
