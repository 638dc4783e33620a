import json
import os
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pyproj
import pytest
import xarray as xr
from geopandas.testing import assert_geodataframe_equal

from workbench.errors import ManifestError, TileError, WorkbenchError
from workbench.extraction import (
    PatchStore,
    Tile,
    ValidityRules,
    ViewRules,
    extract_patches,
    leak_report,
    locations_of,
    manifest_note,
    print_progress,
    read_manifest,
    split_locations,
    temporal_views,
)
from workbench.extraction.jobs import component_of, tile_jobs, work_units
from workbench.geo.footprint import projected
from workbench.geo.grid import PixelGrid
from workbench.geo.raster import write_raster
from workbench.sensors import sensor

NODATA = -32768
KEPT = [int(name[1:]) - 1 for name in sensor("enmap").kept]  # bands are delivered in their order


def source_pixels(grid, row):
    """Brute force: (H, W) fractional rows and columns of a location's pixel centres in a raster."""
    size = round((row.xmax - row.xmin) / 30)
    x = row.xmin + 30 * (np.arange(size) + 0.5)
    y = row.ymax - 30 * (np.arange(size) + 0.5)
    x, y = np.meshgrid(x, y)
    if row.crs != grid.crs:
        x, y = pyproj.Transformer.from_crs(row.crs, grid.crs, always_xy=True).transform(x, y)
    return (grid.transform[5] - y) / 30 - 0.5, (x - grid.transform[2]) / 30 - 0.5


def window(truth, row):
    """The pixels of a tile that a location of the same zone shows: the nearest, lower on a tie."""
    rows, cols = source_pixels(truth.acquisition(row.tile_id).grid, row)
    return np.floor(rows + 0.5).astype(int), np.floor(cols + 0.5).astype(int)


def true_shares(rendered, at):
    """What the simulation knows about the pixels of a patch."""
    cube, bad, layers = rendered.cube[KEPT], rendered.defective[KEPT], rendered.layers
    known = {
        name.lower().replace("cloudshadow", "shadow"): layers[f"QUALITY_{name}"][at] > 0
        for name in ("CLOUD", "CLOUDSHADOW", "HAZE", "CIRRUS", "SNOW")
    }
    classes = layers["QUALITY_CLASSES"][at]
    known |= {"water": classes == 2, "land": classes == 1}
    known["nodata"] = (cube[:, *at] == NODATA).any(axis=0) | (classes == 3)
    known["defective"] = bad[:, *at].any(axis=0)
    return {name: mask.mean() for name, mask in known.items()}


@pytest.fixture(scope="module")
def rendered(campaign):
    return {tile.id: campaign.truth.render(tile.id) for tile in campaign.tiles}


@pytest.fixture(scope="module")
def in_zone(campaign, extracted):
    """All planned patches whose tile is in the zone of the location: (row, reasons)."""
    crs = {tile.id: tile.crs for tile in campaign.tiles}
    kept = [(row, ()) for row in extracted.manifest.itertuples()]
    rejected = [(row, row.reasons) for row in extracted.rejected.itertuples()]
    return [(row, why) for row, why in kept + rejected if crs[row.tile_id] == row.crs]


def test_the_campaign_is_found_as_it_is(campaign, extracted):
    truth = campaign.truth
    assert sorted(tile.id for tile in campaign.tiles) == list(truth.kept)
    assert {d.tile.id: d.kept for d in campaign.dropped} == {
        i: kept for i, (_, kept) in truth.dropped.items()
    }
    assert {s.path.name for s in campaign.skipped} == set(truth.broken)
    assert not extracted.failed


def test_each_planned_patch_is_in_one_of_the_two_tables(campaign, extracted):
    planned = {(r.location_id, i) for r in campaign.plan.itertuples() for i in r.tile_ids}
    tables = [extracted.manifest, extracted.rejected]
    found = [set(zip(t.location_id, t.tile_id, strict=True)) for t in tables]
    assert found[0] | found[1] == planned
    assert not found[0] & found[1]
    assert sum(map(len, tables)) == len(planned)


def test_reasons_are_the_true_ones(rendered, in_zone, campaign):
    rules, seen = ValidityRules(), set()
    for row, reasons in in_zone:
        shares = true_shares(rendered[row.tile_id], window(campaign.truth, row))
        expected = rules.reasons(shares)
        if reasons == ("same date",):
            assert not expected
        elif set(reasons) & {"cloud", "shadow", "haze", "cirrus", "snow"}:
            assert set(reasons) <= set(expected)  # its image was not looked at
            assert set(expected) - set(reasons) <= {"nodata", "defective"}
        else:
            assert reasons == expected
        seen |= set(reasons)
    assert {"nodata", "defective", "cloud", "haze", "snow", "cirrus"} <= seen


def test_shares_are_the_true_ones(extracted, rendered, campaign):
    for row in extracted.manifest[extracted.manifest.resampling != "bilinear"].itertuples():
        shares = true_shares(rendered[row.tile_id], window(campaign.truth, row))
        assert {name: getattr(row, name) for name in shares} == pytest.approx(shares)


def test_pixels_are_the_true_ones_where_zones_agree(extracted, rendered, campaign):
    store, table = PatchStore(extracted.path), extracted.manifest
    assert {"none", "nearest"} <= set(table.resampling)
    for row in table[table.resampling != "bilinear"].itertuples():
        at = window(campaign.truth, row)
        assert np.array_equal(store.pixels(row.place), rendered[row.tile_id].cube[KEPT][:, *at])
        shifted = campaign.truth.acquisition(row.tile_id).grid.transform[2] % 30 != 0
        assert row.resampling == ("nearest" if shifted else "none")
        assert (abs(row.shift_east), abs(row.shift_south)) == ((0.5, 0.5) if shifted else (0, 0))


def test_pixels_across_zones_lie_within_the_four_around_them(extracted, rendered, campaign):
    store, table = PatchStore(extracted.path), extracted.manifest
    across = table[table.resampling == "bilinear"]
    assert len(across) > 0
    for row in across.itertuples():
        rows, cols = source_pixels(campaign.truth.acquisition(row.tile_id).grid, row)
        r, c = np.floor(rows).astype(int), np.floor(cols).astype(int)
        cube = rendered[row.tile_id].cube[KEPT]
        around = np.stack([cube[:, r + i, c + j] for i in (0, 1) for j in (0, 1)])
        found = store.pixels(row.place)
        assert (found >= around.min(axis=0)).all()
        assert (found <= around.max(axis=0)).all()
        u, v = cols - c, rows - r
        weights = np.stack([(1 - v) * (1 - u), (1 - v) * u, v * (1 - u), v * u])
        assert np.abs((around * weights[:, None]).sum(axis=0) - found).max() <= 0.51
        assert np.isnan(row.shift_east)


def test_locations_of_several_dates_are_the_true_ones(extracted, campaign):
    for row in locations_of(extracted.manifest).itertuples():
        assert row.n_acquisitions == campaign.truth.dates(row.tile_ids)
    table = extracted.manifest
    assert table[table.n_acquisitions > 1].location_id.nunique() > 5
    for _, rows in table.groupby("location_id", sort=False):
        assert rows.acquisition.tolist() == list(range(len(rows)))
        assert rows.acquired.is_monotonic_increasing
        assert (rows.n_acquisitions == len(rows)).all()


def test_quality_is_kept_for_each_pixel(extracted, rendered, campaign):
    store = PatchStore(extracted.path)
    row = next(extracted.manifest.query("0 < cloud < 1 and resampling == 'none'").itertuples())
    at = window(campaign.truth, row)
    cloud = rendered[row.tile_id].layers["QUALITY_CLOUD"][at] > 0
    assert np.array_equal(store.quality(row.place) & 4 > 0, cloud)


def test_xarray_opens_the_store(extracted):
    rows, store = extracted.manifest, PatchStore(extracted.path)
    with xr.open_zarr(extracted.path / "patches.zarr") as data:
        there = data.isel(acquisition=rows.place.to_numpy()[:5])
        assert (there.time.values == rows.acquired[:5].dt.tz_localize(None).to_numpy()).all()
        assert there.epsg.values.tolist() == [int(crs[5:]) for crs in rows["crs"][:5]]
        assert there.xmin.values.tolist() == rows.xmin[:5].tolist()
        values = store.contract.physical(store.pixels(rows.place[0]))
        assert np.allclose(there.pixels[0].values, values, equal_nan=True)


def test_the_manifest_is_read_again_as_it_was(extracted):
    read = read_manifest(extracted.path / "manifest.parquet", kind="patches")
    assert_geodataframe_equal(read, extracted.manifest)
    note = manifest_note(extracted.path / "manifest.parquet")
    assert note["rules"]["cloud"] == 0.1
    assert note["rejected"] == len(extracted.rejected)


def test_splits_and_leaks_take_the_manifest(extracted):
    locations = locations_of(extracted.manifest)
    split = split_locations(locations, by="component", seed=0)
    assert set(split) == {"train", "val", "test"}
    assert leak_report(split, locations) is not None


def test_a_cluster_gives_what_one_process_gives(extracted, campaign, tmp_path):
    told = []
    found = extract_patches(
        campaign.plan, campaign.tiles, tmp_path, workers=2, progress=told.append
    )
    assert_geodataframe_equal(found.manifest, extracted.manifest)
    assert_geodataframe_equal(found.rejected, extracted.rejected)
    assert told[-1].tiles_done == told[-1].tiles == len(campaign.tiles)
    assert told[-1].patches == len(found.manifest) + sum(
        reasons == ("same date",) for reasons in found.rejected.reasons
    )


def test_a_scheduler_elsewhere_gives_the_same(extracted, campaign, tmp_path):
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None
    ) as cluster:
        found = extract_patches(
            campaign.plan, campaign.tiles, tmp_path, scheduler=cluster.scheduler_address
        )
    assert_geodataframe_equal(found.manifest, extracted.manifest)
    assert_geodataframe_equal(found.rejected, extracted.rejected)


def test_progress_is_one_line(campaign, tmp_path, capsys):
    extract_patches(campaign.plan, campaign.tiles, tmp_path, workers=1, progress=print_progress)
    lines = capsys.readouterr().err.split("\r")
    assert len(lines) == 1 + len(campaign.tiles)
    assert lines[-1].startswith(f"tiles {len(campaign.tiles)} of {len(campaign.tiles)} · patches ")


def test_compressed_stores_hold_the_same_pixels(extracted, campaign, tmp_path):
    found = extract_patches(
        campaign.plan, campaign.tiles, tmp_path, workers=1, compression="zstd", shard_size=4
    )
    assert (found.manifest.checksum == extracted.manifest.checksum).all()
    plain, packed = PatchStore(extracted.path), PatchStore(tmp_path)
    rows = zip(extracted.manifest.place, found.manifest.place, strict=True)
    assert all(np.array_equal(plain.pixels(a), packed.pixels(b)) for a, b in rows)
    assert sum(f.stat().st_size for f in tmp_path.rglob("pixels/c/**/*") if f.is_file()) < sum(
        f.stat().st_size for f in extracted.path.rglob("pixels/c/**/*") if f.is_file()
    )


# One bad file, and bad requests


def test_a_tile_that_breaks_after_planning_costs_its_own_patches_only(
    extracted, campaign, tmp_path
):
    victim = campaign.tiles[0]
    broken = tmp_path / victim.path.name
    shutil.copytree(victim.path, broken)
    image = next(broken.glob("*SPECTRAL_IMAGE*"))
    os.truncate(image, image.stat().st_size // 2)
    tiles = [replace(t, path=broken) if t is victim else t for t in campaign.tiles]
    out = tmp_path / "out"
    found = extract_patches(campaign.plan, tiles, out, workers=1, retries=0)
    assert list(found.failed) == [victim.id]
    assert found.failed[victim.id].startswith("A raster must hold all its pixels")
    lost = found.rejected[found.rejected.tile_id == victim.id]
    assert set(lost.reasons) == {("unreadable tile",)}
    others = extracted.manifest[extracted.manifest.tile_id != victim.id]
    assert found.manifest.checksum.tolist() == others.checksum.tolist()

    mended = extract_patches(campaign.plan, campaign.tiles, out, workers=1)
    assert not mended.failed
    assert_geodataframe_equal(mended.manifest, extracted.manifest)


def test_another_extraction_in_the_folder_is_refused(extracted, campaign):
    with pytest.raises(
        ManifestError, match=r"^A folder holds one extraction, but .* another rules"
    ):
        extract_patches(
            campaign.plan, campaign.tiles, extracted.path, rules=ValidityRules(cloud=1.0)
        )


def test_a_folder_that_cannot_be_made(campaign, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkbenchError, match=r"^Patches must be written to .* cannot be written"):
        extract_patches(campaign.plan, campaign.tiles, tmp_path / "file" / "out", workers=1)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda plan: plan.iloc[:0], "A plan must have locations, but this one has none"),
        (lambda plan: plan.drop(columns="xmin"), "A plan must have the columns"),
        (lambda plan: plan.iloc[[0, 0]], "Locations of a plan must be distinct"),
        (lambda plan: plan.assign(xmax=plan.xmax + plan.index), "Locations of a plan must be squa"),
        (lambda plan: plan.assign(tile_ids=[("x",)] * len(plan)), "Every tile of a plan must be"),
        (
            lambda plan: plan.assign(xmax=plan.xmax + 10, ymax=plan.ymax + 10),
            "A location must be whole pixels",
        ),
    ],
)
def test_plans_that_cannot_be_cut(campaign, tmp_path, change, sentence):
    with pytest.raises(ManifestError, match=f"^{sentence}"):
        extract_patches(change(campaign.plan), campaign.tiles, tmp_path, workers=1)
    assert not (tmp_path / "manifest.parquet").exists()


def test_tiles_without_pixels(campaign, tmp_path):
    tiles = [replace(tile, path=None) for tile in campaign.tiles]
    with pytest.raises(TileError, match=r"^None of the 12 tiles can be read"):
        extract_patches(campaign.plan, tiles, tmp_path, workers=1)


# Work


def test_places_depend_on_the_plan_only(campaign):
    jobs, size = tile_jobs(campaign.plan, campaign.tiles)
    shuffled = campaign.plan.sample(frac=1, random_state=1)
    assert tile_jobs(shuffled, campaign.tiles[::-1]) == (jobs, size)
    places = [patch.place for job in jobs for patch in job.patches]
    assert len(set(places)) == len(places)
    assert all(job.patches[0].place % size == 0 for job in jobs)


def test_units_hold_each_tile_once_and_one_component_each(campaign):
    jobs, _ = tile_jobs(campaign.plan, campaign.tiles)
    units, component = work_units(jobs), component_of(jobs)
    assert sorted(j.tile_id for unit in units for j in unit) == [job.tile_id for job in jobs]
    assert all(len({component[job.tile_id] for job in unit}) == 1 for unit in units)


# Plain rasters


def raster_tile(folder, name, day, *, shift=0.0, dtype="int16", nodata=-1, second=0):
    grid = PixelGrid("EPSG:32632", (30, 0, 600_000 + shift, 0, -30, 5_400_000), (40, 40))
    numbers = np.random.default_rng(len(name)).integers(0, 99, (3, 40, 40)).astype(dtype)
    path = write_raster(folder / f"{name}.tif", numbers, grid, nodata=nodata)
    footprint = projected([grid.outline], grid.crs, "EPSG:4326")[0]
    when = datetime(2022, 6, day, tzinfo=UTC) + timedelta(seconds=second)
    return Tile(name, when, footprint, grid.crs, path), numbers


def test_plain_rasters_are_cut_too(tmp_path):
    tile, numbers = raster_tile(tmp_path, "a", 1)
    plan = temporal_views([tile], ViewRules(patch_size=16))
    found = extract_patches(plan, [tile], tmp_path / "out", workers=1)
    store = PatchStore(found.path)
    assert store.contract.band_names == ("B1", "B2", "B3")
    row = found.manifest.iloc[0]
    top, left = round((5_400_000 - row.ymax) / 30), round((row.xmin - 600_000) / 30)
    expected = numbers[:, top : top + 16, left : left + 16]
    assert np.array_equal(store.pixels(row.place), expected)


def test_a_tile_with_other_numbers_is_reported(tmp_path):
    good, _ = raster_tile(tmp_path, "a", 1)
    other, _ = raster_tile(tmp_path, "b", 2, nodata=-2)
    plan = temporal_views([good, other], ViewRules(patch_size=16))
    found = extract_patches(plan, [good, other], tmp_path / "out", workers=1, retries=0)
    assert found.failed["b"].startswith("Tile b must keep the expected input contract")
    assert set(found.manifest.tile_id) == {"a"}


def test_tiles_of_one_pass_are_one_date(tmp_path):
    first, _ = raster_tile(tmp_path, "a", 1)
    second, _ = raster_tile(tmp_path, "b", 1, second=5)
    third, _ = raster_tile(tmp_path, "c", 3)
    tiles = [replace(tile, group="orbit 7") for tile in (first, second, third)]
    plan = temporal_views(tiles, ViewRules(patch_size=16))
    found = extract_patches(plan, tiles, tmp_path / "out", workers=1)
    assert set(found.manifest.tile_id) == {"a", "c"}
    assert set(found.rejected.reasons) == {("same date",)}
    assert set(found.rejected.detail) == {"the same date as tile a"}


def test_a_damaged_journal_of_another_format(extracted, campaign, tmp_path):
    out = shutil.copytree(extracted.path, tmp_path / "out")
    job = json.loads((out / "journal" / "job.json").read_text())
    (out / "journal" / "job.json").write_text(json.dumps({**job, "format": 99}))
    with pytest.raises(ManifestError, match=r"^An extraction of format 1 can be gone on with"):
        extract_patches(campaign.plan, campaign.tiles, out)
