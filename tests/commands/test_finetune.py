"""`workbench finetune`: predictions, scores and a card; found again; wrong words told."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from workbench.__main__ import app
from workbench.catalog import open_catalog
from workbench.errors import WorkbenchError
from workbench.evaluation import read_predictions
from workbench.evaluation.campaign_tasks import campaign_data
from workbench.sensors import sensor
from workbench.training.checkpoint import Card, save_checkpoint
from workbench.training.encoders import build_encoder, describe_encoder

pytestmark = pytest.mark.slow

QUICK = ["--set", "steps=2", "--set", "batch_size=8", "--set", "eval_every=2"]
TINY = [
    "--encoder",
    "ViTEncoder",
    "-e",
    "size=[24,1,2]",
    "-e",
    "token_size=2",
    "-e",
    "adapter=True",
]


def run(*words):
    return CliRunner().invoke(app, ["finetune", *map(str, words)], env={"COLUMNS": "300"})


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Folder of a campaign, and what was cut of it."""
    folder = tmp_path_factory.mktemp("campaign")
    return folder, campaign_data(open_catalog()["enmap_simulated"], folder, scale="test")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    encoder = build_encoder("ViTEncoder", bands=202, image_size=8, token_size=2, size=[24, 1, 2],
                            adapter=True)  # fmt: skip
    card = Card(sensor("enmap").contract(), encoder=describe_encoder(encoder), method="MAE")
    return save_checkpoint(
        tmp_path_factory.mktemp("weights") / "encoder.safetensors", encoder, card
    )


def words(data, out, *more, task="nlcd"):
    return [task, "-o", out, "--data", data[0], "--scale", "test", *QUICK, *more]


def test_a_run_leaves_predictions_scores_and_a_card(data, tmp_path):
    done = run(*words(data, tmp_path, *TINY, "--decoder", "upconv", "--seeds", 2))
    assert done.exit_code == 0, done.output
    assert "no significance is claimed" in done.output
    assert "macro_miou: Intersection over union of each class" in done.output
    frame = pd.read_parquet(tmp_path / "results.parquet")
    assert frame["seed"].tolist() == [0, 1]
    place = tmp_path / frame["key"][0]
    card = json.loads((place / "card.json").read_text())
    assert card["cell"]["protocol"] == "scratch"
    assert card["scores"]["macro_miou"]["value"] == pytest.approx(frame["macro_miou"][0])
    assert card["split_hash"] == frame["split_hash"][0]
    assert card["leak_share"] == 1.0
    maps, targets = read_predictions(place / "maps"), read_predictions(tmp_path / "targets")
    right = (maps.maps == targets.of(maps.ids))[targets.maps != targets.ignore_index].mean()
    assert right == pytest.approx(frame["overall_accuracy"][0])
    kept = np.load(place / "predictions.npz")
    assert tuple(kept["ids"]) == maps.ids
    assert any(name.startswith("encoder.") for name in load_file(place / "model.safetensors"))
    again = run(*words(data, tmp_path, *TINY, "--decoder", "upconv", "--seeds", 3))
    assert "3 cells, 1 to run" in again.output
    assert len(pd.read_parquet(tmp_path / "results.parquet")) == 3


def test_a_pretrained_encoder_is_frozen_unless_told_otherwise(data, checkpoint, tmp_path):
    before = load_file(checkpoint)
    done = run(*words(data, tmp_path, "-w", checkpoint, task="corine"))
    assert done.exit_code == 0, done.output
    frame = pd.read_parquet(tmp_path / "results.parquet")
    assert frame[["protocol", "init", "decoder"]].iloc[0].tolist() == ["frozen", "mae", "linear"]
    after = load_file(tmp_path / frame["key"][0] / "model.safetensors")
    assert all(torch.equal(after[f"encoder.{name}"], value) for name, value in before.items())
    tuned = run(*words(data, tmp_path, "-w", checkpoint, "--protocol", "adapter", task="corine"))
    assert tuned.exit_code == 0, tuned.output
    frame = pd.read_parquet(tmp_path / "results.parquet")
    assert frame["parameters_trained"].diff().iloc[1] == 56_192


def test_patches_of_ones_own(data, checkpoint, tmp_path):
    campaign = data[1]
    maps = [w for path in campaign.maps("tree_density") for w in ("--labels", path)]
    given = ["tree_density", "-o", tmp_path, "--patches", campaign.folder, *maps, *QUICK]
    told = run(*given, "-w", checkpoint)
    assert "must share no tile and no ground" in str(told.exception)
    done = run(*given, "-w", checkpoint, "--allow-leak")
    assert done.exit_code == 0, done.output
    frame = pd.read_parquet(tmp_path / "results.parquet")
    assert 0 < frame["leak_share"][0] <= 1
    assert np.isfinite(frame["rmse"][0])
    split = pd.DataFrame({"location_id": ["nowhere"], "split": ["train"]})
    split.to_csv(tmp_path / "split.csv")
    told = run(*given, "--split", tmp_path / "split.csv", "--allow-leak")
    assert "must place every location of the manifest" in str(told.exception)


@pytest.mark.parametrize(
    ("task", "more", "message"),
    [
        ("sea", TINY, "There is no task 'sea'"),
        ("nlcd", [*TINY, "--decoder", "unet"], "A UNet joins maps of several sizes"),
        ("corine", [*TINY, "--decoder", "upconv"], "labels whole images"),
        ("nlcd", [*TINY, "--protocol", "prompt"], "There is no protocol 'prompt'"),
        ("nlcd", [*TINY, "--set", "speed=9"], "There is no setting 'speed'"),
        ("nlcd", [*TINY, "--set", "lr=-1"], "lr must be > 0"),
        ("nlcd", [*TINY, "--loss", "mse"], "is for density"),
        ("nlcd", ["-w", "none.safetensors"], "There is no checkpoint at none.safetensors"),
        ("nlcd", [*TINY, "--labels", "x.tif"], "go with --patches"),
        ("nlcd", ["--patches", "nowhere"], "Patches need label maps"),
        ("nlcd", ["--encoder", "swin"], "There is no encoder 'swin'"),
    ],
)
def test_wrong_words_are_told(data, tmp_path, task, more, message):
    told = run(*words(data, tmp_path, *more, task=task))
    assert told.exit_code == 1
    assert isinstance(told.exception, WorkbenchError), told.exception
    assert message in str(told.exception) or message in told.output
    assert 1 <= len(str(told.exception).splitlines()) <= 3
