"""Injected collapse is named within 50 steps, healthy sequences never, for each method family."""

import pytest
import torch

from workbench.training.diagnostics import normalised_entropy, prediction_spread, queue_age
from workbench.training.sentinel import FAMILIES, CollapseSentinel, Limits

N, WIDTH, STEPS = 16, 32, 50


def healthy(step, generator):
    """Embeddings that begin almost equal, as of an untrained network, and come apart."""
    return 1 + (0.02 + 0.02 * step) * torch.randn(N, WIDTH, generator=generator)


def diagnostics(family, step, generator):
    """What a healthy method of the family tells."""
    if family == "contrastive":
        written = torch.arange(64) // 2 + step - 31
        return dict(zip(("queue_age", "queue_newest"), queue_age(written, step), strict=True))
    if family in ("distillation", "clustering"):
        logits = (0.05 + 0.1 * step) * torch.randn(N, 128, generator=generator)
        motion = 1e-4 / (1 + step)
        return {"teacher_entropy": normalised_entropy(logits.softmax(-1)), "teacher_motion": motion}
    if family == "masked":
        target = torch.randn(4, 9, 6, generator=generator)
        noise = torch.randn(4, 9, 6, generator=generator)
        return {"prediction_spread": prediction_spread(0.02 * step * target + 0.05 * noise, target)}
    return {}


def findings(family, *, inject=None, seed=0, steps=STEPS, **options):
    """Watch a sequence; `inject` changes what is shown from step 0 on."""
    generator = torch.Generator().manual_seed(seed)
    sentinel = CollapseSentinel(family, **options)
    found = []
    for step in range(steps):
        shown = [healthy(step, generator), diagnostics(family, step, generator)]
        if inject:
            shown = inject(step, *shown, generator)
        found.append(sentinel.observe(step, 1.0 / (1 + step), *shown))
    return [finding for finding in found if finding]


def constant(step, embeddings, told, generator):
    return embeddings[:1] + 1e-6 * torch.randn(N, WIDTH, generator=generator), told


def dwindling(step, embeddings, told, generator):
    """Healthy at first; then everything runs into one point while the loss goes on falling."""
    return 1 + 0.3 * 0.6**step * torch.randn(N, WIDTH, generator=generator), told


def sinking(step, embeddings, told, generator):
    """A tenth of a tenth of what it was, as DINO does at too high a rate: no constant yet."""
    return 1 + max(0.5 * 0.5**step, 5e-3) * torch.randn(N, WIDTH, generator=generator), told


def rank_one(step, embeddings, told, generator):
    place = torch.randn(N, 1, generator=generator)
    return place @ torch.ones(1, WIDTH) + 1e-4 * embeddings, told


def says(name, value):
    return lambda step, embeddings, told, generator: (embeddings, {**told, name: value})


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("family", FAMILIES)
def test_healthy_runs_are_never_flagged(family, seed):
    assert findings(family, seed=seed, steps=200) == []


@pytest.mark.parametrize("inject", [constant, dwindling])
@pytest.mark.parametrize("family", FAMILIES)
def test_constant_embeddings_are_flagged_in_every_family(family, inject):
    (finding,) = findings(family, inject=inject)
    assert finding.kind == "constant embeddings"
    assert "while the loss is" in finding.reason


@pytest.mark.parametrize("family", [family for family in FAMILIES if family != "masked"])
def test_embeddings_that_have_sunk_together_are_flagged(family):
    (finding,) = findings(family, inject=sinking)
    assert finding.kind == "sunken embeddings"
    assert finding.step < STEPS
    assert "(healthy: 0.4" in finding.reason


@pytest.mark.parametrize("family", [family for family in FAMILIES if family != "masked"])
def test_embeddings_on_a_line_are_flagged(family):
    (finding,) = findings(family, inject=rank_one)
    assert finding.kind == "rank-1 embeddings"


@pytest.mark.parametrize(
    ("family", "name", "value", "kind"),
    [
        ("distillation", "teacher_motion", 0.0, "frozen teacher"),
        ("distillation", "teacher_entropy", torch.tensor(1e-5), "teacher on one output"),
        ("distillation", "teacher_entropy", 1.0, "uniform teacher"),
        ("clustering", "teacher_entropy", 0.0, "teacher on one output"),
        ("masked", "prediction_spread", 1e-4, "mean prediction"),
    ],
)
def test_what_a_method_tells_is_judged(family, name, value, kind):
    (finding,) = findings(family, inject=says(name, value))
    assert finding.kind == kind
    assert finding.step < STEPS


def test_a_queue_nobody_writes_to_is_stale():
    written = torch.arange(64) // 4 - 16

    def stale(step, embeddings, told, generator):
        ages = queue_age(written + 16, step)
        return embeddings, dict(zip(("queue_age", "queue_newest"), ages, strict=True))

    (finding,) = findings("contrastive", inject=stale)
    assert finding.kind == "stale queue"


def test_one_odd_batch_is_no_collapse():
    def odd(step, embeddings, told, generator):
        return constant(step, embeddings, told, generator) if step % 3 else (embeddings, told)

    assert findings("contrastive", inject=odd, steps=200) == []


def test_findings_stop_only_when_asked_to_and_are_told_once():
    for action in ("warn", "stop"):
        (finding,) = findings("redundancy", inject=constant, steps=150, action=action)
        assert finding.stops == (action == "stop")
    (early,) = findings("redundancy", inject=constant, limits=Limits(patience=3, warm_up=0))
    assert early.step == 2


def test_a_word_it_does_not_know_is_refused():
    with pytest.raises(ValueError, match="A sentinel watches one of contrastive"):
        CollapseSentinel("supervised")
    with pytest.raises(ValueError, match="may 'warn' or 'stop'"):
        CollapseSentinel("masked", "ignore")
