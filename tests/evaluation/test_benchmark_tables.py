import numpy as np
import pytest

from tests.evaluation.made_results import FOREST, made_result, made_table
from workbench.errors import ManifestError
from workbench.evaluation.benchmark_tables import SHAPES, TableShape, benchmark_table
from workbench.evaluation.results import ResultsTable
from workbench.evaluation.study import StudyCell, run_study
from workbench.evaluation.table_rows import usual_slice


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


def test_each_number_says_what_it_is_and_where_it_is_from(results):
    where = {"fraction": 1.0}
    table = benchmark_table(
        results, "forest_segmentation", where=where, data="made counts", draws=100, rng=rng()
    )
    assert table.notes[0] == "Ours: made counts; not the data of the published numbers."
    assert table.notes[1] == "Ours: rows with fraction 1."
    assert set(table.definitions) == {
        "overall_accuracy", "micro_iou", "Overall Accuracy, as printed", "Mean IoU, as printed"
    }  # fmt: skip
    ours = table.cells[table.cells["value"].notna()]
    assert (ours["seconds"] == 1.5).all()
    assert (ours["flops"] == 1e9).all()
    bold = table.cells[table.cells["printed_bold"]]["published"]
    assert sorted(bold)[:2] == [77.49, 78.29]


def test_another_metric_beside_a_printed_one_is_told(tmp_path):
    quality = {("fcn", "spectral_vit_s", "random", "scratch"): (0.8, 10)}
    study = made_table(tmp_path / "results.parquet", quality, task="cdl")
    table = benchmark_table(study, "ssl_comparison", metrics="macro_miou", draws=100, rng=rng())
    assert any(n.startswith("Ours is macro_miou, the published number") for n in table.notes)
    ours = table.cells[table.cells["value"].notna()].iloc[0]
    assert (ours["metric"], ours["printed_metric"]) == ("macro_miou", "micro_iou")


def test_rows_of_two_splits_are_refused_even_if_they_got_into_one_file(results, tmp_path):
    frame = results.frame()
    frame.loc[3, "split_hash"] = "s2"
    mixed = ResultsTable(tmp_path / "mixed.parquet")
    frame.to_parquet(mixed.path)
    with pytest.raises(ManifestError, match=r"'forest' have split_hash 's1', 's2'"):
        benchmark_table(mixed, "forest_segmentation", draws=100, rng=rng())


def test_cells_of_several_kinds_are_refused_and_a_slice_of_them_is_not(tmp_path):
    study = ResultsTable(tmp_path / "results.parquet")
    cells = [
        StudyCell("forest", "resnet18", "random", "scratch", "unet", seed, fraction,
                  options={"stem": stem})
        for seed in range(5)
        for fraction, stem in ((1.0, "detail"), (0.5, "detail"), (1.0, "standard"))
    ]  # fmt: skip
    run_study(cells, lambda cell: made_result(cell, 0.7 + 0.2 * cell.fraction, 100), study)
    with pytest.raises(ManifestError, match=r"differ in the seed alone, but differ in 'fraction'"):
        benchmark_table(study, "forest_segmentation", draws=100, rng=rng())
    shape = SHAPES["forest_segmentation"]
    where = usual_slice(study.frame(), [*shape.rows, *shape.columns, *shape.block])
    assert where == {"fraction": 1.0, "stem": "detail"}
    table = benchmark_table(study, shape, where=where, draws=100, rng=rng())
    ours = table.cells[table.cells["value"].notna()]
    assert ours["n_seeds"].tolist() == [5, 5]
    assert "Ours: rows with fraction 1, stem detail." in table.notes
    with pytest.raises(ManifestError, match=r"No row has fraction = 0.3, .* \(0.5, 1 occur\)"):
        benchmark_table(study, shape, where={"fraction": 0.3}, rng=rng())


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
