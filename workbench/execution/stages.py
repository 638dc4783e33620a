"""A stage: a long piece of a notebook whose result is kept and found again.

A notebook that is run again, because a later cell failed or a parameter of a later stage changed,
goes through its finished stages in no time::

    cut = out.stage("patches", lambda folder: extract_patches(plan, tiles, folder),
                    parameters={"clouds": clouds}, inputs=[plan_path])

A finished stage is known by its record, ``records/STEP.NAME.stage.json``, which is written last.
"""

import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from workbench.errors import NotebookRunError
from workbench.execution.files import write_json
from workbench.execution.provenance import source_hash
from workbench.execution.records import now
from workbench.execution.schemas import VERSION, StoredStage, read_stored
from workbench.files import path_inside, sha256_of

log = logging.getLogger(__name__)


def run_stage(
    root: Path,
    step: str,
    name: str,
    make: Callable[[Path], object],
    *,
    parameters: Mapping[str, Any],
    inputs: Iterable[str | Path],
    keep_partial: bool,
) -> Path:
    """Do what `RunFolder.stage` promises."""
    folder = path_inside(root, f"stages/{step}/{name}", what="The folder of a stage")
    record = path_inside(root, f"records/{step}.{name}.stage.json", what="The record of a stage")
    state = {
        "parameters": json.loads(json.dumps(dict(parameters), sort_keys=True)),
        "inputs": {str(path): checksum(Path(path)) for path in inputs},
        "source": source_hash(),
    }
    why = _reason(record, folder, state)
    if why is None:
        log.info("stage %s: finished before, and nothing it depends on has changed", name)
        return folder
    log.info("stage %s: %s", name, why)
    record.unlink(missing_ok=True)
    if not keep_partial:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    make(folder)
    done = {"outputs": checksum(folder), "finished": now(), "version": VERSION}
    write_json(record, {**state, **done})
    return folder


def _reason(record: Path, folder: Path, state: Mapping[str, Any]) -> str | None:
    """Why a stage must run, or None if its result still stands."""
    if not record.is_file():
        return "not finished before"
    try:
        before = read_stored(record, StoredStage, what="the record of a stage")
    except NotebookRunError as error:
        return str(error).splitlines()[0]
    for name in sorted(before.parameters.keys() | state["parameters"].keys()):
        a, b = before.parameters.get(name), state["parameters"].get(name)
        if a != b or (name in before.parameters) != (name in state["parameters"]):
            return f"parameter {name} {a!r} -> {b!r}"
    if before.inputs != state["inputs"]:
        return "an input has changed"
    if before.source != state["source"]:
        return "the source of workbench has changed"
    if not folder.is_dir() or checksum(folder) != before.outputs:
        return "its result is not as it was written"
    return None


def checksum(path: Path) -> str:
    """SHA-256 of a file, or of a folder's files by name and size.

    Raises:
        NotebookRunError: If there is neither.
    """
    if path.is_file():
        return sha256_of(path)
    if not path.is_dir():
        raise NotebookRunError(f"An input of a stage must be a file or a folder, got {path}.")
    digest = hashlib.sha256()
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        digest.update(f"{file.relative_to(path).as_posix()}\0{file.stat().st_size}\0".encode())
    return digest.hexdigest()
