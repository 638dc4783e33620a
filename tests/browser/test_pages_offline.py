"""Maps, reports and saved notebooks opened from disk in a browser without a network."""

import geopandas as gpd
import numpy as np
import pytest
import shapely
from playwright.sync_api import expect

from tests.browser.conftest import made_tiles, needs_chromium
from tests.browser.waiting import settled, wait_for_height
from workbench.extraction import ViewRules, temporal_views
from workbench.viz.maps_coverage import coverage_map

pytestmark = [pytest.mark.browser, pytest.mark.slow, needs_chromium]

MAP = "Object.values(window).find((value) => value instanceof L.Map)"


@pytest.fixture(scope="module")
def plan():
    return temporal_views(made_tiles(), ViewRules(patch_size=128, gsd=20.0))


@pytest.fixture
def coverage(plan, open_page, tmp_path):
    """The page of a coverage map, opened and drawn."""
    path = tmp_path / "coverage.html"
    path.write_text(coverage_map(plan, made_tiles()).page, encoding="utf-8")
    page = open_page(width=1000, height=640)
    page.goto(path.as_uri())
    page.wait_for_selector("body[data-ready]")
    return settled(page)


def test_every_place_gives_the_location_that_holds_it(coverage, plan):
    rng = np.random.default_rng(0)
    box = shapely.bounds(plan.geometry.to_numpy()[rng.integers(0, len(plan), 1000)])
    share = rng.uniform(-0.6, 1.6, (1000, 2))
    places = box[:, :2] + share * (box[:, 2:] - box[:, :2])
    ask = """(places) => places.map(([x, y]) => {
      const i = coveragePlan.at(y, x);
      return i < 0 ? null : coveragePlan.locationId(i);
    })"""
    answers = coverage.evaluate(ask, places.tolist())
    tree, ids = shapely.STRtree(plan.geometry.to_numpy()), plan["location_id"].to_numpy()
    for place, answer in zip(places, answers, strict=True):
        held_by = set(ids[tree.query(shapely.Point(place), predicate="intersects")])
        assert answer in (held_by or {None}), place
    assert 100 < sum(answer is not None for answer in answers) < 1000


def test_squares_are_drawn_at_their_exact_corners(coverage, plan):
    ask = """() => Array.from({length: coveragePlan.count},
      (_, i) => [coveragePlan.locationId(i), coveragePlan.corners(i, 0)])"""
    drawn = dict(coverage.evaluate(ask))
    assert set(drawn) == set(plan["location_id"])
    for name, square in zip(plan["location_id"], plan.geometry, strict=True):
        corners = np.array(drawn[name])[:, ::-1]  # Leaflet says latitude first
        expected = shapely.get_coordinates(square)[:4]
        ring = np.array([np.roll(corners, k, axis=0) for k in range(4)])
        assert np.abs(ring - expected).max(axis=(1, 2)).min() < 1e-7, name


def test_squares_across_the_antimeridian_are_found_on_both_sides(open_page, tmp_path):
    from dataclasses import replace

    moved = shapely.box(179.6, -17.3, 180.0, -17.0), shapely.box(-180.0, -17.3, -179.7, -17.0)
    tile = replace(made_tiles()[0], footprint=shapely.MultiPolygon(moved), crs="EPSG:32760")
    plan = temporal_views([tile], ViewRules(patch_size=128, gsd=20.0))
    assert len(plan) > 50
    path = tmp_path / "fiji.html"
    path.write_text(coverage_map(plan, [tile]).page, encoding="utf-8")
    page = open_page()
    page.goto(path.as_uri())
    page.wait_for_selector("body[data-ready]")
    for name, square in zip(plan["location_id"], plan.geometry, strict=True):
        point = square.representative_point()
        for turn in (0, 360, -360):
            ask = "([x, y]) => coveragePlan.locationId(coveragePlan.at(y, x))"
            assert page.evaluate(ask, [point.x + turn, point.y]) == name


def test_click_tells_dates_and_tiles_as_text(coverage, plan):
    longest = plan.iloc[0]
    centre = longest.geometry.centroid
    view = f"([x, y]) => {{ {MAP}.setView([y, x], 12, {{animate: false}}); }}"
    coverage.evaluate(view, [centre.x, centre.y])
    settled(coverage).locator(".folium-map").click(position={"x": 500, "y": 320})
    popup = coverage.locator(".wb-popup")
    popup.wait_for(state="visible")
    text = popup.inner_text()
    assert f"Location {longest['location_id']}" in text
    assert f"{longest['n_acquisitions']} dates" in text
    for tile in longest["tile_ids"]:  # named "<b>tile 00</b>" to see that it is text
        assert tile in text


def test_legend_switches_classes_and_counts_what_is_shown(coverage, plan):
    singles = int((plan["n_acquisitions"] == 1).sum())
    assert 0 < singles < len(plan)
    coverage.locator('input[data-series="0"]').uncheck()
    expect(coverage.locator("#wb-shown")).to_have_text(f"{len(plan) - singles:,}")


@pytest.mark.parametrize("width", [480, 800, 1200])
def test_boxes_stay_within_the_map_and_apart(run, open_page, width, tmp_path):
    for name in ("tile_overlap", "temporal_views"):
        page = open_page(width=width, height=600)
        page.goto((run / "maps" / f"{name}.html").as_uri())
        page.wait_for_selector("body[data-ready]")
        settled(page).screenshot(path=tmp_path / f"{name}-{width}.png")
        boxes = [
            page.locator(css).bounding_box()
            for css in (
                ".wb-title",
                ".wb-legend",
                ".leaflet-control-layers",
                ".leaflet-control-zoom",
            )
        ]
        for box in boxes:
            assert box["x"] >= 0
            assert box["y"] >= 0
            assert box["x"] + box["width"] <= width
            assert box["y"] + box["height"] <= 600
        shapes = [
            shapely.box(b["x"], b["y"], b["x"] + b["width"], b["y"] + b["height"]) for b in boxes
        ]
        apart = shapely.STRtree(shapes).query(shapes, predicate="overlaps")
        assert apart.size == 0, name


BLANK = """(views) => views.filter((view) => {
    const seen = view.querySelector("iframe, img");
    return !seen || (seen.tagName === "IMG" ? !seen.naturalWidth : seen.clientHeight < 100);
}).length"""


def test_saved_notebooks_show_every_figure(run, open_page, tmp_path):
    without = []
    for path in sorted((run / "notebooks").glob("*.html")):
        page = open_page()
        page.goto(path.as_uri())
        frames = page.locator(".wb-view iframe")
        for k in range(frames.count()):
            frames.nth(k).scroll_into_view_if_needed()
            frames.nth(k).element_handle().content_frame().wait_for_selector("body[data-ready]")
            wait_for_height(frames.nth(k), 100)
            settled(page).screenshot(path=tmp_path / f"{path.stem}-{k}.png")
        views = page.locator(".wb-view")
        if views.count() == 0:
            without.append(path.stem)
        assert views.evaluate_all(BLANK) == 0, path.stem
        page.close()  # nine notebooks with all their frames would slow each other down
    assert without == ["00_start_here"]


def test_report_opens_and_its_links_lead_somewhere(run, open_page, tmp_path):
    page = open_page()
    page.goto((run / "index.html").as_uri())
    page.screenshot(path=tmp_path / "index.png", full_page=True)
    targets = page.eval_on_selector_all(
        "a[href]", "(links) => links.map((link) => link.getAttribute('href'))"
    )
    local = [target for target in targets if not target.startswith(("http", "#", "mailto"))]
    assert local
    assert not [target for target in local if not (run / target.partition("#")[0]).exists()]


def test_the_manifest_opens_in_geopandas(run):
    plan = gpd.read_parquet(run / "manifest.parquet")
    assert plan.crs == "EPSG:4326"
    assert plan["n_acquisitions"].max() >= 2
