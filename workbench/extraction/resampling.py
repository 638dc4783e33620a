"""How a location's pixels lie in a tile: copied as they are, or carried over from another grid.

All acquisitions of a location are cut on the location's own grid. A tile on the same grid lines
gives its numbers unchanged ("none"); one of the same CRS whose lines are shifted by part of a
pixel gives those of the nearest pixel, displaced by at most half of one ("nearest"); one of another
CRS is resampled as asked for ("bilinear"), and where its pixels are much smaller than those of the
location, which the plan must allow, they are averaged ("average"). The manifest says how and why.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from workbench.errors import TileError
from workbench.extraction.store import QUALITY_BITS
from workbench.geo.footprint import transformer
from workbench.geo.grid import PixelGrid, Window
from workbench.geo.lines import GridLines, require_same_pixels, why_resampled
from workbench.nodata import is_missing

_EXACT = 2.0**50  # what float64 can weigh and still round to the nearest whole number

AcrossZones = Literal["bilinear", "nearest"]
Method = Literal["none", "nearest", "bilinear", "average"]

_FINER = (
    1.5  # pixels of the tile in one of the location, along a side, from which they are averaged
)
_MOST_SAMPLES = 6  # along a side of a location's pixel; more would cost much memory


@dataclass(frozen=True)
class Placement:
    """Where the pixels of one location are found in one tile."""

    method: Method
    """What was done: "none" copies pixels as they lie."""
    shift: tuple[float, float]
    """How far the location's grid lines lie from the tile's, (east, south) in pixels within
    [-0.5, 0.5); (0, 0) if they agree, NaN across zones."""
    window: Window
    """Pixels of the tile that are needed; it may be empty."""
    shape: tuple[int, int]
    """(H, W) of the location."""
    corner: tuple[int, int] = (0, 0)
    """Row and column of the location where the window's first pixel goes, if copied."""
    index: NDArray[np.intp] | None = None
    """(K, H·W) flat places in the window of the pixels that make up each target pixel; -1 where
    one lies outside the tile. None if copied."""
    weight: NDArray[np.float64] | None = None
    """(K, H·W) their weights, adding up to 1."""
    why: str = ""
    """Why pixels are not copied as they lie; "" if they are."""

    @property
    def is_empty(self) -> bool:
        """True if the tile has none of the pixels."""
        return self.window.height == 0 or self.window.width == 0

    def carry(
        self,
        block: NDArray[Any],
        nodata: float | None,
        fill: float,
        out: NDArray[Any],
        missing: NDArray[np.bool_] | None = None,
    ) -> NDArray[np.bool_]:
        """Bring pixels of the window onto the location's grid.

        A target pixel is measured only if all the pixels that it is mixed from are. Numbers that
        are copied or taken from the nearest pixel are not touched; a mixture of equal numbers is
        that number, in every type.

        Args:
            block: (C, h, w) stored numbers of `window`.
            nodata: Number without a measurement; NaN and infinite numbers are none either.
            fill: Number written where the tile has nothing.
            out: (C, H, W) to write to.
            missing: (C, h, w) or (1, h, w) where the file says otherwise that it has no
                measurement, as by a mask; None if it does not.

        Returns:
            (C, H, W) where there is no measurement.

        Raises:
            TileError: If 64-bit whole numbers are too far apart to be mixed exactly.
        """
        if self.is_empty:
            out[:] = fill
            return np.ones(out.shape, dtype=bool)
        if self.index is None or self.weight is None:
            self._copy(block, fill, out)
            lost = np.zeros(out.shape, dtype=bool)
            if missing is not None:
                self._copy(np.broadcast_to(missing, block.shape), True, lost)
                out[lost] = fill
            elif (self.window.height, self.window.width) != self.shape:
                self._copy(np.zeros(block.shape, dtype=bool), True, lost)
            lost |= is_missing(out, nodata)
            return lost
        empty = is_missing(block, nodata)
        if missing is not None:
            empty |= missing
        flat, hole = block.reshape(len(block), -1), empty.reshape(len(block), -1)
        outside = np.any((self.index < 0) & (self.weight > 0), axis=0)
        index = np.maximum(self.index, 0)
        heaviest = np.take_along_axis(index, self.weight.argmax(axis=0)[None], axis=0)[0]
        base = np.take(flat, heaviest, axis=1)
        lost = np.broadcast_to(outside, base.shape).copy()
        for place, weight in zip(index, self.weight, strict=True):
            lost |= np.take(hole, place, axis=1) & (weight > 0)
        mixed = base if len(index) == 1 else self._mixture(flat, index, base, lost)
        out[:] = mixed.reshape(out.shape)
        shaped = lost.reshape(out.shape)
        out[shaped] = fill
        shaped |= is_missing(out, nodata)  # a mixture may come to that number by chance
        return shaped

    def _mixture(
        self, flat: NDArray[Any], index: NDArray[Any], base: NDArray[Any], lost: NDArray[np.bool_]
    ) -> NDArray[Any]:
        """(C, H·W) weighted means, as the heaviest number and what the others add to it."""
        assert self.weight is not None
        is_whole, size = flat.dtype.kind in "iu", flat.dtype.itemsize
        work = np.result_type(flat.dtype, np.float32 if is_whole and size <= 2 else np.float64)
        added = np.zeros(base.shape, dtype=work)
        with np.errstate(invalid="ignore", over="ignore"):
            for place, weight in zip(index, self.weight, strict=True):
                part = np.take(flat, place, axis=1)
                away = _difference(part, base, work)
                if is_whole and size == 8 and (np.abs(away[~lost]) >= _EXACT).any():
                    raise TileError(
                        f"Whole numbers must be mixed exactly, but {flat.dtype} numbers that "
                        "differ by more than 2**50 cannot be.\n"
                        'Take the nearest pixel instead: across_zones="nearest".'
                    )
                added += np.where(weight > 0, away * weight.astype(work), 0)
            added[lost] = 0
            if is_whole:
                steps = np.rint(added).astype(np.int64).astype(flat.dtype)  # wraps, and back again
                return base + steps
            return (base + added).astype(flat.dtype)

    def carry_bits(self, bits: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Bring quality bits of the window onto the location's grid.

        A bit is set if one of the pixels that a target pixel is mixed from has it; water is that
        of the heaviest.

        Args:
            bits: (h, w) bits of `QUALITY_BITS`.

        Returns:
            (H, W); "nodata" outside the tile.
        """
        out = np.full(self.shape, QUALITY_BITS["nodata"], dtype=np.uint8)
        if self.is_empty:
            return out
        if self.index is None or self.weight is None:
            self._copy(bits[None], QUALITY_BITS["nodata"], out[None])
            return out
        flat, water = bits.ravel(), np.uint8(QUALITY_BITS["water"])
        taken = np.where(self.index < 0, out.ravel(), flat[np.maximum(self.index, 0)])
        found = np.bitwise_or.reduce(np.where(self.weight > 0, taken, 0), axis=0) & ~water
        heaviest = np.take_along_axis(taken, self.weight.argmax(axis=0)[None], axis=0)[0]
        return (found | (heaviest & water)).astype(np.uint8).reshape(self.shape)

    def _copy(self, block: NDArray[Any], fill: float, out: NDArray[Any]) -> None:
        rows = slice(self.corner[0], self.corner[0] + self.window.height)
        cols = slice(self.corner[1], self.corner[1] + self.window.width)
        if (self.window.height, self.window.width) != self.shape:
            out[:] = fill
        out[:, rows, cols] = block


def place(
    location: PixelGrid,
    tile: PixelGrid,
    *,
    across_zones: AcrossZones = "bilinear",
    may_resample: bool = False,
    name: str = "The tile",
) -> Placement:
    """Find a location's pixels in a tile of the same pixel size.

    Args:
        location: The location's grid.
        tile: The tile's grid.
        across_zones: How to resample where the two are in different CRS: "bilinear" mixes the four
            nearest pixels, so that a value lies within their range; "nearest" takes the nearest,
            displaced by at most 0.71 pixels.
        may_resample: Whether the tile's pixels may be of another size, or of degrees.
        name: What to call the tile in an error.

    Raises:
        TileError: If the pixels differ in size and `may_resample` is not set.
        CRSMismatchError: If the tile is in degrees and `may_resample` is not set.
    """
    lines = GridLines.of(location)
    if not may_resample:
        require_same_pixels(tile, lines, name=name)
    why = why_resampled(tile, lines)
    if location.crs != tile.crs or not tile.has_size_of(location):
        return _resampled(location, tile, across_zones, why)
    shift = (0.0, 0.0) if tile.agrees(location) else tile.shift(location)
    wanted = tile.window(location.bounds)
    window = _clipped(wanted, tile)
    return Placement(
        method="none" if shift == (0.0, 0.0) else "nearest",
        shift=shift,
        window=window,
        shape=location.shape,
        corner=(window.row - wanted.row, window.col - wanted.col),
        why="" if shift == (0.0, 0.0) else why,
    )


def _resampled(location: PixelGrid, tile: PixelGrid, method: AcrossZones, why: str) -> Placement:
    """Look up, for each pixel of the location, the pixels of the tile around its centre."""
    x, y = np.meshgrid(location.x, location.y)
    x, y = transformer(location.crs, tile.crs).transform(x.ravel(), y.ravel())
    (dx, dy), left, top = tile.resolution, tile.transform[2], tile.transform[5]
    col, row = (np.asarray(x) - left) / dx - 0.5, (top - np.asarray(y)) / dy - 0.5
    nowhere = ~(np.isfinite(col) & np.isfinite(row))
    col[nowhere] = row[nowhere] = -(2.0**40)
    steps = _steps(col, row, location.shape)
    finer = max(float(np.hypot(*step)) for step in steps)
    how: Method = method
    if method == "nearest":
        cols, rows = np.rint(col)[None].astype(np.intp), np.rint(row)[None].astype(np.intp)
        weight = np.ones(cols.shape)
    elif finer > _FINER:
        how, side = "average", min(int(np.ceil(finer)), _MOST_SAMPLES)
        parts = (np.arange(side) + 0.5) / side - 0.5
        u, v = (part.ravel()[:, None] for part in np.meshgrid(parts, parts))
        cols = np.rint(col + u * steps[0][0] + v * steps[1][0]).astype(np.intp)
        rows = np.rint(row + u * steps[0][1] + v * steps[1][1]).astype(np.intp)
        weight = np.full(cols.shape, 1 / side**2)
    else:
        west, north = np.floor(col), np.floor(row)
        cols = np.stack([west, west + 1, west, west + 1]).astype(np.intp)
        rows = np.stack([north, north, north + 1, north + 1]).astype(np.intp)
        u, v = col - west, row - north
        weight = np.stack([(1 - u) * (1 - v), u * (1 - v), (1 - u) * v, u * v])
    low, high = (int(rows.min()), int(cols.min())), (int(rows.max()), int(cols.max()))
    whole = Window(low[0], low[1], high[0] - low[0] + 1, high[1] - low[1] + 1)
    window = _clipped(whole, tile)
    rows, cols = rows - window.row, cols - window.col
    inside = (rows >= 0) & (rows < window.height) & (cols >= 0) & (cols < window.width)
    index = np.where(inside, rows * window.width + cols, -1)
    nan = (np.nan, np.nan)
    return Placement(how, nan, window, location.shape, (0, 0), index, weight, why)


def _steps(
    col: NDArray[np.float64], row: NDArray[np.float64], shape: tuple[int, int]
) -> tuple[tuple[float, float], tuple[float, float]]:
    """How far (columns, rows) of the tile one pixel of the location leads, east and south."""
    col, row = col.reshape(shape), row.reshape(shape)
    high, wide = shape[0] - 1, shape[1] - 1
    east = (
        ((col[0, -1] - col[0, 0]) / wide, (row[0, -1] - row[0, 0]) / wide) if wide else (1.0, 0.0)
    )
    south = (
        ((col[-1, 0] - col[0, 0]) / high, (row[-1, 0] - row[0, 0]) / high) if high else (0.0, 1.0)
    )
    return (float(east[0]), float(east[1])), (float(south[0]), float(south[1]))


def _clipped(window: Window, tile: PixelGrid) -> Window:
    """The part of a window that lies in the tile; empty, at its edge, if none does."""
    row, col = min(max(window.row, 0), tile.height), min(max(window.col, 0), tile.width)
    height = max(min(window.row + window.height, tile.height) - row, 0)
    width = max(min(window.col + window.width, tile.width) - col, 0)
    return Window(row, col, height, width)


def _difference(part: NDArray[Any], base: NDArray[Any], work: Any) -> NDArray[Any]:
    """Part - base, exact also for unsigned numbers and those of 64 bits."""
    if part.dtype.kind in "iu" and part.dtype.itemsize == 8:
        up = part >= base
        high, low = np.where(up, part, base), np.where(up, base, part)
        apart = (high.view(np.uint64) - low.view(np.uint64)).astype(work)  # never negative
        return np.where(up, apart, -apart)
    return part.astype(work) - base.astype(work)


def is_nodata(array: NDArray[Any], nodata: float | None) -> NDArray[np.bool_]:
    """Where an array has no measurement; see `workbench.nodata`."""
    return is_missing(array, nodata)


def union_of(placements: Sequence[Placement]) -> Window | None:
    """The window that holds those of all placements; None if all are empty."""
    windows = [p.window for p in placements if not p.is_empty]
    if not windows:
        return None
    row, col = min(w.row for w in windows), min(w.col for w in windows)
    bottom, right = max(w.row + w.height for w in windows), max(w.col + w.width for w in windows)
    return Window(row, col, bottom - row, right - col)


def part_of(block: NDArray[Any], placement: Placement, union: Window | None) -> NDArray[Any]:
    """The window of a placement, out of a block (…, h, w) that was read for several."""
    if union is None or placement.is_empty:
        return block[..., :0, :0]
    row, col, height, width = placement.window
    row, col = row - union.row, col - union.col
    return block[..., row : row + height, col : col + width]
