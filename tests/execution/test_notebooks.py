"""Each test starts a kernel, about a second; those that end one badly take a few."""

import json
import os
import signal
import subprocess
import sys
import time
from ast import literal_eval
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import psutil
import pytest

from workbench.errors import NotebookParameterError, NotebookRunError
from workbench.execution import external_references, run_notebook
from workbench.execution.records import read_record
from workbench.execution.stopping import is_kernel

pytestmark = pytest.mark.notebook


def statuses(executed: Path) -> list[str]:
    """What the executed notebook says of the cells that the test wrote."""
    cells = nbformat.read(executed, as_version=4).cells
    return [c.metadata.papermill["status"] for c in cells if c.id.startswith("code-")]


def kernels() -> set[int]:
    """Kernels on this machine that belong to this test's process or to nobody."""
    mine = {os.getpid(), 1}
    return {
        process.pid
        for process in psutil.process_iter(["cmdline", "ppid"])
        if is_kernel(process.info["cmdline"] or []) and process.info["ppid"] in mine
    }


def test_a_notebook_runs_and_leaves_everything(write_notebook, tmp_path, monkeypatch):
    notebook = write_notebook(
        "01_step",
        "import os, sys\nprint('hello', seed)\nprint('aside', file=sys.stderr)",
        "from workbench.execution import RunFolder\nout = RunFolder(run_dir)",
        "out.page('<p>map', 'coverage')\nout.metrics({'n': 3})",
        "here = (os.getcwd(), sys.executable, run_dir)\nhere",
        "for n in range(3):\n    print(n, end='\\r')",
    )
    monkeypatch.chdir(tmp_path)
    record = run_notebook("notebooks/01_step.ipynb", {"seed": 3}, run_dir="runs/x")
    run = tmp_path / "runs" / "x"
    assert record.status == "ok"
    assert record.parameters == {"run_dir": "../runs/x", "seed": 3}
    assert record.seeds == {"seed": 3}
    assert record.metrics == {"n": 3}
    assert [a["path"] for a in record.artifacts] == ["maps/coverage.html", "metrics/01_step.json"]
    assert [cell.number for cell in record.cells] == [2, 2, 3, 4, 5, 6, 7]
    assert read_record(run, "01_step") == record
    assert (run / "logs" / "01_step.stdout.log").read_text().startswith("hello 3\n")
    assert (run / "logs" / "01_step.stderr.log").read_text() == "aside\n"
    outputs = {
        c.id: c.outputs for c in nbformat.read(run / record.executed, 4).cells if "outputs" in c
    }
    shown = outputs["code-3"][0].data["text/plain"]
    assert literal_eval(shown) == (str(notebook.parent), sys.executable, "../runs/x")
    assert [o.text for o in outputs["code-4"]] == ["2\r"]  # one output, overwritten in place
    page = (run / record.page).read_text(encoding="utf-8")
    assert external_references(page) == []
    assert "import os" not in page  # outputs only
    assert not kernels()
    assert not (notebook.parent / "runs").exists()


def test_wrong_parameters_stop_before_anything_is_written(write_notebook, tmp_path):
    with pytest.raises(NotebookParameterError, match="has no parameter 'sed'"):
        run_notebook(write_notebook("a", "1"), {"sed": 1}, run_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_exception_keeps_what_was_done(write_notebook, tmp_path):
    notebook = write_notebook("a", "print('done')", "x = 1\nraise ValueError('bad tile')", "1")
    with pytest.raises(NotebookRunError) as error:
        run_notebook(notebook, {"seed": 3}, run_dir=tmp_path / "run")
    assert str(error.value).splitlines() == [
        "a stopped in cell 4 (`x = 1`): ValueError: bad tile",
        f"See {tmp_path}/run/notebooks/a.html and {tmp_path}/run/logs/a.stderr.log",
        f"Run it again: workbench run {notebook} -p seed=3 --run-dir {tmp_path}/run",
    ]
    record = read_record(tmp_path / "run", "a")
    assert record.status == "failed"
    assert statuses(tmp_path / "run" / record.executed) == ["completed", "failed", "pending"]
    assert "ValueError: bad tile" in (tmp_path / "run" / record.log).read_text()
    page = (tmp_path / "run" / record.page).read_text(encoding="utf-8")
    assert "done" in page
    assert "a stopped in cell 4" in page


def test_a_killed_kernel_is_called_dead(write_notebook, tmp_path):
    notebook = write_notebook(
        "a", "import os, time", "print('dying')\ntime.sleep(0.5)\nos.kill(os.getpid(), 9)", "1"
    )
    with pytest.raises(NotebookRunError, match=r"dead kernel: .* ended by SIGKILL, as the system"):
        run_notebook(notebook, run_dir=tmp_path / "run")
    record = read_record(tmp_path / "run", "a")
    assert (record.status, record.exit_code) == ("dead_kernel", -9)
    assert statuses(tmp_path / "run" / record.executed) == ["completed", "failed", "pending"]
    assert (tmp_path / "run" / "logs" / "a.stdout.log").read_text() == "dying\n"
    assert (tmp_path / "run" / record.page).is_file()


def test_a_timeout_is_called_a_timeout(write_notebook, tmp_path):
    notebook = write_notebook("a", "print(1)", "import time\ntime.sleep(600)", "1")
    with pytest.raises(NotebookRunError, match=r"stopped in cell 4 .* not finished after 10 s"):
        run_notebook(notebook, run_dir=tmp_path / "run", timeout_s=10)
    record = read_record(tmp_path / "run", "a")
    assert record.status == "timeout"
    assert record.wall_seconds < 60
    assert statuses(tmp_path / "run" / record.executed) == ["completed", "failed", "pending"]
    assert not kernels()


@pytest.mark.parametrize(
    ("code", "message"),
    [("0", "left early, without 2 of its 3 code cells"), ("3", "SystemExit: 3")],
)
def test_leaving_early_is_no_success(write_notebook, tmp_path, code, message):
    notebook = write_notebook(
        "a", f"import sys\nsys.exit({code})", "1", parameters="x: int = 0  # x"
    )
    with pytest.raises(NotebookRunError, match=message):
        run_notebook(notebook, run_dir=tmp_path / "run")
    assert read_record(tmp_path / "run", "a").status == "failed"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_runner_ends_it_in_order(write_notebook, tmp_path, number):
    began = tmp_path / "began"
    notebook = write_notebook(
        "a",
        "print('before', flush=True)",
        f"import pathlib, time\npathlib.Path({str(began)!r}).touch()\ntime.sleep(60)",
    )
    code = (
        "import sys; from workbench.execution import run_notebook;"
        "run_notebook(sys.argv[1], run_dir=sys.argv[2])"
    )
    runner = subprocess.Popen([sys.executable, "-c", code, notebook, tmp_path / "run"])
    deadline = time.monotonic() + 60
    while not began.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    (kernel,) = psutil.Process(runner.pid).children()
    live = json.loads((tmp_path / "run" / "records" / "a.json").read_text())
    assert live["status"] == "running"
    assert live["cells"][-1]["id"] == "code-1"
    runner.send_signal(number)
    assert runner.wait(timeout=60) == 128 + number
    assert not kernel.is_running()
    record = read_record(tmp_path / "run", "a")
    assert record.status == "killed"
    assert record.failure.message == f"this process got {number.name}"
    assert statuses(tmp_path / "run" / record.executed) == ["completed", "failed"]
    assert (tmp_path / "run" / "logs" / "a.stdout.log").read_text() == "before\n"


def test_a_signal_to_the_whole_job_is_no_dead_kernel(write_notebook, tmp_path):
    """A scheduler signals all processes at once; the kernel may be gone before its runner hears."""
    notebook = write_notebook(
        "a",
        "import os, subprocess\ntold = f'sleep 0.7; kill -TERM {os.getppid()}'",
        "subprocess.Popen(told, shell=True, start_new_session=True)\nos.kill(os.getpid(), 15)",
    )
    code = (
        "import sys; from workbench.execution import run_notebook;"
        "run_notebook(sys.argv[1], run_dir=sys.argv[2])"
    )
    command = [sys.executable, "-c", code, notebook, tmp_path / "run"]
    assert subprocess.run(command, timeout=60).returncode == 128 + signal.SIGTERM
    assert read_record(tmp_path / "run", "a").status == "killed"


def test_notebooks_at_once_in_one_folder_do_not_clash(write_notebook, tmp_path):
    notebooks = [write_notebook(f"a{n}", f"print({n})") for n in range(3)]

    def run(notebook):
        return run_notebook(notebook, run_dir=tmp_path / "run")

    with ThreadPoolExecutor(3) as pool:
        records = list(pool.map(run, notebooks))
    assert [record.status for record in records] == ["ok"] * 3
    logs = [(tmp_path / "run" / "logs" / f"a{n}.stdout.log").read_text() for n in range(3)]
    assert logs == ["0\n", "1\n", "2\n"]


def test_a_second_run_removes_the_outputs_of_the_first(write_notebook, tmp_path):
    for name in ("one", "two"):
        notebook = write_notebook(
            "a",
            "from workbench.execution import RunFolder",
            f"RunFolder(run_dir).page('', '{name}')",
        )
        run_notebook(notebook, run_dir=tmp_path / "run")
    assert [p.name for p in (tmp_path / "run" / "maps").iterdir()] == ["two.html"]
