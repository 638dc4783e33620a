"""Chains of notebooks that do next to nothing; each kernel costs about a second."""

import json
import os
import subprocess
import sys
import time

import pytest

from workbench.errors import NotebookRunError
from workbench.execution import run_chain

pytestmark = pytest.mark.notebook

FIRST = (
    "import pandas as pd\nfrom workbench.execution import RunFolder\nout = RunFolder(run_dir)",
    "out.table(pd.DataFrame({'n': range(size)}), 'numbers')",
)
SECOND = (
    "from workbench.execution import RunFolder\nout = RunFolder(run_dir)",
    "numbers = out.read_table('numbers')\nif factor == 13:\n    raise ValueError('unlucky')",
    "out.metrics({'sum': int(numbers['n'].sum()) * factor})",
)


@pytest.fixture
def chain(write_notebook):
    """Two steps, of which the second reads the table of the first, and one on its own."""
    run_dir = 'run_dir: str = "../runs/lab"  # Folder\n'
    write_notebook("01_first", *FIRST, parameters=run_dir + "size: int = 4  # Rows")
    write_notebook("02_second", *SECOND, parameters=run_dir + "factor: int = 2  # Factor")
    folder = write_notebook("03_other", "1", parameters="").parent
    (folder / "chain.yaml").write_text(
        "title: A chain\nsteps:\n  - notebook: 01_first.ipynb\n"
        "  - {notebook: 02_second.ipynb, needs: [01_first]}\n  - notebook: 03_other.ipynb\n"
    )
    return folder / "chain.yaml"


def actions(run) -> dict[str, str]:
    return {note.step: note.action for note in run.notes}


def reasons(run) -> dict[str, str]:
    return {note.step: note.reason for note in run.notes}


def contents(folder) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_chain_runs_once_and_then_only_what_changed(chain, tmp_path):
    told = []
    run = run_chain(chain, run_dir=tmp_path / "run", tell=told.append)
    assert run.status == "ok"
    assert actions(run) == dict.fromkeys(["01_first", "02_second", "03_other"], "ok")
    assert [note.action for note in told] == ["running", "ok"] * 3
    assert run.steps[1].metrics == {"sum": 12}
    assert list(run.steps[1].inputs) == ["tables/numbers.parquet"]
    table = (tmp_path / "run" / "tables" / "numbers.parquet").read_bytes()

    written = contents(tmp_path / "run")
    again = run_chain(chain, run_dir=tmp_path / "run")
    assert actions(again) == dict.fromkeys(["01_first", "02_second", "03_other"], "unchanged")
    assert all("nothing has changed since" in reason for reason in reasons(again).values())
    assert written == contents(tmp_path / "run")  # the report still tells why each step ran

    plan = run_chain(chain, {"factor": 3}, run_dir=tmp_path / "run", dry_run=True)
    assert actions(plan)["02_second"] == "would run"
    changed = run_chain(chain, {"factor": 3}, run_dir=tmp_path / "run")
    assert actions(changed) == {
        "01_first": "unchanged", "02_second": "ok", "03_other": "unchanged",
    }  # fmt: skip
    assert reasons(changed)["02_second"] == reasons(plan)["02_second"] == "parameter factor 2 -> 3"
    assert changed.steps[1].metrics == {"sum": 18}

    more = run_chain(chain, texts={"factor": "3", "size": "5"}, run_dir=tmp_path / "run")
    assert reasons(more)["01_first"] == "parameter size 4 -> 5"
    assert reasons(more)["02_second"] == "its input tables/numbers.parquet has changed"
    assert more.steps[1].metrics == {"sum": 30}

    back = run_chain(chain, run_dir=tmp_path / "run")
    assert back.status == "ok"
    assert (tmp_path / "run" / "tables" / "numbers.parquet").read_bytes() == table


def test_a_finished_run_is_written_again_if_it_would_say_something_else(chain, tmp_path):
    chain.write_text("title: One\nsteps: [{notebook: 03_other.ipynb}]")
    run_chain(chain, run_dir=tmp_path / "run")
    (tmp_path / "run" / "index.html").unlink()
    assert actions(run_chain(chain, run_dir=tmp_path / "run")) == {"03_other": "unchanged"}
    page = tmp_path / "run" / "index.html"
    assert "<h1>One</h1>" in page.read_text()
    chain.write_text("title: Another\nsteps: [{notebook: 03_other.ipynb}]")
    assert actions(run_chain(chain, run_dir=tmp_path / "run")) == {"03_other": "unchanged"}
    assert "<h1>Another</h1>" in page.read_text()
    assert json.loads((tmp_path / "run" / "run.json").read_text())["provenance"]["source"]


def test_the_command_finds_a_finished_chain_finished_in_under_three_seconds(chain, tmp_path):
    run_chain(chain, run_dir=tmp_path / "run")
    command = [sys.executable, "-m", "workbench", "run", str(chain)]
    command += ["--run-dir", str(tmp_path / "run")]
    seconds = []
    for _ in range(3):
        began = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        seconds.append(time.monotonic() - began)
    assert done.stdout.count("unchanged ") == 3
    assert min(seconds) < 3


def test_a_failed_step_stops_only_what_needs_it(chain, tmp_path):
    chain.write_text(
        "steps:\n  - {notebook: 01_first.ipynb, timeout_s: 60}\n"
        "  - {notebook: 02_second.ipynb, needs: [01_first]}\n"
        "  - {notebook: 03_other.ipynb, needs: [02_second]}\n"
    )
    with pytest.raises(NotebookRunError) as error:
        run_chain(chain, {"factor": 13}, run_dir=tmp_path / "run")
    lines = str(error.value).splitlines()
    assert lines[0] == (
        "02_second stopped in cell 4 (`numbers = out.read_table('numbers')`): ValueError: unlucky"
    )
    assert lines[2] == f"Run it again: workbench run {chain} -p factor=13 --run-dir {tmp_path}/run"
    value = json.loads((tmp_path / "run" / "run.json").read_text())
    assert value["status"] == "failed"
    assert [step["status"] for step in value["steps"]] == ["ok", "failed", "skipped"]
    page = (tmp_path / "run" / "index.html").read_text(encoding="utf-8")
    assert "needs 02_second" in page
    assert "ValueError: unlucky" in page

    mended = run_chain(chain, run_dir=tmp_path / "run")
    assert actions(mended) == {"01_first": "unchanged", "02_second": "ok", "03_other": "ok"}
    assert reasons(mended)["02_second"] == "its last run ended as failed"


def test_force_runs_everything_and_dry_run_nothing(chain, tmp_path):
    chain.write_text("steps: [{notebook: 03_other.ipynb}]")
    plan = run_chain(chain, run_dir=tmp_path / "run", dry_run=True)
    assert actions(plan) == {"03_other": "would run"}
    assert reasons(plan) == {"03_other": "not run before"}
    assert not (tmp_path / "run").exists()
    run_chain(chain, run_dir=tmp_path / "run")
    forced = run_chain(chain, run_dir=tmp_path / "run", force=True)
    assert reasons(forced) == {"03_other": "asked for with --force"}


def test_no_file_appears_outside_the_run_folder(chain, tmp_path):
    before = set(os.listdir(chain.parent))
    run_chain(chain.parent / "03_other.ipynb", run_dir=tmp_path / "run")
    assert set(os.listdir(chain.parent)) == before
    assert set(os.listdir(tmp_path)) == {"notebooks", "run"}


def test_steps_that_do_not_need_each_other_run_at_once(write_notebook, tmp_path):
    meet = (
        "import pathlib, time\npathlib.Path('{me}').touch()\n"
        "while not pathlib.Path('{other}').exists():\n    time.sleep(0.05)"
    )
    write_notebook("01_a", meet.format(me="a", other="b"))
    folder = write_notebook("02_b", meet.format(me="b", other="a")).parent
    chain = folder / "chain.yaml"
    chain.write_text("steps:\n  - notebook: 01_a.ipynb\n  - notebook: 02_b.ipynb\n")
    told = []
    run = run_chain(chain, run_dir=tmp_path / "run", jobs=2, timeout_s=60, tell=told.append)
    assert [note.action for note in told[:2]] == ["running"] * 2
    assert actions(run) == {"01_a": "ok", "02_b": "ok"}


def test_a_step_runs_again_if_its_kernel_dies_and_not_if_it_fails(write_notebook, tmp_path):
    once = (
        "import os, pathlib\nif not pathlib.Path('was').exists():\n    pathlib.Path('was').touch()"
    )
    dies = write_notebook("01_dies", f"{once}\n    os.kill(os.getpid(), 9)")
    run = run_chain(dies, run_dir=tmp_path / "run", retries=1)
    assert run.steps[0].attempt == 2
    assert reasons(run) == {"01_dies": "its kernel died, attempt 2"}
    fails = write_notebook("02_fails", "raise ValueError('no')")
    told = []
    with pytest.raises(NotebookRunError, match="ValueError: no"):
        run_chain(fails, run_dir=tmp_path / "other", retries=3, tell=told.append)
    assert [note.action for note in told] == ["running", "failed"]


def test_a_gpu_that_is_not_there_is_told_before_anything_runs(chain, tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(NotebookRunError, match=r"The run asks for 1 GPU\(s\), but this machine"):
        run_chain(chain, run_dir=tmp_path / "run", gpus=1)
    chain.write_text("steps: [{notebook: 03_other.ipynb, gpus: 2}]")
    with pytest.raises(NotebookRunError, match=r"03_other asks for 2 GPU\(s\), but the run has 0"):
        run_chain(chain, run_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_two_runs_with_the_same_inputs_give_equal_tables_and_a_full_record(chain, tmp_path):
    runs = [run_chain(chain, {"size": 6}, run_dir=tmp_path / name, jobs=2) for name in "ab"]
    tables = [tmp_path / name / "tables" / "numbers.parquet" for name in "ab"]
    assert tables[0].read_bytes() == tables[1].read_bytes()
    value = json.loads((tmp_path / "a" / "run.json").read_text())
    assert {"commit", "dirty", "lock", "source", "device", "driver"} <= set(value["provenance"])
    assert value["parameters"] == {"size": 6}
    first = value["steps"][0]
    assert first["parameters"]["size"] == 6
    assert first["outputs"] == {"tables/numbers.parquet": runs[1].steps[0].artifacts[0]["sha256"]}
    assert "energy_joules" in first
