"""Which patches are acceptable under stated rules, and why the others are not.

Two uses: judging patches by the share of their pixels that are cloudy, without data …; and drawing
footprints around acceptable pixels, so that a planner does not count a cloudy date as a date.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import MultiPolygon, Polygon
from shapely.geometry.base import BaseGeometry

from workbench.errors import TileError, WorkbenchError
from workbench.extraction.sources import open_source
from workbench.extraction.store import QUALITY_BITS
from workbench.geo.outline import lonlat_footprint, valid_outline
from workbench.geo.tile import Tile

log = logging.getLogger(__name__)

MEASURES = (*QUALITY_BITS, "land")
"""Shares of a patch's pixels that are measured: the kinds of `QUALITY_BITS`, and land."""


@dataclass(frozen=True)
class ValidityRules:
    """Largest share of a patch's pixels that may be of each kind, in [0, 1]; 1 allows all.

    The defaults are choices: the published archive kept tiles of at most 10 % cloud and does not
    state its limits for patches.

    Raises:
        ValueError: If a share is outside [0, 1].
    """

    nodata: float = 0.0
    """Without data in any kept band, or background."""
    defective: float = 0.01
    """Defective in any kept band; one stuck detector column crosses 0.8 % of a patch of 128 px."""
    cloud: float = 0.1
    """Under cloud."""
    shadow: float = 0.1
    """In the shadow of a cloud."""
    haze: float = 0.5
    """Under haze."""
    cirrus: float = 0.5
    """Under cirrus, thin or thicker."""
    snow: float = 0.5
    """Under snow."""
    water: float = 1.0
    """Water; less leaves out open sea."""
    land: float = 1.0
    """Land; less keeps water bodies only."""

    def __post_init__(self) -> None:
        for field in fields(self):
            limit = getattr(self, field.name)
            if not 0 <= limit <= 1:
                raise ValueError(f"ValidityRules.{field.name} must be in [0, 1], got {limit!r}.")

    @classmethod
    def accept_all(cls) -> "ValidityRules":
        """Give rules that reject nothing."""
        return cls(**dict.fromkeys(MEASURES, 1.0))

    def reasons(self, shares: Mapping[str, float]) -> tuple[str, ...]:
        """Name the kinds of which a patch has too much, in the order of the fields.

        Args:
            shares: Shares of its pixels, by kind; a kind that was not measured, or is NaN because
                nothing tells it, is not judged.

        Example:
            >>> ValidityRules(cloud=0.2).reasons({"nodata": 0.0, "cloud": 0.25})
            ('cloud',)
        """
        return tuple(
            field.name
            for field in fields(self)
            if shares.get(field.name, 0) > getattr(self, field.name)
        )

    def explain(self, shares: Mapping[str, float]) -> str:
        """Say in words what a patch has too much of: "cloud 25.0 % (limit 20 %)"."""
        limits = asdict(self)
        told = [(kind, shares[kind], limits[kind]) for kind in self.reasons(shares)]
        return "; ".join(
            f"{kind} {100 * s:.1f} % (limit {100 * most:g} %)" for kind, s, most in told
        )


def pixel_shares(bits: NDArray[np.uint8]) -> dict[str, float]:
    """Measure a patch: the share of its pixels of each kind.

    Args:
        bits: (H, W) bits of `QUALITY_BITS`.

    Returns:
        Shares in [0, 1] by kind, and of land: what has data and is not water.
    """
    shares = {kind: np.count_nonzero(bits & bit) / bits.size for kind, bit in QUALITY_BITS.items()}
    neither = QUALITY_BITS["nodata"] | QUALITY_BITS["water"]
    return {**shares, "land": np.count_nonzero((bits & neither) == 0) / bits.size}


@dataclass(frozen=True)
class UnclearTile:
    """A tile without acceptable ground, and why."""

    tile: Tile
    """The tile."""
    reason: str
    """What it lacks."""


def clear_tiles(
    tiles: Sequence[Tile],
    rules: ValidityRules | None = None,
    *,
    smallest_hole: int = 16,
    tolerance: float = 1.0,
) -> tuple[list[Tile], list[UnclearTile]]:
    """Redraw footprints around acceptable pixels, so that a cloudy date is not counted as one.

    Planned with these tiles, a location's dates are those on which its ground was clear. A pixel is
    acceptable if it is of no kind that the rules limit (a limit below 1). Defective pixels are not
    cut out: they are single columns, and are judged when patches are cut.

    Args:
        tiles: Tiles with the paths of their products.
        rules: Which kinds matter; None: the defaults.
        smallest_hole: Unacceptable regions of fewer pixels than this stay in the footprint; what
            they come to is judged when patches are cut.
        tolerance: How far outlines are drawn in to be simple, in pixels (`valid_outline`).

    Returns:
        Tiles with new footprints inside their old ones, in the order given, and those left out
        with the reason (also logged).
    """
    rules = ValidityRules() if rules is None else rules
    clear: list[Tile] = []
    unclear: list[UnclearTile] = []
    for tile in tiles:
        try:
            clear.append(_cleared(tile, rules, smallest_hole, tolerance))
        except WorkbenchError as error:
            unclear.append(UnclearTile(tile, str(error).splitlines()[0]))
            log.warning("tile %s has no clear ground: %s", tile.id, unclear[-1].reason)
    return clear, unclear


def _cleared(tile: Tile, rules: ValidityRules, smallest_hole: int, tolerance: float) -> Tile:
    with open_source(tile.path, tile.id) as source:
        grid, bits, untold = source.grid, source.layers(source.grid.whole), source.unknown
        if rules.nodata < 1:
            bits[source.without_data()] |= QUALITY_BITS["nodata"]
    kinds = [kind for kind, limit in asdict(rules).items() if limit < 1]
    if unknown := [kind for kind in kinds if kind in untold and kind != "defective"]:
        log.warning("%s of tile %s is not known and not cut out", ", ".join(unknown), tile.id)
    kinds = [kind for kind in kinds if kind not in untold]
    unwanted = sum(QUALITY_BITS[kind] for kind in kinds if kind in QUALITY_BITS)
    bad = (bits & unwanted) > 0
    if "land" in kinds:
        bad |= (bits & (QUALITY_BITS["nodata"] | QUALITY_BITS["water"])) == 0
    clear = ~_without_specks(bad, smallest_hole)
    if not clear.any():
        raise TileError(f"no pixel of it is free of {', '.join(kinds)}")
    ground = lonlat_footprint(valid_outline(clear, grid, tolerance=tolerance), grid.crs)
    common = ground.intersection(tile.footprint)
    return replace(tile, footprint=_areas_of(common))


def _without_specks(mask: NDArray[np.bool_], smallest: int) -> NDArray[np.bool_]:
    """Take regions of fewer pixels than `smallest` out of a mask."""
    from scipy import ndimage

    region, _ = ndimage.label(mask, structure=np.ones((3, 3)))
    size = np.bincount(region.ravel())
    large = size >= smallest
    large[0] = False  # what is no region
    found: NDArray[np.bool_] = large[region]
    return found


def _areas_of(geometry: BaseGeometry) -> Polygon | MultiPolygon:
    """The polygons of an intersection, without the points and lines where outlines touch."""
    polygons = [p for p in shapely.get_parts(geometry) if isinstance(p, Polygon) and p.area > 0]
    if not polygons:
        raise TileError("none of its clear pixels lies inside its footprint")
    return polygons[0] if len(polygons) == 1 else MultiPolygon(polygons)
