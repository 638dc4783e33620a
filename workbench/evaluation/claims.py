"""The talk's readings as claims, each with a verdict from data.

A claim says where the difference of two kinds of cells must lie. All else being equal, cells are
paired and compared; the claim is supported if every interval lies inside, not supported if one
lies wholly outside, and not resolvable here otherwise. Margins are ours: the talk states none.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from workbench.evaluation.published_tables import DESIGN, published_table
from workbench.evaluation.resampling import MIN_GROUPS
from workbench.evaluation.results import ResultsTable
from workbench.evaluation.statistics_seeds import MIN_SEEDS, compare_seeds
from workbench.evaluation.table_rows import sliced

Verdict = Literal["supported", "not supported", "not resolvable here"]
MARGIN = 0.01
"""Differences within this are called small, close or similar: one point of a percentage."""


@dataclass(frozen=True)
class Claim:
    """A sentence about models that data can speak for or against."""

    name: str
    """Short name."""
    sentence: str
    """What is claimed."""
    a: Mapping[str, tuple[str, ...]]
    """Cells on one side: for each column the values that belong to it; "family" is convnet or
    vit, "size" the last letter of a transformer."""
    b: Mapping[str, tuple[str, ...]]
    """Cells on the other side."""
    at_least: float = -math.inf
    """Lower end of where the score of `a` minus that of `b` must lie, scores in [0, 1]."""
    at_most: float = math.inf
    """Upper end."""
    aside: tuple[str, ...] = ()
    """Columns that may differ within a pair, beside those of `a` and `b`."""
    published: str | None = None
    """The published table it was read from."""


@dataclass(frozen=True)
class Judgement:
    """A claim and what the data say."""

    claim: Claim
    """What was claimed."""
    verdict: Verdict
    """"supported", "not supported" or "not resolvable here"."""
    reason: str
    """Why, with numbers."""
    pairs: pd.DataFrame
    """One row a comparison: pair, difference, low, high, n_seeds, and of runs n_groups."""


def _gain(name: str, sentence: str, protocol: str, inits: Sequence[str], **more: Any) -> Claim:
    """A claim about pretrained cells of a protocol against scratch (or a frozen random network)."""
    against = "frozen" if protocol == "frozen" else "scratch"
    a = {"init": tuple(inits), "protocol": (protocol,)}
    return Claim(name, sentence, a, {"init": ("random",), "protocol": (against,)}, **more)


_SSL: dict[str, Any] = {"published": "ssl_comparison"}
_FOREST: dict[str, Any] = {"published": "forest_segmentation"}
_SIZES: dict[str, Any] = {"published": "large_vits"}
_PRETRAINED = ("moco", "dino", "mae")
_OF_FAMILIES: dict[str, Any] = {"a": {"family": ("convnet",)}, "b": {"family": ("vit",)}}

CLAIMS: tuple[Claim, ...] = (
    _gain("frozen_contrastive", "DINO and MoCo perform well when the encoder is frozen: better "
          "than a frozen random one.", "frozen", ("moco", "dino"), at_least=0, **_SSL),
    _gain("little_gain_in_full", "DINO and MoCo bring little benefit when all is fine-tuned: less "
          "than a point over scratch.", "full", ("moco", "dino"), at_most=MARGIN, **_SSL),
    _gain("mae_full", "MAE improves fine-tuning over scratch.", "full", ("mae",), at_least=0,
          **_SSL),
    Claim("convnets_competitive", "ConvNets are not out of the game: at most a point below the "
          "transformer.", at_least=-MARGIN, aside=("encoder", "decoder"), **_OF_FAMILIES, **_SSL),
    _gain("adapter_near_scratch", "Tuning the adapter alone comes close to training from scratch, "
          "or above it: at most a point below.", "adapter", _PRETRAINED, at_least=-MARGIN, **_SSL),
    Claim("adapter_over_frozen", "Tuning the adapter improves on the frozen encoder.",
          {"protocol": ("adapter",)}, {"protocol": ("frozen",)}, at_least=0, **_SSL),
    Claim("nlcd_scratch", "On NLCD a ResNet-50 from scratch beats the pretrained ones.",
          {"task": ("nlcd",), "family": ("convnet",), "init": ("random",),
           "protocol": ("scratch",)},
          {"task": ("nlcd",), "family": ("convnet",), "init": ("moco", "dino"),
           "protocol": ("full",)}, at_least=0, **_SSL),
    Claim("large_mae", "Large transformers pretrained with MAE always improve on scratch.",
          {"init": ("mae",), "protocol": ("full",), "size": ("b", "l", "h", "g")},
          {"init": ("random",), "protocol": ("scratch",), "size": ("b", "l", "h", "g")},
          at_least=0, **_SIZES),
    Claim("size_helps_modestly", "Larger transformers gain modestly over the base size: more than "
          "nothing, less than two points.", {"size": ("l", "h", "g"), "init": ("mae",)},
          {"size": ("b",), "init": ("mae",)}, at_least=0, at_most=2 * MARGIN, aside=("encoder",),
          **_SIZES),
    Claim("giant_no_better", "The giant transformer is not better than the huge one.",
          {"size": ("g",)}, {"size": ("h",)}, at_most=0, aside=("encoder",), **_SIZES),
    _gain("forest_pretraining", "On forests pretraining consistently improves the results.", "full",
          ("moco", "dino"), at_least=0, **_FOREST),
    Claim("resnet50_no_better", "ResNet-50 does not improve upon ResNet-18: by less than half a "
          "point.", {"encoder": ("resnet50",)}, {"encoder": ("resnet18",)}, at_most=MARGIN / 2,
          **_FOREST),
    Claim("families_alike", "ResNets and transformers perform alike on forests: within a point.",
          at_least=-MARGIN, at_most=MARGIN, aside=("encoder", "decoder"), **_OF_FAMILIES,
          **_FOREST),
    Claim("unet", "The UNet never gets old: no worse than DeepLabV3+.", {"decoder": ("unet",)},
          {"decoder": ("deeplabv3+",)}, at_least=0, **_FOREST),
)  # fmt: skip
"""The talk's readings of its tables."""


def published_differences(claim: Claim) -> pd.DataFrame:
    """The differences that a claim was read from, as printed: single runs, without any spread.

    Returns:
        One row a pair: pair, difference (in [0, 1]), agrees (bool); empty without a table.
    """
    if claim.published is None:
        return pd.DataFrame({"pair": [], "difference": [], "agrees": []})
    frame = published_table(claim.published).frame
    if "Overall Accuracy" in set(frame["metric"]):  # its mean IoU says the same, with a slip
        frame = frame[frame["metric"] == "Overall Accuracy"]
    rows = []
    for first, second in _pairs(frame, claim, (*DESIGN, "metric")):
        gap = (float(first["value"].iloc[0]) - float(second["value"].iloc[0])) / 100
        rows.append((_name(first, second), gap, claim.at_least <= gap <= claim.at_most))
    return pd.DataFrame(rows, columns=["pair", "difference", "agrees"])


def judge_published(claim: Claim) -> Judgement:
    """Judge a claim by the printed numbers alone: never more than how many agree.

    Single runs cannot tell a difference from another seed, so the verdict stays open.
    """
    found = published_differences(claim)
    text = (
        f"{int(found['agrees'].sum())} of {len(found)} printed differences agree; they are single "
        "runs without any spread."
    )
    pairs = found.assign(low=math.nan, high=math.nan, n_seeds=1)
    return Judgement(claim, "not resolvable here", text, pairs.drop(columns="agrees"))


def judge(
    claim: Claim,
    results: ResultsTable,
    *,
    metric: str | Mapping[str, str],
    where: Mapping[str, Any] | None = None,
    level: float = 0.95,
    draws: int = 2000,
    rng: np.random.Generator,
) -> Judgement:
    """Judge a claim by a study's results.

    Intervals are as wide as their number demands (Bonferroni), so that the verdict as a whole has
    the level asked for.

    Args:
        claim: One of `CLAIMS`, or your own.
        results: The study.
        metric: Metric to compare by, or one for each task; higher is better.
        where: Values that rows must have to enter, as ``{"fraction": 1.0}``.
        level: Level of the verdict, in (0, 1).
        draws: Number of draws of seeds and images, >= 100.
        rng: Source of the draws.

    Raises:
        ManifestError: If no row has the values asked for.
    """
    frame = results.frame()
    if not frame.empty:
        frame = sliced(frame, where or {})
    pairs = [] if frame.empty else list(_pairs(frame, claim, _design(frame)))
    if not pairs:
        text = "The results have no two cells that differ in this, all else being equal."
        return Judgement(claim, "not resolvable here", text, pd.DataFrame())
    rows = []
    for first, second in pairs:
        name = metric if isinstance(metric, str) else metric[str(first["task"].iloc[0])]
        seeds = [
            [results.record(k).scores()[name] for k in side["key"]] for side in (first, second)
        ]
        groups = results.record(str(first["key"].iloc[0])).groups
        found = compare_seeds(
            *seeds, groups=groups, level=1 - (1 - level) / len(pairs), draws=draws, rng=rng
        )
        row = (_name(first, second), found.difference, found.low, found.high, min(found.n_seeds))
        rows.append((*row, found.n_groups))
    columns = ["pair", "difference", "low", "high", "n_seeds", "n_groups"]
    table = pd.DataFrame(rows, columns=columns)
    return Judgement(claim, *_verdict(claim, table), table)


def verdicts(
    claims: Sequence[Claim],
    results: ResultsTable | None,
    *,
    metric: str | Mapping[str, str],
    where: Mapping[str, Any] | None = None,
    draws: int = 2000,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Judge several claims, by the printed numbers and by our runs.

    Args:
        claims: As `CLAIMS`.
        results: Our study; None if there is none.
        metric: Metric to compare by, or one for each task; higher is better.
        where: Values that rows must have to enter.
        draws: Number of draws of seeds and images, >= 100.
        rng: Source of the draws.

    Returns:
        One row a claim: claim, printed_agree ("12 of 12": printed differences that lie where they
        must), printed_verdict, our_verdict, our_reason.
    """
    rows = []
    for claim in claims:
        printed, found = judge_published(claim), published_differences(claim)
        agree = f"{int(found['agrees'].sum())} of {len(found)}" if len(found) else "–"
        row = {"claim": claim.sentence, "printed_agree": agree, "printed_verdict": printed.verdict}
        if results is None:
            row |= {"our_verdict": "not run", "our_reason": ""}
        else:
            ours = judge(claim, results, metric=metric, where=where, draws=draws, rng=rng)
            row |= {"our_verdict": ours.verdict, "our_reason": ours.reason}
        rows.append(row)
    return pd.DataFrame(rows)


def _verdict(claim: Claim, pairs: pd.DataFrame) -> tuple[Verdict, str]:
    if (pairs["n_seeds"] < MIN_SEEDS).any():
        few = int(pairs["n_seeds"].min())
        return "not resolvable here", f"{few} seeds are fewer than {MIN_SEEDS}."
    if (pairs["n_groups"] < MIN_GROUPS).any():
        few = int(pairs["n_groups"].min())
        return "not resolvable here", f"{few} groups of images are fewer than {MIN_GROUPS}."
    inside = (pairs["low"] > claim.at_least) & (pairs["high"] < claim.at_most)
    outside = (pairs["low"] > claim.at_most) | (pairs["high"] < claim.at_least)
    span = f"{100 * pairs['difference'].min():+.2f} to {100 * pairs['difference'].max():+.2f}"
    counts = f"{int(inside.sum())} of {len(pairs)} differences ({span} points) lie where they must"
    if outside.any():
        worst = pairs.loc[outside, "pair"].iloc[0]
        return "not supported", f"{counts}, {int(outside.sum())} do not (such as {worst})."
    if inside.all():
        return "supported", f"{counts}."
    return "not resolvable here", f"{counts}, the others cannot be told."


def _design(frame: pd.DataFrame) -> tuple[str, ...]:
    """Columns that tell cells apart, without the seed and the draw of labels."""
    return tuple(name for name in frame.attrs["design"] if name not in ("seed", "draw"))


def _pairs(
    frame: pd.DataFrame, claim: Claim, design: Sequence[str]
) -> list[tuple[pd.DataFrame, pd.DataFrame]]:
    """Cells of both sides that are equal in all that the claim does not name."""
    encoder = frame["encoder"].astype(str)
    is_net = encoder.str.contains("resnet")
    frame = frame.assign(
        family=np.where(is_net, "convnet", "vit"), size=np.where(is_net, "", encoder.str[-1])
    )
    named = {*claim.a, *claim.b, *claim.aside}
    equal = [column for column in design if column not in named]
    keys = list(design)
    sides = []
    for wanted in (claim.a, claim.b):
        chosen = np.logical_and.reduce([frame[c].isin(v) for c, v in wanted.items()])
        sides.append([cell for _, cell in frame[chosen].groupby(keys, sort=False, dropna=False)])
    return [
        (first, second)
        for first in sides[0]
        for second in sides[1]
        if all(_same(first[c].iloc[0], second[c].iloc[0]) for c in equal)
        and _matches(first, second, claim)
    ]


def _matches(first: pd.DataFrame, second: pd.DataFrame, claim: Claim) -> bool:
    """A column with several values on both sides pairs equal ones: DINO adapter, DINO frozen."""
    shared = [c for c in claim.a if c in claim.b and claim.a[c] == claim.b[c]]
    return all(_same(first[c].iloc[0], second[c].iloc[0]) for c in shared)


def _same(a: Any, b: Any) -> bool:
    return bool(a == b) or (pd.isna(a) and pd.isna(b))


def _name(first: pd.DataFrame, second: pd.DataFrame) -> str:
    sides = [
        " ".join(str(side[c].iloc[0]) for c in DESIGN if str(side[c].iloc[0]))
        for side in (first, second)
    ]
    return " − ".join(sides)
