"""Coverage maps and the overlap graph, opened from disk without a network: click, select, slide."""

import base64
import json
import re
from datetime import timedelta
from functools import partial

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import shapely
from playwright.sync_api import expect

from tests.browser.conftest import made_tiles, needs_chromium
from tests.browser.waiting import settled, until
from workbench.extraction import ViewRules, overlap_graph, temporal_views
from workbench.viz import assets
from workbench.viz.maps import (
    MapWidget,
    coverage_map,
    graph_map,
    read_selection,
    select_locations,
)

pytestmark = [pytest.mark.browser, pytest.mark.slow, needs_chromium]

MAP = "Object.values(window).find((value) => value instanceof L.Map)"
SHOWN = "() => Array.from(coveragePlan.shown(), (k, i) => (k < 0 ? null : coveragePlan.locationId(i))).filter((x) => x)"  # noqa: E501


@pytest.fixture(scope="module")
def plan():
    return temporal_views(made_tiles(), ViewRules(patch_size=256, gsd=20.0))


@pytest.fixture(scope="module")
def values(plan):
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "score": rng.uniform(0, 1, len(plan)).round(3),
            "<b>part</b>": rng.choice(["<i>train</i>", "test"], len(plan)),
        },
        index=plan["location_id"],
    )
    table.iloc[::7, 0] = np.nan
    return table


@pytest.fixture(params=["features", "packed"])
def page(request, plan, values, open_page, tmp_path):
    view = coverage_map(
        plan,
        made_tiles(),
        colour_by=["n_acquisitions", *values.columns],
        values=values,
        units={"score": "mIoU"},
        graph=overlap_graph(made_tiles()),
        tier=request.param,
    )
    page = open_page(width=1000, height=680)
    page.goto(view.save(tmp_path / "coverage.html").as_uri())
    page.wait_for_selector("body[data-ready]")
    return settled(page)


def tells(page, css, number):
    """Wait until an element begins with a number."""
    expect(page.locator(css)).to_have_text(re.compile(rf"^{number:,}\b"))


def shows(page, location_ids):
    """Wait until the page shows these locations and no others, and says how many."""
    until(page, lambda: set(page.evaluate(SHOWN)) == location_ids, f"{len(location_ids)} shown")
    tells(page, "#wb-shown", len(location_ids))


def look_at(page, geometry, zoom=11):
    centre = geometry.centroid
    ask = f"([x, y, z]) => {{ {MAP}.setView([y, x], z, {{animate: false}}); }}"
    at = f"() => [{MAP}.getCenter().lng, {MAP}.getCenter().lat, {MAP}.getZoom()]"

    def is_there():  # a page that is still laid out may move the map once more
        page.evaluate(ask, [centre.x, centre.y, zoom])
        found = settled(page).evaluate(at)
        return found == pytest.approx([centre.x, centre.y, zoom], abs=0.01)

    until(page, is_there)
    box = page.locator(".folium-map").bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def colour_at(page, x, y):
    """Colour of a pixel of the screen, as red, green, blue."""
    import io

    from PIL import Image

    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    return np.array(picture.getpixel((round(x), round(y))))


def test_squares_wear_the_colour_of_the_legend(page, plan, values):
    page.select_option("#wb-colour", index=2)
    for part in ("<i>train</i>", "test"):
        location = values.index[values["<b>part</b>"] == part][3]
        square = plan.set_index("location_id").geometry[location]
        x, y = look_at(page, square, 12)
        row = page.locator('[data-colouring="2"] .wb-row', has_text=part)
        swatch = row.locator("i").evaluate("(e) => getComputedStyle(e).backgroundColor")
        wanted = np.array([int(v) for v in swatch[4:-1].split(",")])
        until(page, partial(wears, page, x, y, wanted), f"{part} is {wanted}")  # tiles fade in
        assert wears(page, x, y, wanted)


def wears(page, x, y, wanted):
    return np.abs(colour_at(page, x, y) - wanted).max() < 45  # features are translucent


def test_a_click_tells_values_as_text(page, plan, values):
    square = plan.iloc[1]
    page.mouse.click(*look_at(page, square.geometry))
    popup = page.locator(".wb-popup")
    popup.wait_for(state="visible")
    text = popup.inner_text()  # written whole before it is shown
    assert f"Location {square['location_id']}" in text
    assert f"score (mIoU): {values['score'].iloc[1]:.3f}".rstrip("0") in text
    assert f"<b>part</b>: {values['<b>part</b>'].iloc[1]}" in text


def test_the_time_slider_shows_what_was_acquired_in_between(page, plan):
    tiles = {tile.id: tile.acquired for tile in made_tiles()}
    first = min(tiles.values())
    for low, high in ((0, 10), (10, 20), (40, 48)):
        ask = """([a, b]) => {
          const [from, to] = ["wb-from", "wb-to"].map((id) => document.getElementById(id));
          const day = Number(from.min); from.value = day + a; to.value = day + b;
          from.dispatchEvent(new Event("input")); }"""
        page.evaluate(ask, [low, high])
        days = [first.date() + timedelta(days=n) for n in (low, high)]
        expected = {
            row.location_id
            for row in plan.itertuples()
            if any(days[0] <= tiles[tile].date() <= days[1] for tile in row.tile_ids)
        }
        shows(page, expected)
    page.locator("#wb-all").click()
    tells(page, "#wb-shown", len(plan))


def test_legends_filter_together_and_show_all_brings_all_back(page, plan, values):
    page.locator('[data-colouring="0"] input[data-series="0"]').uncheck()
    page.select_option("#wb-colour", index=2)
    page.locator('[data-colouring="2"] .wb-row', has_text="test").locator("input").uncheck()
    train = values["<b>part</b>"].to_numpy() == "<i>train</i>"
    expected = set(plan["location_id"][train & (plan["n_acquisitions"] > 1).to_numpy()])
    shows(page, expected)
    page.locator("#wb-all").click()
    tells(page, "#wb-shown", len(plan))


def drag(page, points):
    page.mouse.move(*points[0])
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*point, steps=4)
    page.mouse.up()
    settled(page)


def degrees(page, x, y):
    top = page.locator(".folium-map").bounding_box()["y"]
    ask = (
        f"([x, y]) => {{ const p = {MAP}.containerPointToLatLng([x, y]); return [p.lng, p.lat]; }}"
    )
    return page.evaluate(ask, [x, y - top])


def test_a_rectangle_selects_what_python_selects_and_is_saved(page, plan, tmp_path):
    page.locator('[data-tool="rectangle"]').click()
    x, y = look_at(page, plan.iloc[0].geometry, 9)
    drag(page, [(x - 60, y - 70), (x + 90, y + 50)])
    west, north = degrees(page, x - 60, y - 70)
    east, south = degrees(page, x + 90, y + 50)
    expected = set(select_locations(plan, bounds=(west, south, east, north))["location_id"])
    assert 0 < len(expected) < len(plan)
    tells(page, "#wb-selected", len(expected))
    with page.expect_download() as download:
        page.locator("#wb-save").click()
    path = tmp_path / "selection.json"
    download.value.save_as(path)
    assert set(read_selection(path)) == expected
    drag(page, [(x - 60, y - 70), (x, y + 50)])  # adds nothing that was not there
    tells(page, "#wb-selected", len(expected))
    page.locator("#wb-clear").click()
    expect(page.locator("#wb-selected")).to_be_hidden()


def test_a_lasso_and_clicks_select(page, plan):
    page.locator('[data-tool="lasso"]').click()
    x, y = look_at(page, plan.iloc[0].geometry, 9)
    corners = [(x - 80, y - 60), (x + 80, y - 60), (x, y + 80)]
    drag(page, corners)
    ring = shapely.Polygon([degrees(page, *corner) for corner in corners])
    expected = set(select_locations(plan, shape=ring)["location_id"])
    expect(page.locator("#wb-selected")).to_have_text(re.compile(r"^\d"))
    before = int(page.locator("#wb-selected").inner_text().split()[0])
    assert before == pytest.approx(len(expected), abs=2)
    page.locator('[data-tool="click"]').click()
    page.mouse.click(*look_at(page, plan.iloc[0].geometry, 11))
    tells(page, "#wb-selected", before - 1)
    page.keyboard.press("Escape")
    page.mouse.click(*look_at(page, plan.iloc[0].geometry, 11))
    page.locator(".wb-popup").wait_for(state="visible")


def test_outlines_and_graph_are_layers(page):
    for k in range(2):
        box = page.locator(".leaflet-control-layers-overlays input").nth(k)
        assert not box.is_checked()
        box.check()
    page.locator(".leaflet-lines-pane canvas").first.wait_for(state="attached")


HOST = """<!DOCTYPE html><body><div id="here"></div><script type="module">
const state = STATE, listeners = {};
const model = {
  get: (key) => state[key], set: (key, value) => { state[key] = value; },
  save_changes: () => {}, send: (message) => (window.sent = [...(window.sent || []), message]),
  on: (name, call) => (listeners[name] = call), off: () => {},
};
WIDGET
render({ model, el: document.getElementById("here") });
window.state = state;
window.answer = (message) => listeners["msg:custom"](message, []);
window.setRows = (rows) => { state.rows = rows; listeners["change:rows"](); };
</script></body>"""


def test_a_selection_in_the_widget_is_a_table_in_python(plan, open_page, tmp_path):
    widget = MapWidget(coverage_map(plan, made_tiles()), plan)
    state = {key: getattr(widget, key) for key in ("page", "title", "height", "rows")}
    state["answers"] = ["live-cards"]
    script = assets.script("map_widget.js").replace("export default { render };", "")
    text = json.dumps(state).replace("</", "<\\/")
    host = tmp_path / "host.html"
    host.write_text(HOST.replace("WIDGET", script).replace("STATE", text), encoding="utf-8")
    page = open_page(width=1000, height=700)
    page.goto(host.as_uri())
    frame = page.locator("iframe").element_handle().content_frame()
    frame.wait_for_selector("body[data-ready]")
    frame.evaluate("() => coveragePlan.tools.within([[40, 0], [40, 13.0], [60, 13.0], [60, 0]])")
    page.wait_for_function("() => window.state.rows !== ''")
    widget.rows = page.evaluate("() => window.state.rows")
    expected = select_locations(plan, bounds=(0, 40, 13.0, 60))
    assert widget.selected["location_id"].tolist() == expected["location_id"].tolist()
    widget.select([plan["location_id"][0]])
    page.evaluate("(rows) => window.setRows(rows)", widget.rows)
    frame.wait_for_function("() => coveragePlan.tools.ids().length === 1")
    assert frame.evaluate("() => coveragePlan.tools.ids()") == [plan["location_id"][0]]


def test_a_click_in_the_widget_asks_python_for_pictures(plan, open_page, tmp_path):
    view = coverage_map(plan, made_tiles())
    state = {"page": view.page, "title": "t", "height": 640, "rows": "", "answers": ["live-cards"]}
    script = assets.script("map_widget.js").replace("export default { render };", "")
    host = tmp_path / "host.html"
    text = json.dumps(state).replace("</", "<\\/")
    host.write_text(HOST.replace("WIDGET", script).replace("STATE", text), encoding="utf-8")
    page = open_page(width=1000, height=700)
    page.goto(host.as_uri())
    frame = page.locator("iframe").element_handle().content_frame()
    frame.wait_for_selector("body[data-ready]")
    centre = plan.iloc[0].geometry.centroid
    own = "window[Object.keys(window).find((name) => name.startsWith('map_'))]"  # sandboxed
    view_there = f"([x, y]) => {{ {own}.setView([y, x], 11, {{animate: false}}); }}"
    frame.wait_for_function("() => window.liveCards")  # the page was told that Python listens
    settled(frame).evaluate(view_there, [centre.x, centre.y])
    box = settled(frame).locator(".folium-map").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_function("() => (window.sent || []).some((m) => m.kind === 'card')")
    asked = page.evaluate("() => window.sent.find((m) => m.kind === 'card')")
    assert asked["id"] == plan["location_id"][0]
    dot = base64.b64encode(b"").decode()
    date = {"date": "2022-05-01", "tile": "<b>t</b>", "image": dot, "spectrum": [0.1, 0.3]}
    card = {"dates": [date], "of": 3}
    about = {"nm": [500.0, 900.0], "units": "reflectance", "told": "how it was made"}
    page.evaluate(
        "(message) => window.answer(message)",
        {"kind": "card", "id": asked["id"], "card": card, "about": about},
    )
    frame.locator(".wb-card svg path").first.wait_for(state="attached")
    expect(frame.locator(".wb-card")).to_contain_text("1 of 3 stored dates. how it was made")


@pytest.fixture
def graph_page(open_page, tmp_path):
    tiles = made_tiles()
    path = tmp_path / "graph.html"
    path.write_text(graph_map(tiles, overlap_graph(tiles)).page, encoding="utf-8")
    page = open_page(width=1000, height=680)
    page.goto(path.as_uri())
    page.wait_for_selector("body[data-ready]")
    return settled(page)


def test_the_histogram_selects_tiles_by_degree(graph_page):
    graph = overlap_graph(made_tiles())
    degrees_of = dict(graph.degree)
    assert graph_page.evaluate("() => Array.from(graphPlan.degree)") == [
        degrees_of[tile.id] for tile in made_tiles()
    ]
    top = max(degrees_of.values())
    graph_page.fill("#wb-low", str(top))
    graph_page.press("#wb-low", "Tab")
    tells(graph_page, "#wb-shown", sum(d == top for d in degrees_of.values()))
    graph_page.locator("#wb-all").click()
    tells(graph_page, "#wb-shown", len(degrees_of))
    bars = graph_page.locator("#wb-degrees").bounding_box()
    y = bars["y"] + 20
    drag(graph_page, [(bars["x"] + 1, y), (bars["x"] + bars["width"] / (top + 1) * 0.9, y)])
    tells(graph_page, "#wb-shown", sum(d == 0 for d in degrees_of.values()))


def test_a_click_on_a_tile_draws_its_component(graph_page):
    tiles, graph = made_tiles(), overlap_graph(made_tiles())
    busiest = max(range(len(tiles)), key=lambda k: graph.degree[tiles[k].id])
    lat, lon = graph_page.evaluate("(i) => graphPlan.placeOf(i)", busiest)
    x, y = look_at(graph_page, shapely.Point(lon, lat), 12)
    graph_page.mouse.click(x, y)
    box = graph_page.locator(".wb-component")
    box.wait_for(state="visible")
    members = nx.node_connected_component(graph, tiles[busiest].id)
    expect(box.locator("circle")).to_have_count(len(members))
    expect(box).to_contain_text(f"{len(members)} tiles")
    expect(box).to_contain_text(tiles[busiest].id)  # "<b>tile 00</b>" as text
