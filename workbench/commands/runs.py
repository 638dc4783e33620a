"""`workbench runs`: what was run, what became of it, and what differs between two runs."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from workbench.commands.changed_patches import changed_patches
from workbench.commands.run_display import STYLES
from workbench.execution import compare_runs, list_runs
from workbench.execution.cluster import cancel as cancel_job
from workbench.execution.history import COLUMNS, remove_run, summary
from workbench.execution.opening import steps_and_faults
from workbench.execution.records import read_run
from workbench.execution.run_comparison_page import write_comparison
from workbench.showing import plain_line

app = typer.Typer(help="Runs: list, show, compare, cancel and remove them.", no_args_is_help=True)

Folder = Annotated[Path, typer.Option("--folder", help="Where runs are kept.")]
RUNS = Path("runs")
MACHINE = ("source", "python", "device", "driver", "host", "cores")


def _console() -> Console:
    """Wide where nobody looks (pipes, logs), so that nothing is cut there."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(width=160, highlight=False)


def _find(name: str, folder: Path) -> Path:
    """A run by its name below the folder, or by its path."""
    return folder / name if (folder / name).is_dir() else Path(name)


@app.command("list")
def list_all(folder: Folder = RUNS) -> None:
    """Print every run, latest first, with the status that is true now."""
    table = Table(*COLUMNS, box=None, pad_edge=False)
    for run in list_runs(folder):
        row = run.row()
        style = STYLES.get(run.status, "red")
        table.add_row(Text(row[0]), Text(row[1], style=style), *map(Text, row[2:]))
    console = _console()
    console.print(table if table.row_count else f"There are no runs in {folder}.")


@app.command()
def show(name: str, folder: Folder = RUNS) -> None:
    """Print the record of one run: parameters, provenance, steps, numbers, what to open."""
    run_dir = _find(name, folder)
    run, state = read_run(run_dir), summary(run_dir)
    table = Table(box=None, show_header=False, pad_edge=False)
    facts = [("run", str(run_dir)), ("status", f"{state.status} {state.detail}".strip())]
    facts += [("chain", run.chain), ("command", run.command)]
    facts += [("began", run.started), ("ended", run.finished)]
    facts += [("seconds", f"{run.wall_seconds:.1f}")]
    facts += _code_and_machine(run.provenance)
    joules = run.energy_joules
    facts.append(("energy", "no GPU counted it" if joules is None else f"{joules:.0f} J"))
    records, faults = steps_and_faults(run_dir)
    facts += list(faults.items())
    for step in records:
        cut_off = step.status == "running" and state.status != "running"
        status = "cut off" if cut_off else f"{step.status}, {step.wall_seconds:.1f} s"
        facts.append((step.step, f"{status}: {step.reason}"))
        if step.failure is not None:
            facts.append(("", step.failure.sentence(step.step)))
        for title, values in (("parameters", step.parameters), ("numbers", step.metrics)):
            if values:
                text = ", ".join(f"{key}={item}" for key, item in values.items())
                facts.append(("", f"{title}: {text}"))
        facts += [("", f"data: {k} {d['fingerprint']}") for k, d in step.data.items()]
    for key, text in facts:
        table.add_row(Text(plain_line(key)), Text(plain_line(text), overflow="fold"))
    console = _console()
    console.print(table)
    if (run_dir / "index.html").is_file():
        console.print(f"Report: {run_dir / 'index.html'}", markup=False)


@app.command()
def compare(
    first: str,
    second: str,
    folder: Folder = RUNS,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Page to write. [default: in the second run]"),
    ] = None,
    fail: Annotated[
        bool, typer.Option("--fail", help="Exit with 1 if tables or numbers differ.")
    ] = False,
) -> None:
    """Print what differs between two runs, and write a page with tables, curves and figures.

    Where both kept predictions, the page carries an inspector of the patches that changed.
    """
    comparison = compare_runs(_find(first, folder), _find(second, folder))
    page = output or comparison.b / f"compared_with_{comparison.a.resolve().name}.html"
    patches = changed_patches(comparison.a, comparison.b, page.with_name(f"{page.stem}_patches"))
    write_comparison(comparison, page, patches)
    typer.echo(repr(comparison))
    typer.echo(f"Page: {page}")
    if fail and not comparison.same_results:
        raise typer.Exit(1)


@app.command()
def cancel(names: list[str], folder: Folder = RUNS) -> None:
    """Take runs from the cluster; their kernels are stopped in order."""
    for name in names:
        typer.echo(f"{name}: job {cancel_job(_find(name, folder))} was told to stop")


@app.command("rm")
def remove(
    names: list[str],
    folder: Folder = RUNS,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Delete files too that no record of the run lists.")
    ] = False,
) -> None:
    """Delete runs, or sweeps with all their runs.

    A run that is running is refused, and so is a folder that holds files which no run has made.
    """
    for name in names:
        run_dir = _find(name, folder)
        what = "everything in it" if everything else "all that its records list"
        if yes or typer.confirm(f"Delete {run_dir}: {what}?", abort=True):
            remove_run(run_dir, others=everything)
            typer.echo(f"{run_dir} is gone")


def _code_and_machine(provenance: dict[str, Any]) -> list[tuple[str, str]]:
    """What a run says of its code and its machine; what is not known is said or left out."""
    if not provenance:
        return []
    commit = provenance.get("commit")
    changed = ", with changes that are not committed" if provenance.get("dirty") else ""
    facts = [("commit", f"{commit}{changed}" if commit else "not in a git repository")]
    facts.append(("lock", provenance.get("lock") or "no requirements.lock"))
    known = [(name, provenance.get(name)) for name in MACHINE]
    return facts + [(name, str(value)) for name, value in known if value is not None]
