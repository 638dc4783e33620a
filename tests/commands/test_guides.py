"""Commands in the guides: each is one that the program takes, and those of judgement run."""

import re
import shlex
from glob import glob
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from workbench.__main__ import app

ROOT = Path(__file__).parent.parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def printed(page):
    """Commands that stand on lines of their own in blocks of code, without what is said of them."""
    blocks = re.findall(r"(?ms)^```\w*\n(.*?)^```", page.read_text(encoding="utf-8"))
    lines = re.sub(r"\\\n\s*", "", "\n".join(blocks)).splitlines()
    return [re.split(r" {3,}(?=\S)", line)[0] for line in lines if line.startswith("workbench ")]


COMMANDS = [(page.name, line) for page in PAGES for line in printed(page) if "…" not in line]


@pytest.mark.parametrize(("page", "line"), COMMANDS)
def test_a_printed_command_is_one_that_the_program_takes(page, line):
    command, words = typer.main.get_command(app), shlex.split(line)[1:]
    context = command.make_context("workbench", words)
    while hasattr(command, "commands"):
        assert words[0] in command.commands, f"{page}: there is no `workbench {words[0]}`"
        command, words = command.commands[words[0]], words[1:]
    command.make_context(command.name, words, parent=context)


def test_a_wrong_command_would_be_found():
    with pytest.raises(Exception, match="No such option"):
        test_a_printed_command_is_one_that_the_program_takes("x", "workbench table --shapes a")
    assert len(COMMANDS) > 15


@pytest.mark.slow
def test_the_commands_of_judgement_run_in_their_order(tmp_path, monkeypatch):
    """As printed, but for the size of the campaign and the length of the trainings."""
    monkeypatch.chdir(tmp_path)
    Path("data_catalog.yaml").write_bytes((ROOT / "data_catalog.yaml").read_bytes())
    listed = [c for c in printed(ROOT / "docs/guides/judgement.md") if c.split()[1] != "run"]
    assert [c.split()[1] for c in listed] == ["finetune", "finetune", "compare", "sweep", "table"]
    told = ""
    for line in listed:
        quick = line.replace("steps=60", "steps=2").replace("--steps 20", "--steps 2")
        words = [w for word in shlex.split(quick)[1:] for w in sorted(glob(word)) or [word]]
        small = ["--scale", "test"] if words[0] in ("finetune", "sweep") else []
        done = CliRunner().invoke(app, [*words, *small], env={"COLUMNS": "200"})
        assert done.exit_code == 0, done.output
        told += done.output
    assert Path("compare.html").stat().st_size > 10_000
    assert len(list(Path("runs/tables").iterdir())) == 4
    assert "in mIoU on" in " ".join(told.split())
