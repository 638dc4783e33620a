import os
import re
import subprocess
import sys
import time
import urllib.request

import pytest

from workbench.__main__ import main
from workbench.catalog import open_catalog
from workbench.errors import NotebookRunError
from workbench.execution.chain import read_chain
from workbench.execution.project import init_project


def call(monkeypatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["workbench", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    return int(stop.value.code or 0)


def test_help_tells_the_story_in_the_order_of_work(monkeypatch, capsys):
    assert call(monkeypatch, "--help") == 0
    told = capsys.readouterr().out
    names = ["init", "doctor", "lab", "catalog", "tiles", "plan", "extract", "pretrain", "finetune"]
    names += ["sweep", "table", "compare", "run", "runs"]
    places = [re.search(rf"(?m)^\W*{name}  ", told).start() for name in names]
    assert places == sorted(places)
    assert "--install-completion" in told


def test_a_new_project_is_whole_and_overwrites_nothing(monkeypatch, capsys, tmp_path):
    assert call(monkeypatch, "init", str(tmp_path / "mine")) == 0
    assert len(open_catalog(tmp_path / "mine" / "data_catalog.yaml")) > 5
    assert read_chain(tmp_path / "mine" / "notebooks" / "chain.yaml").steps
    assert (tmp_path / "mine" / "runs").is_dir()
    assert "workbench doctor" in capsys.readouterr().out
    assert call(monkeypatch, "init", str(tmp_path / "mine")) == 1
    assert "A new project must not overwrite anything" in capsys.readouterr().err
    with pytest.raises(NotebookRunError, match="Notebooks must lie beside the package"):
        init_project(tmp_path / "other", source=tmp_path)


def test_the_doctor_says_what_is_wrong_and_what_to_do(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert call(monkeypatch, "doctor", "--no-self-test") == 1
    lines = capsys.readouterr().out.splitlines()
    bad = [line.split()[1] for line in lines if line.startswith("bad")]
    assert bad == ["catalog"]
    assert any("workbench init" in line for line in lines)


@pytest.mark.notebook
def test_the_doctor_finds_a_project_well(monkeypatch, capsys, tmp_path):
    (tmp_path / "catalog.yaml").write_text("version: 1\ndatasets: {}\n")
    monkeypatch.chdir(tmp_path)
    code = call(monkeypatch, "doctor", "--catalog", "catalog.yaml")
    told = capsys.readouterr().out
    assert "self-test   a notebook ran to its report in" in told
    assert "40 tiles" in told
    assert code == 0, told


@pytest.mark.notebook
def test_the_lab_answers_on_this_machine_only_and_wants_its_token(tmp_path):
    (tmp_path / "notebooks").mkdir()
    settings = {f"JUPYTER_{name}_DIR": str(tmp_path / name) for name in ("CONFIG", "RUNTIME")}
    process = subprocess.Popen(
        [sys.executable, "-m", "workbench", "lab", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, **settings, "JUPYTER_TOKEN": "a-token"},
    )
    try:
        here, tunnel = process.stdout.readline(), process.stdout.readline()
        found = re.search(r"(http://127\.0\.0\.1:(\d+))/lab/tree/notebooks\?token=a-token", here)
        address, port = found.groups()
        assert f"ssh -N -L {port}:127.0.0.1:{port} " in tunnel
        assert reply(f"{address}/api/contents?token=a-token") == 200
        assert reply(f"{address}/api/contents") == 403
        with open(f"/proc/{process.pid}/cmdline") as file:
            assert "a-token" not in file.read()
    finally:
        process.terminate()
        process.communicate(timeout=60)


def reply(address: str) -> int:
    """Status code of an address, as soon as somebody answers."""
    deadline = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            with error:
                return error.code
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.2)
