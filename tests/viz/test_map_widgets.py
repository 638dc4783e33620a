"""What widgets tell Python, without a browser: selections, pictures on request, aggregates."""

import base64
import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tests.viz.conftest import plan_of
from workbench.viz import maps_coverage
from workbench.viz.aggregates import WORLD, Aggregator, painted_grid
from workbench.viz.maps import LiveMap, MapWidget, coverage_map


def test_selected_rows_are_rows_of_the_table(plan, tiles):
    shuffled = plan.iloc[[4, 2, 0, 1, 3]]
    widget = MapWidget(coverage_map(shuffled, tiles), shuffled)
    assert widget.ids == []
    assert len(widget.selected) == 0
    row = list(widget._ids).index(plan["location_id"][2])
    widget.rows = base64.b64encode(bytes([1 << row])).decode()  # as the page tells it
    assert widget.ids == [plan["location_id"][2]]
    assert widget.selected.index.tolist() == [2]


def test_python_selects_and_reads_the_same(plan, tiles):
    widget = MapWidget(coverage_map(plan, tiles, tier="packed"), plan)
    wanted = set(plan["location_id"].iloc[[0, 3]])
    widget.select(sorted(wanted))
    assert set(widget.ids) == wanted
    with pytest.raises(ValueError, match="must be in the table, but 1 of 1 are not"):
        widget.select(["x"])


def test_where_widgets_do_not_live_a_picture_stands_in(plan, tiles):
    for widget in (MapWidget(coverage_map(plan, tiles), plan), coverage_map(plan, tier="live")):
        data, _ = widget._repr_mimebundle_()
        assert "application/vnd.jupyter.widget-view+json" in data
        assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG")


def test_very_many_locations_are_drawn_by_the_kernel(plan, monkeypatch):
    monkeypatch.setattr(maps_coverage, "MOST_PACKED", 4)
    live = coverage_map(plan)
    assert isinstance(live, LiveMap)
    assert "of 5 locations in view" in live.page
    assert live.how == "count"
    dates = coverage_map(plan, colour_by="n_acquisitions")
    assert dates.aggregator.table["value"].tolist() == plan["n_acquisitions"].tolist()
    named = pd.Series(list("abcde"), index=plan["location_id"], name="split")
    with pytest.raises(ValueError, match="Aggregates need numbers, but 'split' has names"):
        coverage_map(plan, values=named)


@pytest.fixture
def scattered():
    rng = np.random.default_rng(0)
    rows = [(f"p{k}", x, y, (), 1) for k, (x, y) in enumerate(rng.uniform(4e5, 6e5, (500, 2)))]
    return plan_of(rows), pd.Series(np.where(rng.random(500) < 0.1, np.nan, rng.random(500)))


@pytest.mark.parametrize("how", ["count", "mean", "max"])
def test_each_pixel_holds_the_aggregate_of_its_locations(scattered, how):
    plan, values = scattered
    found = Aggregator(plan, values)
    x, y = found.table["x"].to_numpy(), found.table["y"].to_numpy()
    box, (height, width) = (x.min() - 1e3, y.min() + 2e4, x.max() - 3e4, y.max() + 1e3), (12, 17)
    grid = found.grid(box, (height, width), how)
    column = np.floor((x - box[0]) / (box[2] - box[0]) * width)
    row = height - 1 - np.floor((y - box[1]) / (box[3] - box[1]) * height)
    for r in range(height):
        for c in range(width):
            inside = values[(column == c) & (row == r)]
            known = inside.dropna()
            expected = {"count": len(inside) or np.nan, "mean": known.mean(), "max": known.max()}
            np.testing.assert_allclose(grid[r, c], expected[how])
    seen = (x >= box[0]) & (x <= box[2]) & (y >= box[1]) & (y <= box[3])
    assert found.in_view(box) == seen.sum()
    assert found.without_value == values.isna().sum()


def test_a_view_over_the_antimeridian_sees_both_sides():
    east = plan_of([("e", 300_000, 8_000_000, (), 1)], crs="EPSG:32701")
    west = plan_of([("w", 700_000, 8_000_000, (), 1)], crs="EPSG:32760")
    found = Aggregator(pd.concat([east, west]))
    box = (0.95 * WORLD, -3e6, 1.05 * WORLD, 0.0)
    assert np.nansum(found.grid(box, (50, 50))) == 2
    assert found.in_view(box) == 2
    assert found.in_view((-WORLD, -3e6, 0.0, 0.0)) == 1


def test_pixels_without_a_location_are_transparent():
    png, low, high = painted_grid(np.array([[np.nan, 1.0], [3.0, 2.0]]), is_count=False)
    pixels = np.array(Image.open(io.BytesIO(png)))
    assert (low, high) == (1.0, 3.0)
    assert (pixels[..., 3] == [[0, 255], [255, 255]]).all()
    assert pixels[0, 1, :3].sum() > pixels[1, 1, :3].sum() > pixels[1, 0, :3].sum()
    assert painted_grid(np.full((2, 2), np.nan), is_count=True)[1:] == (0.0, 0.0)


def test_values_must_be_one_for_each_location(plan):
    with pytest.raises(ValueError, match="Values must be one for each location, but there are 2"):
        Aggregator(plan, pd.Series([1.0, 2.0]))
    with pytest.raises(ValueError, match="To show the mean of values there must be some"):
        Aggregator(plan).grid((0, 0, 1, 1), (2, 2), "mean")
