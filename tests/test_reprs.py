"""What notebooks print shows itself, as text and HTML; no name in it becomes a part of the page."""

from datetime import datetime
from functools import partial
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file
from shapely import box, multipolygons

from workbench.catalog.entries import LocalSource
from workbench.catalog.entry import Entry
from workbench.catalog.opened import Catalog
from workbench.evaluation import Predictions, compare_models
from workbench.execution import RunRecord, StepRecord, list_runs
from workbench.execution.run_comparison import compare_runs
from workbench.extraction import (
    Tile,
    ViewRules,
    leak_report,
    plan_summary,
    read_manifest,
    temporal_views,
)
from workbench.extraction.manifest import write_manifest
from workbench.extraction.patches import Extraction
from workbench.models import load_published_weights, resnet
from workbench.sensors import sensor
from workbench.showing import MOST_ROWS, Sheet, Shown, html_table, in_short, text_table
from workbench.training.checkpoint import Card, read_card, save_checkpoint

EVIL = "<script>alert('tile')</script>&amp;"
TAGS = {"table", "caption", "thead", "tbody", "tr", "th", "td", "div", "style", "p"}


class Page(HTMLParser):
    """Reads a fragment as a browser does: its tags, and its text with the escapes undone."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)

    def handle_data(self, data):
        self.text += f"{data} "


def tiles():
    parts = multipolygons([[box(10, 47, 10.2, 47.2), box(10.3, 47, 10.4, 47.1)]])[0]
    day = partial(datetime, 2022, 6)
    return [Tile(f"{EVIL}{i}", day(i + 1), parts, "EPSG:32632", Path(EVIL), EVIL) for i in range(2)]


def entry(_=None):
    source = LocalSource(type="local", path="none", obtain="Ask.")
    return Entry(EVIL, Path(), EVIL, "enmap", "enmap_l2a", source, EVIL, EVIL, None, 30.0, [EVIL])


def catalog(_):
    return Catalog(Path(EVIL), {EVIL: entry()})


def plan(_=None):
    return temporal_views(tiles(), ViewRules(patch_size=64))


def manifest(folder):
    return read_manifest(write_manifest(plan(), folder / "manifest.parquet", kind="plan"))


def extraction(folder):
    rejected = plan().assign(reasons=[("cloud", EVIL)] * len(plan()))
    return Extraction(folder, plan(), rejected, {EVIL: f"{EVIL} is not a raster"})


def leaks(_):
    rows = [(part, f"place {n}", EVIL) for n, part in enumerate(("train", "test", EVIL))]
    return leak_report(pd.DataFrame(rows, columns=["split", "location_id", "tile_id"]))


def card(folder):
    told = Card(
        sensor("enmap").contract(),
        method=EVIL,
        recipe={EVIL: {"bands": list(range(500))}},
        data={"choice": EVIL},
        licence=EVIL,
    )
    return read_card(save_checkpoint(folder / "a.safetensors", {"w": torch.zeros(2)}, told))


def weights(folder):
    encoder = resnet(18, bands=2)
    state = {name: t.clone() for name, t in encoder.state_dict().items()}
    save_file({**state, EVIL: torch.zeros(2)}, folder / "w.safetensors")
    return load_published_weights(encoder, folder / "w.safetensors")


def comparison(_):
    rng = np.random.default_rng(0)
    ids = tuple(f"{EVIL}{i}" for i in range(6))
    truth = rng.integers(0, 2, (6, 16, 16)).astype(np.uint8)
    maps = {f"{EVIL}{m}": rng.integers(0, 2, truth.shape).astype(np.uint8) for m in "abc"}
    said = {name: dict(zip(ids, found, strict=True)) for name, found in maps.items()}
    return compare_models(said, Predictions("target", ids, truth, (EVIL, "other"), 30.0), draws=100)


def run(_=None):
    record = RunRecord(EVIL, EVIL, "chain.yaml", EVIL, "failed", {EVIL: EVIL})
    record.steps = [StepRecord("01", "01.ipynb", "failed", EVIL)]
    return record


def runs(folder):
    for name in "ab":
        (folder / name).mkdir()
        run().write(folder / name)
    return list_runs(folder)


def difference(folder):
    runs(folder)
    for name, value in (("a", EVIL), ("b", f"{EVIL}{EVIL}")):
        step = StepRecord("01", "01.ipynb", "ok", metrics={EVIL: value})
        step.write(folder / name)
        record = run()
        record.steps = [step]
        record.write(folder / name)
    return compare_runs(folder / "a", folder / "b")


THINGS = {
    "catalog": catalog,
    "entry": entry,
    "tile": lambda _: tiles()[0],
    "plan": plan,
    "manifest": manifest,
    "extraction": extraction,
    "leak report": leaks,
    "checkpoint": card,
    "weights report": weights,
    "comparison": comparison,
    "pair": lambda folder: comparison(folder).pairs[0],
    "run": run,
    "list of runs": runs,
    "run in a list": lambda folder: runs(folder)[0],
    "comparison of runs": difference,
}


@pytest.mark.parametrize("make", THINGS.values(), ids=THINGS)
def test_a_hostile_name_is_shown_and_never_run(make, tmp_path):
    thing = make(tmp_path)
    page = Page(thing._repr_html_())
    assert "table" in page.tags
    assert page.tags <= TAGS
    assert "<script>" in page.text
    assert len(page.text) < 5000
    text = repr(thing)
    assert "script" in text or "rows x 9 columns" in text  # a table of pandas leaves columns out
    assert "object at 0x" not in text
    assert len(text.splitlines()) < 40


def test_the_summary_of_a_plan_says_its_numbers():
    summary = plan_summary(plan(), tiles(), ViewRules(patch_size=64))
    for shown in (repr(summary), summary._repr_html_()):
        assert f"Plan of {len(plan())} locations" in shown
        assert f"{summary.yield_of_bound:.1%}" in shown
    nothing = plan_summary(plan().iloc[:0], [])
    assert "no ground is seen twice" in repr(nothing)
    assert "nan" not in repr(nothing)


def test_a_tile_says_when_and_where_in_a_line():
    tile = Tile("T1", datetime(2022, 6, 12, 10, 30), box(-11.5, 47.0, -11.0, 47.25), "EPSG:32629")
    assert repr(tile) == (
        "<Tile T1: acquired 2022-06-12 10:30:00 UTC, pixels in EPSG:32629, "
        "footprint 11.50° W to 11.00° W, 47.00° N to 47.25° N (4 corners)>"
    )
    assert "in 2 parts" in repr(tiles()[0])


def test_what_is_large_is_told_by_its_count():
    told = in_short({"size": list(range(1000)), "sum": "0" * 64, "deep": {"lr": 0.1, "none": []}})
    assert told == (
        "size [0, 1, 2, 3 … (1,000 in all)], sum 0000000000000000…, deep {lr 0.1, none []}"
    )

    class Many(Shown):
        def _sheet(self):
            return Sheet("Many", ("a", "b"), [(str(i), "x" * 300) for i in range(5000)])

    for shown in (repr(Many()), Many()._repr_html_()):
        assert f"… and {5000 - MOST_ROWS:,} more rows, 5,000 in all" in shown
    assert max(map(len, repr(Many()).splitlines())) <= 100
    assert len(repr(Many()).splitlines()) == MOST_ROWS + 3


def test_a_header_without_a_word_is_left_out():
    assert text_table(("", ""), [("a", "b")]) == "a  b"
    assert "<thead>" not in html_table(("", ""), [("a", "b")], "c")
