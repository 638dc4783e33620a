"""ViT-L MAE on a GPU: what share of the GPU's peak rates a training step reaches, data included.

The step is the one of `training.pretrain`: patches of 202 × 128 × 128 int16 out of a store in the
page cache, read by threads into pinned memory and copied ahead; views with standardisation on the
device; bf16 where torch's autocast has it; blocks compiled; fused AdamW. `device_busy` is the time
of a step whose batch lies on the device already over that of a step that is fed by the loader.
Operations are counted by torch (products and attention only, forward and backward) in a step of a
few images before anything is compiled. A batch that does not fit is halved.
"""

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import torch
from loader import SHARD, SIDE, dataset_over
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from workbench.datasets.augmentation_draws import ViewOptions
from workbench.datasets.augmentations import ViewPipeline, multi_crop
from workbench.datasets.normalization import Normalizer
from workbench.datasets.statistics import combined, patch_statistics
from workbench.datasets.temporal_patches import TemporalPatches
from workbench.extraction.shards import ShardWriter
from workbench.extraction.store import STORE, StoreLayout, create_store, shard_path
from workbench.methods import MAE
from workbench.models import spectral_vit
from workbench.sensors import sensor
from workbench.training.batches import batch_loader
from workbench.training.devices import compile_blocks
from workbench.training.feeding import on_device
from workbench.training.optimisers import build_optimiser
from workbench.training.settings import PretrainSettings

GPU_RATES = {"H200": (989e12, 4.8e12), "H100": (989e12, 3.35e12), "A100": (312e12, 2.0e12)}
"""Dense bf16 operations and bytes per second of the SXM models, by a part of the GPU's name."""
BATCHES = {0.9: 192, 0.75: 96}
"""Images a step by mask ratio: SpectralEarth's, and the paper's; both fit into 80 GB."""
PATCHES = 256
COUNTED = 8  # images of the step whose operations are counted
Step = Callable[[Tensor], None]


def gpu_figures(device: torch.device, *, steps: int = 16) -> dict[str, float]:
    """Time both mask ratios; the figures of SpectralEarth's have the plain names."""
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        dataset = stored_patches(Path(name))
        for ratio, batch in BATCHES.items():
            found = fitting(dataset, ratio, batch, device, steps)
            print(f"  ViT-L MAE, mask ratio {ratio}: {found}", flush=True)
            mark = "" if ratio == 0.9 else f"_at_{ratio:g}"
            figures |= {f"{key}{mark}": value for key, value in found.items()}
            torch.cuda.empty_cache()
    return figures


def stored_patches(folder: Path) -> TemporalPatches:
    """Write a store of random patches; 100,000 locations go round them."""
    layout = StoreLayout(PATCHES, SIDE, "int16", SHARD, sensor("enmap").contract())
    create_store(folder / STORE, layout)
    rng = np.random.default_rng(0)
    for first in range(0, PATCHES, SHARD):
        path = shard_path(folder / STORE, "pixels", first // SHARD)
        with ShardWriter(path, folder / "unfinished", places=SHARD) as out:
            for i in range(SHARD):
                out.put(i, rng.integers(0, 10_000, layout.chunk, dtype=np.int16))
    return dataset_over(folder, PATCHES, 100_000, two_dates=0)


def fitting(
    dataset: TemporalPatches, ratio: float, batch: int, device: torch.device, steps: int
) -> dict[str, float]:
    """Measure one mask ratio with the largest batch, of this one and its halves, that fits."""
    try:
        return one_ratio(dataset, ratio, batch, device, steps)
    except torch.OutOfMemoryError:
        if batch <= COUNTED:
            raise
    print(f"  a batch of {batch} does not fit", flush=True)
    torch.cuda.empty_cache()
    return fitting(dataset, ratio, batch // 2, device, steps)


def one_ratio(
    dataset: TemporalPatches, ratio: float, batch: int, device: torch.device, steps: int
) -> dict[str, float]:
    """Measure one mask ratio."""
    settings = PretrainSettings(
        optimiser="adamw", lr=1e-4, weight_decay=1e-2, batch_size=batch, workers=12, compile=True
    )
    torch.manual_seed(0)
    encoder = spectral_vit("L", bands=202, image_size=SIDE, token_size=4)
    method = MAE(encoder, mask_ratio=ratio, decoder_depth=1).to(device)
    step = training_step(method, dataset, settings, device)
    loader = batch_loader(dataset, settings, seed=0, start=0, stop=2 * steps + 8, device=device)
    fed = (b["images"] for b in on_device(loader, device))
    resident = [images.clone() for images in islice(fed, 2)]
    with FlopCounterMode(display=False) as counter:
        step(resident[0][:COUNTED])
    operations = counter.get_total_flops() * batch / COUNTED
    compile_blocks(method)
    for images in resident:  # compiles
        step(images)
    torch.cuda.reset_peak_memory_stats(device)
    # in turn, as another program may share the machine
    waiting = [seconds(step, cycle(resident), steps, device), seconds(step, fed, steps, device)]
    waiting += [seconds(step, cycle(resident), steps, device), seconds(step, fed, steps, device)]
    alone, whole = min(waiting[::2]), min(waiting[1::2])
    found = {
        "batch": float(batch),
        "per_second": batch / whole,
        "device_busy": alone / whole,
        "peak_gb": torch.cuda.max_memory_allocated(device) / 2**30,
    }
    name = torch.cuda.get_device_name(device)
    if rates := next((rate for part, rate in GPU_RATES.items() if part in name), None):
        weights = sum(p.numel() * p.element_size() for p in method.parameters())
        # at least: images come, are read and become views, which are read; weights with AdamW's
        moved = resident[0].nbytes * 2 + 2 * 2 * resident[0].nbytes + 7 * weights
        found["share_of_peak"] = operations / whole / rates[0]
        found["share_of_bandwidth"] = moved / whole / rates[1]
    return found


def training_step(
    method: MAE, dataset: TemporalPatches, settings: PretrainSettings, device: torch.device
) -> Step:
    """One step on stored numbers that lie on the device."""
    some = (patch_statistics(dataset.patches.read(i), dataset.contract) for i in range(4))
    normalizer = Normalizer(combined(some), dataset.contract, nodata_as=0.0)
    views = ViewPipeline(
        multi_crop(ViewOptions(size=SIDE, crop=(0.4, 1.0)), views=1), normalizer=normalizer
    ).to(device)
    optimiser = build_optimiser(method, settings)
    generator = torch.Generator().manual_seed(0)

    def step(images: Tensor) -> None:
        shown = views(images, generator)
        with torch.autocast(device.type, torch.bfloat16):
            loss = method(shown, generator).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    return step


def seconds(step: Step, batches: Iterable[Tensor], count: int, device: torch.device) -> float:
    """Mean seconds of a step over `count` of them."""
    asked: Iterator[Tensor] = iter(batches)
    step(next(asked))
    torch.cuda.synchronize(device)
    start = time.perf_counter()
    for _ in range(count):
        step(next(asked))
    torch.cuda.synchronize(device)
    return (time.perf_counter() - start) / count
