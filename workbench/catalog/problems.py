"""What is wrong in a catalog, and where: all of it at once, one line each."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NoReturn

from workbench.errors import CatalogError

Path = tuple[str | int, ...]
"""Keys and list indices that lead to a value: ("datasets", "enmap", "bands", 0)."""


@dataclass(frozen=True, order=True)
class Position:
    """A place in a text file."""

    line: int
    """From 1."""
    column: int
    """From 1."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, at one place."""

    position: Position
    """Where the reader should look."""
    path: Path
    """Which key or value it is about."""
    message: str
    """What must hold and what was found, in one line."""

    def line(self, filename: str) -> str:
        """Write the problem as "FILE:LINE:COLUMN dotted.path: message"."""
        where = f"{filename}:{self.position.line}:{self.position.column}"
        return (
            f"{where} {dotted(self.path)}: {self.message}"
            if self.path
            else (f"{where}: {self.message}")
        )


def dotted(path: Path) -> str:
    """Write a path as people do.

    Example:
        >>> dotted(("datasets", "enmap", "bands", 0))
        'datasets.enmap.bands[0]'
    """
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


def did_you_mean(found: str, known: Iterable[str]) -> str:
    """Say ', did you mean "bands"?' if something known is close to what was found, or nothing.

    Example:
        >>> did_you_mean("bandz", ["bands", "sensor"])
        ', did you mean "bands"?'
    """
    lower = {name.lower(): name for name in sorted(known)}
    close = difflib.get_close_matches(found.lower(), lower, n=1, cutoff=0.6)
    return f', did you mean "{lower[close[0]]}"?' if close else ""


def refuse(filename: str, problems: Iterable[Problem]) -> NoReturn:
    """Raise one error that lists every problem in the order of the file.

    Raises:
        CatalogError: Always.
    """
    ordered = sorted(problems, key=lambda problem: problem.position)
    raise CatalogError("\n".join(dict.fromkeys(problem.line(filename) for problem in ordered)))
