"""Cut the patches of one tile: the tile is opened once, read in pieces, judged, written.

The quality layers are read first. The image and the mask of defective pixels, which are large, are
read only for the patches that the layers let pass. Memory holds the patches of one shard.
"""

import math
import threading
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from workbench.errors import ContractMismatchError
from workbench.extraction.resampling import AcrossZones, part_of, place, union_of
from workbench.extraction.shards import ShardWriter
from workbench.extraction.sources import Bands, Source, open_source
from workbench.extraction.store import QUALITY_BITS, STORE, StoreLayout, shard_path
from workbench.extraction.validity import ValidityRules, pixel_shares
from workbench.geo.grid import Bounds, PixelGrid, Window
from workbench.geo.raster import bulk_reading
from workbench.nodata import nodata_as

PARTIAL = "partial"
"""Folder for files that are being written, in the folder of the extraction."""

_BLOCK_BYTES = 32 << 20  # read at once, where bands can be read alone
_CACHE_MB = 32  # for the rows of a block that one reading needs twice
_SLAB_BYTES = 256 << 20  # read at once, where they cannot

Bits = NDArray[np.uint8]

_held = threading.local()


class OutputError(Exception):
    """The output cannot be written; its cause is the `OSError`."""


@dataclass(frozen=True)
class PlannedPatch:
    """One location in one tile."""

    location_id: str
    """The location."""
    crs: str
    """Its reference system."""
    bounds: Bounds
    """Its square, in units of that CRS."""
    place: int
    """Its place in the store."""


@dataclass(frozen=True)
class TileJob:
    """What is to be cut from one tile."""

    tile_id: str
    """The tile."""
    path: Path | None
    """Folder or file of the product."""
    patches: tuple[PlannedPatch, ...]
    """Its patches, by place."""
    may_resample: bool = False
    """Whether the plan allows for pixels of another size, or in degrees."""


@dataclass(frozen=True)
class CutRules:
    """What holds for all tiles of an extraction."""

    layout: StoreLayout
    """The store, with the contract that every tile must keep."""
    validity: ValidityRules
    """Which patches are acceptable."""
    bands: Bands = "kept"
    """Bands to cut."""
    across_zones: AcrossZones = "bilinear"
    """How to resample where tile and location are in different zones."""
    nodata: float | None = None
    """Stated number of plain rasters that is no measurement; see `open_source`."""


@dataclass(frozen=True)
class CutPatch:
    """What became of one planned patch."""

    location_id: str
    place: int
    reasons: tuple[str, ...]
    """Why it was rejected; empty if it was accepted."""
    detail: str
    """The reasons in words."""
    shares: dict[str, float]
    """Shares of its pixels by kind (`MEASURES`)."""
    resampling: str
    """"none", "nearest", "bilinear" or "average"."""
    shift: tuple[float, float]
    """(east, south) in pixels; NaN across zones."""
    checksum: str
    """CRC-32 of its pixels as stored without compression, eight hex digits; "" if rejected."""
    why_resampled: str = ""
    """Why its pixels were not copied as they lie; "" if they were."""
    lost_bands: tuple[str, ...] = ()
    """Bands without a single measurement in it, where others have some."""


def cut_tile(job: TileJob, rules: CutRules, out: Path) -> list[CutPatch]:
    """Cut all patches of a tile into its shards.

    Args:
        job: What to cut; its places begin with a shard of its own.
        rules: How.
        out: Folder of the extraction.

    Returns:
        What became of each patch, in the order of the job. Shards are in place.

    Raises:
        WorkbenchError: If the tile is damaged or breaks the contract.
        OutputError: If a shard cannot be written.
    """
    layout, found = rules.layout, []
    with (
        bulk_reading(_CACHE_MB),
        open_source(job.path, job.tile_id, bands=rules.bands, nodata=rules.nodata) as source,
    ):
        # the size of its pixels is held against the locations' where they are placed
        contract = replace(source.contract, gsd_m=layout.contract.gsd_m)
        contract.require_same(layout.contract, thing=f"Tile {job.tile_id}")
        if source.dtype != layout.dtype:
            raise ContractMismatchError(
                f"All tiles must store one type of number, but {job.tile_id} has {source.dtype} "
                f"and the store {layout.dtype}.\nExtract them into stores of their own."
            )
        for shard, members in groupby(job.patches, lambda p: p.place // layout.shard_size):
            patches = tuple(members)
            cut = _Cut(source, rules, patches, job)
            cut.read_layers()
            cut.read_pixels()
            _write(cut, shard, rules, out)
            found += cut.records()
    return found


class _Cut:
    """The patches of one shard on their way from the tile."""

    def __init__(
        self, source: Source, rules: CutRules, patches: Sequence[PlannedPatch], job: TileJob
    ) -> None:
        self.source, self.rules, self.patches = source, rules, patches
        layout = rules.layout
        size = (layout.patch_size, layout.patch_size)
        self.placements = [
            place(
                grid_of(patch, size),
                source.grid,
                across_zones=rules.across_zones,
                may_resample=job.may_resample,
                name=f"Tile {job.tile_id}",
            )
            for patch in patches
        ]
        self.bits: list[Bits] = []
        self.passed: list[int] = []
        """Patches that the quality layers let pass."""
        self.pixels: NDArray[Any] = np.empty((0, *layout.chunk), dtype=layout.dtype)
        """(len(passed), C, H, W)"""
        self.sums: dict[int, str] = {}
        """Checksums of the patches that are written."""
        self.lost: dict[int, NDArray[np.int64]] = {}
        """Pixels without a measurement in each band, of the patches that were read."""

    def read_layers(self) -> None:
        """Read the quality layers once and see which patches pass."""
        union = union_of(self.placements)
        layers = None if union is None else self.source.layers(union)
        for placement in self.placements:
            inner = (
                np.zeros((0, 0), np.uint8) if layers is None else part_of(layers, placement, union)
            )
            self.bits.append(placement.carry_bits(inner))
        self.passed = [i for i in range(len(self.patches)) if not self.reasons(i)]

    def read_pixels(self) -> None:
        """Read the patches that passed, and look at their pixels for missing and defective ones."""
        layout, nodata = self.rules.layout, self.rules.layout.contract.nodata
        self.pixels = _room((len(self.passed), *layout.chunk), layout.dtype)
        self.lost = {i: np.zeros(layout.chunk[0], dtype=np.int64) for i in self.passed}
        for rows, bands in self._passes():
            union = union_of([self.placements[self.passed[k]] for k in rows])
            if union is None:
                self.pixels[rows] = layout.fill
                continue
            block = self.source.pixels(union, bands, borrow=True)
            missing = self.source.missing(union, bands, block)
            defective = self._defective(union, bands)
            for k in rows:
                placement, bits = self.placements[self.passed[k]], self.bits[self.passed[k]]
                target = self.pixels[k, bands]
                gone = None if missing is None else part_of(missing, placement, union)
                part = part_of(block, placement, union)
                lost = placement.carry(part, nodata, layout.fill, target, gone)
                bits[lost.any(axis=0)] |= QUALITY_BITS["nodata"]
                self.lost[self.passed[k]][bands] = np.count_nonzero(lost, axis=(1, 2))
                if defective is not None:
                    known = np.uint8(QUALITY_BITS["defective"])
                    bits |= placement.carry_bits(part_of(defective, placement, union)) & known

    def _defective(self, union: Window, bands: slice) -> Bits | None:
        """Bits of the defective pixels of some bands; None if there are none."""
        if not self.source.has_mask:
            return None
        mask = self.source.defective(union, bands)
        return mask.astype(np.uint8) * np.uint8(QUALITY_BITS["defective"]) if mask.any() else None

    def _shares(self, i: int) -> dict[str, float]:
        """Shares of a patch's pixels by kind; NaN for what the product does not tell."""
        unknown = dict.fromkeys(self.source.unknown, float("nan"))
        return {**pixel_shares(self.bits[i]), **unknown}

    def _passes(self) -> Iterator[tuple[list[int], slice]]:
        """Divide the reading into pieces of bounded memory: bands, or rows of patches."""
        height = self.source.grid.width * np.dtype(self.source.dtype).itemsize
        rows, bands = list(range(len(self.passed))), self.rules.layout.chunk[0]
        if not rows:
            return
        if not self.source.is_by_pixel:
            union = union_of([self.placements[i] for i in self.passed])
            tall = 1 if union is None else union.height
            step = max(1, _BLOCK_BYTES // (height * tall))
            for first in range(0, bands, step):
                yield rows, slice(first, min(first + step, bands))
            return
        slab: list[int] = []
        for k in sorted(rows, key=lambda k: self.placements[self.passed[k]].window.row):
            union = union_of([self.placements[self.passed[j]] for j in [*slab, k]])
            if slab and union is not None and union.height * height * bands > _SLAB_BYTES:
                yield slab, slice(0, bands)
                slab = []
            slab = [*slab, k]
        yield slab, slice(0, bands)

    def reasons(self, i: int) -> tuple[str, ...]:
        """Why a patch is rejected, as far as it was looked at."""
        reasons = self.rules.validity.reasons(self._shares(i))
        return ("nodata", *reasons) if not reasons and self._has_no_number_for(i) else reasons

    def _has_no_number_for(self, i: int) -> bool:
        """Whether pixels without a measurement would be kept, and be read as measured."""
        layout = self.rules.layout
        has_number = nodata_as(layout.dtype, layout.contract.nodata) is not None
        if has_number or np.dtype(layout.dtype).kind == "f" or i not in self.lost:
            return False
        return bool(self.lost[i].any())

    def _detail(self, i: int, shares: dict[str, float]) -> str:
        """The reasons in words, with the bands that alone lack pixels."""
        told = self.rules.validity.explain(shares)
        if not told and self._has_no_number_for(i):
            told = (
                f"nodata {100 * shares['nodata']:.1f} %, which a mask says and no number of "
                f"{self.rules.layout.dtype} stands for: state one (nodata=…, --nodata)"
            )
        if "nodata" not in self.reasons(i):
            return told
        names, counts = self.rules.layout.contract.band_names, self.lost.get(i)
        if self.source.empty_bands:
            return f"{told}; its metadata say that {_some(self.source.empty_bands)} holds nothing"
        if counts is None or counts.min() == counts.max():
            return told
        worst = [name for name, n in zip(names, counts, strict=True) if n == counts.max()]
        size = self.bits[i].size
        return f"{told}; most of it in {_some(worst)} ({100 * counts.max() / size:.1f} %)"

    def _lost_bands(self, i: int) -> tuple[str, ...]:
        """Bands without a single measurement, where others have some."""
        if self.source.empty_bands:
            return self.source.empty_bands
        counts = self.lost.get(i)
        if counts is None or counts.min() == self.bits[i].size:
            return ()
        names = self.rules.layout.contract.band_names
        return tuple(n for n, k in zip(names, counts, strict=True) if k == self.bits[i].size)

    def accepted(self) -> list[tuple[int, NDArray[Any]]]:
        """Patches to be written: their number and their pixels."""
        return [(i, self.pixels[k]) for k, i in enumerate(self.passed) if not self.reasons(i)]

    def records(self) -> list[CutPatch]:
        """What became of each patch."""
        found = []
        for i, (patch, placement) in enumerate(zip(self.patches, self.placements, strict=True)):
            shares = self._shares(i)
            found.append(
                CutPatch(
                    patch.location_id,
                    patch.place,
                    self.reasons(i),
                    self._detail(i, shares),
                    shares,
                    placement.method,
                    placement.shift,
                    self.sums.get(i, ""),
                    placement.why,
                    self._lost_bands(i),
                )
            )
        return found


def _write(cut: _Cut, shard: int, rules: CutRules, out: Path) -> None:
    layout, name = rules.layout, f"{shard}-{uuid4().hex}"
    accepted = cut.accepted()

    def writer(array: str) -> ShardWriter:
        return ShardWriter(
            shard_path(out / STORE, array, shard),
            out / PARTIAL / f"{array}-{name}",
            places=layout.shard_size,
            compression=layout.compression,
        )

    try:
        with writer("quality") as quality, writer("pixels") as pixels:
            for i, patch in accepted:
                slot = cut.patches[i].place % layout.shard_size
                cut.sums[i] = f"{zlib.crc32(patch.data):08x}"  # right before, while it is in cache
                pixels.put(slot, patch)
                quality.put(slot, cut.bits[i])
    except OSError as error:
        raise OutputError(str(error)) from error


def _room(shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
    """Memory of this thread for the patches of a shard, used again for the next one.

    Fresh memory costs a page fault for every 4 KB: a fifth of the time of a whole extraction.
    """
    need = math.prod(shape) * np.dtype(dtype).itemsize
    held: NDArray[np.uint8] | None = getattr(_held, "room", None)
    if held is None or len(held) < need:
        _held.room = held = np.empty(need, dtype=np.uint8)
    return held[:need].view(dtype).reshape(shape)


def _some(bands: Sequence[str]) -> str:
    """Name a few bands: "band B092", "bands B1, B2, B3 and 4 more"."""
    more = f" and {len(bands) - 3} more" if len(bands) > 3 else ""
    return f"band{'s' if len(bands) > 1 else ''} {', '.join(bands[:3])}{more}"


def release_room() -> None:
    """Give the memory of this thread back."""
    _held.__dict__.clear()


def grid_of(patch: PlannedPatch, size: tuple[int, int]) -> PixelGrid:
    """Give the pixel grid of a planned patch of (H, W) pixels."""
    gsd = (patch.bounds[2] - patch.bounds[0]) / size[1]
    return PixelGrid.from_bounds(patch.crs, patch.bounds, gsd)


def as_plain(patch: CutPatch) -> dict[str, Any]:
    """Lay a result out for JSON."""
    return asdict(patch)


def from_plain(values: dict[str, Any]) -> CutPatch:
    """Read what `as_plain` gave."""
    lists = {name: tuple(values.get(name, ())) for name in ("reasons", "shift", "lost_bands")}
    return CutPatch(**{**values, **lists})
