import json
from datetime import datetime

import pytest

from workbench.errors import NotebookRunError
from workbench.execution.records import (
    CellRecord,
    Failure,
    RunRecord,
    StepNote,
    StepRecord,
    now,
    read_record,
    record_or_reason,
)

ARTIFACT = {"path": "tables/a.bin", "kind": "file", "title": "", "bytes": 1, "sha256": "0"}


def test_a_record_comes_back_as_it_was(tmp_path):
    cell = CellRecord(3, "train", "fit()", "failed", 1.5)
    record = StepRecord(
        "01", "a.ipynb", "failed", parameters={"a": [1, None]}, cells=[cell],
        failure=Failure("ValueError", "bad", cell), artifacts=[ARTIFACT], signal=15,
    )  # fmt: skip
    record.write(tmp_path)
    assert read_record(tmp_path, "01") == record


def test_what_is_no_record_of_ours_is_refused_in_a_sentence(tmp_path):
    assert read_record(tmp_path, "01") is None
    path = StepRecord("01", "a.ipynb").write(tmp_path)
    good = json.loads(path.read_text())
    for bad in ("", "[]", "{", json.dumps({"step": "01"}), json.dumps(good | {"colour": 1})):
        path.write_text(bad)
        with pytest.raises(NotebookRunError, match=r"01\.json is not the record of a step: "):
            read_record(tmp_path, "01")
        record, why = record_or_reason(tmp_path, "01")
        assert record is None
        assert why.startswith(f"{path} is not the record of a step: ")


def test_a_failure_says_where_it_stopped():
    cell = CellRecord(7, "graph", "graph = overlap_graph(tiles)", "failed")
    assert Failure("ValueError", "bad tile", cell).sentence("01") == (
        "01 stopped in cell 7 (`graph = overlap_graph(tiles)`): ValueError: bad tile"
    )
    assert Failure("dead kernel", "").sentence("01") == (
        "01 stopped before its first cell: dead kernel"
    )


def test_the_record_of_a_run_lists_its_steps_briefly(tmp_path):
    run = RunRecord("demo", "A title", "chain.yaml", "workbench run chain.yaml")
    run.steps.append(StepRecord("01", "a.ipynb", "ok", metrics={"n": 1}))
    run.notes.append(StepNote("01", "ok", "not run before", 1.0))
    value = json.loads(run.write(tmp_path).read_text())
    assert value["steps"][0]["metrics"] == {"n": 1}
    assert "provenance" not in value["steps"][0]
    assert value["notes"] == [
        {"step": "01", "action": "ok", "reason": "not run before", "seconds": 1.0}
    ]


def test_times_are_utc():
    assert datetime.fromisoformat(now()).utcoffset().total_seconds() == 0


def test_a_run_shows_itself_as_text_and_as_html():
    step = StepRecord("01<b>", "01.ipynb", "ok", wall_seconds=1.25)
    run = RunRecord("demo", "T", "c.yaml", "workbench run", "ok", steps=[step], wall_seconds=2.0)
    run.notes = [StepNote("01<b>", "unchanged", "nothing has changed")]
    assert repr(run).splitlines() == [
        "run demo: ok, 2.0 s",
        "step   status     seconds  why",
        "01<b>  unchanged  1.2      nothing has changed",
    ]
    assert "<b>" not in run._repr_html_()
    assert "01&lt;b&gt;" in run._repr_html_()
