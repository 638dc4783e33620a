"""Small notebooks, written where a test needs them."""

from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest

PARAMETERS = """\
run_dir: str = "../runs/lab"  # Folder of the run
seed: int = 0  # Seed of every random draw
"""


@pytest.fixture
def write_notebook(tmp_path) -> Callable[..., Path]:
    """Write ``notebooks/NAME.ipynb`` with a title, a parameters cell and the given code cells."""

    def write(name: str, *code: str, parameters: str = PARAMETERS, title: str = "A title") -> Path:
        node = nbformat.v4.new_notebook()
        node.metadata["kernelspec"] = {"name": "not-registered", "display_name": "Of another one"}
        node.cells = [nbformat.v4.new_markdown_cell(f"# {title}", id="title")]
        if parameters:
            cell = nbformat.v4.new_code_cell(parameters, id="parameters")
            cell.metadata["tags"] = ["parameters"]
            node.cells.append(cell)
        for n, source in enumerate(code):
            node.cells.append(nbformat.v4.new_code_cell(source, id=f"code-{n}"))
        path = tmp_path / "notebooks" / f"{name}.ipynb"
        path.parent.mkdir(exist_ok=True)
        nbformat.write(node, path)
        return path

    return write
