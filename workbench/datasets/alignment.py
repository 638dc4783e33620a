"""Label maps carried once onto the patches of an extraction, and kept beside its manifest.

    labels/<name>.json          what they are, how they were resampled, which patches have none
    labels/<name>.<key>.npy     (N, ...) one row for each location, in order of the ids

A label map has its own grid. Which number of it belongs to a patch's pixel is a decision, and it is
made and recorded here, not anew in every training run.
"""

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tokenize import TokenError
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from workbench import records
from workbench.datasets.files import (
    file_checksum,
    json_checksum,
    read_record,
    whole_file,
    write_record,
)
from workbench.errors import ManifestError, TileError
from workbench.extraction.manifest import read_manifest
from workbench.extraction.patches import MANIFEST
from workbench.extraction.store import PatchStore
from workbench.files import opened_once, path_inside
from workbench.geo.grid import PixelGrid
from workbench.legends import Legend
from workbench.readers.labels import LabelMap, LabelMosaic

log = logging.getLogger(__name__)

FORMAT = 1
LABELS = "labels"
Kind = Literal["classes", "presence", "density"]
_HOW = {
    "classes": "class of the map's pixel under the centre of the patch's pixel",
    "majority": "class of most of the map's pixels in the patch's pixel that have one",
    "presence": "classes of all of the map's own pixels whose centre is in the patch",
    "density": "mean of the map's pixels in the patch's pixel, by area; nearest if it is coarser",
}


@dataclass(frozen=True)
class LabelSource:
    """Label maps of one product, and what a patch shall get from them.

    Raises:
        ValueError: If there is no map, or legend and majority do not go with the kind.
    """

    maps: tuple[Path, ...]
    """Raster files on grids of their own, as the tiles of a product: a patch takes the first that
    covers it whole, or what several have together; see `readers.labels.LabelMosaic`."""
    kind: Kind
    """"classes": a class for each pixel (segmentation, change); "presence": which classes occur in
    the patch (multi-label); "density": a share in [0, 1] for each pixel (regression)."""
    legend: Legend | None = None
    """What the codes mean; None for "density", whose codes are percent."""
    majority: bool = False
    """Only "classes": the most frequent class of a finer map, instead of the one at the centre."""
    nodata: float | None = None
    """A code that means "no label", beside the legend's and the nodata and masks of the files."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "maps", tuple(Path(p) for p in self.maps))
        if not self.maps:
            raise ValueError("A LabelSource needs at least one label map.")
        if (self.kind == "density") != (self.legend is None):
            raise ValueError(
                f"A LabelSource has a legend unless its kind is 'density', got kind={self.kind!r} "
                f"and legend={self.legend and self.legend.name!r}."
            )
        if self.majority and self.kind != "classes":
            raise ValueError(f"A majority is of classes, but the kind is {self.kind!r}.")

    @property
    def how(self) -> str:
        """How numbers of the map become numbers of the patch, in words."""
        return _HOW["majority" if self.majority else self.kind]

    def to_dict(self) -> dict[str, Any]:
        """Lay the source out for the record: the maps by their files' size and time."""
        stats = [p.stat() for p in self.maps if p.is_file()]
        return {
            "maps": [str(p) for p in self.maps],
            "map_stamps": [[s.st_size, s.st_mtime_ns] for s in stats],
            "kind": self.kind,
            "legend": None if self.legend is None else self.legend.name,
            "classes": [] if self.legend is None else list(self.legend.names),
            "nodata": None if self.nodata is None else float(self.nodata),
            "how": self.how,
        }

    def row(self, shape: tuple[int, int]) -> tuple[tuple[int, ...], np.dtype[Any]]:
        """Shape and type of one patch's label."""
        if self.legend is not None and self.kind == "presence":
            return (len(self.legend),), np.dtype(bool)
        return shape, np.dtype(np.float32 if self.kind == "density" else np.uint8)

    def of(self, opened: LabelMap | LabelMosaic, grid: PixelGrid) -> NDArray[Any]:
        """Give the label of one patch; errors as in `LabelMap`."""
        if self.legend is None:
            return opened.density(grid)
        if self.kind == "presence":
            return opened.present(grid, self.legend)
        return opened.classes(grid, self.legend, majority=self.majority)

    def labelled_share(self, label: NDArray[Any]) -> float:
        """Share of a label that says something: 0 or 1 for "presence"."""
        if self.legend is None:
            return float((~np.isnan(label)).mean())
        if self.kind == "presence":
            return float(label.any())
        return float((label != self.legend.ignore_index).mean())


@dataclass(frozen=True)
class AlignedLabels:
    """Labels of an extraction's locations; cheap to send to workers, each opens the file itself."""

    path: Path
    """The array on disk."""
    kind: Kind
    """See `LabelSource`."""
    class_names: tuple[str, ...]
    """Names of the classes by index; empty for "density"."""
    ignore_index: int | None
    """Class index of pixels that belong to no class; None unless "classes"."""
    how: str
    """How the maps' numbers became the patches', in words."""
    location: NDArray[np.bytes_]
    """(N,) ids of the rows' locations: all of the manifest, sorted."""
    skipped: dict[str, str]
    """Locations without a label, and why."""
    checksum: str
    """Checksum of the manifest whose locations these are."""

    @cached_property
    def values(self) -> NDArray[Any]:
        """(N, ...) labels by location id, mapped; the rows of skipped ones mean nothing."""
        found: NDArray[Any] = np.load(self.path, mmap_mode="r")
        return found

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k != "values"}


def align_labels(
    folder: str | Path,
    name: str,
    source: LabelSource,
    *,
    missing: Literal["skip", "error"] = "skip",
    least_labelled: float = 0.0,
    progress: Callable[[int, int], None] | None = None,
) -> AlignedLabels:
    """Carry label maps onto every location of an extraction; what was done before is found again.

    Args:
        folder: Folder of the extraction.
        name: What the labels are called there, as "corine".
        source: Maps, legend, and how to resample.
        missing: What to do with a location that no map covers: "skip" it, counted and logged with
            the reason, or raise an "error".
        least_labelled: Locations of which a smaller share of pixels has a class or density are
            skipped, in [0, 1]; for "presence", any value above 0 asks for one class.
        progress: Called with (locations done, locations in all).

    Raises:
        ManifestError: If the folder holds no extraction, or no location gets a label.
        TileError: If a map is damaged, or does not cover a location and `missing` is "error".
        ContractMismatchError: If a code is outside the legend; a wrong legend is no reason to skip.
        ValueError: If `missing` or `least_labelled` is out of its range.
    """
    if missing not in ("skip", "error") or not 0 <= least_labelled <= 1:
        raise ValueError(
            "align_labels needs missing='skip' or 'error' and least_labelled in [0, 1], "
            f"got {missing!r} and {least_labelled!r}."
        )
    folder = Path(folder)
    record = {
        "format": FORMAT,
        "manifest": file_checksum(folder / MANIFEST),
        **source.to_dict(),
        "missing": missing,
        "least_labelled": least_labelled,
    }
    key = hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()[:12]
    told, path = folder / LABELS / f"{name}.json", folder / LABELS / f"{name}.{key}.npy"
    if told.is_file() and path.is_file() and (found := read_labels(folder, name)).path == path:
        return found
    with whole_file(path) as unfinished:
        skipped = _write_rows(unfinished, folder, source, missing, least_labelled, progress)
    sums = {"array": path.name, "skipped": skipped, "array_sha256": file_checksum(path)}
    whole = {**record, **sums}
    write_record(told, {**whole, "record_sha256": json_checksum(whole)})
    for old in set((folder / LABELS).glob(f"{name}.*.npy")) - {path}:
        old.unlink()
    return read_labels(folder, name)


def read_labels(folder: str | Path, name: str) -> AlignedLabels:
    """Open labels that `align_labels` made.

    Raises:
        ManifestError: If there are none, or the manifest is another one by now.
    """
    folder = Path(folder)
    path = folder / LABELS / f"{name}.json"
    cure = f"Make them with `align_labels({str(folder)!r}, {name!r}, ...)`."
    plain = read_record(path, form=FORMAT, what="labels", cure=cure)  # of this format
    if (known := plain.pop("record_sha256", None)) not in (None, json_checksum(plain)):
        raise ManifestError(f"{path} is not what was written ({known!r:.80}).\n{cure}")
    found = records.read_record(path, _Stored, what="labels", cure=cure, error=ManifestError)
    if found.manifest != file_checksum(folder / MANIFEST):
        raise ManifestError(
            f"Labels must come from the manifest in use, but {path} was made from another.\n{cure}"
        )
    location = _sorted_locations(folder)
    array = path_inside(folder / LABELS, found.array, what=f"The array of {path}")
    _require_array(array, found, len(location), cure)
    return AlignedLabels(
        path=folder / LABELS / found.array,
        kind=found.kind,
        class_names=tuple(found.classes),
        ignore_index=len(found.classes) if found.kind == "classes" else None,
        how=found.how,
        location=location,
        skipped=found.skipped,
        checksum=found.manifest,
    )


class _Stored(BaseModel):
    """What a record of labels holds."""

    model_config = ConfigDict(strict=True, extra="ignore")

    manifest: str
    kind: Kind
    classes: Annotated[list[str], Field(max_length=100_000)]
    how: str
    array: str
    skipped: dict[str, str]
    array_sha256: str | None = None


def _require_array(array: Path, found: _Stored, rows: int, cure: str) -> None:
    """The array must be what was written; older records have no checksum, but a shape."""
    try:
        values = np.load(array, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, SyntaxError, TokenError, TypeError) as error:
        raise ManifestError(f"Labels need their array, but {array} is damaged ({error}).\n{cure}"
                            ) from None  # fmt: skip
    dtype = {"classes": "uint8", "presence": "bool", "density": "float32"}[found.kind]
    width = len(found.classes) if found.kind == "presence" else None
    if (
        values.ndim != (2 if width is not None else 3)
        or len(values) != rows
        or values.dtype != dtype
        or (width is not None and values.shape[1] != width)
    ):
        raise ManifestError(
            f"Labels of {found.kind} must be {rows} rows of {dtype}, but {array} has the shape "
            f"{values.shape} of {values.dtype}.\n{cure}"
        )
    if found.array_sha256 not in (None, file_checksum(array)):
        raise ManifestError(
            f"{array} is not what was written: its SHA-256 is not that of its record.\n{cure}"
        )


def _write_rows(
    path: Path,
    folder: Path,
    source: LabelSource,
    missing: str,
    least_labelled: float,
    progress: Callable[[int, int], None] | None,
) -> dict[str, str]:
    """Write the label of each location, and give those without one and why."""
    grids = _location_grids(folder)
    shape, dtype = source.row(next(iter(grids.values())).shape)
    skipped: dict[str, str] = {}
    rows = np.lib.format.open_memmap(path, "w+", dtype, (len(grids), *shape))
    with LabelMosaic(source.maps, nodata=source.nodata) as opened:
        for i, (location, grid) in enumerate(grids.items()):
            label = _label(source, opened, grid, location, missing)
            if label is None:
                skipped[location] = "no map covers it"
            elif source.labelled_share(label) < least_labelled:
                skipped[location] = "too few labelled pixels"
            else:
                rows[i] = label
            if progress is not None:
                progress(i + 1, len(grids))
    rows.flush()
    if skipped:
        counts = dict(Counter(skipped.values()))
        log.warning("%d of %d locations have no label: %s", len(skipped), len(grids), counts)
    if len(skipped) == len(grids):
        raise ManifestError(
            f"Labels must cover at least one location, but all {len(grids)} are left out "
            f"({next(iter(skipped.values()))}).\nAre the maps of this region?"
        )
    return skipped


def _label(
    source: LabelSource, opened: LabelMosaic, grid: PixelGrid, location: str, missing: str
) -> NDArray[Any] | None:
    """The label of a location; None if maps do not cover it."""
    if opened.covers(grid):
        return source.of(opened, grid)
    if missing == "error":
        raise TileError(
            f"A label map must cover each location, but none of {len(opened.maps)} covers "
            f"{location}, alone or with others (e.g. {opened.maps[0].path}).\n"
            "Add the map that does, or leave such locations out with missing='skip'."
        )
    return None


def _sorted_locations(folder: Path) -> NDArray[np.bytes_]:
    import pyarrow.parquet as pq

    with opened_once(folder / MANIFEST) as file:
        column = pq.read_table(file, columns=["location_id"])["location_id"]
    return np.unique(column.to_numpy().astype(bytes))


def _location_grids(folder: Path) -> dict[str, PixelGrid]:
    """The pixel grid of each location, in order of the ids."""
    size = PatchStore(folder).shape[-1]
    manifest = read_manifest(folder / MANIFEST, kind="patches")
    places = manifest.drop_duplicates("location_id").sort_values("location_id")
    columns = [places[c] for c in ("location_id", "crs", "xmin", "ymin", "xmax", "ymax")]
    return {
        location: PixelGrid.from_bounds(crs, (xmin, ymin, xmax, ymax), (xmax - xmin) / size)
        for location, crs, xmin, ymin, xmax, ymax in zip(*columns, strict=True)
    }
