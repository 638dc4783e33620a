"""How an encoder was made, in plain values: what a checkpoint needs to make it again."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from workbench import models
from workbench.errors import CheckpointError
from workbench.models import ViTEncoder, ViTSize

_FACTORIES = ("spectral_resnet50", "spectral_vit", "resnet", "vit", "wavelength_vit")
_SPEC = "made_by"


@dataclass(frozen=True)
class EncoderSpec:
    """The factory of `workbench.models` and what it was given."""

    factory: str
    """"spectral_vit", "resnet" …, or "ViTEncoder" for a size of one's own."""
    options: dict[str, Any] = field(default_factory=dict)
    """Arguments, plain values."""

    def build(self) -> nn.Module:
        """Make the encoder, with new weights.

        Raises:
            CheckpointError: If there is no such factory, or it does not take these options.
        """
        factories: dict[str, Callable[..., nn.Module]] = {
            name: getattr(models, name) for name in _FACTORIES if hasattr(models, name)
        }
        factories["ViTEncoder"] = _vit_of_any_size
        if self.factory not in factories:
            raise CheckpointError(
                f"There is no encoder {self.factory!r}.\nEncoders are {', '.join(factories)}."
            )
        try:
            encoder = factories[self.factory](**self.options)
        except TypeError as error:
            raise CheckpointError(f"An encoder {self.factory} cannot be made: {error}.") from error
        setattr(encoder, _SPEC, self)
        return encoder


def build_encoder(factory: str, **options: Any) -> nn.Module:
    """Make an encoder that remembers how it was made, so that its checkpoint can make it again.

    Args:
        factory: Name of a factory in `workbench.models`.
        options: Its arguments, plain values.

    Raises:
        CheckpointError: If there is no such factory, or it does not take these options.

    Example:
        >>> encoder = build_encoder("vit", size="T", bands=4, image_size=8, token_size=4)
        >>> describe_encoder(encoder).factory
        'vit'
    """
    return EncoderSpec(factory, options).build()


def describe_encoder(encoder: nn.Module) -> EncoderSpec | None:
    """Say how an encoder was made.

    Returns:
        What `build_encoder` remembered; for a ViT what its layers say; None if it cannot be told:
        its checkpoint is then loaded into an encoder that the caller makes.
    """
    known = getattr(encoder, _SPEC, None)
    if isinstance(known, EncoderSpec):
        return known
    if type(encoder) is not ViTEncoder:
        return None
    heads: Any = encoder.blocks[0]
    options = {
        "bands": encoder.bands,
        "image_size": encoder.image_size,
        "token_size": encoder.token_size,
        "size": [encoder.width, len(encoder.blocks), heads.attn.num_heads],
        "adapter": encoder.adapter is not None,
    }
    return EncoderSpec("ViTEncoder", options)


def _vit_of_any_size(*, size: list[int], **options: Any) -> nn.Module:
    return ViTEncoder(size=ViTSize(*size), **options)
