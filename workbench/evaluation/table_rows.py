"""Which rows of a study enter a table: those told apart by what the table shows, and by seeds.

A study may hold several sweeps: label fractions, token sizes, lengths. A table shows one slice of
them. Rows that differ in what it does not show are refused, as their mean would mean nothing;
`usual_slice` names the slice that a reader most likely means.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from workbench.errors import ManifestError

SEEDED = ("seed",)
"""Columns in which the rows of one cell differ."""


def sliced(frame: pd.DataFrame, where: Mapping[str, Any]) -> pd.DataFrame:
    """Keep the rows that have some values; None stands for no value.

    Args:
        frame: Rows of a study.
        where: Value of each column, or a tuple of values of which a row must have one.

    Raises:
        ManifestError: If there is no such column, or no such row.
    """
    chosen = frame
    for name, value in where.items():
        if name not in frame:
            raise ManifestError(
                f"Rows are chosen by {name!r}, but the results have: {', '.join(map(str, frame))}."
            )
        chosen = chosen[_same(chosen[name], value)]
        if chosen.empty:
            found = ", ".join(sorted(map(_text, _values(frame[name]))))
            raise ManifestError(
                f"No row has {name} = {_words(value)}, all else being as asked for ({found} occur)."
            )
    return chosen


def usual_slice(frame: pd.DataFrame, keys: Sequence[str]) -> dict[str, Any]:
    """Choose values of what a table does not show, so that its cells are of one kind each.

    All labels, the first draw; of anything else what most rows have, the first of equals.

    Args:
        frame: Rows of a study, as `ResultsTable.frame` gives them.
        keys: Columns that the table shows.

    Returns:
        Value of each column in which rows of one cell differ; None for no value.

    Example:
        >>> rows = {"init": ["moco"] * 3, "fraction": [0.1, 1.0, 1.0], "token_size": [4, 4, 8]}
        >>> frame = pd.DataFrame(rows | {"seed": 0})
        >>> frame.attrs["design"] = list(frame)
        >>> usual_slice(frame, ["init"])
        {'fraction': 1.0, 'token_size': 4}
    """
    chosen: dict[str, Any] = {}
    for name in _hidden(frame, keys):
        rows = sliced(frame, chosen)
        if not _differs(rows, keys, name):
            continue
        if name == "fraction":
            value = float(rows[name].max())
        elif name == "draw":
            value = int(rows[name].min())
        else:
            texts = rows[name].map(_text)
            value = _plain(rows[name][texts == texts.value_counts(sort=False).idxmax()].iloc[0])
        chosen[name] = value
    return chosen


def require_cells(frame: pd.DataFrame, keys: Sequence[str]) -> None:
    """Refuse rows that a table cannot show.

    Args:
        frame: Rows of a study.
        keys: Columns that the table shows.

    Raises:
        ManifestError: If rows of one cell differ in anything but the seed, or rows of one task
            are from several splits or manifests.
    """
    for name in ("split_hash", "manifest_hash"):
        for task, rows in frame.groupby("task"):
            if rows[name].nunique() > 1:
                found = ", ".join(repr(v) for v in sorted(rows[name].unique())[:3])
                raise ManifestError(
                    f"Rows of one task in one table must be from one split of one manifest, but "
                    f"those of {task!r} have {name} {found}.\nThey were judged on other images: "
                    "make a table for each."
                )
    for name in _hidden(frame, keys):
        if _differs(frame, keys, name):
            found = ", ".join(list(dict.fromkeys(map(_text, frame[name])))[:4])
            raise ManifestError(
                f"Rows of one cell must differ in the seed alone, but differ in {name!r} ({found})."
                f"\nChoose one with where={{{name!r}: ...}} (`usual_slice` does), or show it."
            )


def slice_text(where: Mapping[str, Any]) -> str:
    """Say in words which rows were chosen; empty if all were."""
    return ", ".join(f"{name} {_words(value)}" for name, value in where.items())


def _hidden(frame: pd.DataFrame, keys: Sequence[str]) -> list[str]:
    """Columns of the cells that a table does not show."""
    shown = {*keys, *SEEDED}
    if "trained" in keys:
        shown.add("protocol")
    return [c for c in frame.attrs.get("design", []) if c in frame and c not in shown]


def _differs(frame: pd.DataFrame, keys: Sequence[str], name: str) -> bool:
    texts = frame[name].map(_text)
    present = [frame[key] for key in keys if key in frame]
    if not present:
        return bool(texts.nunique() > 1)
    return bool((texts.groupby(present, dropna=False).nunique() > 1).any())


def _values(column: pd.Series) -> list[Any]:
    return list({_text(v): v for v in column}.values())


def _same(column: pd.Series, value: Any) -> pd.Series:
    values = value if isinstance(value, tuple) else (value,)
    return column.map(_text).isin([_text(v) for v in values])


def _words(value: Any) -> str:
    values = value if isinstance(value, tuple) else (value,)
    return " or ".join(map(_text, values))


def _plain(value: Any) -> Any:
    if _text(value) == "none":
        return None
    return value.item() if hasattr(value, "item") else value


def _text(value: Any) -> str:
    """A value as text by which equal ones are equal, whatever Parquet made of their type."""
    if value is None or (isinstance(value, float) and value != value):
        return "none"
    if isinstance(value, bool | str):
        return str(value)
    if isinstance(value, Mapping):  # Parquet fills in the keys of other rows
        return str({k: _text(v) for k, v in sorted(value.items()) if _text(v) != "none"})
    try:
        return f"{float(value):g}"
    except (TypeError, ValueError):
        return str(value)
