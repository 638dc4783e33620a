"""The folder of an extraction before its pixels: the store's layout, found again or begun."""

import logging
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from uuid import uuid4

import numpy as np

from workbench.errors import ContractMismatchError, ManifestError, TileError, WorkbenchError
from workbench.extraction.cutting import PARTIAL, CutPatch, TileJob, grid_of
from workbench.extraction.journal import Journal
from workbench.extraction.shards import Compression
from workbench.extraction.sources import Bands, open_source
from workbench.extraction.store import STORE, StoreLayout, create_store, shard_path
from workbench.geo.grid import PixelGrid
from workbench.geo.lines import GridLines, require_same_pixels, same_size
from workbench.geo.tile import Tile
from workbench.geo.units import metres_per_unit
from workbench.sensors import InputContract

log = logging.getLogger(__name__)

_SAMPLE = 32  # tiles looked at first; all, if these do not agree


def begin_or_go_on(
    journal: Journal,
    jobs: Sequence[TileJob],
    tiles: Sequence[Tile],
    sums: Mapping[str, str],
    bands: Bands,
    compression: Compression | None,
    shard_size: int,
    patch_size: int | None = None,
    nodata: float | None = None,
) -> StoreLayout:
    """Find the extraction that was begun here, or begin it; its empty store is there afterwards."""
    job = journal.job()
    if job is not None:
        if changed := [name for name in sums if job["sums"].get(name) != sums[name]]:
            raise ManifestError(
                f"A folder holds one extraction, but that in {journal.out} has another "
                f"{', '.join(changed)}.\nName another folder, or remove this one."
            )
        told = {**job["layout"], "contract": InputContract.from_dict(job["layout"]["contract"])}
        layout = StoreLayout(**told)
    else:
        layout = _layout(jobs, bands, compression, shard_size, patch_size, nodata)
        told = {**asdict(layout), "contract": layout.contract.to_dict()}
        journal.begin({"sums": dict(sums), "layout": told})
    store = journal.out / STORE
    if not store.exists():
        unfinished = journal.out / PARTIAL / f"store-{uuid4().hex}"
        create_store(unfinished, layout, _places(jobs, tiles, layout.places))
        os.replace(unfinished, store)
    return layout


def _layout(
    jobs: Sequence[TileJob],
    bands: Bands,
    compression: Compression | None,
    shard_size: int,
    patch_size: int | None,
    nodata: float | None = None,
) -> StoreLayout:
    """The store that most tiles ask for, with the pixels that were planned."""
    first = jobs[0].patches[0]
    side = (first.bounds[2] - first.bounds[0]) * metres_per_unit(first.crs)
    unfit: tuple[PixelGrid, WorkbenchError] | None = None
    for head in _of_the_majority(jobs, bands, nodata):
        job, contract, dtype, grid = head.job, head.contract, head.dtype, head.grid
        try:
            if not job.may_resample:
                size = patch_size or _whole_pixels(side, grid)
                one = grid_of(job.patches[0], (size, size))
                require_same_pixels(grid, GridLines.of(one), name=f"Tile {job.tile_id}")
            break
        except WorkbenchError as error:
            unfit = unfit or (grid, error)
    else:
        assert unfit is not None  # there is a head, and it did not fit
        _whole_pixels(side, unfit[0])
        raise ManifestError(f"No tile has the pixels that were planned. {unfit[1]}")
    if patch_size is None:
        patch_size = _whole_pixels(side, grid)
    if not same_size(contract.gsd_m, side / patch_size):
        contract = replace(contract, gsd_m=side / patch_size)  # as the plan says that it may
    last = jobs[-1]
    places = last.patches[0].place + -(-len(last.patches) // shard_size) * shard_size
    return StoreLayout(places, patch_size, dtype, shard_size, contract, compression)


@dataclass(frozen=True)
class _Head:
    """What the header of a tile says."""

    job: TileJob
    contract: InputContract
    dtype: str
    grid: PixelGrid
    remarks: tuple[str, ...]

    @property
    def kind(self) -> tuple[object, ...]:
        """What tiles of one store share; pixel sizes are held against the plan."""
        c = self.contract
        return c.band_names, self.dtype, c.units, c.scale, c.offset, repr(c.nodata)


def _of_the_majority(jobs: Sequence[TileJob], bands: Bands, nodata: float | None) -> list[_Head]:
    """Headers of the tiles whose contract most patches share; a few tiles, if these agree.

    Raises:
        TileError: If none can be read.
        ContractMismatchError: If no contract has more patches than another.
    """
    step = max(1, len(jobs) // _SAMPLE)
    heads, problem = _heads(jobs[::step], bands, nodata)
    if step > 1 and len({head.kind for head in heads}) != 1:
        heads, problem = _heads(jobs, bands, nodata)
    if not heads:
        raise TileError(f"None of the {len(jobs)} tiles can be read. The first: {problem}")
    for remark in sorted({remark for head in heads for remark in head.remarks}):
        of = [head.job.tile_id for head in heads if remark in head.remarks]
        more = f" and {len(of) - 1} more" if len(of) > 1 else ""
        log.warning("tile %s%s %s", of[0], more, remark)
    patches: Counter[tuple[object, ...]] = Counter()
    for head in heads:
        patches[head.kind] += len(head.job.patches)
    (kind, most), *others = patches.most_common()
    if others and others[0][1] == most:
        rival = next(head for head in heads if head.kind == others[0][0])
        chosen = next(head for head in heads if head.kind == kind)
        told = rival.contract.mismatch(chosen.contract) or [f"{rival.dtype}, not {chosen.dtype}"]
        raise ContractMismatchError(
            f"Tiles of one store must share bands and numbers, but half of the patches are of one "
            f"kind and half of another: tile {rival.job.tile_id} against {chosen.job.tile_id}, "
            f"{'; '.join(told)}.\nLeave one kind out of the plan, or choose bands that both "
            "have (`bands=`, `--bands`) and state one `nodata=`."
        )
    if others:
        odd = [head.job.tile_id for head in heads if head.kind != kind]
        log.warning(
            "%d of %d tiles break the contract of the others and are left out, e.g. %s",
            len(odd), len(heads), odd[0],
        )  # fmt: skip
    return [head for head in heads if head.kind == kind]


def _heads(
    jobs: Sequence[TileJob], bands: Bands, nodata: float | None
) -> tuple[list[_Head], WorkbenchError | None]:
    heads: list[_Head] = []
    problem: WorkbenchError | None = None
    for job in jobs:
        try:
            with open_source(job.path, job.tile_id, bands=bands, nodata=nodata) as source:
                told = source.contract, source.dtype, source.grid, source.remarks
        except WorkbenchError as error:
            problem = problem or error
            continue
        heads.append(_Head(job, *told))
    return heads, problem


def _whole_pixels(side: float, grid: PixelGrid) -> int:
    """Count the pixels of a tile on a side of a location, which is in metres.

    Raises:
        ManifestError: If they are not whole, or have no one size in metres.
    """
    try:
        gsd = grid.gsd_m
    except WorkbenchError as error:
        raise ManifestError(f"No tile has the pixels that were planned. {error}") from error
    count = round(side / gsd)
    if count < 1 or abs(side - count * gsd) > 1e-3 * gsd:
        raise ManifestError(
            f"A location must be whole pixels, but its side of {side:g} m is "
            f"{side / gsd:.3f} pixels of {gsd:g} m.\n"
            "Plan with the grid of the tiles: leave `ViewRules(gsd=...)` out."
        )
    return count


def _places(jobs: Sequence[TileJob], tiles: Sequence[Tile], n: int) -> dict[str, np.ndarray]:
    """What the plan knows about each place of the store."""
    time = np.full(n, np.iinfo(np.int64).min, dtype=np.int64)
    epsg, xmin, ymax = np.zeros(n, np.int32), np.full(n, np.nan), np.full(n, np.nan)
    texts: dict[str, list[str]] = {name: [""] * n for name in ("location_id", "tile_id", "crs")}
    acquired = {tile.id: int(tile.acquired.timestamp()) for tile in tiles}
    for job in jobs:
        for patch in job.patches:
            authority, _, code = patch.crs.partition(":")
            time[patch.place] = acquired[job.tile_id]
            epsg[patch.place] = int(code) if authority == "EPSG" else 0
            xmin[patch.place], ymax[patch.place] = patch.bounds[0], patch.bounds[3]
            texts["location_id"][patch.place] = patch.location_id
            texts["tile_id"][patch.place] = job.tile_id
            texts["crs"][patch.place] = patch.crs
    named = {name: np.array(values) for name, values in texts.items()}
    return {"time": time, "epsg": epsg, "xmin": xmin, "ymax": ymax, **named}


def shards_stand(out: Path, layout: StoreLayout, patches: Sequence[CutPatch]) -> bool:
    """Whether the shards of a finished tile are still where they were put."""
    shards = {patch.place // layout.shard_size for patch in patches if not patch.reasons}
    return all(
        shard_path(out / STORE, name, k).is_file() for k in shards for name in ("pixels", "quality")
    )


def remove_shards(out: Path, layout: StoreLayout, job: TileJob) -> None:
    """Remove what an earlier run may have written for a tile that cannot be read now."""
    for shard in {patch.place // layout.shard_size for patch in job.patches}:
        for name in ("pixels", "quality"):
            shard_path(out / STORE, name, shard).unlink(missing_ok=True)
