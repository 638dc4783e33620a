"""ResNets for any number of bands: SpectralEarth's with the adapter, and those with a stem."""

from collections.abc import Sequence
from typing import Any

import torch
from timm.models.resnet import BasicBlock, Bottleneck, ResNet, downsample_conv
from torch import Tensor, nn

from workbench.errors import ModelError
from workbench.models.spectral_adapter import SpectralAdapter
from workbench.models.vit import require_bands

DEPTHS: dict[int, tuple[Any, tuple[int, ...], int]] = {
    18: (BasicBlock, (2, 2, 2, 2), 1),
    50: (Bottleneck, (3, 4, 6, 3), 4),
}
STEMS = ("standard", "detail")


class ResNetEncoder(nn.Module):
    """A ResNet whose pooled output is the mean over the last feature map.

    Weights have torchvision's and timm's names (`conv1`, `bn1`, `layer1.0.conv1` …), the adapter's
    stand under `adapter`. Made by `resnet` and `spectral_resnet50`.

    Args:
        bands: Bands of the images.
        trunk: The timm network whose stages are taken over.
        adapter: What comes first instead of the stem; None: the trunk's own stem.
        strides: Stride of each feature map, fine to coarse.
        channels: Channels of each feature map.
    """

    def __init__(
        self,
        bands: int,
        trunk: Any,
        adapter: SpectralAdapter | None,
        strides: Sequence[int],
        channels: Sequence[int],
    ) -> None:
        super().__init__()
        self.bands, self.width = bands, channels[-1]
        self.strides, self.channels = tuple(strides), tuple(channels)
        self.adapter = adapter
        if adapter is None:
            self.conv1, self.bn1, self.act1 = trunk.conv1, trunk.bn1, trunk.act1
            self.maxpool = trunk.maxpool
        self.layer1, self.layer2 = trunk.layer1, trunk.layer2
        self.layer3, self.layer4 = trunk.layer3, trunk.layer4

    def forward(self, images: Tensor) -> Tensor:
        """Pool images: (B, C, H, W) → (B, width)."""
        return self.feature_maps(images)[-1].mean((2, 3))

    def feature_maps(self, images: Tensor) -> list[Tensor]:
        """Give the maps of the stem, if there is one, and of the four stages.

        Args:
            images: (B, C, H, W) standardised values.

        Returns:
            One (B, channels[i], H / strides[i], W / strides[i]) each, sizes rounded up.

        Raises:
            ModelError: If the number of bands is another one.
        """
        require_bands(images, self.bands)
        maps = []
        if self.adapter is not None:
            x = _as_convolved(self.adapter(images))
        else:
            x = self.act1(self.bn1(self.conv1(images)))
            maps.append(x)
            x = self.maxpool(x)
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
            maps.append(x)
        return maps


def _as_convolved(x: Tensor) -> Tensor:
    """Lay channels innermost where convolutions are faster so: on a CPU without gradients."""
    if x.is_cpu and not torch.is_grad_enabled():
        return x.contiguous(memory_format=torch.channels_last)
    return x


def resnet(depth: int = 18, bands: int = 12, stem: str = "standard") -> ResNetEncoder:
    """Make a ResNet that takes the bands directly.

    The stem "detail" is the talk's change for small objects: no max pool, the 7×7 convolution at
    stride 1, and stride 2 in the first residual block instead. Feature maps then have strides
    1, 2, 4, 8, 16 rather than 2, 4, 8, 16, 32. All weights of the standard form fit; ResNet-18's
    first block gets a new projection as its shortcut, which no published file has.

    Args:
        depth: 18 or 50.
        bands: Bands of the images.
        stem: "standard" or "detail".

    Raises:
        ModelError: If there is no such depth or stem, or no band.
    """
    if depth not in DEPTHS or stem not in STEMS or bands < 1:
        raise ModelError(
            f"A ResNet has a depth of 18 or 50, a stem 'standard' or 'detail', and a band or more, "
            f"got depth={depth}, stem={stem!r}, bands={bands}."
        )
    block, layers, expansion = DEPTHS[depth]
    trunk: Any = ResNet(block, layers, num_classes=0, in_chans=bands)
    strides = (2, 4, 8, 16, 32)
    if stem == "detail":
        _sharpen(trunk, 64, 64 * expansion)
        strides = (1, 2, 4, 8, 16)
    stages = [64 * expansion * 2**i for i in range(4)]
    return ResNetEncoder(bands, trunk, None, strides, (64, *stages))


def spectral_resnet50(bands: int = 202, dilated: bool = False) -> ResNetEncoder:
    """Make SpectralEarth's ResNet-50: the spectral adapter, then four stages without a stem.

    The first block of the first stage is wider than a stock one (256 channels in its 3×3
    convolution) and has the stride 2 that the stem would have had.

    Args:
        bands: Bands of the images, at least 75.
        dilated: Whether dilation (1, 2, 4, 8 by stage) replaces every stride, for segmentation:
            feature maps then have the images' size.

    Raises:
        ModelError: If there are too few bands.
    """
    adapter = SpectralAdapter(bands)
    block, layers, expansion = DEPTHS[50]
    trunk: Any = ResNet(block, layers, num_classes=0, in_chans=adapter.channels)
    shortcut = downsample_conv(adapter.channels, 256, 1, stride=2)
    trunk.layer1[0] = Bottleneck(
        adapter.channels, 64, stride=2, base_width=256, downsample=shortcut
    )
    strides = (2, 4, 8, 16)
    if dilated:
        stages = trunk.layer1, trunk.layer2, trunk.layer3, trunk.layer4
        for dilation, stage in zip((1, 2, 4, 8), stages, strict=True):
            dilate(stage, dilation)
        strides = (1, 1, 1, 1)
    return ResNetEncoder(bands, trunk, adapter, strides, [64 * expansion * 2**i for i in range(4)])


def dilate(stage: nn.Module, dilation: int) -> None:
    """Take all stride out of a stage, and spread its 3×3 convolutions instead; weights stay."""
    for module in stage.modules():
        if isinstance(module, nn.Conv2d):
            module.stride = (1, 1)
            if module.kernel_size == (3, 3):
                module.dilation = module.padding = (dilation, dilation)


def _sharpen(trunk: Any, stem_channels: int, stage_channels: int) -> None:
    """Move the stride of stem and pool behind them: 1 in the stem, 2 in the first block."""
    trunk.conv1.stride = (1, 1)
    trunk.maxpool = nn.Identity()
    first: Any = trunk.layer1[0]
    strided = first.conv1 if isinstance(first, BasicBlock) else first.conv2
    strided.stride = (2, 2)
    if first.downsample is None:
        first.downsample = downsample_conv(stem_channels, stage_channels, 1, stride=2)
    first.downsample[0].stride = (2, 2)
