"""A Bokeh figure as one small page: Bokeh's script goes in deflated, and nothing else does.

Bokeh's own inline page is 1.4 MB a figure, and once Panel is imported it asks the server for one
of Panel's scripts too.
"""

import base64
import zlib
from functools import cache
from html import escape
from typing import Any

from workbench.viz import assets


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


@cache
def _deflated_bokeh() -> str:
    from bokeh.resources import Resources

    library = "\n".join(Resources(mode="inline", components=["bokeh"]).js_raw)
    return base64.b64encode(zlib.compress(library.encode(), 9)).decode()
