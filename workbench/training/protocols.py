"""What is trained when a pretrained encoder is put to a task, and what stays as it was.

"Frozen" means two things in the field. Here a frozen part keeps its weights *and* its BatchNorm
statistics, as it stays in eval mode. `as_published` freezes the weights alone, as SpectralEarth's
code does: the statistics then move with the task's images, and the encoder is not the one that was
pretrained.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from torch import nn

from workbench.errors import TrainingError

ProtocolName: TypeAlias = Literal["scratch", "frozen", "linear", "knn", "adapter", "full"]
PROTOCOLS: tuple[ProtocolName, ...] = ("scratch", "frozen", "linear", "knn", "adapter", "full")
FROZEN: tuple[ProtocolName, ...] = ("frozen", "linear", "knn")
"""Protocols that train no weight of the encoder, so that its features are computed once."""


@dataclass(frozen=True)
class Protocol:
    """How an encoder is used.

    Raises:
        TrainingError: If there is no such protocol, or options do not go with it.
    """

    name: ProtocolName
    """"scratch": random weights, all trained; "frozen": head only; "linear": head only, and that a
    linear one; "knn": nothing is trained; "adapter": head and spectral adapter (56,192 weights);
    "full": everything."""
    as_published: bool = False
    """Freeze weights only, and let BatchNorm statistics move."""
    layer_decay: float = 1.0
    """Factor on the learning rate from each block to the one before it, in (0, 1]; 1: one rate."""
    lora_rank: int = 0
    """Rank of low-rank updates of the attention's weights (Hu et al. 2021), which are trained
    instead of them; 0: none."""

    def __post_init__(self) -> None:
        if self.name not in PROTOCOLS:
            raise TrainingError(
                f"There is no protocol {self.name!r}.\nProtocols are {', '.join(PROTOCOLS)}."
            )
        if not 0 < self.layer_decay <= 1 or self.lora_rank < 0:
            raise TrainingError(
                "A protocol needs layer_decay in (0, 1] and lora_rank >= 0, got "
                f"{self.layer_decay!r} and {self.lora_rank!r}."
            )
        if self.layer_decay < 1 and self.name not in ("full", "scratch"):
            raise TrainingError(
                f"Rates by layer are for encoders that are trained, but {self.name!r} freezes it."
            )
        if self.lora_rank and self.name != "full":
            raise TrainingError(
                f"Low-rank updates are a form of 'full', but the protocol is {self.name!r}."
            )
        if self.as_published and self.name not in ("frozen", "linear", "adapter"):
            raise TrainingError(
                f"as_published says how to freeze, but {self.name!r} trains or ignores the encoder."
            )

    @property
    def features_stay(self) -> bool:
        """Whether an image always has the same features, so that they are computed once."""
        return self.name in FROZEN and not self.as_published

    def __str__(self) -> str:
        extra = ["as published"] if self.as_published else []
        extra += [f"layer decay {self.layer_decay:g}"] if self.layer_decay < 1 else []
        extra += [f"LoRA {self.lora_rank}"] if self.lora_rank else []
        return ", ".join([self.name, *extra])


def apply_protocol(model: nn.Module, protocol: Protocol) -> None:
    """Say of every weight of a model whether it is trained.

    Args:
        model: With `.encoder` and `.decoder`.
        protocol: Which.

    Raises:
        TrainingError: If it asks for an adapter or for attention that the encoder does not have.
    """
    encoder: Any = model.encoder
    inner: Any = getattr(encoder, "encoder", encoder)  # of one that looks at two dates
    model.requires_grad_(True)
    if protocol.name in FROZEN:
        encoder.requires_grad_(False)
    if protocol.name == "adapter":
        if inner.adapter is None:
            raise TrainingError(
                "The protocol 'adapter' trains the spectral adapter, but this encoder has none.\n"
                "Use 'frozen' or 'full', or an encoder with an adapter."
            )
        encoder.requires_grad_(False)
        inner.adapter.requires_grad_(True)
    if protocol.lora_rank:
        _add_lora(model, inner, protocol.lora_rank)


def set_training(model: nn.Module, protocol: Protocol) -> None:
    """Put a model into training mode, but keep frozen parts in eval mode (unless as published)."""
    model.train()
    encoder: Any = model.encoder
    if protocol.lora_rank and getattr(encoder, "encoder", encoder).adapter is not None:
        getattr(encoder, "encoder", encoder).adapter.eval()  # frozen: its BatchNorm stays too
    if protocol.as_published or protocol.name in ("scratch", "full"):
        return
    encoder.eval()
    if protocol.name == "adapter":
        getattr(encoder, "encoder", encoder).adapter.train()


def encoder_parameters(model: nn.Module) -> int:
    """Count the weights of the encoder that are trained."""
    encoder: Any = model.encoder
    return sum(p.numel() for p in encoder.parameters() if p.requires_grad)


def trained_parameters(model: nn.Module) -> int:
    """Count the weights that are trained, the head's included."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def rate_factors(model: nn.Module, protocol: Protocol) -> list[tuple[float, list[nn.Parameter]]]:
    """Group the trained weights by the factor on their learning rate.

    The head has factor 1, the encoder's last block `layer_decay`, the one before it its square, and
    so on down to what comes before the blocks.

    Returns:
        (factor, weights), the largest factor first.
    """
    encoder: Any = model.encoder
    depth = {id(p): level for level, part in _levels(encoder) for p in part.parameters()}
    deepest = max(depth.values(), default=0)
    in_encoder = {id(p) for p in encoder.parameters()}
    found: dict[float, list[nn.Parameter]] = {}
    for parameter in model.parameters():
        if not parameter.requires_grad:
            continue
        key, factor = id(parameter), 1.0
        if key in in_encoder:
            factor = protocol.layer_decay ** (deepest + 1 - depth.get(key, 0))
        found.setdefault(factor, []).append(parameter)
    return sorted(found.items(), key=lambda item: -item[0])


def _levels(encoder: Any) -> Iterator[tuple[int, nn.Module]]:
    """The blocks or stages of an encoder with their number, from 1."""
    inner = getattr(encoder, "encoder", encoder)
    blocks = getattr(inner, "blocks", None)
    if blocks is None:
        blocks = [getattr(inner, f"layer{i}") for i in (1, 2, 3, 4) if hasattr(inner, f"layer{i}")]
    yield from enumerate(blocks, start=1)


def _add_lora(model: nn.Module, inner: Any, rank: int) -> None:
    from peft import LoraConfig, inject_adapter_in_model

    if not hasattr(inner, "blocks"):
        raise TrainingError(
            "Low-rank updates are of attention, but this encoder has none.\nUse a ViT, or 'full'."
        )
    inner.requires_grad_(False)
    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=["qkv", "proj"], bias="none")
    for block in inner.blocks:
        inject_adapter_in_model(config, block.attn)
