"""An executed notebook as one HTML file that opens without a network."""

import logging
from pathlib import Path

from workbench.escape import html_text
from workbench.execution.files import write_text
from workbench.execution.offline import external_references

TEMPLATE = """\
{%- extends 'lab/index.html.j2' -%}
{%- block html_head_js -%}{%- endblock -%}
{%- block jupyter_widgets -%}{%- endblock -%}
{%- block html_head_js_mathjax -%}{%- endblock -%}
{%- block html_head_js_mermaidjs -%}{%- endblock -%}
{%- block html_head_css -%}
<style>
main { max-width: 1200px; margin: 0 auto; }
.wb-banner { font: 16px/1.5 system-ui, sans-serif; margin: 16px 0; padding: 12px 16px;
  color: #7a0b0b; background: #fdecea; border-left: 4px solid #b3261e; overflow-wrap: anywhere; }
.jp-OutputArea-output { overflow-x: auto; }
.jp-RenderedHTMLCommon img, .jp-OutputArea-output img { max-width: 100%; height: auto; }
</style>
{%- endblock -%}
"""
"""The lab template without the scripts that it fetches: require.js, MathJax, Mermaid, widgets."""

NO_WIDGETS = [
    "text/html",
    "image/svg+xml",
    "image/png",
    "image/jpeg",
    "text/markdown",
    "text/latex",
    "application/javascript",
    "text/plain",
]
"""Kinds of output that need no script from elsewhere, best first."""


def notebook_html(
    notebook: Path, target: Path, *, source_folder: Path, show_code: bool, banner: str = ""
) -> int:
    """Write `notebook` as one self-contained page.

    Pictures in its text are embedded. A widget shows its static form.

    Args:
        notebook: An executed notebook.
        target: The page to write.
        source_folder: Folder to which relative paths of pictures in its text refer.
        show_code: Whether code cells are shown, or only their outputs.
        banner: A line of plain text to open the page with, e.g. why the notebook stopped.

    Returns:
        Number of files the page would fetch from the network; 0 unless an output asks for some.
    """
    from jinja2 import DictLoader
    from nbconvert.exporters import HTMLExporter
    from traitlets.config import Config

    quiet = logging.getLogger("nbconvert.offline")  # it warns of pictures without a description
    quiet.setLevel(logging.ERROR)
    config = Config()
    config.NbConvertBase.display_data_priority = NO_WIDGETS
    exporter = HTMLExporter(
        config=config,
        log=quiet,
        extra_loaders=[DictLoader({"offline.html.j2": TEMPLATE})],
        template_file="offline.html.j2",
        embed_images=True,
        exclude_input=not show_code,
        exclude_input_prompt=not show_code,
        exclude_output_prompt=not show_code,
        exclude_anchor_links=True,
    )
    resources = {"metadata": {"path": str(source_folder), "name": notebook.stem}}
    page, _ = exporter.from_filename(str(notebook), resources=resources)
    if banner:
        line = f'<main>\n<p class="wb-banner" role="alert">{html_text(banner)}</p>'
        page = page.replace("<main>", line, 1)
    write_text(target, page)
    return len(external_references(page))
