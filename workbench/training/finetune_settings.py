"""What a fine-tuning run is told: how long, how fast, by which loss, and when it is judged."""

from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

from workbench.errors import TrainingError

LossName: TypeAlias = Literal["auto", "cross_entropy", "boundary", "bce", "mse"]


@dataclass(frozen=True)
class FinetuneSettings:
    """The settings of a run. Defaults are those of SpectralEarth's benchmark, but for the batch.

    Raises:
        TrainingError: If a setting is outside its range.
    """

    steps: int = 300
    """Steps of the optimiser, >= 1."""
    batch_size: int = 8
    """Images per step, >= 1."""
    lr: float = 1e-3
    """Largest learning rate of AdamW, > 0; a cosine falls from it to 0."""
    weight_decay: float = 1e-4
    """>= 0."""
    warmup: float = 0.0
    """Share of the steps in which the rate rises, in [0, 1)."""
    loss: LossName = "auto"
    """"auto": cross-entropy for classes and change, binary cross-entropy for label vectors, mean
    squared error for densities; "boundary": cross-entropy with more weight near boundaries."""
    boundary: dict[str, Any] | None = None
    """Options of `BoundaryWeightedLoss`, only with "boundary"."""
    flips: bool = True
    """Whether images are flipped and turned at random; not where features are computed once."""
    eval_every: int = 50
    """Steps between two looks at the validation part, >= 1; the last step is always followed by
    one."""
    neighbours: int = 10
    """Only "knn": how many vote, >= 1."""

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "eval_every", "neighbours"):
            value = getattr(self, name)
            whole = isinstance(value, int) and not isinstance(value, bool)
            self._require(whole and value < 2**63, name, "a whole number")
        for name in ("lr", "weight_decay", "warmup"):
            value = getattr(self, name)
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            self._require(is_number and abs(value) < 1e300, name, "a finite number")
        for name in ("steps", "batch_size", "eval_every", "neighbours"):
            self._require(getattr(self, name) >= 1, name, ">= 1")
        self._require(self.lr > 0, "lr", "> 0")
        self._require(self.weight_decay >= 0, "weight_decay", ">= 0")
        self._require(0 <= self.warmup < 1, "warmup", "in [0, 1)")
        losses = ("auto", "cross_entropy", "boundary", "bce", "mse")
        self._require(self.loss in losses, "loss", " or ".join(losses))
        if self.boundary is not None and self.loss != "boundary":
            raise TrainingError(
                f"Options of a boundary loss go with loss='boundary', but it is {self.loss!r}."
            )

    def _require(self, holds: bool, name: str, expected: str) -> None:
        if not holds:
            value = getattr(self, name)
            raise TrainingError(f"FinetuneSettings.{name} must be {expected}, got {value!r}.")

    def to_dict(self) -> dict[str, Any]:
        """Lay the settings out as plain values for JSON."""
        return asdict(self)
