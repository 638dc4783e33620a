"""What can be wrong about a run, met by the real command: it is told, and nothing done is lost."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "workbench"
PARAMETERS = 'run_dir: str = "../runs/lab"  # Folder\nseed: int = 0  # Seed\n'
DRAW = (
    "import pandas as pd\nfrom workbench.execution import RunFolder\nout = RunFolder(run_dir)",
    "out.table(pd.DataFrame({'x': range(1000)}), 'draw')",
)
BIG = "from pathlib import Path\nPath(run_dir, 'big.bin').write_bytes(bytes(80_000_000))"


def workbench(*arguments, python_path=PACKAGE.parent):
    """Run the command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "workbench", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=python_path,  # `-m` looks here first
        env={**os.environ, "PYTHONPATH": str(python_path)},
    )


@pytest.fixture
def write_chain(write_notebook):
    """Write empty notebooks and the chain of what each needs."""

    def write(needs, *more):
        for name in needs:
            path = write_notebook(name, "1")
        listed = [{"notebook": f"{n}.ipynb", "needs": list(of)} for n, of in needs.items()]
        chain = path.with_name("chain.yaml")
        chain.write_text(json.dumps({"steps": listed}))
        return chain

    return write


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 120 MB of which half is taken; frees it by removing `ballast`."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=120m", "tmpfs", str(place)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no mount here")
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    try:
        (place / "ballast").write_bytes(bytes(60_000_000))
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.mark.notebook
@pytest.mark.slow
@pytest.mark.xfail(
    strict=False, reason="`runs show` does not tell the steps cut off by a full disk"
)
def test_a_disk_that_fills_up_is_told_and_loses_nothing_that_was_done(write_notebook, small_disk):
    write_notebook("01_draw", *DRAW, parameters=PARAMETERS)
    write_notebook("02_big", BIG, parameters=PARAMETERS)
    folder = write_notebook("03_sum", "1", parameters="").parent
    chain = folder / "chain.yaml"
    chain.write_text(
        "steps:\n- notebook: 01_draw.ipynb\n- {notebook: 02_big.ipynb, needs: [01_draw]}\n"
        "- {notebook: 03_sum.ipynb, needs: [02_big]}\n"
    )
    run = small_disk / "run"
    full = workbench("run", chain, "--run-dir", run)
    assert full.returncode == 1
    assert "Traceback" not in full.stderr
    assert "No space left on device" in full.stderr
    told = workbench("runs", "list", "--folder", small_disk).stdout
    assert "ok" not in told.split()
    assert "failed" in told or "killed" in told
    assert "02_big   cut off: not run before" in (
        workbench("runs", "show", "run", "--folder", small_disk).stdout
    )
    table = (run / "tables" / "draw.parquet").read_bytes()
    (small_disk / "ballast").unlink()
    (run / "big.bin").unlink(missing_ok=True)
    again = workbench("run", chain, "--run-dir", run, "--resume")
    assert again.returncode == 0, again.stderr
    assert "unchanged  01_draw: nothing has changed" in again.stdout
    assert (run / "tables" / "draw.parquet").read_bytes() == table
    assert (run / "big.bin").stat().st_size == 80_000_000
    assert not list(run.rglob(".*.tmp*"))


def test_a_circle_of_steps_is_shown_as_it_goes_round(write_chain, tmp_path):
    needs = {"a": ["c"], "b": ["a"], "c": ["b"], "d": ["a"], "e": []}
    answer = workbench("run", write_chain(needs), "--run-dir", tmp_path / "run")
    assert answer.returncode == 1
    assert "no step may wait for itself, but these form a circle: a -> c -> b -> a." in (
        answer.stderr
    )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["-p", "sead=1"], 2, "parameter 'sead', did you mean \"seed\"?"),
        (["-p", "seed=one"], 2, "needs 'seed' as int"),
        (["-p", "seed=1,2", "--grid", "-p", "sead=0"], 2, "did you mean"),
        (["--gpus", "1"], 1, "asks for 1 GPU(s), but this machine shows 0.\nAsk for fewer"),
        (["--resume"], 1, "must hold a run to go on with, but has none"),
    ],
)
def test_what_cannot_run_is_told_before_anything_is_written(
    write_chain, tmp_path, monkeypatch, arguments, code, message
):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    answer = workbench("run", write_chain({"a": []}), "--run-dir", tmp_path / "run", *arguments)
    assert (answer.returncode, answer.stdout) == (code, "")
    assert message in answer.stderr
    assert len(answer.stderr.splitlines()) <= 3
    assert not (tmp_path / "run").exists()


@pytest.mark.notebook
@pytest.mark.slow
def test_the_second_of_two_processes_is_told_who_holds_the_folder(write_notebook, tmp_path):
    notebook = write_notebook("a", "import time\ntime.sleep(60)")
    run = tmp_path / "run"
    command = [sys.executable, "-m", "workbench", "run", notebook, "--run-dir", run]
    with subprocess.Popen(
        list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as first:
        deadline = time.monotonic() + 60
        while not (run / "run.json").is_file():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        second = workbench("run", notebook, "--run-dir", run)
        removal = workbench("runs", "rm", "run", "--folder", tmp_path, "--yes")
        first.terminate()
        assert first.wait(timeout=60) == 128 + 15
    assert second.returncode == 1
    assert f"is held by\nprocess {first.pid} on " in second.stderr
    assert removal.returncode == 1
    assert "must have ended before it is removed" in removal.stderr
    assert (run / "run.json").is_file()


def git(folder, *arguments):
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.notebook
@pytest.mark.slow
def test_a_run_folder_from_another_commit_says_why_it_runs_again(write_notebook, tmp_path):
    notebook = write_notebook("a", "1")
    shutil.copytree(PACKAGE, tmp_path / "workbench", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / ".gitignore").write_text("runs\n__pycache__\n")
    git(tmp_path, "init")
    commits = []

    def run_committed():
        git(tmp_path, "add", ".")
        git(tmp_path, "commit", "--message", "a change")
        commits.append(git(tmp_path, "rev-parse", "HEAD")[:8])
        answer = workbench("run", notebook, "--run-dir", tmp_path / "runs", python_path=tmp_path)
        assert answer.returncode == 0, answer.stderr
        return answer.stdout

    assert "a: not run before" in run_committed()
    (tmp_path / "notes.txt").write_text("Touches no code.\n")
    assert "unchanged  a: nothing has changed since" in run_committed()
    with (tmp_path / "workbench" / "errors.py").open("a") as file:
        file.write("# A change.\n")
    told = f"the source of workbench has changed (commit {commits[0]} -> "
    assert told in (said := run_committed())
    assert f"{commits[2]})" in said
    write_notebook("a", "2")
    assert f"code has changed (commit {commits[2]} -> " in run_committed()
