"""Studies as files: which data, which encoders, and which of the talk's experiments, as YAML.

    data: {entry: enmap_simulated, scale: demo, seed: 0}
    encoders:
      small: {factory: ViTEncoder, options: {size: [96, 4, 4], token_size: 4}}
    checkpoints: "{init}/encoder.safetensors"   # of every init but random; a cell's columns fill it
    settings: {steps: 100, lr: 0.003}
    studies:
      - {kind: protocols, tasks: {cdl: {small: upconv}}, inits: [random, mae], seeds: 5}

The named studies are such files in the package: `workbench sweep --show protocols` prints one.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from workbench.catalog.document import Document, read_document
from workbench.catalog.problems import dotted
from workbench.errors import EvaluationError, WorkbenchError
from workbench.evaluation.studies import (
    convergence_study,
    fraction_study,
    protocol_study,
    varied_study,
)
from workbench.evaluation.study import StudyCell
from workbench.files import read_text
from workbench.training.finetune_settings import FinetuneSettings

_FOLDER = files("workbench") / "evaluation" / "named_studies"
Count = Annotated[int, Field(ge=1, le=10_000)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Seeds = Count | Annotated[list[Seed], Field(min_length=1, max_length=10_000)]
MAX_CELLS = 1_000_000
"""Of a study; more are a slip of the pen, and would fill the memory before anything ran."""


def _plain(value: Any) -> Any:
    """Values that JSON holds: no dates, no NaN, no infinities; raises ValueError for others."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise ValueError("must be text, finite numbers, lists or mappings of these") from None
    return value


Plain = Annotated[Any, AfterValidator(_plain)]
Options = Annotated[dict[str, Any], AfterValidator(_plain)]
Fraction = Annotated[float, Field(gt=0, le=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class StudyData(_Strict):
    """Which data the tasks are made of."""

    entry: str = "enmap_simulated"
    """Entry of the data catalog."""
    scale: str = "demo"
    """Size of a campaign: "test", "demo", "small" or "full"."""
    seed: Seed = 0
    """Of the campaign and of the split."""
    allow_leak: bool | None = None
    """Whether tiles may be in two parts; None: only of the simulated campaign."""


class EncoderPlan(_Strict):
    """How an encoder with random weights is made."""

    factory: str
    """As in `training.build_encoder`: "spectral_vit", "resnet", "ViTEncoder" ..."""
    options: Options = {}
    """Its arguments, but for bands and image size, which are those of the task; a cell's options
    of the same name go before."""


class Protocols(_Strict):
    """Protocols × methods × encoders."""

    kind: Literal["protocols"]
    tasks: dict[str, dict[str, str]]
    """Decoder of each encoder, by task."""
    inits: list[str] = ["random", "moco", "dino", "mae"]
    protocols: list[str] = ["frozen", "adapter", "full"]
    seeds: Seeds = 5
    options: Options = {}

    def count(self) -> int:
        """At most so many cells."""
        return math.prod(map(len, (self.inits, self.protocols, _seeds(self.seeds)))) * sum(
            map(len, self.tasks.values())
        )

    def cells(self) -> list[StudyCell]:
        """List the cells."""
        return protocol_study(
            self.tasks, inits=self.inits, protocols=self.protocols, seeds=_seeds(self.seeds),
            **self.options,
        )  # fmt: skip


class Fractions(_Strict):
    """Few labels."""

    kind: Literal["fractions"]
    task: str
    encoders: dict[str, str]
    inits: list[str]
    protocol: str = "frozen"
    fractions: list[Fraction] = [0.05, 0.1, 0.25, 0.5, 1.0]
    draws: Count = 3
    seeds: Seeds = 5
    options: Options = {}

    def count(self) -> int:
        """At most so many cells."""
        return (
            math.prod(map(len, (self.encoders, self.inits, self.fractions, _seeds(self.seeds))))
            * self.draws
        )

    def cells(self) -> list[StudyCell]:
        """List the cells."""
        return fraction_study(
            self.task, self.encoders, inits=self.inits, protocol=self.protocol,
            fractions=self.fractions, draws=self.draws, seeds=_seeds(self.seeds), **self.options,
        )  # fmt: skip


class Convergence(_Strict):
    """Score against steps."""

    kind: Literal["convergence"]
    task: str
    encoders: dict[str, str]
    inits: list[str]
    steps: Annotated[int, Field(ge=1, le=10**9)]
    looks: Count = 10
    seeds: Seeds = 5
    options: Options = {}

    def count(self) -> int:
        """At most so many cells."""
        return math.prod(map(len, (self.encoders, self.inits, _seeds(self.seeds))))

    def cells(self) -> list[StudyCell]:
        """List the cells."""
        return convergence_study(
            self.task, self.encoders, inits=self.inits, steps=self.steps, looks=self.looks,
            seeds=_seeds(self.seeds), **self.options,
        )  # fmt: skip


class Varied(_Strict):
    """Token size, stem, loss, model size, positives: every combination of some options."""

    kind: Literal["varied"]
    task: str
    encoder: str
    decoder: str
    varied: Annotated[dict[str, Annotated[list[Plain], Field(min_length=1)]], Field(max_length=32)]
    init: str = "random"
    protocol: str | None = None
    seeds: Seeds = 5
    options: Options = {}

    def count(self) -> int:
        """At most so many cells."""
        return math.prod(map(len, self.varied.values())) * len(_seeds(self.seeds))

    def cells(self) -> list[StudyCell]:
        """List the cells."""
        return varied_study(
            self.task, self.encoder, self.decoder, varied=self.varied, init=self.init,
            protocol=self.protocol, seeds=_seeds(self.seeds), **self.options,
        )  # fmt: skip


class StudyFile(_Strict):
    """What a study file says."""

    title: str = ""
    """For people."""
    data: StudyData = StudyData()
    """Which data."""
    encoders: dict[str, EncoderPlan]
    """How each encoder that the studies name is made."""
    checkpoints: str = "{init}/encoder.safetensors"
    """Where the weights of an init are, as a path in which the columns of a cell stand in braces;
    relative to the folder of checkpoints."""
    settings: Options = {}
    """Settings of all runs, as in `FinetuneSettings`: they become options of each cell, where a
    study's own options of the same name go before."""
    studies: Annotated[
        list[Annotated[Protocols | Fractions | Convergence | Varied, Field(discriminator="kind")]],
        Field(min_length=1),
    ]
    """What is run, one after the other; a cell that stands in two is run once."""

    def cells(self) -> list[StudyCell]:
        """List the cells, each once, in the order of the file.

        Raises:
            EvaluationError: If a study names an encoder that the file does not make, or there is no
                such setting.
            TrainingError: If a setting is outside its range.
        """
        try:
            FinetuneSettings(**self.settings)
            self._require_few()
            listed = [cell for study in self.studies for cell in study.cells()]
            found = list(dict.fromkeys(replace(c, options={**self.settings, **c.options})
                                       for c in listed))  # fmt: skip
        except (TypeError, ValueError) as error:
            if isinstance(error, WorkbenchError):
                raise
            raise EvaluationError(
                f"The settings of the study cannot be used: {str(error)[:300]}.\n"
                "`workbench sweep --show protocols` prints a study that can be run."
            ) from None
        if unknown := sorted({cell.encoder for cell in found} - set(self.encoders)):
            raise EvaluationError(
                f"Each encoder of a study must be among `encoders`, but {unknown[0]!r} is not.\n"
                f"There are: {', '.join(self.encoders)}."
            )
        return found

    def _require_few(self) -> None:
        """Count before listing: a product of long lists must not fill the memory."""
        count = sum(study.count() for study in self.studies)
        if count > MAX_CELLS:
            raise EvaluationError(
                f"A study may have {MAX_CELLS:,} cells, but this one has {count:,}.\n"
                "Vary less, or give fewer seeds."
            )


def study_names() -> tuple[str, ...]:
    """Names of the studies that come with the package."""
    return tuple(sorted(f.name.removesuffix(".yaml") for f in _FOLDER.iterdir() if
                        f.name.endswith(".yaml")))  # fmt: skip


def study_text(name_or_path: str | Path) -> str:
    """Read a study's YAML: of the package by its name, or from a file.

    Raises:
        EvaluationError: If there is neither.
    """
    if str(name_or_path) in study_names():
        return (_FOLDER / f"{name_or_path}.yaml").read_text(encoding="utf-8")
    path = Path(name_or_path)
    if not path.is_file():
        raise EvaluationError(
            f"There is no study file {path}, and no study of that name.\n"
            f"Named studies are {', '.join(study_names())}."
        )
    return read_text(path, error=EvaluationError)


def read_study(name_or_path: str | Path, changes: Mapping[str, Any] | None = None) -> StudyFile:
    """Read a study.

    Args:
        name_or_path: One of `study_names`, or a YAML file.
        changes: Values in place of the file's: "scale", "seeds", "steps".

    Raises:
        EvaluationError: If there is none, or anything in it is wrong; the first three are told.
    """
    text, name = study_text(name_or_path), Path(name_or_path).name
    document = read_document(text)
    if document.problems:
        raise EvaluationError("\n".join(p.line(name) for p in document.problems[:3]))
    if not isinstance(document.value, dict):
        raise EvaluationError(f"{name} must be a mapping of keys, as encoders and studies.")
    value = document.value
    try:
        return StudyFile.model_validate(_changed(value, changes or {}))
    except ValidationError as error:
        found = error.errors(include_url=False)
        told = [_line(document, details, name) for details in found[:3]]
        more = f" (and {len(found) - 3} more)" if len(found) > 3 else ""
        raise EvaluationError("\n".join(told) + more) from None


def _changed(value: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The file's values with some of them replaced, wherever they stand."""
    found = dict(value)
    if (scale := changes.get("scale")) is not None:
        found["data"] = {**(found.get("data") or {}), "scale": scale}
    if (steps := changes.get("steps")) is not None:
        found["settings"] = {**(found.get("settings") or {}), "steps": steps}
    own = {key: changes[key] for key in ("seeds",) if changes.get(key) is not None}
    if steps is not None:
        own["steps"] = steps
    studies = found.get("studies")
    if own and isinstance(studies, list):
        found["studies"] = [
            {**s, **{k: v for k, v in own.items() if k == "seeds" or k in s}}
            if isinstance(s, dict)
            else s
            for s in studies
        ]
    return found


_WORDS = {"extra_forbidden": "unknown key", "missing": "the key is missing"}


def _line(document: Document, details: ErrorDetails, name: str) -> str:
    """One thing that is wrong, with its place."""
    steps = details["loc"]
    if steps and steps[0] == "studies" and len(steps) > 2:
        steps = (*steps[:2], *steps[3:])  # pydantic names the kind there, which is no key
    at = document.position(steps, of_key=details["type"] == "extra_forbidden")
    message = _WORDS.get(details["type"], details["msg"].replace("Input should be", "must be"))
    return f"{name}:{at.line}:{at.column} {dotted(steps)}: {message}"


def _seeds(seeds: Seeds) -> Sequence[int]:
    return range(seeds) if isinstance(seeds, int) else seeds
