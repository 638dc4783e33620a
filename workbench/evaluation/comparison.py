"""Models with tied mIoU and different maps: found, ranked, and told apart in words.

Scores are taken per image, so that every claim has an interval from drawing the same images for
both models. The edge of a patch is where the cutter cut and no boundary, so it does not count as
one here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.errors import EvaluationError
from workbench.evaluation.attribution import attribution
from workbench.evaluation.curves import TOLERANCES_M, curve_band
from workbench.evaluation.disagreement import DisagreementRules, disagreement, rank_patches
from workbench.evaluation.label_maps import positive_spacing
from workbench.evaluation.model_scores import ModelScores, mean_of_known, score_model
from workbench.evaluation.predictions import Predictions, as_predictions
from workbench.evaluation.statistics import PairedDifference, paired_bootstrap
from workbench.evaluation.verdict import verdict
from workbench.showing import Sheet, Shown, some

_TESTED = {"miou": "mIoU", "boundary": "Boundary IoU", "area": "area under the curve"}
Maps = Predictions | Mapping[str, NDArray[Any]]


@dataclass(frozen=True, repr=False)
class Comparison(Shown):
    """What was found about some models on the same patches."""

    ids: tuple[str, ...]
    """(N,) the patches, in the order of the targets."""
    classes: tuple[str, ...]
    """(K,) names of the classes."""
    models: pd.DataFrame
    """One row a model: model, miou, boundary_iou, curve_area, in [0, 1]."""
    curves: pd.DataFrame
    """Boundary score by model and tolerance_m, mean over classes and images: score, low, high."""
    pairs: tuple["ModelPair", ...]
    """Every two models; those that hide a difference first, the greatest first."""

    @property
    def hidden(self) -> tuple["ModelPair", ...]:
        """Pairs of tied mIoU whose boundaries differ."""
        return tuple(pair for pair in self.pairs if pair.hides_a_difference)

    def pair(self, first: str, second: str) -> "ModelPair":
        """The comparison of two models, whichever of them stands first.

        Raises:
            EvaluationError: If one of them was not compared.
        """
        for found in self.pairs:
            if {found.first, found.second} == {first, second}:
                return found
        known = ", ".join(self.models["model"])
        raise EvaluationError(f"{first!r} and {second!r} were not compared.\nThe models: {known}.")

    def table(self) -> pd.DataFrame:
        """One row a pair: differences first - second in points, with intervals."""
        return pd.DataFrame([found.row() for found in self.pairs])

    def _sheet(self) -> Sheet:
        rows = [
            (f"{pair.first} - {pair.second}", *map(_in_points, pair.tests.values()),
             "hides a difference" if pair.hides_a_difference else "")
            for pair in self.pairs
        ]  # fmt: skip
        header = ("models", *(f"{name}, points" for name in _TESTED.values()), "")
        return Sheet(str(self), header, rows)

    def __str__(self) -> str:
        tied = [pair for pair in self.pairs if pair.miou.is_tie]
        told = (
            f"{len(self.pairs)} pairs of {len(self.models)} models on {len(self.ids)} patches: "
            f"{len(tied)} are tied in mIoU, and of these {len(self.hidden)} differ at boundaries."
        )
        if not self.hidden:
            return f"{told}\nNo tie hides a difference here; the pair shown differs most."
        return f"{told}\nThe tie that hides most: {self.pairs[0].first} and {self.pairs[0].second}."


@dataclass(frozen=True, repr=False)
class ModelPair(Shown):
    """Two models on the same patches; the second one has the worse boundaries, if they differ."""

    first: str
    """Name of the model with the better boundaries."""
    second: str
    """Name of the other one."""
    miou: PairedDifference
    """Of macro mIoU over all images, first - second."""
    boundary: PairedDifference
    """Of the images' mean Boundary IoU."""
    area: PairedDifference
    """Of the images' mean area under the boundary curve."""
    ranking: pd.DataFrame
    """Patches by disagreement, the most disputed first: id, score, area, boundary, thin,
    objects."""
    attribution: pd.DataFrame
    """What each model alone gets right, by class, distance, object size and width."""
    gsd: float
    """Ground size of a pixel in metres."""
    paragraph: str = field(default="", compare=False)
    """What the second model loses, in words."""

    @property
    def tests(self) -> dict[str, PairedDifference]:
        """The three differences by name: miou, boundary, area."""
        return {name: getattr(self, name) for name in _TESTED}

    def _sheet(self) -> Sheet:
        rows = [(_TESTED[name], _in_points(test)) for name, test in self.tests.items()]
        rows.append(("most disputed patches", some(self.ranking["id"].tolist())))
        caption = f"{self.first} - {self.second}: {self.paragraph}"
        return Sheet(caption, ("of", "difference in points"), rows)

    @property
    def hides_a_difference(self) -> bool:
        """True if mIoU is tied and a boundary score is not."""
        return self.miou.is_tie and not (self.boundary.is_tie and self.area.is_tie)

    @property
    def hidden(self) -> float:
        """Difference in area under the boundary curve beyond that in mIoU, which hides it."""
        return self.area.difference - abs(self.miou.difference)

    def row(self) -> dict[str, Any]:
        """The pair as one row of a table, in points (hundredths)."""
        found: dict[str, Any] = {"first": self.first, "second": self.second}
        for name, test in self.tests.items():
            ends = {"": test.difference, "_low": test.low, "_high": test.high}
            found |= {f"{name}{end}": 100 * value for end, value in ends.items()}
            found[f"{name}_tied"] = test.is_tie
        return {**found, "hides_a_difference": self.hides_a_difference}


def _in_points(test: PairedDifference) -> str:
    """A difference with its interval in hundredths, and whether it is a tie."""
    low, high = 100 * test.low, 100 * test.high
    tied = ", tied" if test.is_tie else ""
    return f"{100 * test.difference:+.2f} [{low:+.2f}, {high:+.2f}]{tied}"


def compare_models(
    predictions: Mapping[str, Maps],
    targets: Maps,
    *,
    classes: int | Sequence[str] | None = None,
    gsd: float | None = None,
    ignore_index: int | None = None,
    tolerances_m: Sequence[float] = TOLERANCES_M,
    dilation: int | float = 0.02,
    rules: DisagreementRules | None = None,
    groups: Mapping[str, Any] | None = None,
    level: float = 0.95,
    draws: int = 2000,
    rng: np.random.Generator | None = None,
) -> Comparison:
    """Find models whose mIoU is tied but whose maps differ, and say where and how.

    Args:
        predictions: Each model's maps by its name, as `Predictions` or as (H, W) arrays by id.
        targets: The true maps, likewise. Maps are matched by id; every target needs a prediction of
            every model, and predictions without a target are left out and logged.
        classes: Number of classes or their names; None if the targets are `Predictions`.
        gsd: Ground size of a pixel in metres; None if the targets are `Predictions`.
        ignore_index: Value of target pixels that are left out; None: that of the targets, if any.
        tolerances_m: Tolerances of the boundary curve in metres, rising, from 0.
        dilation: Band of Boundary IoU: pixels, or a share of the diagonal in (0, 1).
        rules: What counts as boundary, thin and object in the ranking; None for the defaults.
        groups: Group of each patch by id, drawn as a whole, as overlap components; None: those of
            the targets, and if they have none, patches are independent.
        level: Level of the intervals, in (0, 1).
        draws: Bootstrap draws, >= 100.
        rng: Source of the draws; None for the same draws every time.

    Returns:
        Scores, curves, and every pair of models compared.

    Raises:
        EvaluationError: If there are fewer than two models, maps do not fit their targets or the
            classes, or a target has no prediction.
        ValueError: If there are fewer than two (groups of) patches.
    """
    truth = _targets(targets, classes, gsd, ignore_index)
    if len(predictions) < 2:
        raise EvaluationError(
            f"A comparison needs at least two models, but has {', '.join(predictions) or 'none'}."
        )
    _require_labels(truth)
    maps = {
        str(name): as_predictions(str(name), given, truth).of(truth.ids)
        for name, given in predictions.items()
    }
    scored = {
        name: score_model(name, found, truth, tolerances_m, dilation)
        for name, found in maps.items()
    }
    if groups is None and truth.groups:
        groups = dict(zip(truth.ids, truth.groups, strict=True))
    group = None if groups is None else _groups(groups, truth.ids)
    rng = rng or np.random.default_rng(0)
    pairs = []
    for names in combinations(maps, 2):
        tests = _tests([scored[name] for name in names], group, level, draws, rng)
        pairs.append(_pair(*_better_first(names, tests), maps, truth, rules))
    order = sorted(pairs, key=lambda p: (not p.hides_a_difference, -p.hidden))
    return Comparison(
        truth.ids,
        truth.classes,
        pd.DataFrame([found.row() for found in scored.values()]),
        _curve_table(scored, tolerances_m, group, level, rng),
        tuple(order),
    )


def _better_first(
    names: tuple[str, str], tests: dict[str, PairedDifference]
) -> tuple[tuple[str, str], dict[str, PairedDifference]]:
    """The model with the better boundaries first: by the curve, or by Boundary IoU if that ties."""
    telling = "boundary" if tests["area"].is_tie else "area"
    if tests[telling].difference >= 0:
        return names, tests
    return names[::-1], {name: _turned(test) for name, test in tests.items()}


def _targets(
    given: Maps, classes: int | Sequence[str] | None, gsd: float | None, ignore_index: int | None
) -> Predictions:
    found = as_predictions("target", given)
    names = found.classes
    if classes is not None:
        names = tuple(map(str, range(classes) if isinstance(classes, int) else classes))
    size = gsd if gsd is not None else found.gsd if isinstance(given, Predictions) else None
    if not names or size is None:
        raise EvaluationError(
            f"A comparison needs the {'classes' if not names else 'size of a pixel'}.\n"
            "Give `classes` and `gsd` (metres), or targets as `Predictions`, which know both."
        )
    positive_spacing(size)
    ignored = ignore_index if ignore_index is not None else found.ignore_index
    return replace(found, model="target", classes=names, gsd=size, ignore_index=ignored)


def _require_labels(truth: Predictions) -> None:
    ignored = truth.ignore_index
    if ignored is not None and not any((np.asarray(m) != ignored).any() for m in truth.maps):
        raise EvaluationError(
            f"A comparison needs a labelled pixel, but all of the {len(truth.ids)} targets hold "
            f"the ignored {ignored} only.\nIs ignore_index right?"
        )


def _groups(groups: Mapping[str, Any], ids: Sequence[str]) -> list[Any]:
    missing = [i for i in ids if i not in groups]
    if missing:
        raise EvaluationError(
            f"Each patch needs its group, but {missing[0]!r} ({len(missing)} in all) has none."
        )
    return [groups[i] for i in ids]


def _tests(
    scored: Sequence[ModelScores], group: Any, level: float, draws: int, rng: np.random.Generator
) -> dict[str, PairedDifference]:
    a, b = scored
    rules: dict[str, Any] = {"groups": group, "level": level, "draws": draws}
    return {
        name: paired_bootstrap(getattr(a, name), getattr(b, name), rng=rng, **rules)
        for name in _TESTED
    }


def _turned(test: PairedDifference) -> PairedDifference:
    """The same test with the models in the other order."""
    return replace(test, difference=-test.difference, low=-test.high, high=-test.low)


def _pair(
    names: tuple[str, ...],
    tests: dict[str, PairedDifference],
    maps: Mapping[str, NDArray[Any]],
    truth: Predictions,
    rules: DisagreementRules | None,
) -> ModelPair:
    first, second = (maps[name] for name in names)
    target = np.asarray(truth.maps)
    ignored = truth.ignore_index
    valid = None if ignored is None else target != ignored
    if valid is not None:  # what a model says where nothing is known is nobody's business
        first, second = (np.where(valid, m, 0) for m in (first, second))
    measured = disagreement(first, second, classes=len(truth.classes), rules=rules, valid=valid)
    shares = attribution(
        first, second, target, classes=truth.classes, gsd=truth.gsd, ignore_index=ignored
    )
    found = ModelPair(
        names[0],
        names[1],
        miou=tests["miou"],
        boundary=tests["boundary"],
        area=tests["area"],
        ranking=rank_patches(truth.ids, measured),
        attribution=shares,
        gsd=truth.gsd,
    )
    return replace(found, paragraph=verdict(found))


def _curve_table(
    scored: Mapping[str, ModelScores],
    tolerances_m: Sequence[float],
    group: Any,
    level: float,
    rng: np.random.Generator,
) -> pd.DataFrame:
    parts = []
    for name, found in scored.items():
        low, high = curve_band(found.curves[:, :, None], groups=group, level=level, rng=rng)
        columns = {"score": mean_of_known(found.curves, 0), "low": low[:, 0], "high": high[:, 0]}
        parts.append(pd.DataFrame({"model": name, "tolerance_m": tolerances_m, **columns}))
    return pd.concat(parts, ignore_index=True)
