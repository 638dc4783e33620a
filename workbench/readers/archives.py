"""Published archives as they are downloaded: unpacked into a folder, never beside it."""

from pathlib import Path

from workbench.catalog import unpack as catalog_unpack
from workbench.errors import TileError

MAX_BYTES = catalog_unpack.MAX_BYTES
"""Most bytes one archive may unpack to unless more is asked for: 1 GiB."""


def require_inside(name: str, archive: str | Path) -> None:
    """Refuse a member that would land outside the folder it is unpacked into.

    Raises:
        TileError: If the path is absolute or has `..`, a drive or a backslash.
    """
    catalog_unpack.require_inside(name, archive, error=TileError)


def unpack(archive: str | Path, folder: str | Path, *, max_bytes: int = MAX_BYTES) -> list[Path]:
    """Unpack a zip or tar file (also compressed): plain files and folders only.

    All members are checked before the first is written; see `catalog.unpack.unpack_archive`.

    Args:
        archive: The file.
        folder: Where to; made if needed.
        max_bytes: Most bytes to unpack in all, > 0; published archives of images need more than
            the default. Never more than 200 times the packed size.

    Returns:
        The files written, sorted.

    Raises:
        TileError: If a member leaves the folder or is a link or device, the archive is damaged, or
            it would unpack to more than it may.
    """
    archive, folder = Path(archive), Path(folder)
    written = catalog_unpack.unpack_archive(archive, folder, max_bytes=max_bytes, error=TileError)
    return sorted(folder / name for name in written)
