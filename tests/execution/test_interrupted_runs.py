"""Chains that are cut off, stopped or broken in every way, and what is true of them afterwards."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import psutil
import pytest

from workbench.errors import NotebookRunError
from workbench.execution import run_chain
from workbench.execution.history import summary
from workbench.execution.lock import read_holder
from workbench.execution.records import read_record
from workbench.execution.stopping import is_kernel

pytestmark = [pytest.mark.notebook, pytest.mark.slow]

KILLS = 10
RUN_DIR = 'run_dir: str = "../runs/lab"  # Folder'
TABLE = (
    "import pandas as pd\nfrom workbench.execution import RunFolder\nout = RunFolder(run_dir)",
    "import numpy as np\nrng = np.random.default_rng(seed)",
    "out.table(pd.DataFrame({'n': range(100), 'x': rng.normal(size=100)}), 'draw')",
)
SUM = (
    "from workbench.execution import RunFolder\nout = RunFolder(run_dir)",
    "draw = out.read_table('draw')",
    "out.table(draw.cumsum(), 'sum')",
)
TICKS = (
    "import time\nfor n in range(600):\n    print(n, time.time(), flush=True)\n    time.sleep(0.1)"
)


@pytest.fixture
def start(tmp_path):
    """Start `workbench run` in a process of its own."""
    started = []

    def start(chain, run_dir, *arguments):
        command = [sys.executable, "-m", "workbench", "run", chain, "--run-dir", run_dir]
        process = subprocess.Popen(
            [*map(str, command), *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def kernels_in(folder) -> list[int]:
    """Kernels on this machine that work in a folder."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd", "status"]):
        about = process.info
        if is_kernel(about["cmdline"] or []) and about["cwd"] == str(folder):
            found += [process.pid] if about["status"] != psutil.STATUS_ZOMBIE else []
    return found


def wait_until(what, timeout=60):
    deadline = time.monotonic() + timeout
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def actions(run) -> dict[str, str]:
    return {note.step: note.action for note in run.notes}


def test_killed_at_ten_random_moments_the_tables_are_the_same(write_notebook, start, tmp_path):
    parameters = f"{RUN_DIR}\nseed: int = 5  # Seed"
    write_notebook("01_draw", *TABLE, parameters=parameters)
    write_notebook("02_sum", *SUM, parameters=RUN_DIR)
    folder = write_notebook("03_other", "import time\ntime.sleep(1)", parameters="").parent
    chain = folder / "chain.yaml"
    chain.write_text(
        "steps:\n  - notebook: 01_draw.ipynb\n  - {notebook: 02_sum.ipynb, needs: [01_draw]}\n"
        "  - {notebook: 03_other.ipynb, needs: [02_sum]}\n"
    )
    run_chain(chain, run_dir=tmp_path / "whole")
    moments = random.Random(7)
    cut, kills = tmp_path / "cut", 0
    for attempt in range(3 * KILLS):
        process = start(chain, cut, *(["--force"] if attempt and not kills else []))
        try:
            process.wait(timeout=moments.uniform(0.5, 3.5))
            (cut / "records" / "01_draw.json").unlink()  # it was faster: begin anew
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            kills += 1
        if kills == KILLS:
            break
    assert kills == KILLS
    assert run_chain(chain, run_dir=cut).status == "ok"
    for name in ("draw", "sum"):
        tables = [run / "tables" / f"{name}.parquet" for run in (tmp_path / "whole", cut)]
        assert tables[0].read_bytes() == tables[1].read_bytes()
    assert not list(cut.rglob(".*.tmp*"))
    wait_until(lambda: not kernels_in(folder))


def test_a_runner_killed_outright_leaves_logs_and_no_kernel(write_notebook, start, tmp_path):
    notebook = write_notebook("a", TICKS)
    run_dir = tmp_path / "run"
    log = run_dir / "logs" / "a.stdout.log"
    process = start(notebook, run_dir)
    wait_until(lambda: log.is_file() and log.stat().st_size > 200)
    assert summary(run_dir).status == "running"
    assert read_holder(run_dir).pid == process.pid
    with pytest.raises(NotebookRunError) as error:
        run_chain(notebook, run_dir=run_dir)
    lines = str(error.value).splitlines()
    assert lines[0] == f"One process may work in a run folder, but {run_dir} is held by"
    assert lines[1].startswith(f"process {process.pid} on ")
    time.sleep(5.5)  # long enough for a heartbeat and a save
    killed = time.time()
    process.send_signal(signal.SIGKILL)
    process.wait()
    last = float(log.read_text().strip().splitlines()[-1].split()[1])
    assert killed - last < 5
    saved = json.loads((run_dir / "notebooks" / "a.ipynb").read_text())
    assert saved["cells"][-1]["outputs"][0]["text"][0].startswith("0 ")
    record = read_record(run_dir, "a")
    assert record.status == "running"
    assert record.heartbeat > record.started
    state = summary(run_dir)
    assert (state.status, state.detail.partition(",")[0]) == ("killed", "cut off")
    wait_until(lambda: not kernels_in(notebook.parent))


def test_a_stopped_run_says_so_and_resumes_what_is_missing(write_notebook, start, tmp_path):
    code = "import pathlib, time\nif not pathlib.Path('go').exists():\n    time.sleep(60)"
    names = ["01_done", "02_long", "03_long", "04_after"]
    for name in names:
        folder = write_notebook(name, code if "long" in name else "print(1)").parent
    chain = folder / "chain.yaml"
    chain.write_text(
        "steps:\n  - notebook: 01_done.ipynb\n  - {notebook: 02_long.ipynb, needs: [01_done]}\n"
        "  - {notebook: 03_long.ipynb, needs: [01_done]}\n"
        "  - {notebook: 04_after.ipynb, needs: [02_long]}\n"
    )
    run_dir = tmp_path / "run"
    process = start(chain, run_dir, "--jobs", "2")

    def both_sleep():
        records = [read_record(run_dir, name) for name in ("02_long", "03_long")]
        return all(r and r.cells and r.cells[-1].id == "code-0" for r in records)

    wait_until(both_sleep)
    process.send_signal(signal.SIGINT)  # as Ctrl-C does
    assert process.wait(timeout=60) == 128 + signal.SIGINT
    assert f"Stopped; what is finished stays in {run_dir}." in process.stdout.read().decode()
    assert not kernels_in(folder)
    told = json.loads((run_dir / "run.json").read_text())
    assert told["status"] == "killed"
    assert {s["step"]: s["status"] for s in told["steps"]} == {
        "01_done": "ok", "02_long": "killed", "03_long": "killed", "04_after": "skipped",
    }  # fmt: skip
    assert (run_dir / "notebooks" / "02_long.ipynb").is_file()
    assert not (run_dir / "holder.json").exists()
    (folder / "go").touch()
    again = run_chain(chain, run_dir=run_dir, jobs=2)
    assert actions(again) == {
        "01_done": "unchanged", "02_long": "ok", "03_long": "ok", "04_after": "ok",
    }  # fmt: skip


def test_every_way_to_fail_has_its_status_and_only_those_run_again(write_notebook, tmp_path):
    here = "import os, pathlib, time\nmended = pathlib.Path('mended').exists()"
    write_notebook("01_good", "1")
    write_notebook("02_error", here, "if not mended:\n    raise ValueError('bad tile')")
    write_notebook("03_dead", here, "if not mended:\n    os.kill(os.getpid(), 9)")
    write_notebook("04_slow", here, "if not mended:\n    time.sleep(600)")
    write_notebook("05_slow_cell", here, "if not mended:\n    time.sleep(60)")
    folder = write_notebook("06_after", "1").parent
    chain = folder / "chain.yaml"
    chain.write_text(
        "steps:\n  - notebook: 01_good.ipynb\n  - notebook: 02_error.ipynb\n"
        "  - notebook: 03_dead.ipynb\n  - {notebook: 04_slow.ipynb, timeout_s: 20}\n"
        "  - {notebook: 05_slow_cell.ipynb, cell_timeout_s: 5}\n"
        "  - {notebook: 06_after.ipynb, needs: [02_error]}\n"
    )
    run_dir = tmp_path / "run"
    with pytest.raises(NotebookRunError, match="ValueError: bad tile"):
        run_chain(chain, run_dir=run_dir, jobs=5)
    records = [read_record(run_dir, f"0{n}_{name}") for n, name in enumerate(
        ["good", "error", "dead", "slow", "slow_cell"], start=1)]  # fmt: skip
    expected = ["ok", "failed", "dead_kernel", "timeout", "timeout"]
    assert [record.status for record in records] == expected
    assert records[3].failure.message == "the notebook is not finished after 20 s"
    assert records[4].failure.message == "this cell is not finished after 5 s"
    assert read_record(run_dir, "06_after") is None  # skipped: it never ran
    assert not kernels_in(folder)
    for record in records[1:]:
        assert (run_dir / record.page).is_file()
    (folder / "mended").touch()
    again = run_chain(chain, run_dir=run_dir, jobs=3)
    left_alone = [step for step, action in actions(again).items() if action == "unchanged"]
    assert (again.status, left_alone) == ("ok", ["01_good"])


def test_a_full_disk_is_told_and_is_no_crash(write_notebook, tmp_path):
    notebook = write_notebook("a", "print('x' * 3_000_000)")
    limit = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000,) * 2);"
        "sys.argv = ['workbench', *sys.argv[1:]]; from workbench.__main__ import main; main()"
    )
    command = [sys.executable, "-c", limit, "run", notebook, "--run-dir", tmp_path / "run"]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert answer.returncode == 1
    assert "Traceback" not in answer.stderr
    assert "File too large" in answer.stderr
    assert summary(tmp_path / "run").status in {"failed", "killed"}
    assert not kernels_in(notebook.parent)
    assert os.access(tmp_path / "run", os.W_OK)
