"""What is cut of a simulated campaign is what the simulation knows to be there."""

import numpy as np
import pyproj
import pytest

from workbench.extraction import (
    PatchStore,
    ValidityRules,
    locations_of,
)
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
        shifted = (
            campaign.truth.acquisition(row.tile_id).grid.transform[2] % 30 == 0
        )  # the others lie at 15 m
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
