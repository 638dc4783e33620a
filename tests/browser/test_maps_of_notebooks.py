"""The maps with a kernel behind them that the shipped notebooks show: chosen on, clicked."""

import re

import geopandas as gpd
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import needs_chromium
from tests.browser.test_map_widgets_in_lab import RUN_CELL, drag, frame_of, look_at
from tests.browser.test_notebooks_in_lab import KERNEL, OUTPUTS, RUN_ALL, open_notebook, shown_cell
from tests.browser.waiting import until, wait_for_height

pytestmark = [pytest.mark.browser, pytest.mark.notebook, pytest.mark.slow, needs_chromium]


def run_in_lab(page, lab, path):
    """Open a notebook, run all of it, and see that nothing failed."""
    open_notebook(page, lab, path)
    page.evaluate(KERNEL)
    assert page.evaluate(RUN_ALL)
    assert not [o for o in page.evaluate(OUTPUTS) if o["output_type"] == "error"]
    return page


def test_what_is_chosen_on_the_map_is_shown_by_the_next_cell(lab, workplace, open_page, tmp_path):
    page = run_in_lab(open_page(lab, height=1000), lab, "notebooks/02_temporal_views.ipynb")
    told = shown_cell(page, "show-chosen").locator(".jp-OutputArea-output").first
    expect(told).to_contain_text("0 of ")
    frame = frame_of(page, "choose-locations")
    frame.locator('[data-tool="rectangle"]').click()
    plan = gpd.read_parquet(workplace / "runs" / "lab" / "manifest.parquet")
    x, y = look_at(frame, plan.geometry.iloc[0], 9)
    drag(page, frame, (x - 40, y - 50), (x + 60, y + 40))
    counted = frame.locator("#wb-selected")
    expect(counted).to_have_text(re.compile(r"[1-9][\d,]* of [\d,]+"))
    number = re.search(r"[\d,]+ of [\d,]+", counted.inner_text()).group()
    page.screenshot(path=tmp_path / "chosen.png")
    assert page.evaluate(RUN_CELL, "show-chosen")
    told = shown_cell(page, "show-chosen").locator(".jp-OutputArea-output").first
    expect(told).to_contain_text(f"{number} locations selected")
    page.screenshot(path=tmp_path / "shown.png")


def test_a_click_on_the_map_of_patches_reads_their_pictures(lab, workplace, open_page, tmp_path):
    page = run_in_lab(open_page(lab, height=1000), lab, "notebooks/03_patches.ipynb")
    (path,) = (workplace / "runs" / "lab" / "patches").glob("*-cloud0.1/manifest.parquet")
    manifest = gpd.read_parquet(path)
    frame = frame_of(page, "explore-locations")
    frame.wait_for_function("() => window.liveCards")
    x, y = look_at(frame, manifest.geometry.iloc[0], 13)
    frame.locator(".folium-map").click(position={"x": x, "y": y})
    popup = frame.locator(".leaflet-popup-content")
    expect(popup).to_contain_text(manifest["location_id"].iloc[0])
    expect(popup.locator("img").first).to_be_visible()
    opened = frame.locator(".leaflet-popup")
    until(
        page, lambda: opened.bounding_box()["y"] > frame.locator(".folium-map").bounding_box()["y"]
    )
    page.screenshot(path=tmp_path / "card.png")


@pytest.mark.parametrize(
    ("name", "cell_id"),
    [("02_temporal_views", "choose-locations"), ("03_patches", "explore-locations")],
)
def test_reopened_untrusted_the_maps_are_pictures(
    name, cell_id, lab, run, workplace, open_page, tmp_path
):
    path = run / "notebooks" / f"{name}.ipynb"
    page = open_page(lab)
    open_notebook(page, lab, path.relative_to(workplace).as_posix())
    cell = shown_cell(page, cell_id)
    wait_for_height(cell.locator(".jp-OutputArea-output img"), 100)
    assert cell.locator("iframe").count() == 0
    page.screenshot(path=tmp_path / "untrusted.png")


def test_in_an_executed_page_the_maps_are_pictures(run, open_page, tmp_path):
    page = open_page(height=1200)
    page.goto((run / "notebooks" / "02_temporal_views.html").as_uri())
    cell = page.locator('[id="cell-id=choose-locations"]')
    cell.scroll_into_view_if_needed()
    wait_for_height(cell.locator("img"), 100)
    assert cell.locator("iframe").count() == 0
    page.screenshot(path=tmp_path / "page.png")
