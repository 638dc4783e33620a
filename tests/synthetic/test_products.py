import hashlib
import re
import xml.etree.ElementTree as ET
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from workbench.geo.footprint import area_m2
from workbench.geo.raster import RasterFile, raster_info, read_raster
from workbench.readers.enmap import discover_enmap, read_product
from workbench.sensors import sensor
from workbench.synthetic import NODATA, CampaignTruth, simulate_campaign

FOLDER = r"ENMAP01-____L2A-DT\d{10}_\d{8}T\d{6}Z_\d{3}_V\d{6}_\d{8}T\d{6}Z"
PARTS = [
    "METADATA.XML", "QL_PIXELMASK.TIF", "QL_QUALITY_CIRRUS.TIF", "QL_QUALITY_CLASSES.TIF",
    "QL_QUALITY_CLOUD.TIF", "QL_QUALITY_CLOUDSHADOW.TIF", "QL_QUALITY_HAZE.TIF",
    "QL_QUALITY_SNOW.TIF", "QL_QUALITY_TESTFLAGS.TIF", "QL_SWIR.TIF", "QL_VNIR.TIF",
    "SPECTRAL_IMAGE.TIF",
]  # fmt: skip


def part(truth: CampaignTruth, tile: str, name: str) -> Path:
    return truth.products / tile / f"{tile}-{name}"


def broken(truth: CampaignTruth, why: str) -> str:
    return next(i for i, reason in truth.broken.items() if reason == why)


def digests(folder: Path) -> dict[str, str]:
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def test_folders_and_files_have_genuine_names(truth) -> None:
    folders = sorted(truth.products.iterdir())
    assert [f.name for f in folders] == sorted(truth.tile_ids)
    for folder in folders:
        assert re.fullmatch(FOLDER, folder.name)
        names = sorted(f.name.removeprefix(f"{folder.name}-") for f in folder.iterdir())
        lacking = ["METADATA.XML"] if truth.broken.get(folder.name) == "no metadata" else []
        assert names == [p for p in PARTS if p not in lacking]


def test_image_holds_the_truth_as_the_genuine_ones_do(truth) -> None:
    for tile in (*truth.kept, *truth.dropped):
        info = raster_info(part(truth, tile, "SPECTRAL_IMAGE.TIF"))
        assert (info.count, info.dtype, info.nodata) == (224, "int16", NODATA)
        assert info.grid == truth.acquisition(tile).grid
        assert "simulated" in (info.band_names[0] or "")
    for tile in (truth.kept[0], truth.kept[-1]):
        stored = read_raster(part(truth, tile, "SPECTRAL_IMAGE.TIF"))
        assert np.array_equal(stored, truth.truth_reflectance(tile))


def test_layers_and_pixel_mask_hold_the_truth(truth) -> None:
    tile = next(a.id for a in truth.campaign.acquisitions if a.defective_columns)
    rendered = truth.render(tile)
    for name, layer in rendered.layers.items():
        assert np.array_equal(read_raster(part(truth, tile, f"QL_{name}.TIF"))[0], layer)
    assert np.array_equal(read_raster(part(truth, tile, "QL_PIXELMASK.TIF")), rendered.defective)


def test_quicklooks_show_three_bands(truth) -> None:
    tile = truth.kept[0]
    cube = truth.truth_reflectance(tile)
    centres = np.array([b.wavelength_nm for b in sensor("enmap").bands])
    for name, channels in (
        ("QL_VNIR", (847.1, 671.21, 548.06)),
        ("QL_SWIR", (2201, 1645.3, 1051.3)),
    ):
        bands = [np.abs(centres - nm).argmin() for nm in channels]
        assert np.array_equal(read_raster(part(truth, tile, f"{name}.TIF")), cube[bands])


def test_metadata_has_the_genuine_tags_and_says_simulated(truth) -> None:
    tile = truth.kept[0]
    acquisition = truth.acquisition(tile)
    root = ET.parse(part(truth, tile, "METADATA.XML")).getroot()
    assert root.tag == "level_X"
    texts = {
        "metadata/schema/processingLevel": "L2A",
        "metadata/name": f"{tile}-METADATA.XML",
        "base/level": "L2A",
        "base/archivedVersion": "01.04.02",
        "specific/datatakeID": acquisition.datatake,
        "specific/missionPhase": "simulated",
        "product/ortho/projection": f"UTM_Zone{acquisition.grid.crs[-2:]}_North",
        "product/image/merge/dimension/columns": "48",
    }
    for path, expected in texts.items():
        assert root.findtext(path) == expected, path
    assert "Simulated" in (root.findtext("metadata/comment") or "")
    bands = root.findall("specific/bandCharacterisation/bandID")
    table = sensor("enmap").bands
    assert [float(b.findtext("wavelengthCenterOfBand") or 0) for b in bands] == [
        b.wavelength_nm for b in table
    ]
    assert {b.findtext("GainOfBand") for b in bands} == {"0.0001"}
    assert len(root.findall("base/spatialCoverage/boundingPolygon/point")) == 6


def test_statistics_mark_bands_without_data(truth) -> None:
    tile = next(a.id for a in truth.campaign.acquisitions if a.bad_bands == (75, 76))
    root = ET.parse(part(truth, tile, "METADATA.XML")).getroot()
    found = {
        int(b.get("number") or 0): (b.findtext("mean"), b.findtext("stdDeviation"))
        for b in root.findall("product/bandStatistics/bandID")
    }
    assert len(found) == 224
    assert [n for n, s in found.items() if s == ("-1000000", "0")] == [75, 76]
    valid = truth.acquisition(tile).valid()
    mean = truth.truth_reflectance(tile)[9][valid].mean() * 1e-4
    assert float(found[10][0] or 0) == pytest.approx(mean, rel=1e-4)


def test_covers_in_metadata_are_counted(truth) -> None:
    for tile in truth.kept:
        root = ET.parse(part(truth, tile, "METADATA.XML")).getroot()
        layers, valid = truth.render(tile).layers, truth.acquisition(tile).valid()
        for tag, layer in (("cloudCover", "CLOUD"), ("snowCover", "SNOW"), ("hazeCover", "HAZE")):
            share = (layers[f"QUALITY_{layer}"][valid] > 0).mean()
            stated = root.findtext(f"specific/qualityFlag/{tag}")
            assert float(stated or -1) == pytest.approx(100 * share, abs=0.51)


def test_readers_find_every_whole_product_and_skip_each_broken_one(truth) -> None:
    tiles, skipped = discover_enmap(truth.products)
    assert [t.id for t in tiles] == sorted((*truth.kept, *truth.dropped))
    assert {s.path.name for s in skipped} == set(truth.broken)
    for tile in tiles:
        acquisition = truth.acquisition(tile.id)
        # Tiles of a datatake follow one another by 5 s; all are dated by its start.
        datatake_start = acquisition.start - timedelta(seconds=5 * (acquisition.tile - 1))
        assert (tile.crs, tile.acquired) == (acquisition.grid.crs, datatake_start)
        assert tile.group == acquisition.datatake
        outside = tile.footprint.difference(acquisition.footprint)
        missing = acquisition.footprint.difference(tile.footprint)
        margin = 4 * acquisition.side * 30 * 30  # one pixel all around
        assert (area_m2([outside, missing]) < [0.2 * margin, 1.8 * margin]).all()


def test_valid_pixels_as_read_are_those_of_the_truth(truth) -> None:
    for tile in truth.kept[:4]:
        mask = read_product(truth.products / tile).valid_mask()
        assert np.array_equal(mask, truth.acquisition(tile).valid())


def test_faults_are_as_told(truth) -> None:
    wrong = broken(truth, "wrong crs")
    info = raster_info(part(truth, wrong, "SPECTRAL_IMAGE.TIF"))
    root = ET.parse(part(truth, wrong, "METADATA.XML")).getroot()
    assert info.grid.crs == "EPSG:32633"
    assert root.findtext("product/ortho/projection") == "UTM_Zone32_North"
    short = part(truth, broken(truth, "truncated"), "SPECTRAL_IMAGE.TIF")
    root = ET.parse(part(truth, broken(truth, "truncated"), "METADATA.XML")).getroot()
    stated = {
        f.findtext("name"): int(f.findtext("size") or 0)
        for f in root.findall("product/productFileInformation/file")
    }
    assert short.stat().st_size // 1000 < 0.7 * stated[short.name]
    with RasterFile(short) as image:
        assert image.read(indexes=[1]).shape == (1, 48, 48)  # its beginning reads well


def test_same_seed_same_bytes_other_seed_others(truth, tmp_path) -> None:
    again = simulate_campaign(tmp_path / "again", tile_size=48, n_tiles=17, seed=3)
    assert digests(again.folder) == digests(truth.folder)
    first = truth.campaign.acquisitions[0]
    other = simulate_campaign(tmp_path / "other", tile_size=32, n_tiles=1, seed=4, nasty=False)
    assert other.tile_ids[0] != first.id


def test_an_interrupted_campaign_is_completed(truth, tmp_path) -> None:
    """Whole products stay, what was left half-done is made again."""
    done: list[int] = []

    def stop_after_two(count: int, total: int) -> None:
        assert total == 17
        done.append(count)
        if count == 2:
            raise KeyboardInterrupt

    folder = tmp_path / "campaign"
    wanted = {"tile_size": 48, "n_tiles": 17, "seed": 3}
    with pytest.raises(KeyboardInterrupt):
        simulate_campaign(folder, progress=stop_after_two, **wanted)
    assert done == [1, 2]
    assert not (folder / "truth.json").exists()
    half = folder / "products" / f".{truth.tile_ids[2]}.tmp"
    half.mkdir()
    (half / "rubbish").write_text("")
    simulate_campaign(folder, **wanted)
    assert digests(folder) == digests(truth.folder)


def test_uncompressed_products_hold_the_same_numbers(tmp_path) -> None:
    truth = simulate_campaign(tmp_path, tile_size=32, n_tiles=1, nasty=False, compress=None)
    image = part(truth, truth.kept[0], "SPECTRAL_IMAGE.TIF")
    assert image.stat().st_size > 32 * 32 * 224 * 2
    assert np.array_equal(read_raster(image), truth.truth_reflectance(truth.kept[0]))
