"""A full training step at 202 bands, views included: ours against lightly + timm + kornia.

Both sides get the same standardised float batch of 202 bands, 128 pixels wide (64 at quick size,
96 for MoCo; MAE's batch is four times that of the others), make their views, go forward and
backward, step the same kind of optimiser with the same settings (SpectralEarth's recipes) and move
their momentum networks. Each side has a process of its own, as its user would, so neither finds
the other's memory; their steps are timed in turn, since the machine may be busy, and the best of
each counts: other load only ever adds to a time. Transformers have tokens of 16 pixels at quick
size and 8 at full size. At quick size a step has one thread, so that other load does not hold up
a second one; at full size it has every core.

moco      Spectral ResNet-50, two views; the queue holds 32,768 keys
dino      Spectral ViT-S, two global views
mae       Spectral ViT-S, mask ratio 0.9; the peer's adapter computes the whole image
adapter   the spectral adapter alone, forward and backward, against its Conv3d form

On a GPU, batches are four times as large, and ViT-L MAE is measured too (`gpu_figures.py`):
`share_of_peak` of the GPU's bf16 rate, `share_of_bandwidth`, and `device_busy`, the time of a step
on batches that lie on the device over that with a loader.
"""

import multiprocessing
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from typing import Any

import torch
from harness import parse_scale, peak_memory_mb, report, reset_peak_memory
from peers.plain_pretraining import Conv3dAdapter, PlainDINO, PlainMAE, PlainMoCo
from torch import Tensor, nn

from workbench.datasets.augmentation_draws import ViewOptions
from workbench.datasets.augmentations import ViewPipeline, multi_crop
from workbench.methods import DINO, MAE, MoCo
from workbench.methods.pretext import PretextMethod
from workbench.models import SpectralAdapter, spectral_resnet50, spectral_vit
from workbench.training.optimisers import build_optimiser
from workbench.training.settings import OptimiserName, PretrainSettings

BANDS = 202
CORES = len(os.sched_getaffinity(0))
SIZES = {"quick": (64, 2, 16, 2, 1), "full": (128, 8, 8, 4, CORES)}
"""Side, batch, token size, timed steps, threads."""
MOCO_SIDE = 96  # at least: on fewer pixels a ResNet's step is mostly the reading of its weights
REPEATS = {"adapter": 3.0, "dino": 0.5}  # of the timed steps: the adapter's are short, DINO's long
MAE_BATCHES = 4  # a masked step is so cheap that it gets a batch this many times as large
GOALS = {"adapter": 3.0, "mae": 4.0, "moco": 1.5, "dino": 1.5}
PRELOADED = ["kornia.augmentation", "lightly.loss", "lightly.models", "workbench.training"]
"""What takes seconds to import, once for all sides."""
Step = Callable[[Tensor], float]


@dataclass
class Pace:
    """The best of some steps."""

    seconds: float
    peak_mb: float
    loss: float
    """Of the first step, which both sides should agree on roughly."""


def our_step(method: PretextMethod, views: ViewPipeline, settings: PretrainSettings) -> Step:
    """One step as `training.pretrain` makes it."""
    optimiser = build_optimiser(method, settings)
    generator = torch.Generator().manual_seed(0)

    def step(images: Tensor) -> float:
        shown = views(images, generator)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=images.is_cuda):
            loss = method(shown, generator).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        method.update(0.1)
        return float(loss.detach())

    return step


def plain_step(method: PlainMoCo | PlainDINO | PlainMAE) -> Step:
    """One step of the peer."""
    optimiser = method.optimiser()

    def step(images: Tensor) -> float:
        shown = method.shown(images)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=images.is_cuda):
            loss = method(shown)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return float(loss.detach())

    return step


def step_of(name: str, ours: bool, side: int, token_size: int, device: torch.device) -> Step:
    """Make one side's step of a method or of the adapter, from the same seed."""
    torch.manual_seed(0)
    if name == "adapter":
        adapter = SpectralAdapter(BANDS) if ours else Conv3dAdapter()
        return adapter_step(adapter.to(device))
    if not ours:
        peer = {
            "moco": lambda: PlainMoCo(side=side),
            "dino": lambda: PlainDINO(token_size, side=side),
            "mae": lambda: PlainMAE(token_size, side=side),
        }[name]()
        return plain_step(peer.to(device))
    siamese = ViewOptions(size=side, blur=0.5)
    if name == "moco":
        method = MoCo(
            spectral_resnet50(BANDS), queue_size=32_768, temperature=0.1, hidden_dim=2048
        ).to(device)
        views = pipeline(replace(siamese, crop=(0.08, 1.0)), 2)
        return our_step(method, views.to(device), settings("sgd", 1e-3, 1e-4))
    encoder = spectral_vit("S", BANDS, side, token_size)
    if name == "dino":
        dino = DINO(encoder, output_dim=128, freeze_last_layer=0.0).to(device)
        views = pipeline(replace(siamese, crop=(0.05, 1.0)), 2)
        return our_step(dino, views.to(device), settings("adamw", 1e-3, 1e-5))
    mae = MAE(encoder, mask_ratio=0.9, decoder_depth=1).to(device)
    views = pipeline(ViewOptions(size=side, crop=(0.4, 1.0)), 1)
    return our_step(mae, views.to(device), settings("adamw", 1e-4, 1e-2))


def pipeline(options: ViewOptions, count: int) -> ViewPipeline:
    """Our views: `count` global ones."""
    return ViewPipeline(multi_crop(options, views=count), reuse_memory=True)


def adapter_step(adapter: nn.Module) -> Step:
    """Forward and backward of an adapter alone."""

    def step(images: Tensor) -> float:
        with torch.autocast(images.device.type, torch.bfloat16, enabled=images.is_cuda):
            out = adapter(images)
        out.backward(torch.ones_like(out))
        return float(out.detach().mean())

    return step


def settings(optimiser: OptimiserName, lr: float, weight_decay: float) -> PretrainSettings:
    """As the peer's, in the words of our training loop."""
    return PretrainSettings(optimiser=optimiser, lr=lr, weight_decay=weight_decay)


class Side:
    """One side of a method in a process of its own, which makes a step when it is told to."""

    def __init__(
        self,
        name: str,
        ours: bool,
        shape: tuple[int, ...],
        token_size: int,
        kind: str,
        threads: int,
    ) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
        self.line, far = context.Pipe()
        given = (far, name, ours, shape, token_size, kind, threads)
        self.process = context.Process(target=serve, args=given, daemon=True)
        self.process.start()
        far.close()
        self.pace = Pace(float("inf"), 0.0, 0.0)

    def step(self, *, counts: bool) -> None:
        """Let it make a step; the first one is not counted but gives the loss."""
        self.line.send(True)
        seconds, peak, loss = self.line.recv()
        if counts:
            self.pace.seconds = min(self.pace.seconds, seconds)
            self.pace.peak_mb = max(self.pace.peak_mb, peak)
        else:
            self.pace.loss = loss

    def close(self) -> None:
        """End the process."""
        self.line.send(False)
        self.process.join()


def serve(line: Connection, name: str, ours: bool, shape: tuple[int, ...], *given: Any) -> None:
    """Make steps as long as the other end asks for them."""
    token_size, kind, threads = given
    device = torch.device(kind)
    torch.set_num_threads(threads)
    images = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(device)
    step = step_of(name, ours, shape[-1], token_size, device)
    while line.recv():
        forget_peak(device)
        settle(device)
        start = time.perf_counter()
        loss = step(images)
        settle(device)
        line.send((time.perf_counter() - start, peak_mb(device), loss))


def in_turn(
    name: str, shape: tuple[int, ...], token_size: int, repeats: int, threads: int
) -> list[Pace]:
    """Time our step and the peer's one after the other, several times over."""
    kind = "cuda" if torch.cuda.is_available() else "cpu"
    sides = [Side(name, ours, shape, token_size, kind, threads) for ours in (True, False)]
    for repeat in range(repeats + 1):
        for side in sides:
            side.step(counts=repeat > 0)
    for side in sides:
        side.close()
    return [side.pace for side in sides]


def settle(device: torch.device) -> None:
    """Wait until a GPU is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def forget_peak(device: torch.device) -> None:
    """Start the peak of memory anew."""
    torch.cuda.reset_peak_memory_stats(device) if device.type == "cuda" else reset_peak_memory()


def peak_mb(device: torch.device) -> float:
    """Highest memory since then: of the GPU where there is one, else of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return peak_memory_mb()


def main() -> None:
    """Time each pair, tell, and report."""
    more = [
        (f"--{name}", {"type": int}) for name in ("side", "batch", "token-size", "steps", "threads")
    ]
    args = parse_scale(__doc__, *more)
    sizes = zip(
        (args.side, args.batch, args.token_size, args.steps, args.threads),
        SIZES[args.scale],
        strict=True,
    )
    side, batch, token_size, repeats, threads = (asked or size for asked, size in sizes)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    batch *= 1 if args.batch or device.type == "cpu" else 4
    told = f"{batch} images (MAE: {MAE_BATCHES * batch}) of {BANDS} × {side} × {side}"
    told += f", tokens of {token_size} pixels, {device}, threads: {threads}"
    print(f"{told}; best of a few steps", flush=True)
    values: dict[str, float] = {}
    paces: dict[str, list[Pace]] = {}
    for name in GOALS:
        count = MAE_BATCHES * batch if name == "mae" else batch
        width = max(side, MOCO_SIDE) if name == "moco" and not args.side else side
        times = max(1, round(REPEATS.get(name, 1) * repeats))
        paces[name] = in_turn(name, (count, BANDS, width, width), token_size, times, threads)
        tell(name, paces[name], count)
    for name, (ours, plain) in paces.items():
        values[f"{name}_speedup"] = plain.seconds / ours.seconds
        count = MAE_BATCHES * batch if name == "mae" else batch
        values[f"{name}_per_second"] = count / ours.seconds
        values[f"{name}_peak_mb"], values[f"{name}_plain_peak_mb"] = ours.peak_mb, plain.peak_mb
    if device.type == "cuda":
        from gpu_figures import gpu_figures

        values |= gpu_figures(device)
    met = all(values[f"{name}_speedup"] >= goal for name, goal in GOALS.items())
    met &= values.get("share_of_peak", 1) >= 0.35 and values.get("device_busy", 1) >= 0.95
    report(
        "samples per second of a full training step at 202 bands, views included, against the same "
        "methods put together plainly: MAE at least 4 ×, MoCo and DINO 1.5 ×; the adapter alone "
        "3 × its Conv3d form; on a GPU 0.35 of its bf16 peak for ViT-L MAE, and 95 % busy",
        met,
        peak_mb=max(pace[0].peak_mb for pace in paces.values()),
        side=side,
        batch=batch,
        token_size=token_size,
        threads=threads,
        **values,
    )


def tell(name: str, paces: list[Pace], batch: int) -> None:
    """One line for people."""
    ours, plain = paces
    paced = f"{batch / ours.seconds:6.2f} images/s, plainly {batch / plain.seconds:6.2f}"
    memory = f"peak {ours.peak_mb:,.0f} MB, plainly {plain.peak_mb:,.0f} MB"
    losses = f"first loss {ours.loss:.3f}, plainly {plain.loss:.3f}"
    print(
        f"  {name:8} {paced}: {plain.seconds / ours.seconds:5.2f} ×; {memory}; {losses}", flush=True
    )


if __name__ == "__main__":
    main()
