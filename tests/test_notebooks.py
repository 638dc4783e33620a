"""Every notebook is clean in git, reads as a story, only calls, and declares its parameters."""

import ast
import re
from pathlib import Path

import nbformat
import pytest

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))
MAX_CODE_LINES = 15
PARAMETER = re.compile(r"[a-z_][a-z0-9_]*: [\w\[\], |]+ = .+  # .+")
TELLING_ID = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
RANDOM_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){0,4}.*")
FORBIDDEN = (
    *(ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda),
    *(ast.For, ast.AsyncFor, ast.While, ast.Try),
)


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def path(request):
    return request.param


@pytest.fixture
def notebook(path):
    return nbformat.read(path, as_version=4)


def cells(notebook, kind):
    return [cell for cell in notebook.cells if cell.cell_type == kind]


def statements(cell) -> list[ast.stmt]:
    """The Python of a cell; a line magic is no Python."""
    lines = [line for line in cell.source.splitlines() if not line.startswith("%")]
    return ast.parse("\n".join(lines)).body


def is_parameters(cell) -> bool:
    return "parameters" in cell.metadata.get("tags", [])


def test_is_valid_and_stored_as_nbformat_writes_it(path, notebook):
    nbformat.validate(notebook)
    assert path.read_text(encoding="utf-8") == nbformat.writes(notebook) + "\n"


def test_is_stored_without_outputs(notebook):
    for cell in cells(notebook, "code"):
        assert not cell.outputs, cell.id
        assert cell.execution_count is None, cell.id


def test_metadata_is_minimal(notebook):
    assert set(notebook.metadata) <= {"kernelspec", "language_info"}
    assert notebook.metadata.kernelspec.name == "python3"
    assert set(notebook.metadata.get("language_info", {})) <= {"name"}
    for cell in notebook.cells:
        assert set(cell.metadata) <= {"tags"}, cell.id


def test_ids_tell_what_a_cell_is(notebook):
    for cell in notebook.cells:
        assert TELLING_ID.fullmatch(cell.id), cell.id
        assert not RANDOM_ID.fullmatch(cell.id), cell.id


def test_opens_with_its_only_title(notebook):
    lines = [line for cell in cells(notebook, "markdown") for line in cell.source.splitlines()]
    assert notebook.cells[0].cell_type == "markdown"
    assert notebook.cells[0].source.startswith("# ")
    assert sum(line.startswith("# ") for line in lines) == 1


def test_declares_its_parameters_once_each_with_type_value_and_help(notebook):
    (parameters,) = [cell for cell in cells(notebook, "code") if is_parameters(cell)]
    assert parameters.id == "parameters"
    for line in parameters.source.splitlines():
        assert PARAMETER.fullmatch(line), line
    for statement in statements(parameters):
        ast.literal_eval(statement.value)


def test_code_is_short_and_only_calls(notebook):
    for cell in cells(notebook, "code"):
        assert len(cell.source.splitlines()) <= MAX_CODE_LINES, cell.id
        nodes = [node for stmt in statements(cell) for node in ast.walk(stmt)]
        assert not any(isinstance(node, FORBIDDEN) for node in nodes), cell.id


def test_every_section_ends_in_something_to_see(notebook):
    last = {}
    heading = ""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            found = re.findall(r"^## (.+)", cell.source, re.MULTILINE)
            heading = found[-1] if found else heading
        elif heading:
            last[heading] = cell
    for heading, cell in last.items():
        code = statements(cell)
        if is_parameters(cell) or all(isinstance(s, ast.Import | ast.ImportFrom) for s in code):
            continue
        assert isinstance(code[-1], ast.Expr), f"{heading}: {cell.id}"
