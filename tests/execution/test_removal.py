"""What a record names outside its run folder is not read, shown, compared or removed."""

import json
import os
from pathlib import Path

import pytest

from workbench.errors import NotebookRunError, UnsafePathError
from workbench.execution import RunFolder, RunRecord, StepRecord, compare_runs, list_runs
from workbench.execution.artifacts import read_outputs
from workbench.execution.history import remove_run
from workbench.execution.jobs import Job, _begin
from workbench.execution.opening import results_of, steps_and_faults
from workbench.execution.records import read_record
from workbench.execution.sweeps import Member, begin_sweep, read_sweep


@pytest.fixture
def run(tmp_path):
    """A run of one step with one file, beside a file of somebody else."""
    (tmp_path / "precious.txt").write_text("x")
    return make_run(tmp_path / "runs" / "a")


def make_run(folder: Path) -> Path:
    (folder / "made").mkdir(parents=True)
    (folder / "made" / "numbers.txt").write_text("1")
    out = RunFolder(folder, step="01")
    out.file("made/numbers.txt")
    out.metrics({"n": 1})
    step = StepRecord("01", "01.ipynb", "ok", artifacts=read_outputs(folder, "01")["artifacts"])
    step.write(folder)
    record = RunRecord(folder.name, "T", "c.yaml", "workbench run", "ok", steps=[step])
    record.write(folder)
    return folder


def change(path: Path, **values) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def listed(path: str) -> dict:
    return {"path": path, "kind": "file", "title": "", "bytes": 1, "sha256": "0"}


def outside(run: Path, how: str) -> str:
    victim = run.parent.parent / "precious.txt"
    if how == "link":
        (run / "link").symlink_to(victim)
        return "link"
    if how == "folder":
        (run / "up").symlink_to("../..")
        return "up/precious.txt"
    names = {"parents": "../../precious.txt", "absolute": str(victim)}
    return names.get(how, "made/../../../precious.txt")


@pytest.mark.parametrize("how", ["parents", "absolute", "inner", "link", "folder"])
@pytest.mark.parametrize("place", ["artifact", "outputs", "page", "log", "preview"])
def test_a_path_that_leads_out_is_refused_wherever_it_stands(run, write_notebook, how, place):
    name = outside(run, how)
    record, outputs = run / "records" / "01.json", run / "records" / "01.outputs.json"
    page = listed("made/numbers.txt") | {"kind": "page", "external": 0, "preview": name}
    values = {"artifact": {"artifacts": [listed(name)]}, "page": {"page": name}}
    values |= {"log": {"log": name}, "preview": {"artifacts": [page]}}
    change(record, status="failed", **values.get(place, {}))
    if place == "outputs":
        change(outputs, artifacts=[listed(name)])
    with pytest.raises(UnsafePathError, match="must stay inside"):
        read_outputs(run, "01") if place == "outputs" else read_record(run, "01")
    job = Job(write_notebook("01", "1"), run, {})
    with pytest.raises(UnsafePathError, match="must stay inside"):
        _begin(job, {}, {})
    with pytest.raises(UnsafePathError):
        remove_run(run)
    assert (run.parent.parent / "precious.txt").read_text() == "x"
    if place != "outputs":
        assert list(steps_and_faults(run)[1]) == ["01"]
        assert [result.kind for result in results_of(run)] == []
        assert not compare_runs(run, make_run(run.parent / "b")).same_results
    assert [state.name for state in list_runs(run.parent)][-1:] == ["a"]


@pytest.mark.parametrize("step", ["../01", "/etc/passwd", "..", "a/b", ""])
def test_a_step_name_is_no_path(run, step):
    value = json.loads((run / "run.json").read_text())
    value["steps"][0]["step"] = step
    (run / "run.json").write_text(json.dumps(value))
    assert [state.status for state in list_runs(run.parent)] == ["damaged"]
    with pytest.raises(NotebookRunError, match="plain name"):
        results_of(run)


@pytest.mark.parametrize("name", ["records", "logs", "notebooks"])
def test_a_run_does_not_write_through_a_link_that_leads_out(tmp_path, write_notebook, name):
    run, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    run.mkdir()
    elsewhere.mkdir()
    (run / name).symlink_to(elsewhere)
    with pytest.raises(UnsafePathError):
        _begin(Job(write_notebook("01", "1"), run, {}), {}, {})
    assert not list(elsewhere.iterdir())


def test_an_output_is_not_written_through_a_link_that_leads_out(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "metrics").symlink_to(tmp_path)
    with pytest.raises(UnsafePathError):
        RunFolder(tmp_path / "run", step="01").metrics({"n": 1})


def test_a_member_of_a_sweep_is_no_path(tmp_path):
    begin_sweep(tmp_path / "s", "c.yaml", [Member("../../x", {}, {})])
    with pytest.raises(NotebookRunError, match="plain name"):
        read_sweep(tmp_path / "s")
    with pytest.raises(NotebookRunError, match="plain name"):
        remove_run(tmp_path / "s")


def test_what_the_records_list_is_removed_with_the_folder(run):
    (run / "logs").mkdir()
    (run / "logs" / "01.stderr.log").write_text("")
    (run / "records" / ".01.json.77-a1.tmp").write_text("half")
    remove_run(run)
    assert not run.exists()


@pytest.mark.parametrize(
    "name",
    ["thesis.txt", "made/own.txt", "tables/mine.csv", "records/notes.md", ".hidden", "n.d/x"],
)
def test_a_folder_with_other_files_is_refused_and_left_whole(run, name):
    (run / name).parent.mkdir(exist_ok=True)
    (run / name).write_text("x")
    before = sorted(run.rglob("*"))
    with pytest.raises(NotebookRunError, match=rf"holds other files: {name}") as error:
        remove_run(run)
    assert "--all" in str(error.value)
    assert sorted(run.rglob("*")) == before
    remove_run(run, others=True)
    assert not run.exists()


def test_a_link_in_a_run_is_never_followed(run):
    (run / "more").symlink_to(run.parent.parent)
    with pytest.raises(NotebookRunError, match="holds other files: more"):
        remove_run(run)
    remove_run(run, others=True)
    assert (run.parent.parent / "precious.txt").exists()


@pytest.mark.parametrize("others", [False, True])
@pytest.mark.parametrize("where", ["here", "above", "home", "above home", "link", "git", "root"])
def test_a_folder_that_is_more_than_a_run_is_refused(run, monkeypatch, where, others):
    inner = run / "made"
    target = run
    if where in {"here", "above"}:
        monkeypatch.chdir(run if where == "here" else inner)
    elif where in {"home", "above home"}:
        monkeypatch.setenv("HOME", str(run if where == "home" else inner))
    elif where == "link":
        target = run.parent / "link"
        target.symlink_to(run)
    elif where == "git":
        (run / ".git").mkdir()
    else:
        target = Path("/")
    with pytest.raises(NotebookRunError, match="must have a folder of its own"):
        remove_run(Path(".") if where == "here" else target, others=others)
    assert (run / "made" / "numbers.txt").exists()


def test_a_sweep_with_other_files_is_refused(tmp_path):
    begin_sweep(tmp_path / "s", "c.yaml", [Member("seed=1", {"seed": "1"}, {})])
    make_run(tmp_path / "s" / "seed=1")
    make_run(tmp_path / "s" / "not a member")
    with pytest.raises(NotebookRunError, match="holds other files: not a member/"):
        remove_run(tmp_path / "s")
    assert (tmp_path / "s" / "seed=1" / "run.json").exists()


def test_a_damaged_run_is_removed_only_when_all_is_asked_for(run):
    (run / "run.json").write_text("{")
    with pytest.raises(NotebookRunError, match="is not the record of a run"):
        remove_run(run)
    assert os.listdir(run)
    remove_run(run, others=True)
    assert not run.exists()
