"""Cutting patches: stores, manifests, clusters, and what goes wrong."""

import json
import os
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import xarray as xr
from geopandas.testing import assert_geodataframe_equal

from workbench.datasets.acquisitions import acquisitions
from workbench.datasets.positives import PairPolicy
from workbench.errors import ManifestError, TileError, WorkbenchError
from workbench.extraction import (
    PatchStore,
    Tile,
    ValidityRules,
    ViewRules,
    clear_tiles,
    export_stac,
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


def test_xarray_opens_the_store(extracted):
    rows, store = extracted.manifest, PatchStore(extracted.path)
    with xr.open_zarr(extracted.path / "patches.zarr") as data:
        there = data.isel(acquisition=rows.place.to_numpy()[:5])
        assert (there.time.values == rows.acquired[:5].dt.tz_localize(None).to_numpy()).all()
        assert there.epsg.values.tolist() == [int(crs[5:]) for crs in rows["crs"][:5]]
        assert there.xmin.values.tolist() == rows.xmin[:5].tolist()
        assert there.pixels.dtype == store.dtype  # as stored: nothing is decoded unasked
        assert (there.pixels[0].values == store.pixels(rows.place[0])).all()
        assert there.location_id.values.tolist() == rows.location_id[:5].tolist()
        assert there.tile_id.values.tolist() == rows.tile_id[:5].tolist()
        assert there.crs.values.tolist() == rows["crs"][:5].tolist()
        assert there.band.values.tolist() == list(store.contract.band_names)
        assert {"location_id", "time", "xmin", "ymax", "wavelength_nm"} <= set(there.pixels.coords)


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
    more, _ = raster_tile(tmp_path, "c", 3)
    tiles = [good, other, more]
    plan = temporal_views(tiles, ViewRules(patch_size=16))
    found = extract_patches(plan, tiles, tmp_path / "out", workers=1, retries=0)
    assert found.failed["b"].startswith("Tile b must keep the expected input contract")
    assert set(found.manifest.tile_id) == {"a", "c"}
    assert set(found.rejected["reasons"]) == {("breaks the contract",)}


def test_cloud_that_nothing_tells_is_missing_not_clear(tmp_path, caplog):
    tile, _ = raster_tile(tmp_path, "a", 1)
    plan = temporal_views([tile], ViewRules(patch_size=16))
    found = extract_patches(plan, [tile], tmp_path / "out", workers=1)
    read = read_manifest(tmp_path / "out" / "manifest.parquet", kind="patches")
    for table in (found.manifest, read):
        unknown = ["cloud", "shadow", "haze", "cirrus", "snow", "water", "land", "defective"]
        assert table[unknown].isna().all(axis=None)
        assert set(table.nodata) == {0.0}
    assert np.isnan(acquisitions(read).cloud).all()
    assert not PairPolicy(max_cloud=0.5).usable(acquisitions(read).cloud).any()
    features = json.loads(export_stac(tmp_path / "out").read_text())["features"]
    assert len(features) == len(read) > 0
    assert all("eo:cloud_cover" not in f["properties"] for f in features)
    assert all("eo:snow_cover" not in f["properties"] for f in features)
    clear, unclear = clear_tiles([tile])
    assert "cloud, shadow, haze, cirrus, snow of tile a is not known" in caplog.text
    assert (len(clear), len(unclear)) == (1, 0)


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
    assert set(found.manifest.n_acquisitions) == set(plan.n_acquisitions) == {2}
    assert set(acquisitions(found.manifest).n_dates) == {2}


@pytest.mark.parametrize("missing", [None, float("nan"), ""], ids=repr)
def test_tiles_without_a_group_are_not_one_pass(tmp_path, missing):
    first, _ = raster_tile(tmp_path, "a", 1)
    second, _ = raster_tile(tmp_path, "b", 1, second=5)
    third, _ = raster_tile(tmp_path, "c", 3)
    tiles = [replace(t, group=g) for t, g in ((first, missing), (second, missing), (third, "DT"))]
    plan = temporal_views(tiles, ViewRules(patch_size=16))
    found = extract_patches(plan, tiles, tmp_path / "out", workers=1)
    assert found.rejected.empty
    assert set(found.manifest.n_acquisitions) == set(plan.n_acquisitions) == {3}
    assert set(acquisitions(found.manifest).n_dates) == {3}
    assert set(found.manifest.group) == {"", "DT"}


def test_a_damaged_journal_of_another_format(extracted, campaign, tmp_path):
    out = shutil.copytree(extracted.path, tmp_path / "out")
    job = json.loads((out / "journal" / "job.json").read_text())
    (out / "journal" / "job.json").write_text(json.dumps({**job, "format": 99}))
    with pytest.raises(ManifestError, match=r"^An extraction of format 1 can be gone on with"):
        extract_patches(campaign.plan, campaign.tiles, out)
