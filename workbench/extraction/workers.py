"""Who does the work: this process, a local Dask cluster, or any Dask scheduler."""

import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.errors import ContractMismatchError, WorkbenchError
from workbench.extraction.cutting import (
    CutPatch,
    CutRules,
    OutputError,
    TileJob,
    cut_tile,
    release_room,
)
from workbench.extraction.journal import Journal

if TYPE_CHECKING:
    from distributed import Client

log = logging.getLogger(__name__)

_PAUSE_S = 0.3  # before a tile is tried again: a network disk may have hiccuped


@dataclass(frozen=True)
class TileResult:
    """What became of a tile."""

    tile_id: str
    patches: tuple[CutPatch, ...] = ()
    """What became of its patches."""
    failure: str | None = None
    """Why the tile could not be cut at all."""
    breaks_contract: bool = False
    """Whether it can be read, but has other bands, types or numbers than the store."""


def cut_unit(jobs: Sequence[TileJob], rules: CutRules, out: Path, retries: int) -> list[TileResult]:
    """Cut some tiles one after the other, in whatever process this is.

    Raises:
        OutputError: If the output cannot be written; nothing else is fatal.
    """
    return [_cut_or_report(job, rules, out, retries) for job in jobs]


def _cut_or_report(job: TileJob, rules: CutRules, out: Path, retries: int) -> TileResult:
    for attempt in range(retries + 1):
        try:
            patches = cut_tile(job, rules, out)
            break
        except OutputError:
            raise
        except ContractMismatchError as error:  # no retry makes other bands of it
            return TileResult(job.tile_id, failure=_sentence(error), breaks_contract=True)
        except WorkbenchError as error:
            failure = _sentence(error)
        except Exception as error:  # whatever a damaged file provokes costs that tile, not the run
            log.exception("tile %s", job.tile_id)
            failure = f"{type(error).__name__}: {error}"
        if attempt < retries:
            time.sleep(_PAUSE_S)
    else:
        return TileResult(job.tile_id, failure=failure)
    try:
        Journal(out).finish(job.tile_id, patches)
    except OSError as error:
        raise OutputError(str(error)) from error
    return TileResult(job.tile_id, tuple(patches))


def _sentence(error: WorkbenchError) -> str:
    return str(error).splitlines()[0]


def run_units(
    units: Sequence[Sequence[TileJob]],
    rules: CutRules,
    out: Path,
    *,
    workers: int | None = None,
    scheduler: "str | Client | None" = None,
    retries: int = 1,
) -> Iterator[TileResult]:
    """Do all units and give the results as they come.

    Args:
        units: The work.
        rules: How to cut.
        out: Folder of the extraction, which every worker must reach by this path.
        workers: Processes of a local cluster; None: one for each core. 1 works in this process.
        scheduler: Address of a Dask scheduler or a client of one, instead of a local cluster.
        retries: How often a tile that cannot be read, or a unit whose worker died, is tried again.

    Raises:
        OutputError: If the output cannot be written.
    """
    count = len(os.sched_getaffinity(0)) if workers is None else workers
    if scheduler is None and min(count, len(units)) <= 1:
        try:
            for unit in units:
                yield from cut_unit(unit, rules, out, retries)
        finally:
            release_room()
        return
    with ExitStack() as opened:
        client = _client(scheduler, min(count, len(units)), opened)
        yield from _run_on(client, units, rules, out, retries)


def _client(scheduler: "str | Client | None", workers: int, opened: ExitStack) -> "Client":
    from distributed import Client, LocalCluster

    if isinstance(scheduler, Client):
        return scheduler
    if scheduler is None:
        opened.enter_context(_hushed("distributed"))
        cluster = opened.enter_context(
            LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                dashboard_address=":0",  # any free port: several runs may share a machine
            )
        )
        return opened.enter_context(Client(cluster))
    return opened.enter_context(Client(scheduler))


@contextmanager
def _hushed(name: str) -> Iterator[None]:
    """Keep a library's chatter about starting and stopping out of the output for a while."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _run_on(
    client: "Client",
    units: Sequence[Sequence[TileJob]],
    rules: CutRules,
    out: Path,
    retries: int,
) -> Iterator[TileResult]:
    from distributed import as_completed
    from distributed.scheduler import KilledWorker

    def submit(unit: Sequence[TileJob]) -> object:
        future = client.submit(
            cut_unit, list(unit), rules, out.resolve(), retries, pure=False, retries=retries
        )
        waiting[future.key] = unit
        return future

    waiting: dict[object, Sequence[TileJob]] = {}
    running = as_completed([submit(unit) for unit in units])
    try:
        for future in running:
            unit, error = waiting.pop(future.key), future.exception()
            if error is None:
                yield from future.result()
            elif isinstance(error, KilledWorker):
                if len(unit) > 1:  # find the tile that does it
                    running.update([submit([job]) for job in unit])
                else:
                    yield TileResult(unit[0].tile_id, failure="its worker died each time")
            else:
                raise error
            future.release()
    finally:
        client.cancel([f for f in running.futures], force=True)
