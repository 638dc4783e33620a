"""Mean and spread of each band in one streaming pass, mergeable in any grouping.

Statistics are of stored numbers, without nodata, and carry the contract that says what those
numbers mean. Parts are merged by the pairwise update of Chan, Golub and LeVeque (1979), so that
workers need not see one another's pixels and nothing is lost to large sums.
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from workbench.datasets.files import json_checksum, read_record, write_record
from workbench.errors import ContractMismatchError, ManifestError
from workbench.extraction.schemas import contract_from
from workbench.nodata import is_missing
from workbench.records import parse_record
from workbench.sensors import InputContract

FORMAT = 1
_CHUNK = 32  # patches that are merged into one part, whatever the number of workers

Floats = NDArray[np.float64]
Read = Callable[[int], NDArray[Any]]


class _Stored(BaseModel):
    """What a record of statistics holds; infinities stand there as None."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

    contract: dict[str, Any]
    patches: Annotated[int, Field(ge=0, lt=2**62)]
    count: list[Annotated[int, Field(ge=0, lt=2**62)]]
    mean: list[float]
    m2: list[Annotated[float, Field(ge=0)]]
    minimum: list[float | None]
    maximum: list[float | None]


@dataclass(frozen=True)
class BandStatistics:
    """What is known of the valid stored numbers of each band."""

    contract: InputContract
    """How the numbers are to be read."""
    patches: int
    """Number of patches they come from."""
    count: NDArray[np.int64]
    """(C,) valid numbers per band."""
    mean: Floats
    """(C,) mean; 0 for a band without a valid number."""
    m2: Floats
    """(C,) sum of squared distances from the mean."""
    minimum: Floats
    """(C,) smallest number; inf for a band without one."""
    maximum: Floats
    """(C,) largest number; -inf for a band without one."""

    @property
    def std(self) -> Floats:
        """(C,) standard deviation of all numbers seen (divided by N); NaN without a number."""
        with np.errstate(invalid="ignore"):
            return np.sqrt(self.m2 / self.count)

    def merged(self, other: "BandStatistics") -> "BandStatistics":
        """Give the statistics of both parts together.

        Raises:
            ContractMismatchError: If the parts are of different contracts.
        """
        if other.contract is not self.contract:
            other.contract.require_same(self.contract, thing="The other part of the statistics")
        count = self.count + other.count
        share = np.divide(other.count, count, out=np.zeros_like(self.mean), where=count > 0)
        delta = other.mean - self.mean
        return BandStatistics(
            contract=self.contract,
            patches=self.patches + other.patches,
            count=count,
            mean=self.mean + delta * share,
            m2=self.m2 + other.m2 + delta**2 * self.count * share,
            minimum=np.minimum(self.minimum, other.minimum),
            maximum=np.maximum(self.maximum, other.maximum),
        )

    def to_dict(self) -> dict[str, Any]:
        """Lay the statistics out as plain values for JSON; infinities become None."""
        numbers = {name: getattr(self, name) for name in ("mean", "m2", "minimum", "maximum")}
        return {
            "contract": self.contract.to_dict(),
            "patches": self.patches,
            "count": self.count.tolist(),
            **{
                k: [v if math.isfinite(v) else None for v in a.tolist()] for k, a in numbers.items()
            },
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "BandStatistics":
        """Read what `to_dict` gave.

        Raises:
            ManifestError: If a value is missing, of another type or out of its range.
        """
        checked = parse_record(
            json.dumps(dict(values)), _Stored, source="A record", what="band statistics",
            cure="It is damaged: measure them again.", error=ManifestError,
        )  # fmt: skip
        bands = len(checked.count)
        lengths = {len(getattr(checked, name)) for name in ("mean", "m2", "minimum", "maximum")}
        named = checked.contract.get("band_names")
        if lengths != {bands} or not isinstance(named, list) or len(named) != bands:
            raise ManifestError(
                f"Band statistics need each number once a band, but have {bands} counts and lists "
                f"of {sorted(lengths)}.\nThey are damaged: measure them again."
            )
        missing = {"minimum": math.inf, "maximum": -math.inf}
        numbers = {
            name: np.array([missing.get(name) if v is None else v for v in values[name]], float)
            for name in ("mean", "m2", "minimum", "maximum")
        }
        count = np.array(values["count"], dtype=np.int64)
        contract = contract_from(values["contract"], "A record of band statistics")
        return cls(contract=contract, patches=values["patches"], count=count, **numbers)


def patch_statistics(patch: NDArray[Any], contract: InputContract) -> BandStatistics:
    """Measure one patch.

    Args:
        patch: (C, ...) stored numbers.
        contract: How they are to be read; its nodata is left out, and so are NaN and
            infinite numbers (`workbench.nodata`).

    Raises:
        ContractMismatchError: If the patch has not a band for each of the contract's.

    Example:
        >>> from workbench.sensors import sensor
        >>> contract = sensor("enmap").contract(["B001", "B002"])
        >>> found = patch_statistics(np.array([[2, 4, -32768], [5, 5, 5]], np.int16), contract)
        >>> found.count.tolist(), found.mean.tolist(), found.std.tolist()
        ([2, 3], [3.0, 5.0], [1.0, 0.0])
    """
    size = len(contract.band_names)
    if patch.ndim < 1 or len(patch) != size:
        raise ContractMismatchError(
            f"A patch must have a band for each of the contract's {size}, but has the shape "
            f"{patch.shape}.\nBands come first: (C, H, W)."
        )
    count, mean, m2 = np.zeros(size, np.int64), np.zeros(size), np.zeros(size)
    minimum, maximum = np.full(size, math.inf), np.full(size, -math.inf)
    for i, band in enumerate(patch.reshape(size, -1)):  # a band fits the processor's cache
        numbers = _valid(band, contract.nodata).astype(np.float64)
        if not numbers.size:
            continue
        count[i], mean[i] = numbers.size, numbers.mean()
        minimum[i], maximum[i] = numbers.min(), numbers.max()
        numbers -= mean[i]
        m2[i] = numbers @ numbers
    return BandStatistics(contract, 1, count, mean, m2, minimum, maximum)


def combined(parts: Iterable[BandStatistics]) -> BandStatistics:
    """Merge parts in the order in which they come.

    Raises:
        ManifestError: If there is no part.
        ContractMismatchError: If parts are of different contracts.
    """
    found = list(parts)
    if not found:
        raise ManifestError("Statistics need at least one patch, but there is none.")
    return reduce(BandStatistics.merged, found)


def band_statistics(
    read: Read,
    rows: Sequence[int] | NDArray[np.integer],
    contract: InputContract,
    *,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> BandStatistics:
    """Measure many patches in one pass, each read once.

    The result is the same, bit for bit, whatever the number of workers: patches are taken in
    fixed groups, and the groups merged in order.

    Args:
        read: Gives the (C, H, W) stored numbers of a row; with workers it must be picklable, as
            a patch store's `read` is.
        rows: Which patches, usually those of the training part alone.
        contract: How the numbers are to be read.
        workers: Processes, >= 1.
        progress: Called with (patches done, patches in all).

    Raises:
        ManifestError: If there is no row.
        ContractMismatchError: If a patch has another number of bands.
    """
    numbers = [int(row) for row in rows]
    groups = [numbers[i : i + _CHUNK] for i in range(0, len(numbers), _CHUNK)]
    jobs = [(read, group, contract) for group in groups]
    found: BandStatistics | None = None
    for part in _each(jobs, workers):
        found = part if found is None else found.merged(part)
        if progress is not None:
            progress(found.patches, len(numbers))
    return combined([] if found is None else [found])


def write_statistics(
    statistics: BandStatistics, path: Path | str, *, made_from: Mapping[str, str]
) -> Path:
    """Write statistics as JSON, whole or not at all, with their contract and what they are of.

    Args:
        statistics: What to keep.
        path: The file, usually `statistics.json` beside the manifest; its folder is made.
        made_from: Checksums that tell other patches apart, as `Patches.made_from` gives them.
    """
    values = statistics.to_dict()
    found = {"format": FORMAT, "made_from": dict(made_from), "statistics": values}
    found["sha256"] = json_checksum(values)
    return write_record(Path(path), found)


def read_statistics(
    path: Path | str, *, made_from: Mapping[str, str] | None = None
) -> BandStatistics:
    """Read statistics back.

    Args:
        path: The file.
        made_from: Checksums they must have been written with; None if any will do.

    Raises:
        ManifestError: If the file is missing, holds no statistics or those of another format, or
            of other patches.
    """
    cure = "Measure them again, as with `stored_statistics`."
    found = read_record(Path(path), form=FORMAT, what="band statistics", cure=cure)
    told = found.get("made_from")
    if not isinstance(told, dict) or not isinstance(found.get("statistics"), dict):
        raise ManifestError(f"{path} holds no band statistics: a part of it is missing.\n{cure}")
    if found.get("sha256") not in (None, json_checksum(found["statistics"])):
        raise ManifestError(f"{path} is not what was written: its SHA-256 differs.\n{cure}")
    if made_from is not None and told != made_from:
        others = [name for name, sum_ in made_from.items() if found["made_from"].get(name) != sum_]
        raise ManifestError(
            f"Statistics must come from the patches in use, but those in {path} have another "
            f"checksum of the {' and the '.join(others)}.\n{cure}"
        )
    return BandStatistics.from_dict(found["statistics"])


def _valid(band: NDArray[Any], nodata: float | None) -> NDArray[Any]:
    missing = is_missing(band, nodata)
    return band[~missing] if missing.any() else band


def _part(job: tuple[Read, Sequence[int], InputContract]) -> BandStatistics:
    read, rows, contract = job
    return combined(patch_statistics(read(row), contract) for row in rows)


def _each(
    jobs: Sequence[tuple[Read, Sequence[int], InputContract]], workers: int
) -> Iterable[BandStatistics]:
    if workers == 1 or len(jobs) < 2:
        yield from map(_part, jobs)
        return
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(_part, jobs)
