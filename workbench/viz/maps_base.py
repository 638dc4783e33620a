"""A folium map that opens without a network, and what every map of ours wears.

folium's own maps fetch Leaflet, jQuery, Bootstrap and fonts from four hosts and are blank without
them. `OfflineMap` carries Leaflet and jQuery inside the page and draws the land from a table of
polygons. An online basemap is an option, never a need.
"""

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import folium
from branca.element import Element, Figure, MacroElement
from folium.map import CustomPane
from folium.template import Template

from workbench.escape import html_text, script_json
from workbench.viz import assets, palettes
from workbench.viz.embed import sandboxed_frame

if TYPE_CHECKING:
    import geopandas as gpd

Bounds = tuple[float, float, float, float]
"""(xmin, ymin, xmax, ymax), degrees of longitude and latitude."""


class OfflineMap(folium.Map):
    """A folium map whose page holds all it needs.

    Args:
        title: Heading over the map, with the unit of what is coloured.
        bounds: What is in view at first.
        land: Polygons drawn as the background, in any CRS; None for an empty sea.
        basemap: Name of an online basemap of folium ("OpenStreetMap"); needs a network. The
            default draws `land` alone.
    """

    def __init__(
        self,
        title: str,
        bounds: Bounds,
        *,
        land: "gpd.GeoDataFrame | None" = None,
        basemap: str | None = None,
        **options: Any,
    ) -> None:
        self.default_js = [("leaflet", assets.leaflet_js()), ("jquery", assets.jquery_js())]
        self.default_css = [("leaflet_css", assets.leaflet_css())]
        self.view = bounds
        xmin, ymin, xmax, ymax = bounds
        centre = [(ymin + ymax) / 2, (xmin + xmax) / 2]
        super().__init__(
            centre,
            tiles=basemap,
            zoom_start=3,
            control_scale=True,
            prefer_canvas=True,
            max_zoom=16,
            min_zoom=1,
            font_size="13px",
            **options,
        )
        _Page().add_child(self)
        # folium keeps `max_zoom` for its tile layer; without one the map has to be told itself.
        self.options |= {"maxZoom": 16, "zoomSnap": 0.25, "wheelPxPerZoomLevel": 90}
        self.options["attributionControl"] = basemap is not None
        self.add_child(CustomPane("land", z_index=150, pointer_events=False))
        if land is not None:
            self.add_child(_land_layer(land))
        self.add_child(_Head(title))
        view = [[ymin, xmin], [ymax, xmax]]
        icons = assets.marker_icons()
        self.add_child(PageScript("dressMap", view, icons, scripts=["map.js"]))

    def page(self) -> str:
        """The map as one HTML document."""
        return self.get_root().render()


class PageScript(MacroElement):
    """Scripts of ours in a map's page, and one call of them: ``function(map, *values)``.

    Args:
        function: Name of the function, which takes the map first.
        values: Its other arguments: plain values, or parts of the map.
        scripts: Files of ``workbench/viz/web`` that define it.
    """

    _template = Template("{% macro script(this, kwargs) %}{{ this.text() }}{% endmacro %}")

    def __init__(self, function: str, *values: Any, scripts: Sequence[str] = ()) -> None:
        super().__init__()
        self._name = "PageScript"
        self.function, self.values = function, values
        self.code = "".join(assets.script(name) for name in scripts)

    def text(self) -> str:
        """The scripts and the call."""
        parts = [self._parent, *self.values]
        told = [p.get_name() if isinstance(p, Element) else script_json(p) for p in parts]
        return f"{self.code}\n{self.function}({', '.join(told)});\n"


class Legend(PageScript):
    """A box in a corner of the map; `content` is HTML whose texts are already escaped."""

    def __init__(self, content: str, *, position: str = "bottomright") -> None:
        super().__init__("addLegend", content, position)


class _Head(MacroElement):
    """Title and style of the page."""

    _template = Template("""
        {% macro header(this, kwargs) %}
        <title>{{ this.title }}</title>
        <style>{{ this.style }}</style>
        {% endmacro %}
        {% macro html(this, kwargs) %}
        <h1 class="wb-title">{{ this.title }}</h1>
        {% endmacro %}
        """)

    def __init__(self, title: str) -> None:
        super().__init__()
        self._name = "Head"
        self.title = html_text(title)
        self.style = (
            assets.script("map.css").replace("SEA", palettes.SEA).replace("INK", palettes.INK)
        )


class _Page(Figure):
    """Root of a map's page: what its parts write goes into it as it is.

    branca makes a template of the text that a part has written, and renders it again, so that a
    name in the data would run as code. Here that template is a mark of ours, and the text is a
    value that takes its place.
    """

    def render(self, **kwargs: Any) -> str:
        """The page as HTML."""
        written = _Written()
        try:
            written.watch(self)
            return str(super().render(**kwargs, written=written.texts))
        finally:
            written.release()

    def _repr_html_(self, **kwargs: Any) -> str:
        return sandboxed_frame(self.render(**kwargs), "Map", 600)


class _Written:
    """What the parts of a page have written, each text once."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._watched: list[tuple[MacroElement, Any]] = []

    def watch(self, element: Element) -> None:
        """Collect what the children of an element write from now on."""
        for child in element._children.values():
            if not isinstance(child, MacroElement):
                self.watch(child)
            elif not isinstance(child._template, _Once):
                self._watched.append((child, child.__dict__.get("_template")))
                child._template = _Once(child._template, child, self)

    def mark(self, text: object) -> str:
        """Keep a text, and give the template that stands for it."""
        self.texts.append(str(text))
        return f"{{{{ kwargs['written'][{len(self.texts) - 1}] }}}}"

    def release(self) -> None:
        """Give the parts their templates back."""
        for element, template in self._watched:
            if template is None:
                del element.__dict__["_template"]
            else:
                element._template = template


class _Once:
    """A part's template whose macros give marks instead of their texts."""

    def __init__(self, template: Any, element: MacroElement, written: _Written) -> None:
        self._real, self._element, self._written = template, element, written

    def render(self, *args: Any, **kwargs: Any) -> str:
        return str(self._real.render(*args, **kwargs))

    @property
    def module(self) -> SimpleNamespace:
        self._written.watch(self._element)  # some get children only while they are rendered
        macros = {
            name: self._marked(macro)
            for name in ("header", "html", "script")
            if (macro := getattr(self._real.module, name, None)) is not None
        }
        return SimpleNamespace(**macros)

    def _marked(self, macro: Callable[..., str]) -> Callable[..., str]:
        return lambda this, kwargs: self._written.mark(macro(this, kwargs))


def gradient_row(low: str, high: str, stops: Sequence[str]) -> str:
    """HTML of a colour ramp between two values, for a legend."""
    colours = ", ".join(stops)
    return (
        f'<div class="wb-ramp"><span>{html_text(low)}</span>'
        f'<i style="background:linear-gradient(to right, {colours})"></i>'
        f"<span>{html_text(high)}</span></div>"
    )


def swatch_row(style: str, text: str) -> str:
    """HTML of one legend row: a sample drawn by a CSS style, and what it means."""
    sample = f'<i style="{html_text(style)}"></i>'
    return f'<div class="wb-row">{sample}<span>{html_text(text)}</span></div>'


def _land_layer(land: "gpd.GeoDataFrame") -> folium.GeoJson:
    # At 1:110m the source is good to about 10 km; two decimals (1 km) lose nothing.
    outline = land.to_crs("EPSG:4326").geometry.set_precision(0.01, mode="pointwise")
    return folium.GeoJson(
        outline.to_frame("geometry"),
        name="Land",
        control=False,
        pane="land",
        interactive=False,
        style_function=lambda _: {
            "fillColor": palettes.LAND,
            "fillOpacity": 1,
            "color": palettes.BORDER,
            "weight": 0.8,
        },
    )
