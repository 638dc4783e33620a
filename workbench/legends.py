"""Class tables of the label maps: which code means which class, its name and its colour.

A legend turns the codes of a delivered map into class indices 0 … K-1 and back. A code that the
legend neither maps nor names as ignored or as nodata is an error, never a silent class 0.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.errors import ContractMismatchError


@dataclass(frozen=True)
class LegendClass:
    """One class: its name, the map codes that belong to it, its colour."""

    name: str
    """Name for people."""
    codes: tuple[int, ...]
    """Codes of the delivered map, at least one."""
    color: str
    """Colour in maps and figures, "#rrggbb"."""


@dataclass(frozen=True)
class Legend:
    """The classes of one label map, in the order of their indices.

    Raises:
        ContractMismatchError: If a code stands in two places.
    """

    name: str
    """Key in the catalog, as "cdl14"."""
    title: str
    """Name for people, with the product and its resolution."""
    classes: tuple[LegendClass, ...]
    """Class k of an encoded map is `classes[k]`."""
    ignored: Mapping[int, str] = field(default_factory=dict)
    """Codes that belong to the product, but to no class of this legend, with their names; they
    become `ignore_index`."""
    ignore_other_codes: range | None = None
    """Codes of the product that are ignored as a group, as 1-255; None if each is listed."""
    source: str = ""
    """Where the table is from."""

    def __post_init__(self) -> None:
        codes = [c for k in self.classes for c in k.codes] + list(self.ignored)
        if twice := sorted({c for c in codes if codes.count(c) > 1}):
            raise ContractMismatchError(
                f"Legend {self.name!r}: a code belongs to one class, but {twice[0]} stands twice."
            )

    def __len__(self) -> int:
        return len(self.classes)

    @property
    def ignore_index(self) -> int:
        """Index of pixels that belong to no class: one past the last class."""
        return len(self.classes)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the classes, in order."""
        return tuple(c.name for c in self.classes)

    @property
    def colors(self) -> tuple[str, ...]:
        """Colours of the classes, in order."""
        return tuple(c.color for c in self.classes)

    @cached_property
    def index_of_code(self) -> dict[int, int]:
        """Class index of every mapped code."""
        return {code: i for i, c in enumerate(self.classes) for code in c.codes}

    @cached_property
    def nodata_codes(self) -> frozenset[int]:
        """Codes that stand for "nothing is known here", as NLCD's 0, 127 and 250."""
        names = {"no data", "outside area"}
        return frozenset(code for code, name in self.ignored.items() if name in names)

    def encode(
        self,
        codes: NDArray[Any],
        *,
        missing: NDArray[np.bool_] | None = None,
        thing: str = "the label map",
    ) -> NDArray[np.uint8]:
        """Turn the codes of a map into class indices.

        Args:
            codes: Array of any shape, codes as delivered: whole numbers, of a float type too.
            missing: Where the map itself says that it has no code (nodata of its header, a mask);
                what is stored there is not looked at.
            thing: What the codes are from, for the message.

        Returns:
            Class indices of the same shape; `ignore_index` where the code is ignored or missing,
            or NaN.

        Raises:
            ContractMismatchError: If a code is outside the legend, or no whole number.

        Example:
            >>> NLCD_15.encode(np.array([11, 95, 12])).tolist()
            [0, 14, 15]
        """
        known = np.ones(codes.shape, dtype=bool) if missing is None else ~missing
        if np.issubdtype(codes.dtype, np.floating):
            known &= ~np.isnan(codes)
        result = np.full(codes.shape, self.ignore_index, dtype=np.uint8)
        result[known] = self._indices(_whole(codes[known], thing), thing)
        return result

    def _indices(self, codes: NDArray[np.int64], thing: str) -> NDArray[np.uint8]:
        found, inverse = np.unique(codes, return_inverse=True)
        unknown = [int(c) for c in found if not self._is_known(int(c))]
        if unknown:
            raise ContractMismatchError(
                f"Every code of {thing} must be in the legend {self.name!r}, "
                f"but {', '.join(map(str, unknown[:5]))} "
                f"({int(np.isin(codes, unknown).sum())} pixels) is not.\n"
                f"Its codes: {self._code_text()}. Is this the right legend, and was the map "
                'resampled by nearest neighbour? A code for "no data" can be stated: '
                "`LabelSource(..., nodata=code)`."
            )
        table = np.array(
            [self.index_of_code.get(int(c), self.ignore_index) for c in found], dtype=np.uint8
        )
        return table[inverse].reshape(codes.shape)

    def present(
        self,
        codes: NDArray[Any],
        *,
        missing: NDArray[np.bool_] | None = None,
        thing: str = "the label map",
    ) -> NDArray[np.bool_]:
        """Say which classes occur in at least one pixel: the multi-label vector of a patch.

        Args:
            codes: As in `encode`.
            missing: As in `encode`.
            thing: What the codes are from, for the message.

        Returns:
            (K,) bool, True where the class is present.

        Raises:
            ContractMismatchError: If a code is outside the legend.
        """
        encoded = self.encode(codes, missing=missing, thing=thing)
        counts = np.bincount(encoded.ravel(), minlength=len(self) + 1)
        return counts[: len(self)] > 0

    def _is_known(self, code: int) -> bool:
        group = self.ignore_other_codes
        return (
            code in self.index_of_code
            or code in self.ignored
            or (group is not None and code in group)
        )

    def _code_text(self) -> str:
        codes = sorted([*self.index_of_code, *self.ignored])
        return ", ".join(map(str, codes))


def _whole(codes: NDArray[Any], thing: str) -> NDArray[np.int64]:
    """Codes as int64; floats must be whole numbers."""
    if codes.dtype.kind in "iub":
        return codes.astype(np.int64)
    broken = codes != np.rint(codes) if codes.dtype.kind == "f" else np.ones(codes.shape, bool)
    if broken.any() or not np.isfinite(codes).all():
        strange = codes[broken | ~np.isfinite(codes)]
        raise ContractMismatchError(
            f"Class codes are whole numbers, but {thing} is {codes.dtype} with {strange.flat[0]}.\n"
            "Read it without scaling or interpolation."
        )
    return codes.astype(np.int64)


def _read_legend(name: str, title: str, other: range | None = None) -> Legend:
    """A legend from its table in the package: code, class (empty: ignored), name, colour."""
    first, *lines = (files("workbench") / "classes" / f"{name}.csv").read_text("utf-8").splitlines()
    rows = list(csv.DictReader(lines))
    classes: dict[int, LegendClass] = {}
    for row in rows:
        if row["class"]:
            before = classes.get(int(row["class"]))
            codes = (*(before.codes if before else ()), int(row["code"]))
            classes[int(row["class"])] = LegendClass(row["name"], codes, row["color"])
    ignored = {int(row["code"]): row["name"] for row in rows if not row["class"]}
    in_order = tuple(classes[i] for i in range(len(classes)))
    return Legend(name, title, in_order, ignored, other, first.removeprefix("# source: "))


CORINE_19 = _read_legend("corine19", "CORINE Land Cover, 100 m, 19 classes of BigEarthNet")
"""Codes are CORINE's own, 111 to 523."""
CORINE_19_GRID = _read_legend("corine19_grid", "CORINE Land Cover rasters, 100 m, 19 classes")
"""The same classes for the published rasters, which number the 44 codes from 1 to 44."""
CDL_14 = _read_legend("cdl14", "USDA Cropland Data Layer, 30 m, 14 crops")
"""Every other code of CDL is ignored; what is no code of CDL is refused, so that not any byte
raster is taken for a crop map."""
NLCD_15 = _read_legend("nlcd15", "National Land Cover Database, 30 m, 15 classes")
HRL_LEAF_TYPE = _read_legend("hrl_leaf_type", "Copernicus HRL Dominant Leaf Type 2018, 10 m")
HRL_TREE_MASK = _read_legend("hrl_tree_mask", "Trees or none, from HRL Dominant Leaf Type, 10 m")
INDIAN_PINES_16 = _read_legend("indian_pines16", "Indian Pines ground truth, 1992, 16 classes")
NC_STRATA_7 = _read_legend("nc_strata7", "North Carolina land cover 1996, 28.5 m, 7 strata")

_ALL = (
    CORINE_19,
    CORINE_19_GRID,
    CDL_14,
    NLCD_15,
    HRL_LEAF_TYPE,
    HRL_TREE_MASK,
    INDIAN_PINES_16,
    NC_STRATA_7,
)
LEGENDS: dict[str, Legend] = {legend.name: legend for legend in _ALL}
"""Legends by name."""

_DENSITY_NODATA = (254, 255)


def tree_cover_density(
    codes: NDArray[Any],
    *,
    missing: NDArray[np.bool_] | None = None,
    thing: str = "the density map",
) -> NDArray[np.float32]:
    """Read Copernicus HRL Tree Cover Density: codes 0-100 are percent, 254 and 255 are no data.

    Args:
        codes: Array of any shape, codes as delivered.
        missing: Where the map itself says that it has no number; NaN is missing too.
        thing: What the codes are from, for the message.

    Returns:
        float32 of the same shape: share of ground under tree crowns, in [0, 1]; NaN without data.

    Raises:
        ContractMismatchError: If a code is neither a percentage nor 254 or 255.
    """
    lost = np.isin(codes, _DENSITY_NODATA)
    lost |= np.isnan(codes) if codes.dtype.kind == "f" else False
    lost |= False if missing is None else missing
    bad = ~(((codes >= 0) & (codes <= 100)) | lost)
    if bad.any():
        raise ContractMismatchError(
            f"Every code of {thing} must be a percentage 0-100, 254 or 255, "
            f"but {np.asarray(codes)[bad].flat[0]} ({int(bad.sum())} pixels) is not."
        )
    density = codes.astype(np.float32) / np.float32(100)
    density[lost] = np.nan
    return density
