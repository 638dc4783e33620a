import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from workbench.errors import NotebookRunError
from workbench.execution import run_torchrun

TALK = """\
import os, sys
rank, size = os.environ["RANK"], os.environ["WORLD_SIZE"]
sys.stdout.write(f"process {rank} of {size}, {sys.argv[1]}\\n")  # in one piece: both write here
sys.exit(3 if sys.argv[1] == "fail" and rank == "1" else 0)
"""


@pytest.mark.slow
def test_every_process_runs_and_is_heard(tmp_path):
    script = tmp_path / "talk.py"
    script.write_text(TALK)
    told = []
    log = tmp_path / "log.txt"
    run_torchrun([str(script), "hello"], processes=2, log=log, tell=told.append)
    assert {line for line in told if line.startswith("process")} == {
        "process 0 of 2, hello",
        "process 1 of 2, hello",
    }
    assert "process 1 of 2, hello" in log.read_text()
    with pytest.raises(NotebookRunError, match=r"(?s)must end well on 2 processes, but.*exitcode"):
        run_torchrun([str(script), "fail"], processes=2, tell=told.append)


@pytest.mark.slow
def test_an_interrupt_leaves_no_process(tmp_path):
    script = tmp_path / "sleep.py"
    say = "sys.stdout.write(f'pid {os.getpid()}\\n')"  # in one piece: both processes write here
    script.write_text(f"import os, sys, time\n{say}\ntime.sleep(300)")
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "from workbench.execution import run_torchrun;"
        "run_torchrun([sys.argv[1]], processes=2)"
    )
    with subprocess.Popen(
        [sys.executable, "-u", "-c", code, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    ) as runner:
        lines = (line for line in runner.stdout if line.startswith("pid"))
        pids = [int(next(lines).split()[1]) for _ in range(2)]
        runner.send_signal(signal.SIGINT)
        try:
            runner.wait(timeout=30)
        finally:
            runner.kill()
    deadline = time.monotonic() + 10
    while any(psutil.pid_exists(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.1)
