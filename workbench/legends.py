"""Class tables of the label maps: which code means which class, its name and its colour.

A legend turns the codes of a delivered map into class indices 0 … K-1 and back. A code that the
legend neither maps nor names as ignored or as nodata is an error, never a silent class 0.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
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
    """Codes of the product that are ignored as a group, as CDL's 1-255; None if each is listed."""
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

    def encode(self, codes: NDArray[Any], *, thing: str = "the label map") -> NDArray[np.uint8]:
        """Turn the codes of a map into class indices.

        Args:
            codes: Integer array of any shape, codes as delivered.
            thing: What the codes are from, for the message.

        Returns:
            Class indices of the same shape; `ignore_index` where the code is ignored.

        Raises:
            ContractMismatchError: If a code is outside the legend.

        Example:
            >>> NLCD_15.encode(np.array([11, 95, 12])).tolist()
            [0, 14, 15]
        """
        if not np.issubdtype(codes.dtype, np.integer):
            raise ContractMismatchError(
                f"Class codes are whole numbers, but {thing} is {codes.dtype}.\n"
                "Read it without scaling or interpolation."
            )
        found, inverse = np.unique(codes, return_inverse=True)
        unknown = [int(c) for c in found if not self._is_known(int(c))]
        if unknown:
            raise ContractMismatchError(
                f"Every code of {thing} must be in the legend {self.name!r}, "
                f"but {', '.join(map(str, unknown[:5]))} "
                f"({int(np.isin(codes, unknown).sum())} pixels) is not.\n"
                f"Its codes: {self._code_text()}. Is this the right legend, and was the map "
                "resampled by nearest neighbour?"
            )
        table = np.array(
            [self.index_of_code.get(int(c), self.ignore_index) for c in found], dtype=np.uint8
        )
        return table[inverse].reshape(codes.shape)

    def present(self, codes: NDArray[Any], *, thing: str = "the label map") -> NDArray[np.bool_]:
        """Say which classes occur in at least one pixel: the multi-label vector of a patch.

        Args:
            codes: Integer array of any shape, codes as delivered.
            thing: What the codes are from, for the message.

        Returns:
            (K,) bool, True where the class is present.

        Raises:
            ContractMismatchError: If a code is outside the legend.
        """
        counts = np.bincount(self.encode(codes, thing=thing).ravel(), minlength=len(self) + 1)
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


def _classes(*rows: tuple[str, tuple[int, ...] | int, str]) -> tuple[LegendClass, ...]:
    return tuple(LegendClass(n, c if isinstance(c, tuple) else (c,), color) for n, c, color in rows)


CORINE_19 = Legend(
    name="corine19",
    title="CORINE Land Cover, 100 m, 19 classes of BigEarthNet",
    source="Sumbul et al. 2020 (BigEarthNet-19) over the 44 classes of CORINE level 3",
    classes=_classes(
        ("Urban fabric", (111, 112), "#e6004d"),
        ("Industrial or commercial units", 121, "#cc4df2"),
        ("Arable land", (211, 212, 213), "#ffffa8"),
        ("Permanent crops", (221, 222, 223, 241), "#e68000"),
        ("Pastures", 231, "#e6e64d"),
        ("Complex cultivation patterns", 242, "#ffe64d"),
        ("Land principally occupied by agriculture, with natural vegetation", 243, "#e6cc4d"),
        ("Agro-forestry areas", 244, "#f2cca6"),
        ("Broad-leaved forest", 311, "#80ff00"),
        ("Coniferous forest", 312, "#00a600"),
        ("Mixed forest", 313, "#4dff00"),
        ("Natural grassland and sparsely vegetated areas", (321, 333), "#ccf24d"),
        ("Moors, heathland and sclerophyllous vegetation", (322, 323), "#a6ff80"),
        ("Transitional woodland, shrub", 324, "#a6f200"),
        ("Beaches, dunes, sands", 331, "#e6e6e6"),
        ("Inland wetlands", (411, 412), "#a6a6ff"),
        ("Coastal wetlands", (421, 422), "#ccccff"),
        ("Inland waters", (511, 512), "#80f2e6"),
        ("Marine waters", (521, 522, 523), "#00ccf2"),
    ),
    ignored={
        0: "no data",
        122: "Road and rail networks and associated land",
        123: "Port areas",
        124: "Airports",
        131: "Mineral extraction sites",
        132: "Dump sites",
        133: "Construction sites",
        141: "Green urban areas",
        142: "Sport and leisure facilities",
        332: "Bare rocks",
        334: "Burnt areas",
        335: "Glaciers and perpetual snow",
        423: "Intertidal flats",
        999: "no data",
    },
)

CDL_14 = Legend(
    name="cdl14",
    title="USDA Cropland Data Layer, 30 m, 14 crops of SpectralEarth",
    source="USDA NASS CDL codes; the selection is SpectralEarth's",
    classes=_classes(
        ("Corn", 1, "#ffd300"),
        ("Cotton", 2, "#ff2626"),
        ("Rice", 3, "#00a8e5"),
        ("Sorghum", 4, "#ff9e0a"),
        ("Soybeans", 5, "#267000"),
        ("Sunflower", 6, "#ffff00"),
        ("Sugarcane", 45, "#af7cff"),
        ("Tomatoes", 54, "#f2a377"),
        ("Grapes", 69, "#704489"),
        ("Citrus", 72, "#ffff7f"),
        ("Almonds", 75, "#00a884"),
        ("Walnuts", 76, "#ebd6b0"),
        ("Pistachios", 204, "#00ff8c"),
        ("Prunes", 210, "#ff8ea9"),
    ),
    ignore_other_codes=range(0, 256),
)

NLCD_15 = Legend(
    name="nlcd15",
    title="National Land Cover Database, 30 m, 15 classes of SpectralEarth",
    source="USGS MRLC NLCD legend; perennial ice and snow (12) is left out, as in SpectralEarth",
    classes=_classes(
        ("Open water", 11, "#476ba1"),
        ("Developed, open space", 21, "#decaca"),
        ("Developed, low intensity", 22, "#d99482"),
        ("Developed, medium intensity", 23, "#ee0000"),
        ("Developed, high intensity", 24, "#ab0000"),
        ("Barren land", 31, "#b3aea3"),
        ("Deciduous forest", 41, "#68ab63"),
        ("Evergreen forest", 42, "#1c6330"),
        ("Mixed forest", 43, "#b5ca8f"),
        ("Shrub and scrub", 52, "#ccba7d"),
        ("Grassland, herbaceous", 71, "#e3e3c2"),
        ("Pasture and hay", 81, "#dcd93d"),
        ("Cultivated crops", 82, "#ab7028"),
        ("Woody wetlands", 90, "#bad9eb"),
        ("Emergent herbaceous wetlands", 95, "#70a3ba"),
    ),
    ignored={0: "no data", 12: "Perennial ice and snow"},
)

_OUTSIDE = {254: "unclassifiable", 255: "outside area"}

HRL_LEAF_TYPE = Legend(
    name="hrl_leaf_type",
    title="Copernicus HRL Dominant Leaf Type 2018, 10 m",
    source="Copernicus Land Monitoring Service, High Resolution Layer Forest",
    classes=_classes(
        ("No trees", 0, "#f0f0f0"),
        ("Broadleaved trees", 1, "#70a83b"),
        ("Coniferous trees", 2, "#1c5c24"),
    ),
    ignored=_OUTSIDE,
)

HRL_TREE_MASK = Legend(
    name="hrl_tree_mask",
    title="Trees or none, from Copernicus HRL Dominant Leaf Type 2018, 10 m",
    source="Copernicus Land Monitoring Service, High Resolution Layer Forest",
    classes=_classes(("No trees", 0, "#f0f0f0"), ("Trees", (1, 2), "#1c5c24")),
    ignored=_OUTSIDE,
)

INDIAN_PINES_16 = Legend(
    name="indian_pines16",
    title="Indian Pines ground truth, 1992, 16 classes",
    source="Baumgardner, Biehl, Landgrebe 2015, doi:10.4231/R7RX991C",
    classes=_classes(
        ("Alfalfa", 1, "#8c5a2b"),
        ("Corn, no till", 2, "#ffd300"),
        ("Corn, minimum till", 3, "#e0b000"),
        ("Corn", 4, "#b88e00"),
        ("Grass, pasture", 5, "#a5d46a"),
        ("Grass, trees", 6, "#5fa83a"),
        ("Grass, pasture, mowed", 7, "#d0e8a8"),
        ("Hay, windrowed", 8, "#d8c07a"),
        ("Oats", 9, "#f2a377"),
        ("Soybeans, no till", 10, "#267000"),
        ("Soybeans, minimum till", 11, "#3c9410"),
        ("Soybeans, clean", 12, "#7fbf4d"),
        ("Wheat", 13, "#a87000"),
        ("Woods", 14, "#1c5c24"),
        ("Buildings, grass, trees, drives", 15, "#c05050"),
        ("Stone, steel, towers", 16, "#808080"),
    ),
    ignored={0: "not labelled"},
)

NC_STRATA_7 = Legend(
    name="nc_strata7",
    title="North Carolina land cover 1996, 28.5 m, 7 strata",
    source="NC SPM data set, landclass96",
    classes=_classes(
        ("Developed", 1, "#d05050"),
        ("Agriculture", 2, "#dcd93d"),
        ("Herbaceous", 3, "#e3e3c2"),
        ("Shrubland", 4, "#ccba7d"),
        ("Forest", 5, "#1c5c24"),
        ("Water", 6, "#476ba1"),
        ("Sediment", 7, "#b3aea3"),
    ),
)

LEGENDS: dict[str, Legend] = {
    legend.name: legend
    for legend in (
        CORINE_19,
        CDL_14,
        NLCD_15,
        HRL_LEAF_TYPE,
        HRL_TREE_MASK,
        INDIAN_PINES_16,
        NC_STRATA_7,
    )
}

_DENSITY_NODATA = (254, 255)


def tree_cover_density(
    codes: NDArray[Any], *, thing: str = "the density map"
) -> NDArray[np.float32]:
    """Read Copernicus HRL Tree Cover Density: codes 0-100 are percent, 254 and 255 are no data.

    Args:
        codes: Integer array of any shape, codes as delivered.
        thing: What the codes are from, for the message.

    Returns:
        float32 of the same shape: share of ground under tree crowns, in [0, 1]; NaN without data.

    Raises:
        ContractMismatchError: If a code is neither a percentage nor 254 or 255.
    """
    bad = ~(((codes >= 0) & (codes <= 100)) | np.isin(codes, _DENSITY_NODATA))
    if bad.any():
        raise ContractMismatchError(
            f"Every code of {thing} must be a percentage 0-100, 254 or 255, "
            f"but {np.asarray(codes)[bad].flat[0]} ({int(bad.sum())} pixels) is not."
        )
    density = codes.astype(np.float32) / 100
    density[np.isin(codes, _DENSITY_NODATA)] = np.nan
    return density
