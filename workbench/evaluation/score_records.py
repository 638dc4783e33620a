"""What a tally counted, as one small file: from it every score comes back, image by image."""

import json
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from workbench.datasets.files import whole_file
from workbench.errors import ManifestError
from workbench.evaluation import definitions
from workbench.evaluation.scores import AnyScore, Metric, RankingScore, Score
from workbench.records import parse_record

Kind = Literal["segmentation", "labels", "density"]
FORM = 1
"""Format of the files."""


@dataclass(frozen=True, eq=False)
class ScoreRecord:
    """Counts of each image, and what is needed to make scores of them."""

    kind: Kind
    """Which task they are of."""
    settings: dict[str, Any]
    """Classes, threshold, bins or unit: what the definitions need."""
    images: tuple[str, ...]
    """(N,) ids of the images."""
    arrays: dict[str, NDArray[Any]]
    """(N, ...) counts by name."""
    groups: tuple[str, ...] | None = None
    """(N,) group of each image: its overlap component or block; None if images are independent."""

    def grouped(self, groups: Sequence[Any]) -> "ScoreRecord":
        """Give the same counts with the group of each image.

        Raises:
            ManifestError: If there is not one group an image.
        """
        if len(groups) != len(self.images):
            raise ManifestError(
                f"Each image needs its group, but there are {len(self.images)} images and "
                f"{len(groups)} groups."
            )
        return replace(self, groups=tuple(map(str, groups)))

    def scores(self) -> dict[str, AnyScore]:
        """Every metric of the task, by name."""
        if self.kind == "labels":
            return self._label_scores()
        if self.kind == "density":
            return self._additive(definitions.density_metrics(self.settings["unit"]), "sums")
        metrics = definitions.segmentation_metrics(self.settings["classes"])
        found = self._additive(metrics, "confusions")
        if "calibration" in self.arrays:
            ece = definitions.calibration_metric(self.settings["bins"])
            found |= self._additive([ece], "calibration")
        return found

    def _additive(self, metrics: Sequence[Metric], name: str) -> dict[str, AnyScore]:
        counts = self.arrays[name].astype(np.float64)
        return {metric.name: Score(metric, self.images, counts) for metric in metrics}

    def _label_scores(self) -> dict[str, AnyScore]:
        metrics = definitions.multilabel_metrics(self.settings["threshold"])
        found = self._additive(metrics, "counts")
        ranked = (self.arrays["confidence"].astype(np.float64), self.arrays["truth"] > 0)
        for metric, pooled in ((definitions.MICRO_MAP, True), (definitions.MACRO_MAP, False)):
            found[metric.name] = RankingScore(metric, self.images, *ranked, pooled)
        return found

    def write(self, path: Path) -> Path:
        """Write the record whole or not at all; the name ends with ".npz"."""
        about = {"format": FORM, "kind": self.kind, "settings": self.settings}
        parts: dict[str, Any] = {f"counts_{name}": a for name, a in self.arrays.items()}
        if self.groups is not None:
            parts["groups"] = np.array(self.groups, dtype=str)
        with whole_file(path) as unfinished, unfinished.open("wb") as file:
            np.savez_compressed(
                file, about=np.array(json.dumps(about)), images=np.array(self.images), **parts
            )
        return path


def read_scores(path: Path) -> ScoreRecord:
    """Read a record back.

    Raises:
        ManifestError: If there is none at the path, or it is of another format.
    """
    if not path.is_file():
        raise ManifestError(f"Scores of images must be at {path}, but there is no file.")
    cure = "It is damaged: remove its row from the table and run the cell again."
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            about = parse_record(
                str(file["about"]), _About, source=path, what="counts of images", cure=cure,
                error=ManifestError,
            )  # fmt: skip
            arrays = {n.removeprefix("counts_"): file[n] for n in file if n.startswith("counts_")}
            groups = tuple(map(str, file["groups"].tolist())) if "groups" in file else None
            images = tuple(map(str, file["images"].tolist()))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error,
            AttributeError, NotImplementedError) as error:  # fmt: skip
        raise ManifestError(f"{path} holds no counts of images ({error}).\n{cure}") from error
    if about.format != FORM:
        raise ManifestError(
            f"Scores of images must be of format {FORM}, but {path} is of {about.format!r}."
        )
    lengths = {len(images), *map(len, arrays.values()), *([] if groups is None else [len(groups)])}
    if len(lengths) > 1:
        raise ManifestError(f"{path} needs one row an image, but has {sorted(lengths)}.\n{cure}")
    return ScoreRecord(about.kind, about.settings, images, arrays, groups)


class _About(BaseModel):
    """What a record of counts says of itself."""

    model_config = ConfigDict(strict=True, extra="ignore")

    format: int
    kind: Kind
    settings: dict[str, Any]
