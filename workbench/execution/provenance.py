"""What a result depends on besides its notebook: code, packages, machine."""

import hashlib
import os
import platform
import subprocess
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import workbench
from workbench.execution.devices import gpus
from workbench.files import sha256_of

PACKAGE = Path(workbench.__file__).parent
STATUS = ("--porcelain", "--untracked-files=no", "--ignore-submodules=all")

DISTRIBUTION = "spectral-workbench"


def provenance(notebook: Path) -> dict[str, Any]:
    """Describe code, packages and machine of a step that runs now.

    Args:
        notebook: Its repository gives the commit; None if it lies in none.

    Returns:
        ``commit`` and ``dirty`` (None outside git), ``workbench`` (version), ``workbench_commit``,
        ``source`` (hash of the package's own files),
        ``lock`` (SHA-256 of requirements.lock, None if there is none), ``python``, ``packages``,
        ``device``, ``driver``, ``host``, ``cores``.
    """
    commit = commit_of(notebook.parent)
    changes = _git(notebook.parent, "status", *STATUS)
    lock = PACKAGE.parent / "requirements.lock"
    return {
        "commit": commit,
        "dirty": None if changes is None else bool(changes),
        "workbench": workbench.__version__,
        "workbench_commit": own_commit(),
        "source": source_hash(),
        "lock": sha256_of(lock) if lock.is_file() else None,
        "python": platform.python_version(),
        "packages": package_versions(),
        "device": device(),
        "driver": driver(),
        "host": platform.node(),
        "cores": len(os.sched_getaffinity(0)),
    }


def commit_of(folder: Path) -> str | None:
    """The commit that is checked out in a folder; None outside git."""
    return _git(folder, "rev-parse", "HEAD")


@cache
def own_commit() -> str | None:
    """The commit of the package itself, which a project of one's own has elsewhere."""
    return commit_of(PACKAGE.parent)


def source_hash() -> str:
    """SHA-256 over the package's own files, names and bytes, compiled files left out.

    A file that was read before is read again only if its size or its time has changed.
    """
    digest = hashlib.sha256()
    for path in sorted(_source_files()):
        state = path.stat()
        digest.update(path.relative_to(PACKAGE).as_posix().encode())
        digest.update(_known_hash(path, state.st_size, state.st_mtime_ns))
    return digest.hexdigest()


def _source_files() -> Iterator[Path]:
    for folder, below, names in os.walk(PACKAGE):
        if "__pycache__" in below:
            below.remove("__pycache__")
        yield from (Path(folder, name) for name in names)


@cache
def _known_hash(path: Path, size: int, modified_ns: int) -> bytes:
    return bytes.fromhex(sha256_of(path))


@cache
def package_versions() -> dict[str, str]:
    """Installed versions of the packages that workbench itself asks for, by name."""
    try:
        required = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return {}
    versions = {}
    for requirement in required:
        if "extra ==" in requirement:
            continue
        name = requirement.split(";")[0].strip()
        name = name[: next((i for i, c in enumerate(name) if c in "<>=!~[ "), len(name))]
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return dict(sorted(versions.items()))


@cache
def device() -> str:
    """Names of the GPUs a kernel started here would see, or ``cpu``."""
    return "; ".join(f"{gpu.name}, {gpu.memory_gib:g} GiB" for gpu in gpus()) or "cpu"


@cache
def driver() -> str | None:
    """Version of NVIDIA's driver; None without one."""
    return next((gpu.driver for gpu in gpus()), None)


GIT = (
    *("git", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"),
    *("-c", "protocol.allow=never", "-c", "core.pager=cat", "-c", "core.untrackedCache=false"),
)
"""git, which asks no program that the configuration of a repository names."""

OWN_FILTERS = r"^filter\..*\.(clean|smudge|process|required)$"


def _git(folder: Path, *arguments: str) -> str | None:
    """What git answers; None outside git, or if it cannot be asked.

    A repository may be a stranger's. Its configuration can name programs that git runs while it
    compares files (a file monitor, hooks, filters), or to fetch what is missing; none of them is.
    """
    filters = _answer(folder, "config", "--show-scope", "--name-only", "--get-regexp", OWN_FILTERS)
    own = [line.split("\t", 1)[1] for line in (filters or "").splitlines() if _is_own(line)]
    unset = [part for key in own for part in ("-c", f"{key}={_harmless(key)}")]
    return _answer(folder, *arguments, before=unset)


def _is_own(line: str) -> bool:
    """Whether a line of ``git config --show-scope`` comes from the repository itself."""
    return line.split("\t", 1)[0] in {"local", "worktree"} and "\t" in line


def _harmless(key: str) -> str:
    return "false" if key.endswith(".required") else ""


def _answer(folder: Path, *arguments: str, before: Sequence[str] = ()) -> str | None:
    environment = {"GIT_OPTIONAL_LOCKS": "0", "GIT_NO_LAZY_FETCH": "1", "GIT_TERMINAL_PROMPT": "0"}
    try:
        answer = subprocess.run(
            [*GIT, *before, "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=20,
            check=True,
            env={**os.environ, **environment},
        )
    except (subprocess.SubprocessError, OSError):
        return None
    return answer.stdout.strip()
