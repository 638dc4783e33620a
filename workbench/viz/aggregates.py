"""Millions of locations as one picture of the part in view: how many lie in a pixel, or their mean.

A page of squares grows with their number; a picture does not. With a live kernel `LiveMap`
asks for a new one at each move.
"""

import io
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer

from workbench.viz import palettes
from workbench.viz.map_selection import centres

if TYPE_CHECKING:
    import geopandas as gpd
    import pandas as pd

WORLD = 20_037_508.342789244
"""Half the width of the Mercator world, metres."""
How = Literal["count", "mean", "max", "min"]
Box = tuple[float, float, float, float]


class Aggregator:
    """Centres of locations in web Mercator, and what is known of them.

    Args:
        locations: Column geometry (EPSG:4326), one row a location.
        values: A number for each location, in their order; None to count locations. NaN is left
            out of a mean and counted.

    Raises:
        ValueError: If there is not one number a location.
    """

    def __init__(
        self, locations: "gpd.GeoDataFrame", values: "pd.Series[Any] | NDArray[Any] | None" = None
    ) -> None:
        import pandas as pd

        x, y = centres(locations)
        to_mercator = Transformer.from_crs("EPSG:4326", "EPSG:3857", always_xy=True)
        east, north = to_mercator.transform(x, np.clip(y, -85.05, 85.05))
        table = {"x": east, "y": north}
        if values is not None:
            table["value"] = np.asarray(values, dtype=float)
            if len(table["value"]) != len(x):
                raise ValueError(
                    f"Values must be one for each location, but there are {len(table['value']):,} "
                    f"for {len(x):,} locations.\nJoin them by location_id first."
                )
        self.table = pd.DataFrame(table)
        self.without_value = 0 if values is None else int(self.table["value"].isna().sum())
        """Locations whose value is NaN."""

    def __len__(self) -> int:
        return len(self.table)

    def grid(self, box: Box, shape: tuple[int, int], how: How = "count") -> NDArray[np.float64]:
        """Aggregate the locations in view.

        Args:
            box: xmin, ymin, xmax, ymax in Mercator metres; beyond the antimeridian on either side
                locations repeat, as a map shows them.
            shape: Height and width in pixels.
            how: "count", or what is made of the values of a pixel.

        Returns:
            (height, width), row 0 in the north; NaN where no location lies, or none has a value.
        """
        import datashader as ds

        if how != "count" and "value" not in self.table:
            raise ValueError(f"To show the {how} of values there must be some, but none are given.")
        height, width = shape
        canvas = ds.Canvas(width, height, x_range=(box[0], box[2]), y_range=(box[1], box[3]))
        reduce = ds.count() if how == "count" else getattr(ds, how)("value")
        first, last = (int(np.floor((x + WORLD) / (2 * WORLD))) for x in (box[0], box[2]))
        found = np.full(shape, np.nan)
        for turn in range(first, last + 1):
            table = self.table.assign(x=self.table["x"] + 2 * WORLD * turn)
            part = canvas.points(table, "x", "y", reduce).to_numpy().astype(float)
            found = np.where(np.isfinite(part) & ((part != 0) | (how != "count")), part, found)
        return found[::-1]

    def in_view(self, box: Box) -> int:
        """Number of locations in a box, each counted once."""
        x, y = self.table["x"].to_numpy(), self.table["y"].to_numpy()
        inside = (y >= box[1]) & (y <= box[3])
        if box[2] - box[0] < 2 * WORLD:
            inside &= np.mod(x - box[0], 2 * WORLD) <= box[2] - box[0]
        return int(inside.sum())


def painted_grid(grid: NDArray[np.float64], *, is_count: bool) -> tuple[bytes, float, float]:
    """Colour a grid, light to dark: counts by their logarithm, values evenly.

    Returns:
        A PNG file, transparent where the grid is NaN, and the lowest and highest value.
    """
    from matplotlib import colormaps
    from PIL import Image

    known = np.isfinite(grid)
    low, high = (float(grid[known].min()), float(grid[known].max())) if known.any() else (0.0, 0.0)
    level = np.where(known, grid, low)
    scaled = np.log1p(level - low) if is_count else level - low
    share = scaled / max(float(scaled.max()), 1e-12)
    colours = colormaps["viridis"](0.88 * (1.0 - share))  # as `palettes.ramp`
    pixels = np.rint(colours * 255).astype(np.uint8)
    pixels[~known] = 0
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue(), low, high


def ramp_css() -> str:
    """The colours of `painted_grid` as a CSS gradient."""
    return f"linear-gradient(to right, {', '.join(palettes.ramp_stops())})"
