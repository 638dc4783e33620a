"""Random patches of 202 bands for training: our dataset against a bare memory map and GeoTIFFs.

Every way reads the same patches (202 × 128 × 128 int16, 6.6 MB) in the same random order, in one
process, and ends with a torch tensor that may be written to. All files lie in the page cache: this
measures the way from there to the tensor, not the disk.

floor        np.memmap of the same bytes in one flat file, opened once; a copy of one patch
ours         TemporalPatches over a patch store: draw, look up, map the shard, copy
by band      one GeoTIFF for each patch, interleaved by band, read whole by rasterio
by pixel     the same, interleaved by pixel, which is GDAL's default
"""

import pickle
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import rasterio
import torch
from harness import parse_scale, peak_memory_mb, report, reset_peak_memory

from workbench.datasets.acquisitions import Acquisitions
from workbench.datasets.patches import Patches
from workbench.datasets.positives import PairPolicy
from workbench.datasets.temporal_patches import TemporalPatches
from workbench.extraction.shards import ShardWriter
from workbench.extraction.store import STORE, PatchStore, StoreLayout, create_store, shard_path
from workbench.geo.grid import PixelGrid
from workbench.geo.raster import write_raster
from workbench.sensors import sensor

SIDE, SHARD = 128, 16
SPECTRALEARTH = 415_153  # locations, 73,000 of them with several dates
SIZES = {"quick": 32, "full": 128}  # patches


def write_files(folder: Path, count: int) -> dict[str, list[Path]]:
    """Write the same patches as a flat file, a store, and GeoTIFFs of both kinds."""
    contract = sensor("enmap").contract()
    layout = StoreLayout(-(-count // SHARD) * SHARD, SIDE, "int16", SHARD, contract)
    create_store(folder / STORE, layout)
    rng = np.random.default_rng(0)
    flat = np.memmap(folder / "flat.bin", np.int16, "w+", shape=(count, *layout.chunk))
    grid = PixelGrid("EPSG:32632", (30, 0, 600_000, 0, -30, 5_400_000), (SIDE, SIDE))
    paths: dict[str, list[Path]] = {"band": [], "pixel": []}
    for first in range(0, count, SHARD):
        shard = shard_path(folder / STORE, "pixels", first // SHARD)
        with ShardWriter(shard, folder / "unfinished", places=SHARD) as out:
            for i in range(first, min(first + SHARD, count)):
                flat[i] = rng.integers(0, 10_000, layout.chunk, dtype=np.int16)
                out.put(i - first, flat[i])
                for kind in ("band", "pixel"):
                    path = folder / kind / f"{i:05d}.tif"
                    paths[kind].append(
                        write_raster(path, flat[i], grid, interleave=kind, tiled=False)
                    )
    flat.flush()
    return paths


def dataset_over(folder: Path, stored: int, locations: int, two_dates: float) -> TemporalPatches:
    """A dataset of as many locations as asked for, whose places go round the stored patches.

    The first locations, as large a share of them as `two_dates`, have two dates; the rest has one.
    """
    size = np.where(np.arange(locations) < round(two_dates * locations), 2, 1)
    first = np.append(0, np.cumsum(size))
    date = np.arange(first[-1]) - np.repeat(first[:-1], size)
    index = Acquisitions(
        location=np.char.zfill(np.arange(locations).astype("S7"), 7),
        first=first,
        place=np.arange(len(date)) % stored,
        time=date * 2.6e6,
        date=date,
        cloud=np.zeros(len(date), np.float32),
    )
    store = PatchStore(folder)
    patches = Patches(store, index, store.contract, checksum="")
    return TemporalPatches(patches, min_acquisitions=1, pairs=PairPolicy() if two_dates else None)


def ways(folder: Path, count: int, paths: dict[str, list[Path]]) -> dict[str, Callable]:
    """Each way to come from a number to a tensor."""
    bands = len(sensor("enmap").kept)
    flat = np.memmap(folder / "flat.bin", np.int16, "r", shape=(count, bands, SIDE, SIDE))
    dataset = dataset_over(folder, count, count, two_dates=0)

    def geotiff(kind: str) -> Callable[[int], torch.Tensor]:
        def read(i: int) -> torch.Tensor:
            with rasterio.open(paths[kind][i]) as source:
                return torch.from_numpy(source.read().astype(np.int16, copy=False))

        return read

    return {
        "floor": lambda i: torch.from_numpy(np.array(flat[i])),
        "ours": lambda i: dataset[i]["images"],
        "by band": geotiff("band"),
        "by pixel": geotiff("pixel"),
    }


def in_turn(
    calls: list[Callable[[int], object]], numbers: list[list[int]], turns: int
) -> list[float]:
    """Milliseconds of each call, timed in turn and item by item, since the machine may be busy.

    The best of all turns counts for each item, and the mean of the items for each call.
    """
    best = np.full((len(calls), len(numbers[0])), np.inf)
    for _ in range(turns):
        for k in range(len(numbers[0])):
            for which, call in enumerate(calls):
                start = time.perf_counter()
                call(numbers[which][k])
                best[which, k] = min(best[which, k], time.perf_counter() - start)
    return (1e3 * best.mean(axis=1)).tolist()


def some_pairs(dataset: TemporalPatches) -> list[int]:
    """Some locations that show a pair, from all over the dataset."""
    order = np.random.default_rng(2).permutation(len(dataset))[:400].tolist()
    return [i for i in order if len(dataset.draw(i)) == 2][:24]


def main() -> None:
    """Write the files, time every way, and report."""
    args = parse_scale(__doc__, ("--turns", {"type": int, "default": 8}))
    count = SIZES[args.scale]
    torch.set_num_threads(1)
    order = np.random.default_rng(1).permutation(count).tolist()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = write_files(folder, count)
        read = ways(folder, count, paths)
        same = all(torch.equal(read["ours"](i)[0], read["floor"](i)) for i in range(0, count, 7))
        same &= all(torch.equal(read[k](3), read["floor"](3)) for k in ("by band", "by pixel"))
        if not same:
            sys.exit("the ways do not give the same pixels")
        for kind in read:  # into the page cache, and each file once known
            [read[kind](i) for i in range(count)]
        # like with like: GeoTIFFs in between would drive the others' pages out of the processor
        ms = in_turn([read["floor"], read["ours"]], [order, order], turns=3 * args.turns)
        ms += in_turn([read["by band"], read["by pixel"]], [order, order], turns=args.turns)
        few = dataset_over(folder, count, 1_000, two_dates=0.18)
        reset_peak_memory()
        many = dataset_over(folder, count, SPECTRALEARTH, two_dates=0.18)  # as SpectralEarth's
        chosen = [some_pairs(few), some_pairs(many)]
        small, large = in_turn([few.__getitem__, many.__getitem__], chosen, turns=20)
        small_draw, large_draw = in_turn([few.draw, many.draw], chosen, turns=20)
        sent = len(pickle.dumps(many)) / 1e6
    print(f"{count} patches of 6.6 MB in random order, all from the page cache")
    for kind, value in zip(read, ms, strict=True):
        print(f"  {kind:9s} {1e3 / value:8.0f} patches/s  {value:6.2f} ms")
    print(f"  a pair of two dates among     1,000 locations: {small:.2f} ms, draw {small_draw:.3f}")
    print(f"  a pair of two dates among {SPECTRALEARTH:,} locations: {large:.2f} ms, "
          f"draw {large_draw:.3f}; {sent:.0f} MB are sent to a worker")  # fmt: skip
    floor, ours, *geotiffs = ms
    share, (by_band, by_pixel) = floor / ours, (value / ours for value in geotiffs)
    report(
        "random patches of 202 bands from the page cache: at least 0.5 of a bare memory map, 5 × "
        "one GeoTIFF a patch by band and 20 × by pixel; one item costs the same among 415,153 "
        "locations as among 1,000 (within 25 %)",
        share >= 0.5 and by_band >= 5 and by_pixel >= 20 and large <= 1.25 * small,
        peak_mb=peak_memory_mb(),
        share_of_floor=share,
        speedup_over_geotiff=by_band,
        speedup_over_geotiff_by_pixel=by_pixel,
        samples_per_second=1e3 / ours,
        getitem_ms_1k=small,
        getitem_ms_415153=large,
        mb_to_worker=sent,
        draw_ms_1k=small_draw,
        draw_ms_415153=large_draw,
    )


if __name__ == "__main__":
    main()
