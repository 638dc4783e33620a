import base64

import nbformat
import pytest

from workbench.execution.html import notebook_html
from workbench.execution.offline import external_references

PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
    "+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@pytest.fixture
def executed(tmp_path):
    """A notebook with a picture, a widget with a static form, and an error."""
    v4 = nbformat.v4
    picture = v4.new_output("display_data", {"image/png": PIXEL})
    widget = v4.new_output(
        "display_data",
        {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}, "text/plain": "Slider(3)"},
    )
    code = v4.new_code_cell("secret = 1", outputs=[picture, widget], execution_count=1)
    node = v4.new_notebook(cells=[v4.new_markdown_cell("# T\n\n![](dot.png) $x^2$"), code])
    node.metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": {"state": {}}}
    nbformat.write(node, tmp_path / "a.ipynb")
    (tmp_path / "dot.png").write_bytes(base64.b64decode(PIXEL))
    return tmp_path / "a.ipynb"


def test_the_page_needs_no_network(executed, tmp_path):
    count = notebook_html(executed, tmp_path / "a.html", source_folder=tmp_path, show_code=False)
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert count == 0
    assert external_references(page) == []
    assert page.count(f"data:image/png;base64,{PIXEL}") >= 1
    assert "dot.png" not in page.replace('alt="dot.png"', "")
    assert "Slider(3)" in page
    assert "require.min.js" not in page
    assert len(page) < 1_000_000


def test_code_is_shown_where_asked_for(executed, tmp_path):
    for show_code in (False, True):
        notebook_html(executed, tmp_path / "a.html", source_folder=tmp_path, show_code=show_code)
        assert ("secret" in (tmp_path / "a.html").read_text(encoding="utf-8")) is show_code


def test_the_banner_is_text(executed, tmp_path):
    notebook_html(
        executed, tmp_path / "a.html", source_folder=tmp_path, show_code=True, banner="<b>stop</b>"
    )
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;stop&lt;/b&gt;" in page
    assert "<b>stop</b>" not in page


def test_outputs_that_ask_the_network_are_counted(tmp_path):
    output = nbformat.v4.new_output(
        "display_data", {"text/html": '<script src="https://cdn.example.org/a.js"></script>'}
    )
    node = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1", outputs=[output])])
    nbformat.write(node, tmp_path / "a.ipynb")
    count = notebook_html(
        tmp_path / "a.ipynb", tmp_path / "a.html", source_folder=tmp_path, show_code=False
    )
    assert count == 1
