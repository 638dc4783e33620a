"""Models with tied mIoU and different maps: found, ranked, and told apart in words.

Scores are taken per image, so that every claim has an interval and a p-value over the same groups
of images for both models. One boundary measure, chosen beforehand, decides whether a tie hides a
difference, and its p-values are corrected for all pairs looked at (Holm). The edge of a patch is
where the cutter cut and no boundary, so it does not count as one here.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.errors import EvaluationError
from workbench.evaluation.attribution import attribution
from workbench.evaluation.blockiness import blockiness
from workbench.evaluation.curves import TOLERANCES_M, curve_band
from workbench.evaluation.disagreement import DisagreementRules, disagreement, rank_patches
from workbench.evaluation.label_maps import positive_spacing
from workbench.evaluation.label_noise import LabelShift, estimate_shift
from workbench.evaluation.model_scores import ModelScores, mean_of_known, score_model
from workbench.evaluation.predictions import Predictions, as_predictions, matched
from workbench.evaluation.resampling import MIN_GROUPS, Floats, by_group, group_numbers, leave_out
from workbench.evaluation.statistics import PairedDifference, paired_bootstrap
from workbench.evaluation.statistics_many import (
    ResolutionFloor,
    corrected,
    floor_of,
    least_p_value,
)
from workbench.evaluation.verdict import signed, verdict
from workbench.showing import Sheet, Shown, some

log = logging.getLogger(__name__)

_TESTED = {"miou": "mIoU", "boundary": "Boundary IoU", "area": "area under the curve"}
Measure = Literal["boundary", "area"]
"""The boundary measure that decides: Boundary IoU, or the area under the boundary curve."""
_EXPLAINED = 48
"""Most disputed patches on which shifts and blocks are looked for."""
_PERIODS = (2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 32)
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
    """Every two models; those that hide a difference first, the surest and greatest first."""
    measure: Measure = "boundary"
    """The boundary measure that decides."""
    n_groups: int = 0
    """Groups of patches over which intervals and p-values are."""
    has_groups: bool = True
    """False if nothing says which patches are of one block of ground: then each is taken for
    independent, and intervals are too short if neighbours are among them."""

    @property
    def hidden(self) -> tuple["ModelPair", ...]:
        """Pairs of tied mIoU whose boundaries differ, corrected for all pairs."""
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

    @property
    def floors(self) -> dict[str, ResolutionFloor]:
        """The smallest difference told apart here, by score: the median over pairs."""
        found = {}
        for name in _TESTED:
            errors = [pair.errors[name] for pair in self.pairs]
            known = [error for error in errors if np.isfinite(error)]
            error = float(np.median(known)) if known else float("nan")
            found[name] = floor_of(error, self.n_groups, level=self.pairs[0].miou.level)
        return found

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know before the numbers, one sentence each."""
        notes = []
        if not self.has_groups:
            notes.append(
                "No groups: nothing says which patches are of one block of ground, so each of the "
                f"{self.n_groups} counts as independent; if some are neighbours, intervals are too "
                "short and p-values too small."
            )
        pairs, level = len(self.pairs), self.pairs[0].miou.level
        if self.n_groups < MIN_GROUPS:
            notes.append(
                f"No difference is claimed from {self.n_groups} groups of patches: at least "
                f"{MIN_GROUPS} are needed."
            )
        elif pairs * least_p_value(self.n_groups) > 1 - level:
            notes.append(
                f"With {self.n_groups} groups of patches no difference among {pairs} pairs can "
                f"survive the correction: the smallest corrected p-value there can be is "
                f"{min(1.0, pairs * least_p_value(self.n_groups)):.2g}."
            )
        seen = [test.warning for pair in self.pairs for test in pair.tests.values() if test.claims]
        if warning := next((w for w in seen if w), ""):
            notes.append(f"Intervals: {warning}.")
        return tuple(notes)

    def __str__(self) -> str:
        tied = [pair for pair in self.pairs if pair.miou.is_tie]
        many = len(self.pairs) > 1
        what = _TESTED[self.measure] + (", corrected for all pairs" if many else "")
        told = (
            f"{len(self.pairs)} {'pairs' if many else 'pair'} of {len(self.models)} models on "
            f"{len(self.ids)} patches in {self.n_groups} groups: {len(tied)} tied in mIoU, "
            f"and {len(self.hidden)} of these differ in {what}."
        )
        if not self.hidden:
            return f"{told}\nNo tie hides a difference that these patches can tell."
        return f"{told}\nThe tie that hides most: {self.pairs[0].first} and {self.pairs[0].second}."


@dataclass(frozen=True, repr=False)
class ModelPair(Shown):
    """Two models on the same patches; the second has the lower boundary measure."""

    first: str
    """Name of the model with the higher boundary measure."""
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
    """What the second model loses, in words; or that the boundary scores disagree, and why."""
    measure: Measure = "boundary"
    """The boundary measure that decides."""
    widths: pd.DataFrame = field(default_factory=pd.DataFrame, compare=False)
    """Difference of the boundary scores at each tolerance: tolerance_m, difference, low, high; the
    intervals hold for all tolerances together (Bonferroni)."""
    shifts: Mapping[str, LabelShift] = field(default_factory=dict, compare=False)
    """By model, how the labels seem to be moved against its maps; only of pairs that differ."""
    blocks: Mapping[str, float] = field(default_factory=dict, compare=False)
    """By model, the period in pixels of blocks in its maps; only of models that have some."""
    errors: Mapping[str, float] = field(default_factory=dict, compare=False)
    """Standard error of each difference, over groups."""

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
    def test(self) -> PairedDifference:
        """Of the boundary measure that decides."""
        found: PairedDifference = getattr(self, self.measure)
        return found

    @property
    def hides_a_difference(self) -> bool:
        """True if mIoU is tied and the boundary measure is not, corrected for all pairs."""
        return self.miou.is_tie and not self.test.is_tie

    @property
    def contradicts(self) -> bool:
        """True if the boundary scores favour different models, so that neither is the better one.

        Boundary IoU and the area under the curve both differ, in opposite directions; or the
        measure that decides differs, and the curve does so the other way at some tolerance.
        """
        one, other = self.boundary, self.area
        if not one.is_tie and not other.is_tie and one.difference * other.difference < 0:
            return True
        if self.test.is_tie or not len(self.widths):
            return False
        sign = np.sign(self.test.difference)
        ends = self.widths["high"] if sign > 0 else -self.widths["low"]
        return bool((ends < 0).any())

    @property
    def hidden(self) -> float:
        """Difference in the boundary measure beyond that in mIoU, which hides it."""
        return self.test.difference - abs(self.miou.difference)

    def row(self) -> dict[str, Any]:
        """The pair as one row of a table, in points (hundredths)."""
        found: dict[str, Any] = {"first": self.first, "second": self.second}
        for name, test in self.tests.items():
            ends = {"": test.difference, "_low": test.low, "_high": test.high}
            found |= {f"{name}{end}": 100 * value for end, value in ends.items()}
            found |= {f"{name}_p": test.p_value, f"{name}_p_holm": test.p_corrected}
            found[f"{name}_tied"] = test.is_tie
        found["scores_disagree"] = self.contradicts
        return {**found, "hides_a_difference": self.hides_a_difference}


def _in_points(test: PairedDifference) -> str:
    """A difference with its interval in hundredths, and whether it is a tie."""
    tied = ", tied" if test.is_tie else ""
    low, high = signed(100 * test.low), signed(100 * test.high)
    return f"{signed(100 * test.difference)} [{low}, {high}]{tied}"


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
    measure: Measure = "boundary",
    level: float = 0.95,
    draws: int = 2000,
    rng: np.random.Generator | None = None,
) -> Comparison:
    """Find models whose mIoU is tied but whose maps differ, and say where and how.

    Args:
        predictions: Each model's maps by its name, as `Predictions` or as (H, W) arrays by id.
        targets: The true maps, likewise. Maps are matched by id; every target needs a prediction of
            every model, and predictions without a target are left out and logged. Classes of
            `Predictions` are matched by name.
        classes: Number of classes or their names; None if the targets are `Predictions`.
        gsd: Ground size of a pixel in metres; None if the targets are `Predictions`.
        ignore_index: Value of target pixels that are left out; None: that of the targets, if any.
        tolerances_m: Tolerances of the boundary curve in metres, rising, from 0.
        dilation: Band of Boundary IoU: pixels, or a share of the diagonal in (0, 1).
        rules: What counts as boundary, thin and object in the ranking; None for the defaults.
        groups: Group of each patch by id, drawn as a whole, as overlap components; None: those of
            the targets or of the predictions, and if none has any, patches are independent, which
            the result says.
        measure: The one boundary measure that decides which ties hide a difference, chosen before
            looking: "boundary" (mean Boundary IoU) or "area" (under the boundary curve).
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
    if measure not in get_args(Measure):
        raise EvaluationError(f"`measure` is 'boundary' or 'area', not {measure!r}.")
    told = {str(name): matched(str(name), given, truth) for name, given in predictions.items()}
    maps = {name: given.of(truth.ids) for name, given in told.items()}
    scored = {
        name: score_model(name, found, truth, tolerances_m, dilation)
        for name, found in maps.items()
    }
    if groups is None:
        groups = _known_groups(truth, told)
    group = None if groups is None else _groups(groups, truth.ids)
    numbers, n_groups = group_numbers(group, len(truth.ids))
    rng = rng or np.random.default_rng(0)
    named = list(combinations(maps, 2))
    tests = [_tests([scored[name] for name in names], group, level, draws, rng) for names in named]
    for name in _TESTED:  # each measure is a family of its own
        for each, test in zip(tests, corrected([t[name] for t in tests]), strict=True):
            each[name] = test
    pairs = []
    for names, found in zip(named, tests, strict=True):
        first_two, turned = _better_first(names, found, measure)
        models = [scored[name] for name in first_two]
        about = {
            "measure": measure,
            "widths": _widths(models, tolerances_m, numbers, n_groups, level),
            "errors": _errors(models, numbers, n_groups),
        }
        pairs.append(_pair(first_two, turned, maps, truth, rules, about))
    order = sorted(pairs, key=lambda p: (not p.hides_a_difference, p.test.p_corrected, -p.hidden))
    return Comparison(
        truth.ids,
        truth.classes,
        pd.DataFrame([found.row() for found in scored.values()]),
        _curve_table(scored, tolerances_m, group, level, rng),
        tuple(order),
        measure,
        n_groups,
        group is not None,
    )


def _known_groups(truth: Predictions, models: Mapping[str, Predictions]) -> dict[str, str] | None:
    """The groups that targets and predictions carry; they must divide the patches alike.

    Raises:
        EvaluationError: If two sets divide the patches in other ways.
    """
    found: dict[str, str] | None = None
    source = "the targets"
    for name, given in {"the targets": truth, **models}.items():
        if not given.groups:
            continue
        mine = dict(zip(given.ids, given.groups, strict=True))
        mine = {i: mine[i] for i in truth.ids}
        if found is None:
            found, source = mine, name
            continue
        both = {(found[i], mine[i]) for i in truth.ids}
        if not len(both) == len(set(found.values())) == len(set(mine.values())):
            raise EvaluationError(
                f"Patches must be of the same blocks of ground in all sets, but {name!r} groups "
                f"them otherwise than {source!r} does.\nGive `groups`, or predict on one split."
            )
    return found


def _widths(
    models: Sequence[ModelScores],
    tolerances_m: Sequence[float],
    numbers: NDArray[np.int64],
    n_groups: int,
    level: float,
) -> pd.DataFrame:
    """Difference of two models' curves at each tolerance, with intervals for all of them."""
    from scipy import stats

    reach = stats.t.ppf(1 - (1 - level) / 2 / len(tolerances_m), n_groups - 1)
    rows = []
    for tolerance, gap in zip(tolerances_m, (models[0].curves - models[1].curves).T, strict=True):
        if np.isnan(gap).all():
            rows.append((tolerance, np.nan, np.nan, np.nan))
            continue
        spread = leave_out(by_group(gap, numbers, n_groups))
        ends = (spread.value - reach * spread.error, spread.value + reach * spread.error)
        rows.append((tolerance, spread.value, *ends))
    return pd.DataFrame(rows, columns=["tolerance_m", "difference", "low", "high"])


def _errors(
    models: Sequence[ModelScores], numbers: NDArray[np.int64], n_groups: int
) -> dict[str, float]:
    """Standard error of each difference of two models."""
    found = {}
    for name in _TESTED:
        values: Any = [getattr(model, name) for model in models]
        if name != "miou":
            gap: Floats = values[0] - values[1]
            known = not np.isnan(gap).all()
            score = by_group(gap, numbers, n_groups) if known else None
        else:
            score = by_group(values[0], numbers, n_groups).minus(
                by_group(values[1], numbers, n_groups)
            )
        found[name] = float("nan") if score is None else leave_out(score).error
    return found


def _better_first(
    names: tuple[str, str], tests: dict[str, PairedDifference], measure: Measure
) -> tuple[tuple[str, str], dict[str, PairedDifference]]:
    """The model with the higher boundary measure first."""
    if not tests[measure].difference < 0:  # NaN without boundaries
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
    found = {"miou": paired_bootstrap(a.miou, b.miou, rng=rng, **rules)}
    for name in ("boundary", "area"):
        one, other = getattr(a, name), getattr(b, name)
        known = int((~(np.isnan(one) | np.isnan(other))).sum())
        if known < 2:  # no boundaries: that is said, and mIoU is still compared
            of = found["miou"]
            nothing = float("nan")
            found[name] = PairedDifference(
                nothing, nothing, nothing, 1.0, level, known, of.n_groups, of.n_images - known
            )
            continue
        try:
            found[name] = paired_bootstrap(one, other, rng=rng, **rules)
        except ValueError as error:  # boundaries in one group only
            if "at least 2 groups" not in str(error):
                raise
            gap = float(np.nanmean(one - other))
            nothing = float("nan")
            left = len(one) - known
            found[name] = PairedDifference(gap, nothing, nothing, 1.0, level, known, 1, left)
    return found


def _turned(test: PairedDifference) -> PairedDifference:
    """The same test with the models in the other order."""
    return replace(test, difference=-test.difference, low=-test.high, high=-test.low)


def _pair(
    names: tuple[str, ...],
    tests: dict[str, PairedDifference],
    maps: Mapping[str, NDArray[Any]],
    truth: Predictions,
    rules: DisagreementRules | None,
    about: Mapping[str, Any],
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
        **about,
    )
    if not (found.boundary.is_tie and found.area.is_tie):
        found = replace(found, **_explanations(found, maps, truth))
    return replace(found, paragraph=verdict(found))


def _explanations(
    pair: ModelPair, maps: Mapping[str, NDArray[Any]], truth: Predictions
) -> dict[str, Any]:
    """Shifts and blocks of both models, on the patches that they dispute most."""
    place = {name: i for i, name in enumerate(truth.ids)}
    rows = [place[str(i)] for i in pair.ranking["id"].head(_EXPLAINED)]
    target = np.asarray(truth.maps)[rows]
    side, k = min(target.shape[1:]), len(truth.classes)
    ignored = truth.ignore_index
    periods = [p for p in _PERIODS if p <= side // 4]
    shifts, blocks = {}, {}
    for name in (pair.first, pair.second):
        mine = maps[name][rows]
        if ignored is not None:
            mine = np.where(target == ignored, 0, mine)
        if side > 2 * (3 + 2):
            try:
                shifts[name] = estimate_shift(mine, target, classes=k, ignore_index=ignored)
            except EvaluationError as error:
                log.info("no shift of %s: %s", name, error)
        if periods:
            found = blockiness(
                mine, classes=k, target=target, periods=periods, ignore_index=ignored, offset=(0, 0)
            )
            if found.period is not None:
                blocks[name] = float(found.period)
    return {"shifts": shifts, "blocks": blocks}


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
