"""A Bokeh figure as one small page: Bokeh's script goes in deflated, and nothing else does.

Bokeh's own inline page is 1.4 MB a figure, and once Panel is imported it asks the server for one
of Panel's scripts too.
"""

import base64
import zlib
from functools import cache
from html import escape
from typing import Any

from workbench.viz import assets, palettes


def bokeh_page(layout: Any, title: str, *, heading: str = "", below: str = "") -> str:
    """Write a Bokeh model as a whole HTML document that fetches nothing.

    Args:
        layout: A Bokeh figure or layout drawn on canvas.
        title: Title of the document.
        heading: What stands above the figures; nothing by default.
        below: Small print below them.
    """
    from bokeh.embed import components

    script, content = components(layout, wrap_script=False)
    above = f"<h1>{escape(heading)}</h1>" if heading else ""
    small = f"<p>{escape(below)}</p>" if below else ""
    parts = {
        "TITLE": escape(title),
        "CONTENT": above + content + small,
        "LIBRARY": _deflated_bokeh(),
        "SCRIPT": script.replace("</", "<\\/"),
    }
    page = assets.script("bokeh.html")
    before = ""
    for name, text in parts.items():  # in the order of the page: no part is searched for a name
        head, page = page.split(name, 1)
        before += head + text
    return before + page


def plain_figure(figure: Any, height: int) -> None:
    """Give a Bokeh figure the plain look of all pages: as wide as there is room, few lines."""
    figure.toolbar.logo = None
    figure.toolbar.autohide = True
    # on canvas: the page does not carry Bokeh's WebGL script
    figure.update(height=height, sizing_mode="stretch_width", output_backend="canvas")
    figure.outline_line_color = None
    figure.axis.axis_label_text_font_style = "normal"
    figure.axis.minor_tick_line_color = None
    figure.title.update(text_color=palettes.INK, text_font_size="11pt")


@cache
def _deflated_bokeh() -> str:
    from bokeh.resources import Resources

    library = "\n".join(Resources(mode="inline", components=["bokeh"]).js_raw)
    return base64.b64encode(zlib.compress(library.encode(), 9)).decode()
