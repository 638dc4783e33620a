"""A student comes to say what its teacher says, whatever the two are made of."""

import pytest
import torch
from torch.nn import functional as F

from workbench.errors import MethodError
from workbench.models import ViTEncoder, ViTSize, resnet
from workbench.training import Distillation, PretrainSettings, load_checkpoint, pretrain


def test_the_loss_is_the_distance_of_normalised_features(encoder):
    student, teacher = encoder(0), encoder(1)
    method = Distillation(student, teacher, features=2.0, tokens=0.5).eval()
    images = torch.randn(3, 6, 8, 8)
    ours, theirs = student.forward_tokens(images), teacher.forward_tokens(images)
    pooled = method.to_features(ours[:, 0])
    tokens = method.to_tokens(ours[:, 1:])

    def naive(a, b):
        a, b = ((t - t.mean(-1, keepdim=True)) for t in (a, b))
        a, b = (t / (t.square().mean(-1, keepdim=True) + 1e-5).sqrt() for t in (a, b))
        return F.smooth_l1_loss(a, b)

    want = 2 * naive(pooled, theirs[:, 0]) + 0.5 * naive(tokens, theirs[:, 1:])
    torch.testing.assert_close(method([images]).loss, want)


def test_the_teacher_stands_still_and_the_student_follows(encoder):
    teacher = resnet(18, bands=6)
    before = {name: t.clone() for name, t in teacher.state_dict().items()}
    method = Distillation(encoder(0), teacher).train()
    assert not method.teacher.training
    optimiser = torch.optim.AdamW([p for p in method.parameters() if p.requires_grad], lr=3e-3)
    images = torch.randn(8, 6, 32, 32)
    losses = []
    for _ in range(12):
        optimiser.zero_grad()
        loss = method([images]).loss
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
    assert all(torch.equal(t, before[name]) for name, t in teacher.state_dict().items())


def test_distillation_is_trained_as_any_method(make, encoder, tmp_path):
    patches = make()
    torch.manual_seed(0)
    teacher = ViTEncoder(6, 8, 2, ViTSize(32, 2, 2), adapter=False)  # four times as many tokens
    method = Distillation(encoder(0), teacher)
    settings = PretrainSettings(steps=6, batch_size=8, lr=3e-3, loggers=("csv",), accelerator="cpu")
    result = pretrain(method, patches, out=tmp_path / "run", settings=settings, progress=False)
    student, card = load_checkpoint(result.checkpoint, contract=patches.contract)
    assert card.method == "Distillation"
    assert student.width == 16
    assert {"features_loss", "tokens_loss"} <= set(result.last)


def test_what_cannot_teach_is_refused(encoder):
    with pytest.raises(MethodError, match="Student and teacher must take the same bands"):
        Distillation(encoder(), encoder(bands=5))
    with pytest.raises(MethodError, match="Distillation needs weights >= 0"):
        Distillation(encoder(), encoder(1), features=0, tokens=0)
