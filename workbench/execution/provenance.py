"""What a result depends on besides its notebook: code, packages, machine."""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import workbench
from workbench.execution.files import sha256_of

PACKAGE = Path(workbench.__file__).parent
DISTRIBUTION = "spectral-workbench"


def provenance(notebook: Path) -> dict[str, Any]:
    """Describe code, packages and machine of a step that runs now.

    Args:
        notebook: Its repository gives the commit; None if it lies in none.

    Returns:
        ``commit`` and ``dirty`` (None outside git), ``source`` (hash of the package's own files),
        ``lock`` (SHA-256 of requirements.lock, None if there is none), ``python``, ``packages``,
        ``device``, ``host``, ``cores``.
    """
    commit = _git(notebook.parent, "rev-parse", "HEAD")
    changes = _git(notebook.parent, "status", "--porcelain", "--untracked-files=no")
    lock = PACKAGE.parent / "requirements.lock"
    return {
        "commit": commit,
        "dirty": None if changes is None else bool(changes),
        "workbench": workbench.__version__,
        "source": source_hash(),
        "lock": sha256_of(lock) if lock.is_file() else None,
        "python": platform.python_version(),
        "packages": package_versions(),
        "device": device(),
        "host": platform.node(),
        "cores": len(os.sched_getaffinity(0)),
    }


def source_hash() -> str:
    """SHA-256 over the package's own files, names and bytes, compiled files left out."""
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(path.relative_to(PACKAGE).as_posix().encode())
            digest.update(bytes.fromhex(sha256_of(path)))
    return digest.hexdigest()


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
    """Name of the GPU a kernel started here would see, or ``cpu``.

    torch is asked only if it is loaded already; otherwise NVIDIA's own tool, since importing torch
    takes longer than many a step.
    """
    torch = sys.modules.get("torch")
    if torch is not None:
        return str(torch.cuda.get_device_name()) if torch.cuda.is_available() else "cpu"
    tool = shutil.which("nvidia-smi")
    if tool is None or os.environ.get("CUDA_VISIBLE_DEVICES") == "":
        return "cpu"
    query = [tool, "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True)
    except (subprocess.SubprocessError, OSError):
        return "cpu"
    return answer.stdout.strip().replace("\n", "; ") or "cpu"


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        answer = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
    except (subprocess.SubprocessError, OSError):
        return None
    return answer.stdout.strip()
