"""The catalog as a whole: a file of entries that can be looked up, shown and fetched."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from workbench.catalog.entry import Entry
from workbench.catalog.problems import did_you_mean
from workbench.catalog.validation import parse_catalog
from workbench.errors import CatalogError
from workbench.showing import html_table, text_table

HEADER = ("name", "sensor", "source", "what it is")


class Catalog:
    """The data sets the workbench may read, by name; printing it shows them as a table.

    Raises:
        CatalogError: On looking up a name that is not there; it names the closest one.
    """

    def __init__(self, path: Path, entries: Mapping[str, Entry]) -> None:
        self.path = path
        """The catalog's file."""
        self._entries = dict(entries)

    def __getitem__(self, name: str) -> Entry:
        if name not in self._entries:
            hint = did_you_mean(name, self._entries).replace(", did", "Did")
            known = ", ".join(self._entries)
            raise CatalogError(
                f"{self.path.name} has no entry {name!r}.\n{hint or f'It has: {known}.'}"
            )
        return self._entries[name]

    def values(self) -> list[Entry]:
        """The entries, in the order of the file."""
        return list(self._entries.values())

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def fetch(self, name: str) -> Path:
        """Make an entry's files available and return the folder that holds them.

        Raises:
            CatalogError: If there is no such entry, or its files cannot be had.
        """
        return self[name].fetch()

    def rows(self) -> list[tuple[str, ...]]:
        """One row per entry: name, sensor, source, what it is."""
        return [(e.name, e.sensor or "–", e.source.type, e.title) for e in self.values()]

    def __repr__(self) -> str:
        head = f"Catalog of {len(self)} data sets ({self.path})"
        return "\n".join([head, text_table(HEADER, self.rows())])

    def _repr_html_(self) -> str:
        return html_table(HEADER, self.rows(), f"Catalog of {len(self)} data sets ({self.path})")


def open_catalog(path: str | Path = "data_catalog.yaml") -> Catalog:
    """Read and check a catalog; no data are touched.

    Args:
        path: The YAML file, relative to the working directory or absolute. Paths inside it are
            relative to its own folder.

    Raises:
        CatalogError: If there is no such file, or anything in it is wrong; every problem is
            listed, with line and column.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (FileNotFoundError, IsADirectoryError):
        raise CatalogError(
            f"There is no catalog at {path.absolute()}.\n"
            "Work in the folder that holds it, or name it: open_catalog(PATH) in Python, "
            "`--catalog PATH` or WORKBENCH_CATALOG in a shell."
        ) from None
    except UnicodeDecodeError as error:
        raise CatalogError(f"{path} must be UTF-8 text, but is not: {error}.") from None
    document = parse_catalog(text, str(path), os.environ)
    folder = path.absolute().parent
    entries = {
        name: Entry(name=name, folder=folder, **dict(dataset))
        for name, dataset in document.datasets.items()
    }
    return Catalog(path.absolute(), entries)
