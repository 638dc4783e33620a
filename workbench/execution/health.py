"""Is this machine ready? What is looked at before the first run, and what to do where it is not."""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import workbench
from workbench.catalog import Catalog, open_catalog
from workbench.catalog.fetch import cache_folder
from workbench.errors import WorkbenchError
from workbench.execution.devices import gpus
from workbench.execution.files import require_writable, write_json
from workbench.execution.provenance import PACKAGE, commit_of, package_versions

State = Literal["ok", "note", "bad"]

LOW_DISK_GB = 5.0
SELF_TEST_SECONDS = 10.0
"""A self-test that takes longer is slow, though not wrong."""

NOTEBOOK = {
    "nbformat": 4,
    "nbformat_minor": 5,
    "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3"}},
    "cells": [
        {
            "cell_type": "code",
            "id": "parameters",
            "metadata": {"tags": ["parameters"]},
            "source": 'run_dir: str = "../runs/lab"  # Folder of the run',
            "outputs": [],
            "execution_count": None,
        },
        {
            "cell_type": "code",
            "id": "plan",
            "metadata": {},
            "source": "from workbench.execution import RunFolder\n"
            "from workbench.extraction import overlap_graph\n"
            "from workbench.synthetic.footprints import simulated_footprints\n"
            "graph = overlap_graph(simulated_footprints(40))\n"
            "RunFolder(run_dir).metrics({'tiles': len(graph), 'overlaps': graph.size()})",
            "outputs": [],
            "execution_count": None,
        },
    ],
}
"""The notebook of the self-test: a plan of simulated footprints, as the demo makes a larger one."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    what: str
    state: State
    text: str
    cure: str = ""
    """What to do about it, unless it is fine."""


def examine(
    catalog: str | Path = "data_catalog.yaml",
    runs: str | Path = "runs",
    *,
    self_test: bool = True,
) -> Iterator[Finding]:
    """Look at versions, devices, disk, catalog and cache, then run a notebook.

    Args:
        catalog: The catalog file.
        runs: Where runs will be kept.
        self_test: Whether to run a small notebook too, which takes a few seconds.

    Yields:
        Findings, each as soon as it is known.
    """
    yield from _versions()
    yield from _devices()
    yield _disk("run folder", Path(runs))
    yield _disk("cache", cache_folder())
    yield from _catalog(Path(catalog))
    yield _programs()
    if self_test:
        yield _self_test()


def _versions() -> Iterator[Finding]:
    commit = commit_of(PACKAGE.parent)
    known = f", commit {commit[:8]}" if commit else ""
    yield Finding("workbench", "ok", f"{workbench.__version__}{known}")
    fine = sys.version_info >= (3, 11)
    where = f"{platform.python_version()} at {sys.executable}"
    yield Finding("python", "ok" if fine else "bad", where, "Use Python 3.11 or newer.")
    versions = package_versions()
    missing = [name for name, version in versions.items() if version == "not installed"]
    if missing or not versions:
        text = f"not installed: {', '.join(missing) or 'spectral-workbench itself'}"
        yield Finding("packages", "bad", text, "Run `make setup`, or `pip install -e .`.")
        return
    command = [sys.executable, "-m", "pip", "check", "--disable-pip-version-check"]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    shown = ", ".join(f"{name} {versions[name]}" for name in ("torch", "numpy", "papermill"))
    if answer.returncode:
        first = (answer.stdout or answer.stderr).strip().splitlines()[0]
        yield Finding("packages", "bad", first, "Run `make setup`: it installs what is locked.")
    else:
        yield Finding("packages", "ok", f"{len(versions)} fit together: {shown}, …")


def _devices() -> Iterator[Finding]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0))
    yield Finding("processor", "ok", f"{cores} cores, {memory:.0f} GiB of memory")
    found = gpus()
    if not found:
        yield Finding("gpu", "note", "none seen", "Small networks train on the processor too.")
        return
    import torch

    names = "; ".join(f"{gpu.name}, {gpu.memory_gib:g} GiB" for gpu in found)
    text = f"{names}; driver {found[0].driver}; torch {torch.__version__}"
    if torch.cuda.is_available():
        yield Finding("gpu", "ok", text)
    else:
        cure = "Install a CUDA build of torch (environment.yml has one), or a newer driver."
        yield Finding("gpu", "bad", f"{text} cannot use it", cure)


def _disk(what: str, folder: Path) -> Finding:
    place = folder.resolve()
    there = next(p for p in (place, *place.parents) if p.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        cure = "Mend its permissions, or name another (--run-dir, WORKBENCH_CACHE)."
        return Finding(what, "bad", f"{place} cannot be written: {error.strerror}", cure)
    free = shutil.disk_usage(there).free / 1e9
    text = f"{place}, {free:.0f} GB free"
    state: State = "ok" if free >= LOW_DISK_GB else "bad"
    return Finding(what, state, text, "Make room, or name a folder on another disk.")


def _catalog(path: Path) -> Iterator[Finding]:
    try:
        catalog = open_catalog(path)
    except WorkbenchError as error:
        first = str(error).splitlines()[0]
        cure = "Go to the folder that holds it, name it with --catalog, or run `workbench init`."
        yield Finding("catalog", "bad", first, cure)
        return
    here = [entry for entry in catalog.values() if entry.is_available()]
    yield Finding("catalog", "ok", f"{path}: {len(catalog)} entries, {len(here)} ready")
    yield from _absent(catalog)


def _absent(catalog: Catalog) -> Iterator[Finding]:
    """What is not on this machine, and whether it can be had from here."""
    absent = [entry for entry in catalog.values() if not entry.is_available()]
    packages = [entry for entry in absent if entry.source.type == "package"]
    local = [entry.name for entry in absent if entry.source.type == "local"]
    if packages:
        names = ", ".join(entry.name for entry in packages)
        name = str(packages[0].source.model_dump()["name"])
        if _index_answers(name):
            yield Finding("data", "ok", f"can be fetched: {names}")
        else:
            cure = "Fetch them where there is a network (`workbench catalog fetch`)."
            yield Finding("data", "note", f"no package index answers for: {names}", cure)
    if local:
        cure = "`workbench catalog show NAME` says how to obtain one."
        yield Finding("data", "note", f"not on this machine: {', '.join(local)}", cure)


def _index_answers(package: str) -> bool:
    command = [sys.executable, "-m", "pip", "index", "versions", package]
    command += ["--timeout", "5", "--retries", "0", "--disable-pip-version-check"]
    try:
        answer = subprocess.run(command, capture_output=True, timeout=20, check=False)
    except subprocess.TimeoutExpired:
        return False
    return answer.returncode == 0


def _programs() -> Finding:
    found = {"git": "commits in records", "sbatch": "Slurm", "chromium": "browser tests"}
    there = [f"{name} ({why})" for name, why in found.items() if shutil.which(name)]
    missing = [f"{name} ({why})" for name, why in found.items() if not shutil.which(name)]
    text = "; ".join(filter(None, [", ".join(there), "without " + ", ".join(missing)]))
    return Finding("programs", "note" if missing else "ok", text if missing else ", ".join(there))


def _self_test() -> Finding:
    """Run a notebook that plans simulated footprints, from parameters to report."""
    from workbench.execution.runs import run_chain

    started = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="workbench-") as name:
            folder = Path(name)
            require_writable(folder)
            notebook = write_json(folder / "notebooks" / "self_test.ipynb", NOTEBOOK)
            run = run_chain(notebook, run_dir=folder / "run", timeout_s=120)
    except WorkbenchError as error:
        text = str(error).splitlines()[0]
        return Finding("self-test", "bad", text, "Look at the packages above; run `make setup`.")
    seconds = time.monotonic() - started
    found = ", ".join(f"{value} {key}" for key, value in run.steps[0].metrics.items())
    text = f"a notebook ran to its report in {seconds:.1f} s: {found}"
    return Finding("self-test", "ok" if seconds < SELF_TEST_SECONDS else "note", text)
