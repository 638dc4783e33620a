"""SpectralEarth as published: patches without dates, tasks by their split files."""

import numpy as np
import pytest

from tests.readers.made_archives import entry, grid, numbered
from workbench.errors import CatalogError, TileError
from workbench.geo.raster import write_raster
from workbench.readers import read_tiles
from workbench.readers.spectralearth import (
    open_spectralearth,
    spectralearth_patches,
    spectralearth_task,
)
from workbench.sensors import sensor


def test_spectralearth_pretraining_patches(tmp_path):
    image = numbered(202, 16).astype(np.int16)
    for name in ("0287155/07676", "0287155/00012", "0000001/07676"):
        write_raster(tmp_path / "enmap" / f"{name}.tif", image, grid(16, 30))
    (tmp_path / "enmap" / "0000001" / "notes.tif").touch()
    patches = spectralearth_patches(tmp_path)
    assert [(p.location, p.view) for p in patches] == [
        ("0000001", "07676"),
        ("0287155", "00012"),
        ("0287155", "07676"),
    ]
    data, contract = open_spectralearth(patches[0].path)
    assert contract == sensor("enmap").contract()
    assert data.sel(band="B142").values[0, 0] == 127


def test_spectralearth_has_no_dates_and_so_no_tiles(tmp_path):
    write_raster(
        tmp_path / "enmap/0000001/00001.tif", numbered(202, 4).astype(np.int16), grid(4, 30)
    )
    with pytest.raises(CatalogError, match=r"which has no reader of tiles"):
        read_tiles(entry(tmp_path, "spectralearth", tmp_path / "enmap", "enmap"))


def test_spectralearth_task_follows_its_split_files(tmp_path):
    folder = tmp_path / "enmap_cdl"
    names = {
        "train": ["0287155/07676.tif", "0000007/00003.tif"],
        "val": [],
        "test": ["0000009/00003.tif"],
    }
    for split, lines in names.items():
        folder.mkdir(exist_ok=True)
        (folder / f"{split}.txt").write_text("\n".join(lines) + "\n")
        for line in lines:
            write_raster(folder / "enmap" / line, numbered(202, 4).astype(np.int16), grid(4, 30))
            write_raster(folder / "cdl" / line, np.ones((4, 4), np.uint8), grid(4, 30))
    found = spectralearth_task(tmp_path, "cdl")
    assert [p.split for p in found] == ["train", "train", "test"]
    assert found[0].label == folder / "cdl" / "0287155" / "07676.tif"
    (folder / "cdl" / "0000009" / "00003.tif").unlink()
    with pytest.raises(TileError, match=r"Every line of test.txt must have its files"):
        spectralearth_task(tmp_path, "cdl")
    (folder / "test.txt").write_text("../../etc/passwd\n")
    with pytest.raises(TileError, match=r"must be like 0287155/07676.tif"):
        spectralearth_task(tmp_path, "cdl")


def test_suffixes_and_lists_of_a_task_may_be_written_in_other_ways(tmp_path):
    folder = tmp_path / "enmap_cdl"
    for part in ("enmap", "cdl"):
        (folder / part / "0287155").mkdir(parents=True)
        (folder / part / "0287155" / "07676.TIF").touch()
        (folder / part / "0287155" / "._07676.tif").touch()
    for split in ("train", "val", "test"):
        (folder / f"{split}.txt").write_bytes(b"\xef\xbb\xbf0287155/07676.tif\r\n\r\n")
    found = spectralearth_task(tmp_path, "cdl")
    assert [p.path.name for p in found] == ["07676.TIF"] * 3
    assert [p.label.name for p in found] == ["07676.TIF"] * 3
    folder.rename(tmp_path / "pretraining")
    assert [p.view for p in spectralearth_patches(tmp_path / "pretraining")] == ["07676"]


def test_a_patch_of_another_sensor_is_refused(tmp_path):
    path = write_raster(tmp_path / "x.tif", numbered(198, 4).astype(np.int16), grid(4, 30))
    with pytest.raises(TileError, match=r"must have 202 bands, but .* has 198"):
        open_spectralearth(path)
