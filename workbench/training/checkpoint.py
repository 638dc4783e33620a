"""A trained encoder on disk: its weights as safetensors, with a card that says what they are.

The card stands in the header of the weights' own file, so that the two cannot be parted, and once
more as JSON beside it, for people. No file is ever unpickled: what is not safetensors is refused.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from workbench.datasets.files import whole_file, write_record
from workbench.datasets.normalization import Normalizer
from workbench.datasets.statistics import BandStatistics
from workbench.errors import CheckpointError
from workbench.sensors import InputContract
from workbench.showing import Sheet, Shown, in_short
from workbench.training.encoders import EncoderSpec

FORMAT = 1
_KEY = "workbench card"


@dataclass(frozen=True, repr=False)
class Card(Shown):
    """What the weights of a checkpoint are, and what they may be used for."""

    contract: InputContract
    """What the images must be."""
    encoder: EncoderSpec | None = None
    """How to make the encoder; None: the caller makes it."""
    statistics: BandStatistics | None = None
    """Of the training data, by which images are standardised."""
    method: str = ""
    """Name of the pretext method."""
    recipe: dict[str, Any] = field(default_factory=dict)
    """Settings of the run, and options of the method."""
    data: dict[str, Any] = field(default_factory=dict)
    """Checksum of the manifest, what was chosen from it, and how many locations there were."""
    metrics: dict[str, float] = field(default_factory=dict)
    """What was measured at the end."""
    steps: int = 0
    """Steps of the optimiser that were done."""
    seed: int | None = None
    """Of the run."""
    licence: str = "not stated"
    """Of the weights; usually that of the data they were trained on."""
    versions: dict[str, str] = field(default_factory=dict)
    """Of the packages."""

    def _sheet(self) -> Sheet:
        statistics = self.statistics
        rows = [
            (
                "encoder",
                "the caller's" if self.encoder is None else _encoder_in_words(self.encoder),
            ),
            ("images", _images_in_words(self.contract)),
            ("statistics", f"of {statistics.patches:,} patches" if statistics else "none"),
            ("recipe", in_short(self.recipe)),
            ("data", in_short(self.data)),
            ("metrics", in_short(self.metrics)),
            ("seed", "none" if self.seed is None else str(self.seed)),
            ("licence", self.licence),
            ("versions", in_short(self.versions)),
        ]
        caption = f"Checkpoint of {self.method or 'no pretext method'} after {self.steps:,} steps"
        return Sheet(caption, ("what", "value"), rows)

    def normalizer(self) -> Normalizer:
        """Standardise images as in training; what has no measurement becomes the band's mean.

        Raises:
            CheckpointError: If the card has no statistics.
        """
        if self.statistics is None:
            raise CheckpointError("The card has no statistics, so it cannot standardise images.")
        return Normalizer(self.statistics, self.contract, nodata_as=0.0)

    def to_dict(self) -> dict[str, Any]:
        """Lay the card out as plain values for JSON."""
        return {
            "format": FORMAT,
            **{name: getattr(self, name) for name in _PLAIN},
            "contract": self.contract.to_dict(),
            "encoder": None if self.encoder is None else asdict(self.encoder),
            "statistics": None if self.statistics is None else self.statistics.to_dict(),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Card":
        """Read what `to_dict` gave."""
        encoder, statistics = values["encoder"], values["statistics"]
        return cls(
            contract=InputContract.from_dict(values["contract"]),
            encoder=None if encoder is None else EncoderSpec(**encoder),
            statistics=None if statistics is None else BandStatistics.from_dict(statistics),
            **{name: values[name] for name in _PLAIN},
        )


def _encoder_in_words(encoder: EncoderSpec) -> str:
    return f"{encoder.factory}({in_short(encoder.options, most=12)})"


def _images_in_words(contract: InputContract) -> str:
    """Say bands, wavelengths, pixel and units in a line."""
    known = [nm for nm in contract.wavelengths_nm if nm is not None]
    spectrum = f" from {min(known):.0f} to {max(known):.0f} nm" if known else ""
    bands = len(contract.band_names)
    return f"{bands:,} bands{spectrum}, {contract.gsd_m:g} m, {contract.units}"


_PLAIN = ("method", "recipe", "data", "metrics", "steps", "seed", "licence", "versions")


def save_checkpoint(
    path: str | Path,
    encoder: nn.Module | Mapping[str, Tensor],
    card: Card,
) -> Path:
    """Write an encoder and its card, whole or not at all.

    Args:
        path: The file, NAME.safetensors; NAME.json beside it shows the card.
        encoder: The network, or its state.
        card: What it is.
    """
    path = Path(path)
    state = encoder.state_dict() if isinstance(encoder, nn.Module) else encoder
    tensors = {name: t.detach().cpu().contiguous().clone() for name, t in state.items()}
    card_text = json.dumps(card.to_dict(), allow_nan=False)
    with whole_file(path) as unfinished:
        save_file(tensors, unfinished, metadata={_KEY: card_text})
    write_record(path.with_suffix(".json"), card.to_dict())
    return path


def read_card(path: str | Path) -> Card:
    """Read the card of a checkpoint without its weights.

    Raises:
        CheckpointError: If the file is missing, truncated, not safetensors, or has no card of ours.
    """
    return _read(Path(path), weights=False)[1]


def load_checkpoint(
    path: str | Path,
    *,
    contract: InputContract | None = None,
    encoder: nn.Module | None = None,
) -> tuple[nn.Module, Card]:
    """Read an encoder back.

    Args:
        path: The file that `save_checkpoint` wrote.
        contract: Of the data that the encoder will see; None: not checked.
        encoder: Network that takes up the weights; None: the one of the card is made.

    Returns:
        The encoder in evaluation mode, and its card.

    Raises:
        CheckpointError: If the file is missing, truncated, not safetensors, has no card of ours,
            or its weights are those of another network.
        ContractMismatchError: If the data keep another contract than those of the training.
    """
    path = Path(path)
    state, card = _read(path, weights=True)
    if contract is not None:
        contract.require_same(card.contract, thing=f"Data for the encoder of {path.name}")
    if encoder is None:
        if card.encoder is None:
            raise CheckpointError(
                f"{path} does not say how its encoder was made.\nMake it, and give `encoder=`."
            )
        encoder = card.encoder.build()
    _require_same_network(encoder, state, path)
    encoder.load_state_dict(state)
    return encoder.eval(), card


def require_weights(path: Path, state: Mapping[str, Tensor]) -> None:
    """Refuse a checkpoint that holds other weights than a network.

    Args:
        path: The file that `save_checkpoint` wrote.
        state: Of the network.

    Raises:
        CheckpointError: If it does, or cannot be read.
    """
    found, _ = _read(path, weights=True)
    same = found.keys() == state.keys() and all(
        torch.equal(found[name], tensor.detach().cpu()) for name, tensor in state.items()
    )
    if not same:
        raise CheckpointError(
            f"{path} must hold the weights that the run ended with, but holds others.\n"
            "Was it replaced? Remove it to have it written again from the state of the run."
        )


def _read(path: Path, *, weights: bool) -> tuple[dict[str, Tensor], Card]:
    if not path.is_file():
        raise CheckpointError(f"There is no checkpoint at {path}.")
    with path.open("rb") as file:
        start = file.read(2)
    if start in (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"):
        raise CheckpointError(
            f"A checkpoint must be safetensors, but {path.name} is a pickle, which can run code "
            "when it is read: it was not opened.\nPublished weights go through "
            "`load_published_weights`."
        )
    try:
        with safe_open(path, framework="pt") as file:
            found = (file.metadata() or {}).get(_KEY)
            names = file.keys() if weights else ()
            state = {name: file.get_tensor(name) for name in names}
    except SafetensorError as error:
        raise CheckpointError(
            f"{path} is not a whole safetensors file ({error}).\nIs it cut off? Copy it again."
        ) from error
    try:
        values = json.loads(found or "")
        if values["format"] != FORMAT:
            raise ValueError(f"format {values['format']!r}, not {FORMAT}")
        return state, Card.from_dict(values)
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{path} must have a card of this package in its header, but has none ({error!r}).\n"
            "Published weights go through `load_published_weights`."
        ) from error


def _require_same_network(encoder: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    expected = {name: tuple(t.shape) for name, t in encoder.state_dict().items()}
    found = {name: tuple(t.shape) for name, t in state.items()}
    told = [f"{name!r} is missing" for name in expected if name not in found]
    told += [f"{name!r} is not the encoder's" for name in found if name not in expected]
    told += [
        f"{name!r} is {found[name]}, not {shape}"
        for name, shape in expected.items()
        if name in found and found[name] != shape
    ]
    if told:
        raise CheckpointError(
            f"A checkpoint must be of the same network, but in {path.name} {'; '.join(told[:3])} "
            f"({len(told)} of {len(expected)} differ).\nMake the encoder as its card says."
        )


def package_versions() -> dict[str, str]:
    """Versions of what a run's numbers depend on."""
    from importlib.metadata import version

    from workbench import __version__

    return {
        "spectral-workbench": __version__,  # also where the package runs from its source
        "torch": str(torch.__version__),
        "timm": version("timm"),
        "lightly": version("lightly"),
    }
