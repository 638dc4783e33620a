"""The forest experiment on the real Landsat scene: networks beat single pixels, seed by seed."""

import numpy as np
import pytest
import torch

from tests.conftest import needs_sample
from workbench.evaluation import ResultsTable, run_study
from workbench.evaluation.baselines import pixel_baseline
from workbench.evaluation.beside import beside
from workbench.evaluation.forest import forest_bench, forest_cells, forest_task
from workbench.readers.samples import nc_landsat_forest


@pytest.mark.slow
def test_three_unets_at_demo_scale_are_above_single_pixels_and_most_clearly(tmp_path):
    entry = needs_sample("nc_landsat_forest")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        task = forest_task(nc_landsat_forest(entry), seed=0)
        assert not set(task.train.groups) & set(task.test.groups)
        cells = [c for c in forest_cells("demo") if c.decoder == "unet"][:3]
        assert [c.seed for c in cells] == [0, 1, 2]
        results = ResultsTable(tmp_path / "forest.parquet")
        assert run_study(cells, forest_bench(task), results).count("finished") == 3
    finally:
        torch.set_num_threads(threads)
    pixels = pixel_baseline(task)
    rng = np.random.default_rng(0)
    table = beside(results, cells, pixels, "iou/forest", rng=rng)
    assert 0.5 < pixels.scores()["iou/forest"].value < 0.7
    assert (table["gain"] > 0.02).all(), table
    assert table["above"].sum() >= 2, table  # few blocks of ground: the interval of one may hold 0
