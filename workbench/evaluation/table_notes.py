"""What a reader of a benchmark table must know: definitions, data, ties, floor, leaks, flags."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from workbench.evaluation.published_tables import READINGS, published_table
from workbench.evaluation.results import ResultsTable
from workbench.evaluation.statistics_seeds import MIN_SEEDS
from workbench.evaluation.table_rows import slice_text


def table_definitions(
    results: ResultsTable | None, runs: pd.DataFrame, published: str | None
) -> dict[str, str]:
    """Say of each number what it is: of ours by definition, of printed ones most likely."""
    known: dict[str, str] = {}
    if results is not None:
        defined = results.frame().attrs.get("definitions", {})
        known = {name: defined[name] for name in runs["metric"].unique() if name in defined}
    if published is not None:
        printed = published_table(published).frame["metric"].unique()
        known |= {f"{name}, as printed": f"{READINGS[name]}." for name in printed}
    return known


def notes_on_data(data: str | None, where: Mapping[str, Any], cells: pd.DataFrame) -> list[str]:
    """What a reader must know about our numbers before comparing them with printed ones."""
    notes = [] if data is None else [f"Ours: {data}; not the data of the published numbers."]
    notes += [f"Ours: rows with {slice_text(where)}."] if where else []
    both = cells[cells["value"].notna() & cells["published"].notna()]
    other = both[both["metric"] != both["printed_metric"]]
    for metric, printed in other[["metric", "printed_metric"]].drop_duplicates().to_numpy():
        notes.append(f"Ours is {metric}, the published number beside it is most likely {printed}.")
    return notes


def notes_on_cells(cells: pd.DataFrame, cost: str, level: float) -> list[str]:
    """Say how values, ties, bold and grey came about, and what cannot be told here."""
    notes = [
        f"Ours: interquartile mean over seeds, with its {level:.0%} interval over seeds and "
        "groups of images.",
        "Cells of a block that share a letter are not separated (paired, corrected by Holm); bold "
        "is only what is separated from all others of its block.",
        "Greyed: another cell of the block costs no more "
        f"({cost.replace('_', ' ')}) and scores no less.",
    ]
    if cells["floor"].notna().any():
        notes.append(
            f"Resolution floor: differences below {cells['floor'].median():.2f} points are not "
            "told apart here (power 80%, median of the blocks)."
        )
    few = int((cells["n_seeds"] < MIN_SEEDS).sum())
    if few:
        have = "1 cell has" if few == 1 else f"{few} cells have"
        notes.append(f"{have} fewer than {MIN_SEEDS} seeds: no significance is claimed.")
    if (cells["leak_share"] > 0).any():
        notes.append(
            f"Up to {cells['leak_share'].max():.1%} of test patches share a tile or ground with "
            "training."
        )
    return notes


def notes_on_published(published: str | None) -> list[str]:
    """Say where printed numbers are from, and which of them are odd."""
    if published is None:
        return []
    table = published_table(published)
    notes = [f"Published: {table.source}. Single runs, printed without any spread."]
    odd = [flag for flag in table.flags if flag.kind != "identity"]
    if table.frame["bold"].any():
        notes.append(f"* printed in bold at the source{'; † see the flags' if odd else ''}.")
    return notes + [
        f"Flag: {flag.text}." for flag in table.flags if flag.kind in ("typo", "bold")
    ]  # fmt: skip
