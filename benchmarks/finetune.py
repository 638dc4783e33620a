"""A sweep over frozen encoders against computing features each time; tiles against a whole scene.

Three encoders × 5 seeds × 4 label fractions, linear heads. Ours computes the features of each
encoder once (`FeatureCache`); the peer sends every image through the encoder in every step, as a
training loop does that knows nothing of freezing. The peer's cells are so slow that each encoder
runs a few of them, stated below; a cell's cost does not depend on its seed or fraction, as all take
the same number of steps. The floor is one pass of each encoder, and the heads trained on features
that are there already. Images are simulated.

The tiled scene is predicted in overlapping tiles and as a whole, by the same model; memory is that
of processes of their own with a scene of 1 and of 4 times the size.
"""

import argparse
import subprocess
import sys
import tempfile
from itertools import product
from pathlib import Path

import numpy as np
import torch
from harness import measured, parse_scale, peak_memory_mb, report

from workbench.datasets.examples import Examples, scene_examples
from workbench.datasets.fractions import label_fraction
from workbench.models import resnet, segmentation_model
from workbench.sensors import sensor
from workbench.training.features import FeatureCache
from workbench.training.finetune import finetune
from workbench.training.finetune_settings import FinetuneSettings
from workbench.training.inference import predict_scene
from workbench.training.protocols import Protocol

GOAL_SPEEDUP, GOAL_FLOOR, GOAL_TILED, GOAL_MEMORY = 10.0, 1.3, 0.8, 0.15
FRACTIONS, SEEDS = (0.1, 0.25, 0.5, 1.0), range(5)
BANDS = 12
FROZEN = Protocol("frozen")


def plain(images: torch.Tensor) -> torch.Tensor:
    """Numbers are standard already."""
    return images.float()


def examples(side: int, size: int) -> tuple[Examples, Examples]:
    """Windows of a simulated scene of 12 bands and three classes, in two parts."""
    rng = np.random.default_rng(0)
    labels = np.kron(rng.integers(0, 3, (side // 8, side // 8)), np.ones((8, 8), int))
    image = rng.normal(0, 1, (BANDS, side, side)).astype(np.float32)
    image[:3] += np.eye(3, dtype=np.float32)[labels].transpose(2, 0, 1)
    contract = sensor("enmap").contract([f"B{i:03d}" for i in range(1, BANDS + 1)])
    found = scene_examples(
        image, labels.astype(np.uint8), contract, ("a", "b", "c"), size=size, block=2
    )
    groups = sorted(set(found.groups))
    cut = max(1, len(groups) // 5)
    return found.where(groups[cut:]), found.where(groups[:cut])


def encoders() -> list[torch.nn.Module]:
    """Three encoders with weights of their own."""
    made = []
    for seed in range(3):
        torch.manual_seed(seed)
        made.append(resnet(18 if seed else 50, BANDS))
    return made


def head(encoder: torch.nn.Module, seed: int) -> torch.nn.Module:
    """A linear head on an encoder."""
    torch.manual_seed(100 + seed)
    return segmentation_model(encoder, "linear", 3)


def sweep(
    networks: list[torch.nn.Module],
    parts: tuple[Examples, Examples],
    settings: FinetuneSettings,
    cache: FeatureCache | None,
    cells: list[tuple[int, float]],
) -> None:
    """Train the heads of some cells on each encoder; without a cache images go through anew."""
    occurrence = parts[0].occurrence()
    for network, (seed, fraction) in product(networks, cells):
        model = head(network, seed)
        chosen = label_fraction(occurrence, fraction, draw=seed)
        if cache is not None:
            finetune(model, *parts, protocol=FROZEN, standardise=plain, settings=settings,
                     chosen=chosen, cache=cache, seed=seed)  # fmt: skip
        else:
            # the weights stand still, but the images take the long way
            naive = Protocol("frozen", as_published=True)
            finetune(model, *parts, protocol=naive, standardise=plain, settings=settings,
                     chosen=chosen, seed=seed)  # fmt: skip


def passes(networks: list[torch.nn.Module], parts: tuple[Examples, Examples]) -> FeatureCache:
    """Only the features: what no sweep can do without."""
    cache = FeatureCache()
    for network, part in product(networks, parts):
        cache.of(head(network, 0), part, plain)
    return cache


def tiled_share(folder: Path, side: int, repeats: int) -> tuple[float, float]:
    """Pixels a second in tiles against the whole scene at once, and the difference of the maps."""
    torch.manual_seed(0)
    model = segmentation_model(resnet(18, BANDS), "unet", 3).eval()
    image = np.random.default_rng(1).normal(size=(BANDS, side, side)).astype(np.float32)

    def read(row: int, col: int, height: int, width: int) -> np.ndarray:
        return image[:, row : row + height, col : col + width]

    def whole() -> np.ndarray:
        with torch.no_grad():
            return model(torch.from_numpy(image)[None]).argmax(1)[0].numpy()

    def tiles() -> np.ndarray:
        out = folder / "classes.npy"
        return predict_scene(
            model, read, (side, side), out, standardise=plain, tile=side // 2, overlap=16,
            batch_size=2,
        )  # fmt: skip

    one, many = measured(whole, repeats=repeats), measured(tiles, repeats=repeats)
    return one.seconds / many.seconds, float((one.result != many.result).mean())


def memory_of_scene(side: int) -> None:
    """Predict a scene that is made window by window, and say what memory that took."""
    torch.manual_seed(0)
    model = segmentation_model(resnet(18, BANDS), "unet", 3).eval()

    def read(row: int, col: int, height: int, width: int) -> np.ndarray:
        rng = np.random.default_rng([row, col])
        return rng.normal(size=(BANDS, height, width)).astype(np.float32)

    with tempfile.TemporaryDirectory() as name:
        out = Path(name) / "classes.npy"
        predict_scene(model, read, (side, side), out, standardise=plain, tile=128, overlap=16)
    print(peak_memory_mb())


def memory(sides: tuple[int, int]) -> list[float]:
    """Peak memory in MB of processes of their own, one after the other."""
    found = []
    for side in sides:
        command = [sys.executable, __file__, "--memory-of", str(side)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found.append(float(done.stdout.splitlines()[-1]))
    return found


def main() -> None:
    args = parse_scale(__doc__, ("--memory-of", {"type": int, "help": argparse.SUPPRESS}))
    if args.memory_of:
        memory_of_scene(args.memory_of)
        return
    quick = args.scale == "quick"
    parts = examples(512, 64)
    steps, few = (60, 1) if quick else (120, 3)
    settings = FinetuneSettings(steps=steps, batch_size=8, eval_every=steps)
    networks = encoders()
    cells = list(product(SEEDS, FRACTIONS))
    alone = measured(lambda: passes(networks, parts))
    heads = measured(lambda: sweep(networks, parts, settings, alone.result, cells))
    ours = measured(lambda: sweep(networks, parts, settings, FeatureCache(), cells))
    slow = measured(lambda: sweep(networks, parts, settings, None, cells[:few]))
    per_cell = slow.seconds / (few * len(networks))
    speedup = per_cell * len(networks) * len(cells) / ours.seconds
    over_floor = ours.seconds / (alone.seconds + heads.seconds)
    print(f"{len(parts[0])} + {len(parts[1])} images of 64 px, {len(networks)} encoders, "
          f"{len(cells)} cells each of {steps} steps")  # fmt: skip
    print(
        f"one pass {alone.seconds:.2f} s, heads {heads.seconds:.2f} s, sweep {ours.seconds:.2f} s"
    )
    print(
        f"features each time: {per_cell:.2f} s a cell, measured on {few} of {len(cells)} a network"
    )
    with tempfile.TemporaryDirectory() as name:
        share, differs = tiled_share(Path(name), 512 if quick else 1024, 2)
    print(f"tiles reach {share:.2f} of the whole scene; {differs:.2%} of the pixels differ")
    small, large = memory((512, 1024) if quick else (1024, 4096))
    print(f"peak memory of one scene {small:.0f} MB, of four times the pixels {large:.0f} MB")
    growth = large / small - 1
    report(
        "a frozen sweep of 3 encoders, 5 seeds and 4 fractions costs at most 1.3 x one pass and "
        "the heads, 10 x less than features each time; tiles reach 0.8 of a whole scene, with the "
        "same memory for any size",
        speedup >= GOAL_SPEEDUP
        and over_floor <= GOAL_FLOOR
        and share >= GOAL_TILED
        and growth <= GOAL_MEMORY,
        peak_mb=max(ours.peak_mb, slow.peak_mb),
        speedup=speedup,
        sweep_over_floor=over_floor,
        tiled_share=share,
        tiled_memory_growth=growth,
        seconds_a_cell_of_the_peer=per_cell,
        cells_of_the_peer=few * len(networks),
    )


if __name__ == "__main__":
    main()
