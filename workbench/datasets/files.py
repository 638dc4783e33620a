"""Records beside a manifest: whole or absent, and read back with their format checked."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.errors import ManifestError
from workbench.files import read_text, sha256_of, whole_file

__all__ = ["file_checksum", "json_checksum", "read_record", "whole_file", "write_record"]


def file_checksum(path: Path | str) -> str:
    """SHA-256 of a file, as 64 hexadecimal digits.

    Raises:
        ManifestError: If there is no file.
    """
    if not Path(path).is_file():
        raise ManifestError(f"A checksum needs a file, but there is none at {path}.")
    return sha256_of(Path(path))


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
        found = json.loads(read_text(path, error=ManifestError))
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"{path} holds no {what} ({error}).\n{cure}") from None
    if not isinstance(found, dict) or "format" not in found:
        raise ManifestError(f"{path} holds no {what}: it names no format.\n{cure}")
    if found["format"] != form or isinstance(found["format"], bool):
        raise ManifestError(
            f"A record of {what} must be of format {form}, but {path} is of "
            f"{str(found['format'])[:40]!r}.\n{cure}"
        )
    return found


def json_checksum(values: object) -> str:
    """SHA-256 of plain values, whatever the layout of the text that holds them."""
    text = json.dumps(values, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
