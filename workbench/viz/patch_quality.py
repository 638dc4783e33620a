"""What the quality layers of tiles say, and which planned patches that costs."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from workbench.extraction.sources import Source, open_source
from workbench.extraction.store import QUALITY_BITS
from workbench.geo.footprint import projected
from workbench.geo.tile import Tile
from workbench.viz import palettes
from workbench.viz.embed import OfflineView
from workbench.viz.patch_images import (
    TRUE_COLOUR,
    UNUSABLE,
    Image,
    band_near,
    stretch_limits,
    stretch_told,
    stretched,
)
from workbench.viz.statics import blank_figure, picture

if TYPE_CHECKING:
    import geopandas as gpd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KIND_COLOURS: dict[str, str] = {
    "nodata": "#b3b7bd", "defective": "#aa3377", "cloud": "#ee8866", "shadow": "#555577",
    "haze": "#eedd88", "cirrus": "#ffaabb", "snow": "#99ddff", "water": "#77aadd",
}  # fmt: skip
"""Colours of the kinds of `QUALITY_BITS`, after Paul Tol's light scheme."""
DRAWN_ON_TOP = ("defective", "cloud", "shadow", "cirrus", "haze", "snow", "water", "nodata")
"""Which kind shows where a pixel is of several, first to last."""
CLEAR = "#eceae4"
CUT, NOT_CUT = palettes.INK, "#c1121f"

_SHOWN_SIDE = 600  # pixels of a tile drawn at most on a side
_BANDS_AT_ONCE = 16
Bits = NDArray[np.uint8]
Extent = tuple[float, float, float, float]


def quality_figure(
    tiles: Sequence[Tile],
    manifest: "gpd.GeoDataFrame",
    rejected: "gpd.GeoDataFrame",
    *,
    count: int = 4,
) -> OfflineView:
    """Show tiles beside their quality layers, with the patches that were cut and that were not.

    Args:
        tiles: The tiles of the extraction, with the paths of their products.
        manifest: What was cut.
        rejected: What was not.
        count: How many tiles, chosen to show many kinds of reasons, >= 1.

    Raises:
        ValueError: If no tile has a readable product.
    """
    chosen = _telling_tiles(tiles, rejected, count)
    views = [_TileView(tile) for tile in chosen]
    limits = stretch_limits([v.image for v in views], [v.bits & UNUSABLE == 0 for v in views])
    figure = blank_figure(9.6, 1.5 + 2 * 8.2 / max(len(chosen), 3))
    panels = figure.subplots(2, len(chosen), squeeze=False)
    for view, (top, bottom) in zip(views, panels.T, strict=True):
        cut, not_cut = (t[t["tile_id"] == view.tile.id] for t in (manifest, rejected))
        top.imshow(stretched(view.image, limits), extent=view.extent, interpolation="nearest")
        bottom.imshow(_coloured(view.bits), extent=view.extent, interpolation="nearest")
        _squares(bottom, cut, view, cut=True)
        _squares(bottom, not_cut, view, cut=False)
        for axes in (top, bottom):
            _frame(axes, view.extent)
        top.set_title(f"{view.tile.acquired:%Y-%m-%d}", fontsize=11, color=palettes.INK)
        bottom.set_xlabel(_told(len(cut), not_cut), fontsize=9.5, color=palettes.INK)
    panels[0, 0].set_ylabel("True colour", fontsize=10, color=palettes.MUTED)
    panels[1, 0].set_ylabel("Quality layers", fontsize=10, color=palettes.MUTED)
    _legend(figure, int(np.bitwise_or.reduce([np.bitwise_or.reduce(v.bits, None) for v in views])))
    title = f"Quality layers of {len(chosen)} of {len(tiles)} tiles, and the patches they cost"
    told = stretch_told(
        "True colour", limits, views[0].contract, TRUE_COLOUR, "clear pixels of all"
    )
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold", color=palettes.INK)
    figure.supxlabel(told, x=0.01, ha="left", fontsize=8.5, color=palettes.MUTED)
    return OfflineView(title, png=picture(figure))


def _telling_tiles(
    tiles: Sequence[Tile], rejected: "gpd.GeoDataFrame", count: int
) -> Sequence[Tile]:
    kinds: dict[str, set[str]] = {}
    for tile_id, reasons in zip(rejected["tile_id"], rejected["reasons"], strict=True):
        kinds.setdefault(tile_id, set()).update(reasons)
    there = [
        t for t in tiles if t.path is not None and "unreadable tile" not in kinds.get(t.id, ())
    ]
    if not there:
        raise ValueError("A figure of quality layers needs a tile with a readable product.")
    seen: Counter[str] = Counter()
    chosen: list[Tile] = []
    while there and len(chosen) < count:  # each next one adds what was shown least
        best = max(there, key=lambda t: sum(1 / (1 + 3 * seen[k]) for k in kinds.get(t.id, ())))
        there.remove(best)
        seen.update(kinds.get(best.id, ()))
        chosen.append(best)
    return sorted(chosen, key=lambda t: (t.acquired, t.id))


class _TileView:
    """A tile as it is drawn: its picture, its quality bits, and where it lies."""

    def __init__(self, tile: Tile) -> None:
        self.tile = tile
        with open_source(tile.path, tile.id) as source:
            self.contract = source.contract
            step = max(1, max(source.grid.shape) // _SHOWN_SIDE)
            self.image = _rgb(source)[::step, ::step]
            bits = source.layers(source.grid.whole) | _stuck(source)
            self.bits: Bits = bits[::step, ::step]
            xmin, ymin, xmax, ymax = source.grid.bounds
        self.corner = xmin, ymin
        self.extent: Extent = (0.0, (xmax - xmin) / 1000, 0.0, (ymax - ymin) / 1000)


def _rgb(source: Source) -> Image:
    places = [band_near(source.contract, nm) for nm in TRUE_COLOUR]
    bands = [source.pixels(source.grid.whole, slice(i, i + 1))[0] for i in places]
    return np.moveaxis(source.contract.physical(np.stack(bands)), 0, -1)


def _stuck(source: Source) -> Bits:
    """(H, W) the bit of defective pixels; the mask of all bands is large and read in pieces."""
    found = np.zeros(source.grid.shape, dtype=bool)
    for first in range(0, len(source.contract.band_names), _BANDS_AT_ONCE):
        found |= source.defective(source.grid.whole, slice(first, first + _BANDS_AT_ONCE))
    return found.astype(np.uint8) * np.uint8(QUALITY_BITS["defective"])


def _coloured(bits: Bits) -> NDArray[np.float64]:
    """(H, W, 3) colours; of several kinds in a pixel, the first of `DRAWN_ON_TOP` shows."""
    from matplotlib.colors import to_rgb

    image = np.broadcast_to(np.array(to_rgb(CLEAR)), (*bits.shape, 3)).copy()
    for kind in reversed(DRAWN_ON_TOP):
        image[(bits & QUALITY_BITS[kind]) > 0] = to_rgb(KIND_COLOURS[kind])
    return image


def _squares(axes: "Axes", rows: "gpd.GeoDataFrame", view: _TileView, *, cut: bool) -> None:
    """Outline patches, in kilometres from the tile's corner; those not cut are crossed out."""
    from matplotlib.collections import LineCollection

    lines = []
    for outline in projected(rows.geometry.to_numpy(), "EPSG:4326", view.tile.crs):
        ring = (np.array(outline.exterior.coords)[:, :2] - view.corner) / 1000
        lines += [ring] if cut else [ring, ring[[0, 2]], ring[[1, 3]]]
    colour, width = (CUT, 1.1) if cut else (NOT_CUT, 1.2)
    axes.add_collection(LineCollection(lines, colors=colour, linewidths=width), autolim=False)


def _frame(axes: "Axes", extent: Extent) -> None:
    axes.set(xlim=extent[:2], ylim=extent[2:], xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_color(palettes.BORDER)


def _told(cut: int, rejected: "gpd.GeoDataFrame") -> str:
    """Say what became of a tile's patches: "12 cut, 4 not: cloud 3, shadow 2"."""
    if rejected.empty:
        return f"{cut} cut"
    reasons = Counter(reason for reasons in rejected["reasons"] for reason in reasons)
    words = [f"{kind} {n}" for kind, n in reasons.most_common()]
    lines = [", ".join(words[i : i + 2]) for i in range(0, len(words), 2)]
    return "\n".join([f"{cut} cut, {len(rejected)} not:", *lines])


def _legend(figure: "Figure", shown: int) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    kinds = [kind for kind in KIND_COLOURS if QUALITY_BITS[kind] & shown]
    handles: list[Patch | Line2D] = [Patch(fc=CLEAR, ec=palettes.BORDER, label="clear")]
    handles += [Patch(fc=KIND_COLOURS[kind], ec=palettes.BORDER, label=kind) for kind in kinds]
    for colour, label in ((CUT, "patch cut"), (NOT_CUT, "patch not cut")):
        handles.append(
            Line2D([], [], ls="", marker="s", ms=9, mfc="none", mew=1.4, mec=colour, label=label)
        )
    figure.legend(handles=handles, loc="outside right upper", frameon=False, fontsize=9)
