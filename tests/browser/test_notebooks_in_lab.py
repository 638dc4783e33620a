"""The notebooks in a real JupyterLab without a network: run live, and reopened untrusted."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import TOKEN, needs_chromium
from tests.browser.waiting import settled, wait_for_height

pytestmark = [pytest.mark.browser, pytest.mark.notebook, pytest.mark.slow, needs_chromium]

NOTEBOOKS = sorted(p.name for p in (Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))

READY = """async () => {
  const lab = window.jupyterapp;
  const ready = () => lab.shell.currentWidget && lab.shell.currentWidget.context;
  await lab.restored;
  while (!ready()) await new Promise((go) => setTimeout(go, 100));
  await ready().ready;
}"""
KERNEL = """async () => {
  const session = window.jupyterapp.shell.currentWidget.context.sessionContext;
  const idle = () => session.session && session.session.kernel.status === "idle";
  await session.ready;
  while (!idle()) await new Promise((go) => setTimeout(go, 100));
}"""
RUN_ALL = "() => window.jupyterapp.commands.execute('notebook:run-all-cells')"
OUTPUTS = """() => {
  const cells = window.jupyterapp.shell.currentWidget.content.widgets;
  return cells.flatMap((cell) => cell.model.outputs ? cell.model.outputs.toJSON() : []);
}"""
SHOW = """async (id) => {
  const book = window.jupyterapp.shell.currentWidget.content;
  const index = book.widgets.findIndex((cell) => cell.model.id === id);
  book.activeCellIndex = index;
  await book.scrollToItem(index, "center");
  return index;
}"""


def open_notebook(page, lab, path):
    page.goto(f"{lab}/lab/workspaces/tests/tree/{path}?token={TOKEN}&reset")
    page.wait_for_function("() => window.jupyterapp !== undefined")
    page.evaluate(READY)


def shown_cell(page, cell_id):
    """Scroll to a cell; JupyterLab keeps only those in view in the page."""
    return page.locator(f'.jp-Cell[data-windowed-list-index="{page.evaluate(SHOW, cell_id)}"]')


BLANK = """() => {
  const book = window.jupyterapp.shell.currentWidget.content;
  const told = (cell) => cell.model.type === "code" && cell.model.outputs.length > 0;
  return book.widgets.filter(told).flatMap((cell) => {
    const outputs = cell.model.outputs.toJSON();
    const empty = (output) => {
      if (output.output_type === "stream") return !String(output.text).trim();
      return !Object.values(output.data || {}).some((value) => String(value).trim());
    };
    return outputs.filter((output) => output.output_type !== "error" && empty(output))
      .map(() => cell.model.id);
  });
}"""
"""Ids of the cells that have an output in which there is nothing."""


def cells_with_views(path):
    """Ids of the cells that show a figure or map of ours, and whether it is more than a picture."""
    shown = [
        (cell.id, output.get("data", {}).get("text/html", ""))
        for cell in nbformat.read(path, as_version=4).cells
        for output in cell.get("outputs", [])
    ]
    return {cell: "<iframe" in html for cell, html in shown if "wb-view" in html}


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_runs_live(name, lab, run, open_page, tmp_path):
    page = open_page(lab)
    open_notebook(page, lab, f"notebooks/{name}")
    page.evaluate(KERNEL)
    assert page.evaluate(RUN_ALL)
    outputs = page.evaluate(OUTPUTS)
    assert outputs
    assert not [output for output in outputs if output["output_type"] == "error"]
    assert page.evaluate(BLANK) == []
    for cell_id, is_interactive in cells_with_views(run / "notebooks" / name).items():
        cell = shown_cell(page, cell_id)
        if not is_interactive:
            wait_for_height(cell.locator(".wb-view img"), 100)
            continue
        frame = cell.locator(".wb-view iframe")
        cell.frame_locator(".wb-view iframe").locator("body[data-ready]").wait_for()
        wait_for_height(frame, 100)
        assert frame.bounding_box()["width"] > 400
        expect(cell.locator(".wb-view img")).to_be_hidden()
        page.screenshot(path=tmp_path / f"{cell_id}.png")


RUN_ONE_BY_ONE = """async () => {
  const { content } = window.jupyterapp.shell.currentWidget, codes = [];
  for (let index = 0; index < content.widgets.length; index++) {
    content.deselectAll();
    content.activeCellIndex = index;
    await window.jupyterapp.commands.execute("notebook:run-cell");
    const { model } = content.widgets[index];
    if (model.type === "code") codes.push([model.id, model.executionCount]);
  }
  return codes;
}"""
CELL_IDS = """() => window.jupyterapp.shell.currentWidget.content.widgets.map(
  (cell) => cell.model.id)"""
COUNTS = """(ids) => window.jupyterapp.shell.currentWidget.content.widgets
  .filter((cell) => ids.includes(cell.model.id) && cell.model.type === "code")
  .map((cell) => cell.model.executionCount)"""
RUN_SELECTED = """async ([from, to]) => {
  const { content } = window.jupyterapp.shell.currentWidget;
  content.activeCellIndex = from;
  content.extendContiguousSelectionTo(to);
  return window.jupyterapp.commands.execute("notebook:run-cell");
}"""


@pytest.fixture(params=NOTEBOOKS)
def untouched(request, workplace) -> Iterator[str]:
    """A copy of a notebook that no kernel has seen yet."""
    copy = workplace / "notebooks" / f"one_by_one_{request.param}"
    shutil.copy(workplace / "notebooks" / request.param, copy)
    yield f"notebooks/{copy.name}"
    copy.unlink()


def test_cells_are_run_one_by_one_and_a_selection_again(untouched, lab, open_page):
    page = open_page(lab)
    open_notebook(page, lab, untouched)
    page.evaluate(KERNEL)
    codes = page.evaluate(RUN_ONE_BY_ONE)
    assert codes[0][0] == "parameters"
    assert [count for _, count in codes] == list(range(1, len(codes) + 1))
    cells = page.evaluate(CELL_IDS)
    half = [code for code, _ in codes[len(codes) // 2 :]]
    assert page.evaluate(RUN_SELECTED, [cells.index(half[0]), cells.index(half[-1])])
    assert page.evaluate(COUNTS, half) == [len(codes) + 1 + k for k in range(len(half))]
    assert not [o for o in page.evaluate(OUTPUTS) if o["output_type"] == "error"]
    assert page.evaluate(BLANK) == []


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_reopened_untrusted_shows_every_picture(name, lab, run, workplace, open_page, tmp_path):
    path = run / "notebooks" / name
    page = open_page(lab)
    open_notebook(page, lab, path.relative_to(workplace).as_posix())
    for cell_id in cells_with_views(path):
        cell = shown_cell(page, cell_id)
        picture = cell.locator(".jp-OutputArea-output img")
        wait_for_height(picture, 100)
        assert cell.locator("iframe").count() == 0
        page.screenshot(path=tmp_path / f"{cell_id}.png")


def test_made_run_has_views_to_look_at(run):
    counts = {name: len(cells_with_views(run / "notebooks" / name)) for name in NOTEBOOKS}
    assert counts["01_tile_overlap.ipynb"] == 4
    assert counts["02_temporal_views.ipynb"] == 3
    assert counts["03_patches.ipynb"] == 6
    assert counts["06_forest_segmentation.ipynb"] == 2


def test_a_run_is_picked_and_its_results_are_opened(lab, run, open_page, tmp_path):
    page = open_page(lab)
    open_notebook(page, lab, "notebooks/00_start_here.ipynb")
    page.evaluate(KERNEL)
    assert page.evaluate(RUN_ALL)
    cell = shown_cell(page, "pick-run")
    runs, results = cell.locator("select").nth(0), cell.locator("select").nth(1)
    runs.wait_for(state="visible")
    expect(results.locator("option")).not_to_have_count(0)
    labels = [label.replace("\xa0", " ") for label in runs.locator("option").all_inner_texts()]
    assert labels[0].startswith("demo · ok")
    labels = results.locator("option").all_inner_texts()
    results.select_option(index=0)
    expect(cell.frame_locator("iframe").locator("h1")).to_have_count(1)
    settled(page).screenshot(path=tmp_path / "report.png")
    table = next(k for k, label in enumerate(labels) if label.startswith("table"))
    results.select_option(index=table)
    cell.locator(".widget-html table").wait_for(state="visible")
    expect(cell.locator("iframe")).to_have_count(0)
    figure = next(k for k, label in enumerate(labels) if label.startswith("figure"))
    results.select_option(index=figure)
    picture = cell.locator(".widget-html img")
    wait_for_height(picture, 100)
    page.screenshot(path=tmp_path / "figure.png")


def test_the_run_picker_reopened_untrusted_is_the_list_of_runs(lab, run, workplace, open_page):
    path = run / "notebooks" / "00_start_here.ipynb"
    page = open_page(lab)
    open_notebook(page, lab, path.relative_to(workplace).as_posix())
    cell = shown_cell(page, "pick-run")
    table = cell.locator(".jp-OutputArea-output table")
    expect(table).to_contain_text("demo")
