"""Text of data is shown letter by letter: never a template, markup, script, formula or format.

Everything public in `workbench.viz` that makes a page, a figure or a picture draws the texts of
`tests.viz.hostile` in each place that takes one. `test_everything_public_is_drawn` fails for a new
function that is neither in `DRAWN` nor, with a reason, in `TEXTLESS`.
"""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from shapely.geometry import box

import workbench.viz
from tests.viz import hostile
from tests.viz.conftest import START, plan_of
from workbench.evaluation.study import CellNote
from workbench.geo.tile import Tile
from workbench.viz import Inspector, InspectorPatch, maps
from workbench.viz.detail_plots import curves_figure, effects_figure
from workbench.viz.embed import OfflineView
from workbench.viz.map_cards import Cards
from workbench.viz.plots import location_timeline, plan_comparison
from workbench.viz.plots_pretraining import filter_map, pretraining_curves, probe_curves
from workbench.viz.pretraining_tables import MEASURES
from workbench.viz.progress import study_html
from workbench.viz.scene_plots import beside_figure
from workbench.viz.statics_tables import table_picture
from workbench.viz.table_pages import frame_view

DRAWN: dict[str, Callable] = {}
"""By name of what is drawn and of the place that takes the text: draws it."""


def draws(what: str, *places: str):
    """Register a function of (text, place) that draws the text in each place."""

    def register(function):
        for place in places:
            DRAWN[f"{what} {place}"] = lambda text, p=place: function(text, p)
        return function

    return register


def tiles_of(*names):
    spread = enumerate(names)
    return [
        Tile(n, START + timedelta(days=i), box(10 + i / 5, 47, 10.3 + i / 5, 47.3), "EPSG:32632",
             None, f"group {n}")
        for i, n in spread
    ]  # fmt: skip


def graph_of(tiles):
    graph = nx.path_graph([tile.id for tile in tiles])
    nx.set_edge_attributes(graph, 2.5e8, "area")
    return graph


def a_plan(*ids, tiles=("a", "b")):
    rows = [(name, 600_000 + 2560 * k, 5.2e6, tiles, len(tiles)) for k, name in enumerate(ids)]
    return plan_of(rows)


@draws("maps_tiles.tile_map", "title", "tile id and group")
def _(text, place):
    tiles = tiles_of("a", "b", text if place != "title" else "c")
    return maps.tile_map(tiles, graph_of(tiles), **({"title": text} if place == "title" else {}))


@draws("maps_graph.graph_map", "title", "tile id")
def _(text, place):
    tiles = tiles_of("a", "b", text if place != "title" else "c")
    return maps.graph_map(tiles, graph_of(tiles), **({"title": text} if place == "title" else {}))


def coverage(text, place, tier):
    plan, options = a_plan("p", "q"), {}
    tiles = tiles_of("a", "b")
    if place == "title":
        options["title"] = text
    elif place == "location id":
        plan = a_plan("p", text)
    elif place == "tile id":
        plan, tiles = a_plan("p", "q", tiles=("a", text)), tiles_of("a", text)
    elif place == "class value":
        plan["kind"] = ["x", text]
        options["colour_by"] = "kind"
    elif place == "column name":
        options = {"values": pd.DataFrame({text: [1.5, 2.0]}, index=plan["location_id"])}
    elif place == "unit":
        plan["cloud"] = [0.1, 0.5]
        options = {"colour_by": "cloud", "units": {"cloud": text}}
    elif place == "card":
        dates = [{"date": text, "tile": text, "image": "", "spectrum": [0.1, 0.2]}]
        about = {"nm": [500.0, 600.0], "units": text, "told": text}
        rejected = {"q": [["2022-06-01", text, text]]}
        options["cards"] = Cards({"p": {"dates": dates, "of": 1, "told": ""}}, about, rejected)
    return maps.coverage_map(plan, tiles, graph=graph_of(tiles), tier=tier, **options)


for tier in ("features", "packed"):
    places = ("title", "location id", "tile id", "class value", "column name", "unit", "card")
    places = places if tier == "features" else places[1:4]
    draws(f"maps_coverage.coverage_map {tier}", *places)(
        lambda text, place, tier=tier: coverage(text, place, tier)
    )


@draws("maps_coverage.coverage_map live", "title", "column name")
def _(text, place):
    plan = a_plan("p", "q")
    values = pd.DataFrame({text: [1.5, 2.0]}, index=plan["location_id"])
    options = {"title": text} if place == "title" else {"values": values}
    return maps.coverage_map(plan, tier="live", **options)


@draws("maps_patches.fate_map", "title", "location id", "tile id", "detail", "reason", "crs")
def _(text, place):
    plan = a_plan("p", "q", "r")
    known = plan.assign(
        tile_id="a", acquired=pd.Timestamp(START), component=0, detail="", reasons=[()] * 3
    )
    column = {"location id": "location_id", "tile id": "tile_id"}.get(place, place)
    cut, rejected = known.iloc[:2].copy(), known.iloc[2:].assign(detail="cloud 0.5")
    rejected["reasons"] = [("cloud",)]
    if place == "reason":
        rejected["reasons"] = [(text,)]
    elif place != "title":
        rejected[column] = text
    return maps.fate_map(cut, rejected, **({"title": text} if place == "title" else {}))


def log(columns):
    return pd.DataFrame(
        {"step": np.arange(1, 6)} | {name: np.linspace(1, 2, 5) for name in columns}
    )


@draws("plots_pretraining.pretraining_curves", "title", "run")
def _(text, place):
    runs = {text if place == "run" else "run": log(MEASURES)}
    return pretraining_curves(runs, **({"title": text} if place == "title" else {}))


@draws("plots_pretraining.probe_curves", "title", "run")
def _(text, place):
    runs = {text if place == "run" else "run": log(["probe_knn", "probe_linear"]) / 10}
    return probe_curves(runs, chance=0.1, **({"title": text} if place == "title" else {}))


@draws("plots_pretraining.filter_map", "title")
def _(text, place):
    return filter_map(np.ones((3, 4)), [500.0, 505.0, 510.0, 515.0], title=text)


@draws("plots.plan_comparison", "title", "name")
def _(text, place):
    plans = {"one": a_plan("p", "q"), (text if place == "name" else "two"): a_plan("p")}
    return plan_comparison(plans, **({"title": text} if place == "title" else {}))


@draws("plots.location_timeline", "location id", "tile id")
def _(text, place):
    name, tile = ("p", text) if place == "tile id" else (text, "b")
    return location_timeline(a_plan(name, tiles=("a", tile)), tiles_of("a", tile))


@draws("detail_plots.curves_figure", "title", "model")
def _(text, place):
    rows = [(text if place == "model" else "m", t, 0.5, 0.4, 0.6) for t in (0.0, 10.0)]
    curves = pd.DataFrame(rows, columns=["model", "tolerance_m", "score", "low", "high"])
    return curves_figure(curves, **({"title": text} if place == "title" else {}))


@draws("detail_plots.effects_figure", "title", "words", "level")
def _(text, place):
    level = text if place == "level" else "4"
    effects = pd.DataFrame(
        [("miou", "stride", level, 1.0, 0.5, 1.5, True)],
        columns=["measure", "effect", "level", "estimate", "low", "high", "clear"],
    )
    words = {"miou": text if place == "words" else "mIoU"}
    return effects_figure(effects, words, title=text if place == "title" else "t")


@draws("scene_plots.beside_figure", "title", "metric", "training")
def _(text, place):
    row = {"training": text if place == "training" else "MoCo", "score": 0.5, "low": 0.4}
    row |= {"high": 0.6, "seconds": 9.0, "gain": 0.1, "gain_low": 0.0, "gain_high": 0.2}
    scores = pd.DataFrame([row | {"above": True}])
    metric, title = (text if place == name else "x" for name in ("metric", "title"))
    return beside_figure(scores, (0.4, 0.3, 0.5), metric=metric, title=title)


@draws("table_pages.frame_view", "title", "column", "value", "note")
def _(text, place):
    frame = pd.DataFrame({text if place == "column" else "c": [text if place == "value" else "v"]})
    notes = [text] if place == "note" else ["n"]
    return frame_view(frame, text if place == "title" else "t", notes=notes)


@draws("inspector.Inspector", "title", "id", "name", "class", "measure", "units", "picture")
def _(text, place):
    def said(name):
        return text if place == name else name

    ids = np.zeros((6, 6), int)
    picture = {said("picture"): np.zeros((6, 6, 3), np.uint8)}
    patch = InspectorPatch(said("id"), picture, ids, ids, ids, {said("measure"): 0.5})
    options = {"title": text} if place == "title" else {}
    classes = [(said("class"), "#336699")]
    names = (said("name"), "B")
    return Inspector([patch], classes, gsd=10.0, names=names, units=said("units"), **options)


@draws("progress.study_html", "label", "reason")
def _(text, place):
    if place == "label":
        return study_html(text, None)
    return study_html("Cells", CellNote("cell", "failed", 1, 2, 0.1, text), 1.0)


@draws("embed.OfflineView", "title")
def _(text, place):
    return OfflineView(text, b"")


@draws("statics_tables.table_picture", "title", "head", "cell", "note")
def _(text, place):
    def said(name):
        return text if place == name else name

    png = table_picture(said("title"), [said("head")], [[said("cell")]], [said("note")])
    return OfflineView("t", png)


# What is public and draws, but takes no text of its own or is drawn by another that is above.
TEXTLESS = {
    "assets": "our own files",
    "bokeh_page.bokeh_page": "the page of every plot above",
    "controls.Runs": "a protocol",
    "controls.Result": "a protocol",
    "controls.RunPicker": "its own tests; shows with ipywidgets, which escape",
    "controls.InspectorWidget": "the page of Inspector",
    "detail_plots.shift_figure": "a picture: `statics.write_picture`",
    "detail_plots.budget_figure": "a picture: `statics.write_picture`",
    "embed.sandboxed_frame": "OfflineView, _Page",
    "map_widgets": "the page of coverage_map",
    "map_view": "the page of coverage_map",
    "maps_base": "every map above",
    "maps_live": "coverage_map live",
    "live.LiveCurves": "an OfflineView of a picture",
    "packing": "packed text of the maps above",
    "palettes": "colours",
    "aggregates": "colours",
    "patch_dates.dates_figure": "a picture: `statics.write_picture`",
    "patch_images": "pixels",
    "patch_quality.quality_figure": "a picture: `statics.write_picture`",
    "patch_plots": "Bokeh figures through bokeh_page; names of splits in test_patch_figures",
    "plots.graph_distributions": "numbers only",
    "plots.component_graph": "names in test_plots",
    "plots_cost.cost_plot": "names of a benchmark table, which are checked",
    "plots_transfer": "names of a study, which are checked",
    "pretraining_images": "pictures: `statics.write_picture`",
    "pretraining_tables": "colours",
    "progress": "study_html and progress_html are one kind",
    "scene_plots.split_figure": "a picture: `statics.write_picture`",
    "statics": "the figures behind everything above",
    "table_files": "tables",
    "table_pages": "frame_view",
    "tables": "the page of table_pages; test_tables",
    "transfer_tables": "words",
    "map_lines": "packed text of the maps above",
    "table_words": "words",
}


def drawing() -> list[str]:
    """Public functions and classes of `workbench.viz` that give a page, figure, picture or text."""
    found = []
    for info in pkgutil.iter_modules(workbench.viz.__path__):
        module = importlib.import_module(f"workbench.viz.{info.name}")
        for name, thing in vars(module).items():
            own = getattr(thing, "__module__", "") == module.__name__
            if name.startswith("_") or not own or not callable(thing):
                continue
            if inspect.isclass(thing):
                shows = any(hasattr(thing, n) for n in ("_repr_html_", "_repr_mimebundle_", "page"))
            else:
                given = str(inspect.signature(thing).return_annotation)
                kinds = ("OfflineView", "CoverageMap", "LiveMap", "Figure", "bytes", "str'>", "str")
                shows = given.rpartition(".")[2].strip("'>") in kinds or "CoverageMap" in given
            if shows:
                found.append(f"{info.name}.{name}")
    return found


def test_everything_public_is_drawn():
    names = drawing()
    assert len(names) > 40
    covered = {case.rpartition(" ")[0].split(" ")[0] for case in DRAWN} | set(TEXTLESS)
    rooms = {name.partition(".")[0] for name in names}
    new = [
        n
        for n in names
        if n not in covered
        and n.partition(".")[0] not in TEXTLESS
        and not (n.startswith("statics") and n.partition(".")[0] in rooms)
    ]
    assert new == [], "draw hostile text with it here, or say in TEXTLESS why it takes none"


BYPASSES = {  # pattern: the files that may hold it
    r"\bTemplate\(": {"viz/maps_base.py", "commands/project.py"},
    r"(?<!ET\.)\b(?:Macro)?Element\(\s*f?[\"']": set(),
    r"from html import|html\.escape\(|\bimport html\b": {"escape.py"},
    r"\.replace\([\"'](?:<|&|</)[\"']": {"escape.py", "viz/tables.py"},
    r"\|\s*(?:tojson|safe)\b": set(),
}


@pytest.mark.parametrize("pattern", BYPASSES)
def test_text_is_escaped_in_one_place(pattern):
    package = Path(workbench.__file__).parent
    found = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if re.search(pattern, path.read_text("utf-8"))
    }
    assert found <= BYPASSES[pattern]


def test_scripts_write_no_html():
    web = Path(workbench.viz.__file__).parent / "web"
    writes = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function"
    )
    lines = [
        f"{path.name}: {line.strip()[:60]}"
        for path in sorted(web.glob("*.js"))
        for line in path.read_text("utf-8").splitlines()
        if writes.search(line)
    ]
    assert len(lines) == 1  # the icons of the selection, constants of that script
    assert "icons[kind]" in (web / "coverage_select.js").read_text("utf-8")


def pages(drawn) -> list[str]:
    """What a drawn thing shows as HTML."""
    if isinstance(drawn, str):
        return [drawn]
    page = getattr(drawn, "page", None)
    page = page() if callable(page) else page
    return [page] if isinstance(page, str) else [drawn._repr_html_()]


@pytest.fixture
def pictures(monkeypatch):
    """Texts of the matplotlib figures that are written while a test runs."""
    from matplotlib.figure import Figure
    from matplotlib.text import Text

    told: list[tuple[str, bool]] = []
    write = Figure.savefig

    def savefig(figure, *args, **kwargs):
        done = write(figure, *args, **kwargs)
        told.extend((t.get_text(), t.get_parse_math()) for t in figure.findobj(Text))
        return done

    monkeypatch.setattr(Figure, "savefig", savefig)
    return told


@pytest.mark.filterwarnings("ignore:Glyph")
@pytest.mark.parametrize("case", sorted(DRAWN))
def test_text_is_shown_and_nothing_else_happens(case, pictures):
    draw = DRAWN[case]
    plain = [hostile.parsed(page)[0] for page in pages(draw("harmless"))]
    for name, text in hostile.TEXTS.items():
        pictures.clear()
        drawn = draw(text)
        shown = False
        for page, tags in zip(pages(drawn), plain, strict=True):
            found, texts = hostile.parsed(page)
            assert sorted(found) == sorted(tags), f"{case}, {name}: it changed the page"
            assert not hostile.evaluated(texts), f"{case}, {name}: it was reckoned"
            shown = shown or hostile.shows(texts, text)
        assert not any(math and "$" in told for told, math in pictures), f"{case}, {name}: formula"
        shown = shown or hostile.shows([told for told, _ in pictures], text)
        assert shown, f"{case}, {name}: the text is lost"
