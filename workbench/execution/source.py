"""A notebook as it is written: its cells, its title, the hash of its code.

Read as plain JSON: nbformat takes seconds to import and is needed only where cells are run.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.errors import NotebookParameterError
from workbench.files import read_text


@dataclass(frozen=True)
class Cell:
    """One cell of a notebook."""

    kind: str
    """``code``, ``markdown`` or ``raw``."""

    source: str
    tags: tuple[str, ...] = ()

    @property
    def is_executed(self) -> bool:
        """Whether a run executes it: code that is not empty."""
        return self.kind == "code" and bool(self.source.strip())

    @property
    def is_parameters(self) -> bool:
        """Whether it is the cell that declares the parameters."""
        return self.kind == "code" and "parameters" in self.tags


def read_cells(notebook: Path) -> list[Cell]:
    """Read the cells of a notebook.

    Raises:
        NotebookParameterError: If the file is missing or no notebook of format 4.
    """
    try:
        value = json.loads(read_text(notebook, error=NotebookParameterError))
        if value["nbformat"] != 4:
            raise ValueError(f"its format is {value['nbformat']}, not 4")
        return [_cell(cell) for cell in value["cells"]]
    except FileNotFoundError:
        raise NotebookParameterError(f"There is no notebook {notebook}.") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NotebookParameterError(f"{notebook} is not a readable notebook: {error}.") from error


def _cell(value: dict[str, Any]) -> Cell:
    source = value["source"]  # text, or a list of lines
    text = source if isinstance(source, str) else "".join(source)
    return Cell(value["cell_type"], text, tuple(value["metadata"].get("tags", ())))


def notebook_title(cells: Sequence[Cell]) -> str:
    """The first ``# `` heading of the text cells, or nothing."""
    for cell in cells:
        if cell.kind == "markdown":
            for line in cell.source.splitlines():
                if line.startswith("# "):
                    return line[2:].strip()
    return ""


def code_hash(cells: Sequence[Cell]) -> str:
    """SHA-256 of the code cells, in order; text and outputs do not count."""
    code = [cell.source for cell in cells if cell.kind == "code"]
    return hashlib.sha256("\0".join(code).encode()).hexdigest()
