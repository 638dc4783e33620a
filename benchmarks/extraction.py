"""Pixels cut per second against reading each tile once and writing the same bytes.

The tiles are products in the genuine layout with random numbers for pixels (simulated), many dates
of one ground. The floor reads the 202 kept bands of each image once with rasterio, cuts the same
patches and writes them one after the other; it reads no quality layers, judges nothing and keeps no
record. Speed-up is measured between Dask workers that are already up. Memory is the highest
resident memory of a process of its own that cuts 10, and one that cuts 100 tiles.
"""

import argparse
import logging
import math
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from importlib import import_module
from pathlib import Path

import geopandas as gpd
import numpy as np
import rasterio
from distributed import Client, LocalCluster
from harness import Timing, measured, parse_scale, peak_memory_mb, report
from rasterio.windows import from_bounds

from workbench.extraction import Tile, ViewRules, extract_patches, temporal_views
from workbench.geo.raster import write_raster
from workbench.sensors import sensor
from workbench.synthetic import NODATA, Acquisition, Rendered, plan_campaign
from workbench.synthetic.metadata import metadata_xml
from workbench.synthetic.render import LAYERS

RULES = ViewRules(patch_size=128)
SMALL = ViewRules(patch_size=64)  # for the small tiles on which memory is compared
GOAL_FLOOR, GOAL_SPEEDUP, GOAL_MEMORY = 0.6, 1.7, 0.15


def one_product(folder: Path, size: int) -> tuple[Path, Acquisition, Rendered]:
    """A product of size × size pixels with random reflectances inside its footprint."""
    campaign = plan_campaign(tile_size=size, n_tiles=3, nasty=False)
    acquisition = campaign.acquisitions[2]  # of a site far from the next zone
    rng, valid = np.random.default_rng(0), acquisition.valid()
    cube = rng.integers(0, 8000, (224, size, size), dtype=np.int16)
    cube[:, ~valid] = NODATA
    layers = {name: np.zeros((size, size), np.uint8) for name in LAYERS}
    layers["QUALITY_CLASSES"][:] = np.where(valid, 1, 3)
    rendered = Rendered(cube, layers, np.zeros(cube.shape, np.uint8))
    folder.mkdir(parents=True)
    rasters = {"SPECTRAL_IMAGE": cube, "QL_PIXELMASK": rendered.defective}
    for name, array in {**rasters, **{f"QL_{k}": v for k, v in layers.items()}}.items():
        nodata = NODATA if name == "SPECTRAL_IMAGE" else None
        write_raster(folder / f"{name}.TIF", array, acquisition.grid, nodata=nodata, tiled=False)
    return folder, acquisition, rendered


def many_dates(folder: Path, size: int, count: int) -> list[Tile]:
    """Deliver one product on many dates: its rasters are linked, its metadata renamed."""
    source, acquisition, rendered = one_product(folder / "pixels", size)
    sizes = {path.name: path.stat().st_size for path in source.iterdir()}
    named = {f"{acquisition.id}-{raster}": n for raster, n in sizes.items()}
    metadata = metadata_xml(acquisition, rendered, named, 1).decode()
    tiles = []
    for k in range(count):
        start = acquisition.start + timedelta(days=k)
        dated = replace(acquisition, start=start, datatake=f"99{k:08d}")
        product = folder / dated.id
        product.mkdir()
        for raster in sizes:
            os.link(source / raster, product / f"{dated.id}-{raster}")
        text = metadata.replace(acquisition.id, dated.id)
        (product / f"{dated.id}-METADATA.XML").write_text(text)
        tiles.append(
            Tile(dated.id, start, dated.footprint, dated.grid.crs, product, dated.datatake)
        )
    return tiles


def floor(plan: gpd.GeoDataFrame, tiles: Sequence[Tile], out: Path) -> None:
    """Read every tile once, write the bytes of its patches."""
    out.mkdir(parents=True)
    kept = [int(name[1:]) for name in sensor("enmap").kept]
    for tile in tiles:
        image = next(tile.path.glob("*SPECTRAL_IMAGE*"))
        with (
            rasterio.Env(
                GDAL_CACHEMAX=32
            ),  # MB; its usual 5 % of the RAM makes nothing faster here
            rasterio.open(image) as source,
            (out / tile.id).open("wb") as file,
        ):
            block = source.read(kept)
            for row in plan.itertuples():
                window = from_bounds(row.xmin, row.ymin, row.xmax, row.ymax, source.transform)
                rows, cols = window.round_offsets().toslices()
                file.write(np.ascontiguousarray(block[:, rows, cols]))


def ours(plan: gpd.GeoDataFrame, tiles: Sequence[Tile], out: Path, **how: object) -> None:
    """Cut the plan and make sure that nothing was left out."""
    found = extract_patches(plan, tiles, out, **how)
    assert len(found.manifest) == plan.tile_ids.map(len).sum()


def in_turn(folder: Path, works: Sequence[Callable[[Path], None]], repeats: int) -> list[Timing]:
    """Best time of each, done in turn so that a busy moment of the machine meets all of them."""
    best = [Timing(math.inf, 0.0, None)] * len(works)
    for k in range(repeats):
        for i, work in enumerate(works):
            out = folder / f"out{k}-{i}"
            found = measured(lambda out=out, work=work: work(out))
            shutil.rmtree(out)
            peak = max(best[i].peak_mb, found.peak_mb)
            best[i] = Timing(min(best[i].seconds, found.seconds), peak, None)
    return best


def fast_folder() -> str | None:
    """Memory instead of a disk, where it has room: what is compared is programs, not writeback."""
    shared = Path("/dev/shm")
    return str(shared) if shared.is_dir() and shutil.disk_usage(shared).free > 8e9 else None


def one_and_two_workers(
    folder: Path, plan: gpd.GeoDataFrame, tiles: Sequence[Tile], repeats: int
) -> list[Timing]:
    """Time one and two Dask workers that are up and have the package loaded."""
    with ExitStack() as opened:
        works = []
        for n in (1, 2):
            cluster = LocalCluster(
                n_workers=n,
                threads_per_worker=1,
                dashboard_address=":0",
                silence_logs=logging.ERROR,
            )
            client = opened.enter_context(Client(opened.enter_context(cluster)))
            client.run(import_module, "workbench.readers.enmap")
            works.append(lambda out, client=client: ours(plan, tiles, out, scheduler=client))
        return in_turn(folder, works, repeats)


def memory_of(folder: Path, size: int, counts: Sequence[int]) -> list[float]:
    """Peak memory in MB of processes of their own, side by side, that cut so many tiles."""
    running = []
    for count in counts:
        products = folder / f"memory{count}"
        tiles = many_dates(products, size, count)
        job = products / "job.pickle"
        job.write_bytes(pickle.dumps((temporal_views(tiles, SMALL), tiles)))
        command = [sys.executable, __file__, "--memory-of", str(job)]
        running.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
    told = [process.communicate()[0] for process in running]
    if failed := [process.returncode for process in running if process.returncode]:
        raise RuntimeError(f"A process that cuts tiles must end with 0, got {failed}.")
    return [float(text.splitlines()[-1]) for text in told]


def cut_and_tell_memory(job: Path) -> None:
    plan, tiles = pickle.loads(job.read_bytes())
    ours(plan, tiles, job.parent / "out", workers=1)
    print(peak_memory_mb())


def main() -> None:
    args = parse_scale(__doc__, ("--memory-of", {"type": Path, "help": argparse.SUPPRESS}))
    if args.memory_of:
        cut_and_tell_memory(args.memory_of)
        return
    size, count, small, repeats = (900, 8, 180, 2) if args.scale == "quick" else (1200, 16, 600, 3)
    with tempfile.TemporaryDirectory(prefix="extraction", dir=fast_folder()) as name:
        folder = Path(name)
        tiles = many_dates(folder / "products", size, count)
        plan = temporal_views(tiles, RULES)
        patches = int(plan.tile_ids.map(len).sum())
        pixels = patches * RULES.patch_size**2
        print(f"{count} tiles of {size} px, {patches} patches of {RULES.patch_size} px, simulated")
        base, alone = in_turn(
            folder,
            [
                lambda out: floor(plan, tiles, out),
                lambda out: ours(plan, tiles, out, workers=1),
            ],
            repeats + 1,
        )
        print(f"floor      {pixels / base.seconds / 1e6:7.2f} million pixels (202 bands) a second")
        print(f"one worker {pixels / alone.seconds / 1e6:7.2f}")
        one, two = one_and_two_workers(folder, plan, tiles, repeats)
        print(f"one Dask worker {one.seconds:.2f} s, two {two.seconds:.2f} s")
        shutil.rmtree(folder / "products")
        memory = memory_of(folder, small, (10, 100))
        print(f"peak memory with 10 tiles {memory[0]:.0f} MB, with 100 tiles {memory[1]:.0f} MB")
    share, speedup = base.seconds / alone.seconds, one.seconds / two.seconds
    growth = memory[1] / memory[0] - 1
    report(
        "one worker reaches 0.6 of reading each tile once and writing the same bytes; two workers "
        "are 1.7 x faster than one; peak memory grows by at most 15 % from 10 to 100 tiles",
        share >= GOAL_FLOOR and speedup >= GOAL_SPEEDUP and growth <= GOAL_MEMORY,
        peak_mb=alone.peak_mb,
        share_of_floor=share,
        two_worker_speedup=speedup,
        memory_growth=growth,
        floor_seconds=base.seconds,
        seconds=alone.seconds,
    )


if __name__ == "__main__":
    main()
