"""Decoders on every encoder they make sense on, sizes no stride divides, and refusals."""

import pytest
import segmentation_models_pytorch as smp
import torch
from torch import nn

from workbench.errors import ModelError
from workbench.models import (
    ViTEncoder,
    ViTSize,
    WavelengthViT,
    resnet,
    segmentation_model,
    spectral_resnet50,
)

TINY = ViTSize(32, 2, 2)
ENCODERS = {
    "standard": lambda: resnet(18, 3),
    "detail": lambda: resnet(18, 3, stem="detail"),
    "spectral": lambda: spectral_resnet50(75),
    "dilated": lambda: spectral_resnet50(75, dilated=True),
    "vit": lambda: ViTEncoder(3, 32, 8, TINY, adapter=False),
    "spectral vit": lambda: ViTEncoder(75, 32, 4, TINY),
    "wavelength vit": lambda: WavelengthViT([450.0, 550.0], [9.0, 9.0], 32, 4, TINY),
}
RESNETS = ("standard", "detail")
VITS = ("vit", "spectral vit", "wavelength vit")
SENSE = [
    *((e, d) for e in RESNETS for d in ("unet", "deeplabv3+", "fcn", "linear")),
    *((e, d) for e in VITS for d in ("upconv", "fcn", "linear")),
    ("spectral", "unet"),
    ("spectral", "deeplabv3+"),
    ("dilated", "fcn"),
]


@pytest.mark.parametrize(("kind", "decoder"), SENSE)
def test_every_combination_that_makes_sense_labels_pixels(kind, decoder):
    """Sides that no stride divides: logits have the images' size, all weights a gradient."""
    torch.manual_seed(0)
    model = segmentation_model(ENCODERS[kind](), decoder, classes=5)
    size = (6, 7) if kind == "dilated" else (34, 27)
    images = torch.randn(2, model.encoder.bands, *size)
    logits = model(images)
    assert logits.shape == (2, 5, *size)
    assert model.decode(model.features(images), size).shape == logits.shape
    logits.square().mean().backward()
    assert all(p.grad is not None for p in model.decoder.parameters())


@torch.no_grad()
@pytest.mark.parametrize(
    ("kind", "decoder"),
    [(e, d) for e in RESNETS for d in ("unet", "deeplabv3+")] + [("vit", "upconv")],
)
def test_264_pixels_are_padded_and_cut_back(kind, decoder):
    """16 and 32 do not divide 264: as if the last pixels went on to the right and below."""
    encoder = ViTEncoder(3, 224, 16, TINY, adapter=False) if kind == "vit" else ENCODERS[kind]()
    model = segmentation_model(encoder, decoder, classes=2).eval()
    images = torch.randn(1, 3, 264, 264)
    step = max(model.encoder.strides)
    assert 264 % step
    side = -(-264 // step) * step
    whole = nn.functional.pad(images, (0, side - 264, 0, side - 264), mode="replicate")
    found = model(images)
    assert found.shape == (1, 2, 264, 264)
    torch.testing.assert_close(found, model(whole)[..., :264, :264])


@torch.no_grad()
@pytest.mark.parametrize(
    ("decoder", "theirs"), [("unet", smp.Unet), ("deeplabv3+", smp.DeepLabV3Plus)]
)
def test_resnets_give_what_segmentation_models_pytorch_gives(decoder, theirs):
    """The same weights in their whole network: encoder of torchvision names, decoder, head."""
    torch.manual_seed(0)
    ours = segmentation_model(resnet(18, 4), decoder, classes=3).eval()
    whole = theirs("resnet18", encoder_weights=None, in_channels=4, classes=3).eval()
    whole.encoder.load_state_dict(ours.encoder.state_dict())
    inner = ours.decoder.blocks if decoder == "unet" else ours.decoder.fusion
    whole.decoder.load_state_dict(inner.state_dict())
    whole.segmentation_head[0].load_state_dict(ours.decoder.head.state_dict())
    images = torch.randn(1, 4, 64, 64)
    if decoder == "unet":
        torch.testing.assert_close(ours(images), whole(images), rtol=1e-4, atol=1e-5)
    else:  # they enlarge the logits with corners aligned
        coarse = whole.segmentation_head[0](whole.decoder(whole.encoder(images)))
        expected = nn.functional.interpolate(coarse, (64, 64), mode="bilinear")
        torch.testing.assert_close(ours(images), expected, rtol=1e-4, atol=1e-5)


def test_both_stems_have_the_same_unet():
    shapes = [
        {name: value.shape for name, value in segmentation_model(
            resnet(18, 3, stem=stem), "unet", 2).decoder.state_dict().items()}
        for stem in ("standard", "detail")
    ]  # fmt: skip
    assert shapes[0] == shapes[1]


def test_upconv_has_the_published_layers():
    model = segmentation_model(
        ViTEncoder(3, 32, 16, ViTSize(384, 1, 6), adapter=False), "upconv", 7
    )
    convs = [m for m in model.decoder if isinstance(m, nn.Conv2d)]
    assert [(c.in_channels, c.out_channels) for c in convs] == [
        (384, 128),
        (128, 64),
        (64, 32),
        (32, 7),
    ]
    assert [type(m).__name__ for m in model.decoder][-2:] == ["Upsample", "Conv2d"]
    assert sum(isinstance(m, nn.BatchNorm2d) for m in model.decoder) == 3


def test_fcn_has_the_published_layers():
    with torch.device("meta"):
        model = segmentation_model(spectral_resnet50(dilated=True), "fcn", 14)
    first, _, _, last = model.decoder
    assert (first.in_channels, first.out_channels, first.kernel_size) == (2048, 256, (3, 3))
    assert (last.out_channels, last.kernel_size) == (14, (1, 1))


def test_deeplab_keeps_the_weights_and_ends_at_stride_16():
    encoder = resnet(18, 3)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    model = segmentation_model(encoder, "deeplabv3+", 2)
    assert model.encoder is encoder
    assert encoder.strides == (2, 4, 8, 16, 16)
    assert encoder.feature_maps(torch.zeros(1, 3, 64, 64))[-1].shape[2:] == (4, 4)
    encoder.load_state_dict(before)


@pytest.mark.parametrize(
    ("kind", "decoder", "sentence"),
    [
        ("vit", "unet", r"A UNet joins maps of several sizes, but ViTEncoder gives one"),
        ("spectral vit", "deeplabv3+", r"A DeepLabV3\+ joins maps of several sizes"),
        ("dilated", "unet", "gives all in one size"),
        ("standard", "upconv", "enlarges the one map of a transformer, but ResNetEncoder gives 5"),
        ("standard", "segformer", "No decoder 'segformer'"),
    ],
)
def test_combinations_without_sense_are_refused(kind, decoder, sentence):
    with torch.device("meta"):
        encoder = ENCODERS[kind]()
    with pytest.raises(ModelError, match=sentence):
        segmentation_model(encoder, decoder, 2)


def test_sizes_without_sense_are_refused():
    odd = ViTEncoder(3, 24, 12, TINY, adapter=False)
    with pytest.raises(ModelError, match="token size must be 2, 4, 8 …, got 12"):
        segmentation_model(odd, "upconv", 2)
    with pytest.raises(ModelError, match="at least one class, got 0"):
        segmentation_model(odd, "linear", 0)
    with pytest.raises(ModelError, match=r"must be \(B, 3, H, W\)"):
        segmentation_model(odd, "linear", 2)(torch.zeros(1, 4, 24, 24))
