"""The talk's tables from a run's studies: what is there is shown, what is not is said."""

from dataclasses import replace

import numpy as np
import pytest

from tests.evaluation.made_results import FOREST, made_result, made_table
from workbench.evaluation import talk
from workbench.evaluation.claims import CLAIMS
from workbench.evaluation.results import ResultsTable
from workbench.evaluation.studies import convergence_study, fraction_study, protocol_study
from workbench.evaluation.study import run_study

QUALITY = {"random": 0.6, "mae": 0.7}
GAIN = {"frozen": 0.0, "adapter": 0.05, "full": 0.1, "scratch": 0.1}


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def transfer(tmp_path_factory) -> ResultsTable:
    """One file with three studies: protocols, few labels, convergence."""
    encoders, inits = {"spectral_vit_s": "upconv"}, list(QUALITY)
    cells = protocol_study({"cdl": encoders, "trees": encoders}, inits=inits, steps=60)
    cells += fraction_study(
        "cdl", encoders, inits=inits, fractions=(0.1, 1.0), draws=2, seeds=(0,), steps=60
    )
    cells += convergence_study("cdl", encoders, inits=inits, steps=100, seeds=(0, 1))
    table = ResultsTable(tmp_path_factory.mktemp("run") / "studies" / "transfer.parquet")

    def run(cell):
        right = QUALITY[cell.init] + GAIN[cell.protocol] + 0.05 * np.log10(cell.fraction)
        made = made_result(cell, right, 100)
        return replace(made, curve=((0, 0.1), (10, right)))

    report = run_study(cells, run, table)
    assert report.count("finished") == len(set(cells))
    return table


def test_a_study_is_found_in_its_run_or_said_to_be_missing(transfer):
    run = transfer.path.parent.parent
    assert talk.found_study(run, "transfer").path == transfer.path
    assert talk.found_study(run, "forest") is None
    text = talk.found_text(None, "forest", "06_forest_segmentation")
    assert "only the published numbers are shown. Run 06_forest_segmentation.ipynb" in text
    assert "seeds of a cell: 5." in talk.found_text(transfer, "transfer", "05_transfer")


def test_the_printed_tasks_are_shown_with_all_labels_and_one_length(transfer):
    assert talk.talk_slice("ssl_comparison", transfer) == {
        "task": ("cdl",), "fraction": 1.0, "steps": 60
    }  # fmt: skip
    table = talk.talk_table("ssl_comparison", transfer, data="made counts", draws=100, rng=rng())
    ours = table.cells[table.cells["value"].notna()]
    assert set(ours["task"]) == {"cdl"}
    assert ours["n_seeds"].tolist() == [5] * 5
    assert "Ours: rows with task cdl, fraction 1, steps 60." in table.notes
    other = talk.talk_table("large_vits", transfer, data="made counts", draws=100, rng=rng())
    assert other.cells["value"].isna().all()  # no encoder of that table was run


def test_every_task_of_ours_is_in_a_table_of_its_own(transfer, tmp_path):
    forest = made_table(tmp_path / "forest.parquet", FOREST)
    found = talk.study_tables(
        {"transfer": transfer, "forest": forest, "none": None}, draws=100, rng=rng()
    )
    assert list(found) == ["transfer", "forest"]
    cells = found["transfer"].cells
    assert set(cells["task"]) == {"cdl", "trees"}
    assert set(cells["metric"]) == {"macro_miou"}
    assert found["transfer"].definitions["macro_miou"]


def test_each_reading_is_judged_by_the_study_of_its_kind(transfer, tmp_path):
    forest = made_table(tmp_path / "forest.parquet", FOREST)
    found = talk.talk_verdicts({"transfer": transfer, "forest": forest}, draws=200, rng=rng())
    assert found["claim"].tolist() == [claim.sentence for claim in CLAIMS]
    said = dict(zip([claim.name for claim in CLAIMS], found["our_verdict"], strict=True))
    assert said["forest_pretraining"] == "supported"
    assert said["adapter_over_frozen"] == "supported"
    assert said["large_mae"] == "not resolvable here"  # a small transformer is no large one
    assert said["giant_no_better"] == "not resolvable here"
    alone = talk.talk_verdicts({"transfer": None, "forest": None}, rng=rng())
    assert set(alone["our_verdict"]) == {"not run"}
