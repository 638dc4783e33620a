"""A run is a function of its seed; it may end between any two steps, and be killed in any."""

import os
import runpy
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from workbench.datasets import PairPolicy, TemporalPatches, ViewOptions, multi_crop
from workbench.errors import (
    CheckpointError,
    ContractMismatchError,
    ManifestError,
    MethodError,
    TrainingError,
)
from workbench.methods import DINO, MAE, MoCo
from workbench.training import PretrainSettings, load_checkpoint, pretrain
from workbench.training.run_state import read_state

FAST = PretrainSettings(
    steps=9, batch_size=6, optimiser="adamw", lr=1e-3, warmup_epochs=0.5, checkpoint_every=4,
    loggers=("csv",), accelerator="cpu",
)  # fmt: skip


def moco(encoder):
    return MoCo(encoder, hidden_dim=16, output_dim=8, queue_size=20)


METHODS = {
    "moco": moco,
    "dino": lambda e: DINO(e, hidden_dim=16, bottleneck_dim=8, output_dim=16),
    "mae": lambda e: MAE(e, decoder_width=16, decoder_depth=1, decoder_heads=2),
}


def made(name, encoder):
    torch.manual_seed(1)
    return METHODS[name](encoder)


def losses_in(folder):
    return pd.read_csv(folder / "metrics.csv").loss.tolist()


def losses(result):
    return losses_in(result.metrics.parent)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("at", [1, 6])
def test_a_run_that_was_stopped_goes_on_as_if_it_had_not(name, at, make, encoder, tmp_path):
    patches = make()
    views = multi_crop(ViewOptions(crop=(0.5, 1.0), blur=0.5), views=2)
    told = {"views": views, "seed": 3, "progress": False}
    whole = pretrain(made(name, encoder()), patches, out=tmp_path / "a", settings=FAST, **told)
    first = replace(FAST, stop_after=at)
    begun = pretrain(made(name, encoder()), patches, out=tmp_path / "b", settings=first, **told)
    assert (begun.steps, begun.is_complete) == (at, False)
    # other initial weights: all of them come from the state
    done = pretrain(made(name, encoder(9)), patches, out=tmp_path / "b", settings=FAST, **told)
    assert (done.steps, done.is_complete) == (9, True)
    a, b = load_file(whole.checkpoint), load_file(done.checkpoint)
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert losses(whole) == losses(done)
    assert len(losses(done)) == 9
    again = pretrain(made(name, encoder(9)), patches, out=tmp_path / "b", settings=FAST, **told)
    assert again.is_complete
    assert again.last == done.last


def test_another_seed_gives_another_run(make, encoder, tmp_path):
    patches = make()
    settings = replace(FAST, steps=3)
    runs = [
        pretrain(
            made("moco", encoder()), patches, out=tmp_path / str(i), settings=settings, seed=seed
        )
        for i, seed in enumerate((0, 0, 1))
    ]
    assert losses(runs[0]) == losses(runs[1]) != losses(runs[2])


def test_parts_of_a_batch_learn_as_the_whole(make, encoder, tmp_path):
    patches = make()
    whole = pretrain(
        made("dino", encoder()), patches, out=tmp_path / "a", settings=replace(FAST, steps=4)
    )
    parts = pretrain(
        made("dino", encoder()),
        patches,
        out=tmp_path / "b",
        settings=replace(FAST, steps=4, accumulate=3),
    )
    assert losses(parts) == pytest.approx(losses(whole), abs=1e-5)


KILLED = """
import sys, torch
from pathlib import Path
from workbench.datasets import open_patches
from workbench.methods import MoCo
from workbench.models import ViTEncoder, ViTSize
from workbench.training import PretrainSettings, pretrain

torch.set_num_threads(1)
torch.manual_seed(0)
encoder = ViTEncoder(6, 8, 4, ViTSize(16, 2, 2), adapter=False)
method = MoCo(encoder, hidden_dim=16, output_dim=8, queue_size=20)
settings = PretrainSettings(steps=int(sys.argv[3]), batch_size=6, checkpoint_every=1,
                            loggers=("csv",), accelerator="cpu", watch=None)
print("ready", flush=True)
pretrain(method, open_patches(sys.argv[1]), out=sys.argv[2], settings=settings, progress=False)
"""


@pytest.mark.slow
def test_a_killed_run_ends_with_the_same_weights(make, tmp_path, monkeypatch):
    make()
    script = tmp_path / "train.py"
    script.write_text(KILLED, encoding="utf-8")
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"

    def words(folder):
        return [str(script), str(tmp_path / "patches"), str(folder), "60"]

    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    run = subprocess.Popen([sys.executable, *words(killed)], env=environment)
    while not (killed / "state.pt").exists() and run.poll() is None:
        time.sleep(0.002)
    time.sleep(0.1)
    run.send_signal(signal.SIGKILL)
    assert run.wait() == -signal.SIGKILL
    assert 0 < read_state(killed).step < 60
    for folder in (killed, undisturbed):
        monkeypatch.setattr(sys, "argv", words(folder))
        runpy.run_path(str(script))
    a, b = (load_file(folder / "encoder.safetensors") for folder in (undisturbed, killed))
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert losses_in(undisturbed) == losses_in(killed)


def test_the_checkpoint_gives_the_encoder_back(make, encoder, tmp_path):
    patches = make()
    method = made("moco", encoder())
    result = pretrain(method, patches, out=tmp_path / "run", settings=FAST, licence="CC-BY-4.0")
    found, card = load_checkpoint(result.checkpoint, contract=patches.contract)
    images = torch.randn(2, 6, 8, 8)
    torch.testing.assert_close(found(images), method.encoder.eval()(images))
    assert (card.method, card.steps, card.licence) == ("MoCo", 9, "CC-BY-4.0")
    assert card.data["manifest"] == patches.checksum
    assert card.recipe["settings"]["lr"] == 1e-3
    assert card.metrics["loss"] == pytest.approx(result.last["loss"])
    stored = torch.from_numpy(patches.read(0))
    assert card.normalizer()(stored).abs().max() < 10


def test_a_loss_that_is_no_number_stops_and_names_the_locations(make, encoder, tmp_path):
    """What the steps before it had reached is kept: the encoder, and the state to go on from."""
    patches = make(spoilt=(5,))
    good = [name.decode() for name in patches.index.location if name != b"L0005"]
    statistics = patches.only(good).statistics()
    often = replace(FAST, checkpoint_every=1)
    told = {"settings": often, "statistics": statistics, "seed": 2, "progress": False}
    method = made("moco", encoder())
    with pytest.raises(TrainingError, match=r"The loss must be a number, but is nan at step \d+; "
                       r"the batch shows the locations .*L0005.*\n.*The last checkpoint is kept"
                       ) as stopped:  # fmt: skip
        pretrain(method, patches, out=tmp_path, **told)
    reached = int(str(stopped.value).partition("at step ")[2].partition(";")[0])
    assert reached > 0
    assert read_state(tmp_path).step == reached
    kept = load_file(tmp_path / "encoder.safetensors")
    assert all(bool(value.isfinite().all()) for value in kept.values())
    found, card = load_checkpoint(tmp_path / "encoder.safetensors", contract=patches.contract)
    assert card.steps == reached
    assert found(torch.randn(2, 6, 8, 8)).isfinite().all()
    assert len(losses_in(tmp_path)) == reached


def test_what_does_not_fit_is_refused(make, encoder, tmp_path):
    patches = make(dates=1)
    method = made("moco", encoder())
    with pytest.raises(ContractMismatchError, match="takes 5 and they have 6"):
        pretrain(moco(encoder(bands=5)), patches, out=tmp_path, settings=FAST)
    with pytest.raises(TrainingError, match="A batch takes 64 locations, but the data have 16"):
        pretrain(method, patches, out=tmp_path, settings=replace(FAST, batch_size=64))
    with pytest.raises(TrainingError, match="compares the locations of a batch"):
        pretrain(method, patches, out=tmp_path, settings=replace(FAST, batch_size=1))
    with pytest.raises(TrainingError, match="must be cut into equal parts"):
        pretrain(method, patches, out=tmp_path, settings=replace(FAST, accumulate=4))
    with pytest.raises(TrainingError, match="'fsdp' shards a model over processes"):
        pretrain(method, patches, out=tmp_path, settings=replace(FAST, strategy="fsdp"))
    with pytest.raises(ManifestError, match="A positive pair needs a location with two dates"):
        TemporalPatches(patches, min_acquisitions=2, pairs=PairPolicy())
    with pytest.raises(MethodError, match="MoCo needs 2 views of each location"):
        pretrain(method, patches, out=tmp_path, settings=FAST, views=[ViewOptions()])


def test_a_folder_with_another_run_is_refused(make, encoder, tmp_path):
    patches = make()
    run = tmp_path / "run"
    pretrain(made("moco", encoder()), patches, out=run, settings=replace(FAST, stop_after=2))
    with pytest.raises(
        CheckpointError, match=r"Cannot resume .*: settings differ \(lr 0.001, now 0"
    ):
        pretrain(made("moco", encoder()), patches, out=run, settings=replace(FAST, lr=0.5))
    with pytest.raises(CheckpointError, match=r"settings differ \(method MoCo, now DINO\)"):
        pretrain(made("dino", encoder()), patches, out=run, settings=FAST)
    state = run / "state.pt"
    state.write_bytes(state.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="must be the state of a run, but cannot be read"):
        pretrain(made("moco", encoder()), patches, out=run, settings=FAST)


def test_gradient_checkpointing_changes_nothing_but_memory(make, encoder, tmp_path):
    patches = make()
    settings = replace(FAST, steps=3)
    plain = pretrain(made("mae", encoder()), patches, out=tmp_path / "a", settings=settings)
    twice = replace(settings, gradient_checkpointing=True)
    saved = pretrain(made("mae", encoder()), patches, out=tmp_path / "b", settings=twice)
    assert losses(saved) == pytest.approx(losses(plain), abs=1e-6)
