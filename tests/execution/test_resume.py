import dataclasses

import pytest

from workbench.execution import RunFolder
from workbench.execution.artifacts import read_outputs
from workbench.execution.files import write_text
from workbench.execution.provenance import source_hash
from workbench.execution.records import StepRecord
from workbench.execution.resume import inputs_of, reason_to_run

CATALOG = """\
version: 1
datasets:
  campaign:
    description: Simulated.
    layout: enmap_simulated
    license: CC0-1.0
    citation: None.
    source: {type: simulated, seed: SEED}
"""


@pytest.fixture
def run_dir(tmp_path):
    out = RunFolder(tmp_path / "run", step="01")
    write_text(out.root / "plan.txt", "a plan")
    out.file("plan.txt")
    out.page("<p>map", "coverage")
    write_text(out.root / "notebooks" / "01.ipynb", "{}")
    write_text(out.root / "notebooks" / "01.html", "<p>")
    return out.root


@pytest.fixture
def record(run_dir):
    """A step that ended well."""
    return StepRecord(
        "01", "01.ipynb", "ok", parameters={"seed": 0, "ratio": 1.0}, code="c0",
        inputs={"tables/a.parquet": "00"}, executed="notebooks/01.ipynb", page="notebooks/01.html",
        artifacts=read_outputs(run_dir, "01")["artifacts"], provenance={"source": source_hash()},
    )  # fmt: skip


def reason(record, run_dir, **now):
    state = {
        "notebook": run_dir.parent / "01.ipynb",
        "code": "c0",
        "parameters": {"seed": 0, "ratio": 1.0},
        "inputs": {"tables/a.parquet": "00"},
    }
    return reason_to_run(record, run_dir, **(state | now))


def test_nothing_changed_is_no_reason(record, run_dir):
    assert reason(record, run_dir) is None


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ({"code": "c1"}, "the notebook's code has changed"),
        ({"parameters": {"seed": 1, "ratio": 1.0}}, "parameter seed 0 -> 1"),
        ({"parameters": {"seed": False, "ratio": 1.0}}, "parameter seed 0 -> False"),
        ({"parameters": {"seed": 0}}, "parameter ratio is gone"),
        ({"parameters": {"seed": 0, "ratio": 1.0, "x": 1}}, "parameter x is new"),
        ({"inputs": {"tables/a.parquet": "11"}}, "its input tables/a.parquet has changed"),
        ({"inputs": {}}, "its input tables/a.parquet has changed"),
    ],
)
def test_every_change_is_a_reason(record, run_dir, now, expected):
    assert reason(record, run_dir, **now) == expected


@pytest.mark.parametrize("status", ["failed", "timeout", "killed", "dead_kernel"])
def test_a_step_that_did_not_end_well_runs_again(record, run_dir, status):
    bad = dataclasses.replace(record, status=status)
    assert reason(bad, run_dir) == f"its last run ended as {status}"


def test_a_step_cut_off_runs_again(record, run_dir):
    cut = dataclasses.replace(record, status="running", started="2026-11-22T20:00:00+00:00")
    assert reason(cut, run_dir) == "its last run was cut off (2026-11-22T20:00:00+00:00)"
    assert reason(None, run_dir) == "not run before"


def test_another_source_of_workbench_is_a_reason(record, run_dir):
    other = dataclasses.replace(record, provenance={"source": "00"})
    assert reason(other, run_dir) == "the source of workbench has changed"


@pytest.mark.parametrize("path", ["plan.txt", "maps/coverage.html"])
def test_outputs_must_be_as_they_were_written(record, run_dir, path):
    (run_dir / path).write_text("changed")
    assert reason(record, run_dir) == f"its output {path} is not as it was written"
    (run_dir / path).unlink()
    assert reason(record, run_dir) == f"its output {path} is missing"


def test_the_executed_notebook_must_be_there(record, run_dir):
    (run_dir / "notebooks" / "01.html").unlink()
    assert reason(record, run_dir) == "its output notebooks/01.html is missing"


def test_data_are_compared_with_the_catalog_as_it_is_now(record, run_dir):
    from workbench.catalog import open_catalog

    catalog = run_dir.parent / "data_catalog.yaml"
    catalog.write_text(CATALOG.replace("SEED", "1"))
    used = {"campaign": {"fingerprint": open_catalog(catalog)["campaign"].fingerprint()}}
    parameters = {"catalog": "data_catalog.yaml"}
    done = dataclasses.replace(record, data=used, parameters=parameters)
    assert reason(done, run_dir, parameters=parameters) is None
    catalog.write_text(CATALOG.replace("SEED", "2"))
    assert reason(done, run_dir, parameters=parameters) == "data set campaign has changed"
    catalog.write_text(CATALOG.replace("campaign", "other").replace("SEED", "1"))
    assert reason(done, run_dir, parameters=parameters) == "data set campaign has changed"
    catalog.unlink()
    assert "its data cannot be checked" in reason(done, run_dir, parameters=parameters)
    blind = dataclasses.replace(record, data=used)
    assert reason(blind, run_dir) == "its data cannot be checked: it has no parameter 'catalog'"


def test_inputs_are_the_tables_and_files_of_the_steps_needed(record):
    assert list(inputs_of({"01": record, "02": record}, ("01",))) == ["plan.txt"]
    assert inputs_of({"01": record}, ()) == {}


def test_an_input_that_is_new_or_gone_is_a_reason(record, run_dir):
    """The step before it may write one more table, which the step would read if it ran."""
    more = {"tables/a.parquet": "00", "tables/b.parquet": "11"}
    assert reason(record, run_dir, inputs=more) == "its input tables/b.parquet has changed"
    assert reason(record, run_dir, inputs={}) == "its input tables/a.parquet has changed"
