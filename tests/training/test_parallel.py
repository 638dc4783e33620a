"""Two processes learn as one: the same batches, views and losses, whole or sharded weights."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

TRAIN = """
import sys, torch
from workbench.datasets import ViewOptions, multi_crop, open_patches
from workbench.methods import DINO, MAE, MoCo
from workbench.models import ViTEncoder, ViTSize
from workbench.training import PretrainSettings, pretrain

torch.set_num_threads(1)
patches = open_patches(sys.argv[1])


def train(name, strategy, out, **more):
    torch.manual_seed(0)
    encoder = ViTEncoder(6, 8, 4, ViTSize(16, 2, 2), adapter=False)  # LayerNorm only
    method = {
        "moco": lambda: MoCo(encoder, hidden_dim=16, output_dim=8, queue_size=24),
        "dino": lambda: DINO(encoder, hidden_dim=16, bottleneck_dim=8, output_dim=16),
        "mae": lambda: MAE(encoder, decoder_width=16, decoder_depth=1, decoder_heads=2),
    }[name]()
    settings = PretrainSettings(
        batch_size=8, checkpoint_every=3, loggers=("csv",), accelerator="cpu",
        lr=1e-3, strategy=strategy, **{"steps": 8, **more},
    )
    views = multi_crop(ViewOptions(crop=(0.3, 1.0), blur=0.5), views=1 if name == "mae" else 2)
    pretrain(method, patches, out=out, settings=settings, views=views, progress=False)


for run in sys.argv[2:]:
    name, strategy, out, *more = run.split(",")
    train(name, strategy, out, **{k: int(v) for k, v in (pair.split("=") for pair in more)})
"""


def launch(tmp_path, *runs):
    """Train in two processes that torchrun starts."""
    start = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [sys.executable, *start, *words(tmp_path, runs)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def words(tmp_path, runs):
    script = tmp_path / "train.py"
    script.write_text(TRAIN, encoding="utf-8")
    named = [run.replace("@", f"{tmp_path}/") for run in runs]
    return [str(script), str(tmp_path / "patches"), *named]


def losses(tmp_path, run):
    return pd.read_csv(tmp_path / run / "metrics.csv").loss.tolist()


@pytest.mark.slow
def test_two_processes_have_the_loss_curve_of_one(make, tmp_path, monkeypatch):
    make()
    monkeypatch.setattr(sys, "argv", words(tmp_path, ["moco,auto,@moco1", "dino,auto,@dino1"]))
    runpy.run_path(sys.argv[0])
    launch(
        tmp_path,
        "moco,auto,@moco2",
        "dino,auto,@dino2",
        "moco,ddp,@parts,stop_after=4",
        "moco,ddp,@parts",  # goes on
        "mae,fsdp,@sharded,stop_after=4",
        "mae,fsdp,@sharded",
        "mae,ddp,@whole",
    )
    for name in ("moco", "dino"):
        one, two = losses(tmp_path, f"{name}1"), losses(tmp_path, f"{name}2")
        assert len(one) == 8
        assert two == pytest.approx(one, abs=1e-5)
        a, b = (load_file(tmp_path / f"{name}{n}" / "encoder.safetensors") for n in (1, 2))
        for key in a:
            torch.testing.assert_close(a[key], b[key], rtol=1e-3, atol=1e-4)
    assert losses(tmp_path, "parts") == losses(tmp_path, "moco2")
    # sharded weights learn as whole ones, and their checkpoint is whole
    assert losses(tmp_path, "sharded") == pytest.approx(losses(tmp_path, "whole"), abs=1e-5)
    a, b = (load_file(tmp_path / run / "encoder.safetensors") for run in ("sharded", "whole"))
    assert a.keys() == b.keys()
    for key in a:
        torch.testing.assert_close(a[key], b[key], rtol=1e-3, atol=1e-4)
