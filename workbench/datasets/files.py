"""Small files beside a manifest that are whole or absent: temporary name, then a rename."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from workbench.errors import ManifestError


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a temporary path that becomes `path` if the block ends well, and is removed if not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield unfinished
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def file_checksum(path: Path | str) -> str:
    """SHA-256 of a file, as 64 hexadecimal digits.

    Raises:
        ManifestError: If there is no file.
    """
    if not Path(path).is_file():
        raise ManifestError(f"A checksum needs a file, but there is none at {path}.")
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_record(path: Path, values: Mapping[str, Any]) -> Path:
    """Write readable JSON whole or not at all; NaN and infinities are refused."""
    with whole_file(path) as unfinished:
        unfinished.write_text(json.dumps(values, indent=1, allow_nan=False) + "\n", "utf-8")
    return path


def read_record(path: Path, *, form: int, what: str, cure: str) -> dict[str, Any]:
    """Read JSON that `write_record` wrote, if it is of the right format.

    Args:
        path: The file.
        form: What its "format" must be.
        what: What the file holds, for the message: "band statistics".
        cure: How to make it, for the message.

    Raises:
        ManifestError: If the file is missing, damaged, or of another format.
    """
    if not path.is_file():
        raise ManifestError(f"There are no {what} at {path}.\n{cure}")
    try:
        found = json.loads(path.read_text("utf-8"))
        found_form = found["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise ManifestError(f"{path} holds no {what} ({error!r}).\n{cure}") from error
    if found_form != form:
        raise ManifestError(
            f"A record of {what} must be of format {form}, but {path} is of {found_form!r}.\n{cure}"
        )
    return found
