"""What differs between two runs: parameters, code, data, numbers, tables and figures."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.execution.history import summary
from workbench.execution.opening import steps_and_faults
from workbench.execution.records import StepRecord
from workbench.files import opened_once
from workbench.showing import html_table, text_table

if TYPE_CHECKING:
    import pandas as pd

KEPT_ROWS = 20
"""Changed rows of a table that are kept to be shown."""

FACTS = ("commit", "dirty", "source", "lock", "python", "device", "driver", "host")


@dataclass(frozen=True)
class Difference:
    """One named value that is not the same in both runs."""

    where: str
    """The step, or what kind of thing it is."""

    name: str
    a: Any
    b: Any
    """None where a run does not have it."""

    @property
    def change(self) -> float | None:
        """How much b is more than a, if both are numbers."""
        numbers = [isinstance(v, int | float) and not isinstance(v, bool) for v in (self.a, self.b)]
        return self.b - self.a if all(numbers) else None


@dataclass(frozen=True)
class TableDifference:
    """How a table of one run differs from that of the same name in the other."""

    path: str
    rows: tuple[int, int]
    """Rows in each of the two."""

    key: str
    """Column by which rows were matched; empty if by their place."""

    only_a: int
    only_b: int
    """Rows that the other does not have."""

    changed_rows: int
    """Rows that both have, with at least one other value."""

    columns: dict[str, tuple[int, float | None]]
    """For each column that differs: rows changed, and the largest absolute change of numbers."""

    examples: list[dict[str, Any]] = field(default_factory=list)
    """The first changed rows: key or place, and ``column: (a, b)`` for what differs."""


@dataclass(frozen=True)
class RunComparison:
    """Two runs, held against each other."""

    a: Path
    b: Path
    parameters: list[Difference]
    provenance: list[Difference]
    statuses: list[Difference]
    metrics: list[Difference]
    equal_tables: list[str]
    """Tables that are equal byte for byte."""

    tables: list[TableDifference]
    only_a: list[str]
    only_b: list[str]
    """Outputs that the other does not have."""

    figures: list[tuple[str, bool]]
    """Figures of both, and whether they are equal byte for byte."""

    damaged: list[Difference] = field(default_factory=list)
    """Steps whose record cannot be used in a run, and why; they are not compared."""

    @property
    def same_results(self) -> bool:
        """Whether tables and numbers are the same, whatever else differs."""
        return not (self.metrics or self.tables or self.only_a or self.only_b or self.damaged)

    def rows(self) -> list[tuple[str, str, str, str]]:
        """What differs, in four columns: kind, name, value of a, value of b."""
        named = [*self.damaged, *self.parameters, *self.provenance, *self.statuses]
        named += self.metrics
        rows = [(d.where, d.name, short(d.a), short(d.b)) for d in named]
        for table in self.tables:
            text = f"{table.changed_rows} rows differ, {table.only_a} only here"
            rows.append(("table", table.path, text, f"{table.only_b} only here"))
        rows += [("output", path, "there", "missing") for path in self.only_a]
        rows += [("output", path, "missing", "there") for path in self.only_b]
        return rows

    def __repr__(self) -> str:
        verdict = "the same results" if self.same_results else "different results"
        equal = f"{len(self.equal_tables)} tables are equal byte for byte"
        head = f"{self.a.name} and {self.b.name}: {verdict}; {equal}"
        table = text_table(("what", "name", self.a.name, self.b.name), self.rows())
        return f"{head}\n{table}" if self.rows() else head

    def _repr_html_(self) -> str:
        caption = "the same results" if self.same_results else "different results"
        return html_table(("what", "name", self.a.name, self.b.name), self.rows(), caption)


def short(value: Any) -> str:
    """A value as text of at most 40 characters."""
    text = f"{value:.6g}" if isinstance(value, float) else "" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:39]}…"


def compare_runs(a: str | Path, b: str | Path) -> RunComparison:
    """Hold two runs against each other.

    Args:
        a: Folder of a run.
        b: Folder of another run, usually of the same chain.

    Returns:
        What differs. Rows of tables are matched by the first column whose values are distinct in
        both tables, by their place where there is none.

    Raises:
        NotebookRunError: If a folder holds no run.
    """
    first, second = Path(a), Path(b)
    (left, our_faults), (right, their_faults) = map(steps_and_faults, (first, second))
    ours, theirs = ({step.step: step for step in steps} for steps in (left, right))
    outputs = [_outputs(ours.values()), _outputs(theirs.values())]
    tables = sorted(p for p in outputs[0].keys() & outputs[1].keys() if outputs[0][p][0] == "table")
    equal = [p for p in tables if outputs[0][p] == outputs[1][p]]
    differing = [
        table_difference(read_frame(first / p), read_frame(second / p), p)
        for p in tables
        if p not in equal
    ]
    figures = sorted(p for p in outputs[0] if outputs[0][p][0] == "figure" and p in outputs[1])
    names = ours.keys() | theirs.keys()
    states = [summary(folder) for folder in (first, second)]
    return RunComparison(
        a=first,
        b=second,
        parameters=_by_step("parameters", ours, theirs, leave={"run_dir"}),
        provenance=_provenance(ours, theirs),
        statuses=_differences(
            "status", *({name: state.steps.get(name) for name in names} for state in states)
        ),
        metrics=_by_step("metrics", ours, theirs),
        equal_tables=equal,
        tables=differing,
        only_a=sorted(outputs[0].keys() - outputs[1].keys()),
        only_b=sorted(outputs[1].keys() - outputs[0].keys()),
        figures=[(path, outputs[0][path] == outputs[1][path]) for path in figures],
        damaged=[
            Difference("record", name, our_faults.get(name), their_faults.get(name))
            for name in sorted(our_faults.keys() | their_faults.keys())
        ],
    )


def _outputs(steps: Iterable[StepRecord]) -> dict[str, tuple[str, str]]:
    """Kind and checksum of every output by its path."""
    return {a["path"]: (a["kind"], a["sha256"]) for step in steps for a in step.artifacts}


def _by_step(
    field_name: str,
    ours: Mapping[str, StepRecord],
    theirs: Mapping[str, StepRecord],
    leave: Iterable[str] = (),
) -> list[Difference]:
    found = []
    for name in sorted(ours.keys() | theirs.keys()):
        a, b = (
            {k: v for k, v in getattr(steps[name], field_name).items() if k not in leave}
            if name in steps
            else {}
            for steps in (ours, theirs)
        )
        found += _differences(name, a, b)
    return found


def _provenance(
    ours: Mapping[str, StepRecord], theirs: Mapping[str, StepRecord]
) -> list[Difference]:
    """Facts on code and machine, and checksums of data, that differ; each is told once."""
    facts: list[dict[str, Any]] = []
    for steps in (ours, theirs):
        told: dict[str, Any] = {}
        for step in steps.values():
            told |= {name: step.provenance.get(name) for name in FACTS}
            told |= {f"data {name}": data["fingerprint"] for name, data in step.data.items()}
        facts.append(told)
    return _differences("made with", *facts)


def _differences(where: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> list[Difference]:
    return [
        Difference(where, name, a.get(name), b.get(name))
        for name in sorted(a.keys() | b.keys())
        if a.get(name) != b.get(name)
    ]


def read_frame(path: Path) -> "pd.DataFrame":
    """A table with its geometries, if any, as bytes, which can be compared."""
    import pandas as pd

    with opened_once(path) as file:
        return pd.read_parquet(file)


def table_difference(a: "pd.DataFrame", b: "pd.DataFrame", path: str) -> TableDifference:
    """Hold two tables against each other, row by row.

    Args:
        a: A table.
        b: Another one.
        path: What they are called.
    """
    key = _key(a, b)
    left, right = (t.set_index(key) if key else t.reset_index(drop=True) for t in (a, b))
    both = left.index.intersection(right.index)
    shared = [name for name in left.columns if name in right.columns]
    unequal = {name: _unequal(left.loc[both, name], right.loc[both, name]) for name in shared}
    columns = {
        name: (int(mask.sum()), _largest(left.loc[both, name], right.loc[both, name]))
        for name, mask in unequal.items()
        if mask.any()
    }
    for name in {*left.columns} ^ {*right.columns}:
        columns[f"{name} (in one only)"] = len(both), None
    changed = [place for n, place in enumerate(both) if any(m[n] for m in unequal.values())]
    examples = []
    for place in changed[:KEPT_ROWS]:
        n = both.get_loc(place)
        cells = {c: (left.at[place, c], right.at[place, c]) for c in unequal if unequal[c][n]}
        examples.append({key or "row": place, **cells})
    only = len(left.index.difference(both)), len(right.index.difference(both))
    return TableDifference(path, (len(a), len(b)), key, *only, len(changed), columns, examples)


def _key(a: "pd.DataFrame", b: "pd.DataFrame") -> str:
    """The first column of text or whole numbers whose values are distinct in both tables."""
    for name in a.columns:
        plain = a[name].dtype.kind in "iuOUST" or str(a[name].dtype).startswith("str")
        if plain and name in b.columns and _distinct(a[name]) and _distinct(b[name]):
            return str(name)
    return ""


def _distinct(column: "pd.Series[Any]") -> bool:
    try:
        return bool(column.is_unique)
    except TypeError:  # lists and the like
        return False


def _unequal(a: "pd.Series[Any]", b: "pd.Series[Any]") -> Any:
    """Where two columns differ; missing equals missing."""
    import numpy as np

    pairs = zip(a.tolist(), b.tolist(), strict=True)
    return np.array([not _same(x, y) for x, y in pairs], dtype=bool)


def _same(x: Any, y: Any) -> bool:
    if x is y or (x != x and y != y):  # NaN is no equal of itself
        return True
    if hasattr(x, "tolist") or hasattr(y, "tolist"):
        return [*x] == [*y]
    return bool(x == y)


def _largest(a: "pd.Series[Any]", b: "pd.Series[Any]") -> float | None:
    if a.dtype.kind not in "iuf" or b.dtype.kind not in "iuf" or not len(a):
        return None
    return float((a.astype(float) - b.astype(float)).abs().max())
