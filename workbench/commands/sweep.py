"""`workbench sweep`: a study of many trainings, which may be cut off at any time."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from workbench.commands import finetune_options as options
from workbench.errors import EvaluationError

if TYPE_CHECKING:
    from workbench.evaluation import CellNote
    from workbench.evaluation.sweeps import Sweep

INTERRUPTED = 130


def sweep(
    study: Annotated[
        str,
        typer.Argument(
            metavar="STUDY",
            help="A study file (.yaml), or a named study: protocols, few_labels, convergence, "
            "token_size, stem, model_size, positives.",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder of the sweep; one that is there goes on."),
    ] = None,
    checkpoints: Annotated[
        Path | None,
        typer.Option("--checkpoints", "-w", help="Folder that the paths of weights start from."),
    ] = None,
    data: options.Data = None,
    scale: Annotated[
        str | None, typer.Option(help="test, demo, small or full, in place of the file's.")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Number of seeds, in place of the file's.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Steps of a training, in place of the file's.")
    ] = None,
    device: options.Device = "cpu",
    catalog: options.Catalog = Path("data_catalog.yaml"),
    show: Annotated[
        bool, typer.Option("--show", help="Print the study file, to copy and change, and stop.")
    ] = False,
) -> None:
    """Run every cell of a study that has not been run yet.

    Rows are appended to OUTPUT/results.parquet one by one, which `workbench table` reads. A cell
    that is there is never run again; Ctrl-C loses no more than the cell at work, and the same
    command goes on. Several processes, on one machine or several, may run one sweep. Fewer than 5
    seeds are printed, and no significance is claimed.
    """
    from workbench.catalog import open_catalog
    from workbench.evaluation.study_files import read_study, study_text
    from workbench.evaluation.sweeps import prepare_sweep, write_study

    if show:
        typer.echo(study_text(study), nl=False)
        return
    if output is None:
        raise EvaluationError("A sweep needs a folder: --output DIR.")
    console = Console(soft_wrap=True, highlight=False)
    changes = {"scale": scale, "seeds": seeds, "steps": steps}
    planned = read_study(study, changes)
    ready = prepare_sweep(
        planned, open_catalog(catalog), output, checkpoints=checkpoints, data=data, device=device
    )
    write_study(output, study_text(study))
    run_and_tell(ready, console)


def run_and_tell(ready: "Sweep", console: Console) -> None:
    """Run what is left, with a line for each cell.

    Raises:
        EvaluationError: If cells failed.
    """
    from workbench.evaluation.sweeps import Pace

    left = ready.left
    console.print(f"{len(ready.cells)} cells, {left} to run; rows go to {ready.table.path}")
    pace = Pace(left)

    def tell(note: "CellNote") -> None:
        said = pace.tell(note)
        if note.action == "reused":
            return
        reason = f": {note.reason}" if note.reason else ""
        line = f"{note.number} of {note.total}  {note.action} {note.cell}{reason}  ({said})"
        console.print(escape(line))

    try:
        report = ready.run(tell)
    except KeyboardInterrupt:
        console.print(
            f"interrupted: {len(ready.cells) - ready.left} of {len(ready.cells)} cells are in "
            "the table; the same command goes on"
        )
        raise typer.Exit(INTERRUPTED) from None
    console.print(escape(str(report)))
    if report.count("failed"):
        raise EvaluationError(
            f"{report.count('failed')} of {len(ready.cells)} cells failed; the others are in the "
            "table.\nThe same command tries them again."
        )
