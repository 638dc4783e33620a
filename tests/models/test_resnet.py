"""ResNets: the published one with its adapter, and the stem for details."""

import pytest
import timm
import torch

from workbench.errors import ModelError
from workbench.models import resnet, spectral_resnet50


def test_the_spectral_resnet_has_the_published_size():
    with torch.device("meta"):
        for dilated in (False, True):
            encoder = spectral_resnet50(dilated=dilated)
            assert sum(p.numel() for p in encoder.parameters()) == 24_202_624
    block = encoder.layer1[0]
    assert block.conv2.weight.shape == (256, 256, 3, 3)  # a stock block has 64


@torch.no_grad()
@pytest.mark.parametrize(("dilated", "sizes"), [(False, (64, 32, 16, 8)), (True, (128,) * 4)])
def test_the_stages_have_the_published_sizes(dilated, sizes):
    with torch.device("meta"):
        encoder = spectral_resnet50(dilated=dilated).eval()
        maps = []
        x = torch.zeros(1, 128, 128, 128)
        for stage in (encoder.layer1, encoder.layer2, encoder.layer3, encoder.layer4):
            x = stage(x)
            maps.append(tuple(x.shape[1:]))
    assert maps == [(c, s, s) for c, s in zip(encoder.channels, sizes, strict=True)]
    assert encoder.strides == tuple(128 // size for size in sizes)


def test_dilation_spreads_every_3x3_of_a_stage():
    with torch.device("meta"):
        encoder = spectral_resnet50(dilated=True)
    stages = (encoder.layer1, encoder.layer2, encoder.layer3, encoder.layer4)
    for dilation, stage in zip((1, 2, 4, 8), stages, strict=True):
        assert {block.conv2.dilation for block in stage} == {(dilation, dilation)}


@torch.no_grad()
def test_the_spectral_resnet_pools_its_last_map():
    encoder = spectral_resnet50(75).eval()
    images = torch.randn(2, 75, 16, 16)
    maps = encoder.feature_maps(images)
    assert [m.shape[1:] for m in maps] == [(256, 8, 8), (512, 4, 4), (1024, 2, 2), (2048, 1, 1)]
    torch.testing.assert_close(encoder(images), maps[-1].mean((2, 3)))
    assert encoder.width == 2048


@torch.no_grad()
@pytest.mark.parametrize("depth", [18, 50])
def test_the_standard_stem_is_timms(depth):
    encoder = resnet(depth, 12).eval()
    theirs = timm.create_model(f"resnet{depth}", in_chans=12, num_classes=0).eval()
    assert theirs.load_state_dict(encoder.state_dict())
    images = torch.randn(1, 12, 64, 64)
    torch.testing.assert_close(encoder(images), theirs(images))
    for ours, stride in zip(encoder.feature_maps(images), (2, 4, 8, 16, 32), strict=True):
        assert ours.shape[2:] == (64 // stride, 64 // stride)


@torch.no_grad()
@pytest.mark.parametrize("depth", [18, 50])
def test_the_detail_stem_halves_in_the_first_block_instead(depth):
    encoder = resnet(depth, 12, stem="detail").eval()
    assert encoder.strides == (1, 2, 4, 8, 16)
    maps = encoder.feature_maps(torch.randn(1, 12, 32, 32))
    sizes = [(c, 32 // s) for c, s in zip(encoder.channels, encoder.strides, strict=True)]
    assert [tuple(m.shape[1:3]) for m in maps] == sizes
    standard = resnet(depth, 12)
    loaded = encoder.load_state_dict(standard.state_dict(), strict=False)
    new = {"layer1.0.downsample"} if depth == 18 else set()
    assert {name.rsplit(".", 2)[0] for name in loaded.missing_keys} == new
    assert not loaded.unexpected_keys
    torch.testing.assert_close(encoder.conv1.weight, standard.conv1.weight)
    assert encoder.conv1.stride == (1, 1)


def test_what_does_not_fit_is_refused():
    for options in ({"depth": 34}, {"stem": "fine"}, {"bands": 0}):
        with pytest.raises(ModelError, match="A ResNet has a depth of 18 or 50"):
            resnet(**options)
    with pytest.raises(ModelError, match=r"must be \(B, 12, H, W\)"):
        resnet(18, 12)(torch.zeros(1, 13, 32, 32))
    with pytest.raises(ModelError, match="at least 75 bands"):
        spectral_resnet50(12)
