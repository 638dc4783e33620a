"""Zip and tar files as they are downloaded: unpacked into a folder, never beside it."""

import stat
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

from workbench.errors import TileError


def require_inside(name: str, archive: str | Path) -> None:
    """Refuse a member that would land outside the folder it is unpacked into.

    Raises:
        TileError: If the path is absolute or has `..`, a drive or a backslash.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name:
        raise TileError(
            f"Members of an archive must stay in its folder, but {archive} has {name!r}.\n"
            "Such an archive is not unpacked; get it again from its publisher."
        )


def unpack(archive: str | Path, folder: str | Path) -> list[Path]:
    """Unpack a zip or tar file (also compressed): plain files and folders only.

    All members are checked before the first is written.

    Args:
        archive: The file.
        folder: Where to; made if needed.

    Returns:
        The files written, sorted.

    Raises:
        TileError: If a member leaves the folder or is a link or device, or the archive is damaged.
    """
    archive, folder = Path(archive), Path(folder)
    try:
        if zipfile.is_zipfile(archive):
            names = _unpack_zip(archive, folder)
        else:
            names = _unpack_tar(archive, folder)
    except (zipfile.BadZipFile, tarfile.TarError, OSError, EOFError, RuntimeError) as error:
        raise TileError(
            f"An archive must be a whole zip or tar file, but {archive} is not: {error}.\n"
            "Get it again."
        ) from error
    return sorted(folder / name for name in names)


def _unpack_zip(archive: Path, folder: Path) -> list[str]:
    with zipfile.ZipFile(archive) as opened:
        for info in opened.infolist():
            require_inside(info.filename, archive)
            if stat.S_ISLNK(info.external_attr >> 16):
                raise _not_plain(info.filename, archive)
        opened.extractall(folder)
        return [info.filename for info in opened.infolist() if not info.is_dir()]


def _unpack_tar(archive: Path, folder: Path) -> list[str]:
    with tarfile.open(archive) as opened:
        members = opened.getmembers()
        for member in members:
            require_inside(member.name, archive)
            if not (member.isfile() or member.isdir()):
                raise _not_plain(member.name, archive)
        opened.extractall(folder, members=members, filter="data")
        return [member.name for member in members if member.isfile()]


def _not_plain(name: str, archive: Path) -> TileError:
    return TileError(
        f"Members of an archive must be plain files, but {archive} has {name!r}.\n"
        "Links and devices are not unpacked."
    )
