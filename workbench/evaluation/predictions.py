"""A model's maps of some patches as one folder: the maps, and a manifest that says what they are.

Targets are kept in the same way, so that a model and its labels can be moved, compared and looked
at without the model. `maps.npy` holds all maps and is memory-mapped; `manifest.json` is written
last, so where it is, all is. Patches are known by their ids and never by their positions.
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.datasets.files import file_checksum, read_record, whole_file, write_record
from workbench.errors import EvaluationError

log = logging.getLogger(__name__)

FORMAT = 1
MAPS, MANIFEST = "maps.npy", "manifest.json"
_CURE = "Write it with `write_predictions`; an interrupted one leaves no manifest."


@dataclass(frozen=True, eq=False)
class Predictions:
    """Class maps of patches, of a model or of the labels.

    Raises:
        EvaluationError: If ids repeat, or there is not one map of whole numbers for each of them.
    """

    model: str
    """Name for people: "ResNet-18, detail stem"; "target" for labels."""
    ids: tuple[str, ...]
    """(N,) distinct ids of the patches."""
    maps: NDArray[Any]
    """(N, H, W) class indices."""
    classes: tuple[str, ...]
    """(K,) names of the classes."""
    gsd: float
    """Ground size of a pixel in metres, > 0."""
    ignore_index: int | None = None
    """Value of pixels without a label."""
    colors: tuple[str, ...] = ()
    """(K,) colours of the classes, "#rrggbb"; none if unknown."""
    groups: tuple[str, ...] = ()
    """(N,) block of ground or overlap component of each patch, over which intervals are drawn; none
    if patches are independent."""

    def __post_init__(self) -> None:
        twice = [i for i, times in Counter(self.ids).items() if times > 1]
        if twice:
            raise EvaluationError(
                f"Each patch has one map, but {twice[0]!r} stands twice in {self.model!r}."
            )
        shape = np.shape(self.maps)
        if len(shape) != 3 or shape[0] != len(self.ids) or self.maps.dtype.kind not in "iu":
            raise EvaluationError(
                f"Maps of {self.model!r} must be ({len(self.ids)}, H, W) whole numbers, one a "
                f"patch, but are {shape} {self.maps.dtype}."
            )
        if self.groups and len(self.groups) != len(self.ids):
            raise EvaluationError(
                f"Each patch of {self.model!r} needs its group, but there are {len(self.ids)} "
                f"patches and {len(self.groups)} groups."
            )
        if not self.gsd > 0:
            raise EvaluationError(f"The size of a pixel must be > 0 m, but is {self.gsd}.")

    def of(self, ids: Sequence[str]) -> NDArray[Any]:
        """(n, H, W) maps of these patches, in this order.

        Raises:
            EvaluationError: If there is no map of one of them.
        """
        place = {name: i for i, name in enumerate(self.ids)}
        missing = [i for i in ids if i not in place]
        if missing:
            raise EvaluationError(
                f"{self.model!r} must have a map of each of the {len(ids)} patches, but not of "
                f"{missing[0]!r} ({len(missing)} in all).\n"
                f"It has {len(self.ids)}, from {min(self.ids, default=None)!r} on: are they of the "
                "same extraction and the same part of the split?"
            )
        if spare := len(self.ids) - len(set(ids)):
            log.info("%s: %d maps of patches that were not asked for", self.model, spare)
        order = [place[i] for i in ids]
        return np.asarray(self.maps if order == list(range(len(self.ids))) else self.maps[order])


def as_predictions(
    model: str, maps: "Predictions | Mapping[str, NDArray[Any]]", like: Predictions | None = None
) -> Predictions:
    """Take maps by id as predictions; classes and pixel size are those of `like`.

    Raises:
        EvaluationError: If there are none, or they are not of one shape.
    """
    if isinstance(maps, Predictions):
        return maps
    if not maps or len({np.shape(m) for m in maps.values()}) != 1:
        raise EvaluationError(
            f"Maps of {model!r} must be of one shape, at least one of them, but have "
            f"{sorted({np.shape(m) for m in maps.values()})}."
        )
    classes, gsd, ignored = (
        ((), 1.0, None) if like is None else (like.classes, like.gsd, like.ignore_index)
    )
    stacked = np.stack([np.asarray(m) for m in maps.values()])
    return Predictions(model, tuple(map(str, maps)), stacked, classes, gsd, ignored)


def write_predictions(folder: Path | str, predictions: Predictions) -> Path:
    """Write predictions whole or not at all; an older set in the folder is replaced.

    Args:
        folder: Where; made if it is not there.
        predictions: What is written.

    Returns:
        The manifest's path.
    """
    place = Path(folder)
    (place / MANIFEST).unlink(missing_ok=True)  # from here on there is no set, until there is one
    with whole_file(place / MAPS) as unfinished, open(unfinished, "wb") as file:
        np.save(file, predictions.maps, allow_pickle=False)
    record = {
        "format": FORMAT,
        "model": predictions.model,
        "classes": list(predictions.classes),
        "colors": list(predictions.colors),
        "gsd": predictions.gsd,
        "ignore_index": predictions.ignore_index,
        "maps_sha256": file_checksum(place / MAPS),
        "ids": list(predictions.ids),
        "groups": list(predictions.groups),
    }
    return write_record(place / MANIFEST, record)


def read_predictions(folder: Path | str, *, verify: bool = False) -> Predictions:
    """Open what `write_predictions` wrote; maps stay on disk until they are used.

    Args:
        folder: The folder.
        verify: Compare the maps with their checksum, which reads them.

    Raises:
        ManifestError: If there is no complete set of predictions.
        EvaluationError: If the maps are not those of the manifest.
    """
    place = Path(folder)
    record = read_record(place / MANIFEST, form=FORMAT, what="predictions", cure=_CURE)
    try:
        maps = np.load(place / MAPS, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise EvaluationError(
            f"{place / MANIFEST} needs its maps beside it, but {MAPS} cannot be read ({error})."
        ) from error
    if verify and file_checksum(place / MAPS) != record["maps_sha256"]:
        raise EvaluationError(f"{place / MAPS} must be what its manifest says, but has changed.")
    ignored = record["ignore_index"]
    return Predictions(
        model=str(record["model"]),
        ids=tuple(map(str, record["ids"])),
        maps=maps,
        classes=tuple(map(str, record["classes"])),
        gsd=float(record["gsd"]),
        ignore_index=None if ignored is None else int(ignored),
        colors=tuple(map(str, record["colors"])),
        groups=tuple(map(str, record.get("groups", ()))),
    )
