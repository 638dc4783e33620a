"""Encoders made to label every pixel: UNet, DeepLabV3+, UpConv, FCN and linear decoders."""

from typing import Any

from segmentation_models_pytorch.decoders.deeplabv3.decoder import (  # type: ignore[import-untyped]
    DeepLabV3PlusDecoder,
)
from segmentation_models_pytorch.decoders.unet.decoder import (  # type: ignore[import-untyped]
    UnetDecoder,
)
from torch import Tensor, nn
from torch.nn import functional as F

from workbench.errors import ModelError
from workbench.models.heads import SiameseEncoder
from workbench.models.resnet import ResNetEncoder, dilate

DECODERS = ("unet", "deeplabv3+", "upconv", "fcn", "linear")

Size = tuple[int, int]


class SegmentationModel(nn.Module):
    """An encoder and a decoder; made by `segmentation_model`.

    Images whose sides the coarsest stride does not divide are continued at the right and at the
    bottom with their last pixels, and the logits cut back.

    Args:
        encoder: With `strides`, `channels` and `feature_maps`, as those of `workbench.models`.
        decoder: Takes some of the encoder's maps and the size they are made for, gives logits.
        maps: Numbers of the maps the decoder takes.
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module, maps: tuple[int, ...]) -> None:
        super().__init__()
        self.encoder, self.decoder, self.maps = encoder, decoder, maps

    def forward(self, images: Tensor) -> Tensor:
        """Label images: (B, C, H, W) standardised values → logits (B, classes, H, W).

        Raises:
            ModelError: If the number of bands is not the encoder's.
        """
        height, width = images.shape[2:]
        return self.decode(self.features(images), (height, width))

    def features(self, images: Tensor) -> list[Tensor]:
        """Give the maps the decoder takes: what may be computed once if the encoder is frozen."""
        height, width = images.shape[2:]
        full = self._whole((height, width))
        if full != (height, width):
            edges = (0, full[1] - width, 0, full[0] - height)
            images = F.pad(images, edges, mode="replicate")
        encoder: Any = self.encoder
        found = encoder.feature_maps(images)
        return [found[i] for i in self.maps]

    def decode(self, features: list[Tensor], size: Size) -> Tensor:
        """Turn what `features` gave for images of a size (height, width) into their logits."""
        logits: Tensor = self.decoder(features, self._whole(size))
        return logits[..., : size[0], : size[1]]

    def _whole(self, size: Size) -> Size:
        encoder: Any = self.encoder
        step = max(encoder.strides)
        return -(-size[0] // step) * step, -(-size[1] // step) * step


class _UNet(nn.Module):
    """UNet's decoder of segmentation-models-pytorch: 256, 128, 64, 32, 16 channels.

    With the detail stem the finest map has the images' size already; the last block then refines
    without enlarging, so that both stems have the same decoder, parameter by parameter.
    """

    def __init__(self, channels: tuple[int, ...], classes: int) -> None:
        super().__init__()
        widths = (256, 128, 64, 32, 16)[: len(channels)]
        # their list begins with the images themselves, of which only the size is used
        self.blocks = UnetDecoder((0, *channels), widths, n_blocks=len(widths))
        self.head = nn.Conv2d(widths[-1], classes, 3, padding=1)

    def forward(self, features: list[Tensor], size: Size) -> Tensor:
        images = features[0].new_empty(1, 0, *size)
        return self.head(self.blocks([images, *features]))


class _DeepLab(nn.Module):
    """DeepLabV3+'s decoder of segmentation-models-pytorch, for maps of strides 4 and 16."""

    def __init__(self, fine: int, coarse: int, classes: int) -> None:
        super().__init__()
        self.fusion = DeepLabV3PlusDecoder(
            (0, 0, fine, 0, coarse),
            encoder_depth=5,
            out_channels=256,
            atrous_rates=(12, 24, 36),
            output_stride=16,
            aspp_separable=True,
            aspp_dropout=0.5,
        )
        self.head = nn.Conv2d(256, classes, 1)

    def forward(self, features: list[Tensor], size: Size) -> Tensor:
        fine, coarse = features  # they take the third map and the last
        return _resized(self.head(self.fusion([coarse, coarse, fine, coarse])), size)


class _UpConv(nn.Sequential):
    """Twice as fine with each step: bilinear, then a 3×3 convolution; 128, 64, 32 … channels."""

    def __init__(self, channels: int, stride: int, classes: int) -> None:
        steps = stride.bit_length() - 1
        widths = [128 // 2**i for i in range(steps - 1)] + [classes]
        layers: list[nn.Module] = []
        for i, width in enumerate(widths):
            layers += [
                nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
                nn.Conv2d(channels, width, 3, padding=1),
            ]
            if i < steps - 1:
                layers += [nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
            channels = width
        super().__init__(*layers)

    def forward(self, features: list[Tensor], size: Size) -> Tensor:  # type: ignore[override]
        return super().forward(features[0])


class _Resized(nn.Sequential):
    """Layers on the coarsest map, and bilinear enlargement of their logits."""

    def forward(self, features: list[Tensor], size: Size) -> Tensor:  # type: ignore[override]
        return _resized(super().forward(features[0]), size)


def _resized(logits: Tensor, size: Size) -> Tensor:
    return F.interpolate(logits, size=size, mode="bilinear", align_corners=False)


def segmentation_model(encoder: nn.Module, decoder: str, classes: int) -> SegmentationModel:
    """Make a network that labels every pixel.

    - "unet": for ResNets, all maps (Ronneberger et al. 2015, https://arxiv.org/abs/1505.04597).
    - "deeplabv3+": for ResNets, maps of strides 4 and 16 (Chen et al. 2018,
      https://arxiv.org/abs/1802.02611). Where an encoder ends at stride 32, the stride of its last
      stage is replaced by dilation, in the encoder that was given; weights stay. In training it
      needs at least two images in a batch.
    - "upconv": for transformers, from their one map to the pixels in steps of two.
    - "fcn": 3×3 to an eighth of the channels, BatchNorm, ReLU, 1×1, enlarged; for any encoder.
    - "linear": 1×1 on the coarsest map, enlarged; for any encoder.

    Args:
        encoder: One of `workbench.models`.
        decoder: One of these names.
        classes: Channels of the logits, >= 1.

    Raises:
        ModelError: If there is no such decoder, no class, or it makes no sense on this encoder.

    Example:
        >>> import torch
        >>> from workbench.models import resnet
        >>> model = segmentation_model(resnet(18, 3), "unet", classes=4).eval()
        >>> model(torch.zeros(1, 3, 40, 40)).shape
        torch.Size([1, 4, 40, 40])
    """
    if decoder not in DECODERS:
        raise ModelError(f"No decoder {decoder!r}.\nDecoders are {', '.join(DECODERS)}.")
    if classes < 1:
        raise ModelError(f"A decoder needs at least one class, got {classes}.")
    known: Any = encoder
    strides, channels = tuple(known.strides), tuple(known.channels)
    last = (len(strides) - 1,)
    if decoder in ("unet", "deeplabv3+"):
        _require_pyramid(decoder, encoder, strides)
    if decoder == "unet":
        return SegmentationModel(encoder, _UNet(channels, classes), tuple(range(len(strides))))
    if decoder == "deeplabv3+":
        return _deeplab(encoder, strides, channels, classes)
    if decoder == "upconv":
        _require_one_map(encoder, strides)
        return SegmentationModel(encoder, _UpConv(channels[0], strides[0], classes), last)
    if decoder == "linear":
        return SegmentationModel(encoder, _Resized(nn.Conv2d(channels[-1], classes, 1)), last)
    middle = channels[-1] // 8
    head = _Resized(
        nn.Conv2d(channels[-1], middle, 3, padding=1, bias=False),
        nn.BatchNorm2d(middle),
        nn.ReLU(),
        nn.Conv2d(middle, classes, 1),
    )
    return SegmentationModel(encoder, head, last)


def _deeplab(
    encoder: nn.Module, strides: tuple[int, ...], channels: tuple[int, ...], classes: int
) -> SegmentationModel:
    inner = encoder.encoder if isinstance(encoder, SiameseEncoder) else encoder
    if strides[-1] == 32 and isinstance(inner, ResNetEncoder):
        dilate(inner.layer4, 2)
        known: Any = encoder
        inner.strides = known.strides = strides = (*strides[:-1], 16)
    if 4 not in strides or strides[-1] != 16:
        raise ModelError(
            f"A DeepLabV3+ takes maps of strides 4 and 16, but {type(encoder).__name__} has "
            f"{', '.join(map(str, strides))}.\nUse a ResNet, or another decoder."
        )
    fine = strides.index(4)
    decoder = _DeepLab(channels[fine], channels[-1], classes)
    return SegmentationModel(encoder, decoder, (fine, len(strides) - 1))


def _require_pyramid(decoder: str, encoder: nn.Module, strides: tuple[int, ...]) -> None:
    if len(set(strides)) < 2:
        name = {"unet": "UNet", "deeplabv3+": "DeepLabV3+"}[decoder]
        raise ModelError(
            f"A {name} joins maps of several sizes, but {type(encoder).__name__} gives "
            f"{'one' if len(strides) == 1 else 'all in one size'} (stride {strides[0]}).\n"
            f"Use {'upconv' if len(strides) == 1 else 'fcn'} or linear with it, or a ResNet."
        )


def _require_one_map(encoder: nn.Module, strides: tuple[int, ...]) -> None:
    if len(strides) > 1:
        raise ModelError(
            f"An UpConv enlarges the one map of a transformer, but {type(encoder).__name__} gives "
            f"{len(strides)} maps.\nUse unet, deeplabv3+, fcn or linear with it."
        )
    if strides[0] < 2 or strides[0] & (strides[0] - 1):
        raise ModelError(
            f"An UpConv doubles the size with each step, so the token size must be 2, 4, 8 …, got "
            f"{strides[0]}.\nUse fcn or linear with it."
        )
