import base64
import re
import zlib
from html.parser import HTMLParser

import pandas as pd
import pytest
from PIL import Image

from workbench.execution import RunFolder, external_references, report_pages
from workbench.execution.artifacts import read_outputs
from workbench.execution.files import write_text
from workbench.execution.records import (
    CellRecord,
    Failure,
    RunRecord,
    StepNote,
    StepRecord,
)
from workbench.execution.report import write_report

EVIL = "<script>alert('x')</script>"


class Links(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.found = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found += [value for name, value in attrs if name in {"href", "src"}]


@pytest.fixture
def run(tmp_path):
    """A run of three steps whose every text wants to be markup; one failed, one was skipped."""
    out = RunFolder(tmp_path, step="01")
    out.table(pd.DataFrame({EVIL: [EVIL] * 30}), "t", title=EVIL)
    out.page("<p>map", "coverage", title=EVIL)
    (tmp_path / "figures").mkdir()
    Image.new("RGB", (1600, 800), "red").save(tmp_path / "figures" / "f.png")
    picture = tmp_path / "figures" / "f.png"
    artifacts = [
        *read_outputs(tmp_path, "01")["artifacts"],
        {"path": "figures/f.png", "kind": "figure", "title": EVIL, "bytes": picture.stat().st_size},
    ]
    for name in ("01.html", "01.ipynb", "02.html", "02.ipynb"):
        write_text(tmp_path / "notebooks" / name, "x")
    write_text(tmp_path / "logs" / "02.stderr.log", f"Traceback\n{EVIL}")
    provenance = {"commit": "c0ffee", "dirty": True, "packages": {"numpy": "2"}, "device": "cpu"}
    data = {EVIL: dict.fromkeys(("fingerprint", "description", "licence", "citation"), EVIL)}
    cell = CellRecord(3, "a", EVIL, "failed")
    steps = [
        StepRecord(
            "01", "01.ipynb", "ok", title=EVIL, parameters={"seed": 0, EVIL: EVIL}, data=data,
            artifacts=artifacts, metrics={"edges": 573, "iou": None}, provenance=provenance,
            executed="notebooks/01.ipynb", page="notebooks/01.html", log="logs/01.stderr.log",
        ),
        StepRecord(
            "02", "02.ipynb", "failed", failure=Failure("ValueError", EVIL, cell),
            executed="notebooks/02.ipynb", page="notebooks/02.html", log="logs/02.stderr.log",
            provenance=provenance,
        ),
        StepRecord("03", "03.ipynb", "skipped", "needs 02"),
    ]  # fmt: skip
    notes = [
        StepNote("01", "unchanged", "nothing has changed"),
        StepNote("02", "failed", EVIL, 2.0),
        StepNote("03", "skipped", "needs 02"),
    ]
    return RunRecord("demo", EVIL, "chain.yaml", f"workbench run {EVIL}", "failed", steps=steps,
                     notes=notes)  # fmt: skip


@pytest.fixture
def page(run, tmp_path):
    return write_report(run, tmp_path).read_text(encoding="utf-8")


def test_nothing_is_fetched_and_every_link_leads_somewhere(page, tmp_path):
    assert external_references(page) == []
    links = Links(page).found
    for link in links:
        assert link.startswith(("data:image/webp", "#")) or (tmp_path / link).is_file(), link
    for path in ("notebooks/01.html", "notebooks/02.ipynb", "tables/t.parquet",
                 "maps/coverage.html", "figures/f.png", "logs/02.stderr.log"):  # fmt: skip
        assert path in links
    assert "logs/01.stderr.log" not in links  # it is empty


def test_text_from_elsewhere_is_never_markup(page):
    ours = ('<script type="text/plain">', "<script>\nfor (const box of")
    assert page.count("<script") == len(ours) == sum(page.count(begin) for begin in ours)
    assert page.count("&lt;script&gt;") > 10


def test_status_reason_and_failure_of_each_step_are_told(page):
    text = re.sub(r"<[^>]+>", " ", page)
    assert "ok, unchanged" in text
    assert "nothing has changed" in text
    assert "needs 02" in text
    assert "02 stopped in cell 3" in text
    assert "Traceback" in text


def test_data_numbers_and_provenance_are_told(page):
    text = re.sub(r"<[^>]+>", " ", page)
    for word in ("Used by", "Licence", "Cite", "Fingerprint", "573", "null", "numpy 2",
                 "c0ffee with changes not committed", "8 of 30 rows, 1 of 1 columns"):  # fmt: skip
        assert word in text
    assert text.count("c0ffee") == 1  # both steps ran with the same


def test_the_page_is_light(page):
    assert len(page) < 50_000


def test_a_broken_picture_is_linked_and_logged(run, tmp_path, caplog):
    (tmp_path / "figures" / "f.png").write_bytes(b"no picture")
    page = write_report(run, tmp_path).read_text(encoding="utf-8")
    assert '<img src="figures/f.png"' in page
    assert "cannot be read as a picture" in caplog.text


def test_an_interactive_page_is_carried_whole_unless_it_is_too_large(tmp_path, monkeypatch):
    out = RunFolder(tmp_path, step="01")
    out.page("<!DOCTYPE html><p>grün</p>", "small")
    out.page("".join(map(str, range(20_000))), "large")
    monkeypatch.setattr(report_pages, "PAGE_BYTES", 10_000)
    step = StepRecord("01", "01.ipynb", "ok", artifacts=read_outputs(tmp_path, "01")["artifacts"])
    run = RunRecord("r", "R", "c", "workbench run", "ok", steps=[step])
    page = write_report(run, tmp_path).read_text(encoding="utf-8")
    packed = re.findall(r'<script type="text/plain">([^<]*)</script>', page)
    unpacked = [zlib.decompress(base64.b64decode(text)).decode() for text in packed]
    assert unpacked == ["<!DOCTYPE html><p>grün</p>"]
    assert page.count("not carried here") == 1
    assert page.count('href="maps/large.html"') == 1
