"""Planned squares, and the one question asked of them: which tiles hold this square?"""

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from workbench.extraction.rules import ViewRules
from workbench.geo.footprint import transformer
from workbench.geo.threads import in_threads
from workbench.geo.zones import Zone

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Squares:
    """(M,) planned squares: where their lower left corners lie, in whole pixels."""

    zone: Ints
    """EPSG code of the UTM or UPS zone."""
    x: Ints
    """Pixels east of the zone's origin."""
    y: Ints
    """Pixels north of it."""

    def __len__(self) -> int:
        return len(self.zone)

    def polygons(self, rules: ViewRules, *, shrink: float = 0.0) -> NDArray[np.object_]:
        """Give the squares as (M,) quadrilaterals in EPSG:4326, `shrink` metres smaller all round.

        Corners are projected and joined by straight lines; against the true sides that is at most
        side² · tan(latitude) / (8 · Earth radius), 0.3 m for 3.84 km at 45°.
        """
        near, far = shrink, rules.side - shrink
        # The order in which shapely lays out a box: its ring is moved, not built again.
        ring = np.array([[far, near], [far, far], [near, far], [near, near]])
        corners = np.column_stack([self.x, self.y])[:, None, :] * rules.gsd + ring  # (M, 4, 2)
        order = np.argsort(self.zone, kind="stable")
        codes, begin = np.unique(self.zone[order], return_index=True)
        for code, here in zip(codes.tolist(), np.split(order, begin[1:]), strict=False):
            to_degrees = transformer(Zone(code).crs, "EPSG:4326").transform
            lon, lat = to_degrees(corners[here, :, 0].ravel(), corners[here, :, 1].ravel())
            corners[here] = np.column_stack([lon, lat]).reshape(-1, 4, 2)
        return in_threads(_quadrilaterals, corners)


def _quadrilaterals(corners: NDArray[np.float64]) -> NDArray[np.object_]:
    """Make (M,) polygons of (M, 4, 2) corners; twice as fast as `shapely.polygons`."""
    low, high = np.zeros(len(corners)), np.ones(len(corners))
    boxes = shapely.box(low, low, high, high)
    return shapely.set_coordinates(boxes, corners[:, [0, 1, 2, 3, 0]].reshape(-1, 2))


def holders(polygons: NDArray[np.object_], footprints: NDArray[np.object_]) -> tuple[Ints, Ints]:
    """Find every pair of a square and a footprint that covers it whole.

    Args:
        polygons: (M,) squares in EPSG:4326.
        footprints: (N,) footprints in EPSG:4326.

    Returns:
        Two (P,) arrays: the square and the footprint of each pair, by square, then footprint.
    """
    tree = shapely.STRtree(polygons)

    def held(part: Ints) -> Ints:
        footprint, square = tree.query(footprints[part], predicate="covers")
        return np.column_stack([part[footprint], square])

    footprint, square = in_threads(held, np.arange(len(footprints))).T
    order = np.lexsort([footprint, square])
    return square[order], footprint[order]
