"""Vision transformers for any number of bands, with the spectral adapter in front or without it."""

from dataclasses import dataclass

import torch
from timm.layers import resample_abs_pos_embed
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from workbench.errors import ModelError
from workbench.models.spectral_adapter import SpectralAdapter

EPS = 1e-6  # of every LayerNorm, as in MAE and SpectralEarth; timm's own default too
_LARGE_TOKEN = 8  # pixels of a side


@dataclass(frozen=True)
class ViTSize:
    """Width, depth and heads of a vision transformer; the MLPs are four times as wide."""

    width: int
    depth: int
    heads: int


SIZES = {
    "T": ViTSize(192, 12, 3),
    "S": ViTSize(384, 12, 6),
    "B": ViTSize(768, 12, 12),
    "L": ViTSize(1024, 24, 16),
    "H": ViTSize(1280, 32, 16),
    "g": ViTSize(1536, 40, 24),
}


class ViTEncoder(nn.Module):
    """A vision transformer whose pooled output is its class token.

    Weights have timm's names (`patch_embed.proj`, `cls_token`, `pos_embed`, `blocks.0…`, `norm`),
    the adapter's stand under `adapter`. Images of any size that the token size divides are taken:
    position embeddings are interpolated where the grid is not the one of `image_size`.

    Args:
        bands: Bands of the images.
        image_size: Side of the images in pixels that position embeddings are learned for.
        token_size: Side of a token in pixels; divides `image_size`.
        size: Width, depth and heads.
        adapter: Whether a `SpectralAdapter` comes first.
        drop_path: Rate of stochastic depth at the last block, in [0, 1).

    Raises:
        ModelError: If the token size does not divide the image, or bands are too few.

    References:
        Dosovitskiy et al. 2021, https://arxiv.org/abs/2010.11929.
    """

    def __init__(
        self,
        bands: int,
        image_size: int,
        token_size: int,
        size: ViTSize,
        *,
        adapter: bool = True,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        require_whole_tokens(image_size, image_size, token_size)
        self.bands, self.image_size, self.token_size = bands, image_size, token_size
        self.embed_dim = self.width = size.width
        self.strides, self.channels = (token_size,), (size.width,)
        self.adapter = SpectralAdapter(bands) if adapter else None
        core = VisionTransformer(
            img_size=image_size,
            patch_size=token_size,
            in_chans=SpectralAdapter.channels if adapter else bands,
            num_classes=0,
            embed_dim=size.width,
            depth=size.depth,
            num_heads=size.heads,
            drop_path_rate=drop_path,
            norm_layer=lambda width, **where: nn.LayerNorm(width, eps=EPS, **where),
        )
        assert core.cls_token is not None
        assert core.pos_embed is not None
        self.patch_embed = core.patch_embed
        self.cls_token, self.pos_embed = core.cls_token, core.pos_embed
        self.blocks = nn.ModuleList(core.blocks)
        self.norm = core.norm
        self.grad_checkpointing = False

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Compute each block's activations again on the way back, to save memory."""
        self.grad_checkpointing = enable

    def forward(self, images: Tensor) -> Tensor:
        """Pool images: (B, C, H, W) → (B, width), the normalised class token."""
        return self.forward_tokens(images)[:, 0]

    def forward_tokens(
        self,
        images: Tensor,
        keep: Tensor | None = None,
        *,
        mask: Tensor | None = None,
        mask_token: Tensor | None = None,
    ) -> Tensor:
        """Encode images as tokens.

        With `keep` the adapter and the token embedding see the kept tokens' pixels only. That is
        the full computation in eval mode; in training BatchNorm's moments are then those of the
        visible pixels.

        Args:
            images: (B, C, H, W) standardised values.
            keep: (B, K) int64 numbers of the tokens to keep, row by row from 0; None keeps all.
            mask: (B, L) bool, True where the embedding is replaced by `mask_token`.
            mask_token: (D,) learned embedding, for methods that show the encoder all places.

        Returns:
            (B, 1 + K, D): the class token first, then tokens in the order of `keep`, normalised.

        Raises:
            ModelError: If the bands are others, or the token size does not divide the image.
        """
        return self.norm(self.block_outputs(images, keep, mask=mask, mask_token=mask_token)[-1])

    def block_outputs(
        self,
        images: Tensor,
        keep: Tensor | None = None,
        *,
        last: int = 1,
        mask: Tensor | None = None,
        mask_token: Tensor | None = None,
    ) -> list[Tensor]:
        """Give what the last blocks put out, not normalised: each (B, 1 + K, D).

        Args:
            images: (B, C, H, W) standardised values.
            keep: As for `forward_tokens`.
            last: Number of blocks, at least 1.
            mask: As for `forward_tokens`.
            mask_token: As for `forward_tokens`.
        """
        tokens = self.embed(images, keep)
        if mask is not None and mask_token is not None:
            tokens = torch.where(mask[..., None], mask_token.to(tokens.dtype), tokens)
        place = self.position_embedding(self.grid(images))
        here = place[:, 1:] if keep is None else place[0, 1:][keep]
        first = (self.cls_token + place[:, :1]).expand(len(tokens), -1, -1)
        tokens = torch.cat([first.to(tokens.dtype), tokens + here], dim=1)
        outputs: list[Tensor] = []
        for block in self.blocks:
            if self.grad_checkpointing and torch.is_grad_enabled():
                tokens = checkpoint(block, tokens, use_reentrant=False)
            else:
                tokens = block(tokens)
            outputs = [*outputs, tokens][-last:]
        return outputs

    def feature_maps(self, images: Tensor) -> list[Tensor]:
        """Give the normalised patch tokens as one map: [(B, width, H / token, W / token)]."""
        tokens = self.forward_tokens(images)[:, 1:]
        return [tokens.transpose(1, 2).unflatten(2, self.grid(images))]

    def grid(self, images: Tensor) -> tuple[int, int]:
        """Count the tokens down and across.

        Raises:
            ModelError: If the bands are others, or the token size does not divide the image.
        """
        require_bands(images, self.bands)
        height, width = images.shape[2:]
        require_whole_tokens(height, width, self.token_size)
        return height // self.token_size, width // self.token_size

    def position_embedding(self, grid: tuple[int, int]) -> Tensor:
        """Give (1, 1 + L, D) for a grid of tokens, interpolated if it is not the learned one."""
        side = self.image_size // self.token_size
        if grid == (side, side):
            return self.pos_embed
        return resample_abs_pos_embed(self.pos_embed, list(grid), [side, side], num_prefix_tokens=1)

    def embed(self, images: Tensor, keep: Tensor | None = None) -> Tensor:
        """Embed tokens without their positions: (B, C, H, W) → (B, K, D)."""
        grid = self.grid(images)
        if keep is not None:
            return self._embed_kept(images, keep, grid)
        return self.project(images if self.adapter is None else self.adapter(images))

    def project(self, adapted: Tensor) -> Tensor:
        """Project images of the first layer's channels to tokens (B, L, D), row by row."""
        return projected(adapted, self.patch_embed.proj.weight, self.patch_embed.proj.bias)

    def _embed_kept(self, images: Tensor, keep: Tensor, grid: tuple[int, int]) -> Tensor:
        """The kept tokens as images of one column of tokens each: (B, C, K · p, p)."""
        p = self.token_size
        cells = images.unflatten(3, (grid[1], p)).unflatten(2, (grid[0], p))
        batch = torch.arange(len(images), device=keep.device)[:, None]
        # (B, K, C, p, p): indices apart from each other put their axes in front
        kept = cells[batch, :, keep // grid[1], :, keep % grid[1], :]
        column = kept.transpose(1, 2).reshape(len(images), images.shape[1], -1, p)
        return self.project(column if self.adapter is None else self.adapter(column))


def projected(images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Convolve with a kernel as wide as its stride: each token's numbers times one matrix.

    On a CPU large tokens are laid side by side and multiplied at once: twice as fast as the
    convolution at 16 pixels, four times where there are few; below 8 the convolution is the faster.

    Args:
        images: (B, C, H, W), whole tokens.
        weight: (D, C, p, p)
        bias: (D,)

    Returns:
        (B, L, D), tokens row by row.
    """
    p = weight.shape[-1]
    if p < _LARGE_TOKEN or not images.is_cpu:
        return F.conv2d(images, weight, bias, stride=p).flatten(2).transpose(1, 2)
    cells = images.unflatten(3, (-1, p)).unflatten(2, (-1, p))  # (B, C, rows, p, columns, p)
    tokens = cells.permute(0, 2, 4, 1, 3, 5).flatten(1, 2).flatten(2)
    return F.linear(tokens, weight.flatten(1), bias)


def require_bands(images: Tensor, bands: int) -> None:
    """Refuse images of another number of bands.

    Raises:
        ModelError: If so, or if they are not (B, C, H, W).
    """
    if images.ndim != 4 or images.shape[1] != bands:
        raise ModelError(
            f"Images must be (B, {bands}, H, W) for this encoder, got the shape "
            f"{tuple(images.shape)}.\nMake the encoder with `bands` of the data."
        )


def require_whole_tokens(height: int, width: int, token_size: int) -> None:
    """Refuse an image that is not whole tokens.

    Raises:
        ModelError: If so.
    """
    if token_size < 1 or height % token_size or width % token_size or not height or not width:
        raise ModelError(
            f"The token size must divide the image, but {token_size} does not divide "
            f"{height} × {width} pixels.\nCrop the image, or choose another token_size."
        )


def spectral_vit(
    size: str = "S",
    bands: int = 202,
    image_size: int = 128,
    token_size: int = 4,
    *,
    drop_path: float = 0.0,
) -> ViTEncoder:
    """Make SpectralEarth's transformer: the spectral adapter, then a ViT on its 128 channels.

    Args:
        size: "T", "S", "B", "L", "H" or "g".
        bands: Bands of the images, at least 75.
        image_size: Side of the images in pixels.
        token_size: Side of a token in pixels; the talk compares 2, 4, 8 and 16.
        drop_path: Rate of stochastic depth, in [0, 1).

    Raises:
        ModelError: If there is no such size, too few bands, or no whole number of tokens.
    """
    return ViTEncoder(
        bands, image_size, token_size, vit_size(size), adapter=True, drop_path=drop_path
    )


def vit(
    size: str = "S",
    bands: int = 12,
    image_size: int = 224,
    token_size: int = 16,
    *,
    drop_path: float = 0.0,
) -> ViTEncoder:
    """Make a ViT that embeds the bands directly, as SSL4EO-S12's on Sentinel-2.

    Args:
        size: "T", "S", "B", "L", "H" or "g".
        bands: Bands of the images.
        image_size: Side of the images in pixels.
        token_size: Side of a token in pixels.
        drop_path: Rate of stochastic depth, in [0, 1).

    Raises:
        ModelError: If there is no such size, or no whole number of tokens.
    """
    return ViTEncoder(
        bands, image_size, token_size, vit_size(size), adapter=False, drop_path=drop_path
    )


def vit_size(name: str) -> ViTSize:
    """Look a size up.

    Raises:
        ModelError: If there is no such size.
    """
    if name not in SIZES:
        raise ModelError(f"No ViT of size {name!r}.\nSizes are {', '.join(SIZES)}.")
    return SIZES[name]
