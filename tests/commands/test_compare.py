"""`workbench compare` from the shell: stores in, table, paragraph, ranking and page out."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import ndimage
from typer.testing import CliRunner

from workbench.__main__ import app, main
from workbench.evaluation import Predictions, write_predictions

IDS = (*(f"n{i:02d}" for i in range(11)), "<script>alert(1)</script>")


@pytest.fixture
def stores(tmp_path) -> list[str]:
    """Labels with hedges, a model with a clearing, and one that loses hedges."""
    rng = np.random.default_rng(0)
    noise = ndimage.gaussian_filter(rng.normal(size=(12, 48, 48)), (0, 5, 5))
    target = (noise > 0).astype(np.uint8)
    target[:, 20:22] = 1
    detailed, coarse = target.copy(), target.copy()
    detailed[::4, 30:38, 30:40] ^= 1
    coarse[:6, 20:22, 8:30] = noise[:6, 20:22, 8:30] > 0
    names = {"targets": target, "detailed <b>": detailed, "coarse": coarse}
    folders = []
    for number, (name, maps) in enumerate(names.items()):
        order = rng.permutation(12)
        ids = tuple(IDS[i] for i in order)
        store = Predictions(name, ids, maps[order], ("open", "wood"), 10.0, ignore_index=9)
        write_predictions(tmp_path / str(number), store)
        folders.append(str(tmp_path / str(number)))
    return [folders[1], folders[2], "--targets", folders[0], "--draws", "200"]


def test_two_stores_are_compared_and_written(stores, tmp_path):
    page, ranking = tmp_path / "out" / "compare.html", tmp_path / "ranking.parquet"
    told = CliRunner().invoke(
        app, ["compare", *stores, "-o", str(page), "--ranking", str(ranking), "--patches", "5"]
    )
    assert told.exit_code == 0, told.output
    flat = " ".join(told.output.split())
    for words in ("mIoU", "Boundary IoU", "points, 95 % interval", "They disagree most on patch"):
        assert words in flat
    table = pd.read_parquet(ranking)
    assert sorted(table["id"]) == sorted(IDS)
    html = page.read_text(encoding="utf-8")
    assert "detailed <b>" not in html
    assert "<script>alert(1)" not in html


def test_pictures_come_from_a_folder_and_must_all_be_there(stores, tmp_path, capsys, monkeypatch):
    images = tmp_path / "images"
    images.mkdir()
    for name in IDS[:11]:
        Image.fromarray(np.zeros((48, 48, 3), np.uint8)).save(images / f"{name}.png")
    words = ["compare", *stores, "-o", str(tmp_path / "x.html"), "--images", str(images)]
    monkeypatch.setattr(sys, "argv", ["workbench", *words])
    with pytest.raises(SystemExit):
        main()
    assert "must hold a picture of each patch shown" in capsys.readouterr().err
    assert CliRunner().invoke(app, [*words, "--patches", "1"]).exit_code == 0
    assert Path(tmp_path / "x.html").is_file()


def test_the_same_model_twice_and_no_store_are_refused(stores, capsys, monkeypatch):
    for folders, message in (
        ([stores[0], stores[0]], "Two models need two folders"),
        (["nowhere", stores[1]], "There is no set of predictions at"),
    ):
        monkeypatch.setattr(sys, "argv", ["workbench", "compare", *folders, *stores[2:]])
        with pytest.raises(SystemExit) as left:
            main()
        assert left.value.code == 1
        assert message in capsys.readouterr().err
