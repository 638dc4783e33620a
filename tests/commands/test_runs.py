import io
import sys

import pytest

from workbench.__main__ import main
from workbench.execution import RunRecord, StepRecord


@pytest.fixture
def workbench(monkeypatch, tmp_path):
    """The command line, in this process and in an empty folder with two finished runs."""
    monkeypatch.chdir(tmp_path)
    for name, score in (("a", 0.5), ("b", 0.75)):
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        step = StepRecord("01", "01.ipynb", "ok", parameters={"seed": 3}, metrics={"score": score})
        step.write(folder)
        run = RunRecord(name, "T", "chain.yaml", "workbench run", "ok", {"seed": 3}, steps=[step])
        run.write(folder)

    def call(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["workbench", *arguments])
        with pytest.raises(SystemExit) as stop:
            main()
        return int(stop.value.code or 0)

    return call


def test_runs_are_listed_and_shown(workbench, capsys):
    assert workbench("runs", "list") == 0
    told = capsys.readouterr().out
    assert "a" in told
    assert "1 of 1" in told
    assert workbench("runs", "show", "a") == 0
    told = capsys.readouterr().out
    assert "numbers: score=0.5" in told
    assert "parameters: seed=3" in told
    assert workbench("runs", "show", "c") == 1
    assert "c must be the folder of a run, but has no run.json" in capsys.readouterr().err


def test_two_runs_are_compared(workbench, capsys, tmp_path):
    assert workbench("runs", "compare", "a", "b", "--fail") == 1
    told = capsys.readouterr().out
    assert "different results" in told
    assert "score" in told
    assert (tmp_path / "runs" / "b" / "compared_with_a.html").is_file()
    assert workbench("runs", "compare", "a", "runs/a", "--fail", "-o", "page.html") == 0


def test_runs_are_removed_only_when_asked_for(workbench, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    assert workbench("runs", "rm", "a") == 1
    assert (tmp_path / "runs" / "a").is_dir()
    assert workbench("runs", "rm", "a", "b", "--yes") == 0
    assert not any((tmp_path / "runs").iterdir())
    capsys.readouterr()
    assert workbench("runs", "list") == 0
    assert capsys.readouterr().out.strip() == "There are no runs in runs."


def test_a_run_that_is_to_go_on_must_be_there(workbench, capsys):
    assert workbench("run", "01.ipynb", "--resume") == 1
    assert "runs/01 must hold a run to go on with, but has none" in capsys.readouterr().err
