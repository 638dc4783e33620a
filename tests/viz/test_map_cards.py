"""Cards of locations against the pixels of a store that was really cut."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from workbench.viz import map_cards
from workbench.viz.map_cards import location_card, rejected_dates
from workbench.viz.maps import MapWidget, coverage_map, location_cards
from workbench.viz.patch_images import UNUSABLE


@pytest.fixture(scope="module")
def longest(cut):
    return cut.manifest["location_id"].value_counts().index[0]


def test_a_card_holds_each_date_with_the_mean_of_its_clear_pixels(cut, longest):
    card = location_card(cut.store, cut.manifest, longest)
    rows = cut.manifest[cut.manifest["location_id"] == longest].sort_values("acquired")
    assert card["of"] == len(rows) == len(card["dates"]) > 1
    assert [d["date"] for d in card["dates"]] == [f"{t:%Y-%m-%d}" for t in rows["acquired"]]
    contract = cut.store.contract
    for date, place in zip(card["dates"], rows["place"], strict=True):
        pixels = contract.physical(cut.store.pixels(place)).astype(np.float64)
        pixels[:, cut.store.quality(place) & UNUSABLE != 0] = np.nan
        for told, band in zip(date["spectrum"], pixels, strict=True):
            known = band[np.isfinite(band)]
            assert told is None if not len(known) else told == pytest.approx(known.mean(), abs=1e-4)
        picture = Image.open(io.BytesIO(base64.b64decode(date["image"])))
        assert picture.size == (8, 8)
        assert picture.mode == "RGB"


def test_long_series_keep_their_first_and_last_date(cut, longest, monkeypatch):
    whole = location_card(cut.store, cut.manifest, longest)
    monkeypatch.setattr(map_cards, "MOST_DATES", 2)
    thinned = location_card(cut.store, cut.manifest, longest)
    assert thinned["of"] == whole["of"]
    ends = [whole["dates"][0], whole["dates"][-1]]
    assert [d["date"] for d in thinned["dates"]] == [d["date"] for d in ends]


def test_a_page_gets_the_longest_series_and_says_how_many(cut):
    cards = location_cards(cut.store, cut.manifest, most=3)
    length = cut.manifest["location_id"].value_counts()
    assert [cards.of[name]["of"] for name in cards.of] == length.iloc[:3].tolist()
    page = coverage_map(cut.plan, cut.tiles, cards=cards).page
    assert f"Pictures of 3 of {len(cut.plan):,} locations are in this page" in page
    assert cards.of[next(iter(cards.of))]["dates"][0]["image"] in page


def test_a_widget_reads_a_card_when_it_is_asked(cut, longest, monkeypatch):
    widget = MapWidget(coverage_map(cut.plan, cut.tiles), cut.manifest, store=cut.store)
    sent = []
    monkeypatch.setattr(widget, "send", sent.append)
    widget._answer(None, {"kind": "card", "id": longest}, [])
    widget._answer(None, {"kind": "card", "id": "nowhere"}, [])
    assert sent[0]["card"] == location_card(cut.store, cut.manifest, longest)
    assert len(sent[0]["about"]["nm"]) == len(sent[0]["card"]["dates"][0]["spectrum"])
    assert sent[1]["card"] is None


def test_a_click_tells_why_planned_dates_are_missing(cut):
    told = rejected_dates(cut.rejected)
    assert sum(map(len, told.values())) == len(cut.rejected) > 10
    for row in cut.rejected.itertuples():
        assert [f"{row.acquired:%Y-%m-%d}", row.detail, row.tile_id] in told[row.location_id]
    assert all(dates == sorted(dates, key=lambda date: date[0]) for dates in told.values())
    page = location_cards(cut.store, cut.manifest, rejected=cut.rejected).told(len(cut.plan))
    assert page["rejected"] == told
    assert "left out" not in page["note"]


def test_more_reasons_than_there_is_room_for_are_counted(cut, longest, monkeypatch):
    monkeypatch.setattr(map_cards, "MOST_REASONS", 5)
    cards = location_cards(cut.store, cut.manifest, rejected=cut.rejected, most=40)
    kept, lost = set(cards.rejected), set(cut.rejected["location_id"])
    assert kept == lost & set(cards.of)
    assert 0 < len(kept) < len(lost)
    told = f"Why dates were not cut is left out for {len(lost) - len(kept):,} locations."
    assert told in cards.told(len(cut.plan))["note"]


def test_a_widget_tells_reasons_without_a_store_too(cut, monkeypatch):
    widget = MapWidget(coverage_map(cut.plan, cut.tiles), cut.plan, rejected=cut.rejected)
    assert widget.answers == ["live-cards"]
    sent = []
    monkeypatch.setattr(widget, "send", sent.append)
    name, dates = next(iter(rejected_dates(cut.rejected).items()))
    whole = (set(cut.plan["location_id"]) - set(cut.rejected["location_id"])).pop()
    for asked in (name, whole):
        widget._answer(None, {"kind": "card", "id": asked}, [])
    assert [answer["rejected"] for answer in sent] == [dates, []]
    assert [answer["note"] for answer in sent] == ["", "no planned date was rejected"]


def test_a_location_that_was_not_cut_is_named(cut):
    with pytest.raises(ValueError, match="'nowhere' is none"):
        location_cards(cut.store, cut.manifest, ["nowhere"])
