"""Maps with a kernel behind them, in a real JupyterLab: selected on, clicked, panned."""

import time

import geopandas as gpd
import nbformat
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import ROOT, made_tiles, needs_chromium
from tests.browser.test_notebooks_in_lab import (
    KERNEL,
    OUTPUTS,
    RUN_ALL,
    SHOW,
    open_notebook,
    shown_cell,
)
from tests.browser.waiting import settled, until
from workbench.extraction import ViewRules, temporal_views
from workbench.viz.maps import select_locations

pytestmark = [pytest.mark.browser, pytest.mark.slow, needs_chromium]

SETUP = f"""\
import sys; sys.path.insert(0, {str(ROOT)!r})
from tests.browser.conftest import made_tiles
from workbench.extraction import ViewRules, temporal_views
from workbench.viz.maps import MapWidget, coverage_map
tiles = made_tiles()
plan = temporal_views(tiles, ViewRules(patch_size=256, gsd=20.0))
lost = plan.iloc[[0]].assign(
    acquired=tiles[0].acquired, detail="cloud 42.0 % (limit 10 %)", tile_id=tiles[0].id)
"""
CELLS = {
    "setup": SETUP,
    "map": "widget = MapWidget(coverage_map(plan, tiles), plan, rejected=lost)\nwidget",
    "subset": "widget.selected.to_parquet('subset.parquet')",
    "select": "widget.select([plan['location_id'].iloc[0]])",
    "live": "coverage_map(plan, tier='live')",
}
RUN_CELL = f"""async (id) => {{
  await ({SHOW})(id);
  return window.jupyterapp.commands.execute("notebook:run-cell");
}}"""
MAP = "window[Object.keys(window).find((name) => name.startsWith('map_'))]"
POINT = f"""([x, y]) => {{
  const point = {MAP}.latLngToContainerPoint([y, x]);
  return [point.x, point.y];
}}"""
DEGREES = f"""(point) => {{
  const place = {MAP}.containerPointToLatLng(point);
  return [place.lng, place.lat];
}}"""


@pytest.fixture
def opened(workplace, lab, open_page):
    """The notebook, run once from top to bottom."""
    cells = [nbformat.v4.new_code_cell(text, id=name) for name, text in CELLS.items()]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    book = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    nbformat.write(book, workplace / "map_widgets.ipynb")
    page = open_page(lab, height=1000)
    open_notebook(page, lab, "map_widgets.ipynb")
    page.evaluate(KERNEL)
    assert page.evaluate(RUN_ALL)
    assert not [o for o in page.evaluate(OUTPUTS) if o["output_type"] == "error"]
    yield page
    for name in ("map_widgets.ipynb", "subset.parquet"):
        (workplace / name).unlink(missing_ok=True)


def frame_of(page, cell_id):
    """The map's own frame in a cell, ready and drawn."""
    cell = shown_cell(page, cell_id)
    cell.frame_locator("iframe").locator("body[data-ready]").wait_for()
    return settled(cell.locator("iframe").element_handle().content_frame())


def look_at(frame, geometry, zoom):
    """Bring a location into the middle; where its centre is, in pixels from the map's corner."""
    place = list(geometry.centroid.coords[0])
    ask = f"([[x, y], zoom]) => {{ {MAP}.setView([y, x], zoom, {{animate: false}}); }}"
    frame.evaluate(ask, [place, zoom])
    return settled(frame).evaluate(POINT, place)


def drag(page, frame, low, high):
    """Drag the mouse from a point of the map to another, in pixels from its corner."""
    box = settled(frame).locator(".folium-map").bounding_box()  # as JupyterLab has scrolled it now
    page.mouse.move(box["x"] + low[0], box["y"] + low[1])
    page.mouse.down()
    page.mouse.move(box["x"] + high[0], box["y"] + high[1], steps=5)
    page.mouse.up()
    settled(frame)


def test_a_selection_in_lab_is_a_manifest_subset_in_python(opened, workplace, tmp_path):
    plan = temporal_views(made_tiles(), ViewRules(patch_size=256, gsd=20.0))
    frame = frame_of(opened, "map")
    shown = frame.locator("#wb-selected")
    expect(shown).to_contain_text(f"1 of {len(plan)}")  # Python had selected one
    assert frame.evaluate("() => coveragePlan.tools.ids()") == [plan["location_id"].iloc[0]]
    frame.locator("#wb-clear").click()
    frame.locator('[data-tool="rectangle"]').click()
    x, y = look_at(frame, plan.geometry.iloc[0], 9)
    low, high = (x - 40, y - 50), (x + 60, y + 40)
    drag(opened, frame, low, high)
    west, north = frame.evaluate(DEGREES, low)
    east, south = frame.evaluate(DEGREES, high)
    expected = select_locations(plan, bounds=(west, south, east, north))
    assert 0 < len(expected) < len(plan)
    expect(shown).to_contain_text(f"{len(expected)} of {len(plan)}")
    opened.screenshot(path=tmp_path / "selected.png")
    assert opened.evaluate(RUN_CELL, "subset")
    subset = gpd.read_parquet(workplace / "subset.parquet")
    assert subset["location_id"].tolist() == expected["location_id"].tolist()
    assert subset.crs == "EPSG:4326"


def test_a_click_in_lab_tells_why_a_date_is_missing(opened, tmp_path):
    plan = temporal_views(made_tiles(), ViewRules(patch_size=256, gsd=20.0))
    frame = frame_of(opened, "map")
    frame.wait_for_function("() => window.liveCards")
    x, y = look_at(frame, plan.geometry.iloc[0], 12)
    frame.locator(".folium-map").click(position={"x": x, "y": y})
    expect(frame.locator(".wb-rejected")).to_contain_text("1 planned date was not cut")
    expect(frame.locator(".wb-rejected td").nth(1)).to_have_text("cloud 42.0 % (limit 10 %)")
    opened.screenshot(path=tmp_path / "card.png")


def test_the_kernel_draws_each_view_of_a_live_map(opened, tmp_path):
    frame = frame_of(opened, "live")
    frame.wait_for_selector("body[data-drawn]")
    expect(frame.locator("#wb-state")).to_have_text("Drawn by the kernel for this view.")
    seen = int(frame.locator("#wb-shown").inner_text().replace(",", ""))
    before = int(frame.locator("body").get_attribute("data-drawn"))
    drag(opened, frame, (300, 450), (300, 200))
    start = time.perf_counter()
    until(opened, lambda: int(frame.locator("body").get_attribute("data-drawn")) > before)
    print(f"redrawn {time.perf_counter() - start:.2f} s after the map was let go")
    expect(frame.locator("#wb-shown")).not_to_have_text(f"{seen:,}")  # other locations are in view
    expect(frame.locator(".wb-pixels")).to_have_count(1)  # the last picture has gone
    opened.screenshot(path=tmp_path / "live.png")
