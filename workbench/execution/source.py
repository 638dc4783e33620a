"""A notebook as it is written: its cells, its title, the hash of its code."""

import hashlib
from pathlib import Path

import nbformat

from workbench.errors import NotebookParameterError


def read_notebook(notebook: Path) -> nbformat.NotebookNode:
    """Read a notebook as nbformat 4.5, in which cells have ids.

    Raises:
        NotebookParameterError: If the file is missing or no notebook.
    """
    try:
        return nbformat.v4.upgrade(nbformat.read(notebook, as_version=4))
    except FileNotFoundError:
        raise NotebookParameterError(f"There is no notebook {notebook}.") from None
    except Exception as error:  # nbformat raises whatever its parsers do
        first = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise NotebookParameterError(f"{notebook} is not a readable notebook: {first}") from error


def notebook_title(notebook: nbformat.NotebookNode) -> str:
    """The first ``# `` heading of the notebook's text, or nothing."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for line in cell.source.splitlines():
                if line.startswith("# "):
                    return str(line[2:].strip())
    return ""


def code_hash(notebook: nbformat.NotebookNode) -> str:
    """SHA-256 of the notebook's code cells, in order; text and outputs do not count."""
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    return hashlib.sha256("\0".join(code).encode()).hexdigest()


def is_executed(cell: nbformat.NotebookNode) -> bool:
    """Whether the cell is one that a run executes: code that is not empty."""
    return cell.cell_type == "code" and bool(cell.source.strip())
