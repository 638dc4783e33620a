"""`workbench run`: a notebook or a chain of them, headless."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.status import Status
from rich.text import Text

from workbench.execution import StepNote, StepRecord, run_chain
from workbench.execution.parameters import parameters_help, read_parameter_file, split_assignments

STYLES = {"ok": "green", "unchanged": "green", "running": "cyan", "would run": "cyan"}
STYLES |= {"skipped": "yellow"}


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
    name: Annotated[
        str | None,
        typer.Option(help="Run in runs/NAME. [default: the target's name]", show_default=False),
    ] = None,
    run_dir: Annotated[
        Path | None, typer.Option(help="Run in this folder, in place of runs/NAME.")
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(min=0.001, help="Seconds for each notebook that has no limit of its own."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Run finished steps again too.")] = False,
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
    if name is not None and run_dir is not None:
        raise typer.BadParameter("give --name or --run-dir, not both")
    texts = split_assignments(parameter or [])
    if scale is not None:
        texts = split_assignments([*(f"{k}={v}" for k, v in texts.items()), f"scale={scale}"])
    folder = run_dir or Path("runs") / (name or target.stem)
    typed, written = read_parameter_file(parameters) if parameters else ({}, {})
    with console.status("") as status:
        run_chain(
            target,
            typed,
            texts={**written, **texts},
            run_dir=folder,
            force=force,
            dry_run=dry_run,
            timeout_s=timeout,
            tell=_teller(console, status),
            on_cell=_cell_teller(status),
        )
    if not dry_run:
        console.print(f"Report: {folder / 'index.html'}", markup=False)


def _print_parameters(console: Console, target: Path) -> None:
    from workbench.execution.chain import read_chain

    for step in read_chain(target).steps:
        console.print(parameters_help(step.notebook), markup=False)


def _teller(console: Console, status: Status) -> Callable[[StepNote], None]:
    def tell(note: StepNote) -> None:
        line = Text(f"{note.action:<10}", style=STYLES.get(note.action, "red"))
        line.append(f" {note.step}", style="default")
        if note.seconds is not None:
            line.append(f"  {note.seconds:.1f} s", style="dim")
        elif note.reason:
            line.append(f": {note.reason}", style="default")
        console.print(line)
        status.update("")

    return tell


def _cell_teller(status: Status) -> Callable[[StepRecord], None]:
    def tell(record: StepRecord) -> None:
        cell = record.cells[-1]
        status.update(Text(f"{record.step}, cell {cell.number}: {cell.line}"))

    return tell
