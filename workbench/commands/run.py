"""`workbench run`: a notebook or a chain of them, headless, here or on a cluster."""

import enum
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

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
from workbench.execution.history import summary
from workbench.execution.parameters import parameters_help, read_parameter_file, split_assignments
from workbench.execution.sweeps import begin_sweep, expand_grid, write_sweep_page

WAIT_SECONDS = 2.0


class Cluster(enum.StrEnum):
    """Where jobs go."""

    slurm = "slurm"
    local = "local"


_HOW, _CLUSTER = "How it runs", "On a cluster"


def run(
    target: Annotated[Path, typer.Argument(help="A notebook (.ipynb) or a chain (.yaml).")],
    parameter: Annotated[
        list[str] | None,
        typer.Option(
            "--parameter",
            "-p",
            metavar="NAME=VALUE",
            help="A parameter, read by the type the notebook declares. Lists and dicts are JSON. "
            "May be given many times.",
        ),
    ] = None,
    parameters: Annotated[
        Path | None,
        typer.Option("--parameters", "-f", help="Parameters from a JSON or YAML file."),
    ] = None,
    scale: Annotated[
        str | None,
        typer.Option(help="Short for -p scale=…: demo (a minute on two cores), small or full."),
    ] = None,
    grid: Annotated[
        bool,
        typer.Option("--grid", help="Run every combination of values separated by commas."),
    ] = False,
    name: Annotated[
        str | None,
        typer.Option(help="Run in runs/NAME. [default: the target's name]", show_default=False),
    ] = None,
    run_dir: Annotated[
        Path | None, typer.Option(help="Run in this folder, in place of runs/NAME.")
    ] = None,
    jobs: Annotated[
        int,
        typer.Option("--jobs", "-j", min=1, help="Notebooks at once.", rich_help_panel=_HOW),
    ] = 1,
    gpus: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="GPUs the run may use, or each job asks for. [default: all here; 0 for a job]",
            show_default=False,
            rich_help_panel=_HOW,
        ),
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(
            min=0.001,
            help="Seconds for each notebook that has no limit of its own.",
            rich_help_panel=_HOW,
        ),
    ] = None,
    cell_timeout: Annotated[
        float | None,
        typer.Option(
            min=0.001,
            help="Seconds for each cell of notebooks that have no limit of their own.",
            rich_help_panel=_HOW,
        ),
    ] = None,
    retries: Annotated[
        int,
        typer.Option(
            min=0, help="Times to run a notebook again if its kernel dies.", rich_help_panel=_HOW
        ),
    ] = 0,
    force: Annotated[
        bool, typer.Option("--force", help="Run finished steps again too.", rich_help_panel=_HOW)
    ] = False,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on with a run that must be there already: only what is missing runs.",
            rich_help_panel=_HOW,
        ),
    ] = False,
    cluster: Annotated[
        Cluster | None,
        typer.Option(
            help="Submit to Slurm, or to processes of this machine that outlive this one.",
            rich_help_panel=_CLUSTER,
        ),
    ] = None,
    partition: Annotated[
        str | None, typer.Option(help="Partition of Slurm.", rich_help_panel=_CLUSTER)
    ] = None,
    time_min: Annotated[
        int,
        typer.Option(
            "--time",
            min=1,
            help="Minutes for each job; one that needs more is queued again and goes on.",
            rich_help_panel=_CLUSTER,
        ),
    ] = 60,
    cpus: Annotated[
        int, typer.Option(min=1, help="Cores for each job.", rich_help_panel=_CLUSTER)
    ] = 1,
    memory: Annotated[
        float | None,
        typer.Option(min=0.1, help="GB of memory for each job.", rich_help_panel=_CLUSTER),
    ] = None,
    account: Annotated[
        str | None, typer.Option(help="Account to charge.", rich_help_panel=_CLUSTER)
    ] = None,
    qos: Annotated[
        str | None, typer.Option(help="Quality of service.", rich_help_panel=_CLUSTER)
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for the jobs to end.", rich_help_panel=_CLUSTER)
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would run and why; run nothing.")
    ] = False,
    help_parameters: Annotated[
        bool, typer.Option("--help-parameters", help="List the parameters of the notebooks.")
    ] = False,
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
    if cluster is not None:
        asked = ClusterOptions(
            cluster.value, partition, time_min, gpus or 0, cpus, memory, account, qos
        )
        options = RunOptions(jobs, None, force, timeout, cell_timeout, retries)
        _submit(console, target, typed, texts, folder, options, asked, grid=grid, wait=wait)
        return
    options = RunOptions(jobs, gpus, force, timeout, cell_timeout, retries)
    _run_here(console, target, typed, texts, folder, options, grid=grid, dry_run=dry_run)
    if not dry_run:
        console.print(f"Report: {folder / 'index.html'}", markup=False)


def _folder(target: Path, name: str | None, run_dir: Path | None) -> Path:
    if name is not None and run_dir is not None:
        raise typer.BadParameter("give --name or --run-dir, not both")
    return run_dir or Path("runs") / (name or target.stem)


def _parameters(
    given: list[str], file: Path | None, scale: str | None
) -> tuple[dict[str, Any], dict[str, str]]:
    """Typed values, and texts to be read by their types, of all three ways to give one."""
    texts = split_assignments(given)
    if scale is not None:
        texts = split_assignments([*(f"{k}={v}" for k, v in texts.items()), f"scale={scale}"])
    typed, written = read_parameter_file(file) if file else ({}, {})
    return typed, {**written, **texts}


def _run_here(
    console: Console,
    target: Path,
    typed: dict[str, Any],
    texts: dict[str, str],
    folder: Path,
    options: RunOptions,
    *,
    grid: bool,
    dry_run: bool,
) -> None:
    display = RunDisplay(console)
    if grid and not dry_run:

        def cell(run_dir: Path, record: StepRecord) -> None:
            display.cell(run_dir, record, f"{run_dir.name}/{record.step}")

        with display.live():
            run_sweep(
                target,
                typed,
                texts=texts,
                run_dir=folder,
                options=options,
                tell=display.tell,
                on_cell=cell,
            )
        return
    members = [(m.texts, folder / m.name) for m in expand_grid(texts)] if grid else []
    with display.live():
        for own, run_dir in members or [(texts, folder)]:
            run_chain(
                target,
                typed,
                texts=own,
                run_dir=run_dir,
                dry_run=dry_run,
                tell=display.tell,
                on_cell=lambda record: display.cell(folder, record),
                **asdict(options),
            )


def _submit(
    console: Console,
    target: Path,
    typed: dict[str, Any],
    texts: dict[str, str],
    folder: Path,
    options: RunOptions,
    asked: ClusterOptions,
    *,
    grid: bool,
    wait: bool,
) -> None:
    """Submit one run, or all of a sweep as an array; say which jobs, and wait if asked to."""
    members = expand_grid(texts) if grid else []
    places = [(folder / m.name, m.texts) for m in members] or [(folder, texts)]
    tasks = [ChainTask(str(target), str(run_dir), typed, own, options) for run_dir, own in places]
    jobs = submit(tasks, asked, logs=folder / "cluster")
    if members:
        begin_sweep(folder, target, members)
    for job, (run_dir, _) in zip(jobs, places, strict=True):
        console.print(f"queued     {run_dir}: {asked.cluster} job {job}", markup=False)
    if not wait:
        console.print("See how they are: workbench runs list", markup=False)
        return
    bad = _wait(console, [run_dir for run_dir, _ in places])
    if members:
        write_sweep_page(folder)
    if bad:
        raise typer.Exit(1)


def _wait(console: Console, folders: list[Path]) -> list[Path]:
    """Print the end of each run as it comes; give those that did not end well."""
    waiting, bad = list(folders), []
    while waiting:
        for folder in list(waiting):
            state = summary(folder)
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
