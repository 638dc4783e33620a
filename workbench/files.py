"""Files that are whole or absent: temporary name in the same folder, then a rename."""

import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

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
