"""`workbench run`: a notebook or a chain of them, headless, here or on a cluster."""

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from workbench.commands import run_options as options
from workbench.commands.run_display import RunDisplay
from workbench.errors import NotebookRunError
from workbench.execution import (
    ChainTask,
    ClusterOptions,
    RunOptions,
    StepRecord,
    run_chain,
    run_sweep,
    submit,
)
from workbench.execution.cluster import ask_cluster
from workbench.execution.history import summary
from workbench.execution.parameters import parameters_help, read_parameter_file, split_assignments
from workbench.execution.schemas import name_problem
from workbench.execution.sweeps import begin_sweep, expand_grid, write_sweep_page

WAIT_SECONDS = 2.0


def run(
    target: options.Target,
    parameter: options.Assignments = None,
    parameters: options.ParameterFile = None,
    scale: options.Scale = None,
    grid: options.Grid = False,
    name: options.Name = None,
    run_dir: options.RunDir = None,
    jobs: options.Jobs = 1,
    gpus: options.Gpus = None,
    timeout: options.Timeout = None,
    cell_timeout: options.CellTimeout = None,
    retries: options.Retries = 0,
    force: options.Force = False,
    resume: options.Resume = False,
    cluster: options.Where = None,
    partition: options.Partition = None,
    time_min: options.Minutes = 60,
    cpus: options.Cpus = 1,
    memory: options.Memory = None,
    account: options.Account = None,
    qos: options.Qos = None,
    wait: options.Wait = False,
    dry_run: options.DryRun = False,
    help_parameters: options.HelpParameters = False,
) -> None:
    """Run a notebook or a chain of notebooks headless, into a run folder.

    Parameters are checked before a kernel starts. A step that is finished and whose code,
    parameters, inputs and outputs are unchanged is left alone. The run folder holds the executed
    notebooks and their HTML, figures, tables, logs, records and index.html.
    """
    console = Console(highlight=False, soft_wrap=True)
    if help_parameters:
        _print_parameters(console, target)
        return
    folder = _folder(target, name, run_dir)
    typed, texts = _parameters(parameter or [], parameters, scale)
    if resume and not ((folder / "run.json").is_file() or (folder / "sweep.json").is_file()):
        raise NotebookRunError(f"{folder} must hold a run to go on with, but has none.")
    how = RunOptions(jobs, None if cluster else gpus, force, timeout, cell_timeout, retries)
    asked = _Asked(console, target, typed, texts, folder, how, grid)
    if cluster is not None:
        place = ClusterOptions(
            cluster.value, partition, time_min, gpus or 0, cpus, memory, account, qos
        )
        _submit(asked, place, wait=wait)
        return
    try:
        _run_here(asked, dry_run=dry_run)
    except SystemExit:  # Ctrl-C, or SIGTERM of a scheduler
        console.print(f"Stopped; what is finished stays in {folder}.", markup=False)
        console.print("The same command goes on with what is missing.", markup=False)
        raise
    if not dry_run:
        console.print(f"Report: {folder / 'index.html'}", markup=False)


@dataclass(frozen=True)
class _Asked:
    """What is to be run, as it was asked for."""

    console: Console
    target: Path
    typed: dict[str, Any]
    texts: dict[str, str]
    folder: Path
    how: RunOptions
    grid: bool


def _folder(target: Path, name: str | None, run_dir: Path | None) -> Path:
    if name is not None and run_dir is not None:
        raise typer.BadParameter("give --name or --run-dir, not both")
    if run_dir is not None:
        return run_dir
    name = target.stem if name is None else name
    if problem := name_problem(name):
        raise typer.BadParameter(
            f"the name of a run {problem}, found {name[:60]!r}; --run-dir takes any path"
        )
    return Path("runs") / name


def _parameters(
    given: list[str], file: Path | None, scale: str | None
) -> tuple[dict[str, Any], dict[str, str]]:
    """Typed values, and texts to be read by their types, of all three ways to give one."""
    texts = split_assignments(given)
    if scale is not None:
        texts = split_assignments([*(f"{k}={v}" for k, v in texts.items()), f"scale={scale}"])
    typed, written = read_parameter_file(file) if file else ({}, {})
    return typed, {**written, **texts}


def _run_here(asked: _Asked, *, dry_run: bool) -> None:
    display = RunDisplay(asked.console)
    if asked.grid and not dry_run:

        def cell(run_dir: Path, record: StepRecord) -> None:
            display.cell(run_dir, record, f"{run_dir.name}/{record.step}")

        with display.live():
            run_sweep(
                asked.target,
                asked.typed,
                texts=asked.texts,
                run_dir=asked.folder,
                options=asked.how,
                tell=display.tell,
                on_cell=cell,
            )
        return
    with display.live():
        for run_dir, texts in _places(asked):
            run_chain(
                asked.target,
                asked.typed,
                texts=texts,
                run_dir=run_dir,
                dry_run=dry_run,
                tell=display.tell,
                on_cell=lambda record: display.cell(asked.folder, record),
                **asdict(asked.how),
            )


def _places(asked: _Asked) -> list[tuple[Path, dict[str, str]]]:
    """Folder and parameters of each run: of one, or of all members of a sweep."""
    members = expand_grid(asked.texts) if asked.grid else []
    return [(asked.folder / m.name, m.texts) for m in members] or [(asked.folder, asked.texts)]


def _submit(asked: _Asked, cluster: ClusterOptions, *, wait: bool) -> None:
    """Submit one run, or all of a sweep as an array; say which jobs, and wait if asked to."""
    folder, console, places = asked.folder, asked.console, _places(asked)
    tasks = [
        ChainTask(str(asked.target), str(run_dir), asked.typed, texts, asked.how)
        for run_dir, texts in places
    ]
    jobs = submit(tasks, cluster, logs=folder / "cluster")
    if asked.grid:
        begin_sweep(folder, asked.target, expand_grid(asked.texts))
    for job, (run_dir, _) in zip(jobs, places, strict=True):
        console.print(f"queued     {run_dir}: {cluster.cluster} job {job}", markup=False)
    if not wait:
        console.print("See how they are: workbench runs list", markup=False)
        return
    bad = _wait(console, [run_dir for run_dir, _ in places])
    if asked.grid:
        write_sweep_page(folder)
    if bad:
        raise typer.Exit(1)


def _wait(console: Console, folders: list[Path]) -> list[Path]:
    """Print the end of each run as it comes; give those that did not end well."""
    waiting, bad = list(folders), []
    while waiting:
        jobs = ask_cluster(waiting)
        for folder in list(waiting):
            state = summary(folder, jobs=jobs)
            if state.status not in {"queued", "running"}:
                waiting.remove(folder)
                bad += [] if state.status == "ok" else [folder]
                console.print(f"{state.status:<10} {folder}  {state.detail}", markup=False)
        time.sleep(WAIT_SECONDS if waiting else 0)
    return bad


def _print_parameters(console: Console, target: Path) -> None:
    from workbench.execution.chain import read_chain

    for step in read_chain(target).steps:
        console.print(parameters_help(step.notebook), markup=False)
