"""`workbench pretrain`: a run from the shell, completed by the same command."""

import json
import logging

import pytest
import yaml
from typer.testing import CliRunner

from tests.made_campaign import small_patches
from workbench.__main__ import app
from workbench.datasets import POLICIES, PairPolicy, open_patches
from workbench.errors import CheckpointError, ManifestError, MethodError, TrainingError
from workbench.evaluation.study_files import study_text


@pytest.fixture(scope="module")
def patches(tmp_path_factory):
    return small_patches(tmp_path_factory.mktemp("pretrain"))


@pytest.fixture
def run(caplog):
    caplog.set_level(logging.ERROR, logger="workbench")
    return lambda *words: CliRunner().invoke(app, ["pretrain", *map(str, words)])


def words(patches, out, *more):
    return [
        patches, "-o", out, "--method", "mae", "--recipe", "spectral_earth",
        "-e", "size=T", "-e", "token_size=4", "-m", "mask_ratio=0.5",
        "-m", "decoder_width=16", "-m", "decoder_heads=2",
        "-s", "steps=3", "-s", "batch_size=4", "-s", "loggers=('csv',)", "-s", "accelerator=cpu",
        *more,
    ]  # fmt: skip


def test_a_run_from_the_shell_goes_on(run, patches, tmp_path):
    out = tmp_path / "run"
    begun = run(*words(patches, out, "-s", "stop_after=1"))
    assert begun.exit_code == 0, begun.output
    assert "1 (to go on)" in begun.output
    done = run(*words(patches, out))
    assert done.exit_code == 0, done.output
    assert "encoder.safetensors" in done.output
    assert len((out / "metrics.csv").read_text().splitlines()) == 4
    assert '"recipe"' in (out / "encoder.json").read_text()
    other = run(*words(patches, out, "-s", "lr=1.0"))
    assert isinstance(other.exception, CheckpointError)


def test_wrong_words_are_told(run, patches, tmp_path):
    for option, value, message in (
        ("-s", "speed=1", "There is no setting 'speed'"),
        ("-m", "warp=9", "The method 'mae' has no option 'warp'"),
        ("-v", "local=9", "The views cannot be made"),
        ("-s", "epochs", "An option must be NAME=VALUE"),
    ):
        found = run(*words(patches, tmp_path, option, value))
        assert isinstance(found.exception, TrainingError | MethodError)
        assert str(found.exception).startswith(message)
    missing = run(*words(tmp_path / "nothing", tmp_path))
    assert isinstance(missing.exception, ManifestError)


def test_positives_are_chosen_by_name(run, patches, tmp_path):
    index = open_patches(patches).index
    assert 0 < (index.n_dates > 1).sum() < len(index)
    held = {}
    for name in (None, "any_dates", "one_date"):
        out = tmp_path / str(name)
        chosen = [] if name is None else ["--positives", name]
        done = run(*words(patches, out, "-s", "stop_after=1", "-s", "batch_size=3", *chosen))
        assert done.exit_code == 0, done.output
        held[name] = json.loads((out / "encoder.json").read_text("utf-8"))["data"]
    assert held[None]["pairs"] is None  # masked images need no pair
    assert held[None]["locations"] == held["one_date"]["locations"] == len(index)
    assert held["any_dates"]["pairs"] == json.loads(json.dumps(PairPolicy().to_dict()))
    counts = held["any_dates"]["counts"]
    assert held["any_dates"]["locations"] == counts["paired"] == (index.n_dates > 1).sum()
    assert counts["paired"] + counts["too_few_dates"] == len(index)
    other = run(*words(patches, tmp_path / "any_dates", "--positives", "one_date"))
    assert isinstance(other.exception, CheckpointError)
    unknown = run(*words(patches, tmp_path / "x", "--positives", "warm_dates"))
    assert isinstance(unknown.exception, TrainingError)
    assert "Policies are any_dates, one_season, months, one_date." in str(unknown.exception)


def test_every_policy_is_in_the_help_and_the_named_study_uses_no_other(run):
    shown = " ".join(run("--help").output.replace("│", " ").split())
    assert all(name in shown for name in POLICIES)
    varied = yaml.safe_load(study_text("positives"))["studies"][0]["varied"]["positives"]
    assert set(varied) <= set(POLICIES)
