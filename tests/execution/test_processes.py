"""A process is one process of one boot of one machine, never a number."""

import dataclasses
import os
import signal
import subprocess
import sys

import psutil
import pytest

from workbench.errors import NotebookRunError
from workbench.execution.cluster import cancel, queue_state
from workbench.execution.files import write_json
from workbench.execution.processes import ProcessIdentity, end_group
from workbench.execution.schemas import VERSION
from workbench.execution.stopping import end_orphan

SLEEP = [sys.executable, "-c", "print('up', flush=True); import time; time.sleep(300)"]
OTHERS = [{"host": "another"}, {"boot": "an-earlier-one"}, {"started": 1.0}]


@pytest.fixture
def start():
    started = []

    def start(*arguments, code=SLEEP[-1]):
        process = subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            stdout=subprocess.PIPE,
            start_new_session=True,
            text=True,
        )
        started.append(process)
        assert process.stdout.readline() == "up\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_a_process_is_itself_until_it_ends(start):
    process = start()
    identity = ProcessIdentity.of(process.pid)
    assert identity.is_alive()
    assert ProcessIdentity(**identity.to_json()) == identity
    assert identity.send(signal.SIGTERM)
    process.wait()
    assert not identity.is_alive()
    assert not identity.send(signal.SIGTERM)
    assert ProcessIdentity.of(process.pid) is None


def test_a_zombie_does_not_live():
    process = subprocess.Popen([sys.executable, "-c", ""])
    identity = ProcessIdentity.of(process.pid)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert not identity.is_alive()
    process.wait()


def test_the_start_is_the_one_that_psutil_tells():
    own = ProcessIdentity.own()
    since_1970 = psutil.boot_time() + own.started
    assert since_1970 == pytest.approx(psutil.Process().create_time(), abs=2)


@pytest.mark.parametrize("other", OTHERS)
def test_another_process_with_the_same_number_gets_no_signal(start, other):
    process = start()
    identity = dataclasses.replace(ProcessIdentity.of(process.pid), **other)
    assert not identity.is_alive()
    assert not identity.send(signal.SIGKILL)
    assert not identity.send_to_group(signal.SIGKILL)
    assert process.poll() is None


@pytest.mark.parametrize("number", [0, -1, 1])
def test_numbers_that_mean_many_processes_get_no_signal(number):
    identity = dataclasses.replace(ProcessIdentity.own(), pid=number)
    assert not identity.send(signal.SIGCONT)
    assert not identity.send_to_group(signal.SIGCONT)


def job(folder, process, **other):
    record = {"cluster": "local", "job": str(process.pid), "submitted": "", "logs": ""}
    identity = ProcessIdentity.of(process.pid).to_json() | other
    write_json(folder / "cluster.json", record | {"process": identity, "version": VERSION})


def test_a_local_job_is_cancelled_by_its_identity(start, tmp_path):
    process = start()
    job(tmp_path, process)
    assert queue_state(tmp_path) == (str(process.pid), "RUNNING")
    assert cancel(tmp_path) == str(process.pid)
    assert process.wait(timeout=60) == -signal.SIGTERM


@pytest.mark.parametrize("other", OTHERS)
def test_a_stale_job_whose_number_is_anothers_is_not_cancelled(start, tmp_path, other):
    process = start()
    job(tmp_path, process, **other)
    with pytest.raises(NotebookRunError, match=r"to be cancelled, but is none|belongs to another"):
        cancel(tmp_path)
    assert process.poll() is None


def test_a_job_of_an_older_version_is_never_signalled_and_that_is_said(start, tmp_path):
    process = start()
    value = {"cluster": "local", "job": str(process.pid), "submitted": "", "logs": "l"}
    write_json(tmp_path / "cluster.json", value)
    assert queue_state(tmp_path) is None
    with pytest.raises(NotebookRunError, match=r"names process .* only by number"):
        cancel(tmp_path)
    assert process.poll() is None


def test_an_orphan_is_ended_only_if_it_is_that_very_kernel(start, caplog):
    kernel = start("ipykernel_launcher")
    identity = ProcessIdentity.of(kernel.pid)
    for other in OTHERS:
        assert not end_orphan(dataclasses.replace(identity, **other), "01")
    assert not caplog.records
    assert not end_orphan(kernel.pid, "01")
    assert "names the kernel only by number" in caplog.text
    assert not end_orphan(None, "01")
    assert kernel.poll() is None
    assert end_orphan(identity, "01")
    assert kernel.wait() == -signal.SIGKILL


def test_what_is_no_kernel_is_no_orphan(start):
    """Whoever leads a group and has the right start, but is another program, is left alone."""
    process = start("jupyter_client", "ipykernel")
    assert not end_orphan(ProcessIdentity.of(process.pid), "01")
    assert process.poll() is None


def test_a_kernel_that_leads_no_group_is_left_alone():
    command = [*SLEEP, "ipykernel_launcher"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "up\n"
        assert not end_orphan(ProcessIdentity.of(process.pid), "01")
        assert process.poll() is None
        process.kill()


def test_a_group_is_ended_before_its_leader_is_reaped(start):
    child = f"import subprocess, sys; p = subprocess.Popen({SLEEP}); print('up', flush=True)"
    leader = start(code=f"{child}; print(p.pid, flush=True)")
    lines = [leader.stdout.readline() for _ in range(2)]
    pid = next(int(line) for line in lines if line.strip().isdecimal())
    identity = ProcessIdentity.of(pid)
    assert end_group(leader, grace_seconds=30) == 0
    psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [], timeout=30)
    assert not identity.is_alive()
