"""What a run has made in its folder, and removing that and nothing else.

A run folder may be a stranger's, may hold files that no run made, or may be the folder that someone
works in. Files are found by walking the folder, never by following a path that a record gives, and
links are not followed; what the records do not list is never removed unasked.
"""

import glob
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from workbench.errors import NotebookRunError
from workbench.execution.artifacts import read_outputs
from workbench.execution.files import RESERVE
from workbench.execution.opening import step_names
from workbench.execution.records import read_record
from workbench.execution.schemas import StoredSweep, read_stored
from workbench.files import path_inside

PLACES = ("records", "logs", "notebooks", "tables", "figures", "maps", "metrics", "stages")
"""Folders of a run that are written by the package."""

OWN_FILES = (
    *("run.json", "index.html", "run.lock", "holder.json", "cluster.json", "sweep.json"),
    RESERVE,
    "run.reserve",
    *("compared_with_*.html", "compared_with_*_patches/*.html"),
    *("cluster/*.pkl", "cluster/*.out", "cluster/*.err", "cluster/*.sh"),
)
OF_A_STEP = (
    *("records/{}.json", "records/{}.outputs.json", "records/{}.*.stage.json", "logs/{}.*"),
    *("notebooks/{}.ipynb", "notebooks/{}.html", "metrics/{}.json"),
)
UNFINISHED = re.compile(r"\..+\.[0-9]+-[0-9a-f]+\.tmp.*")
"""Name of a temporary file that `whole_file` left when its process was killed."""


def remove_inside(folder: Path, names: Iterable[str]) -> None:
    """Remove files named by a record, each only if it lies inside the run folder.

    All names are checked before anything is removed. A folder is left alone.

    Raises:
        UnsafePathError: If a name leads out of the folder, by itself or through a link.
    """
    names = list(names)
    for name in names:
        path_inside(folder, name, what=f"A file that a record in {folder.name} lists")
    for name in names:
        path = folder / name
        if path.is_file() or path.is_symlink():
            path.unlink(missing_ok=True)


def require_own_places(folder: Path, names: Iterable[str] = ()) -> None:
    """Refuse a run folder whose parts are links that lead out of it: a run would write there.

    Args:
        folder: The run folder.
        names: More paths in it that are about to be written.

    Raises:
        UnsafePathError: If one leads out.
    """
    for name in (*PLACES, *names):
        path_inside(folder, name, what=f"What a run writes in {folder.name}")


@dataclass(frozen=True)
class Contents:
    """The files and links of a run folder, as paths in it."""

    own: list[str]
    """What the package wrote, and what the records list."""

    others: list[str]
    """All the rest."""


def run_contents(folder: Path) -> Contents:
    """Sort what a run folder holds into what is the run's own and what is not.

    Raises:
        NotebookRunError: If the folder holds no run, or a record is damaged.
        UnsafePathError: If a record names a path outside the folder.
    """
    listed: set[str] = set()
    made: set[str] = set()
    patterns = list(OWN_FILES)
    for step in step_names(folder):
        patterns += [pattern.format(glob.escape(step)) for pattern in OF_A_STEP]
        made.add(f"stages/{step}")
        record = read_record(folder, step)
        artifacts = list(read_outputs(folder, step)["artifacts"])
        if record is not None:
            artifacts += record.artifacts
            made |= set(record.made)
        listed |= {a["path"] for a in artifacts}
        listed |= {a["preview"] for a in artifacts if isinstance(a.get("preview"), str)}
    return _sorted(folder, lambda name: name in listed or _below(name, made), patterns)


def sweep_contents(folder: Path) -> Contents:
    """The same for the folder of a sweep: its own files, and those of its members.

    Raises:
        NotebookRunError: If the folder holds no sweep, or a record is damaged.
        UnsafePathError: If a record names a path outside its folder.
    """
    own: set[str] = set()
    for member in sweep_members(folder):
        own |= {f"{member.name}/{name}" for name in run_contents(member).own}
    return _sorted(folder, own.__contains__, list(OWN_FILES))


def sweep_members(folder: Path) -> list[Path]:
    """Run folders of the members of a sweep that have begun.

    Raises:
        NotebookRunError: If ``sweep.json`` is damaged.
        UnsafePathError: If a member leads out of the folder.
    """
    sweep = read_stored(folder / "sweep.json", StoredSweep, what="the record of a sweep")
    for member in sweep.members:
        path_inside(folder, member.name, what="A member of a sweep")
    folders = [folder / member.name for member in sweep.members]
    return [member for member in folders if (member / "run.json").is_file()]


def other_names(folder: Path) -> set[str]:
    """Names in a run folder, at its top, that are none of the package's own."""
    own = {*PLACES, "cluster"}
    names = {entry.name for entry in os.scandir(folder)} if folder.is_dir() else set()
    return {name for name in names - own if not _matches(name, OWN_FILES)}


def remove_own(folder: Path, contents: Contents) -> None:
    """Remove what is a run's own, and then the folders that are empty; the rest stays."""
    for name in contents.own:
        (folder / name).unlink(missing_ok=True)
    for place, _, _ in os.walk(folder, topdown=False):
        if not any(os.scandir(place)):
            Path(place).rmdir()


def remove_everything(folder: Path) -> None:
    """Remove a folder with all that is in it; links in it are removed, not followed."""
    shutil.rmtree(folder)


def require_removable(folder: Path) -> None:
    """Refuse folders that are more than a run, whatever they hold.

    Raises:
        NotebookRunError: If it is a link, a file, the root, a mount, a git repository, someone's
            home or the working directory, or holds one of the last two.
    """
    place = folder.resolve()
    here, home = Path.cwd().resolve(), Path.home().resolve()
    reasons = {
        "a link, whose target stays where it is": folder.is_symlink(),
        "no folder": not folder.is_dir(),
        "the root of a disk": place == Path(place.anchor) or os.path.ismount(place),
        "the folder you work in, or holds it": here.is_relative_to(place),
        "your home, or holds it": home.is_relative_to(place),
        "a git repository": (place / ".git").exists(),
    }
    for reason, applies in reasons.items():
        if applies:
            raise NotebookRunError(
                f"A run to be removed must have a folder of its own, but {folder} is {reason}.\n"
                "Nothing was removed."
            )


def _sorted(folder: Path, is_listed: Callable[[str], bool], patterns: list[str]) -> Contents:
    contents = Contents([], [])
    for name in _files(folder):
        unfinished = UNFINISHED.fullmatch(name.rpartition("/")[2]) is not None
        own = is_listed(name) or unfinished or _matches(name, patterns)
        (contents.own if own else contents.others).append(name)
    return contents


def _files(folder: Path) -> Iterator[str]:
    """Every file and link below a folder, as a path in it; links to folders are not entered."""
    for place, folders, files in os.walk(folder):
        links = [name for name in folders if Path(place, name).is_symlink()]
        for name in sorted([*files, *links]):
            yield Path(place, name).relative_to(folder).as_posix()


def _matches(name: str, patterns: Iterable[str]) -> bool:
    depth = name.count("/")
    return any(depth == p.count("/") and fnmatchcase(name, p) for p in patterns)


def _below(name: str, places: set[str]) -> bool:
    parts = name.split("/")
    return any("/".join(parts[:n]) in places for n in range(1, len(parts) + 1))
