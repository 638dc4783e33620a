"""The split on a map and scores beside a baseline open without a network, and hold their rows."""

import numpy as np
import pandas as pd

from workbench.evaluation.tasks import scene_task
from workbench.execution import external_references
from workbench.synthetic.thin import thin_structures
from workbench.viz.scene_plots import beside_figure, split_figure

PNG = b"\x89PNG"


def scores():
    values = {name: [0.6, 0.7] for name in ("score", "gain", "gain_low", "gain_high", "seconds")}
    frame = pd.DataFrame({"training": ["<UNet>", "ViT"], **values, "above": [True, False]})
    return frame.assign(low=frame["score"] - 0.1, high=frame["score"] + 0.1)


def test_scores_beside_a_baseline_need_no_network_and_escape_names():
    view = beside_figure(scores(), (0.5, 0.4, 0.6), metric="IoU", title="<Scores>")
    assert external_references(view.page) == []
    assert view.png.startswith(PNG)
    assert "<UNet>" not in view.page


def test_the_split_of_a_scene_is_drawn():
    scene = thin_structures(128, per_side=1)
    task = scene_task("thin", scene, size=16, block=2, seed=0)
    view = split_figure(scene, task, title="A split")
    assert view.png.startswith(PNG)
    assert view.page is None


def test_windows_are_drawn_where_they_were_cut():
    from workbench.viz.scene_plots import _corner

    scene = thin_structures(64, per_side=1)
    task = scene_task("thin", scene, size=16, block=1, seed=0)
    column, row = _corner(task.test.ids[0])
    window = scene.image.data.values[:, row : row + 16, column : column + 16]
    assert np.array_equal(task.test[0][0].numpy(), window)
