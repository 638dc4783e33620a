"""Whether a step need be run again, and why."""

import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from workbench.catalog import Catalog, open_catalog
from workbench.errors import CatalogError
from workbench.execution.provenance import commit_of, source_hash
from workbench.execution.records import StepRecord
from workbench.files import path_inside, sha256_of

INPUT_KINDS = {"table", "file"}
"""Kinds of output that later steps read; figures and pages are for people."""


def inputs_of(records: Mapping[str, StepRecord], needs: tuple[str, ...]) -> dict[str, str]:
    """SHA-256 by path of every table and file that the needed steps have written."""
    return {
        artifact["path"]: artifact["sha256"]
        for name in needs
        for artifact in records[name].artifacts
        if artifact["kind"] in INPUT_KINDS
    }


def reason_to_run(
    record: StepRecord | None,
    run_dir: Path,
    *,
    notebook: Path,
    code: str,
    parameters: Mapping[str, Any],
    inputs: Mapping[str, str],
) -> str | None:
    """Say why a step must run, or None if everything it made still stands.

    Args:
        record: What its last run left; None if it never ran.
        run_dir: Folder of the run.
        notebook: The notebook; paths in its parameters are relative to its folder.
        code: SHA-256 of the notebook's code cells as they are now.
        parameters: All parameters it would run with.
        inputs: What it would read from earlier steps, as `inputs_of` gives it.
    """
    if record is None:
        return "not run before"
    if record.status == "running":
        return f"its last run was cut off ({record.started})"
    if record.status != "ok":
        return f"its last run ended as {record.status}"
    if record.code != code:
        return f"the notebook's code has changed{_commits(record, notebook)}"
    if change := _parameter_change(record.parameters, parameters):
        return change
    if record.provenance.get("source") != source_hash():
        return f"the source of workbench has changed{_commits(record, notebook)}"
    if change := _input_change(record.inputs, inputs):
        return change
    return _data_change(record, notebook) or _output_change(record, run_dir)


def _commits(record: StepRecord, notebook: Path) -> str:
    """Which commits that was, where they are known: a run folder may be from another one."""
    before, after = record.provenance.get("commit"), commit_of(notebook.parent)
    return f" (commit {before[:8]} -> {after[:8]})" if before and after and before != after else ""


def _parameter_change(before: Mapping[str, Any], after: Mapping[str, Any]) -> str | None:
    for name in sorted(before.keys() | after.keys()):
        if name not in before or name not in after:
            return f"parameter {name} is {'new' if name in after else 'gone'}"
        if before[name] != after[name] or type(before[name]) is not type(after[name]):
            return f"parameter {name} {before[name]!r} -> {after[name]!r}"
    return None


def _input_change(before: Mapping[str, str], after: Mapping[str, str]) -> str | None:
    for path in sorted(before.keys() | after.keys()):
        if before.get(path) != after.get(path):
            return f"its input {path} has changed"
    return None


def _data_change(record: StepRecord, notebook: Path) -> str | None:
    """Compare the fingerprints of the data sets used with those of the catalog as it is now."""
    if not record.data:
        return None
    path = record.parameters.get("catalog")
    if not isinstance(path, str):
        return "its data cannot be checked: it has no parameter 'catalog'"
    try:
        catalog = _opened(notebook.parent / path)
        for name, used in sorted(record.data.items()):
            if name not in catalog or catalog[name].fingerprint() != used["fingerprint"]:
                return f"data set {name} has changed"
    except CatalogError as error:
        return f"its data cannot be checked: {str(error).splitlines()[0]}"
    return None


def _opened(path: Path) -> Catalog:
    """The catalog as it is now; all steps of a chain that read the same file share one reading."""
    if not path.is_file():
        return open_catalog(path)  # which says what is wrong
    state = path.stat()
    return _read_once(
        path.resolve(), state.st_size, state.st_mtime_ns, frozenset(os.environ.items())
    )


@lru_cache(maxsize=4)
def _read_once(
    path: Path, size: int, modified_ns: int, environment: frozenset[tuple[str, str]]
) -> Catalog:
    return open_catalog(path)  # which depends on these and on nothing else


def _output_change(record: StepRecord, run_dir: Path) -> str | None:
    for name in (record.executed, record.page):
        if not name or not (run_dir / name).is_file():
            return f"its output {name or 'HTML'} is missing"
    for artifact in record.artifacts:
        path = path_inside(run_dir, artifact["path"], what="An output of a step")
        if not path.is_file():
            return f"its output {artifact['path']} is missing"
        if sha256_of(path) != artifact["sha256"]:
            return f"its output {artifact['path']} is not as it was written"
    return None
