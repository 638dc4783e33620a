"""A chain of notebooks: which, in what order, and what each needs.

The file is YAML, readable by hand::

    title: From footprints to temporal views
    parameters:              # for every step that declares them
      catalog: ../data_catalog.yaml
    steps:
      - notebook: 01_tile_overlap.ipynb
      - notebook: 02_temporal_views.ipynb
        needs: [01_tile_overlap]
        timeout_s: 600         # for the notebook; cell_timeout_s for each cell
        gpus: 1                # GPUs it must have; steps share no GPU
        retries: 1             # runs again if its kernel dies

Steps that do not need each other may run at once. A step is called by the name of its notebook.
Everything wrong in the file is listed at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench.catalog.document import Document, read_document
from workbench.catalog.problems import Path as Keys
from workbench.catalog.problems import Problem, did_you_mean
from workbench.errors import NotebookParameterError, NotebookRunError
from workbench.execution.parameters import (
    check_parameters,
    declared_parameters,
    parse_parameters,
)
from workbench.execution.schemas import name_problem
from workbench.execution.source import notebook_title, read_cells
from workbench.execution.stopping import LONGEST_SECONDS
from workbench.files import read_text

CHAIN_KEYS: dict[str, tuple[type, ...]] = {
    "title": (str,),
    "parameters": (dict,),
    "steps": (list,),
}
STEP_KEYS: dict[str, tuple[type, ...]] = {
    "notebook": (str,),
    "needs": (list,),
    "parameters": (dict,),
    "timeout_s": (float, int),
    "cell_timeout_s": (float, int),
    "gpus": (int,),
    "retries": (int,),
}
RANGES: dict[str, tuple[float, float]] = {
    "timeout_s": (0.001, LONGEST_SECONDS),
    "cell_timeout_s": (0.001, LONGEST_SECONDS),
    "gpus": (0, 1024),
    "retries": (0, 1000),
}
"""Smallest and largest value of each number of a step."""

NAMES: dict[type, str] = {
    str: "text",
    dict: "a map",
    list: "a list",
    float: "a number of seconds",
    int: "a whole number",
}


@dataclass(frozen=True)
class ChainStep:
    """One notebook of a chain."""

    notebook: Path

    needs: tuple[str, ...] = ()
    """Names of the steps whose tables and files it reads."""

    parameters: Mapping[str, Any] = field(default_factory=dict)
    """Values for this step alone."""

    timeout_s: float | None = None
    """Seconds after which it is stopped; None for no limit."""

    cell_timeout_s: float | None = None
    """Seconds that one of its cells may take; None for no limit."""

    gpus: int = 0
    """GPUs that it must have for itself; it sees no others. 0 leaves it those of the machine."""

    retries: int | None = None
    """How often it runs again if its kernel dies; None for what the run was given."""

    @property
    def name(self) -> str:
        """The notebook's name without its suffix."""
        return self.notebook.stem


@dataclass(frozen=True)
class Chain:
    """Notebooks in an order in which each comes after those it needs."""

    path: Path
    title: str
    steps: tuple[ChainStep, ...]

    parameters: Mapping[str, Any] = field(default_factory=dict)
    """Values for every step that declares them."""


def read_chain(path: str | Path) -> Chain:
    """Read a chain, or make one of a single notebook.

    Args:
        path: A chain file, or a notebook (``.ipynb``).

    Raises:
        NotebookRunError: If the file is missing or anything in it is wrong; all of it is listed.
    """
    path = Path(path)
    if not path.is_file():
        raise NotebookRunError(
            f"There is no chain or notebook {path}.\n"
            f"Name a notebook (.ipynb) or a chain (.yaml), relative to {Path.cwd()}."
        )
    if path.suffix == ".ipynb":
        if problem := name_problem(path.stem):
            raise NotebookRunError(f"The name of a notebook {problem}, found {path.name!r}.")
        title = notebook_title(read_cells(path)) or path.stem
        return Chain(path, title, (ChainStep(path),))
    document = read_document(read_text(path, error=NotebookRunError))
    problems = document.problems or _Check(document, path.parent).problems
    if problems:
        lines = [problem.line(path.name) for problem in sorted(problems, key=lambda p: p.position)]
        raise NotebookRunError("\n".join(lines))
    value = document.value
    steps = [_step(step, path.parent) for step in value["steps"]]
    ordered = _in_order(steps, path.name)
    return Chain(path, value.get("title", path.stem), ordered, value.get("parameters", {}))


def _step(value: dict[str, Any], folder: Path) -> ChainStep:
    return ChainStep(
        folder / value["notebook"],
        tuple(value.get("needs", ())),
        value.get("parameters", {}),
        value.get("timeout_s"),
        value.get("cell_timeout_s"),
        value.get("gpus", 0),
        value.get("retries"),
    )


class _Check:
    """Collects everything wrong with keys, types, names and notebooks of a chain file."""

    def __init__(self, document: Document, folder: Path) -> None:
        self.document, self.folder = document, folder
        self.problems: list[Problem] = []
        self.names: list[str] = []
        if self.has_keys(document.value, (), CHAIN_KEYS):
            self.check_steps(document.value.get("steps"))

    def complain(self, keys: Keys, message: str, *, of_key: bool = False) -> None:
        position = self.document.position(keys, of_key=of_key)
        self.problems.append(Problem(position, keys, message))

    def has_keys(self, value: Any, keys: Keys, known: Mapping[str, tuple[type, ...]]) -> bool:
        """Whether `value` is a map; its keys and the types of its values are checked."""
        if not isinstance(value, dict):
            self.complain(keys, f"must be a map with the keys {', '.join(known)}")
            return False
        for key, entry in value.items():
            if key not in known:
                hint = did_you_mean(str(key), known) or f"; known: {', '.join(known)}"
                self.complain((*keys, key), f"unknown key{hint}", of_key=True)
            elif not isinstance(entry, known[key]) or isinstance(entry, bool):
                kind = NAMES[known[key][0]]
                self.complain((*keys, key), f"must be {kind}, found {entry!r}")
            elif key in RANGES and not _in_range(entry, RANGES[key]):
                low, high = RANGES[key]
                self.complain((*keys, key), f"must be from {low:g} to {high:,}, found {entry!r}")
        return True

    def check_steps(self, steps: Any) -> None:
        if not steps or not isinstance(steps, list):
            self.complain(("steps",), "a chain must list at least one step")
            return
        for n, step in enumerate(steps):
            known = self.has_keys(step, ("steps", n), STEP_KEYS)
            self.names.append(self.check_notebook(step, ("steps", n)) if known else "")
        for n, step in enumerate(steps):
            self.check_needs(step, n)

    def check_notebook(self, step: dict[str, Any], keys: Keys) -> str:
        """Complain about a notebook that is missing or listed twice; return the step's name."""
        notebook = step.get("notebook")
        if not isinstance(notebook, str):
            self.complain(keys, "a step must name its notebook")
            return ""
        if not (self.folder / notebook).is_file() or not notebook.endswith(".ipynb"):
            self.complain((*keys, "notebook"), f"there is no notebook {notebook}")
        if problem := name_problem(Path(notebook).stem):
            self.complain((*keys, "notebook"), f"the name of a step {problem}, found {notebook!r}")
        if Path(notebook).stem in self.names:
            self.complain((*keys, "notebook"), f"step {Path(notebook).stem!r} is listed twice")
        return Path(notebook).stem

    def check_needs(self, step: Any, n: int) -> None:
        needs = step.get("needs") if isinstance(step, dict) else None
        others = [name for name in self.names if name and name != self.names[n]]
        for need in needs if isinstance(needs, list) else []:
            if not isinstance(need, str):
                self.complain(("steps", n, "needs"), f"must name steps as text, found {need!r}")
            elif need not in others:
                hint = did_you_mean(str(need), others) or f"; known: {', '.join(others) or 'none'}"
                self.complain(("steps", n, "needs"), f"there is no other step {need!r}{hint}")


def _in_range(value: Any, limits: tuple[float, float]) -> bool:
    """Whether a number lies within limits; NaN lies nowhere."""
    return bool(limits[0] <= value <= limits[1])


def _in_order(steps: list[ChainStep], name: str) -> tuple[ChainStep, ...]:
    """Sort the steps so that each follows those it needs; otherwise the order of the file stays."""
    ordered: list[ChainStep] = []
    waiting = list(steps)
    while waiting:
        done = {step.name for step in ordered}
        ready = next((step for step in waiting if set(step.needs) <= done), None)
        if ready is None:
            circle = " -> ".join(_circle(waiting))
            raise NotebookRunError(
                f"{name}: no step may wait for itself, but these form a circle: {circle}."
            )
        ordered.append(ready)
        waiting.remove(ready)
    return tuple(ordered)


def _circle(waiting: list[ChainStep]) -> list[str]:
    """Follow what steps need until one comes again; each of `waiting` needs another of them."""
    needs = {step.name: step.needs for step in waiting}
    path = [waiting[0].name]
    while path.count(path[-1]) < 2:
        path.append(next(need for need in needs[path[-1]] if need in needs))
    return path[path.index(path[-1]) :]


def step_parameters(
    chain: Chain, given: Mapping[str, Any], texts: Mapping[str, str]
) -> dict[str, dict[str, Any]]:
    """Give each step the values meant for it, typed and checked, before any kernel starts.

    A value goes to every step that declares its name. Values of the chain's file yield to those of
    a step, and both to `given` and `texts`.

    Args:
        chain: The chain.
        given: Typed values.
        texts: Values as written on a command line.

    Returns:
        Given values by step name; defaults are not among them.

    Raises:
        NotebookParameterError: If no step declares a name, or a value has the wrong type.
    """
    declared = {step.name: declared_parameters(step.notebook) for step in chain.steps}
    known = {name for parameters in declared.values() for name in parameters}
    for name in [*chain.parameters, *given, *texts]:
        if name not in known:
            only = chain.path.suffix == ".ipynb"
            listed = list(declared[chain.path.stem]) if only else sorted(known)
            subject = f"{chain.path.name} has no" if only else f"No step of {chain.path.name} has a"
            raise NotebookParameterError(
                f"{subject} parameter {name!r}{did_you_mean(name, known) or '.'}\n"
                f"{'It declares' if only else 'They declare'}: {', '.join(listed) or 'none'}."
            )
    values = {}
    for step in chain.steps:
        own = declared[step.name]
        typed = {k: v for k, v in {**chain.parameters, **given}.items() if k in own}
        typed |= {k: v for k, v in step.parameters.items() if k not in given}
        typed |= parse_parameters(step.notebook, {k: v for k, v in texts.items() if k in own})
        resolved = check_parameters(step.notebook, typed)
        values[step.name] = {name: resolved[name] for name in typed}
    return values
