import base64

from workbench.execution import external_references
from workbench.viz import assets


def test_leaflet_style_holds_its_images():
    text = base64.b64decode(assets.leaflet_css().partition("base64,")[2]).decode()
    assert "url(data:image/png;base64," in text
    assert "url(images/" not in text
    assert external_references(f"<style>{text}</style>") == []


def test_scripts_are_whole():
    leaflet = base64.b64decode(assets.leaflet_js().partition("base64,")[2])
    jquery = base64.b64decode(assets.jquery_js().partition("base64,")[2])
    assert b"Leaflet 1.9" in leaflet[:200]
    assert b"jQuery v3" in jquery[:200]


def test_marker_icons_are_images():
    assert set(assets.marker_icons()) == {"iconUrl", "iconRetinaUrl", "shadowUrl"}
    for uri in assets.marker_icons().values():
        assert base64.b64decode(uri.partition("base64,")[2]).startswith(b"\x89PNG")
