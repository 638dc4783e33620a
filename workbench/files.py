"""Atomic file writes, text of any encoding mark, checksums, and paths that stay in their folder."""

import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING

from workbench.errors import UnsafePathError, WorkbenchError

if TYPE_CHECKING:
    import pyarrow as pa


@contextmanager
def whole_file(path: Path, *, keep_suffix: bool = False) -> Iterator[Path]:
    """Give a temporary path beside `path` that becomes `path` when the block ends well.

    If the block raises, the temporary file is removed and an older `path` stays as it was.

    Args:
        path: The file; its folder is made if it is missing.
        keep_suffix: End the temporary name like `path`, for writers that choose the format by it.
            Otherwise it ends in ".tmp", which no search for finished files finds.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = f"{os.getpid()}-{threading.get_ident():x}"
    unfinished = path.with_name(f".{path.name}.{writer}.tmp{path.suffix if keep_suffix else ''}")
    try:
        yield unfinished
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


@contextmanager
def opened_once(path: Path) -> Iterator["pa.NativeFile"]:
    """Open a Parquet file such that all of it is read as it is now.

    Given a path, pyarrow opens the file once for its footer and again for its pages. If
    `whole_file` replaces it in between, the footer of the old file is applied to the new one.

    Args:
        path: The file; a reader gets what this yields instead of it.

    Raises:
        FileNotFoundError: If there is none.
    """
    import pyarrow as pa

    with pa.OSFile(str(path)) as file:
        yield file


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_text(path: Path, *, error: type[WorkbenchError] = WorkbenchError) -> str:
    """Read a UTF-8 text file; a byte order mark is dropped and line ends become line feeds.

    Every text file that a person or another program may have written is read here.

    Args:
        path: The file.
        error: What to raise for bytes that are not UTF-8.

    Raises:
        FileNotFoundError: If there is none.
        WorkbenchError: (or `error`) If the file is not UTF-8, naming it and the first bad byte.
    """
    try:
        with path.open(encoding="utf-8-sig", newline=None) as file:
            return file.read()
    except UnicodeDecodeError as problem:
        raise error(
            f"{path} must be UTF-8 text, but byte {problem.start} is "
            f"0x{problem.object[problem.start]:02x}.\nSave it as UTF-8."
        ) from None


def path_inside(folder: Path, name: str | os.PathLike[str], *, what: str = "A path") -> Path:
    """Resolve a path that was read from a file, and refuse one that leaves its folder.

    Links are followed: a link inside the folder that leads out of it is refused too.

    Args:
        folder: The folder that all such paths must stay in.
        name: The path as it was read: relative to `folder`, with "/" between its parts.
        what: What names it, for the message: "An artifact of run.json".

    Returns:
        The absolute, resolved path; it need not exist. Never `folder` itself.

    Raises:
        UnsafePathError: If it is empty, absolute, holds "..", a drive or a NUL, or resolves to a
            place outside `folder`.
    """
    text = os.fspath(name)
    parts = PurePosixPath(text).parts
    root = folder.resolve()
    plain = bool(parts) and ".." not in parts and "\0" not in text
    plain = plain and not PurePosixPath(text).is_absolute() and not PureWindowsPath(text).anchor
    if plain and (resolved := (root / text).resolve()).is_relative_to(root) and resolved != root:
        return resolved
    raise UnsafePathError(
        f"{what} must stay inside {folder}, but is {text!r}.\n"
        "Nothing was read, written or removed there; do not use files from this source unchecked."
    )
