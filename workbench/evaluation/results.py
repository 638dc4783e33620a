"""The results table: one row for each finished cell, in one Parquet file, and its images beside it.

    results.parquet             a row: the cell, its scores, data, seeds and cost
    results.images/KEY.npz      counts of each image, from which scores are drawn again
    results.locks/              which cell is running where

A row is appended under a lock, to a copy that replaces the file: readers see it whole, always.
"""

import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import pandas as pd

from workbench.datasets.files import json_checksum, whole_file
from workbench.errors import ManifestError
from workbench.evaluation.score_records import ScoreRecord, read_scores
from workbench.files import opened_once


@dataclass(frozen=True)
class DataStamp:
    """Which data a result is from."""

    manifest_hash: str
    """Of the manifest of patches."""
    split_hash: str
    """Of the part that each location belongs to."""
    leak_share: float
    """Share of test patches whose tile or ground was seen in training, in [0, 1]."""
    n_train: int
    """Images trained on."""


@dataclass(frozen=True)
class Cost:
    """What a result cost."""

    parameters_trained: int
    """Parameters that were trained, head included."""
    flops: float
    """Floating point operations of training, forward and backward; NaN if not counted. Where
    features of a frozen encoder are computed once: of the head's steps, and of one forward pass of
    the encoder over the images trained on, also where other rows share that pass. So rows of all
    protocols compare; the row's notes say it too, under "flops"."""
    seconds: float
    """Wall time of training, s. Of rows that share features the first computes them."""
    peak_memory_mb: float
    """Largest memory of the device, or of the process on a CPU, MB; NaN if not measured."""


@dataclass(frozen=True)
class CellResult:
    """What running a cell gave."""

    record: ScoreRecord
    """Counts of the test images; its groups are what intervals are drawn over."""
    data: DataStamp
    """Which data."""
    cost: Cost
    """What it cost."""
    seeds: Mapping[str, int] = field(default_factory=dict)
    """Every seed that was used, by purpose."""
    curve: tuple[tuple[int, float], ...] = ()
    """Validation score after so many steps, for convergence."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """What else a reader must know, as text."""


class ResultsTable:
    """Results of a study on disk.

    Args:
        path: The Parquet file; it need not be there yet.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)

    def __repr__(self) -> str:
        return f"<{self.path}: {len(self.finished())} results>"

    def frame(self) -> pd.DataFrame:
        """Every row, oldest first: key, the cell's columns, one column a metric, data, cost.

        ``attrs["definitions"]`` says what each metric is, ``attrs["design"]`` which columns are
        the cell's. Empty if nothing is finished.
        """
        if not self.path.exists():
            return pd.DataFrame({"key": pd.Series(dtype="str")})
        return _read_rows(self.path)

    def finished(self) -> set[str]:
        """Keys of the finished cells."""
        if not self.path.exists():
            return set()
        return set(_read_rows(self.path)["key"])

    def record(self, key: str) -> ScoreRecord:
        """Counts of each image of one cell.

        Raises:
            ManifestError: If they are not there.
        """
        return read_scores(self._images(key))

    def append(self, key: str, columns: Mapping[str, Any], result: CellResult) -> None:
        """Add the row of a finished cell.

        Args:
            key: Key of the cell.
            columns: The cell as plain values; "task" is what its split is checked by.
            result: What running it gave.

        Raises:
            ManifestError: If the key is there already, or the rows of the same task are from
                another split or manifest.
        """
        scores = result.record.scores()
        row = {"key": key, **columns, **{name: s.value for name, s in scores.items()}}
        row |= {**asdict(result.data), **asdict(result.cost)}
        row |= {"n_test": len(result.record.images), "n_groups": _n_groups(result.record)}
        row |= {"seeds": json.dumps(dict(result.seeds), sort_keys=True)}
        row |= {"curve_steps": [step for step, _ in result.curve]}
        row |= {"curve_scores": [float(score) for _, score in result.curve]}
        row |= {"notes": json.dumps(dict(result.notes), sort_keys=True)}
        row |= {"finished": datetime.now(UTC).isoformat(timespec="seconds")}
        with self._locked("table") as _:
            before = self.frame()
            self._require_fitting(before, row)
            result.record.write(self._images(key))
            frame = pd.concat([before, pd.DataFrame([row])], ignore_index=True)
            known = before.attrs.get("definitions", {})
            design = dict.fromkeys([*before.attrs.get("design", []), *columns])
            frame.attrs = {
                "definitions": known | {n: s.definition for n, s in scores.items()},
                "design": list(design),
            }
            write_rows(frame, self.path)

    @contextmanager
    def claimed(self, key: str) -> Iterator[bool]:
        """Hold a cell while it runs; False if another process holds it.

        A process that dies lets go of its cell.
        """
        file = self._open_lock(key)
        try:
            is_ours = _take(file, wait=False)
            yield is_ours
        finally:
            file.close()

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        file = self._open_lock(name)
        try:
            _take(file, wait=True)
            yield
        finally:
            file.close()

    def _open_lock(self, name: str) -> IO[str]:
        path = self.path.with_suffix(".locks") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("a")

    def _images(self, key: str) -> Path:
        return self.path.with_suffix(".images") / f"{key}.npz"

    def _require_fitting(self, before: pd.DataFrame, row: Mapping[str, Any]) -> None:
        if row["key"] in set(before["key"]):
            raise ManifestError(
                f"A finished cell is not run twice, but {row['key']} is in {self.path} already."
            )
        if before.empty or "task" not in row:
            return
        same_task = before[before["task"] == row["task"]]
        for name in ("split_hash", "manifest_hash"):
            others = set(same_task[name]) - {row[name]}
            if others:
                raise ManifestError(
                    f"Rows of one task must be from one split of one manifest, but {self.path} "
                    f"holds {name} {min(others)!r} for {row['task']!r}, and the new row has "
                    f"{row[name]!r}.\nName another table for the new split."
                )


def write_rows(frame: pd.DataFrame, path: Path) -> None:
    """Write every row with a checksum of them all, whole or not at all."""
    buffer = io.BytesIO()
    frame.to_parquet(buffer)
    frame = pd.read_parquet(buffer)  # types as they will be read: columns of None and 1 change
    frame.attrs = {**frame.attrs, _SUM: _checksum(frame)}
    with whole_file(path) as unfinished:
        frame.to_parquet(unfinished, write_page_checksum=True)


_SUM = "sha256"


def _checksum(frame: pd.DataFrame) -> str:
    return json_checksum(json.loads(frame.to_json(orient="split", double_precision=15)))


def _read_rows(path: Path) -> pd.DataFrame:
    """Every row of a table of results, each page compared with its checksum.

    Raises:
        ManifestError: If the file is damaged, or no table of results.
    """
    import pyarrow as pa

    cure = "It is damaged or not ours: copy it again, or name another table."
    try:
        with opened_once(path) as file:
            frame = pd.read_parquet(file, page_checksum_verification=True)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, pa.ArrowException) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ManifestError(f"{path} is no table of results ({reason}).\n{cure}") from error
    text = [name for name in ("key", "task", "finished") if name in frame.columns]
    for name in text:
        if not frame[name].map(lambda value: isinstance(value, str)).all():
            raise ManifestError(f"{path} is no table of results: {name!r} must be text.\n{cure}")
    if "key" not in frame.columns or frame["key"].duplicated().any():
        raise ManifestError(f"{path} is no table of results: each row needs its own key.\n{cure}")
    if frame.attrs.pop(_SUM, None) not in (None, _checksum(frame)):
        raise ManifestError(f"{path} is not what was written: its SHA-256 differs.\n{cure}")
    return frame


def _n_groups(record: ScoreRecord) -> int:
    return len(record.images) if record.groups is None else len(set(record.groups))


def _take(file: IO[str], *, wait: bool) -> bool:
    """Lock an open file for this process; False if another has it and we do not wait."""
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
