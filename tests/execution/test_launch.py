import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from tests.made_campaign import small_patches
from workbench.errors import NotebookRunError
from workbench.execution import run_chain, run_torchrun
from workbench.progress import PROGRESS_LINE
from workbench.training import load_checkpoint

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
    last = run_torchrun([str(script), "hello"], processes=2, log=log, tell=told.append)
    assert sorted(told) == ["process 0 of 2, hello", "process 1: process 1 of 2, hello"]
    assert last == ["process 0 of 2, hello"]
    assert "process 1 of 2, hello" in log.read_text()
    with pytest.raises(NotebookRunError, match="2 processes, but process 1 ended with exit code 3"):
        run_torchrun([str(script), "fail"], processes=2, tell=told.append)


@pytest.mark.slow
def test_an_interrupt_leaves_no_process(tmp_path):
    script = tmp_path / "sleep.py"
    say = "sys.stdout.write(f'pid {os.getpid()}\\n')"  # in one piece: both processes write here
    script.write_text(f"import os, sys, time\n{say}\ntime.sleep(60)")
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
        lines = (line for line in runner.stdout if "pid" in line)
        pids = [int(next(lines).split()[-1]) for _ in range(2)]
        runner.send_signal(signal.SIGINT)
        try:
            runner.wait(timeout=60)
        finally:
            runner.kill()
    deadline = time.monotonic() + 60
    while any(psutil.pid_exists(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.fixture(scope="module")
def patches(tmp_path_factory):
    return small_patches(tmp_path_factory.mktemp("launch"))


def words(patches, out, steps):
    return [
        "-m", "workbench", "pretrain", str(patches), "-o", str(out), "--method", "mae",
        "--encoder", "ViTEncoder", "-e", "size=(16,2,2)", "-e", "adapter=True",
        "-e", "image_size=8", "-e", "token_size=4", "-m", "decoder_width=16",
        "-m", "decoder_depth=1", "-m", "decoder_heads=2",
        "-s", f"steps={steps}", "-s", "batch_size=4", "-s", "loggers=('csv',)",
        "-s", "accelerator=cpu",
    ]  # fmt: skip


@pytest.mark.slow
def test_a_training_in_two_processes_is_followed_from_a_notebook(write_notebook, patches, tmp_path):
    notebook = write_notebook(
        "train",
        "from workbench.execution import RunFolder, run_torchrun\nout = RunFolder(run_dir)",
        "words = " + repr(words(patches, "MODEL", 3)).replace("'MODEL'", "str(out.root / 'model')"),
        "said = run_torchrun(words, processes=2, log=out.root / 'train.log')\nsaid",
        "from workbench.training import load_checkpoint\n"
        "encoder, card = load_checkpoint(out.root / 'model' / 'encoder.safetensors')\ncard",
        "import pandas as pd\n"
        "metrics = pd.read_csv(out.root / 'model' / 'metrics.csv')\n"
        "out.table(metrics, 'metrics')\nout.metrics({'loss': float(metrics.loss.iloc[-1])})",
    )
    run = tmp_path / "run"
    record = run_chain(notebook, run_dir=run)
    assert record.status == "ok"
    log = (run / "train.log").read_text()
    assert any(PROGRESS_LINE.match(line.partition("]:")[2]) for line in log.splitlines())
    _, card = load_checkpoint(run / "model" / "encoder.safetensors")
    assert (card.method, card.steps) == ("MAE", 3)
    assert 0 < record.steps[0].metrics["loss"] < 10


BROKEN = """\
import os, sys, torch
from workbench.datasets import open_patches
from workbench.methods import MAE
from workbench.models import ViTEncoder, ViTSize
from workbench.training import PretrainSettings, pretrain


class Broken(MAE):
    steps = 0

    def forward(self, *given):
        self.steps += 1
        if self.steps == 3 and os.environ["RANK"] == "1":
            raise ZeroDivisionError("planted in the second process")
        return super().forward(*given)


patches = open_patches(sys.argv[1])
method = Broken(ViTEncoder(202, 8, 4, ViTSize(16, 2, 2), adapter=True), decoder_width=16,
                decoder_depth=1, decoder_heads=2)
settings = PretrainSettings(steps=40, batch_size=4, lr=1e-3, checkpoint_every=2,
                            loggers=("csv",), accelerator="cpu")
pretrain(method, patches, out=sys.argv[2], settings=settings)
"""


@pytest.mark.slow
def test_the_failure_of_one_process_is_told_with_its_traceback(patches, tmp_path):
    script = tmp_path / "broken.py"
    script.write_text(BROKEN)
    told = []
    with pytest.raises(NotebookRunError) as error:
        run_torchrun([str(script), str(patches), str(tmp_path)], processes=2, tell=told.append)
    text = str(error.value)
    assert "must end well on 2 processes, but process 1 ended with exit code 1." in text
    assert "Traceback (most recent call last)" in text
    assert text.rstrip().endswith("ZeroDivisionError: planted in the second process")
    assert any(PROGRESS_LINE.match(line) for line in told)
