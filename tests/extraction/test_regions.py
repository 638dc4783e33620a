"""Plans on the grids of their tiles: regions, grid lines, and what cannot be copied."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import CRSMismatchError, TileError
from workbench.extraction import Tile, ViewRules, extract_patches, plan_gsd, temporal_views
from workbench.extraction.jobs import patch_size_of
from workbench.geo.footprint import area_m2, split_at_antimeridian, transformer
from workbench.geo.grid import PixelGrid
from workbench.geo.lines import GridLines
from workbench.geo.outline import lonlat_footprint
from workbench.geo.raster import write_raster
from workbench.geo.units import metres_per_unit

START = datetime(2023, 6, 1, tzinfo=UTC)
METHODS = ("coverage", "combinations")


def gridded(name, crs, lon, lat, *, offset=(0.0, 0.0), size=30.0, shape=(300, 300), day=0, turn=0):
    """A tile whose upper left corner lies near a place, on lines `offset` off multiples of size."""
    x, y = transformer("EPSG:4326", crs).transform(lon, lat)
    left = round(x / size) * size + offset[0]
    top = round(y / size) * size + offset[1]
    grid = PixelGrid(crs, (size, 0, left, 0, -size, top), shape)
    outline = grid.outline
    if turn:
        inner = shapely.affinity.scale(outline, 0.7, 0.7)
        outline = shapely.affinity.rotate(inner, turn)
    ground = lonlat_footprint(outline, grid.crs)
    return Tile(name, START + timedelta(days=day), ground, grid.crs, grid=grid)


def bare(tile):
    return Tile(tile.id, tile.acquired, tile.footprint, tile.crs)


def whys(plan):
    """For each location why the pixels of its tiles cannot be copied; "" for those that can."""
    if "why_resampled" in plan.columns:
        return list(plan.why_resampled)
    return [("",) * len(ids) for ids in plan.tile_ids]


def worst_overlap(plan):
    """Largest ground that two locations share, in m²: in their CRS if it is one."""
    polygons, worst = plan.geometry.to_numpy(), 0.0
    rows = list(plan.itertuples())
    for i, j in shapely.STRtree(polygons).query(polygons, predicate="intersects").T:
        if i < j:
            a, b = rows[i], rows[j]
            if a.crs == b.crs:
                wide = min(a.xmax, b.xmax) - max(a.xmin, b.xmin)
                high = min(a.ymax, b.ymax) - max(a.ymin, b.ymin)
                worst = max(worst, max(wide, 0) * max(high, 0))
            else:
                worst = max(worst, area_m2([a.geometry.intersection(b.geometry)])[0])
    return worst


def require_promises(plan, tiles, rules, size_m):
    """What every plan promises, whatever the grids of its tiles."""
    by_id = {t.id: t for t in tiles}
    assert plan.location_id.is_unique
    assert worst_overlap(plan) < 1e-6
    for row, why_not in zip(plan.itertuples(), whys(plan), strict=True):
        assert set(row.tile_ids) == {t.id for t in tiles if t.footprint.covers(row.geometry)}
        unit = metres_per_unit(row.crs)
        assert (row.xmax - row.xmin) * unit == pytest.approx(rules.patch_size * size_m, rel=1e-4)
        square = PixelGrid.from_bounds(
            row.crs,
            (row.xmin, row.ymin, row.xmax, row.ymax),
            (row.xmax - row.xmin) / rules.patch_size,
        )
        assert square.shape == (rules.patch_size,) * 2
        for name, why in zip(row.tile_ids, why_not, strict=True):
            grid = by_id[name].grid
            if grid is not None:
                assert (why == "") == grid.agrees(square), (name, why)


# ---------------------------------------------------------------- one grid: everything is copied


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("crs", "lon", "lat", "size", "offset"),
    [
        ("EPSG:32632", 10, 48, 30.0, (15, 15)),  # EnMAP, Landsat
        ("EPSG:32636", 30.5, -5, 30.0, (15, -15)),  # Landsat in the south
        ("EPSG:32733", 15, -23, 10.0, (0, 0)),  # Sentinel-2
        ("EPSG:32733", 15, -23, 20.0, (0, 0)),
        ("EPSG:32733", 15, -23, 60.0, (0, 0)),
        ("EPSG:32632", 4.5, 60.5, 30.0, (15, 15)),  # Norway: zone 31 by the 6° rule
        ("EPSG:32633", 10, 78, 30.0, (15, 15)),  # Svalbard: zone 32 by the 6° rule
        ("EPSG:32637", 34, 79, 30.0, (0, 0)),
        ("EPSG:25832", 12.4, 50, 30.0, (7.5, 22.5)),  # beyond its zone
        ("EPSG:2056", 7.5, 47, 2.0, (0.5, 1.0)),  # Switzerland
        ("EPSG:28992", 5.5, 52, 25.0, (0, 0)),  # the Netherlands
        ("EPSG:3035", 20, 64, 10.0, (5, 5)),  # LAEA, far from its centre
        ("EPSG:2264", -80, 35.5, 100.0, (50, 0)),  # US feet
        ("EPSG:3031", 60, -70, 30.0, (15, 15)),  # Landsat in Antarctica
        ("EPSG:32601", -179.99, 60, 30.0, (15, 15)),  # at the antimeridian
    ],
)
def test_tiles_of_one_grid_are_planned_on_it(method, crs, lon, lat, size, offset):
    tiles = [
        gridded(f"t{k}", crs, lon + 20 * k * size / 9e6, lat, size=size, offset=offset, day=k)
        for k in range(2)
    ]
    rules = ViewRules(patch_size=32, method=method)
    plan = temporal_views(tiles, rules)
    assert set(plan["crs"]) == {crs}
    assert len(plan) >= 55
    assert plan.n_acquisitions.max() == 2
    assert "why_resampled" not in plan.columns
    require_promises(plan, tiles, rules, size * metres_per_unit(crs))
    assert patch_size_of(plan) == 32
    assert patch_size_of(plan.iloc[[-1]]) == 32
    assert plan_gsd(plan) == pytest.approx(size * metres_per_unit(crs))


def test_ids_tell_offset_and_crs():
    def first(crs, offset):
        lon, lat = (7.5, 47) if crs == "EPSG:2056" else (10, 48)
        return temporal_views(
            [gridded("t", crs, lon, lat, offset=offset)], ViewRules(patch_size=64)
        )

    assert first("EPSG:32632", (0, 0)).location_id[0].startswith("32632-x")
    assert first("EPSG:32632", (15, 15)).location_id[0].startswith("32632-e15-n15-x")
    assert first("EPSG:32632", (7.5, 0)).location_id[0].startswith("32632-e7p5-x")
    assert first("EPSG:2056", (0, 0)).location_id[0].startswith("2056-x")
    row = first("EPSG:32632", (15, 15)).iloc[0]
    _, _, _, x, y = row.location_id.split("-")
    assert (int(x[1:]) * 30 + 15, int(y[1:]) * 30 + 15) == (row.xmin, row.ymin)


# ---------------------------------------------------------------- several grids


def test_the_grid_of_most_tiles_wins_and_the_others_are_told():
    some = [gridded(f"a{k}", "EPSG:32632", 10, 48, offset=(15, 15), day=k) for k in range(3)]
    few = [gridded(f"b{k}", "EPSG:32632", 10, 48, day=9 + k) for k in range(2)]
    plan = temporal_views(few + some, ViewRules(patch_size=64))
    assert set(plan.xmin % 30) == {15.0}
    for row in plan.itertuples():
        told = dict(zip(row.tile_ids, row.why_resampled, strict=True))
        assert all(told[t.id] == "" for t in some if t.id in told)
        assert all("off those of the pixels" in told[t.id] for t in few if t.id in told)
    again = temporal_views(few, ViewRules(patch_size=64))
    assert set(again.xmin % 30) == {0.0}


def test_each_component_has_its_own_grid():
    here = [gridded(f"a{k}", "EPSG:32632", 10, 48, offset=(15, 15), day=k) for k in range(3)]
    there = [gridded("b", "EPSG:32632", 10.5, 48)]
    plan = temporal_views(here + there, ViewRules(patch_size=64))
    of_b = plan.tile_ids.map(lambda ids: ids == ("b",))
    assert set(plan.xmin[of_b] % 30) == {0.0}
    assert set(plan.xmin[~of_b] % 30) == {15.0}
    assert "why_resampled" not in plan.columns


@pytest.mark.parametrize("method", METHODS)
def test_a_component_over_three_zones(method):
    """12° of longitude at 70° N, tile by tile: each zone's ground is planned on its own grid."""
    tiles = []
    for k, lon in enumerate(np.arange(10.5, 19.6, 0.3)):
        zone = 32 + (lon > 12) + (lon > 18)
        tiles.append(
            gridded(
                f"t{k:02d}", f"EPSG:326{zone}", lon, 70, offset=(15, 15), shape=(600, 600), day=k
            )
        )
    rules = ViewRules(patch_size=64, method=method)
    plan = temporal_views(tiles, rules)
    assert set(plan["crs"]) == {"EPSG:32632", "EPSG:32633", "EPSG:32634"}
    assert set(plan.xmin % 30) == {15.0}
    require_promises(plan, tiles, rules, 30)
    # ground that tiles of one CRS alone see is planned there, on whichever side of the border
    for row in plan.itertuples():
        crs = {t.crs for t in tiles if t.footprint.intersects(row.geometry)}
        if len(crs) == 1:
            assert crs == {row.crs}
            assert set(row.why_resampled) == {""}


@pytest.mark.parametrize("method", METHODS)
def test_datum_twins_share_ground_in_the_grid_of_most(method):
    etrs = [gridded(f"e{k}", "EPSG:25832", 9, 50, day=k, shape=(400, 400)) for k in range(3)]
    wgs = [gridded("w", "EPSG:32632", 9.05, 50.02, day=9, shape=(400, 400))]
    tiles, rules = etrs + wgs, ViewRules(patch_size=32, method=method)
    plan = temporal_views(tiles, rules)
    require_promises(plan, tiles, rules, 30)
    seen_by = plan.tile_ids.map(set)
    assert (plan["crs"][seen_by.map(lambda s: "e0" in s)] == "EPSG:25832").all()
    assert (plan["crs"][seen_by == {"w"}] == "EPSG:32632").any()
    both = plan[seen_by.map(lambda s: {"w", "e0"} <= s)].iloc[0]
    whys = dict(zip(both.tile_ids, both.why_resampled, strict=True))
    assert whys["w"] == "pixels in EPSG:32632, location in EPSG:25832"
    assert whys["e0"] == ""


CRS_AT = {
    "a border of zones": (12.0, 50.0, ["EPSG:32632", "EPSG:32633", "EPSG:25832", "EPSG:31468"]),
    "the equator": (33.0, 0.0, ["EPSG:32636", "EPSG:32736", "EPSG:32735"]),
    "Svalbard": (21.0, 78.0, ["EPSG:32633", "EPSG:32635", "EPSG:3995"]),
    "the antimeridian": (180.0, -20.0, ["EPSG:32760", "EPSG:32701"]),
    "Carolina": (-78.0, 35.5, ["EPSG:2264", "EPSG:32617", "EPSG:32618", "EPSG:26917"]),
}


@st.composite
def mixtures(draw):
    lon, lat, names = CRS_AT[draw(st.sampled_from(sorted(CRS_AT)))]
    tiles = []
    for k in range(draw(st.integers(1, 6))):
        crs = draw(st.sampled_from(names))
        size = 30 / metres_per_unit(crs)
        offset = draw(st.sampled_from([(0.0, 0.0), (size / 2, size / 2), (size / 3, 0.0)]))
        east, north = draw(st.floats(-0.08, 0.04)), draw(st.floats(-0.04, 0.08))
        tile = gridded(
            f"t{k}",
            crs,
            lon + east / np.cos(np.radians(lat)),
            lat + north,
            offset=offset,
            size=size,
            shape=(260, 260),
            day=draw(st.integers(0, 2)),
            turn=draw(st.sampled_from([0, 12, 40])),
        )
        tiles.append(bare(tile) if draw(st.integers(0, 4)) == 0 else tile)
    return tiles


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=40, deadline=None)
@given(tiles=mixtures())
def test_plans_over_mixed_grids_keep_every_promise(method, tiles):
    rules = ViewRules(patch_size=40, method=method)
    plan = temporal_views(tiles, rules)
    require_promises(plan, tiles, rules, 30)
    assert temporal_views(tiles[::-1], rules).equals(plan)
    # what a tile's own region holds is never resampled for the sake of another grid
    grids = [t.grid for t in tiles if t.grid is not None]
    if len({(g.crs, *GridLines.of(g).offset) for g in grids}) == 1 and len(grids) == len(tiles):
        assert "why_resampled" not in plan.columns


def test_bare_footprints_do_not_decide_over_known_grids():
    known = gridded("a", "EPSG:32632", 11.9, 50, offset=(15, 15), shape=(500, 500))
    tiles = [known] + [bare(gridded(f"b{k}", "EPSG:32633", 12.02, 50, day=k)) for k in range(1, 4)]
    plan = temporal_views(tiles, ViewRules(patch_size=32))
    of_a = plan[plan.tile_ids.map(lambda ids: "a" in ids)]
    assert set(of_a["crs"]) == {"EPSG:32632"}
    assert set(of_a.xmin % 30) == {15.0}
    assert worst_overlap(plan) == 0


# ---------------------------------------------------------------- what is stated, and units


def test_stated_origin_and_crs_override_the_tiles():
    tiles = [gridded(f"t{k}", "EPSG:32632", 10, 48, offset=(15, 15), day=k) for k in range(2)]
    by_origin = temporal_views(tiles, ViewRules(patch_size=64, origin=(5, 25)))
    assert set(by_origin.xmin % 30) == {5.0}
    assert set(by_origin.ymin % 30) == {25.0}
    assert all("off those of the pixels" in why for why in by_origin.why_resampled.explode())
    assert temporal_views(tiles, ViewRules(patch_size=64, origin=15)).equals(
        temporal_views(tiles, ViewRules(patch_size=64))
    )
    by_crs = temporal_views(tiles, ViewRules(patch_size=64, crs="EPSG:25832"))
    assert set(by_crs["crs"]) == {"EPSG:25832"}
    assert set(by_crs.why_resampled.explode()) == {"pixels in EPSG:32632, location in EPSG:25832"}


def test_a_stated_crs_that_cannot_show_the_tiles_is_refused():
    tiles = [gridded("t", "EPSG:32618", -75, 48)]
    with pytest.raises(TileError, match="EPSG:32632 is not meant"):
        temporal_views(tiles, ViewRules(crs="EPSG:32632"))
    with pytest.raises(CRSMismatchError, match="its unit is the degree"):
        temporal_views(tiles, ViewRules(crs="EPSG:4326"))


def test_a_stated_size_that_is_not_the_tiles_is_refused_unless_asked_for():
    tiles = [gridded("t", "EPSG:32632", 10, 48, size=20.0)]
    with pytest.raises(TileError, match=r"30 m is asked for and 1 of 1 tiles have pixels of 20 m"):
        temporal_views(tiles, ViewRules(patch_size=64, gsd=30))
    plan = temporal_views(tiles, ViewRules(patch_size=64, gsd=30, resample=True))
    assert set(plan.xmax - plan.xmin) == {1920.0}
    assert patch_size_of(plan) == 64
    assert set(plan.why_resampled.explode()) == {"pixels of 20 m, location of 30 m"}


def test_the_pixel_size_of_most_tiles_wins_and_the_patch_size_stays():
    tiles = [gridded(f"a{k}", "EPSG:32632", 10, 48, day=k) for k in range(2)]
    tiles += [gridded("b", "EPSG:32632", 10, 48, size=20.0, shape=(450, 450), day=5)]
    plan = temporal_views(tiles, ViewRules(patch_size=64))
    assert set(plan.xmax - plan.xmin) == {1920.0}
    told = {
        i: w for r in plan.itertuples() for i, w in zip(r.tile_ids, r.why_resampled, strict=True)
    }
    assert told == {"a0": "", "a1": "", "b": "pixels of 20 m, location of 30 m"}


@pytest.mark.parametrize(
    ("crs", "transform", "error", "sentence"),
    [
        ("EPSG:4326", (0.00027, 0, 10, 0, -0.00027, 50), CRSMismatchError, "are in degrees"),
        ("EPSG:4258", (0.00027, 0, 10, 0, -0.00027, 50), CRSMismatchError, "are in degrees"),
        ("EPSG:25832", (30, 0, 600000, 0, -60, 5400000), TileError, r"not square \(30 × 60 m\)"),
    ],
)
def test_pixels_that_are_no_squares_of_metres(crs, transform, error, sentence):
    grid = PixelGrid(crs, transform, (256, 256))
    tile = Tile("t", START, lonlat_footprint(grid.outline, crs), crs, grid=grid)
    with pytest.raises(error, match=sentence) as caught:
        temporal_views([tile], ViewRules(patch_size=16))
    assert len(str(caught.value).splitlines()) <= 3
    with pytest.raises(TileError, match="needs the size of its pixels"):
        temporal_views([tile], ViewRules(patch_size=16, resample=True))
    plan = temporal_views([tile], ViewRules(patch_size=16, gsd=30, resample=True))
    assert len(plan) > 50
    assert (plan.xmax - plan.xmin == 480).all()
    assert "" not in set(plan.why_resampled.explode())


def test_feet_are_feet():
    tile = gridded("t", "EPSG:2264", -80, 35.5, size=100.0)
    for gsd in (None, 30.48, 30.480061):
        plan = temporal_views([tile], ViewRules(patch_size=64, gsd=gsd))
        assert (plan.xmax - plan.xmin == 6400).all()
        assert plan_gsd(plan) == pytest.approx(30.48006096)
    with pytest.raises(
        TileError, match=r"100 m is asked for and 1 of 1 tiles have pixels of 30\.48"
    ):
        temporal_views([tile], ViewRules(gsd=100))


def test_a_grid_that_drifts_over_the_raster_is_not_taken_for_the_same():
    """30 m and 30.0009 m differ by 0.3 of a pixel after 10,000 of them: not one grid."""
    few = PixelGrid("EPSG:32632", (30, 0, 600000, 0, -30, 5400000), (10, 10))
    near = PixelGrid("EPSG:32632", (30.0009, 0, 600000, 0, -30.0009, 5400000), (10, 10))
    wide = PixelGrid("EPSG:32632", (30.0009, 0, 600000, 0, -30.0009, 5400000), (10, 10_000))
    assert few.agrees(near)
    assert not few.agrees(wide)
    assert not wide.agrees(few)
    tall = PixelGrid("EPSG:32632", (30.0009, 0, 600000, 0, -30.0009, 5400000), (10_000, 10))
    assert not few.agrees(tall)


# ---------------------------------------------------------------- to the pixels


def on_disk(tile, folder, values):
    path = write_raster(folder / f"{tile.id}.tif", values[None], tile.grid, nodata=-9)
    return Tile(tile.id, tile.acquired, tile.footprint, tile.crs, path, grid=tile.grid)


def codes(grid, seed):
    return np.random.default_rng(seed).integers(0, 30_000, grid.shape).astype(np.int16)


@pytest.mark.parametrize("states", [True, False], ids=["tiles state grids", "headers have grids"])
@pytest.mark.parametrize(
    ("crs", "lon", "lat", "size", "offset"),
    [
        ("EPSG:32632", 10, 48, 30.0, (15, 15)),
        ("EPSG:32636", 30.5, -5, 30.0, (15, -15)),
        ("EPSG:25832", 12.4, 50, 30.0, (10, 20)),
        ("EPSG:2264", -80, 35.5, 100.0, (50, 0)),
    ],
)
def test_patches_are_the_pixels_of_their_tiles(tmp_path, states, crs, lon, lat, size, offset):
    tiles, truth = [], {}
    for k in range(2):
        tile = gridded(f"t{k}", crs, lon, lat, size=size, offset=offset, day=k, shape=(64, 64))
        truth[tile.id] = codes(tile.grid, k)
        made = on_disk(tile, tmp_path, truth[tile.id])
        tiles.append(
            made if states else Tile(made.id, made.acquired, made.footprint, crs, made.path)
        )
    plan = temporal_views(tiles, ViewRules(patch_size=16))
    result = extract_patches(plan, tiles, tmp_path / "out", workers=1)
    assert set(result.manifest.resampling) == {"none"}
    assert set(result.manifest.why_resampled) == {""}
    assert set(result.manifest.shift_east) == set(result.manifest.shift_south) == {0.0}
    from workbench.extraction import PatchStore

    store = PatchStore(tmp_path / "out")
    assert store.contract.gsd_m == pytest.approx(size * metres_per_unit(crs))
    grids = {
        name: gridded(name, crs, lon, lat, size=size, offset=offset, shape=(64, 64)).grid
        for name in truth
    }
    different = 0
    for row in result.manifest.itertuples():
        window = grids[row.tile_id].window((row.xmin, row.ymin, row.xmax, row.ymax))
        different += (store.pixels(row.place)[0] != truth[row.tile_id][window.slices]).sum()
    assert len(result.manifest) >= 18
    assert different == 0


def test_the_manifest_says_why_pixels_were_resampled(tmp_path):
    ids = {"a": (15, 15), "b": (15, 15), "c": (0, 0)}
    tiles = [
        gridded(name, "EPSG:32632", 10, 48, offset=offset, day=k, shape=(64, 64))
        for k, (name, offset) in enumerate(ids.items())
    ]
    tiles.append(gridded("d", "EPSG:25832", 10, 48, offset=(15, 15), day=7, shape=(64, 64)))
    tiles = [on_disk(t, tmp_path, codes(t.grid, 1)) for t in tiles]
    plan = temporal_views(tiles, ViewRules(patch_size=16))
    manifest = extract_patches(plan, tiles, tmp_path / "out", workers=1).manifest
    told = {
        k: set(zip(g.resampling, g.why_resampled, strict=True))
        for k, g in manifest.groupby("tile_id")
    }
    assert told["a"] == told["b"] == {("none", "")}
    assert told["c"] == {
        ("nearest", "lines of the location -0.5 columns and -0.5 rows off those of the pixels")
    }
    assert told["d"] == {("bilinear", "pixels in EPSG:25832, location in EPSG:32632")}


def test_finer_pixels_are_averaged_only_if_the_plan_was_asked_to(tmp_path):
    tile = gridded("t", "EPSG:32632", 10, 48, size=10.0, shape=(192, 192))
    values = codes(tile.grid, 3)
    tiles = [on_disk(tile, tmp_path, values)]
    plan = temporal_views(tiles, ViewRules(patch_size=16, gsd=30, resample=True))
    result = extract_patches(plan, tiles, tmp_path / "out", workers=1)
    from workbench.extraction import PatchStore

    store = PatchStore(tmp_path / "out")
    assert store.contract.gsd_m == 30
    assert set(result.manifest.resampling) == {"average"}
    for row in result.manifest.itertuples():
        window = tile.grid.window((row.xmin, row.ymin, row.xmax, row.ymax))
        fine = values[window.slices].astype(float)
        mean = fine.reshape(16, 3, 16, 3).mean(axis=(1, 3))
        assert np.abs(store.pixels(row.place)[0] - mean).max() <= 0.5 + 1e-2
    hidden = plan.assign(why_resampled=[("",)] * len(plan))  # as if nobody had asked
    from workbench.errors import ManifestError

    with pytest.raises(ManifestError, match="has pixels of 10 m and the locations have 30 m"):
        extract_patches(hidden, tiles, tmp_path / "other", workers=1)


def test_an_old_plan_at_30_m_is_not_cut_as_more_pixels_of_20_m(tmp_path):
    """The names of locations count the pixels, in plans of any version."""
    from workbench.errors import ManifestError

    tile = gridded("t", "EPSG:32632", 10, 48, size=20.0, shape=(192, 192))
    plan = temporal_views([bare(tile)], ViewRules(patch_size=64))
    tiles = [on_disk(tile, tmp_path, codes(tile.grid, 3))]
    with pytest.raises(ManifestError, match="has pixels of 20 m and the locations have 30 m"):
        extract_patches(plan, tiles, tmp_path / "out", workers=1)


def test_degrees_are_refused_before_anything_is_read_and_resampled_on_request(tmp_path):
    grid = PixelGrid("EPSG:4326", (0.0003, 0, 10, 0, -0.0003, 50), (128, 128))
    rows, cols = np.mgrid[:128, :128]
    path = write_raster(tmp_path / "t.tif", (100 * cols + rows).astype(np.int16)[None], grid)
    tile = Tile("t", START, lonlat_footprint(grid.outline, grid.crs), grid.crs, path)
    known = Tile("t", START, tile.footprint, grid.crs, path, grid=grid)
    unknown = temporal_views([Tile("t", START, tile.footprint, "EPSG:32632")], ViewRules(16))
    with pytest.raises(Exception, match="its unit is the degree"):
        extract_patches(unknown, [tile], tmp_path / "refused", workers=1)
    plan = temporal_views([known], ViewRules(patch_size=16, gsd=30, resample=True))
    result = extract_patches(plan, [known], tmp_path / "out", workers=1)
    assert result.failed == {}
    assert len(result.manifest) >= 20
    from workbench.extraction import PatchStore

    store = PatchStore(tmp_path / "out")
    for row in result.manifest.itertuples():  # a ramp is a ramp on every grid
        square = PixelGrid.from_bounds(row.crs, (row.xmin, row.ymin, row.xmax, row.ymax), 30)
        lon, lat = transformer(row.crs, "EPSG:4326").transform(*np.meshgrid(square.x, square.y))
        col, line = (lon - 10) / 0.0003 - 0.5, (50 - lat) / 0.0003 - 0.5
        assert np.abs(store.pixels(row.place)[0] - (100 * col + line)).max() < 1


def test_sheets_of_a_plan_meet_without_gaps_of_more_than_a_square():
    """Two zones over one site: both regions are full up to their border."""
    tiles = [
        gridded(f"t{k}", f"EPSG:326{zone}", 11.8, 50.1, shape=(900, 900), day=k)
        for k, zone in enumerate((32, 33))
    ]
    plan = temporal_views(tiles, ViewRules(patch_size=32))
    share = (
        area_m2(plan.geometry.to_numpy()).sum()
        / area_m2([shapely.union_all([t.footprint for t in tiles])]).sum()
    )
    assert share > 0.85
    assert list(pairwise(sorted(set(plan["crs"])))) == [("EPSG:32632", "EPSG:32633")]
    assert split_at_antimeridian([tiles[0].footprint])[0] is tiles[0].footprint
