"""Schemas of the JSON records of execution: types, ranges and versions, checked when they are read.

The records of a run folder may be damaged, of another version or a stranger's; each is held against
its schema by `read_stored` before anything of it is used.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
)

from workbench.errors import NotebookRunError, UnsafePathError
from workbench.records import first_problem, read_record

VERSION = 2
"""Version of every record of execution; 1 (commit 7acea7f and before) had no number."""

CURE = (
    "It is damaged or of another version of workbench; run again, or remove it "
    "(`workbench runs rm --all`)."
)

Stored = TypeVar("Stored", bound=BaseModel)

NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def _known(version: int) -> int:
    if version > VERSION:
        raise ValueError(f"written by a newer workbench (format {version}, known up to {VERSION})")
    return version


Version = Annotated[int, Field(ge=1), AfterValidator(_known)]


def is_plain_name(name: str) -> bool:
    """Whether a name is one part of a path: not empty, no separator, not ``.`` or ``..``."""
    return bool(name) and not set(name) & {"/", "\\", "\0"} and name not in {".", ".."}


LONGEST_NAME = 200
"""Bytes; file names may have 255, and ours add to a step's name."""


def name_problem(name: str) -> str:
    """Why a name cannot be that of a run or a step, as the end of a sentence; empty if it can."""
    if not is_plain_name(name):
        return "must be one part of a path, without '/' and not '..'"
    if not all(c == " " or c.isprintable() for c in name):
        return "must hold no line breaks, control characters or marks that turn the writing"
    if name != name.strip() or name.startswith(("-", ".")):
        return "must not begin with '-' or '.', nor begin or end with a space"
    if len(name.encode()) > LONGEST_NAME:
        return f"must have at most {LONGEST_NAME} bytes"
    return ""


def _plain(name: str) -> str:
    if not is_plain_name(name):
        raise ValueError("must be a plain name, without '/' and not '..'")
    return name


Name = Annotated[str, AfterValidator(_plain)]


class _Open(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)


class _Listed(_Open):
    path: str
    title: str
    bytes: int = Field(ge=0)
    sha256: str


class _File(_Listed):
    kind: Literal["figure", "file", "metrics"]


class _Page(_Listed):
    kind: Literal["page"]
    external: int = Field(ge=0)
    preview: str | None = None


class _Rows(_Open):
    columns: list[str]
    rows: list[list[str]]


class _Table(_Listed):
    kind: Literal["table"]
    rows: int = Field(ge=0)
    columns: list[str]
    preview: _Rows


class _DataUse(_Open):
    fingerprint: str
    description: str
    licence: str
    citation: str


class _Provenance(_Open):
    commit: str | None = None
    dirty: bool | None = None
    lock: str | None = None
    source: str | None = None
    packages: dict[str, str] = Field(default_factory=dict)


def _fits(kind: Any) -> AfterValidator:
    """Let plain lists and dicts stay what they are, once they fit a model."""
    adapter: TypeAdapter[Any] = TypeAdapter(kind)

    def check(value: Any) -> Any:
        try:
            adapter.validate_python(value)
        except ValidationError as problem:
            raise ValueError(first_problem(problem)) from None
        return value

    return AfterValidator(check)


_AnyArtifact = Annotated[_File | _Page | _Table, Field(discriminator="kind")]
Artifacts = Annotated[list[dict[str, Any]], _fits(list[_AnyArtifact])]
DataUses = Annotated[dict[str, dict[str, str]], _fits(dict[str, _DataUse])]
Provenance = Annotated[dict[str, Any], _fits(_Provenance)]


class StoredOutputs(BaseModel):
    """``records/STEP.outputs.json``: what a step has written so far."""

    model_config = ConfigDict(strict=True, extra="forbid")

    artifacts: Artifacts
    metrics: dict[str, Any]
    data: DataUses
    version: Version = 1


class StoredStage(BaseModel):
    """``records/STEP.NAME.stage.json``: from what a stage was made."""

    model_config = ConfigDict(strict=True, extra="forbid")

    parameters: dict[str, Any]
    inputs: dict[str, str]
    source: str
    outputs: str
    finished: str
    version: Version = 1


class StoredMember(BaseModel):
    """One run of a sweep."""

    model_config = ConfigDict(strict=True, extra="forbid")

    name: Name
    values: dict[str, str]


class StoredSweep(BaseModel):
    """``sweep.json``."""

    model_config = ConfigDict(strict=True, extra="forbid")

    chain: str
    members: list[StoredMember]
    version: Version = 1


def read_stored(path: Path, model: type[Stored], *, what: str) -> Stored:
    """Read one JSON file of a run folder against its model.

    Args:
        path: The file.
        model: What it must hold.
        what: What it is, for the message: "the record of a run".

    Raises:
        NotebookRunError: If it cannot be read or does not fit; in one sentence, with a cure.
    """
    if path.is_symlink():
        raise UnsafePathError(
            f"{path} must be a file of the run itself, but is a link to {path.readlink()}.\n"
            "Nothing was read there; do not use files from this source unchecked."
        )
    try:
        return read_record(path, model, what=what, cure=CURE, error=NotebookRunError)
    except OSError as problem:
        raise NotebookRunError(f"{path} cannot be read: {problem.strerror}.") from None
