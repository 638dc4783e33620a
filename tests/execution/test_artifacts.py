import geopandas as gpd
import matplotlib
import pandas as pd
import pytest
import shapely

from workbench.errors import NotebookRunError
from workbench.execution import RunFolder
from workbench.execution.artifacts import read_outputs
from workbench.files import sha256_of

matplotlib.use("Agg")


@pytest.fixture
def out(tmp_path):
    return RunFolder(tmp_path / "run", step="01_step")


class Entry:
    name = "scenes"
    description = "Real  scenes.\nMany."
    license = "CC-BY-4.0"
    citation = "Someone (2020)"

    def fingerprint(self):
        return "sha256:00"


def test_every_output_is_listed_with_its_checksum(out):
    out.table(pd.DataFrame({"a": [1, 2]}), "numbers", title="Numbers")
    out.page("<!DOCTYPE html><p>map", "coverage")
    listed = read_outputs(out.root, "01_step")["artifacts"]
    assert [(a["path"], a["kind"], a["title"]) for a in listed] == [
        ("tables/numbers.parquet", "table", "Numbers"),
        ("maps/coverage.html", "page", ""),
    ]
    for artifact in listed:
        path = out.root / artifact["path"]
        assert artifact["sha256"] == sha256_of(path)
        assert artifact["bytes"] == path.stat().st_size
    assert listed[0]["rows"] == 2
    assert listed[0]["preview"] == {"columns": ["a"], "rows": [["1"], ["2"]]}


def test_a_preview_is_short_and_shows_no_nan(out):
    frame = pd.DataFrame({"a": [0.5, float("nan")] * 20, "b": ["x" * 100, None] * 20})
    out.table(frame, "t")
    preview = read_outputs(out.root, "01_step")["artifacts"][0]["preview"]
    assert len(preview["rows"]) == 8
    assert preview["rows"][0] == ["0.5", "x" * 47 + "…"]
    assert preview["rows"][1] == ["", ""]


def test_writing_again_replaces_file_and_entry(out):
    out.table(pd.DataFrame({"a": [1]}), "numbers")
    out.table(pd.DataFrame({"a": [1, 2, 3]}), "numbers")
    (artifact,) = read_outputs(out.root, "01_step")["artifacts"]
    assert artifact["rows"] == 3
    assert sorted(p.name for p in (out.root / "tables").iterdir()) == ["numbers.parquet"]


def test_tables_come_back_as_they_were(out):
    plain = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    placed = gpd.GeoDataFrame(plain, geometry=shapely.points([[1, 2], [3, 4]]), crs="EPSG:4326")
    out.table(plain, "plain")
    out.table(placed, "placed")
    pd.testing.assert_frame_equal(out.read_table("plain"), plain)
    found = out.read_table("placed")
    assert isinstance(found, gpd.GeoDataFrame)
    assert found.crs == placed.crs
    assert found.geometry.geom_equals(placed.geometry).all()


def test_two_writes_of_one_table_are_equal_byte_for_byte(out):
    frame = gpd.GeoDataFrame({"a": [1]}, geometry=shapely.points([[1, 2]]), crs="EPSG:4326")
    assert out.table(frame, "a").read_bytes() == out.table(frame, "b").read_bytes()


def test_a_table_of_another_step_can_be_read_but_a_missing_one_not(out):
    out.table(pd.DataFrame({"a": [1]}), "plan")
    later = RunFolder(out.root, step="02_step")
    assert list(later.read_table("plan")["a"]) == [1]
    with pytest.raises(NotebookRunError, match="run must hold a table 'plans' before it is read"):
        later.read_table("plans")


def test_two_steps_may_not_write_one_file(out):
    out.table(pd.DataFrame({"a": [1]}), "plan")
    with pytest.raises(
        NotebookRunError, match=r"tables/plan\.parquet is an output of step '01_step'"
    ):
        RunFolder(out.root, step="02_step").table(pd.DataFrame({"a": [2]}), "plan")


@pytest.mark.parametrize("name", ["", "../a", "a/b", ".a", "a b", "ä"])
def test_names_are_plain(out, name):
    with pytest.raises(NotebookRunError, match="The name of an output must be letters"):
        out.page("", name)


def test_a_figure_becomes_a_png(out):
    from matplotlib.figure import Figure

    figure = Figure()
    figure.subplots().plot([1, 2])
    path = out.figure(figure, "line")
    assert path.read_bytes().startswith(b"\x89PNG")


def test_a_page_that_asks_the_network_is_counted_and_logged(out, caplog):
    out.page('<script src="https://cdn.example.org/a.js"></script>', "bad")
    (artifact,) = read_outputs(out.root, "01_step")["artifacts"]
    assert artifact["external"] == 1
    assert "bad.html asks the network for 1 file(s)" in caplog.text


def test_a_preview_stands_beside_its_page(out):
    out.page("<p>map", "coverage", preview=b"\x89PNG")
    (artifact,) = read_outputs(out.root, "01_step")["artifacts"]
    assert (out.root / artifact["preview"]).read_bytes() == b"\x89PNG"


def test_metrics_add_up_and_undefined_numbers_are_null(out):
    import numpy as np

    out.metrics({"edges": np.int64(573), "iou": float("nan")})
    out.metrics({"share": np.float32(0.5)})
    metrics = read_outputs(out.root, "01_step")["metrics"]
    assert metrics == {"edges": 573, "iou": None, "share": 0.5}
    assert (out.root / "metrics" / "01_step.json").is_file()


def test_data_used_are_remembered(out):
    out.used_data(Entry())
    assert read_outputs(out.root, "01_step")["data"]["scenes"] == {
        "fingerprint": "sha256:00",
        "description": "Real scenes. Many.",
        "licence": "CC-BY-4.0",
        "citation": "Someone (2020)",
    }


def test_a_file_is_listed_only_inside_the_run(out, tmp_path):
    (out.root / "manifest.parquet").parent.mkdir(parents=True, exist_ok=True)
    (out.root / "manifest.parquet").write_bytes(b"x")
    assert out.file("manifest.parquet") == out.root / "manifest.parquet"
    (tmp_path / "outside").write_bytes(b"x")
    for path in ("none", "../outside"):
        with pytest.raises(
            NotebookRunError, match="An output must be a file inside the run folder"
        ):
            out.file(path)


def test_a_listed_file_may_be_named_as_a_notebook_names_it(tmp_path, monkeypatch):
    """``f"{run_dir}/manifest.parquet"``, with a run folder relative to the notebook's folder."""
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "runs").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    (tmp_path / "runs" / "manifest.parquet").write_bytes(b"x")
    out = RunFolder("../runs")
    for path in ("../runs/manifest.parquet", "manifest.parquet", out.root / "manifest.parquet"):
        assert out.file(path) == out.root / "manifest.parquet"


def test_without_a_runner_the_step_is_called_lab(tmp_path, monkeypatch):
    monkeypatch.delenv("WORKBENCH_STEP", raising=False)
    assert RunFolder(tmp_path).step == "lab"
    monkeypatch.setenv("WORKBENCH_STEP", "03")
    assert repr(RunFolder(tmp_path)) == f"RunFolder('{tmp_path}', step='03', 0 outputs)"
