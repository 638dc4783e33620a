"""How an encoder was made, in plain values: what a checkpoint needs to make it again."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from workbench import models
from workbench.errors import CheckpointError, WorkbenchError
from workbench.models import ResNetEncoder, ViTEncoder, ViTSize, WavelengthViT

_FACTORIES = ("spectral_resnet50", "spectral_vit", "resnet", "vit", "wavelength_vit")
_SPEC = "made_by"


@dataclass(frozen=True)
class EncoderSpec:
    """The factory of `workbench.models` and what it was given."""

    factory: str
    """"spectral_vit", "resnet" …, or "ViTEncoder" and "WavelengthViT" for a size of one's own."""
    options: dict[str, Any] = field(default_factory=dict)
    """Arguments, plain values."""

    def build(self) -> nn.Module:
        """Make the encoder, with new weights.

        Raises:
            CheckpointError: If there is no such factory, or it does not take these options.
        """
        require_factory(self.factory)
        factories = _factories()
        try:
            encoder = factories[self.factory](**self.options)
        except (TypeError, ValueError, RuntimeError, AssertionError, ArithmeticError) as error:
            if isinstance(error, WorkbenchError):
                raise
            raise CheckpointError(f"An encoder {self.factory} cannot be made: {error}.") from error
        setattr(encoder, _SPEC, self)
        return encoder


def _factories() -> dict[str, Callable[..., nn.Module]]:
    found: dict[str, Callable[..., nn.Module]] = {n: getattr(models, n) for n in _FACTORIES}
    return found | {"ViTEncoder": _vit_of_any_size, "WavelengthViT": _wavelength_vit_of_any_size}


def require_factory(name: str) -> None:
    """Refuse a name by which no encoder is made.

    Raises:
        CheckpointError: Naming those that there are.
    """
    if name not in _factories():
        raise CheckpointError(
            f"There is no encoder {name!r}.\nEncoders are {', '.join(_factories())}."
        )


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
        What `build_encoder` remembered; for encoders of `workbench.models` what their layers say;
        None for others: their checkpoint is loaded into an encoder that the caller makes.
    """
    known = getattr(encoder, _SPEC, None)
    if isinstance(known, EncoderSpec):
        return known
    if type(encoder) is ResNetEncoder:
        return _describe_resnet(encoder)
    if type(encoder) is WavelengthViT:
        sensor = {name: getattr(encoder, name).tolist() for name in ("wavelengths_nm", "fwhm_nm")}
        return EncoderSpec("WavelengthViT", {**sensor, **_shape(encoder)})
    if type(encoder) is ViTEncoder:
        has_adapter = encoder.adapter is not None
        own = {"bands": encoder.bands, "adapter": has_adapter}
        return EncoderSpec("ViTEncoder", {**own, **_shape(encoder)})
    return None


def _describe_resnet(encoder: ResNetEncoder) -> EncoderSpec:
    if encoder.adapter is not None:
        options = {"bands": encoder.bands, "dilated": encoder.strides[-1] == 1}
        return EncoderSpec("spectral_resnet50", options)
    stem = "detail" if encoder.strides[0] == 1 else "standard"
    depth = 18 if encoder.width == 512 else 50
    return EncoderSpec("resnet", {"depth": depth, "bands": encoder.bands, "stem": stem})


def _shape(encoder: ViTEncoder) -> dict[str, Any]:
    first: Any = encoder.blocks[0]
    last: Any = encoder.blocks[-1]
    rate = getattr(last.drop_path1, "drop_prob", 0.0)
    return {
        "image_size": encoder.image_size,
        "token_size": encoder.token_size,
        "size": [encoder.width, len(encoder.blocks), first.attn.num_heads],
        **({"drop_path": rate} if rate else {}),
    }


def _vit_of_any_size(*, size: list[int], **options: Any) -> nn.Module:
    return ViTEncoder(size=ViTSize(*size), **options)


def _wavelength_vit_of_any_size(*, size: list[int], **options: Any) -> nn.Module:
    return WavelengthViT(size=ViTSize(*size), **options)
