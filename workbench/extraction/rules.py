"""The rules of a plan: every choice that Algorithm 1 of the talk leaves open, as a named field."""

import math
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class ViewRules:
    """How tiles become locations. By default they lie on the pixel grid of the tiles.

    Raises:
        ValueError: If a value is out of its range.
    """

    patch_size: int = 128
    """Side of a patch in pixels, > 0."""
    gsd: float | None = None
    """Size of a pixel in metres, > 0. None: that of most tiles, and 30 m where no tile says one.
    A size that is not theirs is refused, unless `resample` is set."""
    method: Literal["coverage", "combinations"] = "coverage"
    """"coverage" asks which tiles hold a square; "combinations" is Algorithm 1 of the talk."""
    min_acquisitions: int = 1
    """Fewest dates of a location, >= 1. With 1, ground seen once is planned last (the talk's
    342,000 single locations, which Algorithm 1 as printed would not yield)."""
    origin: tuple[float, float] | float | None = None
    """A crossing of grid lines (x, y) in units of the CRS, for example (15, 15); one number stands
    for both. None: the lines that most tiles of a region share; multiples of the pixel size where
    no tile says one."""
    crs: str | None = None
    """CRS of all locations, as "EPSG:25832". None: those of the tiles, each on its own ground."""
    resample: bool = False
    """Whether pixels of another size than the plan's, of degrees, or that are not square may be
    resampled to it."""
    tolerance: float = 0.0
    """How far an outline may cut into a square and still hold it, in metres, >= 0. Give 1 % of a
    pixel for outlines that were themselves cut on the pixel grid; more would lie about pixels.
    Half a pixel is 15 m where `gsd` is not stated."""
    row_positions: int = 4
    """Only "coverage": how many positions of a row are tried per patch height, >= 1."""
    min_overlap: float | None = None
    """Only "combinations": shared area below which a combination is not followed, in m². None: the
    area of one patch, since less cannot hold one."""
    keep_largest: int | None = 5
    """Only "combinations": how many n-tuples of each size a tile keeps, largest shared area first,
    for n >= 3. None keeps all of them: exact, and exponential in the degree."""
    visit: Literal["longest", "shortest"] = "longest"
    """Only "combinations": the order in which sizes are visited. The listing grows from pairs
    upwards ("shortest"), which would give the ground to pairs first, against the talk's own aim."""
    max_conflict: float = 0.0
    """Only "combinations": share of its area by which a candidate may lie on accepted squares
    before it is rejected, in [0, 1). Above 0, locations overlap."""
    canonical: bool = True
    """Only "combinations": visit each subset of tiles once per component. False visits it from each
    of its members, as the listing does: the same work n times."""

    def __post_init__(self) -> None:
        limits = {
            "patch_size": (self.patch_size >= 1, ">= 1 pixel"),
            "gsd": (
                self.gsd is None or (math.isfinite(self.gsd) and self.gsd > 0),
                "> 0 metres or None",
            ),
            "origin": (_is_point(self.origin), "two finite numbers (x, y), one, or None"),
            "crs": (self.crs is None or isinstance(self.crs, str), "a name of a CRS or None"),
            "method": (self.method in ("coverage", "combinations"), "'coverage' or 'combinations'"),
            "min_acquisitions": (self.min_acquisitions >= 1, ">= 1"),
            "tolerance": (
                0 <= self.tolerance < (self.gsd or 30.0) / 2,
                "in [0, half a pixel) metres",
            ),
            "row_positions": (self.row_positions >= 1, ">= 1"),
            "min_overlap": (self.min_overlap is None or self.min_overlap >= 0, ">= 0 m² or None"),
            "keep_largest": (self.keep_largest is None or self.keep_largest >= 1, ">= 1 or None"),
            "visit": (self.visit in ("longest", "shortest"), "'longest' or 'shortest'"),
            "max_conflict": (0 <= self.max_conflict < 1, "in [0, 1)"),
        }
        for name, (holds, wanted) in limits.items():
            if not holds:
                raise ValueError(f"ViewRules.{name} must be {wanted}, got {getattr(self, name)!r}.")

        if self.origin is not None:
            pair = self.origin if isinstance(self.origin, tuple | list) else (self.origin,) * 2
            object.__setattr__(self, "origin", (float(pair[0]), float(pair[1])))

    @property
    def known_gsd(self) -> float:
        """Size of a pixel in metres, where it is stated.

        Raises:
            ValueError: If it is to be that of the tiles, which rules alone do not know.
        """
        if self.gsd is None:
            raise ValueError(
                "ViewRules.gsd is None: the size of a pixel is that of the tiles, which the rules "
                "do not know.\nTake it from the plan (`plan_gsd(plan)`), or state `gsd`."
            )
        return self.gsd

    @property
    def side(self) -> float:
        """Side of a patch in metres; a stated `gsd` is needed, see `known_gsd`."""
        return self.patch_size * self.known_gsd

    @property
    def edge_area(self) -> float:
        """Shared area above which "combinations" follows a pair, in m²."""
        return self.side**2 if self.min_overlap is None else self.min_overlap


def _is_point(origin: object) -> bool:
    values = origin if isinstance(origin, tuple | list) else (0 if origin is None else origin,) * 2
    return len(values) == 2 and all(
        isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v) for v in values
    )
