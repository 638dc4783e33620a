"""The shipped notebooks run to their end on made tiles; this needs no browser."""

import json

import pytest

pytestmark = [pytest.mark.notebook, pytest.mark.slow]


def records(run):
    paths = sorted((run / "records").glob("*.json"))
    return [json.loads(p.read_text()) for p in paths if not p.name.endswith(".outputs.json")]


def test_every_notebook_of_the_chain_ends_well(run, workplace):
    told = json.loads((run / "run.json").read_text())
    assert told["status"] == "ok"
    notebooks = sorted(path.stem for path in (workplace / "notebooks").glob("*.ipynb"))
    assert [record["step"] for record in records(run)] == notebooks
    assert {record["status"] for record in records(run)} == {"ok"}


def test_every_notebook_leaves_something_and_all_of_it_is_there(run):
    for record in records(run):
        assert record["artifacts"], record["step"]
        for artifact in record["artifacts"]:
            assert (run / artifact["path"]).stat().st_size == artifact["bytes"], artifact["path"]


def test_no_page_asks_the_network(run):
    for record in records(run):
        assert record["external"] == 0, record["step"]
        assert not any(artifact.get("external") for artifact in record["artifacts"])


def test_nothing_is_written_beside_the_run_folder(run, workplace):
    assert {path.name for path in workplace.iterdir()} == {
        *("notebooks", "runs", "data_catalog.yaml", "tiles.gpkg", "land.gpkg", "landsat")
    }
    assert {path.suffix for path in (workplace / "notebooks").iterdir()} == {".ipynb", ".yaml"}
