"""A folium map that opens without a network, and what every map of ours wears.

folium's own maps fetch Leaflet, jQuery, Bootstrap and fonts from four hosts and are blank without
them. `OfflineMap` carries Leaflet and jQuery inside the page and draws the land from a table of
polygons. An online basemap is an option, never a need.
"""

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import folium
from branca.element import MacroElement
from folium.map import CustomPane
from folium.template import Template

from workbench.viz import assets, palettes

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
        # folium keeps `max_zoom` for its tile layer; without one the map has to be told itself.
        self.options |= {"maxZoom": 16, "zoomSnap": 0.25, "wheelPxPerZoomLevel": 90}
        self.options["attributionControl"] = basemap is not None
        self.add_child(CustomPane("land", z_index=150, pointer_events=False))
        if land is not None:
            self.add_child(_land_layer(land))
        self.add_child(_Furniture(title, [[ymin, xmin], [ymax, xmax]]))

    def page(self) -> str:
        """The map as one HTML document."""
        return self.get_root().render()


class Legend(MacroElement):
    """A box in a corner of the map; `content` is HTML whose texts are already escaped."""

    _template = Template("""
        {% macro script(this, kwargs) %}
        (function () {
          const legend = L.control({position: {{ this.position|tojson }}});
          legend.onAdd = function () {
            const box = L.DomUtil.create("div", "wb-box wb-legend");
            box.innerHTML = {{ this.content|tojson }};
            L.DomEvent.disableClickPropagation(box);
            L.DomEvent.disableScrollPropagation(box);
            return box;
          };
          legend.addTo({{ this._parent.get_name() }});
        })();
        {% endmacro %}
        """)

    def __init__(self, content: str, *, position: str = "bottomright") -> None:
        super().__init__()
        self._name = "Legend"
        self.content = content
        self.position = position


class _Furniture(MacroElement):
    """Title, first view, colours, graticule, and a wheel that does not steal the page's."""

    _template = Template("""
        {% macro header(this, kwargs) %}
        <title>{{ this.title|e }}</title>
        <style>{{ this.style }}</style>
        {% endmacro %}
        {% macro html(this, kwargs) %}
        <h1 class="wb-title">{{ this.title|e }}</h1>
        {% endmacro %}
        {% macro script(this, kwargs) %}
        L.Icon.Default.mergeOptions({{ this.icons|tojson }});
        L.Icon.Default.imagePath = " ";
        {{ this.code }}
        dressMap({{ this._parent.get_name() }}, {{ this.view|tojson }});
        {% endmacro %}
        """)

    def __init__(self, title: str, view: list[list[float]]) -> None:
        super().__init__()
        self._name = "Furniture"
        self.title = title
        self.view = view
        self.icons = assets.marker_icons()
        self.code = assets.script("map.js")
        self.style = (
            assets.script("map.css").replace("SEA", palettes.SEA).replace("INK", palettes.INK)
        )


def gradient_row(low: str, high: str, stops: Sequence[str]) -> str:
    """HTML of a colour ramp between two values, for a legend."""
    colours = ", ".join(stops)
    return (
        f'<div class="wb-ramp"><span>{escape(low)}</span>'
        f'<i style="background:linear-gradient(to right, {colours})"></i>'
        f"<span>{escape(high)}</span></div>"
    )


def swatch_row(style: str, text: str) -> str:
    """HTML of one legend row: a sample drawn by a CSS style, and what it means."""
    return f'<div class="wb-row"><i style="{escape(style)}"></i><span>{escape(text)}</span></div>'


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
