"""A Bokeh figure as one small page: Bokeh's script goes in deflated, and nothing else does.

Bokeh's own inline page is 1.4 MB a figure, and once Panel is imported it asks the server for one
of Panel's scripts too.
"""

import base64
import zlib
from functools import cache
from typing import Any

from workbench.escape import filled, html_text, in_script
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

    plain_texts(layout)
    script, content = components(layout, wrap_script=False)
    above = f"<h1>{html_text(heading)}</h1>" if heading else ""
    small = f"<p>{html_text(below)}</p>" if below else ""
    parts = [
        ("TITLE", html_text(title)),
        ("CONTENT", above + content + small),
        ("LIBRARY", _deflated_bokeh()),
        ("SCRIPT", in_script(script)),
    ]
    return filled(assets.script("bokeh.html"), parts)


def plain_texts(layout: Any) -> None:
    """Let no text of a Bokeh layout be read as a formula (between ``$$``)."""
    from bokeh.models import Axis, PlainText
    from bokeh.models.annotations import Title

    for model in layout.select({"type": Axis}):
        if isinstance(model.axis_label, str):
            model.axis_label = PlainText(text=model.axis_label)
        words = model.major_label_overrides
        model.major_label_overrides = {
            place: PlainText(text=word) if isinstance(word, str) else word
            for place, word in words.items()
        }
    for model in layout.select({"type": Title}):
        if isinstance(model.text, str):
            model.text = PlainText(text=model.text)


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
