"""Steps of every method on a CUDA device: the CPU's loss in float32, a sound one in bfloat16."""

import pytest
import torch

from tests.methods.made_methods import SMALL
from workbench.methods import METHODS
from workbench.models import ResNetEncoder, ViTEncoder, ViTSize, spectral_resnet50
from workbench.training.optimisers import build_optimiser
from workbench.training.settings import PretrainSettings

pytestmark = pytest.mark.gpu

BANDS, SIDE = 80, 16


def made(name, encoder=None):
    torch.manual_seed(0)
    encoder = encoder or ViTEncoder(BANDS, SIDE, 4, ViTSize(32, 2, 2), adapter=True)
    return METHODS[name](encoder, **SMALL[name])


def steps_on(device, method, *, steps=2, dtype=None, optimiser="adamw"):
    """Train a method for some steps on the same views and masks; give the losses."""
    method = method.to(device)
    settings = PretrainSettings(optimiser=optimiser, lr=1e-4)
    stepper = build_optimiser(method, settings)
    draw, masks = (torch.Generator().manual_seed(seed) for seed in (1, 2))
    found = []
    for step in range(steps):
        base = torch.randn(8, BANDS, SIDE, SIDE, generator=draw)
        views = [base + 0.3 * torch.randn(base.shape, generator=draw) for _ in range(2)]
        views = [view.to(device) for view in views]
        with torch.autocast(device, torch.bfloat16, enabled=dtype is not None):
            out = method(views, masks)
        stepper.zero_grad()
        out.loss.backward()
        stepper.step()
        method.update((step + 1) / steps)
        watched = [out.loss, out.embeddings, *out.diagnostics.values()]
        assert all(bool(value.isfinite().all()) for value in watched)
        assert out.loss.dtype == torch.float32
        assert out.loss.device.type == device
        found.append(float(out.loss.detach()))
    assert all(p.device.type == device for p in method.parameters())
    assert all(p.dtype == torch.float32 for p in method.parameters())
    return found


@pytest.mark.parametrize("name", METHODS)
def test_losses_are_those_of_the_cpu(name):
    wanted = steps_on("cpu", made(name))
    assert steps_on("cuda", made(name)) == pytest.approx(wanted, rel=2e-3, abs=1e-4)


@pytest.mark.parametrize("name", METHODS)
def test_half_precision_gives_nearly_the_same_loss(name):
    wanted = steps_on("cuda", made(name))
    found = steps_on("cuda", made(name), dtype=torch.bfloat16)
    assert found == pytest.approx(wanted, rel=0.1, abs=0.1)


@pytest.mark.parametrize("optimiser", ["adamw", "sgd"])
def test_moco_with_the_spectral_resnet_in_half_precision(optimiser):
    encoder = spectral_resnet50(BANDS)
    assert isinstance(encoder, ResNetEncoder)
    losses = steps_on(
        "cuda", made("moco", encoder), steps=3, dtype=torch.bfloat16, optimiser=optimiser
    )
    assert len(losses) == 3


def test_a_checkpointed_vit_gives_the_same_gradients():
    found = []
    for twice in (False, True):
        method = made("mae").cuda()
        method.encoder.set_grad_checkpointing(twice)
        images = torch.randn(4, BANDS, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
        method([images.cuda()], torch.Generator().manual_seed(2)).loss.backward()
        found.append([p.grad for p in method.parameters() if p.grad is not None])
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-6)
