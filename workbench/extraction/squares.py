"""Planned squares, and the one question asked of them: which tiles hold this square?"""

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from workbench.geo.footprint import transformer
from workbench.geo.lines import GridLines
from workbench.geo.threads import in_threads

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Squares:
    """(M,) planned squares: where their lower left corners lie, in whole pixels of their grid."""

    sheet: Ints
    """Number of the region each lies in."""
    x: Ints
    """Pixels east of the offset of the region's grid lines."""
    y: Ints
    """Pixels north of it."""
    lines: tuple[GridLines, ...] = ()
    """Grid of each region."""

    def __len__(self) -> int:
        return len(self.sheet)

    def bounds(self, patch_size: int) -> NDArray[np.float64]:
        """(M, 4) xmin, ymin, xmax, ymax of the squares in units of their CRS."""
        size, offset = self._size(), self._offset()
        corner = np.column_stack([self.x, self.y])
        return np.column_stack(
            [corner * size[:, None] + offset, (corner + patch_size) * size[:, None] + offset]
        )

    def polygons(self, patch_size: int, *, shrink: float = 0.0) -> NDArray[np.object_]:
        """Give the squares as (M,) quadrilaterals in EPSG:4326, `shrink` metres smaller all round.

        Corners are projected and joined by straight lines; against the true sides that is at most
        side² · tan(latitude) / (8 · Earth radius), 0.3 m for 3.84 km at 45°.
        """
        near = shrink / np.array([line.gsd_m for line in self.lines] or [1.0])[self.sheet]
        far = patch_size - near
        # The order in which shapely lays out a box: its ring is moved, not built again.
        ring = np.stack([far, near, far, far, near, far, near, near], axis=1).reshape(-1, 4, 2)
        corners = np.column_stack([self.x, self.y])[:, None, :] + ring  # (M, 4, 2) pixels
        corners = corners * self._size()[:, None, None] + self._offset()[:, None, :]
        for crs, here in self.by_crs():
            to_degrees = transformer(crs, "EPSG:4326").transform
            lon, lat = to_degrees(corners[here, :, 0].ravel(), corners[here, :, 1].ravel())
            corners[here] = np.column_stack([lon, lat]).reshape(-1, 4, 2)
        return in_threads(_quadrilaterals, corners)

    def by_crs(self) -> list[tuple[str, Ints]]:
        """Group the squares by their CRS, in the order of names: the CRS and the squares in it."""
        names = sorted({line.crs for line in self.lines})
        number = {name: k for k, name in enumerate(names)}
        crs = np.array([number[line.crs] for line in self.lines], dtype=np.int64)[self.sheet]
        order = np.argsort(crs, kind="stable")
        begin = np.searchsorted(crs[order], np.arange(1, len(names)))
        parts = np.split(order, begin) if names else []
        return [(n, part) for n, part in zip(names, parts, strict=True) if len(part)]

    def _size(self) -> NDArray[np.float64]:
        return np.array([line.size for line in self.lines] or [1.0])[self.sheet]

    def _offset(self) -> NDArray[np.float64]:
        return np.array([line.offset for line in self.lines] or [(0.0, 0.0)])[self.sheet]


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
