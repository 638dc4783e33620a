"""Parameter sweeps: one run for each combination of values, in one folder with one page.

``-p method=moco,dino,mae -p seed=0,1 --grid`` makes six runs. Each is a run like any other, in a
folder that is named by its values; ``sweep.json`` lists them, ``index.html`` compares them.
"""

import itertools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from workbench.errors import NotebookParameterError, NotebookRunError, WorkbenchError
from workbench.escape import html_text
from workbench.execution.files import require_writable, write_json, write_text
from workbench.execution.records import RunRecord, StepNote, StepRecord, StoredRun, read_run
from workbench.execution.report_style import STYLE
from workbench.execution.runs import ChainRun, RunOptions, Tell, given_gpus, prepare_run
from workbench.execution.schemas import VERSION, StoredSweep, read_stored
from workbench.execution.slots import Slots
from workbench.execution.stopping import Stopper, stop_on_signals
from workbench.files import path_inside

NAME_LENGTH = 80
"""Longer names of members give way to their number."""

OPENING, CLOSING = "[{(", "]})"
MOST_NAMED = 4
"""How many of the runs that did not end well are named."""


@dataclass(frozen=True)
class Member:
    """One combination of a sweep."""

    name: str
    """Name of its folder, e.g. ``method=moco,seed=0``."""

    values: dict[str, str]
    """Text of each parameter that is swept."""

    texts: dict[str, str]
    """Texts of all parameters given on the command line."""


def expand_grid(texts: Mapping[str, str]) -> list[Member]:
    """Every combination of the values that are separated by commas.

    Args:
        texts: Values as written on a command line. Commas inside brackets separate nothing.

    Returns:
        Members in the order in which the values are written, the last parameter first to change.

    Raises:
        NotebookParameterError: If no parameter has more than one value, or one has the same twice.

    Example:
        >>> [member.name for member in expand_grid({"method": "moco,dino", "seed": "3"})]
        ['method=moco', 'method=dino']
    """
    values = {name: split_values(text) for name, text in texts.items()}
    swept = [name for name, parts in values.items() if len(parts) > 1]
    if not swept:
        raise NotebookParameterError(
            "A grid needs a parameter with more than one value, as in -p method=moco,dino --grid."
        )
    for name in swept:
        if len(set(values[name])) < len(values[name]):
            raise NotebookParameterError(f"Parameter {name!r} has a value twice: {texts[name]!r}.")
    members = []
    for number, combination in enumerate(itertools.product(*values.values()), start=1):
        chosen = dict(zip(values, combination, strict=True))
        own = {name: chosen[name] for name in swept}
        text = ",".join(f"{name}={value}" for name, value in own.items())
        name = re.sub(r"[^A-Za-z0-9_.,=+-]", "_", text)
        fits = name == text and len(name) <= NAME_LENGTH
        members.append(Member(name if fits else f"{number:03d}", own, chosen))
    return members


def split_values(text: str) -> list[str]:
    """Split at the commas that stand in no brackets.

    Example:
        >>> split_values("[1,2],[3]")
        ['[1,2]', '[3]']
    """
    parts, depth = [""], 0
    for character in text:
        depth += (character in OPENING) - (character in CLOSING)
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def run_sweep(
    path: str | Path,
    parameters: Mapping[str, Any] | None = None,
    *,
    texts: Mapping[str, str],
    run_dir: str | Path,
    options: RunOptions | None = None,
    tell: Tell | None = None,
    on_cell: Callable[[Path, StepRecord], None] | None = None,
) -> list[RunRecord]:
    """Run a chain once for each combination of a grid, through one set of slots.

    All parameters of all members are checked before anything runs. A member that fails holds back
    no other; a sweep that is run again runs only what is missing.

    Args:
        path: A chain file, or one notebook.
        parameters: Typed values, the same for every member.
        texts: Values as written on a command line; commas separate those that are swept.
        run_dir: Folder of the sweep; each member has a folder in it.
        options: How to run; ``jobs`` and ``gpus`` are shared by all members.
        tell: Called when a step of any member begins, ends, or is left alone; the step is named
            ``MEMBER/STEP``.
        on_cell: Called with the run folder and the record whenever a cell begins.

    Returns:
        The records of the members, all with status ``ok``.

    Raises:
        NotebookParameterError: If a parameter is wrong; nothing has run.
        NotebookRunError: If a member did not run to its end; all others have run.
        SystemExit: With 128 + the signal's number, if SIGTERM or SIGINT ended it.
    """
    options = options or RunOptions()
    folder, members = Path(run_dir), expand_grid(texts)
    stopper = Stopper()
    runs = []
    for member in members:
        run = prepare_run(path, folder / member.name, parameters or {}, member.texts, options)
        run.stopper = stopper
        if tell is not None:
            run.tell = partial(_tell_of, tell, member.name)
        if on_cell is not None:
            run.on_cell = partial(on_cell, folder / member.name)
        runs.append(run)
    slots = Slots(options.jobs, given_gpus(runs[0].chain, options.gpus))
    begin_sweep(folder, path, members)
    with stop_on_signals(stopper):
        records = _execute(runs, slots, stopper)
    write_sweep_page(folder)
    _raise_if_bad(members, runs, records)
    return [record for record in records if isinstance(record, RunRecord)]


def _raise_if_bad(
    members: Sequence[Member], runs: Sequence[ChainRun], records: Sequence[object]
) -> None:
    """Raise one error for all runs that did not end well: which, and what the first one says."""
    errors = {}
    for member, run, record in zip(members, runs, records, strict=True):
        try:
            if isinstance(record, NotebookRunError):
                raise record
            if isinstance(record, RunRecord):
                run.raise_if_bad(record)
        except NotebookRunError as error:
            errors[member.name] = error
    if errors:
        names = "; ".join(list(errors)[:MOST_NAMED]) + ("; …" if len(errors) > MOST_NAMED else "")
        told = f"{len(errors)} of {len(runs)} runs did not end well: {names}. The first:"
        raise NotebookRunError(f"{told}\n{next(iter(errors.values()))}")


def _tell_of(tell: Tell, member: str, note: StepNote) -> None:
    tell(replace(note, step=f"{member}/{note.step}"))


def _execute(
    runs: list[ChainRun], slots: Slots, stopper: Stopper
) -> list[RunRecord | NotebookRunError]:
    def execute(place: int) -> RunRecord | NotebookRunError:
        try:
            return runs[place].execute(slots, (place,))
        except NotebookRunError as error:
            return error
        finally:
            slots.arrived(place)

    slots.expect(range(len(runs)))  # threads start in any order; members in theirs
    with ThreadPoolExecutor(len(runs), "member") as pool:
        futures = [pool.submit(execute, place) for place in range(len(runs))]
        try:
            return [future.result() for future in futures]
        except BaseException:
            stopper.stop("killed")
            raise


def begin_sweep(folder: Path, path: str | Path, members: Iterable[Member]) -> None:
    """Write ``sweep.json``, by which the folder is known as a sweep."""
    require_writable(folder)
    listed = [{"name": member.name, "values": member.values} for member in members]
    write_json(folder / "sweep.json", {"chain": str(path), "members": listed, "version": VERSION})


@dataclass(frozen=True)
class MemberState:
    """One run of a sweep as its folder tells."""

    name: str
    values: dict[str, str]
    run: StoredRun | None
    """Its ``run.json``; None before it began, or if it is damaged."""

    fault: str = ""
    """Why its record cannot be used."""


def read_sweep(folder: Path) -> list[MemberState]:
    """The members of a sweep, with what their records say; a damaged one hides no other.

    Raises:
        NotebookRunError: If ``sweep.json`` is missing or damaged.
    """
    sweep = read_stored(folder / "sweep.json", StoredSweep, what="the record of a sweep")
    members = []
    for member in sweep.members:
        run, fault = None, ""
        try:
            path_inside(folder, f"{member.name}/run.json", what="A member of a sweep")
            if (folder / member.name / "run.json").exists():
                run = read_run(folder / member.name)
        except WorkbenchError as error:
            fault = str(error).splitlines()[0]
        members.append(MemberState(member.name, member.values, run, fault))
    return members


def sweep_rows(folder: Path) -> list[dict[str, Any]]:
    """One row for each member: its values, status, seconds, and every number of its steps."""
    rows = []
    for member in read_sweep(folder):
        row: dict[str, Any] = {"run": member.name, **member.values}
        row["status"] = member.run.status if member.run else member.fault or "not begun"
        row["seconds"] = member.run.wall_seconds if member.run else None
        for step in member.run.steps if member.run else []:
            row |= {f"{step.step}: {name}": value for name, value in step.metrics.items()}
        rows.append(row)
    return rows


def write_sweep_page(folder: Path) -> Path:
    """Write the page that sets the members of a sweep side by side, and return its path."""
    rows = sweep_rows(folder)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    head = "".join(f"<th>{html_text(name)}</th>" for name in columns)
    body = "".join(f"<tr>{_cells(row, columns)}</tr>" for row in rows)
    good = sum(row["status"] == "ok" for row in rows)
    page = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{html_text(folder.name)}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{html_text(folder.name)}</h1>\n<p>{good} of {len(rows)} runs ended well.</p>\n"
        f'<div class="scroll"><table class="preview"><tr>{head}</tr>{body}</table></div>\n'
        "</main>\n</body>\n</html>\n"
    )
    return write_text(folder / "index.html", page)


def _cells(row: Mapping[str, Any], columns: Iterable[str]) -> str:
    cells = []
    for name in columns:
        value = row.get(name)
        text = "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
        shown = html_text(text)
        if name == "run":
            shown = f'<a href="{quote(text)}/index.html">{shown}</a>'
        cells.append(f"<td>{shown}</td>")
    return "".join(cells)
