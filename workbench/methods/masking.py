"""Which tokens of an image are hidden: drawn exactly, with a generator, for a batch at once."""

import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from workbench.errors import MethodError
from workbench.methods.gathering import processes, rank
from workbench.methods.pretext import Family, PretextMethod, encoder_size


def hidden_count(tokens: int, ratio: float) -> int:
    """Give the number of hidden tokens: the whole number nearest to the stated fraction.

    Args:
        tokens: Number of tokens of an image.
        ratio: Fraction hidden, in (0, 1).

    Raises:
        MethodError: If that leaves none hidden, or none visible.

    Example:
        >>> hidden_count(196, 0.75), hidden_count(1024, 0.9)
        (147, 922)
    """
    count = math.floor(tokens * ratio + 0.5)
    if not 0 < count < tokens:
        raise MethodError(
            f"A mask must hide and leave at least one token, but a ratio of {ratio} hides {count} "
            f"of {tokens}.\nUse another ratio, larger images or smaller tokens."
        )
    return count


def random_mask(
    batch: int, tokens: int, ratio: float, *, generator: torch.Generator | None = None
) -> Tensor:
    """Hide tokens at random, as many in each image.

    Args:
        batch: Number of images B.
        tokens: Number of tokens L of each.
        ratio: Fraction hidden, in (0, 1).
        generator: Draws; its device is the mask's.

    Returns:
        (B, L) bool, True where hidden.

    Raises:
        MethodError: If the ratio leaves none hidden, or none visible.
    """
    count = hidden_count(tokens, ratio)
    device = generator.device if generator is not None else None
    noise = torch.rand(batch, tokens, generator=generator, device=device)
    mask = torch.zeros(batch, tokens, dtype=torch.bool, device=device)
    return mask.scatter_(1, noise.argsort(dim=1)[:, :count], True)


def block_mask(
    batch: int,
    grid: tuple[int, int],
    ratio: float,
    *,
    smallest: int = 16,
    aspect: float = 0.3,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Hide rectangles of tokens, as BEiT does, until the fraction is reached exactly.

    BEiT stops near its fraction; here the last rectangle is cut short, row by row.

    Args:
        batch: Number of images B.
        grid: (height, width) in tokens, of L = height · width in all.
        ratio: Fraction hidden, in (0, 1).
        smallest: Tokens of the smallest rectangle; at most a quarter of the image.
        aspect: Of the longest rectangle, in (0, 1]; the highest has 1 / aspect.
        generator: Draws; its device is the mask's.

    Returns:
        (B, L) bool, True where hidden.

    Raises:
        MethodError: If the ratio leaves none hidden, or none visible.

    References:
        Bao et al. 2021, https://arxiv.org/abs/2106.08254 (Algorithm 1).
    """
    height, width = grid
    count = hidden_count(height * width, ratio)
    device = generator.device if generator is not None else None
    mask = torch.zeros(batch, height * width, dtype=torch.bool, device=device)
    smallest = max(1, min(smallest, height * width // 4))
    while bool(((left := count - mask.sum(1)) > 0).any()):
        draw = torch.rand(4, batch, generator=generator, device=device)
        area = smallest + draw[0] * (left - smallest).clamp(min=0)
        shape = torch.exp((2 * draw[1] - 1) * math.log(1 / aspect))
        high = (area * shape).sqrt().round().clamp(1, height)
        wide = (area / shape).sqrt().round().clamp(1, width)
        top = (draw[2] * (height - high + 1)).floor()
        side = (draw[3] * (width - wide + 1)).floor()
        rows = _between(torch.arange(height, device=device), top, high)  # (B, height)
        columns = _between(torch.arange(width, device=device), side, wide)  # (B, width)
        fresh = (rows[:, :, None] & columns[:, None, :]).flatten(1) & ~mask
        mask |= fresh & (fresh.cumsum(1) <= left[:, None])
    return mask


def _between(at: Tensor, start: Tensor, size: Tensor) -> Tensor:
    return (at >= start[:, None]) & (at < (start + size)[:, None])


def split(mask: Tensor) -> tuple[Tensor, Tensor]:
    """Give the numbers of the visible and of the hidden tokens, both in rising order.

    Args:
        mask: (B, L) bool, with as many True in each row.

    Returns:
        (B, K) and (B, L - K) int64.
    """
    order = mask.to(torch.uint8).argsort(dim=1, stable=True)
    hidden = int(mask[0].sum())
    return order[:, : mask.shape[1] - hidden], order[:, mask.shape[1] - hidden :]


def tokens_of(images: Tensor, size: int) -> Tensor:
    """Cut images into tokens, row by row.

    Args:
        images: (B, C, H, W)
        size: Side of a token, in pixels; it divides H and W.

    Returns:
        (B, L, C · size · size), with the bands slowest, as a convolution reads a token.
    """
    batch, bands, height, width = images.shape
    cut = images.reshape(batch, bands, height // size, size, width // size, size)
    return cut.permute(0, 2, 4, 1, 3, 5).reshape(batch, -1, bands * size * size)


def images_of(tokens: Tensor, size: int, bands: int) -> Tensor:
    """Put square images together again: the inverse of `tokens_of`.

    Args:
        tokens: (B, L, bands · size · size), L a square number.
        size: Side of a token, in pixels.
        bands: Number of bands C.

    Returns:
        (B, C, H, W)
    """
    batch, count, _ = tokens.shape
    side = math.isqrt(count)
    cut = tokens.reshape(batch, side, side, bands, size, size)
    return cut.permute(0, 3, 1, 4, 2, 5).reshape(batch, bands, side * size, side * size)


def chosen(tokens: Tensor, numbers: Tensor) -> Tensor:
    """Pick tokens: (B, L, D) and (B, K) numbers give (B, K, D)."""
    return tokens.gather(1, numbers[:, :, None].expand(-1, -1, tokens.shape[2]))


@torch.no_grad()
def prediction_spread(prediction: Tensor, target: Tensor) -> Tensor:
    """Spread of predictions over tokens relative to that of their targets; 0: all the same.

    Args:
        prediction: (..., P)
        target: The same shape.

    Returns:
        A scalar, >= 0.
    """
    said, wanted = variance_over_tokens(prediction), variance_over_tokens(target)
    return (said / wanted.clamp(min=1e-12)).sqrt()


@torch.no_grad()
def variance_over_tokens(values: Tensor) -> Tensor:
    """Mean squared distance of tokens (..., P) from their mean, a scalar.

    Of targets it is the error of the best answer that is the same for every token: chance.
    """
    return centred(values.detach().float().flatten(0, -2), 0).square_().mean()


def centred(values: Tensor, axis: int) -> Tensor:
    """Take the mean over an axis off: to square this is a fifth of the time of `Tensor.var`."""
    return values - values.mean(axis, keepdim=True)


class MaskedMethod(PretextMethod):
    """A method that hides tokens of single images; each view is one image more in the batch.

    Args:
        encoder: A ViT with `forward_tokens`, `image_size`, `token_size` and `bands`.

    Raises:
        MethodError: If the encoder is not such a one.
    """

    family: ClassVar[Family] = "masked"
    views_needed: ClassVar[int] = 1
    smallest_batch: ClassVar[int] = 1

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__(encoder)
        name = type(self).__name__
        if not callable(getattr(encoder, "forward_tokens", None)):
            raise MethodError(
                f"{name} hides tokens, so it needs a ViT, but {type(encoder).__name__} has no "
                "`forward_tokens`.\nUse `spectral_vit` or `vit`, or a method that compares views."
            )
        self.bands = encoder_size(encoder, "bands", for_whom=name)
        self.token_size = encoder_size(encoder, "token_size", for_whom=name)
        side = encoder_size(encoder, "image_size", for_whom=name) // self.token_size
        self.grid = (side, side)

    def drawn_mask(
        self, views: list[Tensor], ratio: float, generator: torch.Generator | None, *, blocks: bool
    ) -> Tensor:
        """Draw which tokens of all views are hidden: rectangles of them, or one by one.

        Processes that share a batch draw all of it and take their own rows: from generators of one
        state they hide what one process would.

        Args:
            views: Each (B, C, H, W).
            ratio: Fraction hidden, in (0, 1).
            generator: Draws.
            blocks: Rectangles of tokens.

        Returns:
            (B · V, L) bool on the views' device, True where hidden.
        """
        found = []
        for view in views:
            count = len(view) * processes()
            if blocks:
                mask = block_mask(count, self.grid, ratio, generator=generator)
            else:
                mask = random_mask(count, math.prod(self.grid), ratio, generator=generator)
            found.append(mask[rank() * len(view) : (rank() + 1) * len(view)])
        return torch.cat(found).to(views[0].device)

    def encoded_with_holes(self, images: Tensor, mask: Tensor, hole: Tensor) -> Tensor:
        """Encode all places, the embedding of hidden ones replaced by a learned token.

        Args:
            images: (B, C, H, W)
            mask: (B, L) bool, True where hidden.
            hole: (D,) the learned token.

        Returns:
            (B, L, D), without the class token.
        """
        encode: Any = self.encoder.forward_tokens
        tokens: Tensor = encode(images, mask=mask, mask_token=hole)
        return tokens[:, 1:]

    def images(self, views: list[Tensor]) -> Tensor:
        """Lay all views one after the other: (B · V, C, H, W).

        Raises:
            MethodError: If there is no view, or one is not of the encoder's size.
        """
        self.require_views(views)
        side = self.grid[0] * self.token_size
        for view in views:
            if view.shape[1:] != (self.bands, side, side):
                raise MethodError(
                    f"{type(self).__name__}: images must be of the encoder's shape "
                    f"{(self.bands, side, side)}, but a view has {tuple(view.shape[1:])}."
                )
        return torch.cat(views)
