"""Figures of pretraining open without a network, hold what they were given, and say what lacks."""

import numpy as np
import pandas as pd
import pytest

from workbench.execution import external_references
from workbench.sensors import sensor
from workbench.viz.live import LiveCurves
from workbench.viz.plots_pretraining import filter_map, pretraining_curves, probe_curves
from workbench.viz.pretraining_images import tokens_figure, views_figure
from workbench.viz.pretraining_tables import as_colours, by_wavelength

PNG = b"\x89PNG"
STEPS = np.arange(12)


def log(seed):
    rng = np.random.default_rng(seed)
    measures = ("loss", "embedding_spread", "embedding_rank", "embedding_cosine")
    return pd.DataFrame({"step": STEPS} | {name: rng.random(12) for name in measures})


def probes():
    return pd.DataFrame(
        {"step": [0, 3, 6], "probe_knn": [0.3, None, 0.6], "probe_linear": [0.5, None, 1]}
    )


@pytest.fixture(params=["curves", "probes", "filters"])
def view(request):
    contract = sensor("enmap").contract()
    rng = np.random.default_rng(0)
    return {
        "curves": lambda: pretraining_curves({"<MoCo>": log(0), "MAE": log(1)}),
        "probes": lambda: probe_curves({"<MoCo>": probes(), "MAE": probes()}, chance=0.25),
        "filters": lambda: filter_map(rng.random((16, 202)), contract.wavelengths_nm),
    }[request.param]()


def test_page_asks_the_network_for_nothing_and_is_small(view):
    assert external_references(view.page) == []
    assert len(view.page) < 1e6
    assert view.png.startswith(PNG)


def test_a_log_that_cannot_be_drawn_is_named():
    with pytest.raises(ValueError, match="The log of run 'MAE' must have rows and the columns"):
        pretraining_curves({"MAE": log(0).drop(columns="embedding_rank")})
    with pytest.raises(ValueError, match="Curves need at least one run"):
        probe_curves({}, chance=0.5)


def test_a_measure_that_is_nan_throughout_is_drawn_all_the_same():
    assert pretraining_curves({"MAE": log(0).assign(embedding_rank=np.nan)}).png.startswith(PNG)


def test_live_curves_read_the_log_as_it_grows(tmp_path):
    live = LiveCurves(every_s=0.0)
    follow = live.follow("MoCo", tmp_path)
    follow(0, 12)
    assert live.runs() == {}
    log(0).to_csv(tmp_path / "metrics.csv", index=False)
    follow(12, 12)
    assert live.runs()["MoCo"]["loss"].tolist() == log(0)["loss"].tolist()


def test_live_curves_tell_rate_and_time_left(tmp_path, monkeypatch):
    live = LiveCurves(every_s=0.0, title="Running")
    titles, clock = [], iter([10.0, 12.0, 14.0])
    monkeypatch.setattr(live, "draw", titles.append)
    monkeypatch.setattr("workbench.viz.live.time.monotonic", lambda: next(clock))
    follow = live.follow("MoCo", tmp_path)
    for step in (21, 25, 30):  # of a run that went on at step 20
        follow(step, 50)
    assert titles[0] == "Running: MoCo, step 21 of 50"
    assert titles[1].endswith("step 25 of 50 · 2 steps/s · about 12 s to go")
    assert titles[2].endswith("step 30 of 50 · 2.2 steps/s · about 9 s to go")


def test_wavelengths_keep_their_place_and_gaps_stay_empty():
    centres = [500.0, 510.0, 520.0, 700.0, 710.0]
    laid, left, right = by_wavelength(np.arange(5.0)[None], centres[::-1], step_nm=10.0)
    assert (left, right) == (495, 715)
    assert laid.shape == (1, 22)
    assert laid[0, [0, 1, 2, 20, 21]].tolist() == [4, 3, 2, 1, 0]
    assert np.isnan(laid[0, 4:19]).all()


def test_components_fill_the_range_of_colours():
    scores = np.random.default_rng(0).normal(size=(2, 3, 8, 8)) * [[[[1]], [[10]], [[0.1]]]]
    shown = as_colours(scores)
    assert shown.shape == (2, 8, 8, 3)
    assert shown.min() == 0
    assert shown.max() == 1


def test_pictures_of_views_and_tokens():
    contract = sensor("enmap").contract()
    rng = np.random.default_rng(0)
    patches = {name: rng.random((202, 8, 8)) for name in ("patch", "view 1")}
    assert views_figure(patches, contract, title="Views").png.startswith(PNG)
    images, scores = list(patches.values()), {"random": rng.normal(size=(2, 3, 4, 4))}
    assert tokens_figure(images, scores, contract, title="Tokens").png.startswith(PNG)
    with pytest.raises(ValueError, match="2 images need as many scores, got 1"):
        tokens_figure(images, {"random": np.zeros((1, 3, 4, 4))}, contract, title="Tokens")
