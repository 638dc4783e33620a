"""XML from strangers: no document type, hence no entities, no expansion, no files fetched."""

from pathlib import Path
from xml.etree import ElementTree

from workbench.errors import TileError

MAX_BYTES = 64 << 20
"""Largest metadata file that is read; EnMAP's have 4 MB."""


class _NoDocumentType(ElementTree.TreeBuilder):
    def doctype(self, name: str, pubid: str, system: str) -> None:
        """Called at the start of a DTD, before any entity in it is declared."""
        raise TileError(f"it has a document type ({name!r}), where entities could hide")


def read_xml(path: Path) -> ElementTree.Element:
    """Parse an XML file and give its root.

    Raises:
        TileError: If the file is missing, larger than 64 MB, no XML, or has a document type.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise TileError(f"it is larger than {MAX_BYTES >> 20} MB")
        parser = ElementTree.XMLParser(target=_NoDocumentType())
        with path.open("rb") as file:
            while chunk := file.read(1 << 16):
                parser.feed(chunk)
        return parser.close()
    except (TileError, OSError, ElementTree.ParseError, ValueError) as error:
        raise TileError(
            f"Metadata must be plain XML, but {path} is not: {error}.\nDeliver the product again."
        ) from error
