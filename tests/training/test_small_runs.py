"""Every method learns on a simulated campaign, none is taken for a collapse, and the best help."""

import math

import pandas as pd
import pytest
import torch

from workbench import extraction
from workbench.datasets import LabelSource, align_labels, open_patches
from workbench.legends import HRL_LEAF_TYPE
from workbench.methods import METHODS
from workbench.readers.enmap import discover_enmap
from workbench.synthetic import simulate_campaign
from workbench.training.small_runs import small_run

STEPS, BANDS = 30, 75


@pytest.fixture(scope="module")
def campaign(tmp_path_factory):
    """An extraction of 8 pixel patches, of every second or third band, and the labels' maps."""
    folder = tmp_path_factory.mktemp("small")
    truth = simulate_campaign(folder / "simulated", tile_size=64, n_tiles=9, nasty=False)
    tiles, _ = extraction.drop_duplicates(discover_enmap(truth.products)[0])
    plan = extraction.temporal_views(tiles, extraction.ViewRules(patch_size=8))
    done = extraction.extract_patches(plan, tiles, folder / "patches", workers=1)
    names = open_patches(folder / "patches").contract.band_names
    kept = [names[int(i)] for i in torch.linspace(0, len(names) - 1, BANDS).round()]
    patches = open_patches(folder / "patches").select(kept)
    maps = tuple(kinds["leaf_type"] for kinds in truth.labels.values())
    source = LabelSource(maps, "classes", HRL_LEAF_TYPE, True)
    labels = align_labels(folder / "patches", "leaf_type", source)
    return patches, labels, extraction.locations_of(done.manifest), patches.statistics()


def train(method, campaign, folder, **more):
    return small_run(
        method, campaign[0], out=folder, scale="test", statistics=campaign[3], steps=STEPS, **more
    )


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_every_method_trains_and_a_healthy_run_is_not_flagged(method, campaign, tmp_path):
    run = train(method, campaign, tmp_path)
    log = pd.read_csv(run.result.metrics)
    assert len(log) == STEPS
    assert all(math.isfinite(value) for value in log["loss"])
    assert run.result.findings == ()
    assert run.result.checkpoint.is_file()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_dino_at_too_high_a_rate_sinks_and_is_found_out(seed, campaign, tmp_path):
    """Its embeddings keep a spread above the smallest healthy one, and its loss moves."""
    run = train("dino", campaign, tmp_path, lr=1e-2, seed=seed)
    log = pd.read_csv(run.result.metrics)
    assert log["embedding_cosine"].iloc[-1] > 0.99
    assert log["embedding_spread"].min() > 1e-3
    assert [finding.kind for finding in run.result.findings][:1] == ["sunken embeddings"]
