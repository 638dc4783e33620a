"""Unpack zip and tar files: only plain files, only into their folder, only as much as is stated.

The one unpacker; wheels of the catalog, published archives and zipped products all pass here.
"""

import fnmatch
import hashlib
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from workbench.errors import CatalogError, UnsafePathError, WorkbenchError
from workbench.files import path_inside, sha256_of, whole_file

MAX_BYTES = 1 << 30
"""Most bytes one archive may unpack to unless more is asked for: 1 GiB."""
MAX_RATIO = 200
"""Most bytes out per byte in, above 1 MiB; real data stay far below."""
_CHUNK = 1 << 20
_DAMAGED = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, NotImplementedError, RuntimeError,
    OSError,
)  # fmt: skip


@dataclass(frozen=True)
class _Member:
    """One member of an archive, whatever its format."""

    name: str
    size: int
    is_folder: bool
    is_file: bool
    """False for folders, links, devices."""
    packed: int | None
    """Bytes in the archive; None where they are not known for each member (tar)."""
    open: Callable[[], IO[bytes]]


def checksum_of(path: Path) -> str:
    """Checksum of a file, as "sha256:" and 64 hexadecimal digits."""
    return f"sha256:{sha256_of(path)}"


def unpack_members(
    archive: Path, members: Sequence[str], target: Path, *, max_bytes: int = MAX_BYTES
) -> dict[str, dict[str, int | str]]:
    """Unpack the named members of an archive (a wheel) and nothing else; see `unpack_archive`.

    Args:
        archive: Zip or tar file.
        members: Paths inside it, or patterns with * and ?; each must find at least one file.
        target: Folder to fill; made if needed.
        max_bytes: Most bytes to unpack in all, > 0.

    Returns:
        Bytes and SHA-256 of every file, by its path inside the archive.

    Raises:
        CatalogError: If a pattern finds nothing, or the archive is not to be unpacked.
    """
    return unpack_archive(archive, target, members=members, max_bytes=max_bytes)


def unpack_archive(
    archive: Path,
    target: Path,
    *,
    members: Sequence[str] | None = None,
    max_bytes: int = MAX_BYTES,
    error: type[WorkbenchError] = CatalogError,
) -> dict[str, dict[str, int | str]]:
    """Unpack plain files and folders of a zip or tar file (also compressed).

    All that is chosen is checked before the first file is written. Each file is written whole or
    not at all.

    Args:
        archive: The file.
        target: Folder to fill; made if needed.
        members: Paths inside it, or patterns with * and ?; None: all.
        max_bytes: Most bytes to unpack in all, > 0. And never more than `MAX_RATIO` times the
            packed size: of the whole, and of each member whose packed size is known, unless it is
            smaller than the archive (an empty mask beside an image).
        error: What to raise.

    Returns:
        Bytes and SHA-256 of every file, by its path inside the archive.

    Raises:
        WorkbenchError: (`error`) If a pattern finds nothing, a path leaves the folder, a member is
            a link or device, is encrypted or damaged, or the whole is larger than allowed.
    """
    try:
        with _opened(archive) as listed:
            chosen = _checked(listed, archive, target, members, max_bytes, error)
            done = {}
            for member in chosen:
                place = _place(target, member, archive, error)
                if member.is_folder:
                    place.mkdir(parents=True, exist_ok=True)
                else:
                    done[member.name] = _write(member, place)
            return done
    except _DAMAGED as problem:
        raise error(
            f"{archive} cannot be unpacked: {problem}.\n"
            "It must be a whole zip or tar file: remove it and get it again."
        ) from problem


def require_inside(
    name: str, archive: str | Path, *, error: type[WorkbenchError] = CatalogError
) -> None:
    """Refuse a member that would land outside the folder it is unpacked into.

    Raises:
        WorkbenchError: (`error`) If the path is absolute or has "..", a drive or a backslash.
    """
    path = PurePosixPath(name)
    unsafe = not path.parts or path.is_absolute() or ".." in path.parts or "\0" in name
    if unsafe or "\\" in name or ":" in name:
        raise error(
            f"{archive}: the member {name!r} would be written outside its folder.\n"
            "Such an archive is not unpacked; get it again from its publisher."
        )


@contextmanager
def _opened(archive: Path) -> Iterator[Iterator[_Member]]:
    """The members of an archive, one after the other, while it is open."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as zipped:
            yield (_of_zip(zipped, info) for info in zipped.infolist())
    else:
        with tarfile.open(archive) as tar:
            yield (_of_tar(tar, info) for info in tar)


def _of_zip(zipped: zipfile.ZipFile, info: zipfile.ZipInfo) -> _Member:
    kind = stat.S_IFMT(info.external_attr >> 16)
    plain = kind in (0, stat.S_IFREG) and not info.is_dir()
    is_folder = info.is_dir() and kind in (0, stat.S_IFDIR)
    return _Member(
        info.filename, info.file_size, is_folder, plain, info.compress_size,
        lambda: zipped.open(info),
    )  # fmt: skip


def _of_tar(tar: tarfile.TarFile, info: tarfile.TarInfo) -> _Member:
    def read() -> IO[bytes]:
        file = tar.extractfile(info)
        assert file is not None  # a plain file
        return file

    return _Member(info.name, info.size, info.isdir(), info.isfile(), None, read)


def _checked(
    listed: Iterator[_Member],
    archive: Path,
    target: Path,
    patterns: Sequence[str] | None,
    max_bytes: int,
    error: type[WorkbenchError],
) -> list[_Member]:
    """The chosen members; a bomb is refused before the list of its members is read to its end."""
    packed = archive.stat().st_size
    limit = min(max_bytes, max(_CHUNK, MAX_RATIO * packed))
    chosen: list[_Member] = []
    found: set[str] = set()
    total = 0
    for member in listed:
        if patterns is not None:
            fits = [p for p in patterns if member.name == p or fnmatch.fnmatchcase(member.name, p)]
            if not fits or member.is_folder:
                continue
            found.update(fits)
        require_inside(member.name, archive, error=error)
        if not (member.is_file or member.is_folder):
            raise error(
                f"{archive}: the member {member.name!r} is not a plain file, or is a link.\n"
                "Links and devices are not unpacked."
            )
        total += member.size
        swollen = member.packed is not None and member.size > max(
            _CHUNK, packed, MAX_RATIO * max(1, member.packed)
        )
        if total > limit or swollen:
            what = f"{member.name!r}" if swollen else "its members"
            size = member.size if swollen else total
            raise error(
                f"{archive}: {what} would unpack to {size / 2**20:,.0f} MiB or more, more than "
                f"allowed (at most {max_bytes / 2**20:,.0f} MiB, and {MAX_RATIO} times its packed "
                "size).\nUnpack it by hand if you trust it."
            )
        chosen.append(member)
    if missing := [p for p in patterns or () if p not in found]:
        raise error(
            f"{archive} has no member {missing[0]!r}.\n"
            "Look inside with `python -m zipfile -l FILE` and mend `members` in the catalog."
        )
    for member in chosen:
        _place(target, member, archive, error)
    return chosen


def _place(target: Path, member: _Member, archive: Path, error: type[WorkbenchError]) -> Path:
    """Where a member goes; a link that already lies in the target leads nowhere else."""
    name = member.name.strip("/")
    if member.is_folder and PurePosixPath(name) == PurePosixPath("."):
        return target
    try:
        return path_inside(target, name, what=f"A member of {archive}")
    except UnsafePathError as problem:
        raise error(str(problem)) from problem


def _write(member: _Member, path: Path) -> dict[str, int | str]:
    """Copy one member; the reader stops at the size stated, and checks the CRC of a zip file."""
    digest, size = hashlib.sha256(), 0
    with member.open() as packed, whole_file(path) as unfinished, unfinished.open("wb") as file:
        while chunk := packed.read(_CHUNK):
            digest.update(chunk)
            size += file.write(chunk)
    return {"bytes": size, "sha256": digest.hexdigest()}
