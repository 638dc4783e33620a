"""`workbench sweep`: a study from a file or by name, cut off and gone on with, and its table."""

import os
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
from typer.testing import CliRunner

from workbench.__main__ import app
from workbench.errors import EvaluationError
from workbench.evaluation.study_files import read_study, study_names

pytestmark = pytest.mark.slow

STUDY = """
title: Tiny
data: {entry: enmap_simulated, scale: test, seed: 0}
encoders:
  tiny: {factory: ViTEncoder, options: {size: [24, 1, 2], token_size: 2, adapter: true}}
settings: {steps: 2, batch_size: 8, lr: 0.003, eval_every: 2}
studies:
  - {kind: protocols, tasks: {corine: {tiny: linear}}, inits: [random], seeds: 2}
  - {kind: fractions, task: nlcd, encoders: {tiny: upconv}, inits: [random],
     fractions: [0.1, 1.0], draws: 2, seeds: 1}
  - {kind: varied, task: nlcd, encoder: tiny, decoder: upconv, varied: {token_size: [2, 4]},
     seeds: 1}
"""


def run(*words):
    return CliRunner().invoke(app, [str(w) for w in words], env={"COLUMNS": "300"})


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tmp_path_factory.mktemp("campaign")


@pytest.fixture
def study(tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(STUDY)
    return path


def test_a_study_runs_once_and_becomes_a_table(study, data, tmp_path):
    words = ["sweep", study, "-o", tmp_path / "s", "--data", data]
    first = run(*words)
    assert first.exit_code == 0, first.output
    assert "9 cells, 9 to run" in first.output
    assert "cells/s" in first.output or "s a cell" in first.output
    assert "9 cells: 9 finished." in first.output
    frame = pd.read_parquet(tmp_path / "s" / "results.parquet")
    assert len(frame) == frame["key"].nunique() == 9
    assert (frame["leak_share"] > 0).all()  # tiles of a site are shared, and each row says so
    assert frame["split_hash"].groupby(frame["task"]).nunique().eq(1).all()
    again = run(*words)
    assert "9 cells: 9 reused." in again.output
    assert pd.read_parquet(tmp_path / "s" / "results.parquet").equals(frame)
    table = run("table", tmp_path / "s" / "results.parquet", "-o", tmp_path / "t", "--draws", 200)
    assert table.exit_code == 0, table.output
    assert "fewer than 5 seeds: no significance is claimed" in table.output


def test_other_settings_of_a_study_are_other_cells(study, data, tmp_path):
    words = ["sweep", study, "-o", tmp_path / "s", "--data", data, "--seeds", 1]
    assert "7 cells: 7 finished." in run(*words).output
    study.write_text(STUDY.replace("lr: 0.003", "lr: 0.001"))
    assert "7 cells: 7 finished." in run(*words).output
    frame = pd.read_parquet(tmp_path / "s" / "results.parquet")
    assert frame["lr"].value_counts().to_dict() == {0.003: 7, 0.001: 7}
    study.write_text(STUDY)
    assert "7 cells: 7 reused." in run(*words).output


def test_another_encoder_of_the_same_name_is_refused(study, data, tmp_path):
    words = ["sweep", study, "-o", tmp_path / "s", "--data", data, "--seeds", 1]
    assert run(*words).exit_code == 0
    study.write_text(STUDY.replace("size: [24", "size: [48"))
    told = run(*words)
    assert isinstance(told.exception, EvaluationError)
    assert "holds results of another 'tiny'" in str(told.exception)


def test_a_sweep_that_is_interrupted_loses_nothing(study, data, tmp_path):
    assert run("sweep", study, "-o", tmp_path / "w", "--data", data, "--seeds", 1).exit_code == 0
    words = ["sweep", str(study), "-o", str(tmp_path / "s"), "--data", str(data), "--seeds", "40"]
    log = tmp_path / "log.txt"
    with log.open("w") as out:
        child = subprocess.Popen(
            [sys.executable, "-m", "workbench", *words], stdout=out, stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        end = time.monotonic() + 120
        while log.read_text().count("finished") < 3 and time.monotonic() < end:
            time.sleep(0.1)
        child.send_signal(signal.SIGINT)
        assert child.wait(60) == 130
    assert "the same command goes on" in log.read_text()
    kept = pd.read_parquet(tmp_path / "s" / "results.parquet")
    assert 3 <= len(kept) < 240
    fewer = run("sweep", study, "-o", tmp_path / "s", "--data", data, "--seeds", 1)
    assert fewer.exit_code == 0, fewer.output
    frame = pd.read_parquet(tmp_path / "s" / "results.parquet")
    assert frame["key"].is_unique
    assert frame.head(len(kept))[["key", "finished"]].equals(kept[["key", "finished"]])


def test_cells_that_fail_are_counted_and_tried_again(study, data, tmp_path):
    study.write_text(STUDY.replace("tiny: upconv}}, inits", "tiny: unet}}, inits")
                     .replace("{tiny: upconv}", "{tiny: unet}"))  # fmt: skip
    told = run("sweep", study, "-o", tmp_path / "s", "--data", data)
    assert isinstance(told.exception, EvaluationError)
    assert "of 9 cells failed; the others are in the table" in str(told.exception)
    assert "A UNet joins maps of several sizes" in told.output
    assert len(pd.read_parquet(tmp_path / "s" / "results.parquet")) == 6


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "inits: [random], seeds: 2",
            "initz: [random]",
            r"tiny.yaml:8:\d+ studies\[0\].initz: unkn",
        ),
        ("kind: varied", "kind: variety", "tiny.yaml"),
        ("scale: test", "scale: tiny", "no scale 'tiny'"),
        ("{tiny: linear}", "{huge: linear}", "must be among `encoders`, but 'huge' is not"),
        ("{corine:", "{sea:", "There is no task 'sea'"),
        ("steps: 2", "steps: 0", "steps must be >= 1"),
        ("steps: 2", "stepz: 2", "settings of the study cannot be used"),
        ("inits: [random], seeds", "inits: [moco], seeds", "weights 'moco' of 'tiny' must be at"),
        ("entry: enmap_simulated", "entry: nowhere", "has no entry 'nowhere'"),
        ("title: Tiny", "title: [Tiny", "not YAML"),
    ],
)
def test_what_is_wrong_in_a_study_is_told_before_anything_runs(
    study, data, tmp_path, old, new, message
):
    assert old in STUDY
    study.write_text(STUDY.replace(old, new))
    told = run("sweep", study, "-o", tmp_path / "s", "--data", data)
    assert told.exit_code == 1
    with pytest.raises(Exception, match=message):
        raise told.exception
    assert 1 <= len(str(told.exception).splitlines()) <= 3
    assert not (tmp_path / "s" / "results.parquet").exists()


def test_the_named_studies_are_whole(tmp_path):
    assert set(study_names()) == {
        "protocols", "few_labels", "convergence", "token_size", "stem", "model_size", "positives",
    }  # fmt: skip
    for name in study_names():
        study = read_study(name)
        cells = study.cells()
        assert {cell.seed for cell in cells} == set(range(5))
        shown = run("sweep", name, "--show")
        assert shown.exit_code == 0
        (tmp_path / "own.yaml").write_text(shown.output)
        assert read_study(tmp_path / "own.yaml") == study
    fewer = read_study("convergence", {"seeds": 1, "steps": 5, "scale": "test"})
    assert {c.seed for c in fewer.cells()} == {0}
    assert {c.options["steps"] for c in fewer.cells()} == {5}
    assert fewer.data.scale == "test"
