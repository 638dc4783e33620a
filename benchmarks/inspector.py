"""How fast the inspector opens and answers, what it weighs, how fast patches are ranked.

A page of 500 patches of 264 px (image, target, two models) is opened from disk in a headless
Chromium. A reaction is timed inside the page, from the key to the frame after it is painted: next
patch and zoom with four panes, next patch with boundary errors, the divider of a swipe. Ranking
is that of `workbench.evaluation.disagreement` on pairs of 128-px maps. The scene is made: six
classes as level sets of random fields, and two predictions whose boundaries wander.
"""

import shutil
import tempfile
from pathlib import Path

import numpy as np
from harness import measured, parse_scale, report
from scipy import ndimage

from workbench.evaluation.disagreement import disagreement, rank_patches
from workbench.viz import Inspector, InspectorPatch

SIZE, CLASSES, SCENE = 264, 6, 2112
OPEN_GOAL, REACT_GOAL, MB_GOAL, RANK_GOAL = 2.0, 50.0, 5.0, 2.0
COLOURS = ("#1b7837", "#7fbf7b", "#d9f0d3", "#3366cc", "#cc3311", "#eecc66")
LEGEND = [(f"class {k}", colour) for k, colour in enumerate(COLOURS)]
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]

OPENED = """document.addEventListener("inspector-drawn", () => {
  setTimeout(() => (window.openedAfter = performance.now()));
}, {once: true});"""
REACTIONS = """async (keys) => {
  const times = [];
  for (const key of keys) {
    const start = performance.now();
    const painted = new Promise((done) => document.addEventListener("inspector-drawn",
      () => {
        const port = new MessageChannel();
        port.port1.onmessage = done;
        port.port2.postMessage(0);
      }, {once: true}));
    document.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
    await painted;
    times.push(performance.now() - start);
    await new Promise((rest) => setTimeout(rest, 60));
  }
  return times;
}"""


def main() -> None:
    args = parse_scale(__doc__)
    presses = 40 if args.scale == "full" else 20
    scene = made_scene(np.random.default_rng(0))
    build = measured(lambda: Inspector(patches(scene, 500), LEGEND, gsd=10.0))
    mb = len(Inspector(patches(scene, 60), LEGEND, gsd=10.0).page()) / 1e6
    with tempfile.TemporaryDirectory() as folder:
        path = build.result.save(Path(folder) / "compare.html")
        whole = path.stat().st_size / 1e6
        print(f"500 patches of {SIZE} px packed in {build.seconds:.1f} s: {whole:.1f} MB")
        opened, reactions = in_browser(path, presses)
    pairs = pairs_of(scene, 5000, 128)
    ranking = measured(lambda: ranked(*pairs), repeats=2)
    worst = {name: float(np.percentile(times, 95)) for name, times in reactions.items()}
    print(f"opens in {opened:.2f} s; 60 patches weigh {mb:.2f} MB")
    for name, times in reactions.items():
        print(f"{name:32} median {np.median(times):5.1f} ms, 95 % below {worst[name]:5.1f} ms")
    print(f"5,000 pairs of 128 px ranked in {ranking.seconds:.2f} s")
    react = max(worst.values())
    report(
        "500 patches open in < 2 s and answer in 50 ms, 60 weigh <= 5 MB, 5,000 rank in < 2 s",
        opened < OPEN_GOAL
        and react <= REACT_GOAL
        and mb <= MB_GOAL
        and ranking.seconds < RANK_GOAL,
        peak_mb=max(build.peak_mb, ranking.peak_mb),
        open_seconds=opened,
        react_ms=react,
        mb_per_60=mb,
        rank_seconds=ranking.seconds,
        pack_seconds=build.seconds,
        **{f"{name.replace(' ', '_')}_ms": value for name, value in worst.items()},
    )


def made_scene(rng):
    """Image (S, S, 3) uint8 and the maps target, A, B (S, S) uint8 of one large made scene."""
    fields = [field(rng, 9.0) for _ in range(CLASSES)]
    target, *models = (
        np.argmax([f + amount * field(rng, width) for f in fields], axis=0).astype(np.uint8)
        for amount, width in ((0.0, 2.0), (0.25, 2.0), (0.25, 4.0))
    )
    colours = rng.uniform(40, 200, (CLASSES, 3))
    texture = np.stack([25 * field(rng, 1.0) for _ in range(3)], axis=-1)
    noise = rng.normal(0, 5, (*target.shape, 3))
    image = np.clip(colours[target] + texture + noise, 0, 255).astype(np.uint8)
    return image, target, *models


def field(rng, width):
    """A smooth random field (S, S) of unit spread; `width` in pixels."""
    smooth = ndimage.gaussian_filter(rng.standard_normal((SCENE, SCENE), np.float32), width)
    return smooth / smooth.std()


def patches(scene, count):
    """Windows of the scene at random places, one by one."""
    rng = np.random.default_rng(1)
    for k in range(count):
        y, x = rng.integers(0, SCENE - SIZE, 2)
        image, target, a, b = (layer[y : y + SIZE, x : x + SIZE] for layer in scene)
        yield InspectorPatch(f"32632-x{x:06d}-y{y:06d}-{k:03d}", image, target, a, b)


def pairs_of(scene, count, size):
    """Maps of two models, (count, size, size) each."""
    corners = np.random.default_rng(2).integers(0, SCENE - size, (count, 2))
    return [np.stack([maps[y : y + size, x : x + size] for y, x in corners]) for maps in scene[2:]]


def ranked(first, second):
    """The patches by disagreement."""
    names = [f"{k:05d}" for k in range(len(first))]
    return rank_patches(names, disagreement(first, second, classes=CLASSES))


def in_browser(path, presses):
    """Seconds until the first patch stands, and ms of each reaction by its kind."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 800}, offline=True)
        page.add_init_script(OPENED)
        page.goto(path.as_uri())
        page.wait_for_function("() => window.openedAfter !== undefined")
        opened = page.evaluate("() => window.openedAfter") / 1000
        page.wait_for_timeout(1500)  # thumbnails of the strip
        reactions = {"next patch": page.evaluate(REACTIONS, ["ArrowRight"] * presses)}
        reactions["zoom"] = page.evaluate(REACTIONS, ["+", "+", "-", "-"] * (presses // 4))
        page.evaluate(REACTIONS, ["b"])
        reactions["next patch with boundaries"] = page.evaluate(REACTIONS, ["ArrowRight"] * presses)
        page.evaluate(REACTIONS, ["b", "w"])
        reactions["swipe"] = page.evaluate(REACTIONS, [".", ","] * (presses // 2))
        browser.close()
    return opened, reactions


if __name__ == "__main__":
    main()
