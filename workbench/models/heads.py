"""Models for whole images: one score for each class on the pooled features of any encoder."""

from torch import Tensor, nn

from workbench.errors import ModelError


class ClassificationModel(nn.Module):
    """An encoder with a linear layer on its pooled features.

    Args:
        encoder: (B, C, H, W) to (B, width).
        classes: Number of outputs, >= 1.

    Raises:
        ModelError: If there is no output.
    """

    def __init__(self, encoder: nn.Module, classes: int) -> None:
        super().__init__()
        if classes < 1:
            raise ModelError(f"A model needs at least one class, got {classes}.")
        self.encoder = encoder
        width: int = encoder.width  # type: ignore[assignment]
        self.decoder = nn.Linear(width, classes)

    def features(self, images: Tensor) -> list[Tensor]:
        """Give what the head sees: [(B, width)]."""
        return [self.encoder(images)]

    def decode(self, features: list[Tensor], size: tuple[int, int]) -> Tensor:
        """Give (B, classes) logits of features; the images' size does not matter."""
        logits: Tensor = self.decoder(features[0])
        return logits

    def forward(self, images: Tensor) -> Tensor:
        """Give (B, classes) logits of images (B, C, H, W)."""
        return self.decode(self.features(images), (images.shape[2], images.shape[3]))


class SiameseEncoder(nn.Module):
    """One encoder on two dates: what it gives is how the later one differs from the earlier.

    It has the interface of an encoder of twice the bands, so that every decoder fits on it.

    Args:
        encoder: The encoder that both dates go through.
    """

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        for name in ("width", "strides", "channels", "adapter"):
            value = getattr(encoder, name)
            if not isinstance(value, nn.Module):
                setattr(self, name, value)
        self.bands: int = 2 * encoder.bands  # type: ignore[assignment, operator]

    @property
    def token_size(self) -> int:
        """Side of a token in pixels, if the encoder has tokens."""
        found: int = self.encoder.token_size  # type: ignore[assignment]
        return found

    def forward(self, images: Tensor) -> Tensor:
        """Pool two dates (B, 2 C, H, W): the difference of their features (B, width)."""
        before, after = self.encoder(self._dates(images)).chunk(2)
        found: Tensor = after - before
        return found

    def feature_maps(self, images: Tensor) -> list[Tensor]:
        """Give the differences of both dates' maps, fine to coarse."""
        maps: list[Tensor] = self.encoder.feature_maps(self._dates(images))  # type: ignore[operator]
        return [after - before for before, after in (m.chunk(2) for m in maps)]

    def _dates(self, images: Tensor) -> Tensor:
        if images.ndim != 4 or images.shape[1] != self.bands:
            raise ModelError(
                f"Two dates must be (B, {self.bands}, H, W), the earlier bands first, got the "
                f"shape {tuple(images.shape)}."
            )
        return images.unflatten(1, (2, -1)).transpose(0, 1).flatten(0, 1)
