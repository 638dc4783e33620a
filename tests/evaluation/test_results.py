import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from workbench.errors import ManifestError
from workbench.evaluation.results import CellResult, Cost, DataStamp, ResultsTable
from workbench.evaluation.score_records import ScoreRecord
from workbench.evaluation.study import StudyCell, run_study

CELL = StudyCell("forest", "resnet18", "random", "scratch", "unet", seed=0)


def outcome(cell: StudyCell, *, split="s1") -> CellResult:
    """A made-up result: 8 images of 2 classes in 4 groups, better with a larger seed."""
    rng = np.random.default_rng(cell.seed)
    confusions = rng.integers(1, 20, (8, 2, 2)) + (10 + cell.seed) * np.eye(2, dtype=int)
    images = tuple(f"i{k}" for k in range(8))
    record = ScoreRecord(
        "segmentation", {"classes": ["no tree", "tree"], "bins": 15}, images,
        {"confusions": confusions}, tuple(f"g{k // 2}" for k in range(8)),
    )  # fmt: skip
    return CellResult(
        record, DataStamp("m1", split, 0.0, 40), Cost(1000, 1e9, 1.5, 100.0),
        {"training": cell.seed}, curve=((1, 0.4), (2, 0.6)),
    )  # fmt: skip


def test_a_finished_cell_never_runs_twice(tmp_path):
    table, runs = ResultsTable(tmp_path / "results.parquet"), []
    cells = [replace(CELL, seed=seed) for seed in range(3)]

    def run(cell):
        runs.append(cell.seed)
        return outcome(cell)

    first = run_study(cells[:2], run, table)
    again = run_study([*cells, cells[0]], run, ResultsTable(table.path))
    assert runs == [0, 1, 2]
    assert (first.count("finished"), again.count("reused"), again.count("finished")) == (2, 2, 1)
    assert table.frame()["seed"].tolist() == [0, 1, 2]


def test_a_row_says_what_it_is_from_and_what_it_cost(tmp_path):
    table = ResultsTable(tmp_path / "results.parquet")
    run_study([replace(CELL, options={"stem": "detail"})], outcome, table)
    row = table.frame().iloc[0]
    assert row["split_hash"] == "s1"
    assert row["seeds"] == '{"training": 0}'
    assert (row["stem"], row["leak_share"], row["parameters_trained"]) == ("detail", 0.0, 1000)
    assert list(row["curve_scores"]) == [0.4, 0.6]
    assert (row["n_test"], row["n_groups"]) == (8, 4)
    scores = table.record(row["key"]).scores()
    assert row["macro_miou"] == pytest.approx(scores["macro_miou"].value)
    assert table.frame().attrs["definitions"]["micro_iou"] == scores["micro_iou"].definition


def test_failures_are_counted_with_their_reasons_and_tried_again(tmp_path):
    table = ResultsTable(tmp_path / "results.parquet")
    cells = [replace(CELL, seed=seed) for seed in range(4)]

    def run(cell):
        if cell.seed % 2:
            raise ValueError(f"No batch fits.\nSeed {cell.seed}")
        return outcome(cell)

    told = []
    report = run_study(cells, run, table, progress=told.append)
    assert report.failures == {"ValueError: No batch fits.": 2}
    assert [note.action for note in told] == ["finished", "failed"] * 2
    assert "4 cells: 2 finished, 2 failed." in str(report)
    assert run_study(cells, outcome, table).count("finished") == 2


def test_an_interrupted_study_goes_on_where_it_was(tmp_path):
    table = ResultsTable(tmp_path / "results.parquet")
    cells = [replace(CELL, seed=seed) for seed in range(3)]

    def run(cell):
        if cell.seed == 1:
            raise KeyboardInterrupt
        return outcome(cell)

    with pytest.raises(KeyboardInterrupt):
        run_study(cells, run, table)
    assert run_study(cells, outcome, table).count("reused") == 1
    assert len(table.finished()) == 3


def test_rows_of_another_split_are_refused(tmp_path):
    table = ResultsTable(tmp_path / "results.parquet")
    run_study([CELL], outcome, table)
    with pytest.raises(ManifestError, match=r"split of one manifest, but .* holds split_hash 's1'"):
        run_study([replace(CELL, seed=1)], lambda cell: outcome(cell, split="s2"), table)
    other_task = replace(CELL, task="density")
    run_study([other_task], lambda cell: outcome(cell, split="s2"), table)
    with pytest.raises(ManifestError, match="not run twice"):
        table.append(CELL.key, CELL.columns(), outcome(CELL))
    assert len(table.frame()) == 2


def test_several_writers_append_to_one_table(tmp_path):
    path = tmp_path / "results.parquet"

    def append_some(first):
        for seed in range(first, first + 5):
            cell = replace(CELL, seed=seed)
            ResultsTable(path).append(cell.key, cell.columns(), outcome(cell))

    with ThreadPoolExecutor(2) as writers:
        list(writers.map(append_some, (0, 5)))
    assert sorted(ResultsTable(path).frame()["seed"]) == list(range(10))


def test_a_cell_that_runs_elsewhere_is_left_alone(tmp_path):
    table = ResultsTable(tmp_path / "results.parquet")
    with table.claimed(CELL.key) as is_ours:
        assert is_ours
        report = run_study([CELL], outcome, ResultsTable(table.path))
        assert report.count("elsewhere") == 1
    assert run_study([CELL], outcome, table).count("finished") == 1


def test_keys_are_the_same_everywhere_and_tell_cells_apart():
    options = {"stem": "detail", "loss": "boundary"}
    cell = replace(CELL, options=options)
    assert cell.key == replace(CELL, options=dict(reversed(options.items()))).key
    assert len({cell.key, CELL.key, replace(CELL, seed=1).key, replace(CELL, draw=1).key}) == 4
    code = (
        "from workbench.evaluation.study import StudyCell;"
        "print(StudyCell('forest', 'resnet18', 'random', 'scratch', 'unet', seed=0).key)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == CELL.key


def test_what_is_no_cell_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"in \(0, 1\], got 0"):
        replace(CELL, fraction=0)
    with pytest.raises(ValueError, match="but 'seed' is"):
        replace(CELL, options={"seed": 1})
    table = ResultsTable(tmp_path / "none.parquet")
    assert table.frame().empty
    assert isinstance(table.frame(), pd.DataFrame)
    with pytest.raises(ManifestError, match="there is no file"):
        table.record("0")
