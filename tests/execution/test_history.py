import json

import pytest

from workbench.errors import NotebookRunError
from workbench.execution import RunRecord, StepRecord, list_runs
from workbench.execution.history import remove_run, summary
from workbench.execution.lock import run_lock
from workbench.execution.sweeps import Member, begin_sweep


def make_run(folder, status="ok", started="2026-11-01T10:00:00+00:00", **parameters):
    folder.mkdir(parents=True)
    run = RunRecord(folder.name, "A <b>run</b>", "chain.yaml", "workbench run", status)
    run.started, run.parameters = started, parameters
    run.steps = [StepRecord("01", "01.ipynb", "ok"), StepRecord("02", "02.ipynb", "failed")]
    run.write(folder)
    return folder


def test_runs_are_listed_latest_first_members_of_sweeps_too(tmp_path):
    make_run(tmp_path / "old", seed=3)
    make_run(tmp_path / "sweep" / "seed=1", "failed", "2026-11-02T10:00:00+00:00")
    (tmp_path / "no run").mkdir()
    runs = list_runs(tmp_path)
    assert [(run.name, run.status) for run in runs] == [("sweep/seed=1", "failed"), ("old", "ok")]
    assert runs[1].row()[3:] == ("", "1 of 2", "seed=3")
    assert "seed=3" in repr(runs)
    assert "<b>run" not in runs._repr_html_()
    assert repr(list_runs(tmp_path / "nowhere")) == "no runs"


def test_a_run_that_says_running_is_believed_only_while_it_is_held(tmp_path):
    folder = make_run(tmp_path / "a", "running")
    assert summary(folder).status == "killed"
    assert summary(folder).detail == "cut off"
    with run_lock(folder):
        assert summary(folder).status == "running"
        assert summary(folder).detail.startswith("process ")
        with pytest.raises(NotebookRunError, match="must have ended before it is removed"):
            remove_run(folder)
    remove_run(folder)
    assert not folder.exists()


def test_a_queued_run_whose_job_is_gone_is_not_queued(tmp_path):
    folder = make_run(tmp_path / "a", "queued")
    assert summary(folder).status == "queued"  # nobody to ask
    (folder / "cluster.json").write_text(json.dumps({"cluster": "local", "job": "999999999"}))
    assert summary(folder).status == "killed"
    assert summary(folder).detail == "job 999999999 left the queue before it began"


def test_a_sweep_is_removed_whole_and_a_folder_that_is_no_run_is_not(tmp_path):
    make_run(tmp_path / "sweep" / "seed=1")
    with pytest.raises(NotebookRunError, match=r"has no run\.json"):
        remove_run(tmp_path / "sweep")
    begin_sweep(tmp_path / "sweep", "chain.yaml", [Member("seed=1", {"seed": "1"}, {})])
    remove_run(tmp_path / "sweep")
    assert not (tmp_path / "sweep").exists()
