"""`workbench compare` from the shell: stores in, table, paragraph, ranking and page out."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import ndimage
from typer.testing import CliRunner

from workbench.__main__ import app, main
from workbench.evaluation import Predictions, read_predictions, write_predictions

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


def test_both_models_can_be_read_at_80_columns(stores, tmp_path):
    """As fine-tuning names them: over a hundred characters, of which one word differs."""
    for number, stem in ((1, "standard"), (2, "detail")):
        made = read_predictions(tmp_path / str(number))
        cell = {"task": "tree_mask", "encoder": "resnet", "decoder": "unet", "stem": stem}
        name = " / ".join(f"{k}={v}" for k, v in cell.items()) + ", steps=60, weights=0123" * 3
        maps = np.array(made.maps)
        write_predictions(tmp_path / str(number), replace(made, maps=maps, model=name, design=cell))
    told = CliRunner().invoke(app, ["compare", *stores], env={"COLUMNS": "80"})
    assert told.exit_code == 0, told.output
    lines = told.output.splitlines()
    assert any(line.startswith("A = stem=") for line in lines)
    assert any(line.startswith("B = stem=") for line in lines)
    for row in ("mIoU", "Boundary IoU", "Boundary curve"):
        (line,) = [line for line in lines if line.startswith(row + " ")]
        assert len(line) <= 80
        numbers = line.removeprefix(row).split()
        assert [float(n) for n in numbers[:3]][2] == pytest.approx(
            float(numbers[0]) - float(numbers[1]), abs=0.011
        )
    flat = " ".join(told.output.split())
    assert "floor: the smallest difference" in flat
    assert "No groups" in flat
    named = CliRunner().invoke(app, ["compare", *stores, "--names", "[/bold],x"])
    assert named.exit_code == 0, named.output
    assert "[/bold]" in named.output
