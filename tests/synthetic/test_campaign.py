import json
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
import shapely

from workbench.errors import WorkbenchError
from workbench.extraction.tiles import Tile, drop_duplicates
from workbench.geo.footprint import area_m2
from workbench.readers.enmap_metadata import PRODUCT
from workbench.synthetic import CampaignTruth, load_truth, plan_campaign, simulate_campaign
from workbench.synthetic.acquisition import shared_area


def tiles_of(truth: CampaignTruth) -> list[Tile]:
    taken = [truth.acquisition(i) for i in truth.tile_ids if i not in truth.broken]
    return [Tile(a.id, a.start, a.footprint, a.grid.crs, group=a.datatake) for a in taken]


def test_demo_has_24_tiles_in_three_components_over_a_zone_border() -> None:
    plan = plan_campaign()
    assert len(plan.acquisitions) == 24
    zones = {name: {a.grid.crs for a in plan.acquisitions if a.site == name} for name in plan.sites}
    assert zones["saale"] == {"EPSG:32632", "EPSG:32633"}
    assert zones["uckermark"] == {"EPSG:32633"}
    assert zones["wabash"] == {"EPSG:32616"}


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(("tile_size", "n_tiles"), [(48, 17), (192, 24), (100, 60)])
def test_truth_is_consistent_at_any_size(tmp_path, tile_size, n_tiles, seed) -> None:
    plan = plan_campaign(tile_size=tile_size, n_tiles=n_tiles, seed=seed)
    truth = CampaignTruth(tmp_path, plan)
    assert len(truth.tile_ids) == len(set(truth.tile_ids)) == n_tiles
    assert all(PRODUCT.fullmatch(i) for i in truth.tile_ids)
    assert sorted(truth.broken.values()) == ["no metadata", "truncated", "wrong crs"]
    assert [why for why, _ in truth.dropped.values()] == ["older version", "processed earlier"]
    assert len(truth.kept) == n_tiles - 5
    assert len(truth.components) == 3
    assert len(truth.touching) == 1
    assert truth.touching[0] not in truth.edges
    assert min(truth.edges.values()) > (5 * 30) ** 2  # no edge hangs on a rounding
    for a in plan.acquisitions:
        assert a.grid.outline.covers(a.outline)
        assert a.rotation == 0 or 5 <= a.rotation <= 20


def test_duplicates_are_dropped_as_the_truth_says(truth) -> None:
    kept, dropped = drop_duplicates(tiles_of(truth))
    assert sorted(t.id for t in kept) == list(truth.kept)
    assert {d.tile.id: d.kept for d in dropped} == {i: k for i, (_, k) in truth.dropped.items()}
    for old, (why, new) in truth.dropped.items():
        old, new = truth.acquisition(old), truth.acquisition(new)
        assert (old.datatake, old.tile, old.start) == (new.datatake, new.tile, new.start)
        assert old.processed < new.processed
        assert (old.version < new.version) == (why == "older version")


def test_edges_by_brute_force(truth) -> None:
    kept = [truth.acquisition(i) for i in truth.kept]
    expected = {}
    for a in kept:
        for b in kept:
            common = a.footprint.intersection(b.footprint)
            if a.id < b.id and common.area > 0:
                expected[a.id, b.id] = float(area_m2([common])[0])
    assert truth.edges == expected
    pair = next(iter(expected))
    assert shared_area(*(truth.acquisition(i) for i in pair)) == expected[pair]


def test_neighbours_in_two_zones_share_ground(truth) -> None:
    zones = {i: truth.acquisition(i).grid.crs for i in truth.kept}
    assert any({zones[a], zones[b]} == {"EPSG:32632", "EPSG:32633"} for a, b in truth.edges)


def test_tiles_of_one_datatake_are_one_date(truth) -> None:
    pairs = [p for p in truth.edges if truth.dates(p) == 1]
    assert pairs
    for a, b in pairs:
        a, b = truth.acquisition(a), truth.acquisition(b)
        assert a.tile != b.tile
        assert abs(a.start - b.start) < timedelta(minutes=1)


def test_covering_asks_the_footprints(truth) -> None:
    someone = truth.acquisition(truth.kept[0])
    spot = someone.footprint.centroid.buffer(1e-4)
    found = truth.covering(spot)
    assert someone.id in found
    expected = {i for i in truth.kept if shapely.covers(truth.acquisition(i).footprint, spot)}
    assert set(found) == expected
    starts = [truth.acquisition(i).start for i in found]
    assert starts == sorted(starts)


def test_half_pixel_shift_and_whole_grids(truth) -> None:
    shifts = Counter(
        tuple(v % 30 for v in (a.grid.transform[2], a.grid.transform[5]))
        for a in truth.campaign.acquisitions
    )
    assert shifts == {(15.0, 15.0): 16, (0.0, 0.0): 1}  # as EnMAP; one is half a pixel off


def test_sites_with_odd_grids_are_what_they_are_called(tmp_path) -> None:
    plan = plan_campaign(tile_size=48, n_tiles=3, nasty=False, world=True, seed=4)
    truth = CampaignTruth(tmp_path, plan)
    assert (
        plan.acquisitions[:3]
        == plan_campaign(tile_size=48, n_tiles=3, nasty=False, seed=4).acquisitions
    )
    grids = {name: [a.grid for a in plan.acquisitions if a.site == name] for name in plan.sites}
    zones = {name: {grid.crs for grid in found} for name, found in grids.items()}
    assert zones["bergen"] == {"EPSG:32632"}
    assert all(a.footprint.bounds[2] < 6 for a in plan.acquisitions if a.site == "bergen")
    assert zones["maipo"] == {"EPSG:32619"}
    assert all(grid.bounds[3] < 0 for grid in grids["maipo"])
    assert zones["harz"] == {"EPSG:32632", "EPSG:25832"}
    assert zones["meeting"] == {"EPSG:32631", "EPSG:32632", "EPSG:32633"}
    sites = [{truth.acquisition(i).site for i in component} for component in truth.components]
    assert [{"meeting"}] == [s for s in sites if "meeting" in s]  # one component over three zones
    assert all(len(site) == 1 for site in sites)
    assert {(v % 30) for found in grids.values() for g in found for v in g.transform[2::3]} == {15}
    assert all(a.rotation for a in plan.acquisitions)


def test_without_nasty_details_all_is_whole(tmp_path) -> None:
    truth = CampaignTruth(tmp_path, plan_campaign(n_tiles=10, nasty=False))
    assert len(truth.kept) == 10
    assert not truth.broken
    assert not truth.dropped
    for a in truth.campaign.acquisitions:
        assert (a.cloud, a.haze, a.bad_bands, a.fault) == (0, 0, (), None)


def test_longer_campaign_continues_the_shorter_one() -> None:
    short, long = plan_campaign(n_tiles=20), plan_campaign(n_tiles=30)
    assert long.acquisitions[:20] == short.acquisitions


def test_truth_survives_the_disk(truth) -> None:
    again = load_truth(truth.folder)
    assert again == truth
    assert again.edges == truth.edges
    stored = json.loads((truth.folder / "truth.json").read_text())
    assert stored["simulated"] is True
    assert stored["kept"] == list(truth.kept)
    assert {d["id"] for d in stored["broken"]} == set(truth.broken)
    assert len(stored["products"]) == 17
    assert all((truth.folder / p).is_file() for m in stored["labels"].values() for p in m.values())


def test_a_standing_campaign_is_found_again(truth) -> None:
    before = (truth.folder / "truth.json").stat().st_mtime_ns
    again = simulate_campaign(truth.folder, tile_size=48, n_tiles=17, seed=3)
    assert again == truth
    assert (truth.folder / "truth.json").stat().st_mtime_ns == before


def test_another_campaign_is_not_mixed_in(truth) -> None:
    with pytest.raises(WorkbenchError, match=r"A folder holds one campaign, but .* \(tile_size"):
        simulate_campaign(truth.folder, tile_size=48, n_tiles=18, seed=3)


def test_missing_and_foreign_truth(tmp_path) -> None:
    with pytest.raises(WorkbenchError, match=r"holds a truth\.json, but .* does not"):
        load_truth(tmp_path)
    (tmp_path / "truth.json").write_text('{"format": 99}')
    with pytest.raises(WorkbenchError, match=r"A truth of format 2 is read here, but .* has 99"):
        load_truth(tmp_path)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"n_tiles": 16}, "at least 17 tiles of 32 pixels, got 16 of 48"),
        ({"tile_size": 31}, "at least 17 tiles of 32 pixels, got 17 of 31"),
        ({"scale": "huge"}, "Unknown scale 'huge'"),
    ],
)
def test_bad_arguments(tmp_path, wanted, message) -> None:
    with pytest.raises(WorkbenchError, match=message):
        simulate_campaign(tmp_path, **{"tile_size": 48, "n_tiles": 17, **wanted})
    assert not list(tmp_path.iterdir())


def test_unknown_product(truth) -> None:
    with pytest.raises(WorkbenchError, match="has no product 'nothing'"):
        truth.truth_reflectance("nothing")


def test_acquisitions_of_one_plan_can_be_varied(truth) -> None:
    """A test may take a planned acquisition and change one thing about it."""
    first = truth.acquisition(truth.kept[0])
    assert replace(first, tile=9).id != first.id
    assert np.isclose(first.outline.area, (first.side * 30) ** 2)
