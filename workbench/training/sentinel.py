"""The collapse sentinel: it looks at every step and says when a run learns nothing, and why.

A falling loss is no proof: at collapse a contrastive loss can still fall by a third. The sentinel
judges what `training.diagnostics` measures. A verdict needs `patience` looks in a row after
`warm_up` looks, so that neither one odd batch nor an untrained network is taken for a collapse.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from workbench.training.diagnostics import effective_rank, spread

Family = Literal["contrastive", "clustering", "distillation", "redundancy", "masked"]
Action = Literal["warn", "stop"]
Kind = Literal[
    "constant embeddings",
    "sunken embeddings",
    "rank-1 embeddings",
    "frozen teacher",
    "teacher on one output",
    "uniform teacher",
    "stale queue",
    "mean prediction",
    "constant projections",
    "sunken projections",
    "few directions",
    "flat outputs",
    "loss at chance",
    "pairs at chance",
]

FAMILIES: tuple[Family, ...] = (
    "contrastive",
    "clustering",
    "distillation",
    "redundancy",
    "masked",
)
_CURES: dict[Kind, str] = {
    "constant embeddings": "Lower the learning rate; check that views differ and are not clipped",
    "sunken embeddings": "Lower the learning rate, or warm it up; let a teacher follow more slowly",
    "rank-1 embeddings": "Lower the learning rate, or raise what keeps dimensions apart",
    "frozen teacher": "Check the momentum schedule: at 1.0 the teacher never follows the student",
    "teacher on one output": "Raise the teacher's temperature, or update its centre",
    "uniform teacher": "Lower the teacher's temperature, or the centre's momentum",
    "stale queue": "Check that every step writes its keys into the queue",
    "mean prediction": "Raise the learning rate; check that the decoder sees the encoder's",
    "constant projections": "Lower the learning rate; check what the loss does against collapse",
    "sunken projections": "Lower the learning rate; check what the loss does against collapse",
    "few directions": "Lower the learning rate, or raise what keeps dimensions apart",
    "flat outputs": "Raise the weight of the variance term",
    "loss at chance": "Check that locations differ; change rate, temperatures or views; or wait, "
    "if the rate still warms up",
    "pairs at chance": "Check that locations differ, and that views do not hide what they show",
}


@dataclass(frozen=True)
class Limits:
    """When a diagnostic counts as collapsed."""

    patience: int = 15
    """Looks in a row that must agree."""
    warm_up: int = 15
    """Looks at the start that are not judged."""
    spread: float = 1e-3
    """Smallest healthy `diagnostics.spread` of embeddings."""
    masked_spread: float = 1e-5
    """The same for masked image modelling, whose loss asks nothing of pooled embeddings."""
    sunken: float = 0.1
    """Smallest healthy share of the largest spread that the run has shown; not for masked image
    modelling. Teachers and students can run into one answer and keep a spread of 0.03."""
    rank: float = 1.2
    """Smallest healthy effective rank of centred embeddings."""
    teacher_motion: float = 1e-9
    """Smallest relative change of a teacher's parameters in a step."""
    entropy: tuple[float, float] = (1e-3, 1 - 1e-5)
    """Healthy entropy of a teacher's outputs, in units of log K."""
    newest_key: float = 5.0
    """Highest healthy age of the newest key in a queue, steps."""
    prediction_spread: float = 1e-2
    """Smallest healthy `diagnostics.prediction_spread` of a decoder."""
    sunken_projections: float = 0.05
    """Smallest healthy share of the largest spread that projections have shown."""
    directions: tuple[float, float] = (3.0, 0.2)
    """Effective rank of centred projections that is healthy in any case, and smallest healthy
    share of the largest rank they have shown."""
    output_std: float = 0.1
    """Smallest healthy standard deviation of outputs, as a share of what the loss wants."""
    chance_loss: float = 1e-2
    """Smallest healthy gain of the loss over chance, as a share of it. Healthy runs of 300 steps on
    small images gained 5 % or more; MoCo and SimCLR on copies of one image at most 0.8 %."""
    chance_teacher: float = 1e-3
    """Smallest healthy distance of a loss against a teacher's outputs from log K, as a share of it:
    such a loss is near log K for long, and healthy ones came as near as 0.2 %."""
    chance_pairs: float = 1.5
    """Smallest healthy mean of `top1` over `chance_patience` looks, times chance."""
    chance_patience: int = 40
    """Looks in a row for which a loss, or pairs, must be at chance."""


@dataclass(frozen=True)
class Finding:
    """A collapse, with the reason."""

    step: int
    """At which it was found."""
    kind: Kind
    """What collapsed."""
    reason: str
    """What must hold, what was found, and what to try."""
    stops: bool
    """Whether the run is to end here."""

    def __str__(self) -> str:
        return self.reason


@dataclass
class CollapseSentinel:
    """Watches one run.

    Beside embeddings and projections it reads these diagnostics where a method gives them (others
    are ignored): teacher_entropy (in units of log K), teacher_motion (`parameter_motion` per step),
    queue_newest (age of the newest key, steps), prediction_spread, chance_loss (the loss of an
    answer that knows nothing of its image), top1 and top1_chance (`methods.pretext.retrieval`).

    That a loss, or pairs, are at chance is said and never stops a run: a slow start looks the same.

    Args:
        family: Of the method, one of `FAMILIES`.
        action: What a finding asks of the loop: "warn" or "stop".
        limits: When a diagnostic counts as collapsed.
        projection_std: What the loss wants each output's standard deviation to be; None: nothing.

    Raises:
        ValueError: If the family or the action is another word.

    Example:
        >>> import torch
        >>> sentinel = CollapseSentinel("contrastive")
        >>> same = torch.ones(16, 8)
        >>> found = [sentinel.observe(step, 1.0, same, {}) for step in range(50)]
        >>> [(finding.step, finding.kind) for finding in found if finding]
        [(29, 'constant embeddings')]
    """

    family: Family
    action: Action = "warn"
    limits: Limits = field(default_factory=Limits)
    projection_std: float | None = None

    def __post_init__(self) -> None:
        if self.family not in FAMILIES or self.action not in ("warn", "stop"):
            raise ValueError(
                f"A sentinel watches one of {', '.join(FAMILIES)} and may 'warn' or 'stop', got "
                f"{self.family!r} and {self.action!r}."
            )
        self._looks = 0
        self._widest = 0.0
        self._widest_projections = self._highest_rank = 0.0
        self._pairs: list[float] = []  # top1 in units of chance, newest last
        self._in_a_row: dict[Kind, int] = {}
        self._reported: set[Kind] = set()

    def observe(
        self,
        step: int,
        loss: float | Tensor,
        embeddings: Tensor | None,
        diagnostics: Mapping[str, float | Tensor],
        projections: Tensor | None = None,
    ) -> Finding | None:
        """Look at one step.

        Args:
            step: Its number, for the report.
            loss: Its loss, for the report.
            embeddings: (N, D) of the trained branch; None, or N < 2, if there are none to compare.
            diagnostics: Of the method, see above; scalars.
            projections: (N, P) what the loss compares; None, or N < 2, if there is nothing.

        Returns:
            A collapse that has lasted long enough, once for each kind; None otherwise.
        """
        self._looks += 1
        numbers = {name: float(value) for name, value in diagnostics.items() if _is_scalar(value)}
        symptoms = self._of_embeddings(embeddings) | self._of_method(numbers)
        symptoms |= self._of_projections(projections) | self._of_chance(
            float(torch.as_tensor(loss).detach()), numbers
        )
        judged = self._looks > self.limits.warm_up
        for kind in set(self._in_a_row) - set(symptoms):
            del self._in_a_row[kind]
        for kind, (found, healthy) in symptoms.items():
            self._in_a_row[kind] = self._in_a_row.get(kind, 0) + judged
            if self._in_a_row[kind] >= self._patience(kind) and kind not in self._reported:
                self._reported.add(kind)
                return self._finding(step, float(loss), kind, found, healthy)
        return None

    def state(self) -> dict[str, Any]:
        """Give what the sentinel remembers of the steps so far, in plain values."""
        return {
            "looks": self._looks,
            "widest": self._widest,
            "widest_projections": self._widest_projections,
            "highest_rank": self._highest_rank,
            "pairs": list(self._pairs),
            "in_a_row": dict(self._in_a_row),
            "reported": sorted(self._reported),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up what `state` gave."""
        self._looks, self._widest = state["looks"], state["widest"]
        self._widest_projections = state["widest_projections"]
        self._highest_rank, self._pairs = state["highest_rank"], list(state["pairs"])
        self._in_a_row, self._reported = dict(state["in_a_row"]), set(state["reported"])

    def _of_embeddings(self, embeddings: Tensor | None) -> "dict[Kind, tuple[str, str]]":
        """Symptoms, each with what was found and what would be healthy."""
        if embeddings is None or len(embeddings) < 2 or not torch.isfinite(embeddings).all():
            return {}
        least = self.limits.masked_spread if self.family == "masked" else self.limits.spread
        apart = float(spread(embeddings))
        if apart < least:
            found = f"the embeddings of {len(embeddings)} images have a spread of {apart:.1g}"
            return {"constant embeddings": (found, f"above {least:g}")}
        if self.family == "masked":
            return {}
        self._widest = max(self._widest, apart)
        if apart < self.limits.sunken * self._widest:
            found = f"the embeddings of {len(embeddings)} images have a spread of {apart:.2g}"
            return {"sunken embeddings": (found, f"{self._widest:.2g}, as it was")}
        if len(embeddings) < 4:
            return {}
        rank = float(effective_rank(embeddings, centred=True))
        if rank >= self.limits.rank:
            return {}
        found = f"the embeddings of {len(embeddings)} images have an effective rank of {rank:.2f}"
        return {"rank-1 embeddings": (found, f"above {self.limits.rank:g}")}

    def _of_projections(self, projections: Tensor | None) -> "dict[Kind, tuple[str, str]]":
        """Symptoms of what the loss compares, which may collapse while features still differ."""
        if projections is None or len(projections) < 4 or not torch.isfinite(projections).all():
            return {}
        limits, symptoms = self.limits, dict[Kind, tuple[str, str]]()
        what = f"the projections of {len(projections)} images have"
        apart = float(spread(projections))
        rank = float(effective_rank(projections, centred=True))
        self._widest_projections = max(self._widest_projections, apart)
        self._highest_rank = max(self._highest_rank, rank)
        if apart < limits.spread:
            symptoms["constant projections"] = (
                f"{what} a spread of {apart:.1g}", f"above {limits.spread:g}"
            )  # fmt: skip
        elif apart < limits.sunken_projections * self._widest_projections:
            found = f"{what} a spread of {apart:.2g}"
            symptoms["sunken projections"] = found, f"{self._widest_projections:.2g}, as it was"
        least, share = limits.directions
        if rank < least and rank < share * self._highest_rank:
            found = f"{what} an effective rank of {rank:.2f}"
            symptoms["few directions"] = found, f"{self._highest_rank:.1f}, as it was"
        if self.projection_std is not None:
            varied = float(projections.float().std(dim=0).mean())
            healthy = limits.output_std * self.projection_std
            if varied < healthy:
                found = f"{what} a standard deviation of {varied:.2g} in each output"
                symptoms["flat outputs"] = found, f"above {healthy:g}"
        return symptoms

    def _of_chance(
        self, loss: float, numbers: Mapping[str, float]
    ) -> "dict[Kind, tuple[str, str]]":
        limits, symptoms = self.limits, dict[Kind, tuple[str, str]]()
        chance = numbers.get("chance_loss", math.nan)
        if "teacher_entropy" in numbers:  # above log K two networks disagree, which is no chance
            is_chance = abs(chance - loss) <= limits.chance_teacher * abs(chance)
        else:
            is_chance = chance - loss <= limits.chance_loss * abs(chance)
        if is_chance:
            found = f"the loss has been at chance ({chance:.4g}) or above it"
            symptoms["loss at chance"] = found, "below it"
        if "top1" in numbers and numbers.get("top1_chance", 0) > 0:
            times = numbers["top1"] / numbers["top1_chance"]
            self._pairs = [*self._pairs, times][-limits.chance_patience :]
            mean = sum(self._pairs) / len(self._pairs)
            if mean < limits.chance_pairs:
                found = f"a view finds its own location {mean:.2f} × as often as by chance"
                symptoms["pairs at chance"] = found, f"above {limits.chance_pairs:g}"
        return symptoms

    def _patience(self, kind: Kind) -> int:
        is_chance = kind in ("loss at chance", "pairs at chance")
        return self.limits.chance_patience if is_chance else self.limits.patience

    def _of_method(self, numbers: Mapping[str, float]) -> "dict[Kind, tuple[str, str]]":
        limits, symptoms = self.limits, dict[Kind, tuple[str, str]]()
        low, high = limits.entropy
        entropy = numbers.get("teacher_entropy", math.nan)
        told = f"the teacher's outputs have an entropy of {entropy:.5f} log K"
        if entropy < low:
            symptoms["teacher on one output"] = told, f"above {low:g}"
        if entropy > high:
            symptoms["uniform teacher"] = told, f"below {high:g}"
        motion = numbers.get("teacher_motion", math.nan)
        if motion < limits.teacher_motion:
            told = f"the teacher moved by {motion:.1g} of its length in a step"
            symptoms["frozen teacher"] = told, f"above {limits.teacher_motion:g}"
        newest = numbers.get("queue_newest", math.nan)
        if newest > limits.newest_key:
            told = f"the newest key in the queue is {newest:.0f} steps old"
            symptoms["stale queue"] = told, f"at most {limits.newest_key:g}"
        varied = numbers.get("prediction_spread", math.nan)
        if varied < limits.prediction_spread:
            told = f"the predictions of tokens spread {varied:.1g} × as much as their targets"
            symptoms["mean prediction"] = told, f"above {limits.prediction_spread:g}"
        return symptoms

    def _finding(self, step: int, loss: float, kind: Kind, found: str, healthy: str) -> Finding:
        looks = self._patience(kind)
        reason = (
            f"Step {step}: {kind}. For {looks} steps {found} (healthy: {healthy}), while the loss "
            f"is {loss:.4g}.\n{_CURES[kind]}."
        )
        stops = self.action == "stop" and kind not in ("loss at chance", "pairs at chance")
        return Finding(step, kind, reason, stops=stops)


def _is_scalar(value: float | Tensor) -> bool:
    return not isinstance(value, Tensor) or value.numel() == 1
