"""The classifier of single pixels: right where spectra tell, no better than chance where not."""

import numpy as np
import pytest
import xarray as xr

from workbench.errors import EvaluationError
from workbench.evaluation.baselines import pixel_baseline
from workbench.evaluation.tasks import scene_task
from workbench.legends import Legend, LegendClass
from workbench.readers.images import Image
from workbench.readers.samples import LabelledScene
from workbench.sensors import sensor

LEGEND = Legend(
    "two", "Two", (LegendClass("dark", (1,), "#000000"), LegendClass("light", (2,), "#ffffff"))
)


def made_task(apart, labels=None):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, (64, 64)) if labels is None else labels
    image = rng.normal(0, 1, (2, 64, 64)) + apart * labels
    contract = sensor("enmap").contract(["B001", "B002"])
    data = xr.DataArray(image.astype(np.float32), dims=("band", "y", "x"))
    scene = LabelledScene(Image(data, contract), labels.astype(np.uint8), LEGEND)
    return scene_task("light", scene, size=8, block=2, seed=0)


def accuracy(task):
    return pixel_baseline(task).scores()["overall_accuracy"].value


def test_it_reaches_what_the_spectra_allow():
    assert accuracy(made_task(6.0)) > 0.99
    assert 0.4 < accuracy(made_task(0.0)) < 0.6
    # two bands, each one standard deviation apart: the best rule is right in 76 % of the cases
    assert accuracy(made_task(1.0)) == pytest.approx(0.76, abs=0.03)


def test_its_counts_know_their_blocks_of_ground():
    task = made_task(1.0)
    record = pixel_baseline(task)
    assert record.groups == task.test.groups


def test_one_class_is_refused():
    with pytest.raises(EvaluationError, match="two classes"):
        pixel_baseline(made_task(1.0, np.zeros((64, 64), int)))
