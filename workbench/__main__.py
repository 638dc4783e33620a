"""The `workbench` command: parsing and printing only; each room of commands has a module."""

import logging
import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.logging import RichHandler

from workbench import __version__
from workbench.commands import catalog, extraction, run
from workbench.errors import NotebookParameterError, WorkbenchError

app = typer.Typer(
    name="workbench",
    help="Self-supervised learning on multispectral and hyperspectral satellite data.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",  # joins the lines of a paragraph
    add_completion=False,
)
app.add_typer(catalog.app, name="catalog")
app.command("run")(run.run)
app.command("tiles")(extraction.tiles)
app.command("plan")(extraction.plan)
app.command("extract")(extraction.extract)


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
