"""Named members out of a zip file, with nothing written outside the target and no surprises."""

import fnmatch
import hashlib
import stat
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from workbench.errors import CatalogError
from workbench.files import sha256_of

MAX_BYTES = 1 << 30
"""Most bytes one entry may unpack to: 1 GiB."""
MAX_RATIO = 200
"""Most bytes out per byte in, for members above 1 MiB; real data stay far below."""
_CHUNK = 1 << 20


def checksum_of(path: Path) -> str:
    """Checksum of a file, as "sha256:" and 64 hexadecimal digits."""
    return f"sha256:{sha256_of(path)}"


def unpack_members(
    archive: Path, members: Sequence[str], target: Path, *, max_bytes: int = MAX_BYTES
) -> dict[str, dict[str, int | str]]:
    """Unpack the named members of a zip file and nothing else.

    Args:
        archive: Zip file (a wheel).
        members: Paths inside it, or patterns with * and ?; each must find at least one file.
        target: Folder to fill; made if needed.
        max_bytes: Most bytes to unpack in all, > 0.

    Returns:
        Bytes and SHA-256 of every file, by its path inside the archive.

    Raises:
        CatalogError: If a pattern finds nothing, a path leaves the folder, a member is a link, is
            encrypted or damaged, or the whole is larger than a sample may be.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            chosen = _choose(opened.infolist(), members, archive.name)
            _require_modest(chosen, archive.name, max_bytes)
            return {info.filename: _unpack(opened, info, target) for info in chosen}
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError) as error:
        raise CatalogError(
            f"{archive.name} cannot be unpacked: {error}.\nRemove {archive} and fetch again."
        ) from error


def _choose(
    infos: Sequence[zipfile.ZipInfo], members: Sequence[str], archive: str
) -> list[zipfile.ZipInfo]:
    files = {info.filename: info for info in infos if not info.is_dir()}
    chosen: dict[str, zipfile.ZipInfo] = {}
    for pattern in members:
        found = {n: i for n, i in files.items() if n == pattern or fnmatch.fnmatchcase(n, pattern)}
        if not found:
            raise CatalogError(
                f"{archive} has no member {pattern!r}.\n"
                "Look inside with `python -m zipfile -l FILE` and mend `members` in the catalog."
            )
        chosen |= found
    for name, info in chosen.items():
        _require_plain(name, info, archive)
    return list(chosen.values())


def _require_plain(name: str, info: zipfile.ZipInfo, archive: str) -> None:
    path = PurePosixPath(name)
    leaves = path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name
    if leaves or stat.S_ISLNK(info.external_attr >> 16):
        raise CatalogError(
            f"{archive}: the member {name!r} would be written outside its folder or is a link.\n"
            "Such an archive is not unpacked."
        )


def _require_modest(chosen: Sequence[zipfile.ZipInfo], archive: str, max_bytes: int) -> None:
    total = sum(info.file_size for info in chosen)
    swollen = [
        info
        for info in chosen
        if info.file_size > max(_CHUNK, MAX_RATIO * max(1, info.compress_size))
    ]
    if total > max_bytes or swollen:
        what = f"{swollen[0].filename!r}" if swollen else "its members"
        raise CatalogError(
            f"{archive}: {what} would unpack to {total / 2**20:,.0f} MiB, more than a sample may "
            f"have\n(at most {max_bytes / 2**20:,.0f} MiB, and {MAX_RATIO} times its packed size)."
        )


def _unpack(opened: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path) -> dict[str, int | str]:
    """Copy one member; zipfile itself stops at the size stated and checks the CRC."""
    path = target / info.filename
    path.parent.mkdir(parents=True, exist_ok=True)
    digest, size = hashlib.sha256(), 0
    with opened.open(info) as packed, path.open("wb") as file:
        while chunk := packed.read(_CHUNK):
            digest.update(chunk)
            size += file.write(chunk)
    return {"bytes": size, "sha256": digest.hexdigest()}
