"""`workbench table`: results of a study beside the published numbers, as files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.errors import ManifestError

if TYPE_CHECKING:
    from workbench.evaluation import TableShape


def table(
    results: Annotated[
        Path | None,
        typer.Argument(
            help="Results of a study (.parquet). Without it, the published numbers alone."
        ),
    ] = None,
    shape: Annotated[
        str,
        typer.Option(help="forest_segmentation, ssl_comparison or large_vits."),
    ] = "ssl_comparison",
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the files.")] = Path("tables"),
    name: Annotated[
        str | None,
        typer.Option(help="Name of the files. [default: the shape]", show_default=False),
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(
            help="Metric of every task, as macro_miou. [default: what the published table means]",
            show_default=False,
        ),
    ] = None,
    formats: Annotated[
        str, typer.Option(help="Which files, separated by commas.")
    ] = "html,md,tex,parquet",
    level: Annotated[
        float, typer.Option(min=0.5, max=0.999, help="Level of intervals and ties, in (0, 1).")
    ] = 0.95,
    draws: Annotated[int, typer.Option(min=100, help="Draws of images and seeds.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draws.")] = 0,
) -> None:
    """Lay results out in the shape of a published table, with intervals and ties.

    Values are percent. Ties share a letter; bold is only what is separated from all others of its
    block; with fewer than 5 seeds no significance is claimed. Where a study varied what the table
    does not show, one slice of it enters, and which one is said: all labels, the usual options.
    """
    import numpy as np

    from workbench.evaluation.benchmark_tables import SHAPES, benchmark_table
    from workbench.evaluation.results import ResultsTable
    from workbench.evaluation.table_rows import slice_text, usual_slice
    from workbench.viz.table_files import write_table
    from workbench.viz.tables import table_markdown

    wanted = _formats(formats)
    if shape not in SHAPES:
        raise typer.BadParameter(f"--shape is one of {', '.join(SHAPES)}, not {shape!r}.")
    runs = None if results is None else ResultsTable(_there(results))
    where = {} if runs is None else usual_slice(runs.frame(), _keys(SHAPES[shape]))
    if where:
        typer.echo(f"Of the rows, those with {slice_text(where)}.\n")
    rng = np.random.default_rng(seed)
    found = benchmark_table(
        runs, shape, metrics=metric, where=where, level=level, draws=draws, rng=rng
    )
    typer.echo(table_markdown(found))
    for path in write_table(found, out, name or shape, wanted):
        typer.echo(path)


def _there(results: Path) -> Path:
    if not results.is_file():
        raise ManifestError(
            f"Results of a study must be a Parquet file, but there is none at {results}.\n"
            "Run `workbench sweep` first, or leave the argument out for the published numbers."
        )
    return results


def _formats(text: str) -> tuple[str, ...]:
    """Names of file formats, from words between commas."""
    from workbench.viz.table_files import FORMATS

    wanted = tuple(part.strip() for part in text.split(",") if part.strip())
    if unknown := sorted(set(wanted) - set(FORMATS)):
        raise typer.BadParameter(f"--formats are {', '.join(FORMATS)}, not {unknown[0]!r}.")
    return wanted


def _keys(shape: "TableShape") -> list[str]:
    return [*shape.rows, *shape.columns, *shape.block]
