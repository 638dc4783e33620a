"""Figures of studies open without a network, say what their score is and how many seeds it has."""

from dataclasses import replace

import numpy as np
import pytest

from tests.evaluation.made_results import made_result
from workbench.errors import EvaluationError
from workbench.evaluation.results import ResultsTable
from workbench.evaluation.studies import convergence_study, fraction_study, protocol_study
from workbench.evaluation.study import run_study
from workbench.execution import external_references
from workbench.viz.plots_transfer import convergence_curves, fraction_curves, protocol_bars

QUALITY = {"random": 0.4, "moco": 0.6}
ENCODERS = {"spectral_vit_s": "upconv"}


def run(cell):
    right = QUALITY[cell.init] + 0.1 * np.log10(cell.fraction)
    curve = tuple((step, right - 0.3 * np.exp(-step / 10)) for step in range(0, 41, 10))
    return replace(made_result(cell, right, 100), curve=curve)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Frames by the name of the study and the number of seeds."""

    def frame(name, seeds):
        more = {"inits": list(QUALITY), "seeds": range(seeds)}
        cells = {
            "fractions": lambda: fraction_study(
                "cdl", ENCODERS, fractions=(0.1, 1.0), draws=2, **more
            ),
            "convergence": lambda: convergence_study("cdl", ENCODERS, steps=40, looks=4, **more),
            "protocols": lambda: protocol_study({"cdl": ENCODERS}, **more),
        }[name]()
        table = ResultsTable(tmp_path_factory.mktemp("study") / "results.parquet")
        run_study(cells, run, table)
        return table.frame()

    return frame


def drawn(name, frame):
    rng = np.random.default_rng(0)
    if name == "convergence":
        return convergence_curves(frame, score="Macro mIoU", rng=rng)
    return {"fractions": fraction_curves, "protocols": protocol_bars}[name](
        frame, "macro_miou", rng=rng
    )


@pytest.mark.parametrize("name", ["fractions", "convergence", "protocols"])
def test_a_page_asks_the_network_for_nothing_and_says_what_it_shows(study, name):
    view = drawn(name, study(name, 5))
    assert view.png.startswith(b"\x89PNG")
    assert external_references(view.page) == []
    assert len(view.page) < 1e6
    assert "Interquartile mean of 5 seeds, with its 95% interval" in view.page
    assert "(%)" in view.page
    if name != "convergence":
        assert "then the plain mean over the classes" in view.page


@pytest.mark.parametrize("name", ["fractions", "convergence", "protocols"])
def test_few_seeds_are_drawn_without_a_band(study, name):
    view = drawn(name, study(name, 2))
    assert view.png.startswith(b"\x89PNG")
    assert "2 seeds, fewer than 5: no interval, and no significance is claimed." in view.page


def test_mixed_rows_are_refused(study):
    with pytest.raises(EvaluationError, match="differ in seed and draw alone, but differ in"):
        fraction_curves(study("protocols", 2), "macro_miou", rng=np.random.default_rng(0))
