"""DINO: the loss is the reference's, the centre waits for the step, prototypes freeze."""

import copy
import warnings

import pytest
import torch
import torch.nn.functional as F
from lightly.loss import DINOLoss
from lightly.models.modules.heads import DINOProjectionHead

from workbench.errors import MethodError
from workbench.methods.dino import DINO, DINOHead

SMALL = {"output_dim": 24, "hidden_dim": 16, "bottleneck_dim": 8}


def step(method, *batches):
    for views in batches:
        (method(views).loss / len(batches)).backward()
    method.update(0.0)


def test_the_loss_is_the_papers_with_multi_crop(conv, scenes):
    method = DINO(conv(), **SMALL).eval()
    method.loss.center += torch.randn(24) * 0.1
    views = [*scenes(views=2), *scenes(views=3, side=4, seed=1)]
    student = [method.head(method.encoder(v)) for v in views]
    teacher = [method.teacher_head(method.teacher_encoder(v)) for v in views[:2]]
    terms = [
        -(F.softmax((t - method.loss.center[0]) / 0.04, -1) * F.log_softmax(s / 0.1, -1))
        .sum(-1)
        .mean()
        for i, t in enumerate(teacher)
        for j, s in enumerate(student)
        if i != j
    ]
    assert len(terms) == 8
    out = method(views)
    torch.testing.assert_close(out.loss, torch.stack(terms).mean())
    reference = DINOLoss(24)
    reference.center = method.loss.center.clone()
    torch.testing.assert_close(out.loss, reference(teacher, student, teacher_temp=0.04))


def test_the_head_is_lightlys():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        reference = DINOProjectionHead(12, 16, 8, 24)
    head = DINOHead(12, 16, 8, 24)
    head.layers.load_state_dict(
        {k: v for k, v in reference.state_dict().items() if k.startswith("layers")}
    )
    head.prototypes.weight.data = reference.last_layer.weight_v.data
    features = torch.randn(5, 12)
    torch.testing.assert_close(head(features), reference(features))


def test_the_centre_moves_once_a_step_by_the_mean_of_all_small_batches(vit, scenes):
    whole = DINO(vit(), **SMALL)
    parts = copy.deepcopy(whole)
    views = scenes(8)
    split = [
        [view[a:b] for view in views] for a, b in [(0, 1), (1, 5), (5, 8)]
    ]  # uneven on purpose
    for _ in range(3):
        before = parts.loss.center.clone()
        for small in split:
            parts(small)
            assert torch.equal(parts.loss.center, before)
        parts.update(0.0)
        step(whole, views)
    assert whole.loss.center.norm() > 0
    torch.testing.assert_close(parts.loss.center, whole.loss.center)
    torch.testing.assert_close(parts.loss.drift, whole.loss.drift)


def test_the_centre_of_a_plain_step_is_lightlys(vit, scenes):
    method = DINO(vit(), **SMALL)
    reference = DINOLoss(24)
    views = scenes(8)
    teacher = [method.teacher_head(method.teacher_encoder(v)) for v in views]
    reference(teacher, [t.clone() for t in teacher], teacher_temp=0.04)
    step(method, views)
    torch.testing.assert_close(method.loss.center, reference.center)


def test_looking_does_not_move_the_centre(vit, scenes):
    method = DINO(vit(), **SMALL)
    with torch.no_grad():
        method(scenes())
    method.update(0.0)
    assert method.loss.center.norm() == 0


def test_prototypes_stand_still_at_first(conv, scenes):
    method = DINO(conv(), **SMALL, freeze_last_layer=0.1)
    method(scenes()).loss.backward()
    assert method.head.prototypes.weight.grad.abs().max() == 0
    assert all(p.grad.abs().max() > 0 for p in method.head.layers.parameters())
    method.update(0.2)
    method(scenes()).loss.backward()
    assert method.head.prototypes.weight.grad.abs().max() > 0


def test_the_schedules(conv):
    method = DINO(
        conv(), **SMALL, teacher_temperature=0.07, temperature_warmup=0.1, momentum_until=0.5
    )
    seen = []
    for progress in (0.0, 0.05, 0.1, 0.25, 0.5, 1.0):
        method.update(progress)
        seen.append((round(method.teacher_temperature, 4), round(method.teacher_momentum, 4)))
    assert [t for t, _ in seen] == [0.04, 0.055, 0.07, 0.07, 0.07, 0.07]
    assert [m for _, m in seen][3:] == [0.998, 1.0, 1.0]


def test_the_teachers_entropy_falls_when_it_says_one_thing(conv, scenes):
    method = DINO(conv(), **SMALL).eval()
    spread = method(scenes()).diagnostics
    method.loss.center[..., 3] -= 100  # as if one prototype drowned the others
    drowned = method(scenes()).diagnostics
    assert max(spread["teacher_entropy"], spread["teacher_mean_entropy"]) <= 1
    assert min(spread["teacher_entropy"], spread["teacher_mean_entropy"]) > 0.01
    assert drowned["teacher_entropy"] < 1e-3
    assert drowned["teacher_mean_entropy"] < 1e-3


def test_errors(conv, scenes):
    with pytest.raises(MethodError, match="DINO needs temperatures > 0"):
        DINO(conv(), **SMALL, teacher_temperature=0.0)
    with pytest.raises(MethodError, match="DINO needs 2 views of each location, but got 1"):
        DINO(conv(), **SMALL)(scenes(views=1))
