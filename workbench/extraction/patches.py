"""Planned locations to pixels: tiles opened once, patches judged, a store and its manifest written.

The folder of an extraction is described in docs/decisions/0007-patch-store.md.
"""

import logging
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import WorkbenchError
from workbench.extraction.cutting import CutRules, OutputError, TileJob
from workbench.extraction.jobs import patch_size_of, require_plan, tile_jobs, work_units
from workbench.extraction.journal import Journal, fingerprint
from workbench.extraction.manifest import read_manifest, write_manifest
from workbench.extraction.preparation import begin_or_go_on, remove_shards, shards_stand
from workbench.extraction.resampling import AcrossZones
from workbench.extraction.schemas import write_checksums
from workbench.extraction.shards import Compression
from workbench.extraction.sources import Bands
from workbench.extraction.store import STORE, StoreLayout
from workbench.extraction.tables import patch_tables
from workbench.extraction.validity import ValidityRules
from workbench.extraction.workers import TileResult, run_units
from workbench.geo.tile import Tile
from workbench.showing import Sheet, Shown

if TYPE_CHECKING:
    import geopandas as gpd
    from distributed import Client

log = logging.getLogger(__name__)

MANIFEST, REJECTED = "manifest.parquet", "rejected.parquet"
"""Names of the two tables in the folder of an extraction."""


@dataclass(frozen=True)
class Progress:
    """How far an extraction is."""

    tiles_done: int
    """Tiles that are finished or given up, those of earlier runs included."""
    tiles: int
    """Tiles of the plan."""
    patches: int
    """Acceptable patches so far."""
    rejected: int
    """Patches rejected so far, for their pixels."""
    failed: int
    """Tiles that could not be read."""


@dataclass(frozen=True, repr=False)
class Extraction(Shown):
    """A finished extraction."""

    path: Path
    """Its folder."""
    manifest: "gpd.GeoDataFrame"
    """The patches that are there, as in `manifest.parquet`; see `tables.patch_tables`."""
    rejected: "gpd.GeoDataFrame"
    """The planned patches that are not, with reasons, as in `rejected.parquet`."""
    failed: dict[str, str]
    """Tiles that could not be cut, with the reason; a later run tries them again."""
    lost_bands: dict[str, int] = field(default_factory=dict)
    """Bands without a single measurement in rejected patches where others have some, and in how
    many: leave them out with `bands=["-NAME"]`."""
    odd: tuple[str, ...] = ()
    """Those of the failed tiles that can be read, but break the contract of the others."""

    def advice(self) -> list[str]:
        """Say in sentences what kept patches out, and what to do about it."""
        told = []
        if self.odd:
            told.append(
                f"{len(self.odd):,} tiles break the contract of the others (e.g. {self.odd[0]}: "
                f"{self.failed[self.odd[0]]}). Leave them out of the plan, or choose bands that "
                "all have: --bands."
            )
        for band, count in sorted(self.lost_bands.items(), key=lambda pair: -pair[1])[:3]:
            told.append(
                f"Band {band} has no data in {count:,} rejected patches: leave it out with "
                f"--bands=-{band}."
            )
        if not len(self.manifest):
            reasons = self.rejected["reasons"].explode().value_counts()
            first = self.rejected["detail"].value_counts()
            most = f"{reasons.index[0]}, {first.index[0]}" if len(reasons) else "no patch planned"
            told.append(
                f"No patch was kept: all {len(self.rejected):,} were rejected (most: {most})."
            )
        return told

    def _sheet(self) -> Sheet:
        there, not_there = len(self.manifest), len(self.rejected)
        reasons = self.rejected["reasons"].explode().value_counts()
        rows = [(f"{count:,} rejected", str(reason)) for reason, count in reasons.items()]
        rows += [(f"tile {name}", f"not cut: {why}") for name, why in sorted(self.failed.items())]
        rows += [("advice", text) for text in self.advice()]
        caption = (
            f"Extraction of {there:,} patches at {self.manifest['location_id'].nunique():,} "
            f"locations, {not_there:,} rejected, {len(self.failed):,} tiles not read ({self.path})"
        )
        return Sheet(caption, ("what", "why"), rows)


def extract_patches(
    plan: "gpd.GeoDataFrame",
    tiles: Sequence[Tile],
    out: Path | str,
    *,
    rules: ValidityRules | None = None,
    bands: Bands = "kept",
    across_zones: AcrossZones = "bilinear",
    nodata: float | None = None,
    shard_size: int | None = None,
    compression: Compression | None = None,
    workers: int | None = None,
    scheduler: "str | Client | None" = None,
    retries: int = 1,
    progress: Callable[[Progress], None] | None = None,
) -> Extraction:
    """Cut the patches of a plan out of its tiles, into a store with a manifest beside it.

    Each tile is opened once. All acquisitions of a location are on the location's own grid: pixels
    are copied where the grids agree, taken from the nearest pixel where lines of the same CRS are
    shifted, and resampled across CRS; the manifest says how and why. Pixels of another size than
    planned are refused, unless the plan allows for them (`ViewRules.resample`). A tile that cannot
    be read costs its own patches, nothing else. A run that was cut off, at any moment, is completed
    by calling this again with the same arguments: the manifest is then what it would have been.

    Args:
        plan: Planned locations (`temporal_views`), or a manifest of kind "plan".
        tiles: The tiles it was planned from, with the paths of their products: EnMAP L2A folders,
            or single raster files.
        out: Folder to write; it holds one extraction.
        rules: Which patches are acceptable; None: the defaults of `ValidityRules`.
        bands: "kept" (202 of EnMAP by wavelength), "all", or names.
        across_zones: "bilinear" or "nearest"; see `resampling.place`.
        nodata: Stored number of plain rasters that is no measurement, beside what their headers,
            masks and alpha bands say: 0 for files with fill that no header names.
        shard_size: Patches in a file; None: those of the fullest tile, at most 64.
        compression: "zstd" for archives; None keeps plain bytes, which loaders can map.
        workers: Processes of a local Dask cluster; None: one for each core; 1: this process alone.
        scheduler: Address of a Dask scheduler, or a client, instead of a local cluster.
        retries: How often a tile that cannot be read is tried again.
        progress: Called after each tile, and at the start of a run that goes on, for example
            `print_progress`.

    Returns:
        The manifest, what was rejected and why, and which tiles could not be read.

    Raises:
        ManifestError: If the plan cannot be cut from these tiles, the folder holds another
            extraction, or another run is at work there.
        TileError: If no tile can be read.
        WorkbenchError: If the folder cannot be written or the disk is full; what is done stays
            done.
    """
    rules = ValidityRules() if rules is None else rules
    require_plan(plan, tiles)
    jobs, size = tile_jobs(plan, tiles, shard_size)
    out, journal = Path(out), Journal(Path(out))
    asked = {
        "plan": [[asdict(p) for p in job.patches] + [job.tile_id] for job in jobs],
        "rules": asdict(rules),
        "bands": bands if isinstance(bands, str) else list(bands),
        "across_zones": across_zones,
        **({} if nodata is None else {"nodata": nodata}),
        "shard_size": size,
        "compression": compression,
    }
    sums = {name: fingerprint(value) for name, value in asked.items()}
    try:
        with journal.held():
            layout = begin_or_go_on(
                journal, jobs, tiles, sums, bands, compression, size, patch_size_of(plan), nodata
            )
            cut = CutRules(layout, rules, bands, across_zones, nodata)
            results = _results(journal, jobs, cut, workers, scheduler, retries, progress)
            note = {k: v for k, v in asked.items() if k != "plan"}
            return _finish(out, plan, tiles, jobs, results, {**note, "sums": sums}, layout)
    except (OutputError, OSError) as error:
        raise WorkbenchError(
            f"Patches must be written to {out}, but it cannot be written: {error}.\n"
            "Make room or name another folder; run again, and what is done is found and kept."
        ) from error


def print_progress(progress: Progress) -> None:
    """Show progress as one line that is written over, in a terminal or below a notebook's cell."""
    end = "\n" if progress.tiles_done == progress.tiles else ""
    line = (
        f"\rtiles {progress.tiles_done:,} of {progress.tiles:,} · patches {progress.patches:,} · "
        f"rejected {progress.rejected:,} · unreadable tiles {progress.failed:,}"
    )
    print(line, end=end, file=sys.stderr, flush=True)


def _results(
    journal: Journal,
    jobs: Sequence[TileJob],
    cut: CutRules,
    workers: int | None,
    scheduler: "str | Client | None",
    retries: int,
    progress: Callable[[Progress], None] | None,
) -> dict[str, TileResult]:
    """Take what earlier runs did and do the rest."""
    of_id = {job.tile_id: job for job in jobs}
    results = {
        tile_id: TileResult(tile_id, tuple(patches))
        for tile_id, patches in journal.finished().items()
        if tile_id in of_id and shards_stand(journal.out, cut.layout, patches)
    }
    todo = [job for job in jobs if job.tile_id not in results]
    if results and todo:
        log.info("%d of %d tiles are done already", len(results), len(jobs))
    counts = _Counts(len(jobs), list(results.values()))
    if results and progress is not None:
        progress(counts.progress())
    units = work_units(todo) if todo else []
    for result in run_units(
        units, cut, journal.out, workers=workers, scheduler=scheduler, retries=retries
    ):
        results[result.tile_id] = result
        if result.failure is not None:
            log.warning("left out tile %s: %s", result.tile_id, result.failure)
            remove_shards(journal.out, cut.layout, of_id[result.tile_id])
        counts.add(result)
        if progress is not None:
            progress(counts.progress())
    return results


class _Counts:
    """Running totals for the progress."""

    def __init__(self, tiles: int, done: Sequence[TileResult]) -> None:
        self.tiles, self.done, self.patches, self.rejected, self.failed = tiles, 0, 0, 0, 0
        for result in done:
            self.add(result)

    def add(self, result: TileResult) -> None:
        accepted = sum(not patch.reasons for patch in result.patches)
        self.done += 1
        self.patches += accepted
        self.rejected += len(result.patches) - accepted
        self.failed += result.failure is not None

    def progress(self) -> Progress:
        return Progress(self.done, self.tiles, self.patches, self.rejected, self.failed)


def _finish(
    out: Path,
    plan: "gpd.GeoDataFrame",
    tiles: Sequence[Tile],
    jobs: Sequence[TileJob],
    results: Mapping[str, TileResult],
    note: Mapping[str, Any],
    layout: StoreLayout,
) -> Extraction:
    """Write both tables, the manifest last."""
    kept, rejected = patch_tables(plan, tiles, jobs, results)
    failed = {i: r.failure for i, r in sorted(results.items()) if r.failure is not None}
    odd = tuple(i for i, r in sorted(results.items()) if r.breaks_contract)
    lost_bands = Counter(
        band
        for result in results.values()
        for patch in result.patches
        if "nodata" in patch.reasons
        for band in patch.lost_bands
    )
    told = {
        **note,
        "store": STORE,
        "patch_size": layout.patch_size,
        "contract": layout.contract.to_dict(),
        "tiles": len(jobs),
        "failed": failed,
        "breaks_contract": list(odd),
        "lost_bands": dict(lost_bands),
        "rejected": len(rejected),
    }
    write_checksums(out, out / STORE)
    write_manifest(rejected, out / REJECTED, kind="rejected", note=told)
    write_manifest(kept, out / MANIFEST, kind="patches", note=told)
    log.info(
        "%d patches kept, %d rejected, %d of %d tiles unreadable",
        len(kept), len(rejected), len(failed), len(jobs),
    )  # fmt: skip
    return Extraction(
        out,
        read_manifest(out / MANIFEST, kind="patches"),
        read_manifest(out / REJECTED, kind="rejected"),
        failed,
        dict(lost_bands),
        odd,
    )
