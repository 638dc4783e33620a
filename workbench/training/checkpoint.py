"""A trained encoder on disk: its weights as safetensors, with a card that says what they are.

The card stands in the header of the weights' own file, so that the two cannot be parted, and once
more as JSON beside it, for people. No file is ever unpickled: what is not safetensors is refused.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import BaseModel, ConfigDict, Field
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from workbench.datasets.files import whole_file, write_record
from workbench.datasets.normalization import Normalizer
from workbench.datasets.statistics import BandStatistics
from workbench.errors import CheckpointError, ManifestError
from workbench.extraction.schemas import contract_from
from workbench.records import parse_record
from workbench.sensors import InputContract
from workbench.showing import Sheet, Shown, in_short
from workbench.training.encoders import EncoderSpec

FORMAT = 1
_KEY = "workbench card"
_SUM, _CARD_SUM = "workbench sha256", "workbench card sha256"
"""SHA-256 of card and weights, and of the card alone, which is read without the weights."""
_LARGEST_OPTION = 1_000_000  # of an encoder: bands, sides, widths
_SURELY_BANDS, _SURELY_PIXELS = 10_000, 2_048  # what a real encoder may have, whatever its weights


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
        """Read what `to_dict` gave.

        Raises:
            CheckpointError: If a value is missing, of another type or out of its range.
            ManifestError: The same of its contract or its statistics.
        """
        parse_record(
            json.dumps(dict(values)), _Stored, source="The card", what="that of a checkpoint",
            cure="It is damaged or of another version; copy the checkpoint again.",
            error=CheckpointError,
        )  # fmt: skip
        encoder, statistics = values["encoder"], values["statistics"]
        return cls(
            contract=contract_from(values["contract"], "The card"),
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


class _Encoder(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    factory: str
    options: dict[str, Any]


class _Stored(BaseModel):
    """What a card holds; what else a later version adds is left for it."""

    model_config = ConfigDict(strict=True, extra="allow")

    format: int
    contract: dict[str, Any]
    encoder: _Encoder | None
    statistics: dict[str, Any] | None
    method: str
    recipe: dict[str, Any]
    data: dict[str, Any]
    metrics: dict[str, float]
    steps: Annotated[int, Field(ge=0)]
    seed: int | None
    licence: str
    versions: dict[str, str]


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
    known = {_KEY: card_text, _SUM: _checksum(card_text, tensors)}
    with whole_file(path) as unfinished:
        save_file(tensors, unfinished, metadata={**known, _CARD_SUM: _checksum(card_text, {})})
        _sort_metadata(unfinished)
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
        _require_modest(card.encoder, state, path)
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


def verify_checkpoint(path: str | Path) -> bool:
    """Compare a checkpoint with its checksum, without making its network.

    Returns:
        Whether there was a checksum; checkpoints of 7acea7f and before have none.

    Raises:
        CheckpointError: If the file is damaged, or no checkpoint of ours.
    """
    path = Path(path)
    _read(path, weights=True)
    with safe_open(path, framework="pt") as file:
        return _SUM in (file.metadata() or {})


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
            known = file.metadata() or {}
            names = file.keys() if weights else ()
            state = {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path} is not a whole safetensors file ({error}).\nIs it cut off? Copy it again."
        ) from error
    text = known.get(_KEY, "")
    card = _card(text, path)
    name, found = (_SUM, state) if weights else (_CARD_SUM, {})
    if known.get(name) not in (None, _checksum(text, found)):
        raise CheckpointError(
            f"{path} is not what was written: the SHA-256 of its {'weights' if weights else 'card'}"
            " differs from that in its header.\nIt is damaged: copy it again."
        )
    return state, card


def _card(text: str, path: Path) -> Card:
    """The card in the header of a file."""
    cure = "Published weights go through `load_published_weights`."
    try:
        values = json.loads(text)
        form = values["format"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(
            f"{path} must have a card of this package in its header, but has none "
            f"({error!r}).\n{cure}"
        ) from error
    if form != FORMAT or isinstance(form, bool):
        raise CheckpointError(
            f"A card must be of format {FORMAT}, but that of {path} is of {str(form)[:40]!r}.\n"
            "Read it with the version that wrote it, or train again."
        )
    try:
        return Card.from_dict(values)
    except (CheckpointError, ManifestError) as error:
        raise CheckpointError(f"{path} has a damaged card. {error}") from error


def _sort_metadata(path: Path) -> None:
    """Put the metadata of a safetensors file into the order of their names, in place.

    safetensors writes them in an order that differs from one call to the next.
    """
    with path.open("r+b") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        if len(text) <= size:  # the tensors' places are counted from the header's end
            file.seek(8)
            file.write(text.ljust(size))


def _checksum(card_text: str, tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of a card's text and of tensors with their names, types and shapes."""
    found = hashlib.sha256(card_text.encode())
    for name, tensor in sorted(tensors.items()):
        found.update(f"\0{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        found.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def _require_modest(spec: EncoderSpec, state: Mapping[str, Tensor], path: Path) -> None:
    """No network is built that is far larger than the weights that were stored of it."""

    def numbers(value: object) -> Iterator[float]:
        if isinstance(value, int | float):
            yield value
        for part in value if isinstance(value, list | tuple) else ():
            yield from numbers(part)

    size = spec.options.get("size")
    depth = size[1] if isinstance(size, list) and len(size) == 3 else 0
    width = size[0] if isinstance(size, list) and len(size) == 3 else 0
    largest = max((max(t.shape, default=0) for t in state.values()), default=0)
    above = [n for n in numbers(list(spec.options.values())) if not -1 <= n <= _LARGEST_OPTION]
    bands, side = (spec.options.get(name) for name in ("bands", "image_size"))
    tokens = spec.options.get("token_size")
    if not isinstance(depth, int) or not isinstance(width, int) or above or depth > len(state):
        told = str(above[0])[:20] if above else f"{depth!r} blocks of width {width!r}"
    elif isinstance(bands, int) and bands > max(largest, _SURELY_BANDS):
        told = f"{bands:,} bands"
    elif (
        isinstance(side, int)
        and isinstance(tokens, int)
        and side > max(largest * tokens, _SURELY_PIXELS)
    ):
        told = f"images of {side:,} pixels"
    else:
        return
    raise CheckpointError(
        f"The encoder of a card must be that of its weights, but that of {path} has {told}, and "
        f"the largest of {len(state)} stored tensors {largest:,}.\nIts card is damaged: copy it "
        "again, or give `encoder=`."
    )


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
