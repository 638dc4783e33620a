import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from tests.evaluation.made_results import FOREST, made_table
from workbench.commands.table import table
from workbench.errors import ManifestError

app = typer.Typer()
app.command()(table)


def run(*arguments: object):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_results_become_files_beside_the_published_numbers(tmp_path):
    results = made_table(tmp_path / "results.parquet", FOREST)
    done = run(results.path, "--shape", "forest_segmentation", "-o", tmp_path / "t", "--draws", 400)
    assert done.exit_code == 0, done.output
    assert "published 88.72" in done.output
    cells = pd.read_parquet(tmp_path / "t" / "forest_segmentation.parquet")
    assert cells["value"].notna().sum() == 10


def test_published_numbers_need_no_results(tmp_path):
    done = run("--shape", "large_vits", "--out", tmp_path, "--formats", "md", "--name", "vits")
    assert done.exit_code == 0, done.output
    assert [p.name for p in tmp_path.iterdir()] == ["vits.md"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--shape", "other"], "--shape is one of"), (["--formats", "pdf"], "--formats are html")],
)
def test_wrong_usage_exits_with_2(arguments, message):
    done = run(*arguments)
    assert done.exit_code == 2
    assert message in done.output


def test_missing_results_are_named(tmp_path):
    done = run(tmp_path / "none.parquet")
    assert isinstance(done.exception, ManifestError)
    assert "there is none at" in str(done.exception)
