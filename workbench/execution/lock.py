"""One process for each run folder: who holds it, since when, and whether it still lives.

The lock is one of the system's (flock), which ends with the process however that ends. Beside it
stands ``holder.json``, which tells people and other machines who it is; its heartbeat is written
every few seconds, since a lock cannot be seen from every machine that shares the folder. Clocks of
two machines may differ: where a heartbeat lies in the future, or is older than its file, it is the
change of the file that tells whether its writer lives.
"""

import contextlib
import fcntl
import os
import platform
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from pydantic import AwareDatetime, BaseModel, ConfigDict

from workbench.errors import NotebookRunError, WorkbenchError
from workbench.execution.files import write_json
from workbench.execution.processes import ProcessIdentity
from workbench.execution.records import now
from workbench.execution.removal import remove_inside
from workbench.execution.schemas import VERSION, Version, read_stored
from workbench.files import path_inside

HEARTBEAT_SECONDS = 5.0
SILENT_SECONDS = 60.0
"""A holder on another machine that was not heard of for so long is taken for dead."""

WATCH_SECONDS = 2.5 * HEARTBEAT_SECONDS
"""A new holder watches so long for a heartbeat of one elsewhere whose clock cannot be trusted."""

PATIENCE_SECONDS = 0.5
"""Others may look at the lock for a moment; so long a new holder waits for them."""


@dataclass(frozen=True)
class Holder:
    """The process that works in a run folder, or that last did."""

    pid: int
    host: str
    command: str
    started: str
    heartbeat: str
    job: str = ""
    """Its job on a cluster, if it is one."""

    process: ProcessIdentity | None = None
    """The process itself; None in files of an older version."""

    def sentence(self) -> str:
        """Who it is, in one line for people."""
        job = f", job {self.job}" if self.job else ""
        return f"process {self.pid} on {self.host}{job}, since {self.started}: {self.command}"

    def silent_seconds(self) -> float:
        """Time since it last gave a sign of life, s; negative if its clock is ahead of ours."""
        return (datetime.now(UTC) - datetime.fromisoformat(self.heartbeat)).total_seconds()


class StoredHolder(BaseModel):
    """``holder.json``."""

    model_config = ConfigDict(extra="forbid")

    pid: int
    host: str
    command: str
    started: AwareDatetime
    heartbeat: AwareDatetime
    job: str = ""
    process: ProcessIdentity | None = None
    version: Version = 1


@dataclass
class _Held:
    file: TextIO
    stop: threading.Event
    thread: threading.Thread
    users: int = 1


_held: dict[Path, _Held] = {}
_registry = threading.Lock()


@contextlib.contextmanager
def run_lock(run_dir: Path) -> Iterator[None]:
    """Hold the lock of a run folder during the block; several threads of one process may.

    Raises:
        NotebookRunError: If another process holds it; the message says which.
    """
    folder = run_dir.resolve()
    with _registry:
        if folder in _held:
            _held[folder].users += 1
        else:
            _held[folder] = _take(folder)
    try:
        yield
    finally:
        with _registry:
            held = _held[folder]
            held.users -= 1
            if not held.users:
                del _held[folder]
                _release(folder, held)


def _take(folder: Path) -> _Held:
    path_inside(folder, "run.lock", what="The lock of a run")
    file = (folder / "run.lock").open("a")
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not _locked(file, fcntl.LOCK_EX):
        if time.monotonic() > deadline:
            file.close()
            raise _in_use(folder, read_holder(folder))
        time.sleep(0.05)
    before = read_holder(folder)  # now, since one that ends removes it before it lets go
    if before is not None and _lives_elsewhere(before, folder):
        file.close()
        raise _in_use(folder, before)
    started, stop = now(), threading.Event()
    _beat(folder, started)

    def beat() -> None:
        while not stop.wait(HEARTBEAT_SECONDS):
            with contextlib.suppress(OSError):  # a full disk is told by those who write results
                _beat(folder, started)

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    return _Held(file, stop, thread)


def _release(folder: Path, held: _Held) -> None:
    held.stop.set()
    held.thread.join()
    remove_inside(folder, ["holder.json"])
    held.file.close()


def _in_use(folder: Path, holder: Holder | None) -> NotebookRunError:
    who = holder.sentence() if holder else "a process that has not said who it is"
    return NotebookRunError(
        f"One process may work in a run folder, but {folder} is held by\n{who}\n"
        f"Wait for it, stop it, or name another folder with --name or --run-dir."
    )


def _lives_elsewhere(holder: Holder, folder: Path) -> bool:
    """Whether a holder that this machine's lock does not show may still be at work."""
    if holder.process is not None and holder.process.is_here:
        return holder.process.pid != os.getpid() and holder.process.is_alive()
    if holder.host == platform.node() or (holder.job and holder.job == _job()):
        return False
    if _clock_is_trusted(holder, folder):
        return holder.silent_seconds() < SILENT_SECONDS
    return _is_heard(folder)


def _clock_is_trusted(holder: Holder, folder: Path) -> bool:
    """Whether a heartbeat can be held against our clock: it is past, and as old as its file."""
    silent = holder.silent_seconds()
    try:
        unchanged = time.time() - (folder / "holder.json").stat().st_mtime
    except OSError:
        unchanged = silent
    return silent >= -HEARTBEAT_SECONDS and (silent < SILENT_SECONDS) == (
        unchanged < SILENT_SECONDS
    )


def _is_heard(folder: Path) -> bool:
    """Watch whether ``holder.json`` changes, for as long as two heartbeats take."""
    before, deadline = read_holder(folder), time.monotonic() + WATCH_SECONDS
    while time.monotonic() < deadline:
        time.sleep(min(0.25, WATCH_SECONDS / 10))
        if read_holder(folder) != before:
            return True
    return False


def _locked(file: TextIO, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # a file system without locks: the heartbeat has to do
    return True


def _job() -> str:
    array, task = (os.environ.get(f"SLURM_ARRAY_{name}_ID") for name in ("JOB", "TASK"))
    return f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID", "")


def _beat(folder: Path, started: str) -> None:
    command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])[:200]
    if command.startswith("_submit.py "):  # how submitit starts a job
        command = "a job of `workbench run --cluster`"
    own = ProcessIdentity.own()
    value = {"pid": own.pid, "host": own.host, "command": command}
    value |= {"started": started, "heartbeat": now(), "job": _job()}
    write_json(folder / "holder.json", {**value, "process": own.to_json(), "version": VERSION})


def read_holder(run_dir: Path) -> Holder | None:
    """Who works in a run folder, or who was cut off there; None after an end in order.

    A damaged file says nothing: the lock itself is the system's.
    """
    path = run_dir / "holder.json"
    if not path.exists():
        return None
    try:
        stored = read_stored(path, StoredHolder, what="the holder of a run folder")
    except WorkbenchError:
        return None
    times = {name: getattr(stored, name).isoformat() for name in ("started", "heartbeat")}
    return Holder(
        stored.pid, stored.host, stored.command, **times, job=stored.job, process=stored.process
    )


def living_holder(run_dir: Path) -> Holder | None:
    """Who works in a run folder at this moment; None if nobody does, or nobody is heard of."""
    holder = read_holder(run_dir)
    path = run_dir / "run.lock"
    if holder is None or not path.is_file():
        return None
    if holder.host != platform.node():
        return holder if abs(holder.silent_seconds()) < SILENT_SECONDS else None
    if holder.process is not None and holder.process.is_alive():
        return holder
    with path.open(encoding="utf-8") as file:
        return None if _locked(file, fcntl.LOCK_SH) else holder
