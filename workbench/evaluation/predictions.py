"""A model's maps of some patches as one folder: the maps, and a manifest that says what they are.

Targets are kept in the same way, so that a model and its labels can be moved, compared and looked
at without the model. `maps.npy` holds all maps and is memory-mapped; `manifest.json` is written
last, so where it is, all is. Patches are known by their ids and never by their positions.
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tokenize import TokenError
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from workbench.datasets.files import json_checksum
from workbench.errors import EvaluationError, ManifestError
from workbench.files import sha256_of, whole_file
from workbench.records import read_record, write_record

log = logging.getLogger(__name__)

FORMAT = 2
"""Format 2 says how a model was made (`design`); format 1, which did not, is read too."""
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
    if it is not known, and then patches are taken for independent."""
    design: Mapping[str, str] = field(default_factory=dict)
    """How the model was made, as {"encoder": "resnet18", "stem": "detail"}: what tells it from
    others; empty if unknown."""

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
        clash = [name for name, times in Counter(self.classes).items() if times > 1]
        if clash:
            raise EvaluationError(
                f"Each class of {self.model!r} needs a name of its own, but {clash[0]!r} stands "
                "twice."
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


def matched(
    model: str, maps: "Predictions | Mapping[str, NDArray[Any]]", truth: Predictions
) -> Predictions:
    """Hold a model's maps against the targets: classes are matched by name, pixels by their size.

    Args:
        model: Name of the model, for messages.
        maps: Its maps. Plain arrays by id have no names: their classes are those of the targets.
        truth: The targets. Classes that are only numbered ("0", "1" ...), of either side, are
            matched by index.

    Returns:
        The maps with the targets' class indices. Where only the order of the names differs, each
        index becomes that of its name, which is logged.

    Raises:
        EvaluationError: If the classes have other names, or pixels another size.
    """
    found = as_predictions(model, maps, truth)
    if found is not maps:
        return found
    if abs(found.gsd - truth.gsd) > 1e-6 * truth.gsd:
        raise EvaluationError(
            f"Maps of {model!r} must have the targets' pixels of {truth.gsd:g} m, but have "
            f"{found.gsd:g} m.\nPredict on the grid of the targets, or correct the manifest's gsd."
        )
    if found.classes == truth.classes or _numbered(found.classes) or _numbered(truth.classes):
        return found
    if unknown := [name for name in found.classes if name not in truth.classes]:
        raise EvaluationError(
            f"Classes of {model!r} must be those of the targets ({_listed(truth.classes)}), but "
            f"{unknown[0]!r} is none of them (it has {_listed(found.classes)}).\n"
            "Names are matched, never places: rename the classes of the one that is wrong."
        )
    log.warning(
        "%s: classes stand in another order (%s) than in the targets (%s); matched by name",
        model, _listed(found.classes), _listed(truth.classes),
    )  # fmt: skip
    place = [truth.classes.index(name) for name in found.classes]
    whole = np.asarray(found.maps)
    values = np.unique(whole)
    strange = [v for v in values if not 0 <= v < len(place) and v != found.ignore_index]
    if strange:
        raise EvaluationError(
            f"Every label of {model!r} must be one of its {len(place)} classes, but {strange[0]} "
            f"occurs ({int((whole == strange[0]).sum())} pixels)."
        )
    nothing = max(len(truth.classes), 255)  # what is ignored is no class of the targets either
    kind = np.uint8 if nothing == 255 else np.int32
    moved = np.full(whole.shape, nothing, kind)
    for index, wanted in enumerate(place):
        moved[whole == index] = wanted
    return replace(found, maps=moved, classes=truth.classes, colors=(), ignore_index=nothing)


def _numbered(classes: Sequence[str]) -> bool:
    """True for no names, and for names that are only places."""
    return not classes or list(classes) == [str(i) for i in range(len(classes))]


def _listed(names: Sequence[str]) -> str:
    few = ", ".join(names[:6])
    return few + (f" … {len(names)} in all" if len(names) > 6 else "")


def short_names(models: Sequence[Predictions]) -> tuple[str, ...]:
    """Name models by what differs between them, as "stem=detail"; names are short and distinct.

    Args:
        models: At least one. Designs are compared where all have one; else the words of their
            names; models that differ in nothing are numbered.

    Example:
        >>> import numpy as np
        >>> def made(stem):
        ...     design = {"encoder": "resnet18", "stem": stem}
        ...     return Predictions(f"resnet18 / stem={stem}", ("p",), np.zeros((1, 2, 2), int),
        ...                        ("a",), 10.0, design=design)
        >>> short_names([made("standard"), made("detail")])
        ('stem=standard', 'stem=detail')
    """
    if all(model.design for model in models):
        keys = dict.fromkeys(key for model in models for key in model.design)
        told = [
            {key: str(model.design[key]) for key in keys if key in model.design} for model in models
        ]
        varied = [k for k in keys if len({t.get(k) for t in told}) > 1]
        names = [", ".join(f"{k}={t[k]}" if k in t else f"no {k}" for k in varied) for t in told]
    else:
        words = [model.model.replace(",", " ").replace("/", " ").split() for model in models]
        common = set(words[0]).intersection(*words) if len(words) > 1 else set()
        kept = [[word for word in each if word not in common] for each in words]
        names = [" ".join(each) or model.model for each, model in zip(kept, models, strict=True)]
        if all(len(model.model) <= _LONG for model in models):
            names = [model.model for model in models]
    names = [_cut(name) for name in names]
    if len(set(names)) < len(names) or not all(names):
        return tuple(f"{_cut(m.model, _LONG - 4)} ({i})" for i, m in enumerate(models, start=1))
    return tuple(names)


_LONG = 32
"""Characters of a name that stands in a table."""


def _cut(name: str, longest: int = _LONG) -> str:
    return name if len(name) <= longest else name[: longest - 1].rstrip() + "…"


Word = Annotated[str, Field(max_length=10_000)]


class PredictionsRecord(BaseModel):
    """What manifest.json beside maps.npy holds; other versions and keys are refused."""

    model_config = ConfigDict(extra="forbid", strict=True)

    format: Literal[1, 2]
    model: Word
    classes: list[Word]
    colors: list[Word] = []
    gsd: float = Field(gt=0, allow_inf_nan=False)
    ignore_index: int | None
    maps_sha256: str = Field(pattern="^[0-9a-f]{64}$")
    ids: list[Word]
    groups: list[Word] = []
    design: dict[Word, Word] = {}
    manifest_sha256: str | None = None
    """Of all the others; None where it was written before it was kept."""

    def checksum(self) -> str:
        """SHA-256 of all that the manifest says but this."""
        return json_checksum(self.model_dump(exclude={"manifest_sha256"}))


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
        "gsd": float(predictions.gsd),
        "ignore_index": None if predictions.ignore_index is None else int(predictions.ignore_index),
        "maps_sha256": sha256_of(place / MAPS),
        "design": {str(k): str(v) for k, v in predictions.design.items()},
        "ids": list(predictions.ids),
        "groups": list(map(str, predictions.groups)),
    }
    told = PredictionsRecord.model_validate(record)
    return write_record(place / MANIFEST, {**record, "manifest_sha256": told.checksum()})


def read_predictions(folder: Path | str, *, verify: bool = True) -> Predictions:
    """Open what `write_predictions` wrote; maps stay on disk until they are used.

    Args:
        folder: The folder.
        verify: Compare the maps with their checksum, which reads them once.

    Raises:
        ManifestError: If there is no complete set of predictions, or its manifest is damaged or of
            another format.
        EvaluationError: If the maps are not those of the manifest.
    """
    place = Path(folder)
    record = read_record(
        place / MANIFEST,
        PredictionsRecord,
        what="a set of predictions",
        cure=_CURE,
        error=ManifestError,
    )
    if record.manifest_sha256 not in (None, record.checksum()):
        raise ManifestError(
            f"{place / MANIFEST} is not what was written: its SHA-256 differs.\n{_CURE}"
        )
    try:
        maps = np.load(place / MAPS, mmap_mode="r", allow_pickle=False)
    except (
        OSError,
        ValueError,
        EOFError,
        SyntaxError,
        TokenError,
        TypeError,
        OverflowError,
    ) as error:
        raise EvaluationError(
            f"{place / MANIFEST} needs its maps beside it, but {MAPS} cannot be read ({error})."
        ) from error
    if verify and sha256_of(place / MAPS) != record.maps_sha256:
        raise EvaluationError(
            f"{place / MAPS} must be what its manifest says, but has changed (another checksum).\n"
            "The maps are damaged, or of another model: predict them again."
        )
    return Predictions(
        model=record.model,
        ids=tuple(record.ids),
        maps=maps,
        classes=tuple(record.classes),
        gsd=record.gsd,
        ignore_index=record.ignore_index,
        colors=tuple(record.colors),
        groups=tuple(record.groups),
        design=dict(record.design),
    )
