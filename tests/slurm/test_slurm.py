"""Runs as jobs of a real Slurm of one node, which is started and stopped here.

Needs Debian's slurm-wlm and munge, and root; .ci/run installs them where it may.
"""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import nbformat
import pytest

from workbench.errors import NotebookRunError
from workbench.execution import ChainTask, ClusterOptions, list_runs, submit
from workbench.execution.cluster import cancel, queue_state
from workbench.execution.history import summary
from workbench.execution.lock import living_holder
from workbench.execution.records import read_record, read_run
from workbench.execution.sweeps import expand_grid

SCRIPT = Path(__file__).parent / "single_node.sh"
PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "srun")
MISSING = [p for p in PROGRAMS if shutil.which(p, path=f"{os.environ['PATH']}:/usr/sbin") is None]
ROOT = hasattr(os, "geteuid") and os.geteuid() == 0

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.slow,
    pytest.mark.notebook,
    pytest.mark.skipif(
        bool(MISSING), reason=f"no {', '.join(MISSING)} (Debian: apt install slurm-wlm munge)"
    ),
    pytest.mark.skipif(not ROOT, reason="a Slurm of our own needs root"),
]

PARAMETERS = """\
run_dir: str = "../runs/lab"  # Folder of the run
seconds: float = 0.0  # Time to spend, unless a checkpoint is found
number: int = 1  # Any number; 13 fails
"""
FIRST = (
    "from workbench.execution import RunFolder\nout = RunFolder(run_dir)",
    "(out.root / 'numbers.txt').write_text('0 1 2 3')\nout.file('numbers.txt')",
)
SECOND = (
    "import pathlib, time\nfrom workbench.execution import RunFolder\nout = RunFolder(run_dir)",
    "mark = out.root / 'checkpoint'\nresumed = mark.exists()\nmark.touch()",
    "time.sleep(0 if resumed else seconds)\nassert number != 13, 'unlucky'",
    "out.metrics({'number': number, 'resumed': resumed})",
)
TIMEOUT = 60


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    """The folder of a Slurm that runs for these tests only."""
    folder = tmp_path_factory.mktemp("slurm")
    before = os.environ.get("SLURM_CONF")
    try:
        subprocess.run([SCRIPT, "start", folder], check=True, timeout=60)
        os.environ["SLURM_CONF"] = str(folder / "slurm.conf")
        yield folder
    finally:
        subprocess.run([SCRIPT, "stop", folder], check=True, timeout=60)
        os.environ.pop("SLURM_CONF")
        if before is not None:
            os.environ["SLURM_CONF"] = before


@pytest.fixture
def chain(slurm, tmp_path, monkeypatch):
    """Two steps, the second of which spends time and leaves a checkpoint first."""
    monkeypatch.chdir(tmp_path)
    for name, code in (("01_first", FIRST), ("02_second", SECOND)):
        node = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(PARAMETERS)])
        node.cells[0].metadata["tags"] = ["parameters"]
        node.cells += [nbformat.v4.new_code_cell(source) for source in code]
        nbformat.write(node, tmp_path / f"{name}.ipynb")
    (tmp_path / "chain.yaml").write_text(
        "steps:\n  - notebook: 01_first.ipynb\n  - {notebook: 02_second.ipynb, needs: [01_first]}\n"
    )
    return tmp_path / "chain.yaml"


def send(chain, name, *, cpus=1, **parameters):
    """Submit one run in partition `low`; give its folder."""
    folder = chain.parent / "runs" / name
    task = ChainTask(str(chain), str(folder), parameters)
    submit([task], ClusterOptions(partition="low", time_min=5, cpus=cpus), logs=folder / "cluster")
    return folder


def wait_until(what, *arguments):
    deadline = time.monotonic() + TIMEOUT
    while not (found := what(*arguments)):
        assert time.monotonic() < deadline, f"{what.__name__} of {arguments}"
        time.sleep(0.2)
    return found


def ended(folder):
    state = summary(folder)
    return state if state.status not in {"queued", "running"} else None


def second_runs(folder):
    return (folder / "checkpoint").exists() and queue_state(folder)[1] == "RUNNING"


def start_again(job):
    """Slurm lets a job that it has put back wait for two minutes; a test need not.

    In the second in which the job was put back its credential is void, so not at once either.
    """
    time.sleep(2)
    subprocess.run(["scontrol", "update", f"JobId={job}", "StartTime=now"], check=True)


def kernel_gone(folder):
    """Whether the kernel of the second step is gone."""
    return not read_record(folder, "02_second").kernel.is_alive()


def log(folder):
    return "".join(path.read_text() for path in (folder / "cluster").glob("*.out"))


def test_jobs_end_well_or_fail_and_say_so(chain):
    good, bad = send(chain, "good"), send(chain, "bad", number=13)
    assert summary(good).status in {"queued", "running"}
    state = wait_until(ended, good)
    assert state.status == "ok", log(good)
    assert state.steps == {"01_first": "ok", "02_second": "ok"}
    assert (good / "numbers.txt").is_file()
    assert (good / "index.html").is_file()
    assert wait_until(ended, bad).status == "failed"
    step = read_run(bad).steps[1]
    assert step.failure.message == "unlucky"
    assert {run.name: run.status for run in list_runs("runs")} == {"good": "ok", "bad": "failed"}


@pytest.mark.parametrize(
    ("options", "message"),
    [({"partition": "none"}, "invalid partition"), ({"gpus": 1}, "Invalid generic resource")],
)
def test_what_slurm_refuses_is_told_in_its_words(chain, options, message, capfd):
    folder = chain.parent / "runs" / "refused"
    task = ChainTask(str(chain), str(folder))
    with pytest.raises(NotebookRunError, match=f"slurm refused the job: .*{message}"):
        submit([task], ClusterOptions(**options), logs=folder / "cluster")
    assert not (folder / "run.json").exists()


def test_a_cancelled_job_stops_its_kernel_in_order(chain):
    folder = send(chain, "cancelled", seconds=300.0)
    wait_until(second_runs, folder)
    cancel(folder)
    assert wait_until(ended, folder).status == "killed"
    record = read_record(folder, "02_second")
    assert record.failure.message == "this process got SIGTERM"
    assert (folder / record.executed).is_file()
    wait_until(kernel_gone, folder)


def test_a_job_that_is_killed_outright_is_not_called_running(chain):
    folder = send(chain, "cut-off", seconds=300.0)
    wait_until(second_runs, folder)
    os.kill(living_holder(folder).pid, signal.SIGKILL)  # as a system without memory does
    state = wait_until(ended, folder)
    assert (state.status, read_record(folder, "02_second").status) == ("killed", "running")
    assert state.detail.startswith("cut off, last sign of life")
    wait_until(kernel_gone, folder)


def test_a_preempted_job_is_queued_again_and_goes_on(chain):
    folder = send(chain, "preempted", cpus=3, seconds=300.0)
    wait_until(second_runs, folder)
    first = read_record(folder, "01_first").started
    job, _ = queue_state(folder)
    urgent = ["sbatch", "--partition=high", "--cpus-per-task=3", "--wrap=sleep 1"]
    subprocess.run([*urgent, "--output=/dev/null"], check=True, capture_output=True)
    wait_until(lambda: queue_state(folder)[1] == "PENDING")
    assert summary(folder).status == "queued"
    assert read_record(folder, "02_second").status == "killed"
    start_again(job)
    state = wait_until(ended, folder)
    assert state.status == "ok", log(folder)
    second = read_record(folder, "02_second")
    assert second.reason == "its last run ended as killed"
    assert second.metrics == {"number": 1, "resumed": True}
    assert read_record(folder, "01_first").started == first


def test_a_job_near_its_time_limit_puts_itself_back_and_goes_on(chain):
    folder = send(chain, "long", seconds=300.0)
    wait_until(second_runs, folder)
    job, _ = queue_state(folder)
    subprocess.run(["scancel", "--signal=USR2", f"{job}.0"], check=True)  # as Slurm does
    wait_until(lambda: queue_state(folder)[1] == "PENDING")
    start_again(job)
    assert wait_until(ended, folder).status == "ok", log(folder)
    assert read_record(folder, "02_second").metrics["resumed"] is True


def test_a_sweep_of_six_is_one_array(chain):
    folder = chain.parent / "runs" / "sweep"
    members = expand_grid({"number": "1,2,3", "seconds": "0,0.1"})
    notebook = str(chain.with_name("02_second.ipynb"))
    tasks = [ChainTask(notebook, str(folder / m.name), {}, m.texts) for m in members]
    jobs = submit(tasks, ClusterOptions(partition="low", time_min=5), logs=folder / "cluster")
    assert len({job.partition("_")[0] for job in jobs}) == 1
    assert [job.partition("_")[2] for job in jobs] == ["0", "1", "2", "3", "4", "5"]
    for member in members:
        assert wait_until(ended, folder / member.name).status == "ok"
        record = read_record(folder / member.name, "02_second")
        assert record.metrics["number"] == int(member.values["number"])
    assert len(list_runs(chain.parent / "runs")) == 6
