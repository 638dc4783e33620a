import re

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from shapely.geometry import Point

from workbench.errors import NotebookRunError
from workbench.execution import RunFolder, RunRecord, StepRecord, compare_runs, external_references
from workbench.execution.artifacts import read_outputs
from workbench.execution.run_comparison import table_difference
from workbench.execution.run_comparison_page import write_comparison


def make_run(folder, *, factor=1.0, extra=False, seed=0):
    """A finished run of one step, with tables, a figure and numbers."""
    out = RunFolder(folder, step="01")
    out.table(pd.DataFrame({"epoch": range(5), "loss": np.arange(5) * factor}), "curve")
    places = gpd.GeoDataFrame(
        {"tile": ["<b>a</b>", "b"], "area": [1.0, 2.0 * factor]},
        geometry=[Point(0, 0), Point(1, factor)],
        crs="EPSG:4326",
    )
    out.table(places, "places")
    out.table(pd.DataFrame({"same": [1, 2]}), "same")
    figure = Figure(figsize=(2, 1))
    figure.subplots().plot([0, factor])
    out.figure(figure, "plot")
    out.metrics({"score": 0.5 * factor})
    if extra:
        out.page("<p>", "map")
    outputs = read_outputs(out.root, "01")
    record = StepRecord("01", "01.ipynb", "ok", parameters={"seed": seed, "run_dir": str(folder)})
    record.artifacts, record.metrics = outputs["artifacts"], outputs["metrics"]
    record.provenance = {"commit": "c" * 40}
    record.write(out.root)
    run = RunRecord(out.root.name, "A run", "chain.yaml", "workbench run", "ok", steps=[record])
    run.write(out.root)
    return out.root


def test_two_runs_with_the_same_inputs_are_the_same(tmp_path):
    found = compare_runs(make_run(tmp_path / "a"), make_run(tmp_path / "b"))
    assert found.same_results
    assert found.rows() == []
    assert found.equal_tables == [f"tables/{n}.parquet" for n in ("curve", "places", "same")]
    assert repr(found) == "a and b: the same results; 3 tables are equal byte for byte"


def test_what_differs_is_found_and_shown(tmp_path):
    a = make_run(tmp_path / "a")
    b = make_run(tmp_path / "b", factor=3.0, extra=True, seed=4)
    found = compare_runs(a, b)
    assert not found.same_results
    assert [(d.name, d.a, d.b) for d in found.parameters] == [("seed", 0, 4)]
    assert [(d.name, d.change) for d in found.metrics] == [("score", 1.0)]
    assert found.only_b == ["maps/map.html"]
    assert found.figures == [("figures/plot.png", False)]
    curve, places = found.tables
    assert (curve.key, curve.changed_rows, curve.columns) == ("epoch", 4, {"loss": (4, 8.0)})
    assert places.columns == {"area": (1, 4.0), "geometry": (1, None)}
    page = write_comparison(found, tmp_path / "page.html").read_text(encoding="utf-8")
    assert external_references(page) == []
    assert "<b>a</b>" not in page
    assert "<polyline" in page
    assert page.count("data:image") == 2


def test_curves_of_several_methods_in_one_table_are_drawn_apart(tmp_path):
    runs = []
    for name, factor in (("a", 1.0), ("b", 2.0)):
        out = make_run(tmp_path / name, factor=factor)
        steps, nan = np.arange(4), np.full(4, np.nan)
        logs = {
            "moco": pd.DataFrame({"step": steps, "loss": factor * steps, "top1": factor - steps}),
            "<i>mae</i>": pd.DataFrame({"step": steps, "loss": factor + steps, "top1": nan}),
        }
        table = pd.concat(logs, names=["method"]).reset_index(level="method")
        table.to_parquet(out / "tables" / "curve.parquet", index=False)
        runs.append(out)
    page = write_comparison(compare_runs(*runs), tmp_path / "p.html").read_text(encoding="utf-8")
    drawn = re.findall(r'role="img" aria-label="([^"]*)"', page)
    assert sorted(drawn) == [  # nothing is drawn of what mae has no numbers of
        "curve: &lt;i&gt;mae&lt;/i&gt;: loss",
        "curve: moco: loss",
        "curve: moco: top1",
    ]
    assert page.count("<polyline") == 6


def test_rows_are_matched_by_their_key():
    a = pd.DataFrame({"id": ["x", "y", "z"], "v": [1.0, np.nan, 3.0]})
    b = pd.DataFrame({"id": ["z", "y", "w"], "v": [5.0, np.nan, 1.0]})
    found = table_difference(a, b, "t")
    assert (found.key, found.only_a, found.only_b, found.changed_rows) == ("id", 1, 1, 1)
    assert found.columns == {"v": (1, 2.0)}
    assert found.examples == [{"id": "z", "v": (3.0, 5.0)}]


@pytest.mark.parametrize("seed", range(4))
def test_changes_are_those_of_a_loop_over_all_cells(seed):
    rng = np.random.default_rng(seed)
    a = pd.DataFrame({"k": [1] * 30, "x": rng.integers(0, 3, 30), "y": rng.random(30).round(1)})
    b = a.copy()
    for row in rng.integers(0, 30, 8):
        b.loc[row, "x"] += rng.integers(-1, 2)
    found = table_difference(a, b, "t")
    changed = [i for i in range(30) if (a.loc[i] != b.loc[i]).any()]
    assert (found.key, found.changed_rows) == ("", len(changed))
    assert [row["row"] for row in found.examples] == changed


def test_empty_tables_and_other_columns_are_no_trouble():
    a, b = pd.DataFrame({"x": pd.Series([], dtype=float)}), pd.DataFrame({"y": [1]})
    found = table_difference(a, b, "t")
    assert (found.rows, found.changed_rows) == ((0, 1), 0)
    assert set(found.columns) == {"x (in one only)", "y (in one only)"}


def test_a_folder_without_a_run_is_named(tmp_path):
    with pytest.raises(
        NotebookRunError, match=r"must be the folder of a run, but has no run\.json"
    ):
        compare_runs(tmp_path, tmp_path)
