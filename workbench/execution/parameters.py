"""What a notebook declares in its `parameters` cell, and values checked against it.

Each line of the cell is ``name: type = literal  # help``. Values given as text on a command line
are read by the declared type, never guessed: ``2022_0612`` stays text for a ``str`` and is refused
for an ``int``, ``false`` is a bool only where a bool is declared.
"""

import ast
import io
import tokenize
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.catalog.document import read_document
from workbench.catalog.problems import did_you_mean
from workbench.errors import NotebookParameterError
from workbench.execution.literals import LiteralValueError, accept, is_supported, parse_text
from workbench.execution.source import read_cells
from workbench.files import read_text


@dataclass(frozen=True)
class Parameter:
    """One line of a notebook's `parameters` cell."""

    name: str

    type: str
    """Declared type as written, e.g. ``list[str] | None``; without one, that of the default."""

    default: Any
    """The literal in the notebook. ``None`` makes the parameter optional whatever its type."""

    help: str = ""
    """The comment at the end of the line."""


def declared_parameters(notebook: Path) -> dict[str, Parameter]:
    """Read what `notebook` declares, without starting a kernel.

    Args:
        notebook: Notebook with at most one cell tagged ``parameters``.

    Returns:
        Parameters by name, in the order of the cell; empty if there is no such cell.

    Raises:
        NotebookParameterError: If the file is no notebook, if two cells are tagged, or if the cell
            holds anything but lines ``name: type = literal``.
    """
    cells = [cell for cell in read_cells(notebook) if cell.is_parameters]
    if len(cells) > 1:
        raise NotebookParameterError(
            f"{notebook.name} must have one cell tagged 'parameters', but has {len(cells)}."
        )
    return _declarations(cells[0].source, notebook.name) if cells else {}


def _declarations(source: str, notebook: str) -> dict[str, Parameter]:
    try:
        statements = ast.parse(source).body
        comments = _comments(source)
    except (SyntaxError, tokenize.TokenError) as error:
        raise NotebookParameterError(
            f"The parameters cell of {notebook} is not valid Python: {error}."
        ) from error
    declared = {}
    for statement in statements:
        parameter = _declaration(statement, comments, notebook)
        if parameter is not None:
            declared[parameter.name] = parameter
    return declared


def _declaration(
    statement: ast.stmt, comments: Mapping[int, str], notebook: str
) -> Parameter | None:
    written = ast.unparse(statement).splitlines()[0][:80]
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
        return None  # a docstring of the cell
    match statement:
        case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation, value=ast.expr()):
            kind = ast.unparse(annotation)
        case ast.Assign(targets=[ast.Name(id=name)]):
            kind = ""
        case _:
            raise NotebookParameterError(
                f"The parameters cell of {notebook} may hold only lines "
                f"`name: type = literal  # help`, found `{written}`."
            )
    try:
        default = ast.literal_eval(statement.value)  # type: ignore[arg-type]
    except ValueError:
        raise NotebookParameterError(
            f"The default of {name!r} in the parameters cell of {notebook} must be a literal, "
            f"found `{written}`."
        ) from None
    kind = kind or ("object" if default is None else type(default).__name__)
    if not is_supported(kind):
        raise NotebookParameterError(
            f"{notebook} declares {name!r} as {kind}, which no value on a command line can have.\n"
            f"Use str, int, float, bool, list, dict, or a union of them with None."
        )
    return Parameter(name, kind, default, comments.get(statement.end_lineno or 0, ""))


def _comments(source: str) -> dict[int, str]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {
        token.start[0]: token.string.lstrip("#").strip()
        for token in tokens
        if token.type == tokenize.COMMENT
    }


def check_parameters(notebook: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """Check typed values against what `notebook` declares, before a kernel starts.

    papermill only warns about an unknown name and never checks a type, so that a misspelt
    ``mask_ration=0.5`` would train with the default and look like a result.

    Args:
        notebook: Notebook with one cell tagged ``parameters``.
        given: Values by parameter name. An int is taken where a float is declared; nothing else is
            converted.

    Returns:
        Every declared parameter with its value: the given one, or the default.

    Raises:
        NotebookParameterError: If a name is not declared, or a value has another type.
    """
    declared = declared_parameters(Path(notebook))
    values = {name: parameter.default for name, parameter in declared.items()}
    for name, value in given.items():
        parameter = _lookup(name, declared, Path(notebook).name)
        try:
            values[name] = accept(value, parameter.type, optional=parameter.default is None)
        except LiteralValueError as error:
            raise _wrong_type(parameter, value, error, Path(notebook).name) from None
    return values


def parse_parameters(notebook: Path, texts: Mapping[str, str]) -> dict[str, Any]:
    """Read ``-p name=value`` texts by the types that `notebook` declares.

    Args:
        notebook: Notebook with one cell tagged ``parameters``.
        texts: Values as written on a command line, by parameter name. Lists and dicts are JSON.

    Returns:
        Typed values of the given names only.

    Raises:
        NotebookParameterError: If a name is not declared, or a text cannot be read as its type.
    """
    declared = declared_parameters(Path(notebook))
    values = {}
    for name, text in texts.items():
        parameter = _lookup(name, declared, Path(notebook).name)
        try:
            values[name] = parse_text(text, parameter.type, optional=parameter.default is None)
        except LiteralValueError as error:
            raise _wrong_type(parameter, text, error, Path(notebook).name) from None
    return values


def _wrong_type(
    parameter: Parameter, value: object, error: LiteralValueError, notebook: str
) -> NotebookParameterError:
    return NotebookParameterError(
        f"{notebook} needs {parameter.name!r} as {parameter.type} (default {parameter.default!r}), "
        f"got {value!r}{error.reason}"
    )


def _lookup(name: str, declared: Mapping[str, Parameter], notebook: str) -> Parameter:
    if name in declared:
        return declared[name]
    raise NotebookParameterError(
        f"{notebook} has no parameter {name!r}{did_you_mean(name, declared) or '.'}\n"
        f"It declares: {', '.join(declared) or 'none'}."
    )


def split_assignments(assignments: Iterable[str]) -> dict[str, str]:
    """Split ``name=value`` texts at their first ``=``.

    Args:
        assignments: Texts as given to ``-p``.

    Raises:
        NotebookParameterError: If a text has no name or no ``=``, or if a name is given twice.

    Example:
        >>> split_assignments(["filter=a=b", "seed=3"])
        {'filter': 'a=b', 'seed': '3'}
    """
    texts: dict[str, str] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals or not name.isidentifier():
            raise NotebookParameterError(
                f"A parameter must be given as name=value, got {assignment!r}."
            )
        if name in texts:
            raise NotebookParameterError(
                f"Parameter {name!r} is given twice: {texts[name]!r} and {text!r}."
            )
        texts[name] = text
    return texts


def read_parameter_file(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Read parameters from a JSON or YAML file: one map of names and values.

    YAML writes some numbers as text (``1e-3``), so that its text is read by the declared type, as
    on a command line; all other values keep the type they have in the file.

    Args:
        path: A file ending in ``.json``, ``.yaml`` or ``.yml``.

    Returns:
        Typed values, and texts to be read by their declared types.

    Raises:
        NotebookParameterError: If the file cannot be read or holds no map.
    """
    if not path.is_file():
        raise NotebookParameterError(f"There is no parameter file {path}.")
    document = read_document(read_text(path, error=NotebookParameterError))  # JSON is YAML too
    if document.problems:
        lines = [problem.line(path.name) for problem in document.problems]
        raise NotebookParameterError("\n".join(lines))
    if not isinstance(document.value, dict):
        raise NotebookParameterError(f"{path.name} must hold a map of parameter names and values.")
    is_json = path.suffix == ".json"
    texts = {k: v for k, v in document.value.items() if isinstance(v, str) and not is_json}
    return {k: v for k, v in document.value.items() if k not in texts}, texts


def parameters_help(notebook: Path) -> str:
    """The parameters of `notebook` with type, default and help, as text for a terminal."""
    declared = declared_parameters(Path(notebook))
    if not declared:
        return f"{Path(notebook).name} declares no parameters."
    rows = [(f"{p.name}: {p.type} = {p.default!r}", p.help) for p in declared.values()]
    width = min(48, max(len(left) for left, _ in rows))
    lines = [f"  {left:<{width}}  {text}".rstrip() for left, text in rows]
    return "\n".join([f"Parameters of {Path(notebook).name}:", *lines])
