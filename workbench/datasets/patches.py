"""An extraction, opened for learning: its manifest as arrays, and its store."""

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from workbench.datasets.acquisitions import COLUMNS, Acquisitions, acquisitions
from workbench.datasets.files import file_checksum
from workbench.datasets.statistics import (
    BandStatistics,
    band_statistics,
    read_statistics,
    write_statistics,
)
from workbench.errors import ManifestError
from workbench.extraction.manifest import manifest_note, read_columns
from workbench.extraction.patches import MANIFEST
from workbench.extraction.schemas import contract_from
from workbench.extraction.store import PatchStore
from workbench.sensors import InputContract

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Patches:
    """Patches that can be read by the number of their acquisition; cheap to send to workers."""

    store: PatchStore
    """Where the pixels are; each worker maps the files anew."""
    index: Acquisitions
    """Which acquisitions each location has."""
    contract: InputContract
    """How the numbers given here are to be read; its bands are those chosen."""
    checksum: str
    """Checksum of the manifest, which statistics and labels made from it are kept with."""
    band_index: NDArray[np.int64] | None = None
    """(C,) place of each chosen band in the store; None for all."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of a patch as it is given."""
        return len(self.contract.band_names), *self.store.shape[1:]

    def read(self, acquisition: int, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Copy the pixels of an acquisition out of the store.

        Args:
            acquisition: Its number in `index`.
            out: (C, H, W) array of the store's type to copy into; a new one if None.

        Returns:
            (C, H, W) stored numbers.

        Raises:
            ManifestError: If nothing is stored there, or the shard is damaged.
        """
        out = np.empty(self.shape, self.store.dtype) if out is None else out
        pixels = self.store.pixels(int(self.index.place[acquisition]))
        if self.band_index is None:
            np.copyto(out, pixels)
        else:
            np.take(pixels, self.band_index, axis=0, out=out, mode="clip")  # mode: no buffer
        return out

    @property
    def made_from(self) -> dict[str, str]:
        """Checksums of the manifest and of the choice of patches and bands, for statistics."""
        chosen = hashlib.sha256(np.sort(self.index.place).tobytes())
        chosen.update("\n".join(self.contract.band_names).encode())
        return {"manifest": self.checksum, "choice of patches": chosen.hexdigest()}

    def only(self, locations: Sequence[str]) -> "Patches":
        """Keep the named locations, as those of one part of a split.

        Raises:
            ManifestError: If one of them is not in the manifest.
        """
        return replace(self, index=self.index.only(locations))

    def select(self, bands: Sequence[str]) -> "Patches":
        """Read only the named bands, in the order named.

        Raises:
            ContractMismatchError: If a band is not there.
        """
        at = {name: i for i, name in enumerate(self.store.contract.band_names)}
        contract = self.contract.select(bands)
        chosen = np.array([at[name] for name in bands], dtype=np.int64)
        return replace(self, contract=contract, band_index=chosen)

    def statistics(
        self, *, workers: int = 1, progress: Callable[[int, int], None] | None = None
    ) -> BandStatistics:
        """Measure all patches in one pass, each read once; see `band_statistics`.

        Take the training part (`only`) to keep the test part out of what a model is told.
        """
        rows = range(len(self.index.place))
        return band_statistics(self.read, rows, self.contract, workers=workers, progress=progress)


def open_patches(folder: str | Path) -> Patches:
    """Open an extraction.

    Args:
        folder: Folder given to `extract_patches`, with its manifest and store.

    Raises:
        ManifestError: If there is no manifest or store, it is of another version, or lists nothing.
    """
    path = Path(folder) / MANIFEST
    note = manifest_note(path, kind="patches")  # of this version, and of patches
    rows = read_columns(path, [*COLUMNS, "checksum"], "patches")
    index = acquisitions(rows)
    store = PatchStore(folder)
    if int(index.place.max()) >= store.places:
        raise ManifestError(
            f"Places of a manifest must be in its store, but {path} lists place "
            f"{int(index.place.max())} and the store has {store.places}.\n"
            "Are both of one extraction? Copy them again together."
        )
    if (told := note.get("contract")) is not None:
        contract_from(told, path).require_same(store.contract, thing=f"The manifest {path}")
    store.crc = _crc(rows, store.places)
    return Patches(store, index, store.contract, file_checksum(path))


def _crc(rows: "pd.DataFrame", places: int) -> "NDArray[np.int64] | None":
    """(places,) CRC-32 of each patch's pixels; -1 where the manifest has none."""
    if "checksum" not in rows.columns:
        return None
    crc = np.full(places, -1, dtype=np.int64)
    digits = rows["checksum"].fillna("").astype(str)
    known = digits.str.fullmatch("[0-9a-f]{8}")
    crc[rows["place"].to_numpy()[known]] = [int(text, 16) for text in digits[known]]
    return crc


def stored_statistics(
    patches: Patches,
    path: str | Path,
    *,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> BandStatistics:
    """Read the statistics of exactly these patches, or measure them and keep them.

    Args:
        patches: Usually the training part (`Patches.only`).
        path: The file, as `folder / "statistics.json"`; one of other patches is replaced.
        workers: Processes that measure, >= 1.
        progress: Called with (patches done, patches in all) while measuring.
    """
    made_from = patches.made_from
    try:
        return read_statistics(path, made_from=made_from)
    except ManifestError as error:
        log.info("measuring %d patches: %s", len(patches.index.place), str(error).splitlines()[0])
    found = patches.statistics(workers=workers, progress=progress)
    write_statistics(found, path, made_from=made_from)
    return found
