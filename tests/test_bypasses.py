"""Rules that are kept in one place: who signals processes, removes files, unpacks and renders.

Each rule lists every place in the package that may do what the rule is about, and why. A new place
fails here: use the one that there is, or add it with its reason. A place that is gone fails too.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "workbench"
FILES = sorted(PACKAGE.rglob("*.py"))

SIGNALS = {
    "execution/processes.py": "knows a process by its start before it signals it",
    "execution/kernels.py": "the process group of its own child, which it has not let go",
}


def calls(path: Path) -> Iterator[str]:
    """Every call in a file, as its dotted name; what is called on a result begins with "()"."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)


def places(names: set[str], methods: set[str] = frozenset()) -> set[str]:
    """Files that call one of `names`, or something's method of a name in `methods`."""
    return {
        path.relative_to(PACKAGE).as_posix()
        for path in FILES
        if any(
            call in names or ("." in call and call.rpartition(".")[2] in methods)
            for call in calls(path)
        )
    }


def test_only_one_place_signals_processes():
    signals = {"os.kill", "os.killpg", "signal.pidfd_send_signal", "signal.pthread_kill"}
    assert places(signals, {"terminate", "send_signal", "kill"}) == set(SIGNALS)


def test_only_execution_removes_folders_of_runs():
    removers = {"shutil.rmtree", "os.remove", "os.unlink", "os.removedirs", "os.rmdir"}
    found = {place for place in places(removers, {"unlink", "rmdir"}) if "execution/" in place}
    assert found == {
        "execution/files.py",  # its own reserve
        "execution/kernels.py",  # its own temporary folder of sockets
        "execution/removal.py",  # what lies in a run folder, links not followed
        "execution/stages.py",  # the folder of a stage, checked to lie in the run
    }


def test_only_one_place_makes_templates():
    assert places({"Template", "jinja2.Template"}) == {"viz/maps_base.py"}


def test_only_one_place_unpacks_archives():
    openers = {"zipfile.ZipFile", "tarfile.open", "ZipFile", "shutil.unpack_archive"}
    assert places(openers, {"extractall"}) == {
        "catalog/unpack.py",  # with limits to sizes and names
        "readers/ssl4eo_zarr.py",  # reads members of a Zarr store in a ZIP, writes none
    }


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_frames_of_pages_are_sandboxed(path):
    """A page in a frame may run its scripts, but neither reach what is around it nor navigate."""
    text = path.read_text(encoding="utf-8")
    for part in text.split("<iframe ")[1:]:
        tag = (
            part[: part.index(">") + 1] if "></iframe>" not in part else part.split("></iframe>")[0]
        )
        assert "sandbox=" in tag


def test_records_of_execution_are_read_against_their_schemas():
    loaders = {"json.loads", "json.load"}
    found = {place for place in places(loaders) if place.startswith("execution/")}
    assert found == {
        "execution/literals.py",  # a value on a command line, checked by its declared type
        "execution/records.py",  # whether a new record says what an old one did
        "execution/source.py",  # notebooks, whose shape is checked there
        "execution/stages.py",  # parameters of this process, made plain
    }
