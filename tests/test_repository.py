"""What a reader of the repository may rely on: sizes, no private paths, a README that is true."""

import ast
import re
import statistics
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "workbench"
MAX_FILE_BYTES = 1_000_000
MAX_MODULE_LINES, MAX_FUNCTION_LINES, USUAL_FUNCTION_LINES = 350, 60, 30
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
TEXTS = [p for p in FILES if b"\0" not in p.read_bytes()[:4096] and p.suffix != ".lock"]
MODULES = [p for p in FILES if p.suffix == ".py" and PACKAGE in p.parents]


def function_sizes(path: Path) -> dict[str, int]:
    """Lines of each function's body, without its signature and docstring."""
    sizes = {}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            size = body[-1].end_lineno - body[0].lineno + 1 if body else 0
            sizes[f"{relative(path)}:{node.lineno} {node.name}"] = size
    return sizes


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
    assert not [relative(p) for p in FILES if made.search(relative(p))]


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_a_module_can_be_read_in_one_sitting(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_MODULE_LINES


def test_functions_are_short():
    sizes = {name: size for path in MODULES for name, size in function_sizes(path).items()}
    assert not {name: size for name, size in sizes.items() if size > MAX_FUNCTION_LINES}
    usual = statistics.quantiles(sizes.values(), n=10)[-1]
    assert usual <= USUAL_FUNCTION_LINES


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_a_module_says_what_it_is_for(path):
    text = path.read_text(encoding="utf-8")
    if text.strip():
        assert ast.get_docstring(ast.parse(text))


def readme() -> str:
    return (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_file_map_has_one_line_for_every_module():
    section = readme().partition("## File map")[2].partition("\n## ")[0]
    block = section.split("```")[1]
    listed = mapped_files(block)
    wanted = {relative(p) for p in MODULES if p.name != "__init__.py"}
    assert sorted(listed) == sorted(wanted)
    said = {path: ast.get_docstring(ast.parse((ROOT / path).read_text("utf-8"))) for path in wanted}
    assert listed == {path: text.splitlines()[0].rstrip(".") for path, text in said.items()}


def mapped_files(block: str) -> dict[str, str]:
    """What an indented file map says of each module; a folder's line ends with a slash."""
    folders: list[tuple[int, str]] = []
    files = {}
    for line in filter(str.strip, block.splitlines()):
        indent, name = len(line) - len(line.lstrip()), line.split()[0]
        folders = [(depth, folder) for depth, folder in folders if depth < indent]
        path = "".join(folder for _, folder in folders) + name
        if name.endswith("/"):
            folders.append((indent, name))
        elif name.endswith(".py"):
            files[path] = line.split(maxsplit=1)[1]
    return files


def test_commands_of_the_readme_exist():
    targets = set(re.findall(r"(?m)^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8")))
    named = set(re.findall(r"\bmake ([a-z]+)\b(?=`|\s*(?:#|$))", readme(), re.MULTILINE))
    assert {"demo", "test"} <= named <= targets


@pytest.mark.parametrize("path", [p for p in TEXTS if p.suffix == ".md"], ids=relative)
def test_links_between_our_files_lead_somewhere(path):
    links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", path.read_text(encoding="utf-8"))
    assert not [link for link in links if not (path.parent / link).exists()]
