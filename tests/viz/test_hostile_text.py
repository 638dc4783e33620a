"""Text of data is shown letter by letter: never a template, markup, script, formula or format.

Everything public in `workbench.viz` that makes a page, a figure or a picture draws the texts of
`tests.viz.hostile` in each place that takes one. `test_everything_public_is_drawn` fails for a new
function that is neither in `DRAWN` nor, with a reason, in `TEXTLESS`.
"""

from collections.abc import Callable
from datetime import timedelta

import networkx as nx
import pandas as pd
import pytest
from shapely.geometry import box

from tests.viz import hostile
from tests.viz.conftest import START, plan_of
from workbench.geo.tile import Tile
from workbench.viz import maps
from workbench.viz.map_cards import Cards

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


HARMLESS: dict[str, list] = {}


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
