import html
import io
import re

from workbench.viz.embed import OfflineView

PAGE = '<!DOCTYPE html><p title="x">a & b</p>'


def test_page_comes_back_from_the_frame_unchanged():
    shown = OfflineView("A map", png=b"png", page=PAGE)._repr_html_()
    source = re.search(r'srcdoc="([^"]*)"', shown).group(1)
    assert html.unescape(source) == PAGE


def test_picture_stands_right_behind_the_frame_and_is_hidden_only_by_the_style():
    shown = OfflineView("A map", png=b"png", page=PAGE)._repr_html_()
    assert re.search(r'</iframe><img alt="A map" src="data:image/png;base64,', shown)
    assert ".wb-view iframe+img{display:none}" in shown
    assert not shown.startswith("<iframe")  # IPython warns of that


def test_picture_alone_has_no_frame():
    shown = OfflineView("A figure", png=b"png")._repr_html_()
    assert "<iframe" not in shown
    assert "<img" in shown


def test_title_is_escaped():
    shown = OfflineView('<b>"', png=b"", page="<p>")._repr_html_()
    assert "<b>" not in shown
    assert 'alt="&lt;b&gt;&quot;"' in shown


def test_page_does_not_reach_the_notebook():
    shown = OfflineView("A map", png=b"", page=PAGE)._repr_html_()
    sandbox = re.search(r'sandbox="([^"]*)"', shown).group(1)
    assert "allow-scripts" in sandbox
    assert "allow-same-origin" not in sandbox


def test_saves_its_picture_like_a_figure(tmp_path):
    view = OfflineView("A map", png=b"picture")
    buffer = io.BytesIO()
    view.savefig(tmp_path / "a.png", dpi=200, bbox_inches="tight")
    view.savefig(buffer)
    assert (tmp_path / "a.png").read_bytes() == buffer.getvalue() == b"picture"


def test_plain_text_names_what_is_shown():
    assert repr(OfflineView("A map", png=b"")) == "<A map: picture, 0.0 MB>"
