import numpy as np
import pytest
import shapely

from workbench.viz import statics_maps
from workbench.viz.statics import picture
from workbench.viz.statics_maps import coverage_figure, painted


@pytest.mark.parametrize("seed", range(3))
def test_each_pixel_shows_the_highest_class_that_touches_it(seed):
    rng = np.random.default_rng(seed)
    low = rng.uniform(-2, 20, (60, 2))
    boxes = np.column_stack([low, low + rng.uniform(0.1, 4, (60, 2))])
    classes = rng.integers(0, 7, 60)
    image = painted(boxes, classes, (0.0, 0.0, 20.0, 16.0), (16, 20))
    for row in range(16):
        for column in range(20):
            touching = (boxes[:, 0] < column + 1) & (boxes[:, 2] > column)
            touching &= (boxes[:, 1] < row + 1) & (boxes[:, 3] > row)
            assert image[row, column] == classes[touching].max(initial=-1)


def test_few_squares_and_many_are_drawn_the_same(plan, land, monkeypatch):
    outlines = picture(coverage_figure(plan, land=land, title="few"))
    monkeypatch.setattr(statics_maps, "MANY_SQUARES", 2)
    pixels = picture(coverage_figure(plan, land=land, title="few"))
    assert outlines.startswith(b"\x89PNG")
    assert pixels.startswith(b"\x89PNG")


def test_empty_plan_has_a_picture(plan):
    assert picture(coverage_figure(plan.iloc[:0], title="none")).startswith(b"\x89PNG")


def test_a_part_in_view_is_told_as_a_part(plan):
    def told(**options):
        figure = coverage_figure(plan, title="part", **options)
        return figure.axes[0].get_legend().get_title().get_text().splitlines()[-1]

    first = plan.geometry.iloc[0]
    west, south, east, north = first.bounds
    inside = shapely.box(west - 0.01, south - 0.01, east + 0.01, north + 0.01)  # with the margin
    in_view = int(plan.intersects(inside).sum())
    assert told() == f"{len(plan)} of {len(plan)} locations"
    assert 0 < in_view < len(plan)
    assert told(bounds=first.bounds) == f"{in_view} of {len(plan)} locations in view"
