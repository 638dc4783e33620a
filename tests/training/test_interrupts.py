"""A run that is stopped by hand: what it had reached is kept, and the same call goes on."""

import signal
import threading
from pathlib import Path

import pandas as pd
import pytest
import torch
from jupyter_client.manager import start_new_kernel
from safetensors.torch import load_file

from tests.training.test_pretrain import FAST, losses_in, made
from workbench.training import pretrain
from workbench.training.interrupts import PatientInterrupt
from workbench.training.run_state import read_state


def test_an_interrupted_run_keeps_its_step_and_ends_with_the_same_weights(make, encoder, tmp_path):
    patches = make()

    def stop(step, total):
        if step == 3:
            signal.raise_signal(signal.SIGINT)

    stopped, whole = tmp_path / "stopped", tmp_path / "whole"
    with pytest.raises(KeyboardInterrupt, match=r"Interrupted after step 3 of 9; nothing is lost"):
        pretrain(made("moco", encoder()), patches, out=stopped, settings=FAST, progress=stop)
    assert read_state(stopped).step == 3
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    for folder in (stopped, whole):
        pretrain(made("moco", encoder()), patches, out=folder, settings=FAST, progress=False)
    a, b = (load_file(folder / "encoder.safetensors") for folder in (stopped, whole))
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert losses_in(stopped) == losses_in(whole)


def test_a_second_interrupt_strikes_at_once():
    with PatientInterrupt() as interrupt:
        signal.raise_signal(signal.SIGINT)
        assert interrupt.asked
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_where_it_is_not_wanted_or_not_in_the_main_thread_interrupts_stay_as_they_are():
    found = []

    def elsewhere():
        with PatientInterrupt():
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    with PatientInterrupt(wanted=False):
        found.append(signal.getsignal(signal.SIGINT))
    assert found == [signal.default_int_handler] * 2


CELL = """
import sys; sys.path.insert(0, {root!r})
import torch
from workbench.datasets import open_patches
from workbench.methods import MoCo
from workbench.models import ViTEncoder, ViTSize
from workbench.training import PretrainSettings, pretrain
torch.set_num_threads(1)
torch.manual_seed(0)
method = MoCo(ViTEncoder(6, 8, 4, ViTSize(16, 2, 2), adapter=False), hidden_dim=16, output_dim=8,
              queue_size=20)
settings = PretrainSettings(
    steps=400, batch_size=6, loggers=("csv",), accelerator="cpu", watch=None)
told = lambda step, total: print(f"<{{step}}>", flush=True)
patches = open_patches({patches!r})
pretrain(method, patches, out={out!r}, settings=settings, progress=told).is_complete
"""


@pytest.mark.slow
@pytest.mark.notebook
def test_the_stop_button_of_a_notebook_loses_nothing_and_the_cell_goes_on(make, tmp_path):
    make()
    root, out = str(Path(__file__).parents[2]), tmp_path / "run"
    cell = CELL.format(root=root, patches=str(tmp_path / "patches"), out=str(out))
    manager, client = start_new_kernel()
    try:

        def interrupt(message):
            if "<20>" in message["content"].get("text", ""):
                manager.interrupt_kernel()  # as the button of JupyterLab does

        reply = client.execute_interactive(cell, output_hook=interrupt, timeout=120)["content"]
        assert (reply["status"], reply["ename"]) == ("error", "KeyboardInterrupt")
        reached = read_state(out).step
        assert 20 <= reached < 400
        assert f"Interrupted after step {reached} of 400; nothing is lost" in reply["evalue"]
        steps = []
        again = client.execute_interactive(
            cell,
            output_hook=lambda message: steps.append(message["content"].get("text", "")),
            timeout=120,
        )
        assert again["content"]["status"] == "ok"
        assert "".join(steps).split()[0] == f"<{reached + 1}>"
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    assert read_state(out).step == 400
    assert pd.read_csv(out / "metrics.csv")["step"].tolist() == list(range(400))
