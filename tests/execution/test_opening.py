"""What a run has made, listed and shown."""

import geopandas as gpd
import matplotlib.pyplot as plt
import pandas as pd
import pytest
import shapely

from workbench.errors import NotebookRunError
from workbench.execution import RunFolder, RunRecord, StepRecord, list_runs, results_of
from workbench.execution.artifacts import read_outputs
from workbench.execution.report import write_report


@pytest.fixture
def run_dir(tmp_path):
    """A run with one output of each kind."""
    out = RunFolder(tmp_path / "runs" / "first", step="01")
    figure, axes = plt.subplots(figsize=(1, 1))
    axes.plot([0, 1])
    out.figure(figure, "curve", title="A <curve>")
    plt.close(figure)
    out.table(pd.DataFrame({"n": range(50), "x": 0.5}), "numbers", title="Numbers")
    out.page('<p>a "map" &amp; more</p>', "coverage")
    (out.root / "model.bin").write_bytes(b"weights")
    out.file("model.bin")
    step = StepRecord("01", "01.ipynb", "ok", title="First", page="notebooks/01.html")
    step.artifacts = read_outputs(out.root, "01")["artifacts"]
    step.write(out.root)
    (out.root / "notebooks").mkdir()
    (out.root / "notebooks" / "01.html").write_text("<p>the notebook</p>")
    run = RunRecord("first", "A run", "chain.yaml", "workbench run", "ok", steps=[step])
    run.write(out.root)
    write_report(run, out.root)
    return out.root


def test_everything_a_run_has_made_is_listed_in_order(run_dir):
    results = results_of(run_dir)
    assert [(r.kind, r.title, r.step) for r in results] == [
        ("report", "Report of the run", ""),
        ("notebook", "First", "01"),
        ("figure", "A <curve>", "01"),
        ("table", "Numbers", "01"),
        ("page", "coverage", "01"),
        ("file", "model", "01"),
    ]
    (run_dir / "maps" / "coverage.html").unlink()
    assert len(results_of(run_dir)) == 5
    assert "is no longer there" in results[4]._repr_html_()
    with pytest.raises(NotebookRunError, match="must be the folder of a run"):
        results_of(run_dir.parent)


def test_each_kind_shows_itself_without_the_files(run_dir):
    shown = {result.kind: result._repr_html_() for result in results_of(run_dir)}
    assert 'alt="A &lt;curve&gt;"' in shown["figure"]
    assert "data:image/png;base64," in shown["figure"]
    assert "Numbers: 20 of 50 rows, 2 of 2 columns" in shown["table"]
    assert 'srcdoc="&lt;p&gt;a &quot;map&quot; &amp;amp; more&lt;/p&gt;"' in shown["page"]
    assert "allow-same-origin" not in shown["page"]
    assert "href=&quot;notebooks" not in shown["report"]  # from a frame it would lead nowhere
    assert "href=&quot;#01&quot;" in shown["report"]
    assert "model.bin" in shown["file"]


def test_tables_with_geometries_and_without_rows_are_shown(tmp_path):
    out = RunFolder(tmp_path, step="01")
    places = gpd.GeoDataFrame({"id": ["a"]}, geometry=[shapely.Point(1, 2)], crs="EPSG:4326")
    out.table(places, "places")
    out.table(pd.DataFrame({"n": []}), "none")
    step = StepRecord("01", "01.ipynb", "ok")
    step.artifacts = read_outputs(tmp_path, "01")["artifacts"]
    step.write(tmp_path)
    RunRecord("r", "r", "c", "w", "ok", steps=[step]).write(tmp_path)
    shown = [result._repr_html_() for result in results_of(tmp_path)]
    assert "21 bytes" in shown[0]
    assert "none: 0 of 0 rows, 1 of 1 columns" in shown[1]


def test_a_list_of_runs_can_be_had_again(run_dir):
    runs = list_runs(run_dir.parent)
    RunRecord("b", "b", "c", "w", "ok", started="2027").write(run_dir.parent / "second")
    assert len(runs) == 1
    assert [run.name for run in runs.again()] == ["second", "first"]
    assert repr(runs[0]).startswith("run first ok")
