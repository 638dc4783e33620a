from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from tests.evaluation.made_results import FOREST, made_table
from workbench.evaluation.benchmark_tables import benchmark_table
from workbench.execution import RunFolder, external_references
from workbench.viz.table_files import leave_table, write_table
from workbench.viz.table_pages import frame_view
from workbench.viz.tables import (
    table_latex,
    table_markdown,
    table_page,
    table_view,
)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    results = made_table(tmp_path_factory.mktemp("study") / "results.parquet", FOREST)
    return benchmark_table(results, "forest_segmentation", draws=400, rng=np.random.default_rng(0))


class Rows(HTMLParser):
    """Cells of each row, and every address that a page would fetch."""

    def __init__(self, page: str):
        super().__init__()
        self.rows: list[list[str]] = []
        self.classes: list[str] = []
        self.fetched: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        known = dict(attrs)
        self.fetched += [v for k, v in known.items() if k in ("src", "href")]
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self.classes.append(known.get("class") or "")

    def handle_data(self, data):
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data.strip()


def test_a_page_has_the_shape_of_the_printed_table_and_fetches_nothing(table):
    found = Rows(table_page(table))
    assert found.fetched == []
    assert len(found.rows) == 1 + 15
    assert found.rows[0] == ["Decoder", "Encoder", "Weights", "Overall accuracy", "Micro-IoU"]
    assert found.rows[15][:3] == ["UpConv", "ViT-S", "DINO"]
    assert found.rows[15][4].startswith("published 77.49*†")
    assert found.classes.count("best") == 2
    assert "dominated" in " ".join(found.classes)


def test_printed_numbers_alone_stand_under_their_task_and_metric():
    alone = benchmark_table(None, "ssl_comparison", rng=np.random.default_rng(0))
    found = Rows(table_page(alone))
    assert found.rows[0][2:] == ["CORINE, Micro F1", "CDL, Micro-IoU", "NLCD, Micro-IoU"]
    assert found.rows[1] == ["ResNet-50", "ViT-S"] * 3
    assert found.rows[2] == [
        "Frozen",
        "Random",
        "70.53",
        "70.42",
        "44.72",
        "46.52",
        "35.86",
        "36.85",
    ]
    assert found.rows[5] == ["Frozen", "MAE", "–", "72.72", "–", "51.37*", "–", "41.17*"]
    assert "mIoU, as printed" in table_page(alone)
    assert r"\multicolumn{2}{c}{CDL, Micro-IoU}" in table_latex(alone)
    assert "| CDL, Micro-IoU · ResNet-50 |" in table_markdown(alone)


def test_names_cannot_break_out_of_a_page(table):
    evil = "<script>alert(1)</script>"
    cells = table.cells.assign(decoder=evil)
    page = table_page(replace(table, cells=cells, title=evil, notes=(evil,)))
    assert evil not in page
    assert page.count("<script>") == 1


def test_markdown_has_one_line_a_row(table):
    lines = [line for line in table_markdown(table).splitlines() if line.startswith("|")]
    assert len(lines) == 2 + 15
    assert {line.count(" | ") for line in lines if "---" not in line} == {4}
    assert lines[7].count("**") == 4  # the one that is separated from its block


def test_latex_escapes_and_marks(table):
    text = table_latex(table)
    assert r"published 88.03*\dag{}" in text
    assert r"\textbf{" in text
    assert r"\textcolor{gray}{" in text
    assert text.count(r" \\") == 1 + 15
    assert "†" not in text


def test_files_come_back(table, tmp_path):
    paths = write_table(table, tmp_path, "forest")
    assert [path.suffix for path in paths] == [".html", ".md", ".tex", ".parquet"]
    pd.testing.assert_frame_equal(pd.read_parquet(paths[3]), table.cells)
    with pytest.raises(ValueError, match="not 'pdf'"):
        write_table(table, tmp_path, "forest", ("pdf",))


def test_a_notebook_shows_the_page_and_behind_it_a_picture(table):
    view = table_view(table)
    assert view.png.startswith(b"\x89PNG")
    assert "sandbox" in view._repr_html_()


def test_a_run_gets_all_four_files_and_the_notebook_a_view(table, tmp_path):
    out = RunFolder(tmp_path, step="07")
    view = leave_table(table, out, "forest")
    assert view.page is not None
    found = {path.relative_to(out.root).as_posix() for path in out.root.rglob("forest.*")}
    assert found >= {
        "maps/forest.html", "tables/forest.parquet", "benchmark_tables/forest.md",
        "benchmark_tables/forest.tex",
    }  # fmt: skip


def test_any_small_table_can_be_shown_and_nothing_in_it_is_markup():
    frame = pd.DataFrame({"claim": ["<b>x</b>", "moco"], "gain": [1.234, float("nan")]})
    view = frame_view(frame, "Claims & gains", notes=["A < B."])
    assert external_references(view.page) == []
    assert "<b>x</b>" not in view.page
    found = Rows(view.page)
    assert found.rows[:2] == [["Claim", "Gain"], ["<b>x</b>", "1.23"]]
    assert found.rows[2][0] == "MoCo"
