from itertools import pairwise

import numpy as np
from matplotlib.colors import to_rgb

from workbench.viz.palettes import (
    SERIES_COLOURS,
    SERIES_STEPS,
    ramp_stops,
    series_class,
    series_label,
)


def luminance(colour):
    linear = np.array(
        [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    )
    return float(linear @ (0.2126, 0.7152, 0.0722))


def test_longer_series_are_darker_whatever_the_colour_vision():
    light = [luminance(colour) for colour in SERIES_COLOURS[1:]]
    assert all(a > 1.15 * b for a, b in pairwise(light))


def test_more_overlaps_are_darker():
    light = [luminance(colour) for colour in ramp_stops()]
    assert light == sorted(light, reverse=True)


def test_each_number_of_dates_has_the_class_whose_label_names_it():
    assert len(SERIES_STEPS) == len(SERIES_COLOURS)
    for n in range(1, 40):
        label = series_label(series_class(n))
        low, _, high = label.split(" ")[0].partition("–")
        assert int(low) <= n
        assert "more" in label or n <= int(high or low)
