"""MAE: exactly the stated fraction hidden; the loss is of hidden tokens; targets standardised."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import MethodError
from workbench.methods.mae import MAE, TokenDecoder, sincos
from workbench.methods.masking import (
    block_mask,
    hidden_count,
    images_of,
    random_mask,
    split,
    tokens_of,
)

SMALL = {"decoder_width": 16, "decoder_depth": 1, "decoder_heads": 2}


def drawn(seed=0):
    return torch.Generator().manual_seed(seed)


@settings(max_examples=50, deadline=None)
@given(side=st.integers(2, 12), ratio=st.floats(0.15, 0.85), seed=st.integers(0, 99))
def test_every_image_hides_exactly_the_stated_fraction(side, ratio, seed):
    tokens = side * side
    count = hidden_count(tokens, ratio)
    assert abs(count - ratio * tokens) <= 0.5
    masks = [
        random_mask(3, tokens, ratio, generator=drawn(seed)),
        block_mask(3, (side, side), ratio, generator=drawn(seed)),
    ]
    for mask in masks:
        assert mask.sum(1).tolist() == [count] * 3
        visible, hidden = split(mask)
        assert visible.shape[1] + hidden.shape[1] == tokens
        assert not mask.gather(1, visible).any()
        assert mask.gather(1, hidden).all()
        assert (visible.diff(dim=1) > 0).all()


def test_the_published_ratios():
    assert [hidden_count(n, r) for n, r in [(196, 0.75), (1024, 0.9), (196, 0.7)]] == [
        147,
        922,
        137,
    ]


def test_every_token_is_hidden_as_often():
    mask = random_mask(4000, 16, 0.75, generator=drawn())
    assert (mask.float().mean(0) - 0.75).abs().max() < 0.03


def test_blocks_are_blocks():
    """Hidden tokens of rectangles have more hidden neighbours than tokens drawn one by one."""

    def neighbours(mask):
        grid = mask.reshape(-1, 12, 12).float()
        return (grid[:, 1:] * grid[:, :-1]).mean()

    blocks = block_mask(200, (12, 12), 0.4, generator=drawn())
    single = random_mask(200, 144, 0.4, generator=drawn())
    assert neighbours(blocks) > 1.5 * neighbours(single)


def test_tokens_and_images_are_inverse_and_in_the_order_of_a_convolution():
    images = torch.randn(2, 5, 8, 8)
    tokens = tokens_of(images, 4)
    assert torch.equal(images_of(tokens, 4, 5), images)
    assert torch.equal(tokens[1, 2], images[1, :, 4:8, 0:4].flatten())
    layer = torch.nn.Conv2d(5, 3, 4, stride=4)
    by_token = tokens @ layer.weight.flatten(1).T + layer.bias
    torch.testing.assert_close(layer(images).flatten(2).mT, by_token)


def test_the_loss_is_the_error_on_hidden_tokens_alone(vit, scenes):
    method = MAE(vit(), **SMALL)
    views = scenes(4, views=1)
    out = method(views, drawn(7))
    mask = random_mask(4, 16, 0.75, generator=drawn(7))
    visible, _ = split(mask)
    shown = method.predict(
        method.decoder(method.encoder.forward_tokens(views[0], visible), visible)
    )
    error = 0.0
    for image, place in mask.nonzero().tolist():
        top, left = 2 * (place // 4), 2 * (place % 4)
        token = views[0][image, :, top : top + 2, left : left + 2].flatten().numpy().astype(float)
        target = (token - token.mean()) / np.sqrt(token.var(ddof=1) + 1e-6)
        error += ((shown[image, place].detach().numpy() - target) ** 2).mean()
    assert out.loss.item() == pytest.approx(error / mask.sum().item(), rel=1e-5)


def test_hidden_pixels_do_not_reach_the_prediction_nor_visible_ones_the_loss(vit, scenes):
    method = MAE(vit(), **SMALL, normalise_targets=False)
    images = scenes(4, views=1)[0]
    mask = random_mask(4, 16, 0.75, generator=drawn(7))
    where = images_of(mask[:, :, None].expand(-1, -1, 24).float(), 2, 6).bool()
    target = images.clone().requires_grad_()
    method.encoder.forward_tokens = lambda x, keep: type(method.encoder).forward_tokens(
        method.encoder, images, keep
    )  # the encoder sees a constant: what is left of the gradient is the target's part
    with torch.enable_grad():
        tokens = tokens_of(target, 2)
    method.errors.targets = lambda x: tokens
    method([images], drawn(7)).loss.backward()
    assert target.grad[~where].abs().max() == 0
    assert target.grad[where].abs().min() > 0
    del method.encoder.forward_tokens, method.errors.targets
    other = torch.where(where, torch.randn(images.shape), images)
    visible, _ = split(mask)
    encode = method.encoder.forward_tokens
    torch.testing.assert_close(encode(images, visible), encode(other, visible))


def test_targets_are_standardised_by_token(vit, scenes):
    target = MAE(vit(), **SMALL).targets(scenes(views=1)[0])
    torch.testing.assert_close(target.mean(-1), torch.zeros(16, 16), atol=1e-5, rtol=0)
    torch.testing.assert_close(target.std(-1), torch.ones(16, 16), atol=1e-3, rtol=0)
    flat = MAE(vit(), **SMALL).targets(torch.full((1, 6, 8, 8), 3.0))
    assert flat.abs().max() < 1e-3  # a token without spread asks for zeros, not for NaN


def test_positions(vit):
    method = MAE(vit(), **SMALL)
    assert torch.equal(method.encoder.pos_embed, sincos(32, 4))
    assert not method.encoder.pos_embed.requires_grad
    assert MAE(vit(), **SMALL, positions="sincos_learned").encoder.pos_embed.requires_grad
    before = vit().pos_embed
    assert torch.equal(MAE(vit(), **SMALL, positions="as_is").encoder.pos_embed, before)


def test_every_view_is_an_image_of_its_own(vit, scenes):
    views = scenes(4, views=2)
    method = MAE(vit(), **SMALL)
    assert torch.equal(method(views, drawn()).loss, method([torch.cat(views)], drawn()).loss)
    assert method(views).embeddings.shape == (8, 32)


def test_errors(conv, vit, scenes):
    with pytest.raises(MethodError, match="MAE hides tokens, so it needs a ViT, but TinyConv has"):
        MAE(conv())
    with pytest.raises(MethodError, match=r"ratio of 0\.99 hides 16 of 16"):
        MAE(vit(), **SMALL, mask_ratio=0.99)
    with pytest.raises(
        MethodError, match=r"encoder's shape \(6, 8, 8\), but a view has \(6, 4, 4\)"
    ):
        MAE(vit(), **SMALL)(scenes(views=1, side=4))


@pytest.mark.parametrize("seed", range(4))
def test_every_token_is_decoded_at_the_place_it_was_taken_from(seed):
    """Without blocks, norms and positions the decoder is a permutation, and its truth is known."""
    batch, count, width, side = 3, 5, 4, 4
    decoder = TokenDecoder(width, width, 1, 2, side)
    decoder.blocks, decoder.norm, decoder.embed = (torch.nn.Identity() for _ in range(3))
    where = torch.rand(batch, side * side, generator=drawn(seed)).argsort(1)[:, :count]
    encoded = torch.randn(batch, 1 + count, width, generator=drawn(seed))
    positions = decoder.positions.clone()
    decoder.positions.zero_()
    decoded = decoder(encoded, where)
    for b in range(batch):
        for place in range(side * side):
            k = (where[b] == place).nonzero()[:, 0]
            want = encoded[b, 1 + int(k)] if len(k) else decoder.unseen[0, 0]
            assert torch.equal(decoded[b, place], want), (b, place)
    decoder.positions.copy_(positions)
    with torch.no_grad():
        decoder.unseen.zero_()
    nothing = torch.zeros(batch, 1 + count, width)
    assert torch.equal(decoder(nothing, where), positions[:, 1:].expand(batch, -1, -1))
