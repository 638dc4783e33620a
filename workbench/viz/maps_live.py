"""The page of a map whose picture comes from Python, anew for each part in view."""

import base64
from collections.abc import Mapping
from typing import Any

from workbench.escape import html_text
from workbench.viz.aggregates import Aggregator, Box, How, painted_grid, ramp_css
from workbench.viz.maps_base import Legend, OfflineMap, PageScript

MOST_PIXELS = 2_400
"""Largest width or height of a picture, in pixels."""


def live_answer(
    aggregator: Aggregator, how: How, view: Mapping[str, Any]
) -> tuple[dict[str, Any], bytes]:
    """Draw what a page asks for.

    Args:
        aggregator: The locations.
        how: What a pixel shows.
        view: ``box`` (Mercator metres) and ``size`` (width and height in pixels) of the part in
            view; both are limited to what a map can show.

    Returns:
        What is told beside the picture (box, lowest and highest value, locations in view), and
        the picture as a PNG file.
    """
    xmin, ymin, xmax, ymax = (float(v) for v in view["box"])
    width, height = (min(MOST_PIXELS, max(1, int(v))) for v in view["size"])
    box: Box = (xmin, ymin, max(xmax, xmin + 1), max(ymax, ymin + 1))
    grid = aggregator.grid(box, (height, width), how)
    png, low, high = painted_grid(grid, is_count=how == "count")
    seen = aggregator.in_view(box)
    return {"box": list(box), "low": low, "high": high, "seen": seen}, png


def live_page(aggregator: Aggregator, how: How, label: str, canvas: OfflineMap) -> str:
    """Write the page; until Python answers it shows the whole, drawn once.

    Args:
        aggregator: The locations.
        how: What a pixel shows.
        label: What the colours mean, with a unit.
        canvas: The map to draw on.
    """
    from pyproj import Transformer

    to_mercator = Transformer.from_crs("EPSG:4326", "EPSG:3857", always_xy=True)
    bounds = canvas.view
    low = to_mercator.transform(bounds[0], max(bounds[1], -85.0))
    high = to_mercator.transform(bounds[2], min(bounds[3], 85.0))
    view = {"box": [*low, *high], "size": [1100, 560]}
    facts, png = live_answer(aggregator, how, view)
    total = f"{len(aggregator):,}"
    missing = aggregator.without_value
    note = f"<small>{missing:,} locations have no value.</small>" if missing else ""
    canvas.add_child(
        Legend(
            f"<details open><summary>{html_text(label)}</summary>"
            f'<div class="wb-ramp"><span id="wb-low"></span><i style="background:{ramp_css()}"></i>'
            '<span id="wb-high"></span></div>'
            f'<small><span id="wb-shown">{total}</span> of {total} locations in view, all of them '
            f'counted. <span id="wb-state">Drawn once: no kernel listens.</span></small>{note}'
            "</details>"
        )
    )
    picture = base64.b64encode(png).decode()
    first = facts | {"picture": picture}
    canvas.add_child(PageScript("showLive", first, scripts=["live_map.js"]))
    return canvas.page()
