"""Runs handed to submitit's executor for this machine; a real Slurm is in tests/slurm."""

import shutil
import subprocess
import sys
import time

import pytest

from workbench.errors import NotebookParameterError, NotebookRunError
from workbench.execution import ChainTask, ClusterOptions, submit
from workbench.execution.cluster import cancel
from workbench.execution.history import summary
from workbench.execution.lock import run_lock
from workbench.execution.records import read_record


def wait_until(what, timeout=60):
    deadline = time.monotonic() + timeout
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_everything_is_checked_before_it_is_submitted(write_notebook, tmp_path):
    notebook, run_dir = write_notebook("a", "1"), tmp_path / "run"
    options = ClusterOptions(cluster="local")
    with pytest.raises(NotebookParameterError, match="has no parameter 'sed'"):
        submit([ChainTask(str(notebook), str(run_dir), {"sed": 1})], options, logs=tmp_path / "l")
    run_dir.mkdir()
    with run_lock(run_dir), pytest.raises(NotebookRunError, match="One process may work in a run"):
        submit([ChainTask(str(notebook), str(run_dir))], options, logs=tmp_path / "l")
    assert not (run_dir / "run.json").exists()
    with pytest.raises(NotebookRunError, match="must be a job in a queue to be cancelled"):
        cancel(run_dir)


@pytest.mark.skipif(shutil.which("sbatch") is not None, reason="there is a Slurm here")
def test_without_a_slurm_the_cure_is_named(write_notebook, tmp_path):
    task = ChainTask(str(write_notebook("a", "1")), str(tmp_path / "run"))
    with pytest.raises(NotebookRunError, match="There must be a Slurm to submit to"):
        submit([task], ClusterOptions(), logs=tmp_path / "logs")


@pytest.mark.notebook
def test_local_jobs_outlive_who_submitted_them_and_can_be_cancelled(write_notebook, tmp_path):
    notebook = write_notebook(
        "a", "import pathlib, time\npathlib.Path('began').touch()\ntime.sleep(seed)"
    )
    command = [sys.executable, "-m", "workbench", "run", str(notebook), "--cluster", "local"]
    command += ["--name", "sweep", "--grid", "-p", "seed=0,300"]
    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.count("local job ") == 2
    quick, slow = (tmp_path / "runs" / "sweep" / f"seed={n}" for n in (0, 300))
    wait_until(lambda: summary(quick).status == "ok")

    def sleeps():
        record = read_record(slow, "a")
        return record is not None and [c.id for c in record.cells][-1:] == ["code-0"]

    wait_until(sleeps)
    assert summary(slow).status == "running"
    cancel(slow)
    wait_until(lambda: summary(slow).status == "killed")
    assert read_record(slow, "a").failure.message == "this process got SIGTERM"
