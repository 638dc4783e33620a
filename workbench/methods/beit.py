"""BEiT: from visible tokens, tell the words of hidden ones."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.methods.masking import MaskedMethod, hidden_count, tokens_of
from workbench.methods.pretext import PretextOutput
from workbench.methods.tokenizer import Tokenizer


class BEiT(MaskedMethod):
    """Masked image modelling with a vocabulary.

    The encoder sees all places, hidden ones as a learned token, and one linear layer tells the
    words of the hidden tokens. The paper's words are those of a tokenizer trained on 250 million
    photographs, which knows no spectra. Ours is small and learned on the same data (`Tokenizer`):
    it learns during the first part of the training, together with the encoder but without gradient
    from one to the other, and stands still after it. That is the largest difference to the paper.

    Args:
        encoder: A ViT of workbench.models.
        mask_ratio: Fraction of tokens hidden, in (0, 1), kept exactly.
        blocks: Hide rectangles of tokens, as the paper does; else tokens one by one.
        words: Size of the vocabulary.
        learn_words_until: Share of the training in which the tokenizer learns.

    References:
        Bao et al. 2021, https://arxiv.org/abs/2106.08254.
    """

    def __init__(
        self,
        encoder: nn.Module,
        *,
        mask_ratio: float = 0.4,
        blocks: bool = True,
        words: int = 512,
        learn_words_until: float = 0.2,
    ) -> None:
        super().__init__(encoder)
        self.mask_ratio, self.blocks = mask_ratio, blocks
        self.learn_words_until = learn_words_until
        hidden_count(math.prod(self.grid), mask_ratio)  # refuses a wrong ratio now
        self.hole = nn.Parameter(torch.empty(self.width).normal_(std=0.02))
        self.predict = nn.Linear(self.width, words)
        self.tokenizer = Tokenizer(self.bands * self.token_size**2, words=words)

    def forward(
        self, views: list[Tensor], generator: torch.Generator | None = None
    ) -> PretextOutput:
        """Hide tokens, and compare what is told of them with their words."""
        images = self.images(views)
        mask = self.drawn_mask(views, self.mask_ratio, generator, blocks=self.blocks)
        words, learning = self._words(images)
        tokens = self.encoded_with_holes(images, mask, self.hole)
        told, wanted = self.predict(tokens[mask]).float(), words[mask]
        loss = F.cross_entropy(told, wanted)
        with torch.no_grad():
            shown = F.cross_entropy(self.predict(tokens[~mask]).float(), words[~mask])
            share = torch.bincount(words.flatten(), minlength=told.shape[1]) / words.numel()
        diagnostics = {
            "masked_loss": loss.detach(),
            "visible_loss": shown,
            "masked_accuracy": (told.argmax(1) == wanted).float().mean(),
            "words_used": torch.special.entr(share).sum().exp(),  # as many, if equally often
            "tokenizer_loss": learning.detach(),
            # of an answer that only knows how often each word occurs
            "chance_loss": torch.special.entr(share).sum() + learning.detach(),
        }
        return PretextOutput(loss + learning, diagnostics, tokens.detach().float().mean(1))

    @torch.no_grad()
    def update(self, progress: float) -> None:
        """Let the tokenizer's codes move."""
        super().update(progress)
        self.tokenizer.update()

    def _words(self, images: Tensor) -> tuple[Tensor, Tensor]:
        tokens = tokens_of(images, self.token_size).float()
        learn = self.training and torch.is_grad_enabled() and self.progress < self.learn_words_until
        found: tuple[Tensor, Tensor] = self.tokenizer(tokens, learn=learn)
        return found
