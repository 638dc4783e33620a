"""Stored numbers to standardised ones and back, and the refusal to do so with the wrong data."""

import math

import numpy as np
import torch
from torch import Tensor, nn

from workbench.datasets.statistics import BandStatistics
from workbench.errors import ContractMismatchError
from workbench.nodata import nodata_as
from workbench.sensors import InputContract

_FAR = 100.0  # times: data that are spread that much more or less than the statistics are others
_AWAY = 20.0  # standard deviations between the mean of a batch and that of the statistics


def valid_numbers(stored: Tensor, nodata: float | None) -> Tensor:
    """Say where stored numbers are measurements: not nodata, NaN or infinite.

    The rule of `workbench.nodata`, for tensors on any device; compared in the type of the numbers.

    Args:
        stored: Stored numbers of any shape and type.
        nodata: Stored number without a measurement; None if there is none.

    Returns:
        bool of the same shape.
    """
    kind = np.dtype(str(stored.dtype).removeprefix("torch.").replace("bfloat16", "float32"))
    number = nodata_as(kind, nodata)
    if stored.is_floating_point():
        is_valid = torch.isfinite(stored)
        return is_valid if number is None else is_valid & (stored != number)
    if number is None:
        return torch.ones_like(stored, dtype=torch.bool)
    # unsigned types of several bytes cannot be compared; their numbers fit the next signed type
    wide = {torch.uint16: torch.int32, torch.uint32: torch.int64}
    return stored.to(wide.get(stored.dtype, stored.dtype)) != number


class Normalizer(nn.Module):
    """Standardise each band: (number - mean) / standard deviation. A module, so it moves to a GPU.

    It is made for data of one contract, and refuses any other: units, scale, offset, nodata, bands,
    wavelengths and GSD must be those of the statistics. Nothing is clipped unless asked for.

    Args:
        statistics: Of stored numbers, usually of the training part.
        contract: Of the data that will be given, as the dataset states it.
        nodata_as: What a number without a measurement becomes: NaN, or 0.0 for the band's mean.
        clip: Bounds in standard deviations that results are clipped to; None: not clipped.

    Raises:
        ContractMismatchError: If the data keep another contract than the statistics, or the
            statistics say nothing of a band, or that it never changes.

    Example:
        >>> import numpy as np
        >>> from workbench.datasets.statistics import patch_statistics
        >>> from workbench.sensors import sensor
        >>> contract = sensor("enmap").contract(["B001"])
        >>> patch = np.array([[[100, 300], [-32768, 200]]], dtype=np.int16)
        >>> normalizer = Normalizer(patch_statistics(patch, contract), contract)
        >>> normalizer(torch.from_numpy(patch)).mul(1000).round().tolist()
        [[[-1225.0, 1225.0], [nan, 0.0]]]
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        statistics: BandStatistics,
        contract: InputContract,
        *,
        nodata_as: float = math.nan,
        clip: tuple[float, float] | None = None,
    ) -> None:
        super().__init__()
        contract.require_same(statistics.contract, thing="Data to be normalised")
        _require_spread(statistics)
        self.contract = contract
        self.nodata_as, self.clip = nodata_as, clip
        # (C, 1, 1), against (..., C, H, W)
        self.register_buffer("mean", torch.tensor(statistics.mean).float()[:, None, None])
        self.register_buffer("std", torch.tensor(statistics.std).float()[:, None, None])

    def forward(self, stored: Tensor) -> Tensor:
        """Standardise.

        Args:
            stored: (..., C, H, W) stored numbers, of any type.

        Returns:
            float32 of the same shape, in standard deviations.

        Raises:
            ContractMismatchError: If there is not one band for each of the contract's.
        """
        self._require_bands(stored)
        found = stored.float().sub(self.mean).div_(self.std)
        if self.clip is not None:
            found = found.clamp_(*self.clip)
        return found.masked_fill_(~self.valid(stored), self.nodata_as)

    def invert(self, standardised: Tensor) -> Tensor:
        """Give back stored numbers, float32; NaN stays NaN, what was clipped stays clipped.

        Raises:
            ContractMismatchError: If there is not one band for each of the contract's.
        """
        self._require_bands(standardised)
        return standardised.float().mul(self.std).add_(self.mean)

    def physical(self, standardised: Tensor) -> Tensor:
        """Give back values in the contract's units: `invert`, then scale and offset."""
        return self.invert(standardised).mul_(self.contract.scale).add_(self.contract.offset)

    def valid(self, stored: Tensor) -> Tensor:
        """Say where stored numbers are measurements: bool of the same shape."""
        return valid_numbers(stored, self.contract.nodata)

    def require_plausible(self, stored: Tensor, *, thing: str = "The data") -> None:
        """Refuse numbers that cannot be what their contract says, as reflectance given as DN.

        A contract is a claim; this looks at the numbers. It finds scales that are wrong by two
        orders of magnitude, not subtle ones. Give it a batch of many places.

        Args:
            stored: (..., C, H, W) stored numbers, as they are given to `forward`.
            thing: What they are, for the message.

        Raises:
            ContractMismatchError: If there is no valid number, or their spread is 100 times
                another, or their mean 20 standard deviations away, in most bands.
        """
        self._require_bands(stored)
        is_valid = self.valid(stored)
        if not is_valid.any():
            raise ContractMismatchError(f"{thing} must hold a measurement, but all is nodata.")
        spread, middle = _spread_and_middle(stored.float().sub(self.mean).div_(self.std), is_valid)
        if 1 / _FAR <= spread <= _FAR and abs(middle) <= _AWAY:
            return
        at = [0.05, 0.5, 0.95]
        found = ", ".join(f"{v:.4g}" for v in _quantiles(stored[is_valid].float(), at))
        low, high = float((self.mean - self.std).min()), float((self.mean + self.std).max())
        raise ContractMismatchError(
            f"{thing} must hold numbers like those of the statistics (mean ± standard deviation "
            f"within {low:.4g} … {high:.4g}), but 5, 50 and 95 % of them lie below {found}.\n"
            f"The contract says number × {self.contract.scale:g} + {self.contract.offset:g} is "
            f"{self.contract.units}: is that so?"
        )

    def extra_repr(self) -> str:
        """Name what was chosen, for `print`."""
        bands, units = len(self.contract.band_names), self.contract.units
        return f"{bands} bands of {units}, nodata_as={self.nodata_as}, clip={self.clip}"

    def _require_bands(self, images: Tensor) -> None:
        size = len(self.contract.band_names)
        if images.ndim < 3 or images.shape[-3] != size:
            raise ContractMismatchError(
                f"Images must have a band for each of the contract's {size}, but have the shape "
                f"{tuple(images.shape)}.\nThe order is (..., C, H, W)."
            )


def _require_spread(statistics: BandStatistics) -> None:
    flat = [
        name
        for name, count, m2 in zip(
            statistics.contract.band_names, statistics.count, statistics.m2, strict=True
        )
        if count == 0 or m2 == 0
    ]
    if flat:
        raise ContractMismatchError(
            f"Every band must have a spread to be standardised, but {', '.join(flat[:5])} "
            f"({len(flat)} in all) has one number or none in {statistics.patches} patches.\n"
            "Leave it out with `contract.select`, or measure more patches."
        )


def _spread_and_middle(standardised: Tensor, is_valid: Tensor) -> tuple[float, float]:
    """Median over the bands of the standard deviation and of the mean in each, without nodata."""
    by_band = standardised.masked_fill(~is_valid, math.nan).movedim(-3, 0).flatten(1)  # (C, N)
    middle = by_band.nanmean(1)
    spread = (by_band - middle[:, None]).square().nanmean(1).sqrt()
    return float(spread.nanmedian()), float(middle.nanmedian())


def _quantiles(numbers: Tensor, at: list[float]) -> list[float]:
    some = numbers[:: max(1, numbers.numel() // 1_000_000)]
    return torch.quantile(some, torch.tensor(at, device=some.device)).tolist()
