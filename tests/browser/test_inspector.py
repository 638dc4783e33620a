"""The inspector in a browser without a network: saved to disk, in JupyterLab live and untrusted."""

import base64
import io
import re

import nbformat
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect
from scipy import ndimage

from tests.browser.conftest import needs_chromium
from tests.browser.test_notebooks_in_lab import KERNEL, RUN_ALL, open_notebook, shown_cell
from tests.browser.waiting import settled, until, wait_for_height
from workbench.errors import VoteError
from workbench.viz import Inspector, InspectorPatch
from workbench.viz.votes import read_votes

pytestmark = [pytest.mark.browser, pytest.mark.slow, needs_chromium]

CLASSES = [("forest", "#228833"), ("water", "#3366cc"), ("crops", "#eecc66")]
HOSTILE = '</script><img src=x onerror="alert(1)">'
DRAWN = """(key) => new Promise((done) => {
  const told = () => done(document.body.dataset.patch);
  document.addEventListener("inspector-drawn", told, {once: true});
  document.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
})"""
CANVAS = "(n) => document.querySelectorAll('#panes canvas')[n].toDataURL('image/png')"
SHOWN = """async (id) => {
  const {set, order, layers} = inspector;
  inspector.go(order.findIndex((k) => set.patches[k].id === id));
  while (inspector.patch?.meta.id !== id) await new Promise((go) => setTimeout(go, 20));
  const {patch} = inspector, look = {...inspector.look(), tolerance: 2};
  return {
    maps: ["target", "a", "b"].map((name) => Array.from(patch.ids[name])),
    counts: ["a", "b"].map((model) => layers.counts(patch, model, look)),
    spectrum: patch.spectra && Array.from(patch.spectra.at(101)),
  };
}"""
MOVED = """(old) => {
  const { view, probe } = inspector.state;
  return (view.x !== old.x || view.y !== old.y) && probe === null;
}"""
PLACED = """() => {
  const {clientWidth, clientHeight} = document.querySelector(".pane");
  return placed(inspector.state.view, inspector.patch, clientWidth, clientHeight);
}"""
OVERLAY_KEYS = {"difference": "both wrong", "boundary": "missed boundary", "outline": "target"}
UNNAMED = """() => {
  const kinds = "button, select, input, canvas[role=img], [role=slider]";
  const all = [...document.querySelectorAll(kinds)];
  const named = (e) => e.ariaLabel || e.title || e.textContent.trim() || e.closest("label");
  return all.filter((e) => !named(e)).length;
}"""


def made_maps(rng, shape=(60, 48), classes=3):
    fields = [ndimage.gaussian_filter(rng.standard_normal(shape), 4) for _ in range(classes)]
    wander = [ndimage.gaussian_filter(rng.standard_normal(shape), 3) for _ in range(classes)]
    target = np.argmax(fields, axis=0)
    return target, np.roll(target, 1, axis=1), np.argmax(np.add(fields, 0.6 * np.array(wander)), 0)


def made_patches(count=30):
    for k in range(count):
        rng = np.random.default_rng(k)
        target, a, b = made_maps(rng)
        if k % 4 == 1:  # some patches without water
            target, a, b = (np.where(ids == 1, 0, ids) for ids in (target, a, b))
        target = target.copy()
        target[:6, :20] = 3
        image = rng.integers(0, 256, (*target.shape, 3), dtype=np.uint8)
        bands = rng.random((20, *target.shape)) if k < 2 else None
        name = HOSTILE if k == 3 else f"patch {k:02d}"
        scores = {"boundary": float("nan") if k == 5 else float(np.sin(k))}
        yield InspectorPatch(name, image, target, a, b, scores, bands)


@pytest.fixture(scope="module")
def inspector():
    names = ("ResNet <i>18</i>", "ViT")
    return Inspector(made_patches(), CLASSES, gsd=30.0, names=names, title="Tied <b>models</b>")


@pytest.fixture
def page(inspector, open_page, tmp_path):
    """The saved page, opened and drawn."""
    shown = open_page(width=1200, height=800)
    shown.goto(inspector.save(tmp_path / "compare.html").as_uri())
    shown.wait_for_selector("body[data-ready]")
    return settled(shown)


def pixels(page, pane):
    png = base64.b64decode(page.evaluate(CANVAS, pane).partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def edges(ids, target):
    """Pixels with another class to the right or below, both labelled; by the definition."""
    found = np.zeros(ids.shape, bool)
    for y, x in np.ndindex(*ids.shape):
        for v, u in ((y, x + 1), (y + 1, x)):
            if v < ids.shape[0] and u < ids.shape[1] and target[y, x] < 3 and target[v, u] < 3:
                found[y, x] |= ids[y, x] != ids[v, u]
    return found


def test_the_page_holds_the_maps_bit_for_bit_and_counts_boundaries_by_definition(page):
    for patch in list(made_patches())[:4]:
        ids = page.evaluate(SHOWN, patch.id)
        for got, given in zip(ids["maps"], (patch.target, patch.a, patch.b), strict=True):
            assert np.array_equal(np.reshape(got, given.shape), given)
        theirs = edges(patch.target, patch.target)
        for counts, model in zip(ids["counts"], (patch.a, patch.b), strict=True):
            ours = edges(model, patch.target)
            away = ndimage.distance_transform_edt(~theirs)[ours]
            missed = (ndimage.distance_transform_edt(~ours)[theirs] > 2).sum()
            assert counts["false"] == (away > 2).sum()
            assert counts["shifted"] == ((away > 0) & (away <= 2)).sum()
            assert counts["agreed"] == (away == 0).sum()
            assert counts["missed"] <= missed  # where both meet, the predicted one is told
        if patch.bands is not None:
            error = np.subtract(ids["spectrum"], patch.bands[:, *divmod(101, 48)])
            assert np.sqrt(np.mean(error**2)) < 0.35  # noise, of which 8 components keep a part


def test_hostile_names_are_shown_as_text(page):
    expect(page.locator("#title")).to_have_text("Tied <b>models</b>")
    expect(page.locator("#panes figcaption").nth(2)).to_have_text("ResNet <i>18</i>")
    page.evaluate("() => inspector.go(inspector.order.indexOf(3))")
    page.wait_for_function("(id) => document.body.dataset.patch === id", arg=HOSTILE)
    assert HOSTILE in page.locator("#place").inner_text()
    assert page.locator("img").count() == 0


def test_panes_zoom_and_move_together(open_page, tmp_path):
    rng = np.random.default_rng(0)
    colours = np.array([[0xE6, 0x9F, 0x00], [0x56, 0xB4, 0xE9], [0x00, 0x9E, 0x73]], np.uint8)
    target = made_maps(rng, (64, 64))[0]
    patch = InspectorPatch("same", colours[target], target, target, target)
    page = open_page(width=1200, height=800)
    saved = Inspector([patch], CLASSES, gsd=30.0, lossless=True).save(tmp_path / "same.html")
    page.goto(saved.as_uri())
    page.wait_for_selector("body[data-ready]")
    before = pixels(settled(page), 1)
    page.locator(".pane").nth(2).hover(position={"x": 250, "y": 120})
    page.mouse.wheel(0, -240)
    page.wait_for_function("() => inspector.state.view.zoom > 1.2")
    zoomed = page.evaluate("() => inspector.state.view")
    page.mouse.down()
    page.mouse.move(500, 400, steps=3)
    page.mouse.up()
    page.mouse.move(5, 5)
    page.wait_for_function(MOVED, arg=zoomed)
    settled(page)
    panes = [pixels(page, k)[:-40] for k in range(4)]  # without the scale bar
    assert not np.array_equal(panes[1], before[:-40])
    for other in (0, 2, 3):
        assert np.array_equal(panes[other], panes[1])
    page.keyboard.press("0")
    page.wait_for_function("() => inspector.state.view.zoom === 1")
    assert np.array_equal(pixels(settled(page), 1), before)


def test_the_divider_uncovers_one_model_and_then_the_other(page, inspector):
    first = inspector.ranked()[0]
    patch = next(p for p in made_patches() if p.id == first.id)
    page.keyboard.press("w")
    page.wait_for_selector(".divider")
    box = page.locator("#panes").bounding_box()
    for share in (0.3, 0.6):
        handle = settled(page).locator(".divider").bounding_box()
        page.mouse.move(handle["x"] + 10, handle["y"] + 40)
        page.mouse.down()
        page.mouse.move(box["x"] + share * box["width"], handle["y"] + 60, steps=4)
        page.mouse.up()
        there = "(share) => Math.abs(inspector.state.divider - share) < 0.02"
        page.wait_for_function(there, arg=share)
        seen = pixels(settled(page), 0)
        divider = page.evaluate("() => inspector.state.divider")
        at = page.evaluate(PLACED)
        colours = np.array([[0xE6, 0x9F, 0x00], [0x56, 0xB4, 0xE9], [0x00, 0x9E, 0x73]])
        for y, x in [(10, 5), (30, 12), (30, 24), (50, 40), (20, 45)]:
            px = int(at["x0"] + (x + 0.5) * at["scale"])
            py = int(at["y0"] + (y + 0.5) * at["scale"])
            if abs(px - divider * seen.shape[1]) < 15:
                continue
            expected = (patch.a if px < divider * seen.shape[1] else patch.b)[y, x]
            assert np.array_equal(seen[py, px], colours[expected])
    page.locator(".divider").focus()
    page.keyboard.press("ArrowLeft")  # by key too, and the patch stays
    moved = "(place) => Math.abs(inspector.state.divider - place) < 1e-9"
    page.wait_for_function(moved, arg=divider - 0.02)
    assert page.evaluate("() => inspector.state.at") == 0


def test_patches_are_sorted_and_filtered(page, inspector):
    scores = {p.id: p.scores["boundary"] for p in inspector}
    known = sorted((n for n in scores if not np.isnan(scores[n])), key=lambda n: -scores[n])
    order = "() => inspector.order.map((k) => inspector.set.patches[k].id)"
    page.select_option("#sort", "boundary")
    assert page.evaluate(order) == [*known, "patch 05"]
    expect(page.locator(".card[aria-selected=true]")).to_have_attribute("title", known[0])
    page.click("#direction")
    assert page.evaluate(order) == [*known[::-1], "patch 05"]
    page.select_option("#filter-size", str(256 * 900))
    large = {p.id for p in inspector if p.largest >= 256}
    assert 0 < len(large) < len(inspector)
    assert set(page.evaluate(order)) == large
    told = "(told) => document.getElementById('count').textContent === told"
    page.wait_for_function(told, arg=f"{len(large)} of 30 pass")  # with the next picture drawn
    page.select_option("#filter-size", "0")
    page.select_option("#filter-class", "1")
    watery = {p.id for p in inspector if 1 in p.differing}
    assert 0 < len(watery) < len(inspector)
    assert set(page.evaluate(order)) == watery


def test_everything_is_reached_by_keys(page, inspector):
    ids = [patch.id for patch in inspector.ranked()]
    assert page.evaluate(DRAWN, "ArrowRight") == ids[1]
    assert page.evaluate(DRAWN, "ArrowLeft") == ids[0]
    for key, place in (("End", -1), ("Home", 0)):
        page.keyboard.press(key)
        page.wait_for_function("(id) => document.body.dataset.patch === id", arg=ids[place])
    for key, name in (("d", "difference"), ("b", "boundary"), ("o", "outline")):
        page.keyboard.press(key)
        page.wait_for_function("(name) => inspector.state.overlay === name", arg=name)
        expect(page.locator("#key")).to_contain_text(OVERLAY_KEYS[name])
    for key, dividers in (("w", 1), ("f", 0), ("w", 1), ("s", 0), ("f", 0)):
        page.keyboard.press(key)
        expect(page.locator(".divider")).to_have_count(dividers)
    shown = page.locator("#panes figcaption")
    expect(shown).to_have_text("ResNet <i>18</i>")
    page.keyboard.press("Space")
    expect(shown).to_have_text("ViT")
    page.keyboard.press("s")
    page.keyboard.press("x")
    expect(shown).to_have_text(["Image", "Target", "ViT", "ResNet <i>18</i>"])
    page.keyboard.press("Shift+ArrowDown")
    page.wait_for_function("() => inspector.state.probe !== null")
    assert page.evaluate("() => inspector.state.probe") == {"x": 24, "y": 31}
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#keys")).to_be_hidden()
    page.keyboard.press("Tab")
    assert page.evaluate("() => document.activeElement.tagName") in ("BUTTON", "DIV", "FIGURE")
    assert page.evaluate(UNNAMED) == 0


def test_votes_are_blind_kept_and_taken_along(page, inspector, tmp_path):
    page.keyboard.press("v")
    expect(page.locator("#panes figcaption")).to_have_text(["Image", "Left", "Right"])
    expect(page.locator("#scores")).to_be_hidden()
    options = page.locator("#sort option").all_inner_texts()
    assert not any("right" in option for option in options)
    ids = [patch.id for patch in inspector.ranked()]
    for key, shown in zip("1231", ids, strict=False):
        page.wait_for_function("(id) => document.body.dataset.patch === id", arg=shown)
        page.keyboard.press(key)
    tally = page.locator("#ballot [role=status]").get_by_text("4 of 30 voted", exact=True)
    tally.wait_for()
    with page.expect_download() as download:
        page.get_by_text("Download votes").click()
    download.value.save_as(tmp_path / "votes.json")
    votes = read_votes(tmp_path / "votes.json", comparison=inspector.comparison)
    assert votes["patch"].tolist() == ids[:4]
    assert votes["choice"].tolist() == ["left", "tie", "right", "left"]
    sides = page.evaluate("() => inspector.set.patches.map((p) => firstIsLeft(0, 'rater 1', p.id))")
    assert 8 <= sum(sides) <= 22
    known = {p.id: "A" if left else "B" for p, left in zip(inspector, sides, strict=True)}
    assert votes["left"].tolist() == [known[patch] for patch in votes["patch"]]
    other = Inspector(list(made_patches(6)), CLASSES, gsd=30.0)
    with pytest.raises(VoteError, match="Votes must be of one comparison"):
        read_votes(tmp_path / "votes.json", comparison=other.comparison)
    page.reload()
    page.wait_for_selector("body[data-ready]")
    tally.wait_for()
    assert page.evaluate("() => inspector.patch.meta.id") == ids[4]


FITS = """(selector) => {
  const panel = document.getElementById("side").getBoundingClientRect();
  return [...document.querySelectorAll(selector)].map((e) => e.getBoundingClientRect())
    .every((box) => box.width > 40 && box.left >= panel.left && box.right <= panel.right);
}"""
IN_VIEW = """(selector) => {
  const box = document.querySelector(selector).getBoundingClientRect();
  const panel = document.getElementById("side").getBoundingClientRect();
  return box.top >= panel.top && box.bottom <= panel.bottom;
}"""


@pytest.mark.parametrize("size", [(1440, 900), (1024, 700), (1024, 600)])
def test_the_magnifier_fits_its_panel_and_the_scores_are_seen(open_page, tmp_path, size):
    rng = np.random.default_rng(0)
    maps = [rng.integers(0, 15, (48, 48)) for _ in range(3)]
    patch = InspectorPatch("p", np.zeros((48, 48, 3), np.uint8), *maps, {"dispute": 0.1})
    classes = [(f"mixed forest and shrub of kind {k}", f"#{k:x}{k:x}8844") for k in range(15)]
    names = tuple(f"finetune-2022-campaign-forest-{kind}-patch4-seed=0" for kind in ("vit", "moco"))
    page = open_page(width=size[0], height=size[1])
    made = Inspector([patch], classes, gsd=10.0, names=names)
    page.goto(made.save(tmp_path / "p.html").as_uri())
    page.wait_for_selector("body[data-ready]")
    assert page.locator(".lenses figure").count() == 4
    assert page.evaluate(FITS, ".lenses canvas")
    assert page.evaluate(FITS, ".classes button")
    assert page.evaluate(IN_VIEW, "#scores")
    expect(page.locator("#panes figcaption")).to_have_text(
        ["Image", "Target", "A · vit", "B · moco"]
    )


def test_who_votes_blind_does_not_see_the_target(page):
    page.keyboard.press("d")
    page.keyboard.press("v")
    page.wait_for_function("() => inspector.state.blind && inspector.isShown()")
    assert page.evaluate("() => inspector.state.overlay") == ""
    for key in "db":
        page.keyboard.press(key)
        assert page.evaluate("() => inspector.state.overlay") == ""
    page.keyboard.press("o")
    page.wait_for_function("() => inspector.state.overlay === 'outline'")
    expect(page.locator("#cursor tr th")).to_have_text(["Image", "Left", "Right"])
    told = page.locator("body").inner_text()
    assert "target" not in told.lower()
    assert not set("✓✗") & set(page.locator("#cursor").inner_text())
    page.keyboard.press("w")
    assert "Target" not in page.locator("#options").inner_text()


def test_a_patch_of_one_band_is_grey(open_page, tmp_path):
    ids = np.zeros((8, 8), int)
    band = np.arange(64, dtype=np.float32).reshape(1, 8, 8)
    patch = InspectorPatch("p", {}, ids, ids, ids, {}, band)
    page = open_page()
    page.goto(Inspector([patch], [("only", "red")], gsd=10.0).save(tmp_path / "p.html").as_uri())
    page.wait_for_selector("body[data-ready]")
    rgb = np.array(page.evaluate("() => Array.from(inspector.pixelsOf(inspector.patch))"))
    rgb = rgb.reshape(8, 8, 4)
    assert (rgb[..., 0] == rgb[..., 1]).all()
    assert (rgb[..., 0] == rgb[..., 2]).all()
    assert len(np.unique(rgb[..., 0])) > 40


TWO_KEYS_AT_ONCE = """() => {
    const press = (key) => document.dispatchEvent(new KeyboardEvent("keydown", { key }));
    press("1"), press("2");
    return [inspector.state.at, Object.values(inspector.state.votes).map((vote) => vote.choice)];
}"""


def test_a_key_pressed_before_the_next_patch_is_drawn_is_no_vote(page):
    page.keyboard.press("v")
    page.wait_for_function("() => inspector.state.blind && inspector.isShown()")
    assert page.evaluate(TWO_KEYS_AT_ONCE) == [1, ["left"]]


def test_two_thousand_patches_keep_few_cards_in_the_page(open_page, tmp_path):
    target, a, b = made_maps(np.random.default_rng(0), (16, 16))
    image = np.zeros((16, 16, 3), np.uint8)
    many = Inspector(
        (InspectorPatch(f"p{k:04d}", image, target, a, b) for k in range(2000)), CLASSES, gsd=10.0
    )
    page = open_page(width=1000, height=700)
    page.goto(many.save(tmp_path / "many.html").as_uri())
    page.wait_for_selector("body[data-ready]")
    page.keyboard.press("End")
    page.wait_for_function("() => document.body.dataset.patch === 'p1999'")
    assert settled(page).locator(".card").count() < 40
    expect(page.locator(".card[aria-selected=true]")).to_have_attribute("title", "p1999")


SETUP = """\
from tests.browser.test_inspector import CLASSES, made_patches
from workbench.viz import Inspector
from workbench.viz.controls import InspectorWidget
inspector = Inspector(made_patches(4), CLASSES, gsd=30.0)
"""


@pytest.fixture
def notebook(workplace, inspector):
    """A live notebook, and a saved one whose output was made elsewhere."""
    from tests.browser.conftest import ROOT

    path = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
    cells = [
        nbformat.v4.new_code_cell(path + SETUP, id="setup"),
        nbformat.v4.new_code_cell("inspector", id="view"),
        nbformat.v4.new_code_cell("InspectorWidget(inspector, votes='v.parquet')", id="widget"),
    ]
    live = workplace / "inspect_live.ipynb"
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    book = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    nbformat.write(book, live)
    data = Inspector(list(made_patches(4)), CLASSES, gsd=30.0)._repr_mimebundle_()
    output = nbformat.v4.new_output("execute_result", data, execution_count=1)
    cell = nbformat.v4.new_code_cell("inspector", id="view", outputs=[output])
    book = nbformat.v4.new_notebook(cells=[cell], metadata={"kernelspec": kernel})
    nbformat.write(book, workplace / "inspect_saved.ipynb")
    return live


def test_in_lab_the_page_lives_and_python_hears_of_votes(lab, notebook, open_page, tmp_path):
    page = open_page(lab)
    open_notebook(page, lab, notebook.name)
    page.evaluate(KERNEL)
    assert page.evaluate(RUN_ALL)
    shown_cell(page, "view").frame_locator("iframe").locator("body[data-ready]").wait_for()
    page.screenshot(path=tmp_path / "view.png")
    inside = shown_cell(page, "widget").frame_locator("iframe")
    inside.locator("body[data-ready]").wait_for()
    inside.locator("#blind").click()
    first = inside.locator("body").get_attribute("data-patch")
    inside.locator("#ballot button").first.click()
    expect(inside.locator("#ballot [role=status]")).to_have_text("1 of 4 voted")
    drawn = re.compile(f"^{re.escape(first)}$|^$")
    expect(inside.locator("body")).not_to_have_attribute("data-patch", drawn)
    inside.locator("#ballot button").nth(2).click()
    expect(inside.locator("#ballot [role=status]")).to_have_text("2 of 4 voted")
    page.screenshot(path=tmp_path / "widget.png")
    kept = notebook.with_name("v.parquet")
    until(page, lambda: kept.exists() and len(read_votes(kept)) == 2, "two votes are kept")
    assert read_votes(kept)["choice"].tolist() == ["left", "right"]


def test_reopened_untrusted_the_picture_stands_in(lab, notebook, open_page, tmp_path):
    page = open_page(lab)
    open_notebook(page, lab, "inspect_saved.ipynb")
    cell = shown_cell(page, "view")
    picture = cell.locator(".jp-OutputArea-output img")
    wait_for_height(picture, 300)
    assert cell.locator("iframe").count() == 0
    page.screenshot(path=tmp_path / "untrusted.png")


def test_the_view_state_is_small(page):
    page.evaluate("() => inspector.go(3)")
    name = page.evaluate("() => inspector.set.patches[inspector.order[3]].id")
    told = "(name) => Object.values(localStorage).some((state) => JSON.parse(state).patch === name)"
    page.wait_for_function(told, arg=name)
    kept = page.evaluate("() => JSON.stringify({...localStorage})")
    assert len(kept) < 2000
