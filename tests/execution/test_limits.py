"""Values of chains and options that make no sense, and names that are no names, are refused."""

import json
import subprocess

import pytest
import typer

from workbench.commands.run import _folder
from workbench.errors import NotebookRunError
from workbench.execution import RunOptions, StepRecord
from workbench.execution.chain import read_chain
from workbench.execution.cluster import ChainTask, ClusterOptions, submit
from workbench.execution.provenance import provenance
from workbench.execution.records import read_record
from workbench.execution.schemas import name_problem

BAD = [
    *(f"timeout_s: {v}" for v in ("-1", "0", ".nan", ".inf", "-.inf", "1.0e+300", "2" * 25)),
    *(f"cell_timeout_s: {v}" for v in ("-0.5", "0", ".nan", "31622401")),
    *("retries: -5", "retries: 1000000", "gpus: -1", "gpus: 100000"),
]


@pytest.mark.parametrize("line", BAD)
def test_numbers_of_a_chain_have_ranges(write_notebook, tmp_path, line):
    write_notebook("a", "1")
    chain = tmp_path / "notebooks" / "chain.yaml"
    chain.write_text(f"steps:\n  - notebook: a.ipynb\n    {line}\n")
    key, value = line.split(": ")
    with pytest.raises(NotebookRunError, match=rf"chain\.yaml:3:.*{key}: must be from ") as error:
        read_chain(chain)
    assert len(str(error.value).splitlines()) == 1
    assert value.strip(".-")[:1] in str(error.value)


def test_numbers_within_the_ranges_are_taken(write_notebook, tmp_path):
    write_notebook("a", "1")
    chain = tmp_path / "notebooks" / "chain.yaml"
    numbers = "timeout_s: 0.5, cell_timeout_s: 31622400, retries: 0, gpus: 0"
    chain.write_text(f"steps:\n  - {{notebook: a.ipynb, {numbers}}}\n")
    assert read_chain(chain).steps[0].cell_timeout_s == 31622400


@pytest.mark.parametrize("needs", ["[1]", "[{a: 2}]", "[[b]]", "[null]"])
def test_needs_are_names(write_notebook, tmp_path, needs):
    write_notebook("a", "1")
    chain = tmp_path / "notebooks" / "chain.yaml"
    chain.write_text(f"steps:\n  - {{notebook: a.ipynb, needs: {needs}}}\n")
    with pytest.raises(NotebookRunError, match="must name steps as text"):
        read_chain(chain)


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), 1e12])
@pytest.mark.parametrize("name", ["timeout_s", "cell_timeout_s"])
def test_time_limits_in_python_have_the_same_range(name, seconds):
    with pytest.raises(NotebookRunError, match=f"{name} must be above 0"):
        RunOptions(**{name: seconds})


NO_NAMES = ["", ".", "..", "../../x", "/abs", "a/b", "a\\b", "nul\0", "a\nb", "a\rb", "\x1b[2J"]
NO_NAMES += ["\u202ex", "a\u2028b", "\u200bx", "-n", ".hidden", " a", "a ", "x" * 300, "\udc80"]


@pytest.mark.parametrize("name", NO_NAMES, ids=ascii)
def test_a_name_of_a_run_is_one_visible_part_of_a_path(tmp_path, name):
    assert name_problem(name)
    with pytest.raises(typer.BadParameter, match="the name of a run must"):
        _folder(tmp_path / "n.ipynb", name, None)


@pytest.mark.parametrize("name", ["a", "a b", "grün", "läufe_3", "seed=1,lr=0.1", "100%", "日本"])
def test_names_of_any_language_are_names(name, tmp_path):
    assert name_problem(name) == ""
    assert _folder(tmp_path / "n.ipynb", name, None).name == name


def test_a_notebook_with_a_line_break_in_its_name_is_refused(write_notebook):
    with pytest.raises(NotebookRunError, match="must hold no line breaks"):
        read_chain(write_notebook("a\nb", "1"))


@pytest.mark.parametrize("name", ["run%j", "a\nb", "\u202ex"])
def test_a_path_that_slurm_would_change_is_not_submitted(write_notebook, tmp_path, name):
    task = ChainTask(str(write_notebook("a", "1")), str(tmp_path / name))
    with pytest.raises(NotebookRunError, match="must be printable, and its paths without '%'"):
        submit([task], ClusterOptions(cluster="local"), logs=tmp_path / name / "cluster")
    assert not (tmp_path / name).exists()


def test_an_option_of_the_cluster_is_one_line(write_notebook, tmp_path):
    task = ChainTask(str(write_notebook("a", "1")), str(tmp_path / "run"))
    options = ClusterOptions(cluster="local", partition="a\n#SBATCH --uid=0")
    with pytest.raises(NotebookRunError, match="must be printable"):
        submit([task], options, logs=tmp_path / "logs")


def test_git_runs_no_program_that_a_repository_names(tmp_path):
    repository, mark = tmp_path / "r", tmp_path / "ran"
    repository.mkdir()

    def git(*arguments):
        command = ["git", "-C", repository, "-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run([*command, *arguments], check=True, capture_output=True)

    git("init")
    (repository / "a.txt").write_text("x")
    (repository / ".gitattributes").write_text("*.txt filter=own\n")
    git("add", ".")
    git("commit", "-m", "first")
    program = tmp_path / "program.sh"
    program.write_text(f"#!/bin/sh\ntouch '{mark}'\ncat\n")
    program.chmod(0o755)
    for key in ("core.fsmonitor", "filter.own.clean", "filter.own.process", "core.pager"):
        git("config", key, program)
    for hook in ("post-index-change", "fsmonitor-watchman"):
        path = repository / ".git" / "hooks" / hook
        path.write_text(program.read_text())
        path.chmod(0o755)
    (repository / "a.txt").write_text("y")  # so that git has to compare
    told = provenance(repository / "n.ipynb")
    assert (len(told["commit"]), told["dirty"]) == (40, True)
    assert not mark.exists()
    subprocess.run(["git", "-C", repository, "status"], check=True, capture_output=True)
    assert mark.exists()  # it would have been run


def test_a_record_that_was_written_by_a_newer_version_is_told_so(tmp_path):
    path = StepRecord("01", "a.ipynb").write(tmp_path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"version": 99}))
    with pytest.raises(NotebookRunError, match="written by a newer workbench"):
        read_record(tmp_path, "01")
