"""A run on a CUDA device: loader, views, steps in bfloat16, checkpoint, and going on from it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from workbench.datasets import PairPolicy, TemporalPatches, ViewOptions, multi_crop
from workbench.datasets.acquisitions import Acquisitions
from workbench.datasets.patches import Patches
from workbench.extraction.shards import ShardWriter
from workbench.extraction.store import STORE, PatchStore, StoreLayout, create_store, shard_path
from workbench.methods import DINO, MAE, MoCo
from workbench.models import ViTEncoder, ViTSize
from workbench.sensors import sensor
from workbench.training import PretrainSettings, pretrain

pytestmark = pytest.mark.gpu

BANDS, SIDE, LOCATIONS, SHARD = 80, 16, 24, 16
METHODS = {
    "moco": lambda e: MoCo(e, hidden_dim=16, output_dim=8, queue_size=20),
    "dino": lambda e: DINO(e, hidden_dim=16, bottleneck_dim=8, output_dim=16),
    "mae": lambda e: MAE(e, decoder_width=16, decoder_depth=1, decoder_heads=2),
}


@pytest.fixture
def dataset(tmp_path):
    """Locations with two dates each, in a store."""
    contract = sensor("enmap").contract(list(sensor("enmap").contract().band_names[:BANDS]))
    places = 2 * LOCATIONS
    create_store(tmp_path / STORE, StoreLayout(places, SIDE, "int16", SHARD, contract))
    rng = np.random.default_rng(0)
    for shard in range(places // SHARD):
        path = shard_path(tmp_path / STORE, "pixels", shard)
        with ShardWriter(path, path.with_suffix(".tmp"), places=SHARD) as out:
            for place in range(SHARD):
                out.put(place, rng.integers(100, 4000, (BANDS, SIDE, SIDE)).astype(np.int16))
    date = np.tile([0, 1], LOCATIONS)
    index = Acquisitions(
        location=np.char.zfill(np.arange(LOCATIONS).astype("S4"), 4),
        first=2 * np.arange(LOCATIONS + 1),
        place=np.arange(places),
        time=date * 2.6e6,
        date=date,
        cloud=np.zeros(places, np.float32),
    )
    patches = Patches(PatchStore(tmp_path), index, contract, checksum="simulated")
    return TemporalPatches(patches, min_acquisitions=2, pairs=PairPolicy())


@pytest.mark.parametrize("name", METHODS)
def test_a_run_trains_and_goes_on(name, dataset, tmp_path):
    settings = PretrainSettings(
        steps=6, batch_size=8, lr=1e-3, checkpoint_every=2, loggers=("csv",), accelerator="cuda",
        workers=2,
    )  # fmt: skip
    views = multi_crop(ViewOptions(crop=(0.5, 1.0), blur=0.5), views=2)

    def run(**changes):
        torch.manual_seed(0)
        method = METHODS[name](ViTEncoder(BANDS, SIDE, 4, ViTSize(32, 2, 2), adapter=True))
        told = {"views": views, "seed": 3, "progress": False, "out": tmp_path / "run"}
        return pretrain(method, dataset, settings=replace(settings, **changes), **told)

    begun = run(stop_after=3)
    assert (begun.steps, begun.is_complete) == (3, False)
    done = run()
    assert (done.steps, done.is_complete) == (6, True)
    losses = pd.read_csv(done.metrics).loss
    assert len(losses) == 6
    assert np.isfinite(losses).all()
    weights = load_file(done.checkpoint)
    assert all(bool(value.isfinite().all()) for value in weights.values())
    assert run().last == {}
