"""The map of what became of planned locations, opened from disk in a browser without a network."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import needs_chromium
from tests.browser.waiting import settled

pytestmark = [pytest.mark.browser, pytest.mark.slow, needs_chromium]

MAP = "Object.values(window).find((value) => value instanceof L.Map)"
RINGED = f"""() => {{
  let count = 0;
  {MAP}.eachLayer((layer) => {{ count += layer.feature && layer.options.weight === 3 ? 1 : 0; }});
  return count;
}}"""
SQUARES = f"""() => {{
  const found = [];
  {MAP}.eachLayer((layer) => {{ if (layer.feature) found.push(layer.feature.properties); }});
  return found.filter((square) => square.reasons); // the land is a layer too
}}"""


@pytest.fixture
def fates(run, open_page):
    page = open_page(width=1000, height=640)
    page.goto((run / "maps" / "patch_fates.html").as_uri())
    page.wait_for_selector("body[data-ready]")
    return settled(page)


def test_a_reason_rings_its_locations_and_a_second_click_takes_the_rings_away(fates):
    clouded = [square for square in fates.evaluate(SQUARES) if "cloud" in square["reasons"]]
    assert clouded
    choice = fates.locator('input[data-reason="cloud"]')
    choice.click()
    assert settled(fates).evaluate(RINGED) == len(clouded)
    choice.click()
    assert settled(fates).evaluate(RINGED) == 0
    expect(choice).not_to_be_checked()


def test_a_click_tells_what_became_of_each_date(fates, tmp_path):
    fates.locator('input[data-reason="cloud"]').click()
    at = settled(fates).evaluate(
        f"""() => {{
          let place = null;
          {MAP}.eachLayer((layer) => {{
            if (!layer.feature || layer.options.weight !== 3) return;
            const point = {MAP}.latLngToContainerPoint(layer.getBounds().getCenter());
            if (point.x > 60 && point.x < 600 && point.y > 60 && point.y < 500) place = point;
          }});
          return [place.x, place.y];
        }}"""
    )
    fates.locator(".folium-map").click(position={"x": at[0], "y": at[1]})
    popup = fates.locator(".wb-popup")
    popup.wait_for(state="visible")
    fates.screenshot(path=tmp_path / "popup.png")
    assert "cloud" in popup.inner_text()
    assert "(limit 10 %)" in popup.inner_text()


def test_the_legend_leads_to_every_group_and_to_all(fates):
    views = fates.locator("input[data-view]")
    seen = set()
    for k in range(views.count()):
        views.nth(k).click()
        seen.add(
            tuple(settled(fates).evaluate(f"() => {MAP}.getBounds().toBBoxString()").split(","))
        )
    assert len(seen) == views.count() >= 4


@pytest.mark.parametrize("width", [480, 800, 1200])
def test_boxes_stay_within_the_map(run, open_page, width, tmp_path):
    page = open_page(width=width, height=600)
    page.goto((run / "maps" / "patch_fates.html").as_uri())
    page.wait_for_selector("body[data-ready]")
    settled(page).screenshot(path=tmp_path / f"fates-{width}.png")
    for css in (".wb-title", ".wb-legend", ".leaflet-control-zoom"):
        box = page.locator(css).bounding_box()
        assert box["x"] >= 0
        assert box["y"] >= 0
        assert box["x"] + box["width"] <= width
        assert box["y"] + box["height"] <= 600
