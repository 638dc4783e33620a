"""Costs are drawn for what was run; grey is what another cell beats at no higher cost."""

import numpy as np
import pytest

from tests.evaluation.made_results import FOREST, made_table
from workbench.errors import EvaluationError
from workbench.evaluation.benchmark_tables import benchmark_table, dominated
from workbench.execution import external_references
from workbench.viz.plots_cost import _amount, cost_plot


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    results = made_table(tmp_path_factory.mktemp("study") / "results.parquet", FOREST)
    return benchmark_table(results, "forest_segmentation", draws=100, rng=np.random.default_rng(0))


@pytest.mark.parametrize("cost", ["parameters_trained", "flops", "seconds"])
def test_a_page_asks_the_network_for_nothing_and_names_its_cost(table, cost):
    view = cost_plot(table, cost=cost)
    assert view.png.startswith(b"\x89PNG")
    assert external_references(view.page) == []
    words = {
        "parameters_trained": "Weights trained",
        "flops": "of a frozen encoder the head&#x27;s steps and one pass over the training images",
        "seconds": "Training time",
    }
    assert words[cost] in view.page


def test_dominated_is_what_another_beats_at_no_higher_cost():
    rng = np.random.default_rng(0)
    scores, costs = rng.integers(0, 5, 30), rng.integers(1, 5, 30)
    for i, found in enumerate(dominated(scores.tolist(), costs.tolist(), metric="macro_miou")):
        no_worse = (scores >= scores[i]) & (costs <= costs[i])
        assert found == (no_worse & ((scores > scores[i]) | (costs < costs[i]))).any()
    assert dominated([0.1, 0.2], [5, 5], metric="rmse") == [False, True]


def test_what_cannot_be_drawn_is_said(table):
    with pytest.raises(EvaluationError, match="A cost is one of parameters_trained, flops"):
        cost_plot(table, cost="money")
    alone = benchmark_table(None, "large_vits", rng=np.random.default_rng(0))
    with pytest.raises(EvaluationError, match="needs cells that were run"):
        cost_plot(alone)


@pytest.mark.parametrize(
    ("cost", "value", "told"),
    [
        ("seconds", 0.02, "20 ms"),
        ("seconds", 2e-5, "20 µs"),
        ("seconds", 1.0, "1 s"),
        ("seconds", 59.9, "59.9 s"),
        ("seconds", 90.0, "1.5 min"),
        ("seconds", 7200.0, "2 h"),
        ("peak_memory_mb", 512.0, "512 MB"),
        ("peak_memory_mb", 2048.0, "2.05 GB"),
        ("parameters_trained", 999.0, "999"),
        ("parameters_trained", 21_600_000.0, "21.6M"),
        ("flops", 3e15, "3P"),
    ],
)
def test_costs_are_told_with_their_units(cost, value, told):
    assert _amount(value, cost) == told
