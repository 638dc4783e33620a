"""Masked autoencoder: from a few visible tokens, paint in all the others."""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from lightly.models.utils import (  # type: ignore[import-untyped]
    get_2d_sine_cosine_positional_embedding,
)
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from workbench.methods.masking import (
    MaskedMethod,
    centred,
    chosen,
    hidden_count,
    split,
    tokens_of,
    variance_over_tokens,
)
from workbench.methods.pretext import PretextOutput

Positions = Literal["sincos", "sincos_learned", "as_is"]


class MAE(MaskedMethod):
    """Masked autoencoder.

    The encoder sees the visible tokens only, its spectral adapter included: its kernels are 1 × 1
    in space, so that the pixels of hidden tokens are never touched, not even by BatchNorm's
    statistics. A light decoder sees all places; the loss is the squared error on hidden tokens.
    Defaults are the paper's.

    Args:
        encoder: A ViT of workbench.models.
        mask_ratio: Fraction of tokens hidden, in (0, 1), kept exactly.
        decoder_width: Width of the decoder.
        decoder_depth: Its number of blocks.
        decoder_heads: Its heads, which divide the width.
        normalise_targets: Standardise each token's target by its own mean and spread.
        positions: What becomes of the encoder's position embedding: "sincos" sets it to sines and
            cosines and holds it, as the paper does; "sincos_learned" starts there; "as_is" leaves
            it, for an encoder that has been pretrained already.

    References:
        He et al. 2021, https://arxiv.org/abs/2111.06377.
    """

    def __init__(
        self,
        encoder: nn.Module,
        *,
        mask_ratio: float = 0.75,
        decoder_width: int = 512,
        decoder_depth: int = 8,
        decoder_heads: int = 16,
        normalise_targets: bool = True,
        positions: Positions = "sincos",
    ) -> None:
        super().__init__(encoder)
        self.mask_ratio = mask_ratio
        self.errors = HiddenErrors(self.token_size, normalise_targets)
        hidden_count(math.prod(self.grid), mask_ratio)  # refuses a wrong ratio now
        _set_positions(encoder, self.grid[0], positions)
        self.decoder = TokenDecoder(
            self.width, decoder_width, decoder_depth, decoder_heads, self.grid[0]
        )
        self.predict = nn.Linear(decoder_width, self.bands * self.token_size**2)
        nn.init.xavier_uniform_(self.predict.weight)
        nn.init.zeros_(self.predict.bias)

    def forward(
        self, views: list[Tensor], generator: torch.Generator | None = None
    ) -> PretextOutput:
        """Hide tokens, encode the others, and compare what the decoder paints in."""
        images = self.images(views)
        visible, hidden = split(self.drawn_mask(views, self.mask_ratio, generator, blocks=False))
        encoded = self.encoder.forward_tokens(images, visible)  # type: ignore[operator]
        decoded = self.decoder(encoded, visible)  # (B, L, decoder width)
        painted = self.predict(chosen(decoded, hidden))
        with torch.no_grad():
            shown = self.predict(chosen(decoded, visible))
        loss, of_shown, spread, chance = self.errors(images, painted, hidden, shown, visible)
        diagnostics = {
            "masked_loss": loss.detach(),
            "visible_loss": of_shown,
            "prediction_spread": spread,
            "chance_loss": chance,
        }
        return PretextOutput(loss, diagnostics, encoded[:, 1:].detach().float().mean(1))

    def targets(self, images: Tensor) -> Tensor:
        """Give what is to be painted: (B, L, C · size · size) float32."""
        return self.errors.targets(images)


class HiddenErrors(nn.Module):
    """How far what was painted is from the image: a module, so that it can be compiled alone.

    Args:
        token_size: Side of a token, pixels.
        normalise: Standardise each token's target by its own mean and spread.
    """

    def __init__(self, token_size: int, normalise: bool) -> None:
        super().__init__()
        self.token_size, self.normalise = token_size, normalise

    def forward(
        self, images: Tensor, painted: Tensor, hidden: Tensor, shown: Tensor, visible: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Compare.

        Args:
            images: (B, C, H, W)
            painted: (B, L - K, C · size · size) for hidden tokens.
            hidden: (B, L - K) their numbers.
            shown: (B, K, C · size · size) for visible tokens.
            visible: (B, K) their numbers.

        Returns:
            Mean squared error on hidden tokens; and, without gradient, the same on visible ones,
            the spread of what was painted (`masking.prediction_spread`), and the error of the best
            constant answer. All float32 scalars.
        """
        target = self.targets(images)
        painted, wanted = painted.float(), chosen(target, hidden)
        with torch.no_grad():
            of_shown = F.mse_loss(shown.float(), chosen(target, visible))
            chance = variance_over_tokens(wanted)
            spread = (variance_over_tokens(painted) / chance.clamp(min=1e-12)).sqrt()
        return F.mse_loss(painted, wanted), of_shown, spread, chance

    @torch.no_grad()
    def targets(self, images: Tensor) -> Tensor:
        """Give what is to be painted: (B, L, C · size · size) float32."""
        tokens = tokens_of(images, self.token_size).float()
        if not self.normalise:
            return tokens
        tokens = centred(tokens, -1)
        variance = tokens.square().sum(-1, keepdim=True) / (tokens.shape[-1] - 1)
        return tokens.div_(variance.add_(1e-6).sqrt_())


class TokenDecoder(nn.Module):
    """A light ViT over all places, with one learned token where nothing was seen.

    lightly's MAE decoder is announced for removal in its version 1.7; this one is timm's blocks.

    Args:
        input_dim: Width of the encoder.
        width: Width of the decoder.
        depth: Number of blocks.
        heads: Number of heads, which divides the width.
        side: Tokens along a side of the image.
    """

    positions: Tensor

    def __init__(self, input_dim: int, width: int, depth: int, heads: int, side: int) -> None:
        super().__init__()
        self.embed = nn.Linear(input_dim, width)
        self.unseen = nn.Parameter(torch.empty(1, 1, width).normal_(std=0.02))
        self.register_buffer("positions", sincos(width, side), persistent=False)
        norm = nn.LayerNorm
        self.blocks = nn.Sequential(
            *[Block(width, heads, qkv_bias=True, norm_layer=norm) for _ in range(depth)]
        )
        self.norm = nn.LayerNorm(width)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, encoded: Tensor, visible: Tensor) -> Tensor:
        """Decode.

        Args:
            encoded: (B, 1 + K, input_dim), the class token first.
            visible: (B, K) places of the others.

        Returns:
            (B, L, width), normalised, without the class token.
        """
        seen = self.embed(encoded)
        batch, count = len(seen), self.positions.shape[1] - 1
        everywhere = self.unseen.to(seen.dtype).expand(batch, count, -1)
        where = visible[:, :, None].expand(-1, -1, seen.shape[2])
        tokens = torch.cat([seen[:, :1], everywhere.scatter(1, where, seen[:, 1:])], dim=1)
        decoded: Tensor = self.norm(self.blocks(tokens + self.positions))
        return decoded[:, 1:]


def sincos(width: int, side: int) -> Tensor:
    """Give lightly's position embedding of sines and cosines, (1, 1 + side · side, width)."""
    table = get_2d_sine_cosine_positional_embedding(width, side, cls_token=True)
    return torch.from_numpy(table).float()[None]


@torch.no_grad()
def _set_positions(encoder: nn.Module, side: int, positions: Positions) -> None:
    if positions == "as_is":
        return
    embedding = encoder.pos_embed
    assert isinstance(embedding, nn.Parameter)
    embedding.copy_(sincos(embedding.shape[-1], side))
    embedding.requires_grad_(positions == "sincos_learned")
