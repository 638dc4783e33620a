"""What figures of transfer studies show, as tables and words: panels, places, small print."""

from collections.abc import Sequence
from textwrap import wrap

import numpy as np
import pandas as pd

from workbench.evaluation.statistics_seeds import MIN_SEEDS
from workbench.viz.statics_transfer import Panels

WORDS: dict[str, str] = {
    "overall_accuracy": "Overall accuracy",
    "macro_miou": "Macro mIoU",
    "micro_iou": "Micro-IoU",
    "macro_f1": "Macro F1",
    "micro_f1": "Micro F1",
    "macro_map": "Macro mAP",
    "micro_map": "Micro mAP",
    "r2": "R²",
}
"""Words for the metrics that are shares."""
PROTOCOLS = ("frozen", "linear", "knn", "adapter", "full")
"""Protocols in the order of their bars; training from scratch stands among "full"."""


def by_panel(
    points: pd.DataFrame, lines: Sequence[str], panels: Sequence[str], metric: str
) -> dict[str, dict[str, pd.DataFrame]]:
    """Points by panel and line, shares in percent."""
    scale = 100 if metric in WORDS or metric.startswith("iou/") or metric == "validation" else 1
    points = points.assign(**{name: scale * points[name] for name in ("value", "low", "high")})
    if "single" in points:
        points["single"] = [[scale * v for v in single] for single in points["single"]]
    found: dict[str, dict[str, pd.DataFrame]] = {}
    for names, part in points.groupby([*panels, *lines], sort=False, dropna=False):
        words = [str(name) for name in names]
        panel, line = " · ".join(words[: len(panels)]), " · ".join(words[len(panels) :])
        found.setdefault(panel, {})[line] = part.reset_index(drop=True)
    return found


def words_of(metric: str) -> str:
    """Label of the axis of a metric, with its unit."""
    if metric.startswith("iou/"):
        return f"IoU of {metric.removeprefix('iou/')!r} (%)"
    return f"{WORDS[metric]} (%)" if metric in WORDS else metric


def small_print(frame: pd.DataFrame, metric: str, points: pd.DataFrame) -> str:
    """What stands below: definition, seeds, draws."""
    text = frame.attrs.get("definitions", {}).get(metric, "")
    draws = int(points["n_draws"].max())
    drawn = "seeds" if draws == 1 else f"seeds and {draws} draws of the labels"
    return folded(f"{metric}: {text} {about_seeds(points['n_seeds'], drawn)}")


def about_seeds(seeds: pd.Series, drawn: str) -> str:
    """Say how many seeds points have, and over what their intervals are."""
    fewest, most = int(seeds.min()), int(seeds.max())
    if fewest >= MIN_SEEDS:
        count = f"{fewest}" if fewest == most else f"{fewest} to {most}"
        return f"Interquartile mean of {count} seeds, with its 95% interval over {drawn}."
    one = "seed" if fewest == 1 else "seeds"
    return f"{fewest} {one}, fewer than {MIN_SEEDS}: no interval, and no significance is claimed."


def folded(text: str) -> str:
    """Break text into lines as wide as a picture."""
    return "\n".join(wrap(text, 118))


def least(points: pd.DataFrame) -> float:
    """Smallest value or end of an interval."""
    return float(np.nanmin(points[["value", "low"]].to_numpy(float)))


def most(points: pd.DataFrame) -> float:
    """Largest value or end of an interval."""
    return float(np.nanmax(points[["value", "high"]].to_numpy(float)))


def placed(drawn: Panels) -> dict[str, dict[str, pd.DataFrame]]:
    """Give each bar its place: group by group, side by side."""
    lines = list(dict.fromkeys(line for panel in drawn.values() for line in panel))
    found: dict[str, dict[str, pd.DataFrame]] = {}
    for name, panel in drawn.items():
        there = {x for bars in panel.values() for x in bars["x"]}
        groups = [x for x in PROTOCOLS if x in there] + sorted(there - set(PROTOCOLS))
        width = 0.8 / len(lines)
        found[name] = {
            line: bars.assign(
                group=(group := bars["x"].map(groups.index).astype(float)),
                at=group + (lines.index(line) - (len(lines) - 1) / 2) * width,
                width=width,
            )
            for line, bars in panel.items()
        }
    return found
