"""EnMAP products: bands by their own metadata, footprints by valid pixels, damage told apart."""

import logging
import re
import shutil
import tarfile
import zipfile
from datetime import UTC, datetime
from time import tzset

import numpy as np
import pytest

from workbench.errors import ContractMismatchError, CRSMismatchError, TileError
from workbench.geo.footprint import area_m2
from workbench.geo.grid import PixelGrid
from workbench.geo.raster import read_raster, write_raster
from workbench.readers.enmap import QUALITY_LAYERS, discover_enmap, open_enmap, read_product
from workbench.sensors import sensor

NAME = "ENMAP01-____L2A-DT0000001867_20220724T104526Z_008_V010302_20230628T165614Z"


@pytest.mark.parametrize("cog", [False, True])
@pytest.mark.parametrize("by_wavelength", [False, True])
def test_kept_bands_are_the_same_whatever_the_order_of_the_file(product, cog, by_wavelength):
    image, contract = open_enmap(product(cog=cog, by_wavelength=by_wavelength).write())
    number = {band.name: band.number for band in sensor("enmap").bands}
    assert image.sizes["band"] == 202
    assert contract.band_names == sensor("enmap").kept
    assert list(contract.wavelengths_nm) == sorted(contract.wavelengths_nm)
    assert contract.band_names[79:81] == ("B092", "B080")  # SWIR 902.6 before VNIR 903.9 nm
    inner = image.values[:, 5, 5]
    assert inner.tolist() == [100 * number[name] + 5 for name in contract.band_names]


def test_dropped_bands_are_127_to_141_and_161_to_167(product):
    _, contract = open_enmap(product().write())
    dropped = {band.name for band in sensor("enmap").bands} - set(contract.band_names)
    assert dropped == {f"B{n:03d}" for n in [*range(127, 142), *range(161, 168)]}


def test_all_bands_come_in_the_order_of_the_file(product):
    image, contract = open_enmap(product().write(), bands="all")
    assert contract.band_names == tuple(band.name for band in sensor("enmap").bands)
    assert (np.diff(image.values[:, 10, 10]) == 100).all()


def test_named_bands_come_in_the_order_asked_for(product):
    image, _ = open_enmap(product(by_wavelength=True).write(), bands=["B200", "B001"])
    assert image.values[:, 4, 4].tolist() == [20_004, 104]


def test_the_contract_is_read_from_the_metadata(product):
    image, contract = open_enmap(product().write())
    assert (contract.units, contract.scale, contract.offset) == ("surface reflectance", 1e-4, 0)
    assert (contract.nodata, contract.gsd_m) == (-32768, 30)
    assert contract.wavelengths_nm[0] == pytest.approx(418.54)
    assert image.wavelength_nm.values[0] == pytest.approx(418.54)
    reflectance = contract.physical(image.values)
    assert np.isnan(reflectance[:, 0, 0]).all()
    assert reflectance[0, 5, 5] == pytest.approx(0.0105)
    contract.require_same(sensor("enmap").contract())


def test_nothing_is_read_until_it_is_used(product):
    image, _ = open_enmap(product().write(), chunks={"band": 16, "y": 16, "x": 16})
    assert image.chunks is not None
    assert image.rio.crs.to_epsg() == 32633
    assert image.isel(band=0, y=slice(3, 5)).values.shape == (2, 32)


def test_quality_layers_are_opened_by_name(product):
    layers = read_product(product(by_wavelength=True).write()).quality()
    assert set(layers) == set(QUALITY_LAYERS)
    assert layers.pixelmask.dims == ("band", "y", "x")
    assert layers.pixelmask.sel(band="B092").shape == (32, 32)
    assert layers.classes.values[0, 0] == 3
    assert layers.classes.values[5, 5] == 1


def test_a_tile_has_time_datatake_and_the_outline_of_its_valid_pixels(product):
    made = product(margin=4)
    tile = read_product(made.write()).tile()
    assert tile.id == NAME
    assert tile.group == "0000001867"
    assert tile.acquired == datetime(2022, 7, 24, 10, 45, 26, 104543, UTC)
    assert tile.crs == "EPSG:32633"
    assert tile.path == made.path
    assert area_m2([tile.footprint])[0] == pytest.approx((24 * 30) ** 2, rel=2e-3)


def test_a_band_without_data_does_not_empty_the_footprint(product):
    nearest = [b.number for b in sensor("enmap").bands if abs(b.wavelength_nm - 660) < 4]
    tile = read_product(product(empty=tuple(nearest)).write()).tile()
    assert area_m2([tile.footprint])[0] == pytest.approx((26 * 30) ** 2, rel=2e-3)


def test_detectors_are_told_by_the_fall_of_wavelength_without_channel_lists(product):
    _, contract = open_enmap(product(channel_lists=False).write(), bands="all")
    assert contract.band_names[91] == "B092"


def test_sorted_bands_without_channel_lists_are_refused(product):
    with pytest.raises(TileError, match="which bands are VNIR and which SWIR"):
        open_enmap(product(channel_lists=False, by_wavelength=True).write())


def test_a_product_of_other_bands_opens_whole_but_has_no_202(product):
    folder = product(bands=218).write()
    assert open_enmap(folder, bands="all").contract.band_names[0] == "VNIR-001"
    with pytest.raises(ContractMismatchError, match="must have the 202 bands asked for"):
        open_enmap(folder)


def test_bands_of_different_gains_are_refused(product):
    with pytest.raises(ContractMismatchError, match="must share one gain"):
        open_enmap(product(gains=("0.0001", "0.0002")).write())


@pytest.mark.parametrize(
    ("changes", "error", "reason"),
    [
        ({"drop": ("METADATA",)}, TileError, "one file …-METADATA"),
        ({"drop": ("SPECTRAL_IMAGE",)}, TileError, "one file …-SPECTRAL_IMAGE"),
        ({"drop": ("QL_QUALITY_HAZE",)}, TileError, "has no QL_QUALITY_HAZE"),
        ({"tag_crs": "EPSG:32634"}, CRSMismatchError, "must have one CRS"),
        ({"extra": {"<rows>32": "<rows>33"}}, TileError, "must have one shape"),
        ({"extra": {'number="224"': 'number="225"'}}, TileError, "must number the bands"),
        ({"extra": {"<startTime>2022-": "<startTime>once "}}, TileError, "must be a date"),
        ({"extra": {"<startTime>": "<start>", "</startTime>": "</start>"}}, TileError, "startTime"),
        ({"extra": {"<name>ENMAP01": "<name>DESIS"}}, TileError, "those of an EnMAP L2A product"),
        ({"extra": {"<FWHMOfBand>": "<FWHMOfBand>x"}}, TileError, "numbers where numbers belong"),
        ({"extra": {"</level_X>": ""}}, TileError, "must be plain XML"),
        ({"head": '<!DOCTYPE a [<!ENTITY b "c">]>'}, TileError, "it has a document type"),
        ({"head": '<!DOCTYPE a SYSTEM "file:///etc/passwd">'}, TileError, "document type"),
    ],
)
def test_damage_is_named_when_opened_and_counted_when_discovered(
    product, caplog, changes, error, reason
):
    good = product(name=NAME.replace("_008_", "_009_"))
    bad = product(**changes)
    good.write()
    with pytest.raises(error, match=reason):
        read_product(bad.write())
    with caplog.at_level(logging.WARNING):
        tiles, skipped = discover_enmap(bad.folder)
    assert [tile.id for tile in tiles] == [good.name]
    assert [item.path for item in skipped] == [bad.path]
    assert "1 of 2 products left out" in caplog.text
    assert bad.name in caplog.text


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.97])
@pytest.mark.parametrize("part", ["SPECTRAL_IMAGE", "QL_PIXELMASK"])
def test_a_file_cut_short_is_found_before_its_pixels_are_needed(product, share, part):
    folder = product(size=160).write()
    file = folder / f"{NAME}-{part}.TIF"
    whole = file.read_bytes()
    file.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(TileError, match=part):
        read_product(folder)


def test_an_image_that_lies_elsewhere_than_its_corners_is_refused(product):
    made = product(extra={"UTM_Zone33_North": "UTM_Zone32_North"}, tag_crs="EPSG:32632")
    with pytest.raises(CRSMismatchError, match="must lie where its metadata say"):
        read_product(made.write()).tile()


def test_a_layer_on_other_pixels_is_refused(product):
    made = product()
    folder = made.write()
    file = folder / f"{NAME}-QL_QUALITY_SNOW.TIF"
    x, y = made.grid.transform[2] + 15, made.grid.transform[5]
    shifted = type(made.grid)(made.crs, (30, 0, x, 0, -30, y), made.grid.shape)
    write_raster(file, np.zeros(made.grid.shape, np.uint8), shifted)
    with pytest.raises(TileError, match="Quality layers must lie on the image's pixels"):
        read_product(folder)


def test_a_tile_without_valid_pixels_names_its_image(product):
    with pytest.raises(TileError, match=r"SPECTRAL_IMAGE.TIF: A footprint needs valid pixels"):
        read_product(product(margin=16).write()).tile()


def test_a_folder_without_products_gives_nothing(tmp_path):
    assert discover_enmap(tmp_path) == ([], [])


OTHER = NAME.replace("_008_", "_009_")


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kolkata", "UTC"])
@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2022-07-24T10:45:26.104543", (10, 45, 26, 104543)),
        (" 2022-07-24T10:45:26 ", (10, 45, 26)),
        ("2022-07-24T12:45:26+02:00", (10, 45, 26)),
        ("2022-07-24T10:45:26Z", (10, 45, 26)),
    ],
)
def test_a_time_without_a_zone_is_utc_in_every_zone(product, monkeypatch, zone, text, time):
    monkeypatch.setenv("TZ", zone)
    tzset()
    try:
        made = product(extra={"2022-07-24T10:45:26.104543Z": text}).write()
        assert read_product(made).tile().acquired == datetime(2022, 7, 24, *time, tzinfo=UTC)
    finally:
        monkeypatch.undo()
        tzset()


def test_a_tile_states_its_pixel_grid(product):
    made = product()
    tile = read_product(made.write()).tile()
    assert tile.grid == made.grid
    assert tile.grid.transform[2:6:3] == (380_000, 5_400_000)


def nested(made, root):
    shutil.move(made.write(), root / NAME / NAME)


def renamed(made, root):
    shutil.move(made.write(), root / "scene of july")


def linked(made, root):
    (root / NAME).symlink_to(made.write())
    (root / "again").symlink_to(root)  # a link back
    (root / "twice").symlink_to(made.path)


def by_macos(made, root):
    product = shutil.move(made.write(), root / NAME)
    for file in [*product.iterdir(), product]:
        file.with_name(f"._{file.name}").write_bytes(b"\0\5\26\7")
    shutil.copytree(product, root / "__MACOSX" / NAME)


def packed(made):
    """Files as they are delivered: compressed inside."""
    folder = made.write()
    for file in folder.glob("*.TIF"):
        nodata = -32768 if "SPECTRAL" in file.name else None
        array = read_raster(file)
        write_raster(file, array, made.grid, nodata=nodata, compress="deflate", tiled=False)
    return folder


def zipped(made, root):
    with zipfile.ZipFile(root / f"{NAME}.ZIP", "w", zipfile.ZIP_DEFLATED) as archive:
        for file in packed(made).iterdir():
            archive.write(file, f"{NAME}/{file.name}")
            archive.writestr(f"__MACOSX/{NAME}/._{file.name}", b"\0\5\26\7")


def zipped_flat(made, root):
    with zipfile.ZipFile(root / f"{NAME}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for file in packed(made).iterdir():
            archive.write(file, file.name)


def tarred(made, root):
    with tarfile.open(root / f"{NAME}.tar.gz", "w:gz") as archive:
        archive.add(packed(made), f"order/{NAME}")


WAYS = [nested, renamed, linked, by_macos, zipped, zipped_flat, tarred]


@pytest.mark.parametrize("lay", WAYS, ids=lambda f: f.__name__)
def test_a_product_is_found_however_it_was_delivered(product, tmp_path, lay):
    root = tmp_path / "root"
    root.mkdir()
    lay(product(), root)
    for _ in range(2):  # what was unpacked is found again
        tiles, skipped = discover_enmap(root)
        assert [tile.id for tile in tiles] == [NAME]
        assert skipped == []
    assert not list(root.glob(".*.tmp"))


def test_an_archive_that_is_a_bomb_or_damaged_is_left_out_with_its_reason(product, tmp_path):
    root = tmp_path / "root"
    shutil.move(product().write(), root / NAME)
    with zipfile.ZipFile(root / f"{OTHER}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{OTHER}/{OTHER}-SPECTRAL_IMAGE.TIF", bytes(30 << 20))
    (root / f"{OTHER.replace('_009_', '_010_')}.zip").write_bytes(b"PK cut")
    tiles, skipped = discover_enmap(root)
    assert [tile.id for tile in tiles] == [NAME]
    bomb, damaged = sorted(skipped, key=lambda s: s.path.name)
    assert "more than allowed" in bomb.reason
    assert "cannot be unpacked" in damaged.reason
    assert sorted(p.name for p in root.iterdir() if p.is_dir()) == [NAME]


def test_another_level_and_an_empty_folder_are_said(tmp_path, caplog):
    folder = tmp_path / NAME.replace("L2A", "L1B")
    folder.mkdir()
    tiles, skipped = discover_enmap(tmp_path)
    assert tiles == []
    assert "must be of level L2A, but" in skipped[0].reason
    (tmp_path / "empty").mkdir()
    with caplog.at_level(logging.WARNING):
        assert discover_enmap(tmp_path / "empty") == ([], [])
    assert "no EnMAP L2A product below" in caplog.text


@pytest.mark.parametrize(
    "lost", [("QL_PIXELMASK",), ("QL_QUALITY_TESTFLAGS",), ("QL_PIXELMASK", "QL_QUALITY_TESTFLAGS")]
)
def test_a_product_without_pixel_mask_or_test_flags_is_read(product, lost):
    found = read_product(product(drop=lost).write())
    short = {"QL_PIXELMASK": "pixelmask", "QL_QUALITY_TESTFLAGS": "testflags"}
    assert set(QUALITY_LAYERS) - set(found.quality()) == {short[name] for name in lost}
    assert found.tile().id == NAME


@pytest.mark.parametrize("suffix", [".BIL", ".bsq", ".JP2"])
def test_the_image_may_have_another_suffix(product, suffix):
    folder = product().write()
    image = folder / f"{NAME}-SPECTRAL_IMAGE.TIF"
    image.rename(image.with_suffix(suffix))
    assert read_product(folder).image_path.suffix == suffix


@pytest.mark.parametrize(
    ("crs", "step", "origin", "gsd"),
    [
        ("EPSG:4326", 0.0003, (13.0, 48.7), 30.0),
        ("EPSG:3035", 30.0, (4_500_000, 2_900_000), 30.0),
    ],
)
def test_a_product_in_another_projection_is_read(product, crs, step, origin, gsd):
    made = product(extra={"UTM_Zone33_North": "Geographic"})
    folder = made.write()
    grid = PixelGrid(crs, (step, 0, origin[0], 0, -step, origin[1]), made.grid.shape)
    for file in folder.glob("*.TIF"):
        nodata = -32768 if "SPECTRAL" in file.name else None
        write_raster(file, read_raster(file), grid, nodata=nodata)
    xml = folder / f"{NAME}-METADATA.XML"
    xml.write_text(re.sub(r"<point>.*</point>", "", xml.read_text()))
    found = read_product(folder)
    assert found.tile().grid == grid
    assert found.contract().gsd_m == gsd
