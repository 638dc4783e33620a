"""The spectral adapter on a CUDA device: its definition in Conv3d layers, and the CPU's numbers."""

import copy

import pytest
import torch

from tests.models.made_adapters import adapter_of
from workbench.models import spectral_resnet50, spectral_vit

pytestmark = pytest.mark.gpu


def backward(adapter, compute, images, weights):
    images = images.clone().requires_grad_()
    out = compute(images)
    (out * weights).sum().backward()
    grads = {name: p.grad for name, p in adapter.named_parameters()}
    return {"out": out.detach(), "images": images.grad, **grads, **dict(adapter.named_buffers())}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("bands", "batch", "side"), [(202, 3, 24), (75, 3, 260)])
def test_it_computes_what_the_conv3d_layers_do(training, bands, batch, side):
    """In float64 on the device; the larger batch is cut into three pieces."""
    fast = adapter_of(bands, dtype=torch.float64).cuda().train(training)
    plain = copy.deepcopy(fast)
    draw = torch.Generator("cuda").manual_seed(0)
    kind = {"dtype": torch.float64, "device": "cuda", "generator": draw}
    images = torch.randn(batch, bands, side, side, **kind) * 2 + 3
    weights = torch.randn(batch, 128, side, side, **kind)
    found = backward(fast, fast, images, weights)
    wanted = backward(plain, plain.conv3d_form, images, weights)
    for name, value in wanted.items():
        assert found[name].is_cuda, name
        scale = max(1.0, float(value.double().abs().max()))
        torch.testing.assert_close(found[name], value, rtol=1e-7, atol=1e-9 * scale, msg=name)


def test_single_precision_is_that_of_the_cpu():
    here, there = adapter_of(202), adapter_of(202).cuda()
    images, weights = torch.randn(2, 202, 32, 32), torch.randn(2, 128, 32, 32)
    wanted = backward(here, here, images, weights)
    found = backward(there, there, images.cuda(), weights.cuda())
    for name, value in wanted.items():
        scale = max(1.0, float(value.float().abs().max()))
        torch.testing.assert_close(found[name].cpu(), value, rtol=1e-3, atol=1e-3 * scale, msg=name)


def test_half_precision_comes_from_autocast():
    adapter = adapter_of(202).cuda()
    images = torch.randn(2, 202, 48, 48, device="cuda")
    with torch.autocast("cuda", torch.bfloat16):
        found = adapter(images)
    found.float().square().mean().backward()
    assert found.dtype == torch.bfloat16
    assert all(p.grad.dtype == torch.float32 for p in adapter.parameters())
    wanted = adapter_of(202).cuda()(images)
    assert (found - wanted).abs().mean() < 0.02 * wanted.abs().mean()


@pytest.mark.parametrize("make", [spectral_resnet50, lambda bands: spectral_vit("T", bands, 32, 8)])
def test_encoders_give_what_they_give_on_the_cpu(make):
    torch.manual_seed(0)
    encoder = make(202).eval()
    images = torch.randn(2, 202, 32, 32)
    with torch.no_grad():
        wanted = encoder(images)
        found = encoder.cuda()(images.cuda())
    torch.testing.assert_close(found.cpu(), wanted, rtol=1e-3, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("training", [True, False])
def test_compiled_it_computes_the_same(training):
    plain = adapter_of(202).cuda().train(training)
    compiled = copy.deepcopy(plain)
    compiled.is_compiled = True
    images = torch.randn(2, 202, 32, 32, device="cuda")
    weights = torch.randn(2, 128, 32, 32, device="cuda")
    wanted = backward(plain, plain, images, weights)
    found = backward(compiled, compiled, images, weights)
    for name, value in wanted.items():
        scale = max(1.0, float(value.float().abs().max()))
        torch.testing.assert_close(found[name], value, rtol=1e-3, atol=1e-3 * scale, msg=name)
