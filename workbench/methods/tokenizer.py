"""A small tokenizer that learns while it is used: each token of an image gets one of K words."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.methods.gathering import gathered


class Tokenizer(nn.Module):
    """Vector quantisation of single tokens, with a codebook that follows the data.

    Two layers bring a token's pixels to a few numbers of unit length; the nearest of K codes is
    its word; two layers paint the token again from the code. Layers learn by gradient; codes are
    running means of what they stand for, moved in `update`. A code that nobody uses is put onto a
    token of the last batch, so that words do not die out.

    Args:
        input_dim: Numbers of a token: bands · size · size.
        words: Number of codes K.
        code_dim: Width of a code.
        hidden_dim: Width of the layers.
        momentum: Of the running means, in [0, 1).
        commitment: Weight of the distance between a token and its code.

    References:
        van den Oord et al. 2017, https://arxiv.org/abs/1711.00937 (codebook by running means).
    """

    codes: Tensor
    use: Tensor
    total: Tensor
    restarts: Tensor

    def __init__(
        self,
        input_dim: int,
        *,
        words: int = 512,
        code_dim: int = 16,
        hidden_dim: int = 128,
        momentum: float = 0.98,
        commitment: float = 0.25,
    ) -> None:
        super().__init__()
        self.momentum, self.commitment = momentum, commitment
        self.encode = nn.Sequential(
            nn.Linear(input_dim, hidden_dim), nn.GELU(), nn.Linear(hidden_dim, code_dim)
        )
        self.decode = nn.Sequential(
            nn.Linear(code_dim, hidden_dim), nn.GELU(), nn.Linear(hidden_dim, input_dim)
        )
        codes = F.normalize(torch.randn(words, code_dim), dim=1)
        self.register_buffer("codes", codes)
        self.register_buffer("total", codes.clone())
        self.register_buffer("use", torch.ones(words))
        self.register_buffer("restarts", torch.zeros((), dtype=torch.long))
        self._waiting: list[tuple[Tensor, Tensor]] = []

    def forward(self, tokens: Tensor, *, learn: bool) -> tuple[Tensor, Tensor]:
        """Give words, and the loss of learning them.

        Args:
            tokens: (B, L, input) float32, each standardised.
            learn: Whether layers and codes are to learn from them.

        Returns:
            (B, L) int64 words, and a scalar: the error of the painted tokens and the commitment.
        """
        with torch.autocast(tokens.device.type, enabled=False):
            placed = F.normalize(self.encode(tokens.float()), dim=-1)
            words = (placed.detach() @ self.codes.T).argmax(-1)
            code = self.codes[words]
            painted = self.decode(placed + (code - placed).detach())  # straight through
            loss = F.mse_loss(painted, tokens) + self.commitment * F.mse_loss(placed, code)
        if learn:
            self._waiting.append((placed.detach().flatten(0, 1), words.flatten()))
        return words, loss if learn else 0.0 * loss  # still in use, to parallel training

    @torch.no_grad()
    def update(self) -> None:
        """Move the codes by what was seen since the last call, over all processes."""
        if not self._waiting:
            return
        placed = gathered(torch.cat([p for p, _ in self._waiting]))
        words = gathered(torch.cat([w for _, w in self._waiting]))
        self._waiting.clear()
        use = torch.zeros_like(self.use).index_add_(0, words, torch.ones_like(placed[:, 0]))
        total = torch.zeros_like(self.total).index_add_(0, words, placed)
        self.use.lerp_(use, 1 - self.momentum)
        self.total.lerp_(total, 1 - self.momentum)
        self._restart(placed)
        self.codes.copy_(F.normalize(self.total, dim=1))

    def _restart(self, placed: Tensor) -> None:
        """Put forgotten codes onto tokens, evenly spaced in the batch."""
        forgotten = (self.use < 0.01).nonzero()[:, 0]
        if not len(forgotten):
            return
        start = int(self.restarts) % len(placed)
        step = max(1, len(placed) // len(forgotten))
        chosen = placed[
            (start + step * torch.arange(len(forgotten), device=placed.device)) % len(placed)
        ]
        self.total[forgotten] = chosen
        self.use[forgotten] = 1.0
        self.restarts += 1
