"""JSON records with a schema (pydantic): damaged or foreign files are refused in one sentence."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from workbench.errors import WorkbenchError
from workbench.files import read_text, whole_file

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

    Model = TypeVar("Model", bound=BaseModel)


def read_record(
    path: Path, model: "type[Model]", *, what: str, cure: str, error: type[WorkbenchError]
) -> "Model":
    """Read one JSON record and hold it against its pydantic model.

    Args:
        path: The file.
        model: What the record must hold; its types, ranges and unknown keys decide.
        what: What the file is, for the message: "a run record".
        cure: What the reader can do, as a sentence.
        error: The room's own error class.

    Raises:
        WorkbenchError: As `error`, if the file is missing, not JSON, nested too deeply, or does
            not fit the model; naming the file, the first wrong place, what was expected and found.
    """
    if not path.is_file():
        raise error(f"There is no {what.removeprefix('a ').removeprefix('an ')} at {path}.\n{cure}")
    return parse_record(
        read_text(path, error=error), model, source=path, what=what, cure=cure, error=error
    )


def parse_record(
    text: str | bytes,
    model: "type[Model]",
    *,
    source: object,
    what: str,
    cure: str,
    error: type[WorkbenchError],
) -> "Model":
    """Hold JSON text against a model; `source` names it in the message. See `read_record`."""
    from pydantic import ValidationError

    try:
        return model.model_validate_json(text)
    except ValidationError as problem:
        raise error(f"{source} is not {what}: {first_problem(problem)}.\n{cure}") from None


def first_problem(problem: "ValidationError") -> str:
    """Say the first fault of a validation in one clause: where, what was expected, what found."""
    found = problem.errors(include_url=False, include_context=False)
    first, more = found[0], len(found) - 1
    place = ".".join(str(part) for part in first["loc"])
    value = repr(first["input"])
    value = value if len(value) <= 60 else value[:57] + "..."
    tail = f" (and {more} more)" if more else ""
    if first["type"] == "json_invalid":
        return f"{first['msg'][0].lower()}{first['msg'][1:]}{tail}"
    message = f"{first['msg'][0].lower()}{first['msg'][1:]}"
    return f"{place or 'the top level'}: {message}, found {value}{tail}"


def write_record(path: Path, values: "BaseModel | Mapping[str, Any]") -> Path:
    """Write one record as readable JSON, atomically; NaN and infinities are refused."""
    plain = values if isinstance(values, Mapping) else values.model_dump(mode="json")
    with whole_file(path) as unfinished:
        unfinished.write_text(
            json.dumps(plain, indent=1, ensure_ascii=False, allow_nan=False) + "\n", "utf-8"
        )
    return path
