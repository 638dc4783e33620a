import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest

from workbench.errors import NotebookRunError
from workbench.execution.lock import living_holder, read_holder, run_lock

HOLD = (
    "import sys, pathlib; from workbench.execution.lock import run_lock\n"
    "with run_lock(pathlib.Path(sys.argv[1])):\n    print('held', flush=True); sys.stdin.read()"
)


@pytest.fixture
def elsewhere(tmp_path):
    """Another process that holds the folder until its input ends."""
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_the_second_is_told_who_holds_it(elsewhere, tmp_path):
    assert living_holder(tmp_path).pid == elsewhere.pid
    told = "One process may work in a run folder"
    with pytest.raises(NotebookRunError, match=told) as error, run_lock(tmp_path):
        pass
    assert f"process {elsewhere.pid} on " in str(error.value)
    elsewhere.stdin.close()
    assert elsewhere.wait(timeout=60) == 0
    assert living_holder(tmp_path) is None
    with run_lock(tmp_path):
        assert living_holder(tmp_path) is not None


def test_a_holder_that_was_killed_holds_nothing_but_is_remembered(elsewhere, tmp_path):
    elsewhere.kill()
    elsewhere.wait()
    assert living_holder(tmp_path) is None
    assert read_holder(tmp_path).pid == elsewhere.pid
    with run_lock(tmp_path):
        pass
    assert read_holder(tmp_path) is None


def test_threads_of_one_process_share_it(tmp_path):
    with run_lock(tmp_path), run_lock(tmp_path):
        assert living_holder(tmp_path) is not None
    assert living_holder(tmp_path) is None


@pytest.mark.parametrize(("silent", "held"), [(5, True), (600, False)])
def test_a_holder_on_another_machine_counts_while_it_is_heard_of(tmp_path, silent, held):
    (tmp_path / "run.lock").touch()
    beat = (datetime.now(UTC) - timedelta(seconds=silent)).isoformat()
    value = {"pid": 1, "host": "far-away", "command": "workbench run", "started": beat}
    path = tmp_path / "holder.json"
    path.write_text(json.dumps(value | {"heartbeat": beat, "job": "17"}))
    os.utime(path, (time.time() - silent,) * 2)
    assert (living_holder(tmp_path) is not None) is held
    if held:
        with (
            pytest.raises(NotebookRunError, match=r"(?s)process 1 on far-away, job 17"),
            run_lock(tmp_path),
        ):
            pass
    else:
        with run_lock(tmp_path):
            pass
