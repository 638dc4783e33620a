"""Rows reach every place that was asked for, also MLflow where there is one."""

import importlib.util
import json
import sys
from dataclasses import replace

import pandas as pd
import pytest
import torch

from workbench.errors import TrainingError
from workbench.methods import MAE
from workbench.training import PretrainSettings, pretrain
from workbench.training.logs import MetricsLog

MLFLOW = '''
"""MLflow's three functions that are called, writing down how."""
import json
import sys
from pathlib import Path

CALLS = Path(__file__).with_name("calls.jsonl")


def _told(*words):
    with CALLS.open("a") as file:
        file.write(json.dumps(words) + "\\n")


def start_run(*, run_name):
    _told("start_run", run_name)


def log_metrics(metrics, step=None):
    assert all(type(value) is float for value in metrics.values()), metrics
    _told("log_metrics", metrics, step)


def end_run():
    _told("end_run")
'''
SETTINGS = PretrainSettings(steps=3, batch_size=4, loggers=("csv", "mlflow"), accelerator="cpu")


@pytest.fixture
def calls(tmp_path, monkeypatch):
    """A package of MLflow's name and interface; gives what it was told."""
    place = tmp_path / "site"
    place.mkdir()
    (place / "mlflow.py").write_text(MLFLOW, encoding="utf-8")
    monkeypatch.syspath_prepend(place)
    yield lambda: [json.loads(line) for line in (place / "calls.jsonl").read_text().splitlines()]
    sys.modules.pop("mlflow", None)


def method(encoder):
    torch.manual_seed(0)
    return MAE(encoder(), decoder_width=16, decoder_depth=1, decoder_heads=2)


def test_mlflow_is_told_what_the_table_says(calls, make, encoder, tmp_path):
    done = pretrain(
        method(encoder), make(), out=tmp_path / "run", settings=SETTINGS, progress=False
    )
    begin, *rows, end = calls()
    assert begin == ["start_run", "run"]
    assert end == ["end_run"]
    table = pd.read_csv(done.metrics)
    assert [row[2] for row in rows] == table.step.tolist() == [0, 1, 2]
    for (name, told, _), (_, wanted) in zip(rows, table.iterrows(), strict=True):
        assert name == "log_metrics"
        assert told == pytest.approx(wanted.drop("step").to_dict())


def test_mlflows_run_ends_when_training_stops(calls, make, encoder, tmp_path):
    patches = make(spoilt=(5,))
    good = [name.decode() for name in patches.index.location if name != b"L0005"]
    with pytest.raises(TrainingError, match="The loss must be a number"):
        pretrain(
            method(encoder), patches, out=tmp_path / "run", progress=False,
            settings=replace(SETTINGS, steps=8), statistics=patches.only(good).statistics(),
        )  # fmt: skip
    assert calls()[-1] == ["end_run"]


@pytest.mark.skipif(importlib.util.find_spec("mlflow") is not None, reason="MLflow is installed")
def test_without_the_package_the_cure_is_told(make, encoder, tmp_path):
    with pytest.raises(TrainingError, match=r"needs the package mlflow.*\n.*leave it out of"):
        pretrain(method(encoder), make(), out=tmp_path / "run", settings=SETTINGS, progress=False)
    with pytest.raises(TrainingError, match="needs the package mlflow"):
        MetricsLog(tmp_path, ("mlflow",), start=0)
