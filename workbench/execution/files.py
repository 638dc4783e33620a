"""Files that are whole or absent: temporary name in the same folder, then a rename."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from workbench.errors import NotebookRunError


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Give a temporary path beside `target` that becomes `target` when the block ends well.

    The temporary name keeps the suffix, since some writers choose the format by it. If the block
    raises, the temporary file is removed and an older `target` stays as it was.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.stem}.{os.getpid()}.tmp{target.suffix}")
    try:
        yield temporary
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(target: Path, text: str) -> Path:
    """Write UTF-8 text atomically and return the path."""
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return target


def write_json(target: Path, value: Any) -> Path:
    """Write readable JSON atomically and return the path; what JSON cannot hold is refused."""
    return write_text(target, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False))


def require_writable(folder: Path) -> None:
    """Make a folder if it is missing, and see that files can be written there.

    Raises:
        NotebookRunError: If not; naming the folder and what the system says.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise NotebookRunError(
            f"The run folder {folder} must be writable, but is not: {error.strerror}.\n"
            "Name another one with --run-dir (`run_dir` in Python), or mend its permissions."
        ) from None


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
