"""Pictures of pretraining: what shows where a page may not run."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.viz import palettes
from workbench.viz.pretraining_tables import PROBES, run_colour, smoothed
from workbench.viz.statics import blank_figure, legend_label, tidy
from workbench.viz.statics_patches import GAP

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def curves_figure(
    runs: Mapping[str, pd.DataFrame], measures: Mapping[str, str], title: str, *, steps: int = 5
) -> "Figure":
    """Draw one row of panels for each measure and one column for each run.

    Args:
        runs: Log of each run.
        measures: Columns to draw, with the words for them.
        title: Heading.
        steps: How many steps the drawn mean takes in.
    """
    figure = blank_figure(9.0, 0.5 + 1.45 * len(measures))
    panels = figure.subplots(len(measures), len(runs), squeeze=False, sharex="col")
    for row, (column, words) in enumerate(measures.items()):
        for number, (name, log) in enumerate(runs.items()):
            axes, colour = panels[row, number], run_colour(number)
            axes.plot(log["step"], log[column], color=colour, alpha=0.3, lw=0.8)
            axes.plot(log["step"], smoothed(log[column], steps=steps), color=colour, lw=1.6)
            last = row == len(measures) - 1
            words_here = words if number == 0 else ""
            tidy(axes, "" if row else name, "Step" if last else "", words_here)
            if row and number:  # the diagnostics of a row share their scale
                axes.sharey(panels[row, 0])
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold", color=palettes.INK)
    return figure


def probes_figure(
    scores: Mapping[str, pd.DataFrame], chance: float, limits: tuple[float, float], title: str
) -> "Figure":
    """Draw accuracy by step, once for the neighbours and once for the linear classifier.

    Args:
        scores: For each run the columns step, probe_knn and probe_linear.
        chance: Accuracy of a constant answer.
        limits: Of the accuracies shown.
        title: Heading.
    """
    figure = blank_figure(9.0, 3.4)
    for axes, (column, words) in zip(figure.subplots(1, 2), PROBES.items(), strict=True):
        axes.axhline(chance, color=palettes.MUTED, ls="--", lw=1)
        for number, (name, log) in enumerate(scores.items()):
            look = {"color": run_colour(number), "ms": 4, "label": legend_label(name)}
            axes.plot(log["step"], log[column], "o-", **look)
        axes.set_ylim(*limits)
        tidy(axes, words, "Step", "Accuracy")
        axes.legend(frameon=False, fontsize=9, loc="lower right")
    figure.suptitle(
        f"{title}; dashed: a constant answer", x=0.01, ha="left", fontsize=11, color=palettes.INK
    )
    return figure


def filters_figure(
    laid: NDArray[Any], mean: NDArray[Any], span: tuple[float, float], title: str
) -> "Figure":
    """Draw responses by wavelength as colours, and their mean below.

    Args:
        laid: (K, columns) in [0, 1], NaN where no band is.
        mean: (columns,) mean response.
        span: Wavelengths of the left and right edge, nm.
        title: Heading.
    """
    from matplotlib.colors import LinearSegmentedColormap

    figure = blank_figure(9.0, 4.8)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    ramp = LinearSegmentedColormap.from_list("response", list(palettes.ramp_stops()))
    scale = ramp.with_extremes(bad=GAP)
    extent = (*span, 0.0, float(len(laid)))
    drawn = above.imshow(
        laid, aspect="auto", origin="lower", extent=extent, cmap=scale, vmin=0, vmax=1,
        interpolation="nearest",
    )  # fmt: skip
    figure.colorbar(drawn, ax=above, label="Share of strongest", pad=0.01)
    tidy(above, title, "", "Filter, sorted")
    places = np.linspace(*span, len(mean), endpoint=False) + (span[1] - span[0]) / len(mean) / 2
    below.plot(places, mean, color=palettes.ACCENT, lw=1.5)
    tidy(below, "", "Wavelength (nm); grey: no band", "Mean response")
    return figure
