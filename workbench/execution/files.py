"""Files of a run: text and JSON written whole, and disks that are full or not to be written."""

import errno
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from workbench.errors import NotebookRunError
from workbench.files import whole_file

NEEDED_BYTES = 50_000_000
"""Free space below which no run is begun: records, logs and an executed notebook need as much."""

NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""What the system says when a disk, a quota or a limit is full."""


RESERVE = "run.reserve"
RESERVE_BYTES = 500_000
"""Room that a run holds back, so that on a full disk it can still write how it ended."""


def write_text(target: Path, text: str) -> Path:
    """Write UTF-8 text atomically and return the path.

    If the disk is full, the room that the run holds back (`room_reserved`) is given up for it.
    """
    try:
        return _written(target, text)
    except OSError as error:
        reserves = [folder / RESERVE for folder in (target.parent, target.parent.parent)]
        there = [path for path in reserves if path.is_file() and not path.is_symlink()]
        if error.errno not in NO_ROOM or not there:
            raise
        there[0].unlink(missing_ok=True)
        return _written(target, text)


def _written(target: Path, text: str) -> Path:
    with whole_file(target) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return target


@contextmanager
def room_reserved(folder: Path) -> Iterator[None]:
    """Hold some room of the disk back during the block, for `write_text` on a full disk."""
    reserve = folder / RESERVE
    with suppress(OSError), whole_file(reserve) as temporary:
        temporary.write_bytes(bytes(RESERVE_BYTES))
    try:
        yield
    finally:
        reserve.unlink(missing_ok=True)


def write_json(target: Path, value: Any) -> Path:
    """Write readable JSON atomically and return the path; what JSON cannot hold is refused."""
    return write_text(target, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False))


def require_writable(folder: Path) -> None:
    """Make a folder if it is missing, and see that files can be written there.

    Raises:
        NotebookRunError: If not, or if the disk is full; naming the folder and what was found.
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
    free = shutil.disk_usage(folder).free
    if free < NEEDED_BYTES:
        raise NotebookRunError(
            f"The disk of the run folder {folder} must have {NEEDED_BYTES / 1e6:.0f} MB free, "
            f"but has {free / 1e6:.0f} MB.\nMake room (`workbench runs rm`), or name a folder "
            "elsewhere with --run-dir."
        )


@contextmanager
def told_when_full(folder: Path) -> Iterator[None]:
    """Turn the system's word for a full disk into an error that says what to do.

    Raises:
        NotebookRunError: If the block could not write for want of room.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        raise NotebookRunError(
            f"There was no room left to write {error.filename or folder} ({error.strerror}).\n"
            f"Make room and run again: finished steps in {folder} stay finished."
        ) from error
