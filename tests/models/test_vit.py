"""Transformers: published sizes, kept tokens, other grids, checkpointing, refusals."""

import pytest
import torch
from timm.models.vision_transformer import VisionTransformer
from torch.nn import functional as F

from workbench.errors import ModelError
from workbench.models import ViTEncoder, ViTSize, spectral_vit, vit
from workbench.models.vit import projected

TINY = ViTSize(32, 3, 2)


def tiny(bands=75, adapter=True, image_size=16):
    torch.manual_seed(0)
    encoder = ViTEncoder(bands, image_size, 4, TINY, adapter=adapter)
    for name, value in encoder.named_buffers():
        if "running_var" in name:
            value.uniform_(0.5, 2)
        elif "running_mean" in name:
            value.normal_()
    return encoder


@pytest.mark.parametrize(
    ("size", "count"),
    [
        ("S", 22_531_328),
        ("B", 87_473_792),
        ("L", 305_516_416),
        ("H", 633_672_832),
        ("g", 1_138_043_264),
    ],
)
def test_spectral_vits_have_the_published_sizes(size, count):
    with torch.device("meta"):
        assert sum(p.numel() for p in spectral_vit(size).parameters()) == count


@pytest.mark.parametrize(
    ("token_size", "tokens", "millions"),
    [(2, 4096, 23.1), (4, 1024, 22.5), (8, 256, 24.6), (16, 64, 34.0)],
)
def test_the_token_size_decides_how_many(token_size, tokens, millions):
    with torch.device("meta"):
        encoder = spectral_vit("S", token_size=token_size)
    assert encoder.pos_embed.shape == (1, 1 + tokens, 384)
    assert sum(p.numel() for p in encoder.parameters()) / 1e6 == pytest.approx(millions, abs=0.06)
    assert encoder.strides == (token_size,)


@pytest.mark.parametrize(("token_size", "rows", "columns"), [(4, 3, 2), (8, 2, 3), (16, 3, 1)])
def test_tokens_are_projected_as_a_convolution_does(token_size, rows, columns):
    torch.manual_seed(0)
    images = torch.randn(2, 5, rows * token_size, columns * token_size, requires_grad=True)
    weight = torch.randn(7, 5, token_size, token_size, requires_grad=True)
    bias = torch.randn(7, requires_grad=True)
    found = projected(images, weight, bias)
    wanted = F.conv2d(images, weight, bias, stride=token_size).flatten(2).transpose(1, 2)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-4)
    upstream, inputs = torch.randn_like(found), (images, weight, bias)
    for ours, theirs in zip(
        torch.autograd.grad(found, inputs, upstream),
        torch.autograd.grad(wanted, inputs, upstream),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-4)


@torch.no_grad()
def test_it_is_timms_transformer():
    encoder = tiny(5, adapter=False).eval()
    theirs = VisionTransformer(16, 4, 5, 0, embed_dim=32, depth=3, num_heads=2).eval()
    theirs.load_state_dict(encoder.state_dict())
    images = torch.randn(2, 5, 16, 16)
    tokens = encoder.forward_tokens(images)
    torch.testing.assert_close(tokens, theirs.forward_features(images))
    torch.testing.assert_close(encoder(images), theirs(images))
    (features,) = encoder.feature_maps(images)
    assert features.shape == (2, 32, 4, 4)
    torch.testing.assert_close(features[:, :, 1, 2], tokens[:, 1 + 4 + 2])


@pytest.mark.parametrize("adapter", [True, False])
def test_kept_tokens_are_computed_alone_and_exactly(adapter):
    """Against the full adapter and embedding, in the order of `keep`, gradients included."""
    encoder = tiny(adapter=adapter).eval().double()
    images = torch.randn(3, 75, 16, 16, dtype=torch.float64)
    keep = torch.stack([torch.randperm(16)[:5] for _ in range(3)])
    whole, kept = encoder.embed(images), encoder.embed(images, keep)
    torch.testing.assert_close(kept, whole.gather(1, keep[..., None].expand(-1, -1, 32)))
    every = torch.arange(16).expand(3, -1)
    torch.testing.assert_close(
        encoder.forward_tokens(images, every), encoder.forward_tokens(images)
    )
    assert encoder.forward_tokens(images, keep).shape == (3, 6, 32)


def test_what_is_not_kept_is_not_seen():
    encoder = tiny()
    keep = torch.tensor([[0, 5]])
    images = torch.randn(1, 75, 16, 16)
    hidden = images.clone()
    hidden[:, :, 8:] = torch.nan  # tokens 8 to 15
    encoder.train()
    assert encoder.forward_tokens(hidden, keep).isfinite().all()
    assert all(buffer.isfinite().all() for buffer in encoder.buffers())


def test_masked_tokens_carry_the_mask_token():
    encoder = tiny(3, adapter=False).eval()
    mask = torch.zeros(1, 16, dtype=torch.bool)
    mask[0, 3] = True
    token = torch.full((32,), 2.0)
    images = torch.randn(1, 3, 16, 16)
    changed = images.clone()
    changed[:, :, :4, 12:] = 9  # token 3
    shown = [encoder.forward_tokens(x, mask=mask, mask_token=token) for x in (images, changed)]
    torch.testing.assert_close(*shown)
    assert not torch.equal(shown[0], encoder.forward_tokens(images))


def test_block_outputs_end_in_the_tokens():
    encoder = tiny(3, adapter=False).eval()
    images = torch.randn(1, 3, 16, 16)
    outputs = encoder.block_outputs(images, last=2)
    assert len(outputs) == 2
    torch.testing.assert_close(encoder.blocks[-1](outputs[0]), outputs[1])
    torch.testing.assert_close(encoder.norm(outputs[1]), encoder.forward_tokens(images))


def test_images_of_another_size_get_interpolated_positions():
    encoder = tiny(3, adapter=False)
    assert encoder.forward_tokens(torch.randn(1, 3, 8, 24)).shape == (1, 1 + 2 * 6, 32)
    assert encoder.position_embedding((4, 4)) is encoder.pos_embed
    other = encoder.position_embedding((2, 6))
    torch.testing.assert_close(other[:, 0], encoder.pos_embed[:, 0])


def test_checkpointing_changes_no_gradient():
    gradients = []
    for enable in (False, True):
        encoder = tiny()
        encoder.set_grad_checkpointing(enable)
        encoder(torch.ones(2, 75, 16, 16)).square().sum().backward()
        gradients.append([p.grad for p in encoder.parameters()])
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ModelError, match="5 does not divide 128 × 128 pixels"):
        spectral_vit("S", token_size=5)
    with pytest.raises(ModelError, match="No ViT of size 'XL'"):
        vit("XL")
    encoder = tiny(3, adapter=False)
    with pytest.raises(ModelError, match=r"must be \(B, 3, H, W\) for this encoder"):
        encoder(torch.zeros(1, 4, 16, 16))
    with pytest.raises(ModelError, match="4 does not divide 18 × 16 pixels"):
        encoder(torch.zeros(1, 3, 18, 16))
