"""Eyes on a run: numbers that are no numbers, a collapse, and what the features are worth."""

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from torch import Tensor, nn

from workbench.errors import TrainingError
from workbench.training.diagnostics import effective_rank, mean_cosine, spread
from workbench.training.sentinel import CollapseSentinel, Finding
from workbench.training.settings import PretrainSettings

log = logging.getLogger(__name__)

Probe = Callable[[nn.Module], Any]
"""Scores an encoder and leaves it as it was: a `training.probes.ProbeTask`."""


class Watcher:
    """Looks at every step of a run.

    Args:
        method: The method; its `family` says what can go wrong.
        settings: What is watched, and how often.
        probe: Scores the encoder every `probe_every` steps; None: nothing does.
    """

    findings: list[Finding]
    """Collapses found so far."""

    def __init__(
        self, method: nn.Module, settings: PretrainSettings, probe: Probe | None = None
    ) -> None:
        family: Any = method.family
        wanted = getattr(method, "projection_std", None)
        self._sentinel = (
            CollapseSentinel(family, settings.watch, projection_std=wanted)
            if settings.watch
            else None
        )
        self._method, self._settings, self._probe = method, settings, probe
        self.findings = []

    def state(self) -> dict[str, Any]:
        """Give what a resumed run needs to go on watching where this one stopped."""
        told = {"findings": [asdict(finding) for finding in self.findings]}
        return told | ({} if self._sentinel is None else {"sentinel": self._sentinel.state()})

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up what `state` gave."""
        self.findings = [Finding(**finding) for finding in state.get("findings", [])]
        if self._sentinel is not None and "sentinel" in state:
            self._sentinel.restore(state["sentinel"])

    def look(
        self,
        step: int,
        loss: float,
        embeddings: Tensor,
        diagnostics: Mapping[str, Tensor],
        projections: Tensor | None = None,
    ) -> Finding | None:
        """Let the sentinel look at a step; a finding is logged and kept."""
        if self._sentinel is None:
            return None
        finding = self._sentinel.observe(step, loss, embeddings, diagnostics, projections)
        if finding is not None:
            log.warning("%s", finding.reason)
            self.findings.append(finding)
        return finding

    def numbers(
        self,
        step: int,
        embeddings: Tensor,
        diagnostics: Mapping[str, Tensor],
        projections: Tensor | None = None,
    ) -> dict[str, float]:
        """Give the numbers of a step that is logged: of the method, embeddings, projections."""
        found = {name: float(value) for name, value in diagnostics.items() if value.numel() == 1}
        if len(embeddings) > 1:
            found["embedding_spread"] = float(spread(embeddings))
            found["embedding_rank"] = float(effective_rank(embeddings))
            found["embedding_cosine"] = float(mean_cosine(embeddings))
        if projections is not None and len(projections) > 1:
            found["projection_spread"] = float(spread(projections))
            found["projection_rank"] = float(effective_rank(projections, centred=True))
            found["projection_std"] = float(projections.std(dim=0).mean())
        return found

    def probes(self, step: int, *, last: bool) -> dict[str, float]:
        """Score the encoder, if this step is one of those; `step` counts from 0."""
        if self._probe is None or not (last or step % self._settings.probe_every == 0):
            return {}
        scores = self._probe(self._method.encoder)  # type: ignore[arg-type]
        return {f"probe_{name}": float(value) for name, value in vars(scores).items()}


def require_number(loss: float, step: int, locations: list[str], last_good: str) -> None:
    """Stop a run whose loss is no number.

    Args:
        loss: Of the step.
        step: Its number, from 0.
        locations: Ids of the locations of its batch.
        last_good: What is left of the run, for the message.

    Raises:
        TrainingError: If the loss is NaN or infinite.
    """
    if math.isfinite(loss):
        return
    shown = ", ".join(locations[:8]) + (" …" if len(locations) > 8 else "")
    raise TrainingError(
        f"The loss must be a number, but is {loss} at step {step}; the batch shows the locations "
        f"{shown} ({len(locations)}).\nLook at them, or lower the learning rate. {last_good}"
    )
