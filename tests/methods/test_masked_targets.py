"""MaskFeat, BEiT and data2vec: their targets, and that hidden tokens stay hidden."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from skimage.feature import hog

from workbench.errors import MethodError
from workbench.methods import BEiT, Data2Vec, MaskFeat
from workbench.methods.maskfeat import histograms
from workbench.methods.masking import block_mask, images_of
from workbench.methods.tokenizer import Tokenizer


def drawn(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("cell", [2, 4, 8])
def test_histograms_are_scikit_images(cell):
    images = torch.randn(2, 3, 16, 16, generator=drawn())
    found = histograms(images, cell).reshape(2, 16 // cell, 16 // cell, 3, 9)
    for image in range(2):
        for band in range(3):
            expected = hog(
                images[image, band].numpy().astype(float),
                pixels_per_cell=(cell, cell),
                cells_per_block=(1, 1),
                block_norm="L2",
                feature_vector=False,
            )[:, :, 0, 0]
            np.testing.assert_allclose(found[image, :, :, band], expected, atol=2e-3)


def test_a_flat_image_has_no_edges():
    assert histograms(torch.full((1, 2, 8, 8), 3.0), 4).abs().max() == 0


@pytest.mark.parametrize("kind", [MaskFeat, BEiT, Data2Vec])
def test_the_student_sees_nothing_of_hidden_tokens(kind, vit, scenes):
    method = kind(vit()).eval()
    images = scenes(3, views=1)[0]
    mask = block_mask(3, (4, 4), method.mask_ratio, generator=drawn(5))
    where = images_of(mask[:, :, None].expand(-1, -1, 24).float(), 2, 6).bool()
    other = torch.where(where, torch.randn(images.shape), images)
    a, b = (method.encoded_with_holes(x, mask, method.hole) for x in (images, other))
    torch.testing.assert_close(a, b)
    assert not torch.equal(method([images], drawn(5)).loss, method([other], drawn(5)).loss)


def test_maskfeats_loss_is_of_hidden_tokens(vit, scenes):
    method = MaskFeat(vit(), hog_bands=[1, 4]).eval()
    images = scenes(3, views=1)[0]
    mask = block_mask(3, (4, 4), 0.4, generator=drawn(5))
    told = method.predict(method.encoded_with_holes(images, mask, method.hole))
    error = (told - histograms(images[:, [1, 4]], 2)).square().mean(-1)
    out = method([images], drawn(5))
    torch.testing.assert_close(out.loss, error[mask].mean())
    torch.testing.assert_close(out.diagnostics["visible_loss"], error[~mask].mean())


def test_data2vecs_target_is_the_mean_of_standardised_blocks(vit, scenes):
    method = Data2Vec(vit(), last_blocks=2, beta=0.5).eval()
    images = scenes(3, views=1)[0]
    encoder = method.teacher_encoder
    seen = []
    hooks = [block.register_forward_hook(lambda *a: seen.append(a[2])) for block in encoder.blocks]
    encoder(images)
    for hook in hooks:
        hook.remove()
    expected = (
        sum(
            (t[:, 1:] - t[:, 1:].mean(-1, keepdim=True))
            / (t[:, 1:].var(-1, correction=0, keepdim=True) + 1e-5).sqrt()
            for t in seen
        )
        / 2
    )
    torch.testing.assert_close(method.targets(images), expected, atol=1e-5, rtol=1e-4)
    mask = block_mask(3, (4, 4), 0.6, generator=drawn(5))
    told = method.predict(method.encoded_with_holes(images, mask, method.hole))[mask]
    error = (told - expected[mask]).abs()
    naive = torch.where(error < 0.5, error.square(), error - 0.25).mean()
    torch.testing.assert_close(method([images], drawn(5)).loss, naive, atol=1e-5, rtol=1e-4)


def test_data2vecs_teacher_is_a_copy_that_follows(vit):
    method = Data2Vec(vit(), momentum=0.8, momentum_end=1.0)
    with torch.no_grad():
        for parameter in method.encoder.parameters():
            parameter += 1
    before = [p.clone() for p in method.teacher_encoder.parameters()]
    method.update(0.5)
    for old, now in zip(before, method.teacher_encoder.parameters(), strict=True):
        torch.testing.assert_close(now - old, torch.full_like(old, 0.1))


def test_the_words_are_the_nearest_codes_and_learn_to_tell_spectra_apart():
    """Four kinds of tokens with noise: after some steps each kind has words of its own."""
    torch.manual_seed(0)
    kinds = torch.randn(4, 24, generator=drawn(1))
    tokenizer = Tokenizer(24, words=8, code_dim=4, hidden_dim=16, momentum=0.9)
    optimiser = torch.optim.Adam(tokenizer.parameters(), lr=5e-3)
    draw = drawn(2)
    errors = []
    for _ in range(150):
        label = torch.randint(0, 4, (16, 8), generator=draw)
        tokens = kinds[label] + 0.1 * torch.randn(16, 8, 24, generator=draw)
        words, loss = tokenizer(tokens, learn=True)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        tokenizer.update()
        errors.append(loss.item())
    assert errors[-1] < 0.25 * errors[0]
    placed = F.normalize(tokenizer.encode(tokens), dim=-1)
    words, _ = tokenizer(tokens, learn=False)
    nearest = (placed[:, :, None] - tokenizer.codes).norm(dim=-1).argmin(-1)
    assert torch.equal(words, nearest)
    owners = [set(words[label == kind].tolist()) for kind in range(4)]
    assert sum(map(len, owners)) == len(set().union(*owners))  # no word stands for two kinds


def test_words_that_nobody_uses_are_put_onto_tokens():
    tokenizer = Tokenizer(6, words=32, momentum=0.0)
    tokenizer(torch.randn(2, 8, 6), learn=True)
    tokenizer.update()
    assert tokenizer.restarts == 1
    torch.testing.assert_close(tokenizer.codes.norm(dim=1), torch.ones(32))


def test_the_vocabulary_stands_still_when_its_time_is_over(vit, scenes):
    method = BEiT(vit(), words=16, learn_words_until=0.5)
    for progress, moves in ((0.4, True), (0.6, True), (0.8, False)):
        before = copy.deepcopy(method.tokenizer.state_dict())
        method.zero_grad()
        method(scenes(4, views=1)).loss.backward()
        gradient = method.tokenizer.encode[0].weight.grad.abs().max()
        method.update(progress)
        codes = method.tokenizer.codes
        assert torch.equal(before["codes"], codes) != moves
        assert (gradient > 0) == moves


def test_beit_tells_words_and_its_encoder_not_the_tokenizer_is_trained_by_them(vit, scenes):
    method = BEiT(vit(), words=16, learn_words_until=0.0)
    images = scenes(3, views=1)[0]
    out = method([images], drawn(5))
    mask = block_mask(3, (4, 4), 0.4, generator=drawn(5))
    told = method.predict(method.encoded_with_holes(images, mask, method.hole))
    words, _ = method._words(images)
    naive = -told.log_softmax(-1).gather(2, words[:, :, None])[..., 0][mask].mean()
    torch.testing.assert_close(out.loss, naive)
    out.loss.backward()
    assert all(p.grad.abs().max() == 0 for p in method.tokenizer.parameters())


def test_errors(conv, vit):
    with pytest.raises(MethodError, match="BEiT hides tokens, so it needs a ViT"):
        BEiT(conv())
    with pytest.raises(MethodError, match=r"hog_bands must be numbers from 0 to 5, but are \[6\]"):
        MaskFeat(vit(), hog_bands=[6])
    with pytest.raises(MethodError, match=r"ratio of 0\.01 hides 0 of 16"):
        Data2Vec(vit(), mask_ratio=0.01)
