"""Injected collapse is named within 50 steps, healthy sequences never, for each method family."""

import pytest
import torch

from workbench.methods.masking import prediction_spread
from workbench.training.diagnostics import normalised_entropy, queue_age
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


def watched(steps=100, *, projections=None, told=None, loss=1.0, **options):
    """Healthy embeddings throughout; projections and diagnostics as given for each step."""
    generator = torch.Generator().manual_seed(0)
    sentinel = CollapseSentinel("contrastive", **options)
    found = []
    for step in range(steps):
        z = torch.randn(N, WIDTH, generator=generator) if projections is None else projections(step)
        numbers = told(step) if told else {}
        found.append(sentinel.observe(step, loss, healthy(step, generator), numbers, z))
    return [finding.kind for finding in found if finding]


@pytest.mark.parametrize(
    ("kind", "projections", "options"),
    [
        ("constant projections", lambda s: torch.ones(N, 8) + 1e-6 * torch.randn(N, 8), {}),
        ("sunken projections", lambda s: 1 + max(0.5**s, 0.01) * torch.randn(N, 8), {}),
        ("few directions",
         lambda s: torch.randn(N, 8) * torch.tensor([1.0] + [1.0 if s < 5 else 0.002] * 7), {}),
        ("flat outputs", lambda s: 0.02 * torch.randn(N, 8), {"projection_std": 1.0}),
    ],
)  # fmt: skip
def test_a_collapse_of_the_projections_is_seen_though_features_differ(kind, projections, options):
    torch.manual_seed(0)
    assert watched(projections=projections, **options) == [kind]


def test_projections_that_differ_are_healthy():
    assert watched(steps=200, projection_std=1.0) == []


@pytest.mark.parametrize(
    ("gain", "wanted"), [(0.0, True), (-0.5, True), (0.005, True), (0.05, False)]
)
def test_a_loss_at_chance_or_above_it_is_told_and_never_stops(gain, wanted):
    found = watched(told=lambda s: {"chance_loss": 1.0}, loss=1.0 - gain, action="stop")
    assert found == ["loss at chance"] * wanted
    generator = torch.Generator().manual_seed(0)
    sentinel = CollapseSentinel("contrastive", "stop")
    all_found = [
        sentinel.observe(s, 1.0, healthy(s, generator), {"chance_loss": 1.0}) for s in range(99)
    ]
    (finding,) = [each for each in all_found if each]
    assert not finding.stops
    assert "For 40 steps the loss has been at chance (1)" in finding.reason


@pytest.mark.parametrize(
    ("away", "wanted"), [(5e-4, True), (-5e-4, True), (2e-3, False), (-0.05, False)]
)
def test_a_loss_against_a_teacher_is_at_chance_near_log_k_only(away, wanted):
    told = {"chance_loss": 1.0, "teacher_entropy": 0.9}
    assert watched(told=lambda s: told, loss=1.0 - away) == ["loss at chance"] * wanted


def test_pairs_that_cannot_be_told_apart_are_told():
    def of(times):
        draw = torch.Generator().manual_seed(1)
        return lambda s: {
            "top1": float(torch.poisson(torch.tensor(times), generator=draw)) / 32,
            "top1_chance": 1 / 32,
        }

    assert watched(told=of(1.0)) == ["pairs at chance"]
    assert watched(told=of(3.0)) == []


def test_a_word_it_does_not_know_is_refused():
    with pytest.raises(ValueError, match="A sentinel watches one of contrastive"):
        CollapseSentinel("supervised")
    with pytest.raises(ValueError, match="may 'warn' or 'stop'"):
        CollapseSentinel("masked", "ignore")
