"""What a reader of the repository may rely on: sizes, no private paths, a README that is true."""

import ast
import re
import runpy
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "workbench"
MAX_FILE_BYTES = 1_000_000
PRIVATE = {  # written in parts, so that this file does not find itself
    "a path of one workplace": "/wo" + "rk/",
    "a home folder": r"/(?:home|Users)/" + r"\w",
    "a package index": r"pypi\." + r"org|pythonhosted\." + r"org|--(?:extra-)?index" + "-url [^ ]",
    "a leftover": r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X)\b",
}


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tracked_files() -> list[Path]:
    """Files under version control; in a copy without it, every file outside hidden folders."""
    listing = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listing.returncode == 0:
        found = [ROOT / name for name in listing.stdout.split("\0") if name]
    else:
        hidden = re.compile(r"(^|/)(\.|runs/)")
        found = [p for p in ROOT.rglob("*") if not hidden.search(relative(p))]
    return sorted(path for path in found if path.is_file())


FILES = tracked_files()


def is_text(path: Path) -> bool:
    """Whether a file is for people: of another kind are stored arrays and compressed tables."""
    data = path.read_bytes()
    try:
        return b"\0" not in data and bool(data.decode() or True)
    except UnicodeDecodeError:
        return False


TEXTS = [p for p in FILES if p.suffix != ".lock" and is_text(p)]
MODULES = [p for p in FILES if p.suffix == ".py" and PACKAGE in p.parents]


@pytest.mark.parametrize("kind", PRIVATE)
def test_no_file_names(kind):
    pattern = re.compile(PRIVATE[kind])
    found = [
        f"{relative(path)}:{number}"
        for path in TEXTS
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line)
    ]
    assert not found


def test_no_file_is_large():
    assert not {relative(p): p.stat().st_size for p in FILES if p.stat().st_size > MAX_FILE_BYTES}


def test_nothing_made_is_committed():
    made = re.compile(r"\.pyc$|__pycache__|\.ipynb_checkpoints|^runs/|\.egg-info|\.log$")
    written = [p for p in map(relative, FILES) if not p.startswith("tests/fixtures/")]
    assert not [p for p in written if made.search(p)]  # fixtures are what a run left behind


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_a_module_says_what_it_is_for(path):
    text = path.read_text(encoding="utf-8")
    if text.strip():
        assert ast.get_docstring(ast.parse(text))


def readme() -> str:
    return (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_file_map_is_that_of_the_modules():
    """Written by `python tests/tools/file_map.py`."""
    script = runpy.run_path(str(ROOT / "tests" / "tools" / "file_map.py"))
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert text == script["document"](text)


def test_commands_of_the_readme_exist():
    targets = set(re.findall(r"(?m)^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8")))
    named = set(re.findall(r"\bmake ([a-z]+)\b(?=`|\s*(?:#|$))", readme(), re.MULTILINE))
    assert {"demo", "test"} <= named <= targets


@pytest.mark.parametrize("path", [p for p in TEXTS if p.suffix == ".md"], ids=relative)
def test_links_between_our_files_lead_somewhere(path):
    links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", path.read_text(encoding="utf-8"))
    assert not [link for link in links if not (path.parent / link).exists()]
