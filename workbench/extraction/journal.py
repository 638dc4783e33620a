"""What an extraction has done so far, so that a later run goes on where one was cut off.

    <out>/journal/job.json         what is being extracted; a run of something else is refused
    <out>/journal/tiles/<id>.json  one for each finished tile, written after its shards are in place
    <out>/partial/                 files that are being written; what is left there is of no use

Each file appears whole or not at all. Nothing else has to be kept through a kill.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from workbench.errors import ManifestError
from workbench.extraction.cutting import PARTIAL, CutPatch, as_plain, from_plain

FORMAT = 1


class Journal:
    """The journal of one folder."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.tiles = out / "journal" / "tiles"
        self._job = out / "journal" / "job.json"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other runs out of the folder, and clear away what a killed run left half-written.

        Raises:
            ManifestError: If another run is at work there.
            OSError: If the folder cannot be written.
        """
        import fcntl

        self.tiles.mkdir(parents=True, exist_ok=True)
        with (self.out / "journal" / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ManifestError(
                    f"One run at a time may write a folder, but another one is at work in "
                    f"{self.out}.\nWait for it, or name another folder."
                ) from error
            self._sweep()
            yield
            self._sweep()  # also what workers of a killed run may have left meanwhile

    def _sweep(self) -> None:
        shutil.rmtree(self.out / PARTIAL, ignore_errors=True)
        for folder in (self.out, self.tiles.parent, self.tiles):
            for left in (*folder.glob(".*.parquet.*"), *folder.glob(".*.tmp")):
                left.unlink(missing_ok=True)

    def job(self) -> dict[str, Any] | None:
        """Give what was written by `begin`; None if the folder is new.

        Raises:
            ManifestError: If the journal is of another format.
        """
        if not self._job.exists():
            return None
        found: dict[str, Any] = json.loads(self._job.read_text())
        if found["format"] != FORMAT:
            raise ManifestError(
                f"An extraction of format {FORMAT} can be gone on with, but {self.out} has format "
                f"{found['format']}.\nFinish it with the version that began it, or name another "
                "folder."
            )
        return found

    def begin(self, job: Mapping[str, Any]) -> None:
        """Write down what is extracted here."""
        write_atomically(self._job, json.dumps({"format": FORMAT, **job}, indent=1))

    def finished(self) -> dict[str, list[CutPatch]]:
        """Give the results of the tiles that are done, by id."""
        found = {}
        for path in sorted(self.tiles.glob("*.json")):
            entry = json.loads(path.read_text())
            found[entry["tile_id"]] = [from_plain(patch) for patch in entry["patches"]]
        return found

    def finish(self, tile_id: str, patches: list[CutPatch]) -> None:
        """Note that a tile is done: its shards are in place."""
        entry = {"tile_id": tile_id, "patches": [as_plain(patch) for patch in patches]}
        write_atomically(self.tiles / _file_name(tile_id), json.dumps(entry))


def fingerprint(values: object) -> str:
    """Sum plain values up: the same values give the same 32 hex digits."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:32]


def write_atomically(path: Path, text: str) -> None:
    """Write a small file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{uuid4().hex}.tmp")
    try:
        unfinished.write_text(text)
        os.replace(unfinished, path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def _file_name(tile_id: str) -> str:
    """A name that any file system takes, for any id."""
    plain = "".join(c if c.isalnum() or c in "-_" else "-" for c in tile_id)[:100]
    return f"{plain}.{hashlib.sha256(tile_id.encode()).hexdigest()[:8]}.json"
