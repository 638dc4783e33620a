import sys

import nbformat
import pytest

from workbench.__main__ import main


@pytest.fixture
def notebook(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cell = nbformat.v4.new_code_cell("seed: int = 0  # Seed of every draw\nscale: str = 'demo'")
    cell.metadata["tags"] = ["parameters"]
    code = nbformat.v4.new_code_cell("assert seed != 13, 'unlucky'\nprint(seed, scale)")
    node = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# T"), cell, code])
    nbformat.write(node, tmp_path / "a.ipynb")
    return tmp_path / "a.ipynb"


def workbench(monkeypatch, *arguments: str) -> int:
    """Run the command line in this process; return its exit code."""
    monkeypatch.setattr(sys, "argv", ["workbench", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    return int(stop.value.code or 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-p", "sed=3"], "NotebookParameterError: a.ipynb has no parameter 'sed', did you mean"),
        (["-p", "seed=2022_0612"], "NotebookParameterError: a.ipynb needs 'seed' as int"),
        (["-p", "seed"], "NotebookParameterError: A parameter must be given as name=value"),
        (["-p", "seed=1", "-p", "seed=2"], "NotebookParameterError: Parameter 'seed' is given"),
        (["--scale", "demo", "-p", "scale=full"], "Parameter 'scale' is given twice"),
        (["-f", "none.json"], "NotebookParameterError: There is no parameter file none.json."),
        (["--name", "x", "--run-dir", "y"], "give --name or --run-dir, not both"),
    ],
)
def test_wrong_usage_exits_with_2_before_anything_runs(
    notebook, monkeypatch, capsys, arguments, message
):
    assert workbench(monkeypatch, "run", "a.ipynb", *arguments) == 2
    assert message in capsys.readouterr().err
    assert not (notebook.parent / "runs").exists()


def test_a_missing_target_exits_with_1(notebook, monkeypatch, capsys):
    assert workbench(monkeypatch, "run", "b.yaml") == 1
    assert capsys.readouterr().err == (
        "NotebookRunError: There is no chain or notebook b.yaml.\n"
        f"Name a notebook (.ipynb) or a chain (.yaml), relative to {notebook.parent}.\n"
    )


def test_a_run_folder_that_cannot_be_written_is_named(notebook, monkeypatch, capsys):
    (notebook.parent / "file").write_text("no folder")
    assert workbench(monkeypatch, "run", "a.ipynb", "--run-dir", "file/run") == 1
    told = capsys.readouterr().err
    assert told.startswith("NotebookRunError: The run folder file/run must be writable, but is not")
    assert told.count("\n") == 2


def test_the_notebook_tells_its_parameters(notebook, monkeypatch, capsys):
    assert workbench(monkeypatch, "run", "a.ipynb", "--help-parameters") == 0
    assert "seed: int = 0        Seed of every draw" in capsys.readouterr().out


def test_dry_run_says_what_would_run(notebook, monkeypatch, capsys):
    assert workbench(monkeypatch, "run", "a.ipynb", "--dry-run") == 0
    assert capsys.readouterr().out == "would run  a: not run before\n"


def test_help_gives_every_option(monkeypatch, capsys):
    assert workbench(monkeypatch, "run", "--help") == 0
    shown = capsys.readouterr().out
    for option in ("--parameter", "--scale", "--name", "--run-dir", "--timeout", "--force"):
        assert option in shown


@pytest.mark.notebook
def test_a_notebook_runs_then_is_left_alone_then_fails(notebook, monkeypatch, capsys):
    (notebook.parent / "p.yaml").write_text("seed: 3\n")
    arguments = ["run", "a.ipynb", "-f", "p.yaml", "--scale", "small", "--name", "x"]
    assert workbench(monkeypatch, *arguments) == 0
    assert "Report: runs/x/index.html" in capsys.readouterr().out
    assert (notebook.parent / "runs/x/logs/a.stdout.log").read_text() == "3 small\n"
    assert workbench(monkeypatch, *arguments) == 0
    assert "unchanged  a: nothing has changed since" in capsys.readouterr().out
    assert workbench(monkeypatch, "run", "a.ipynb", "-p", "seed=13", "--name", "x") == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == (
        "NotebookRunError: a stopped in cell 3 (`assert seed != 13, 'unlucky'`): "
        "AssertionError: unlucky"
    )
    assert len(lines) == 3
