"""HySpecNet-11k as published, and folders of any archive without a tile."""

from datetime import UTC, datetime

import numpy as np
import pytest

from tests.readers.made_archives import PRODUCT, entry, grid, numbered
from workbench.errors import TileError
from workbench.geo.raster import write_raster
from workbench.readers import read_tiles
from workbench.readers.hyspecnet import hyspecnet_patches, hyspecnet_split, open_hyspecnet
from workbench.sensors import sensor


@pytest.fixture
def hyspecnet(tmp_path):
    names = [f"{PRODUCT}-Y01460273_X0311043{i}" for i in range(3)]
    for name in names:
        image = numbered(224, 8).astype(np.int16)
        path = tmp_path / "patches" / PRODUCT / name / f"{name}-SPECTRAL_IMAGE.TIF"
        write_raster(path, image, grid(8, 30), nodata=-32768)
    folder = tmp_path / "splits" / "hard"
    folder.mkdir(parents=True)
    for split, name in zip(("train", "val", "test"), names, strict=True):
        (folder / f"{split}.csv").write_text(f"{PRODUCT}/{name}/{name}-DATA.npy\n")
    return tmp_path


def test_hyspecnet_patches_have_the_time_of_their_tile(hyspecnet):
    patches = hyspecnet_patches(hyspecnet)
    assert [p.view for p in patches] == [PRODUCT] * 3
    assert patches[0].acquired == datetime(2022, 11, 3, 16, 24, 38, tzinfo=UTC)
    data, contract = open_hyspecnet(patches[0].path)
    assert contract == sensor("enmap").contract()
    assert data.sel(band="B092").values[0, 0] == 92
    assert open_hyspecnet(patches[0].path, bands="all").data.shape[0] == 224
    tiles = read_tiles(entry(hyspecnet, "hyspecnet_11k", hyspecnet, "enmap"))
    assert {t.group for t in tiles} == {"0000004950"}


def test_suffixes_and_lists_may_be_written_in_other_ways(hyspecnet):
    for file in hyspecnet.glob("patches/*/*/*.TIF"):
        file.with_name(f"._{file.name}").write_bytes(b"\0")
        file.rename(file.with_suffix(".tif"))
    for split in hyspecnet.glob("splits/hard/*.csv"):
        split.write_bytes(b"\xef\xbb\xbf" + split.read_bytes().replace(b"\n", b" \r\n\r\n"))
    listed = hyspecnet_patches(hyspecnet)
    assert [p.path.suffix for p in listed] == [".tif"] * 3
    assert [p.path for p in hyspecnet_split(hyspecnet)] == [p.path for p in listed]
    (tile, *_) = read_tiles(entry(hyspecnet, "hyspecnet_11k", hyspecnet, "enmap"))
    assert tile.grid == grid(8, 30)


def test_hyspecnet_splits_are_read_as_published(hyspecnet):
    assert [p.split for p in hyspecnet_split(hyspecnet)] == ["train", "val", "test"]
    with pytest.raises(TileError, match=r"must have its split files, but .*easy"):
        hyspecnet_split(hyspecnet, "easy")
    (hyspecnet / "splits/hard/val.csv").write_text("../../x/y-DATA.npy\n")
    with pytest.raises(TileError, match=r"must have its patch"):
        hyspecnet_split(hyspecnet)


@pytest.mark.parametrize(
    "layout", ["enmap_l2a", "ssl4eo_s12", "ssl4eo_s12_v1_1", "hyspecnet_11k", "stac_enmap"]
)
def test_a_path_without_tiles_is_an_error(tmp_path, layout):
    (tmp_path / "empty").mkdir()
    with pytest.raises(TileError, match=r"There must be (a product|scenes|patches)"):
        read_tiles(entry(tmp_path, layout, tmp_path / "empty"))
