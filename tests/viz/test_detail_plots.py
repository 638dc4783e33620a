"""Figures of the detail lab open without a network, escape names, and refuse what has no rows."""

import numpy as np
import pandas as pd
import pytest

from workbench.evaluation import shift_scores
from workbench.execution import external_references
from workbench.viz.detail_plots import (
    budget_figure,
    curves_figure,
    effects_figure,
    shift_figure,
)

PNG = b"\x89PNG"


def curves(names):
    steps = [0.0, 10.0, 20.0]
    rows = [(n, t, 0.5, 0.4, 0.6) for n in names for t in steps]
    return pd.DataFrame(rows, columns=["model", "tolerance_m", "score", "low", "high"])


def effects(measure="miou"):
    names = [("stem", "detail"), ("loss", "boundary"), ("stem × loss", "detail × boundary")]
    frame = pd.DataFrame(names, columns=["effect", "level"])
    return frame.assign(measure=measure, estimate=1.0, low=0.5, high=2.0, clear=[True, True, False])


def test_curves_need_no_network_and_escape_names():
    view = curves_figure(curves(["<b>", "other"]), title="<i>")
    assert external_references(view.page) == []
    assert "<b>" not in view.page
    assert view.png.startswith(PNG)


@pytest.mark.parametrize("names", [[], list("abcde")])
def test_curves_are_of_one_to_four_models(names):
    with pytest.raises(ValueError, match="1 to 4 models"):
        curves_figure(curves(names))


def test_effects_stand_in_a_panel_for_each_measure():
    view = effects_figure(effects(), {"miou": "mIoU"}, title="Effects")
    assert external_references(view.page) == []
    assert "stem: detail" in view.page
    assert view.png.startswith(PNG)
    with pytest.raises(ValueError, match="no effects on 'other'"):
        effects_figure(effects(), {"other": "Other"}, title="Effects")


def test_shifts_and_budgets_are_pictures():
    maps = np.zeros((2, 16, 16), np.uint8)
    maps[:, 4:10, 5:12] = 1
    table = shift_scores(maps, maps, classes=2, largest=1, dilation=1)
    assert shift_figure({"a": table, "b": table}, gsd=10.0).png.startswith(PNG)
    with pytest.raises(ValueError, match="at least one model"):
        shift_figure({}, gsd=10.0)
    designs = pd.DataFrame({"design": ["a"], "stride": [2], "miou": [0.5], "bound_miou": [0.8]})
    assert budget_figure(designs, {"miou": "mIoU"}, title="Designs").png.startswith(PNG)
