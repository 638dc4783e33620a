"""`workbench pretrain`: a run from the shell, completed by the same command."""

import logging

import pytest
from typer.testing import CliRunner

from workbench.__main__ import app
from workbench.errors import CheckpointError, ManifestError, TrainingError
from workbench.extraction import ValidityRules, ViewRules, drop_duplicates, extract_patches
from workbench.extraction.views import temporal_views
from workbench.readers.enmap import discover_enmap
from workbench.synthetic import simulate_campaign


@pytest.fixture(scope="module")
def patches(tmp_path_factory):
    """Patches of a small simulated campaign: 202 bands, 8 pixels."""
    folder = tmp_path_factory.mktemp("pretrain")
    truth = simulate_campaign(
        folder / "campaign", scale="test", seed=0, tile_size=40, nasty=False, n_tiles=4
    )
    tiles, _ = drop_duplicates(discover_enmap(truth.products)[0])
    plan = temporal_views(tiles, ViewRules(patch_size=8))
    out = folder / "patches"
    extract_patches(plan, tiles, out, rules=ValidityRules.accept_all(), workers=1)
    return out


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
        ("-m", "warp=9", "The method mae cannot be made"),
        ("-v", "local=9", "The views cannot be made"),
        ("-s", "epochs", "An option must be NAME=VALUE"),
    ):
        found = run(*words(patches, tmp_path, option, value))
        assert isinstance(found.exception, TrainingError)
        assert str(found.exception).startswith(message)
    missing = run(*words(tmp_path / "nothing", tmp_path))
    assert isinstance(missing.exception, ManifestError)
