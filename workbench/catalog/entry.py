"""One entry of an opened catalog, and the files behind it."""

import glob
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from workbench.catalog.entries import LocalSource, PackageSource, SimulatedSource
from workbench.catalog.fetch import RECORD, fetch_package, is_fetched, package_folder
from workbench.catalog.unpack import checksum_of
from workbench.errors import CatalogError
from workbench.showing import Sheet, Shown, some


@dataclass(frozen=True, repr=False)
class Entry(Shown):
    """One data set of the catalog."""

    name: str
    """Key in the catalog."""
    folder: Path
    """Folder of the catalog; local paths are relative to it."""
    description: str
    """What it is; the first sentence is its title."""
    sensor: str | None
    """Key of the sensor (`workbench.sensors.sensor`); None where no sensor is involved."""
    layout: str
    """How the files are arranged; readers choose by it."""
    source: PackageSource | LocalSource | SimulatedSource
    """Where it comes from."""
    license: str
    """SPDX name where there is one."""
    citation: str
    """What to cite."""
    checksum: str | None
    """"sha256:…" of the wheel, or of the one local file."""
    gsd: float | None
    """Ground sampling distance in metres."""
    bands: list[str] | None
    """Names of the bands in the files, in their order."""
    nodata: float | None = None
    """Stored number of plain rasters that is no measurement, where their headers name none."""

    def _sheet(self) -> Sheet:
        told = [
            ("what it is", " ".join(self.description.split())),
            ("sensor", self.sensor),
            ("pixel", None if self.gsd is None else f"{self.gsd:g} m"),
            ("no data", None if self.nodata is None else f"{self.nodata:g}"),
            ("bands", None if self.bands is None else some(self.bands)),
            ("source", f"{self.source.type}, layout {self.layout}"),
            ("on this machine", "yes" if self.is_available() else "no; `fetch()` says how"),
            ("licence", self.license),
            ("cite", " ".join(self.citation.split())),
            ("checksum", self.checksum),
        ]
        rows = [(name, value) for name, value in told if value is not None]
        return Sheet(f"Data set {self.name}", ("", ""), rows)

    @property
    def title(self) -> str:
        """First sentence of the description."""
        return " ".join(self.description.split()).partition(". ")[0].rstrip(".")

    @property
    def path(self) -> Path:
        """Local file, folder or glob (absolute); for a package, the folder its members lie in."""
        if isinstance(self.source, PackageSource):
            return package_folder(self.source, self.checksum or "")
        if isinstance(self.source, LocalSource):
            return self.folder / Path(self.source.path).expanduser()
        raise self._has_no_files()

    def fetch(self) -> Path:
        """Make the files available: download a package once; look for local files.

        Returns:
            Folder that holds the entry's files.

        Raises:
            CatalogError: If they cannot be had; the message says what to do.
        """
        if isinstance(self.source, PackageSource):
            return fetch_package(self.source, self.checksum or "")
        if not self.is_available():
            raise self._is_absent()
        found = self.path
        while glob.has_magic(str(found)):
            found = found.parent
        return found if found.is_dir() else found.parent

    def is_available(self) -> bool:
        """Whether the files are on this machine; never downloads. Simulated data always are."""
        if isinstance(self.source, PackageSource):
            return is_fetched(self.path)
        return isinstance(self.source, SimulatedSource) or next(self._local(), None) is not None

    def files(self, pattern: str = "*") -> list[Path]:
        """List the entry's files, sorted by path; fetches a package first.

        Args:
            pattern: Which file names, with * and ?.

        Raises:
            CatalogError: If the files cannot be had.
        """
        top = self.fetch()
        if isinstance(self.source, PackageSource):
            return sorted(p for p in top.rglob(pattern) if p.is_file() and p.name != RECORD)
        return sorted(
            file
            for found in self._local()
            for file in (found.rglob(pattern) if found.is_dir() else [found])
            if file.is_file() and file.match(pattern)
        )

    def file(self, pattern: str = "*") -> Path:
        """Give the one file whose name matches.

        Raises:
            CatalogError: If there is none, or more than one.
        """
        found = self.files(pattern)
        if len(found) != 1:
            names = ", ".join(path.name for path in found[:4]) or "none"
            raise CatalogError(
                f"Entry {self.name!r} must have one file {pattern!r}, found {len(found)}: {names}."
            )
        return found[0]

    def fingerprint(self) -> str:
        """Tell one state of the data from another, for run records.

        The checksum of a package or of a single local file; for other local data the checksum of
        the list of names, sizes and modification times (no file is read); for simulated data that
        of seed and parameters.

        Returns:
            "sha256:…", "listing-sha256:…" or "parameters-sha256:…".
        """
        if self.checksum is not None:
            return self.checksum
        if isinstance(self.source, SimulatedSource):
            return f"parameters-{_digest(self.source.model_dump_json())}"
        listing = [
            (path.as_posix(), path.stat().st_size, path.stat().st_mtime_ns) for path in self.files()
        ]
        return f"listing-{_digest(json.dumps(listing))}"

    def damage(self) -> list[str]:
        """List the files that are not what they should be, by reading each of them."""
        if isinstance(self.source, PackageSource):
            files = json.loads((self.path / RECORD).read_text(encoding="utf-8"))["files"]
            return [
                f"{name} has changed since it was fetched"
                for name, said in files.items()
                if checksum_of(self.path / name) != f"sha256:{said['sha256']}"
            ]
        if self.checksum is None or isinstance(self.source, SimulatedSource):
            return []
        found = checksum_of(self.file())
        return [] if found == self.checksum else [f"{self.path} has the checksum {found}"]

    def _local(self) -> Iterator[Path]:
        """What the path of a local source finds, in no order."""
        text = str(self.path)
        if glob.has_magic(text):
            return (Path(found) for found in glob.iglob(text, recursive=True))
        return iter([self.path] if self.path.exists() else [])

    def _is_absent(self) -> CatalogError:
        assert isinstance(self.source, LocalSource)
        how = " ".join(self.source.obtain.split())
        return CatalogError(f"Entry {self.name!r}: nothing lies at {self.path}.\n{how}")

    def _has_no_files(self) -> CatalogError:
        return CatalogError(
            f"Entry {self.name!r} is simulated: it has no files until it is made.\n"
            f"`workbench tiles {self.name}` makes it; seed and parameters are in `entry.source`."
        )


def _digest(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
