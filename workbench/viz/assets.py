"""Leaflet, jQuery and our own scripts as text that a page can carry inside itself."""

import base64
import re
from functools import cache
from importlib.resources import files
from pathlib import Path


def data_uri(content: bytes, media_type: str) -> str:
    """Write bytes as an address that needs no network.

    Example:
        >>> data_uri(b"ok", "text/plain")
        'data:text/plain;base64,b2s='
    """
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def script(name: str) -> str:
    """Read one of the scripts or templates shipped in ``workbench/viz/web``."""
    return files("workbench.viz").joinpath("web", name).read_text(encoding="utf-8")


@cache
def leaflet_js() -> str:
    """Leaflet's script as a data: URI."""
    return data_uri((_leaflet() / "leaflet.js").read_bytes(), "text/javascript")


@cache
def leaflet_css() -> str:
    """Leaflet's style sheet as a data: URI, with the images it names inside it."""

    def inline(match: re.Match[str]) -> str:
        image = (_leaflet() / match.group(1)).read_bytes()
        return f"url({data_uri(image, 'image/png')})"

    text = (_leaflet() / "leaflet.css").read_text(encoding="utf-8")
    text = re.sub(r"url\((images/[\w.-]+\.png)\)", inline, text)
    return data_uri(text.encode(), "text/css")


@cache
def jquery_js() -> str:
    """JQuery's script as a data: URI."""
    import xstatic.pkg.jquery as package

    return data_uri((Path(package.BASE_DIR) / "jquery.min.js").read_bytes(), "text/javascript")


@cache
def marker_icons() -> dict[str, str]:
    """Leaflet's default marker as the options of ``L.Icon.Default``."""
    names = {
        "iconUrl": "marker-icon.png",
        "iconRetinaUrl": "marker-icon-2x.png",
        "shadowUrl": "marker-shadow.png",
    }
    images = _leaflet() / "images"
    return {key: data_uri((images / name).read_bytes(), "image/png") for key, name in names.items()}


@cache
def _leaflet() -> Path:
    import xstatic.pkg.leaflet as package

    return Path(package.BASE_DIR)
