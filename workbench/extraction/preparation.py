"""The folder of an extraction before its pixels: the store's layout, found again or begun."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from uuid import uuid4

import numpy as np

from workbench.errors import ManifestError, TileError, WorkbenchError
from workbench.extraction.cutting import PARTIAL, CutPatch, TileJob
from workbench.extraction.journal import Journal
from workbench.extraction.shards import Compression
from workbench.extraction.sources import Bands, open_source
from workbench.extraction.store import STORE, StoreLayout, create_store, shard_path
from workbench.geo.tile import Tile
from workbench.sensors import InputContract


def begin_or_go_on(
    journal: Journal,
    jobs: Sequence[TileJob],
    tiles: Sequence[Tile],
    sums: Mapping[str, str],
    bands: Bands,
    compression: Compression | None,
    shard_size: int,
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
        layout = _layout(jobs, bands, compression, shard_size)
        told = {**asdict(layout), "contract": layout.contract.to_dict()}
        journal.begin({"sums": dict(sums), "layout": told})
    store = journal.out / STORE
    if not store.exists():
        unfinished = journal.out / PARTIAL / f"store-{uuid4().hex}"
        create_store(unfinished, layout, _places(jobs, tiles, layout.places))
        os.replace(unfinished, store)
    return layout


def _layout(
    jobs: Sequence[TileJob], bands: Bands, compression: Compression | None, shard_size: int
) -> StoreLayout:
    """The store that the first readable tile asks for."""
    problem: WorkbenchError | None = None
    for job in jobs:
        try:
            with open_source(job.path, job.tile_id, bands=bands) as source:
                contract, dtype = source.contract, source.dtype
            break
        except WorkbenchError as error:
            problem = problem or error
    else:
        raise TileError(f"None of the {len(jobs)} tiles can be read. The first: {problem}")
    side = jobs[0].patches[0].bounds[2] - jobs[0].patches[0].bounds[0]
    patch_size = round(side / contract.gsd_m)
    if patch_size < 1 or abs(side - patch_size * contract.gsd_m) > 1e-3 * contract.gsd_m:
        raise ManifestError(
            f"A location must be whole pixels, but its side of {side:g} m is "
            f"{side / contract.gsd_m:.3f} pixels of {contract.gsd_m:g} m.\n"
            "Plan with the GSD of the tiles: `ViewRules(gsd=...)`."
        )
    last = jobs[-1]
    places = last.patches[0].place + -(-len(last.patches) // shard_size) * shard_size
    return StoreLayout(places, patch_size, dtype, shard_size, contract, compression)


def _places(jobs: Sequence[TileJob], tiles: Sequence[Tile], n: int) -> dict[str, np.ndarray]:
    """What the plan knows about each place of the store."""
    time = np.full(n, np.iinfo(np.int64).min, dtype=np.int64)
    epsg, xmin, ymax = np.zeros(n, np.int32), np.full(n, np.nan), np.full(n, np.nan)
    acquired = {tile.id: int(tile.acquired.timestamp()) for tile in tiles}
    for job in jobs:
        for patch in job.patches:
            authority, _, code = patch.crs.partition(":")
            time[patch.place] = acquired[job.tile_id]
            epsg[patch.place] = int(code) if authority == "EPSG" else 0
            xmin[patch.place], ymax[patch.place] = patch.bounds[0], patch.bounds[3]
    return {"time": time, "epsg": epsg, "xmin": xmin, "ymax": ymax}


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
