import json

import pytest
from typer.testing import CliRunner

from workbench.commands.catalog import app
from workbench.errors import CatalogError

TEXT = """
version: 1
datasets:
  here:
    description: Footprints that lie here. With [brackets].
    sensor: enmap
    layout: footprints
    source: {type: local, path: here.geojson, obtain: Draw them.}
    license: CC0-1.0
    citation: Nobody (2020)
    gsd: 30
  away:
    description: Footprints that lie elsewhere.
    layout: footprints
    source: {type: local, path: "away/*", obtain: Ask.}
    license: CC0-1.0
    citation: Nobody (2020)
  wheel:
    description: Points of a package.
    layout: land_outline
    source: {type: package, name: tiny-data, version: "1.0", members: ["*"]}
    checksum: sha256:%s
    license: CC0-1.0
    citation: Nobody (2020)
  made:
    description: Made up.
    layout: enmap_simulated
    source: {type: simulated, seed: 1}
    license: CC0-1.0
    citation: Nobody (2020)
""" % ("0" * 64)
TILE = {
    "type": "Feature",
    "properties": {"id": "a", "acquired": "2022-07-01T10:00:00Z", "crs": "EPSG:32632"},
    "geometry": {"type": "Polygon", "coordinates": [[[8, 48], [9, 48], [9, 49], [8, 48]]]},
}


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    (tmp_path / "c.yaml").write_text(TEXT)
    collection = {"type": "FeatureCollection", "features": [TILE]}
    (tmp_path / "here.geojson").write_text(json.dumps(collection))

    def invoke(*arguments):
        return CliRunner().invoke(app, [*arguments, "--catalog", str(tmp_path / "c.yaml")])

    return invoke


def test_list_has_a_line_for_each_entry(run):
    done = run("list")
    assert done.exit_code == 0
    assert [line.split()[0] for line in done.output.splitlines()] == [
        "name",
        "here",
        "away",
        "wheel",
        "made",
    ]


def test_show_tells_all_about_one_entry(run):
    output = run("show", "here").output
    assert "With [brackets]." in output
    assert "30 m" in output
    assert "Draw them." in output
    assert "on this machine" in output


def test_check_of_everything_passes_when_nothing_is_damaged(run):
    done = run("check")
    assert done.exit_code == 0
    states = {line.split()[0]: line for line in done.output.splitlines()[1:]}
    assert "on this machine" in states["here"]
    assert "not on this machine" in states["away"]
    assert "not fetched yet" in states["wheel"]
    assert "made when asked for" in states["made"]


def test_check_of_a_named_entry_fails_when_it_is_absent(run):
    assert run("check", "here").exit_code == 0
    assert run("check", "here", "away").exit_code == 1


def test_a_deep_check_reads_tiles(run):
    done = run("check", "--deep")
    assert done.exit_code == 0
    assert "1 files, 1 tiles read, listing-sha256:" in done.output


def test_a_deep_check_fails_on_data_that_cannot_be_read(run, tmp_path):
    collection = {"type": "FeatureCollection", "features": [TILE | {"properties": {"id": "a"}}]}
    (tmp_path / "here.geojson").write_text(json.dumps(collection))
    done = run("check", "--deep")
    assert done.exit_code == 1
    assert "must have a column 'crs'" in done.output


def test_fetch_prints_the_folder_of_local_data(run, tmp_path):
    assert run("fetch", "here").output == f"here: {tmp_path}\n"


def test_fetch_without_names_is_for_packages_and_says_what_fails(run):
    done = run("fetch")
    assert isinstance(done.exception, CatalogError)
    assert "could not download tiny-data==1.0" in str(done.exception)


def test_the_schema_can_be_written(tmp_path):
    path = tmp_path / "schema.json"
    assert CliRunner().invoke(app, ["schema", "-o", str(path)]).exit_code == 0
    assert json.loads(path.read_text())["title"] == "CatalogDocument"
    assert json.loads(CliRunner().invoke(app, ["schema"]).output) == json.loads(path.read_text())
