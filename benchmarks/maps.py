"""A map of 415,153 locations: how fast it is made, opens and pans; and the overlap graph of tiles.

Simulated: locations planned over a campaign of bare footprints (`simulated_footprints`), as many
as SpectralEarth has. The page is opened from disk in a headless Chromium without a network or a
GPU. Ready means that every square is unpacked, projected and drawn. Frames are counted while the
map is dragged by several hundred pixels at the zoom of the whole world. Clicks at 1,000 random
places, most of them within a square or just beside one, are held against the brute force: is the
place, projected into each square's own zone, between its edges? The peer is folium with a rectangle
an object for each location, at a size where that still opens. The overlap graph is drawn for 11,636
tiles.
"""

import shutil
import tempfile
import time
from pathlib import Path

import folium
import numpy as np
from harness import measured, parse_scale, report
from pyproj import Transformer

from workbench.extraction import ViewRules, overlap_graph, temporal_views
from workbench.synthetic.footprints import simulated_footprints
from workbench.viz.maps import coverage_map, graph_map

LOCATIONS, TILES, MORE_TILES = 415_153, 11_636, 14_500
PEER = {"quick": 5_000, "full": 20_000}
CLICKS = 1_000
BUILD_GOAL, MB_GOAL, READY_GOAL, FPS_GOAL, GRAPH_GOAL = 10.0, 5.0, 4.0, 20.0, 5.0
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
MAP = "Object.values(window).find((value) => value instanceof L.Map)"

READY = """new MutationObserver(() => {
  if (document.body && document.body.dataset.ready && window.readyAfter === undefined)
    requestAnimationFrame(() => (window.readyAfter = performance.now()));
}).observe(document, {subtree: true, childList: true, attributes: true});"""
FRAMES = """(seconds) => new Promise((done) => {
  const times = [performance.now()];
  const frame = (now) => {
    times.push(now);
    if (now - times[0] < 1000 * seconds) requestAnimationFrame(frame);
    else done(times.slice(1));
  };
  requestAnimationFrame(frame);
})"""
ANSWERS = """(places) => places.map(([x, y]) => {
  const i = coveragePlan.at(y, x);
  return i < 0 ? null : coveragePlan.locationId(i);
})"""


def main() -> None:
    args = parse_scale(__doc__, ("--seed", {"type": int, "default": 0}))
    tiles = simulated_footprints(MORE_TILES, seed=args.seed)
    plan = temporal_views(tiles, ViewRules(128, 30.0))
    plan = plan.sample(LOCATIONS, random_state=args.seed).sort_index()
    campaign = tiles[:TILES]
    print(f"{len(plan):,} locations of {len(tiles):,} simulated tiles")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ours = measured(lambda: coverage_map(plan, tiles).save(folder / "coverage.html"))
        html_mb = ours.result.stat().st_size / 1e6
        print(f"coverage map made and saved in {ours.seconds:.1f} s, {html_mb:.1f} MB")
        rng = np.random.default_rng(args.seed)
        places = random_places(plan, rng)
        held = measured(lambda: holding(plan, places))
        page = in_browser(ours.result, places)
        wrong = sum(
            a not in (h or {None}) for a, h in zip(page["answers"], held.result, strict=True)
        )
        inside = sum(bool(h) for h in held.result)
        print(f"ready in {page['ready']:.2f} s, {page['fps']:.0f} frames/s while panning, "
              f"{wrong} of {CLICKS:,} clicks wrong ({inside} within a square)")  # fmt: skip
        drawn = measured(lambda: graph_seconds(campaign, folder / "graph.html"))
        graph_page = in_browser(folder / "graph.html", pan=False)
        print(f"graph of {TILES:,} tiles and {drawn.result:,} overlaps drawn in "
              f"{drawn.seconds:.1f} s, opens in {graph_page['ready']:.2f} s")  # fmt: skip
        count = PEER[args.scale]
        peer = measured(lambda: plain_folium(plan.head(count), folder / "folium.html"))
        folium_mb = peer.result.stat().st_size / 1e6
        folium_page = in_browser(peer.result, offline=False)
        scaled = folium_mb * LOCATIONS / count
        print(f"plain folium, {count:,} rectangles: {peer.seconds:.1f} s, {folium_mb:.1f} MB "
              f"({scaled:.0f} MB at {LOCATIONS:,}), {folium_page['fps']:.0f} frames/s")  # fmt: skip
    report(
        "415,153 locations in < 10 s and < 5 MB, ready in < 4 s, >= 20 frames/s, every click right",
        ours.seconds < BUILD_GOAL
        and html_mb < MB_GOAL
        and page["ready"] < READY_GOAL
        and page["fps"] >= FPS_GOAL
        and wrong == 0
        and drawn.seconds < GRAPH_GOAL,
        peak_mb=max(ours.peak_mb, drawn.peak_mb),
        build_seconds=ours.seconds,
        html_mb=html_mb,
        ready_seconds=page["ready"],
        pan_fps=page["fps"],
        worst_frame_ms=page["worst_ms"],
        folium_html_mb=folium_mb,
        folium_locations=count,
        folium_pan_fps=folium_page["fps"],
        clicks_wrong=wrong,
        clicks_inside=inside,
        graph_seconds=drawn.seconds,
        graph_ready_seconds=graph_page["ready"],
    )


def random_places(plan, rng):
    """(n, 2) longitude, latitude: within squares drawn by lot, or up to half a side beside them."""
    rows = plan.iloc[rng.integers(0, len(plan), CLICKS)]
    places = []
    for row, share in zip(rows.itertuples(), rng.uniform(-0.5, 1.5, (CLICKS, 2)), strict=True):
        x = row.xmin + share[0] * (row.xmax - row.xmin)
        y = row.ymin + share[1] * (row.ymax - row.ymin)
        places.append(to_degrees(row.crs).transform(x, y))
    return np.array(places)


def holding(plan, places):
    """Ids of the squares that hold each place, found by trying every square of every zone."""
    held = [set() for _ in places]
    for crs, squares in plan.groupby("crs", sort=False):
        x, y = to_degrees(crs).transform(*places.T, direction="INVERSE")
        low, high = squares[["xmin", "ymin"]].to_numpy(), squares[["xmax", "ymax"]].to_numpy()
        ids = squares["location_id"].to_numpy()
        for k in np.flatnonzero(np.isfinite(x) & np.isfinite(y)):
            inside = (low <= (x[k], y[k])).all(axis=1) & (high >= (x[k], y[k])).all(axis=1)
            held[k] |= set(ids[inside])
    return held


def to_degrees(crs, known={}):  # noqa: B006 - transformers are made once
    if crs not in known:
        known[crs] = Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    return known[crs]


def graph_seconds(tiles, path):
    """Draw the overlap graph of a campaign, its search included; give the number of edges."""
    graph = overlap_graph(tiles)
    path.write_text(graph_map(tiles, graph).page, encoding="utf-8")
    return graph.number_of_edges()


def plain_folium(plan, path):
    """What one writes first: a rectangle for each location."""
    canvas = folium.Map(tiles=None, prefer_canvas=True)
    for xmin, ymin, xmax, ymax in plan.geometry.bounds.to_numpy():
        folium.Rectangle([[ymin, xmin], [ymax, xmax]], weight=1, fill=True).add_to(canvas)
    canvas.save(path)
    return path


def in_browser(path, places=(), *, offline=True, pan=True):
    """Open a page; seconds until it is ready, frames while it is dragged, answers to clicks."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        if not offline:
            serve_libraries(page)
        page.add_init_script(READY if offline else "")
        start = time.perf_counter()
        page.goto(path.as_uri())
        ready = time.perf_counter() - start
        if offline:
            page.wait_for_function("() => window.readyAfter !== undefined")
            ready = page.evaluate("() => window.readyAfter") / 1000
        page.wait_for_timeout(1000)
        answers = page.evaluate(ANSWERS, np.asarray(places).tolist()) if len(places) else []
        found = {"ready": ready, "answers": answers} | (dragged(page) if pan else {})
        browser.close()
    return found


def dragged(page, seconds=2.5):
    """Frames a second and the longest frame, ms, while the map is dragged to and fro."""
    page.evaluate(f"""() => {{
      {MAP}.setView([10, 0], 2.5, {{animate: false}});
      const map = {MAP}, from = map.getPixelBounds().min;
      [window.moved, window.farthest] = [0, 0];
      map.on("move", () => {{
        window.moved++;
        window.farthest = Math.max(window.farthest, from.distanceTo(map.getPixelBounds().min));
      }});
    }}""")
    page.wait_for_timeout(700)
    page.evaluate(f"(s) => {{ window.frames_ = ({FRAMES})(s); }}", seconds)
    page.mouse.move(640, 400)
    page.mouse.down()
    until, k = time.perf_counter() + seconds, 0
    while time.perf_counter() < until:
        page.mouse.move(640 + 560 * np.sin(k / 12), 400 + 250 * np.sin(k / 17))
        k += 1
    page.mouse.up()
    steps = np.diff(page.evaluate("() => window.frames_"))
    moved, farthest = page.evaluate("() => [window.moved, window.farthest]")
    if moved < 20 or farthest < 200:
        raise RuntimeError(f"Dragged, the map moved {moved} times and {farthest:.0f} pixels only.")
    return {"fps": 1000 * len(steps) / steps.sum(), "worst_ms": float(steps.max())}


def serve_libraries(page):
    """Give plain folium the Leaflet and jQuery it would fetch; all else it asks for is empty."""
    import xstatic.pkg.jquery
    import xstatic.pkg.leaflet

    leaflet = Path(xstatic.pkg.leaflet.BASE_DIR)
    known = {
        "leaflet.js": leaflet / "leaflet.js",
        "leaflet.css": leaflet / "leaflet.css",
        "jquery": Path(xstatic.pkg.jquery.BASE_DIR) / "jquery.min.js",
    }

    def answer(route):
        url = route.request.url
        if url.startswith("file:"):
            return route.continue_()
        found = next((file for name, file in known.items() if name in url.rsplit("/", 1)[-1]), None)
        return route.fulfill(body="" if found is None else found.read_bytes())

    page.route("**/*", answer)


if __name__ == "__main__":
    main()
