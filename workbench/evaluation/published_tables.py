"""The published tables as data: each value as printed, where it is from, and what is odd about it.

Nothing is corrected. What does not add up is flagged beside the value: a slip of the pen, a bold
mark that is not the best, a "mean IoU" that is a function of overall accuracy.
"""

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from io import StringIO

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

DESIGN = ("decoder", "encoder", "init", "protocol", "task")
"""What distinguishes the cells of a table; empty where a table does not say."""
TITLES = {
    "forest_segmentation": "Forest segmentation, fine-tuned for 100 epochs",
    "ssl_comparison": "Pretraining methods and protocols on EnMAP tasks",
    "large_vits": "Large vision transformers pretrained with MAE",
    "ssl4eo_s12": "SSL4EO-S12, fine-tuned on three tasks",
    "cereal_crops": "Cereal crop mapping by third parties",
}
READINGS = {
    "F1 Score": "micro F1, most likely: the code's plain F1 is micro",
    "mIoU": "micro-IoU, very likely: the code averages over pixels, not over classes",
    "Mean IoU": "micro-IoU: it equals OA / (2 - OA) in 11 of 15 rows within 0.05",
    "Overall Accuracy": "overall accuracy",
    "OA": "overall accuracy",
    "score": "not named at the source",
}
"""What the printed names of metrics most likely mean."""
TYPO_POINTS = 1.0
"""A residual of the identity as large as this, in points, is no other definition but a slip."""


@dataclass(frozen=True)
class Flag:
    """Something odd about one printed value."""

    row: int
    """Row in the frame of the table."""
    kind: str
    """"typo", "bold" (marked, but not the best of its block), "unmarked" (the best of a block in
    which another is marked) or "identity" (its distance from OA / (2 - OA))."""
    text: str
    """What is odd, with the numbers."""


@dataclass(frozen=True)
class PublishedTable:
    """One published table."""

    name: str
    """Key, as "forest_segmentation"."""
    title: str
    """Title for people."""
    source: str
    """Where it was printed, and in which unit."""
    frame: pd.DataFrame
    """One row a value: decoder, encoder, init, protocol, task, metric (as printed), value (as
    printed, percent), bold (bool), block (values that were compared)."""
    flags: tuple[Flag, ...]
    """What is odd, in the order of the rows."""


def published_names() -> list[str]:
    """Names of the published tables."""
    return list(TITLES)


@cache
def published_table(name: str) -> PublishedTable:
    """Read one of the published tables.

    Args:
        name: One of `published_names()`.

    Raises:
        ValueError: If there is no such table.

    Example:
        >>> table = published_table("forest_segmentation")
        >>> [flag.text for flag in table.flags if flag.kind == "typo"]
        ['77.49 is -1.99 from OA / (2 - OA) = 79.48: most likely a slip for 79.49']
    """
    if name not in TITLES:
        raise ValueError(f"There is no published table {name!r}.\nThe tables: {', '.join(TITLES)}.")
    path = files("workbench") / "evaluation" / "published" / f"{name}.csv"
    first, _, body = path.read_text("utf-8").partition("\n")
    rows = list(csv.DictReader(StringIO(body)))
    frame = pd.DataFrame(rows).astype({"value": float})
    frame["bold"] = frame["bold"] == "1"
    flags = sorted([*_bold_flags(frame), *_identity_flags(frame)], key=lambda flag: flag.row)
    return PublishedTable(name, TITLES[name], first.removeprefix("# source: "), frame, tuple(flags))


def published_list() -> pd.DataFrame:
    """List the published tables: table, numbers, source, and flags in one text each."""
    rows = []
    for name in TITLES:
        table = published_table(name)
        odd = [flag.text for flag in table.flags if flag.kind in ("typo", "bold")]
        row = {"table": table.title, "numbers": len(table.frame), "source": table.source}
        rows.append(row | {"flags": "; ".join(odd)})
    return pd.DataFrame(rows)


def micro_iou_from_accuracy(accuracy: ArrayLike) -> NDArray[np.float64]:
    """Micro-IoU that follows from overall accuracy, both in percent.

    Example:
        >>> float(micro_iou_from_accuracy(88.68).round(2))
        79.66
    """
    share = np.asarray(accuracy, dtype=np.float64) / 100
    return 100 * share / (2 - share)


def identity_residuals(table: PublishedTable) -> pd.DataFrame:
    """Hold each printed mean IoU against OA / (2 - OA).

    Returns:
        One row for each cell that has both: decoder, encoder, init, overall_accuracy, mean_iou,
        predicted, residual (mean_iou - predicted; points), row (of the mean IoU in the frame).
        Predictions and residuals are rounded to the two digits that were printed.
    """
    keys = ["decoder", "encoder", "init"]
    wanted = table.frame.assign(row=range(len(table.frame)))
    return _residuals(wanted, keys)


def _residuals(frame: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    accuracy = frame[frame["metric"] == "Overall Accuracy"].set_index(keys)["value"]
    iou = frame[frame["metric"] == "Mean IoU"].set_index(keys)[["value", "row"]]
    found = iou.rename(columns={"value": "mean_iou"}).join(accuracy.rename("overall_accuracy"))
    predicted = micro_iou_from_accuracy(found["overall_accuracy"].to_numpy())
    found["predicted"] = predicted.round(2)
    found["residual"] = (found["mean_iou"] - found["predicted"]).round(2)
    order = ["overall_accuracy", "mean_iou", "predicted", "residual", "row"]
    return found[order].reset_index()


def _identity_flags(frame: pd.DataFrame) -> list[Flag]:
    if not {"Overall Accuracy", "Mean IoU"} <= set(frame["metric"]):
        return []
    residuals = _residuals(frame.assign(row=range(len(frame))), ["decoder", "encoder", "init"])
    flags = []
    for row, value, predicted, residual in zip(
        *(residuals[c] for c in ("row", "mean_iou", "predicted", "residual")), strict=True
    ):
        distance = f"{value:.2f} is {residual:+.2f} from OA / (2 - OA) = {predicted:.2f}"
        if abs(residual) >= TYPO_POINTS:
            slip = f"{distance}: most likely a slip for {_one_digit_off(value, predicted):.2f}"
            flags.append(Flag(int(row), "typo", slip))
        flags.append(Flag(int(row), "identity", distance))
    return flags


def _one_digit_off(value: float, predicted: float) -> float:
    """The number that differs from a printed one in one digit and is nearest to the prediction."""
    text = f"{value:.2f}"
    others = [
        float(text[:i] + digit + text[i + 1 :])
        for i, old in enumerate(text)
        if old.isdigit()
        for digit in "0123456789"
    ]
    return min(others, key=lambda other: abs(other - predicted))


def _bold_flags(frame: pd.DataFrame) -> list[Flag]:
    flags = []
    for _, block in frame.groupby("block", sort=False):
        best = block["value"].max()
        if not block["bold"].any():
            continue
        for row, value, bold, init in zip(
            block.index, block["value"], block["bold"], block["init"], strict=True
        ):
            if bold and value < best:
                text = f"{value:.2f} ({init}) is bold, but {best:.2f} is the best of its block"
                flags.append(Flag(int(row), "bold", text))
            if value == best and not bold:
                text = f"{value:.2f} ({init}) is the best of its block, but not bold"
                flags.append(Flag(int(row), "unmarked", text))
    return flags
