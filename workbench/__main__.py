"""The `workbench` command: parsing and printing only; each room of commands has a module."""

import logging
import sys
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.logging import RichHandler
from typer.core import TyperGroup

from workbench import __version__
from workbench.commands import (
    catalog,
    check,
    compare,
    extraction,
    finetune,
    pretrain,
    project,
    run,
    runs,
    sweep,
    table,
)
from workbench.errors import NotebookParameterError, WorkbenchError

BEGIN, DATA, RUN = "To begin", "From data to patches", "Notebooks as jobs"
LEARN = "From patches to models"
ORDER = (
    "init",
    "doctor",
    "lab",
    "catalog",
    "tiles",
    "plan",
    "extract",
    "check",
    "pretrain",
    "finetune",
    "sweep",
    "table",
    "…",
    "run",
    "runs",
)
"""Commands in the order of work; those that are not named stand at the dots."""


class InOrder(TyperGroup):
    """Lists the commands in the order in which they are needed."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names in the order of work."""
        place = {name: number for number, name in enumerate(ORDER)}
        return sorted(super().list_commands(ctx), key=lambda name: place.get(name, place["…"]))


app = typer.Typer(
    name="workbench",
    cls=InOrder,
    help="Self-supervised learning on multispectral and hyperspectral satellite data: from tiles "
    "to patches, from patches to models, and to evidence about models.",
    epilog="A first run: `workbench doctor`, then "
    "`workbench run notebooks/chain.yaml --scale demo --name demo`.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",  # joins the lines of a paragraph
)
app.command("init", rich_help_panel=BEGIN)(project.init)
app.command("doctor", rich_help_panel=BEGIN)(project.doctor)
app.command("lab", rich_help_panel=BEGIN)(project.lab)
app.add_typer(catalog.app, name="catalog", rich_help_panel=DATA)
app.command("tiles", rich_help_panel=DATA)(extraction.tiles)
app.command("plan", rich_help_panel=DATA)(extraction.plan)
app.command("extract", rich_help_panel=DATA)(extraction.extract)
app.command("check", rich_help_panel=DATA)(check.check)
app.command("pretrain", rich_help_panel=LEARN)(pretrain.pretrain)
app.command("finetune", rich_help_panel=LEARN)(finetune.finetune)
app.command("sweep", rich_help_panel=LEARN)(sweep.sweep)
app.command("compare", rich_help_panel=LEARN)(compare.compare)
app.command("table", rich_help_panel=LEARN)(table.table)
app.command("run", rich_help_panel=RUN)(run.run)
app.add_typer(runs.app, name="runs", rich_help_panel=RUN)


@app.callback(invoke_without_command=True)
def _options(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        print(__version__)
        raise typer.Exit


def main() -> None:
    """Run the command line; a `WorkbenchError` becomes one to three lines and exit code 1.

    A wrong parameter is wrong usage and exits with 2; any other exception keeps its traceback.
    """
    handler = RichHandler(console=Console(stderr=True), show_time=False, show_path=False)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[handler])
    logging.getLogger("workbench").setLevel(logging.INFO)
    try:
        app()
    except WorkbenchError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, NotebookParameterError) else 1)


if __name__ == "__main__":
    main()
