"""Very small encoders that keep the interface of workbench.models, and simulated spectra."""

import pytest
import torch
from timm.models.vision_transformer import Block
from torch import nn

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


class TinyViT(nn.Module):
    """A ViT of two blocks with `forward_tokens`; what a token sees is its own pixels."""

    def __init__(self, width=WIDTH, bands=BANDS, side=SIDE, token=TOKEN):
        super().__init__()
        self.bands, self.width, self.embed_dim = bands, width, width
        self.image_size, self.token_size = side, token
        self.embed = nn.Linear(bands * token**2, width)
        self.cls_token = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.pos_embed = nn.Parameter(torch.randn(1, 1 + (side // token) ** 2, width) * 0.02)
        self.blocks = nn.ModuleList([Block(width, 2, qkv_bias=True) for _ in range(2)])
        self.norm = nn.LayerNorm(width)

    def forward_tokens(self, images, keep=None):
        size, (batch, bands, height, width) = self.token_size, images.shape
        cut = images.reshape(batch, bands, height // size, size, width // size, size)
        tokens = self.embed(cut.permute(0, 2, 4, 1, 3, 5).reshape(batch, -1, bands * size**2))
        tokens = tokens + self.pos_embed[:, 1:]
        if keep is not None:
            tokens = tokens.gather(1, keep[:, :, None].expand(-1, -1, tokens.shape[2]))
        first = (self.cls_token + self.pos_embed[:, :1]).expand(batch, -1, -1)
        tokens = torch.cat([first, tokens], dim=1)
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens)

    def forward(self, images):
        return self.forward_tokens(images)[:, 0]


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

    def make(seed=0, **options):
        torch.manual_seed(seed)
        return TinyViT(**options)

    return make


@pytest.fixture
def scenes():
    """Make views of simulated locations: each a mixture of two of four spectra, in stripes."""

    def make(batch=16, views=2, seed=0, side=SIDE, noise=0.2):
        draw = torch.Generator().manual_seed(seed)
        spectra = torch.randn(4, BANDS, generator=torch.Generator().manual_seed(99)) * 1.5
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
