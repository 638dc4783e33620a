"""What a sensor's bands are, and the contract that data must keep before a model may see it."""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.errors import ContractMismatchError
from workbench.nodata import is_missing


@dataclass(frozen=True)
class Band:
    """One spectral band of a sensor, as the sensor's own table lists it."""

    number: int
    """Number in the sensor's numbering, from 1."""
    name: str
    """What the band is called wherever it goes, in whatever order: "B8A", "B092", "VV"."""
    wavelength_nm: float | None
    """Centre in nanometres; None for a radar."""
    fwhm_nm: float | None
    """Full width at half maximum in nanometres; None for a radar."""
    gsd_m: float
    """Native ground sampling distance in metres."""
    detector: str
    """Detector or instrument: "VNIR", "SWIR", "MSI"."""


@dataclass(frozen=True)
class InputContract:
    """How the numbers of an array are to be read: value = number × scale + offset, per band.

    Raises:
        ContractMismatchError: If the lists differ in length, or scale or GSD is not positive.

    Example:
        >>> data = sensor("sentinel2_l2a").contract()
        >>> data.mismatch(sensor("sentinel2_l2a").contract(offset=-0.1))
        ['offset is 0.0, not -0.1']
    """

    units: str
    """What the value is, as "surface reflectance", "DN", "dB"."""
    scale: float
    """Factor from stored number to value, > 0."""
    offset: float
    """Added after the factor, in `units`."""
    nodata: float | None
    """Stored number that means "no measurement" (it may be NaN); None if there is none."""
    band_names: tuple[str, ...]
    """Names of the bands, in the order of the array."""
    wavelengths_nm: tuple[float | None, ...]
    """Centres in nanometres."""
    fwhm_nm: tuple[float | None, ...]
    """Full widths at half maximum in nanometres."""
    gsd_m: float
    """Ground sampling distance of the array in metres, > 0."""

    def __post_init__(self) -> None:
        for field in ("band_names", "wavelengths_nm", "fwhm_nm"):
            object.__setattr__(self, field, tuple(getattr(self, field)))
        sizes = len(self.band_names), len(self.wavelengths_nm), len(self.fwhm_nm)
        if len(set(sizes)) > 1:
            raise ContractMismatchError(
                "A contract names, centres and widens each band once, but has "
                "{} names, {} wavelengths and {} widths.".format(*sizes)
            )
        if not (self.scale > 0 and self.gsd_m > 0):
            raise ContractMismatchError(
                f"Scale and GSD must be positive, got {self.scale} and {self.gsd_m} m."
            )

    def mismatch(self, expected: "InputContract", *, tolerance_nm: float = 2.0) -> list[str]:
        """List the ways in which this contract is not the expected one; empty if it is.

        Args:
            expected: The contract to hold this one against.
            tolerance_nm: Centres and widths may differ by this much; scenes of one spaceborne
                spectrometer differ by less than 1 nm.
        """
        found = [
            f"{name} is {ours!r}, not {theirs!r}"
            for name in ("units", "scale", "offset", "nodata", "gsd_m")
            if not _same(ours := getattr(self, name), theirs := getattr(expected, name))
        ]
        if self.band_names != expected.band_names:
            return [*found, _band_difference(self.band_names, expected.band_names)]
        for name in ("wavelengths_nm", "fwhm_nm"):
            found += _spectral_difference(
                name, self.band_names, getattr(self, name), getattr(expected, name), tolerance_nm
            )
        return found

    def require_same(self, expected: "InputContract", *, thing: str = "The data") -> None:
        """Refuse to go on if this contract is not the expected one.

        Args:
            expected: What the statistics, the model or the store was made for.
            thing: What this contract belongs to, for the message.

        Raises:
            ContractMismatchError: Naming every difference in units, scale, offset, nodata, bands,
                wavelengths or GSD.
        """
        if differences := self.mismatch(expected):
            raise ContractMismatchError(
                f"{thing} must keep the expected input contract, but {'; '.join(differences)}.\n"
                "Convert the data, or use statistics and weights made for it."
            )

    def select(self, names: Sequence[str]) -> "InputContract":
        """Keep the named bands, in the named order.

        Raises:
            ContractMismatchError: If a band is not there.
        """
        index = {name: i for i, name in enumerate(self.band_names)}
        if missing := [name for name in names if name not in index]:
            raise ContractMismatchError(
                f"No band named {', '.join(map(repr, missing[:5]))}.\n"
                f"There are {len(index)}: {', '.join(self.band_names[:5])} …"
            )
        at = [index[name] for name in names]
        return InputContract(
            **{
                **asdict(self),
                "band_names": tuple(names),
                "wavelengths_nm": tuple(self.wavelengths_nm[i] for i in at),
                "fwhm_nm": tuple(self.fwhm_nm[i] for i in at),
            }
        )

    def physical(self, array: NDArray[Any]) -> NDArray[np.float32]:
        """Turn stored numbers into values in `units`: float32, NaN where there is no data."""
        values = array.astype(np.float32)
        values[is_missing(np.asarray(array), self.nodata)] = np.nan
        values *= np.float32(self.scale)
        values += np.float32(self.offset)
        return values

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON; a NaN nodata becomes "nan"."""
        found = asdict(self)
        found["nodata"] = "nan" if _is_nan(self.nodata) else self.nodata
        return {k: list(v) if isinstance(v, tuple) else v for k, v in found.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "InputContract":
        """Read what `to_dict` wrote."""
        nodata = values["nodata"]
        return cls(**{**values, "nodata": None if nodata is None else float(nodata)})


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _same(ours: object, theirs: object) -> bool:
    if isinstance(ours, int | float) and isinstance(theirs, int | float):
        return (_is_nan(ours) and _is_nan(theirs)) or math.isclose(ours, theirs, rel_tol=1e-6)
    return ours == theirs


def _band_difference(ours: tuple[str, ...], theirs: tuple[str, ...]) -> str:
    if len(ours) != len(theirs):
        return f"it has {len(ours)} bands, not {len(theirs)}"
    i = next(i for i, pair in enumerate(zip(ours, theirs, strict=True)) if pair[0] != pair[1])
    same_set = " (same bands, another order)" if sorted(ours) == sorted(theirs) else ""
    return f"its band {i} is {ours[i]!r}, not {theirs[i]!r}{same_set}"


def _spectral_difference(
    field: str,
    names: tuple[str, ...],
    ours: tuple[float | None, ...],
    theirs: tuple[float | None, ...],
    tolerance: float,
) -> list[str]:
    """The first band whose centre or width is off, in one sentence."""
    for name, a, b in zip(names, ours, theirs, strict=True):
        if (a is None) != (b is None) or (
            a is not None and b is not None and abs(a - b) > tolerance
        ):
            return [f"{field} of {name!r} is {a}, not {b}"]
    return []


@dataclass(frozen=True)
class Sensor:
    """A sensor (or processing level): its bands and how its numbers are usually delivered."""

    name: str
    """Key of the sensor in the catalog: "enmap"."""
    title: str
    """Name for people."""
    bands: tuple[Band, ...]
    """All bands, in the order of the sensor's own table."""
    kept: tuple[str, ...]
    """Names of the bands used for learning, in the order in which they are used."""
    units: str
    """What a value is after scale and offset."""
    scale: float
    """Factor from stored number to value."""
    offset: float
    """Added after the factor."""
    nodata: float | None
    """Stored number of a missing measurement."""
    gsd_m: float
    """Ground sampling distance of the product in metres."""
    source: str
    """Where the band table is from."""

    def band(self, name: str) -> Band:
        """Look a band up by name.

        Raises:
            ContractMismatchError: If the sensor has no such band.
        """
        for band in self.bands:
            if band.name == name:
                return band
        raise ContractMismatchError(
            f"{self.title} has no band {name!r}.\n"
            f"It has {len(self.bands)}, {self.bands[0].name} to {self.bands[-1].name}."
        )

    def contract(
        self, names: Sequence[str] | None = None, *, offset: float | None = None
    ) -> InputContract:
        """State the input contract of data as this sensor usually delivers it.

        Args:
            names: Bands in the order of the array; the kept ones if None.
            offset: Another offset, as -0.1 for Sentinel-2 baseline 04.00 and later (DN + 1,000).
        """
        bands = [self.band(name) for name in (self.kept if names is None else names)]
        return InputContract(
            units=self.units,
            scale=self.scale,
            offset=self.offset if offset is None else offset,
            nodata=self.nodata,
            band_names=tuple(b.name for b in bands),
            wavelengths_nm=tuple(b.wavelength_nm for b in bands),
            fwhm_nm=tuple(b.fwhm_nm for b in bands),
            gsd_m=self.gsd_m,
        )


# table, title, units, scale, offset, nodata, GSD in m
_SENSORS: dict[str, tuple[str, str, str, float, float, float | None, float]] = {
    "enmap": ("enmap", "EnMAP L2A", "surface reflectance", 1e-4, 0.0, -32768, 30),
    "sentinel2_l1c": ("sentinel2", "Sentinel-2 L1C", "TOA reflectance", 1e-4, 0.0, 0, 10),
    "sentinel2_l2a": ("sentinel2", "Sentinel-2 L2A", "surface reflectance", 1e-4, 0.0, 0, 10),
    "sentinel1": ("sentinel1", "Sentinel-1 GRD", "dB", 1.0, 0.0, math.nan, 10),
    "landsat7": ("landsat7", "Landsat-7 ETM+", "DN", 1.0, 0.0, None, 30),
    "landsat8": ("landsat8", "Landsat-8 OLI L2", "surface reflectance", 2.75e-5, -0.2, 0, 30),
    "desis": ("desis", "DESIS L2A", "surface reflectance", 1e-4, 0.0, -32768, 30),
    "eo1": ("eo1", "EO-1 Hyperion", "DN", 1.0, 0.0, 0, 30),
    "aviris": ("aviris", "AVIRIS (Indian Pines)", "DN", 1.0, 0.0, None, 20),
}
SENSOR_NAMES: tuple[str, ...] = tuple(_SENSORS)


@cache
def sensor(name: str) -> Sensor:
    """Give a sensor by its name.

    Args:
        name: One of `SENSOR_NAMES`.

    Raises:
        ContractMismatchError: If there is no such sensor.

    Example:
        >>> enmap = sensor("enmap")
        >>> len(enmap.bands), len(enmap.kept)
        (224, 202)
    """
    if name not in _SENSORS:
        raise ContractMismatchError(
            f"Unknown sensor {name!r}.\nKnown sensors: {', '.join(SENSOR_NAMES)}."
        )
    table, title, units, scale, offset, nodata, gsd = _SENSORS[name]
    source, rows = _read_table(table)
    bands = tuple(_band(row) for row in rows)
    every_band = name == "sentinel2_l1c"  # its table marks what L2A keeps
    kept = [b for b, r in zip(bands, rows, strict=True) if every_band or r.get("kept", "1") == "1"]
    if name == "enmap":  # VNIR and SWIR interleave between 902 and 993 nm, as in SpectralEarth
        kept.sort(key=lambda b: b.wavelength_nm or 0.0)
    names = tuple(b.name for b in kept)
    return Sensor(name, title, bands, names, units, scale, offset, nodata, gsd, source)


def _band(row: Mapping[str, str]) -> Band:
    wavelength, fwhm = (float(row[k]) if row[k] else None for k in ("wavelength_nm", "fwhm_nm"))
    number, gsd = int(row["number"]), float(row["gsd_m"])
    return Band(number, row["name"], wavelength, fwhm, gsd, row["detector"])


def _read_table(name: str) -> tuple[str, list[dict[str, str]]]:
    """The source (first line) and the rows of a band table of the package."""
    first, *lines = (files("workbench") / "bands" / f"{name}.csv").read_text().splitlines()
    return first.removeprefix("# source: "), list(csv.DictReader(lines))
