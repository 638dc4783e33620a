import numpy as np
import pytest

from tests.evaluation.made_results import FOREST, made_table
from workbench.errors import ManifestError
from workbench.evaluation.benchmark_tables import TableShape, benchmark_table
from workbench.evaluation.results import ResultsTable


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> ResultsTable:
    return made_table(tmp_path_factory.mktemp("study") / "results.parquet", FOREST)


@pytest.fixture(scope="module")
def cells(results):
    table = benchmark_table(results, "forest_segmentation", draws=400, rng=rng())
    return table.cells


def unet(cells, encoder, metric):
    """The block of a UNet's encoder, by pretraining."""
    block = cells.query("decoder == 'unet' and encoder == @encoder and metric == @metric")
    return block.set_index("init")


def test_our_runs_stand_beside_every_published_number(cells):
    assert len(cells) == 30
    assert cells["published"].notna().all()
    assert cells["value"].notna().sum() == 2 * len(FOREST)
    known = unet(cells, "resnet50", "overall_accuracy").loc["dino"]
    assert known["published"] == 88.18
    assert known["low"] < 95.0 < known["high"]
    assert cells["metric"].tolist()[:2] == ["overall_accuracy", "micro_iou"]
    assert cells["init"].tolist()[:5] == ["random", "random", "moco", "moco", "dino"]


def test_ties_share_letters_and_only_what_is_separated_is_best(cells):
    block = unet(cells, "resnet18", "micro_iou")
    assert block.loc["moco", "letters"] == block.loc["dino", "letters"] == "a"
    assert block.loc["random", "letters"] == "b"
    assert not block["is_best"].any()
    other = unet(cells, "resnet50", "micro_iou")
    assert other["is_best"].to_dict() == {"random": False, "moco": False, "dino": True}


def test_what_costs_more_and_scores_less_is_dominated(cells):
    block = unet(cells, "resnet18", "overall_accuracy")
    ours = block[block["value"].notna()]
    for init, cell in ours.iterrows():
        others = ours.drop(init)
        beaten = (others["value"] >= cell["value"]) & (others["cost"] <= cell["cost"])
        assert cell["is_dominated"] == beaten.any(), init
    assert ours.loc["random", "is_dominated"]


def test_the_floor_lies_between_a_tie_and_a_clear_difference(cells):
    floor = unet(cells, "resnet18", "overall_accuracy").loc["moco", "floor"]
    assert 0.1 < floor < 10


def test_flags_and_leaks_are_told(results):
    table = benchmark_table(results, "forest_segmentation", draws=400, rng=rng())
    odd = table.cells[table.cells["flags"] != ""]
    assert "most likely a slip for 79.49" in " ".join(odd["flags"])
    assert any("Up to 25.0% of test patches" in note for note in table.notes)
    assert any(note.startswith("Resolution floor: differences below") for note in table.notes)
    assert any("Single runs" in note for note in table.notes)
    assert table.definitions["micro_iou"].startswith("Intersection over union of all classes")


def test_few_seeds_are_printed_and_claim_nothing(tmp_path):
    few = made_table(tmp_path / "few.parquet", FOREST, n_seeds=2)
    table = benchmark_table(few, "forest_segmentation", draws=400, rng=rng())
    ours = table.cells[table.cells["value"].notna()]
    assert ours["low"].isna().all()
    assert not ours["is_best"].any()
    assert (ours["letters"] == "").all()
    assert any("10 cells have fewer than 5 seeds" in note for note in table.notes)


def test_published_numbers_stand_alone_and_other_shapes_are_free(results):
    alone = benchmark_table(None, "ssl_comparison", rng=rng())
    assert len(alone.cells) == 57
    assert alone.cells["value"].isna().all()
    shape = TableShape(("init",), ("encoder",), ("encoder",), cost="seconds")
    free = benchmark_table(
        results, shape, metrics="macro_miou", where={"decoder": "unet"}, draws=400, rng=rng()
    )
    assert set(free.cells["encoder"]) == {"resnet18", "resnet50"}
    assert free.title == "Results"


def test_what_is_not_in_the_results_is_named(results):
    with pytest.raises(ManifestError, match="needs the column 'stem', but the results have"):
        benchmark_table(results, TableShape(("stem",), ("init",), ("stem",)), rng=rng())
    with pytest.raises(ManifestError, match="'forest' has the metric 'macro_map'"):
        benchmark_table(results, "forest_segmentation", metrics="macro_map", rng=rng())
    with pytest.raises(ManifestError, match="has neither"):
        benchmark_table(None, TableShape(("init",), ("task",), ("task",)), rng=rng())
