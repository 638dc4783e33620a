"""The `workbench` command: parsing and printing only; each room of commands has a module."""

import sys

import typer

from workbench import __version__
from workbench.commands import catalog

app = typer.Typer(
    name="workbench",
    help="Self-supervised learning on multispectral and hyperspectral satellite data.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(catalog.app, name="catalog")


def main() -> None:
    """Run the command line; a `WorkbenchError` becomes one to three lines and exit code 1."""
    app()


if __name__ == "__main__":
    main()
