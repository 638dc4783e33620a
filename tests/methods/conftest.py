"""Very small encoders with the interface of workbench.models, and simulated spectra."""

import pytest
import torch
from torch import nn

from workbench.models.vit import ViTEncoder, ViTSize

BANDS, SIDE, TOKEN, WIDTH = 6, 8, 2, 32


class TinyConv(nn.Module):
    """Two convolutions and a pool; takes images of any size."""

    def __init__(self, width=WIDTH, norm=True):
        super().__init__()
        self.bands, self.width = BANDS, width
        self.layers = nn.Sequential(
            nn.Conv2d(BANDS, width, 1),
            nn.BatchNorm2d(width) if norm else nn.Identity(),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(),
        )

    def forward(self, images):
        return self.layers(images).mean((2, 3))


@pytest.fixture
def conv():
    """Make a convolutional encoder of a seed."""

    def make(seed=0, **options):
        torch.manual_seed(seed)
        return TinyConv(**options)

    return make


@pytest.fixture
def vit():
    """Make a ViT of a seed."""

    def make(seed=0, bands=BANDS, adapter=False):
        torch.manual_seed(seed)
        return ViTEncoder(bands, SIDE, TOKEN, ViTSize(WIDTH, 2, 2), adapter=adapter)

    return make


@pytest.fixture
def scenes():
    """Make views of simulated locations: each a mixture of two of four spectra, in stripes."""

    def make(batch=16, views=2, seed=0, side=SIDE, noise=0.2, bands=BANDS):
        draw = torch.Generator().manual_seed(seed)
        spectra = torch.randn(4, bands, generator=torch.Generator().manual_seed(99)) * 1.5
        pair = torch.stack([torch.randperm(4, generator=draw)[:2] for _ in range(batch)])
        stripes = (torch.arange(side) // 2) % 2
        first = stripes[None, None, :, None].expand(batch, 1, side, side)
        first = torch.where(torch.rand(batch, 1, 1, 1, generator=draw) < 0.5, first, first.mT)
        ground = torch.where(
            first == 0, spectra[pair[:, 0]][:, :, None, None], spectra[pair[:, 1]][:, :, None, None]
        )
        return [
            ground * (0.8 + 0.4 * torch.rand(batch, 1, 1, 1, generator=draw))
            + noise * torch.randn(ground.shape, generator=draw)
            for _ in range(views)
        ]

    return make
