from dataclasses import asdict, replace

import numpy as np
import pytest
import shapely

from workbench.extraction import (
    QUALITY_BITS,
    ValidityRules,
    ViewRules,
    clear_tiles,
    extract_patches,
    temporal_views,
)
from workbench.extraction.validity import MEASURES, pixel_shares
from workbench.geo.footprint import projected


def test_shares_count_pixels_of_each_kind():
    bits = np.zeros((4, 5), np.uint8)
    bits[0] = QUALITY_BITS["nodata"]
    bits[1] = QUALITY_BITS["water"] | QUALITY_BITS["cloud"]
    bits[2, :2] = QUALITY_BITS["cloud"]
    shares = pixel_shares(bits)
    assert shares["nodata"] == 0.25
    assert shares["water"] == 0.25
    assert shares["cloud"] == 7 / 20
    assert shares["land"] == 0.5
    assert set(shares) == set(MEASURES)


def test_a_share_at_the_limit_is_accepted():
    rules = ValidityRules(cloud=0.25, nodata=0.0)
    assert rules.reasons({"cloud": 0.25, "nodata": 0.0}) == ()
    assert rules.reasons({"cloud": 0.26, "nodata": 0.1}) == ("nodata", "cloud")
    assert rules.explain({"cloud": 0.26}) == "cloud 26.0 % (limit 25 %)"


def test_rules_can_ask_for_land_or_for_water():
    sea = {"water": 0.95, "land": 0.05}
    assert ValidityRules(water=0.5).reasons(sea) == ("water",)
    assert ValidityRules(land=0.1).reasons(sea) == ()


def test_accept_all_accepts_all():
    assert ValidityRules.accept_all().reasons(dict.fromkeys(MEASURES, 1.0)) == ()


@pytest.mark.parametrize("kind", list(asdict(ValidityRules())))
def test_limits_are_shares(kind):
    with pytest.raises(ValueError, match=rf"^ValidityRules\.{kind} must be in \[0, 1\], got 1.5"):
        ValidityRules(**{kind: 1.5})


@pytest.fixture(scope="module")
def cleared(campaign):
    return clear_tiles(campaign.tiles, smallest_hole=1)


def test_clear_ground_is_free_of_what_the_layers_mark(campaign, cleared):
    for tile in cleared[0]:
        acquisition = campaign.truth.acquisition(tile.id)
        layers = campaign.truth.render(tile.id).layers
        outline = projected([tile.footprint], "EPSG:4326", acquisition.grid.crs)[0]
        x, y = np.meshgrid(acquisition.grid.x, acquisition.grid.y)
        inside = shapely.contains_xy(outline, x, y)
        for name in ("CLOUD", "CLOUDSHADOW", "HAZE", "CIRRUS", "SNOW"):
            assert not layers[f"QUALITY_{name}"][inside].any()


def test_clear_footprints_lie_in_the_old_ones(campaign, cleared):
    old = {tile.id: tile.footprint for tile in campaign.tiles}
    for tile in cleared[0]:
        assert tile.footprint.difference(old[tile.id]).area < 1e-12


def test_tiles_without_clear_ground_are_named_with_the_reason(campaign, cleared):
    gone = {item.tile.id: item.reason for item in cleared[1]}
    assert set(gone) | {tile.id for tile in cleared[0]} == set(campaign.truth.kept)
    lacking = {
        i for i in campaign.truth.kept if 75 in campaign.truth.acquisition(i).bad_bands
    }  # a band that is kept for learning
    assert lacking <= set(gone)
    assert all(reason.startswith("no pixel of it is free of nodata") for reason in gone.values())


def test_a_cloudy_date_does_not_count_when_planned_over_clear_ground(
    campaign, cleared, extracted, tmp_path
):
    plan = temporal_views(cleared[0], ViewRules(patch_size=8))
    strict = ValidityRules(cloud=0, shadow=0, haze=0, cirrus=0, snow=0, defective=1)
    found = extract_patches(plan, cleared[0], tmp_path, rules=strict, workers=1)
    planned = int(plan.tile_ids.map(len).sum())
    weather = {"cloud", "shadow", "haze", "cirrus", "snow"}
    rejected = [set(reasons) & weather for reasons in found.rejected.reasons]
    # an outline is drawn in longitude/latitude: at the most it cuts into a pixel across zones
    assert sum(map(bool, rejected)) <= 0.02 * planned
    clouds = sum(bool(set(reasons) & weather) for reasons in extracted.rejected.reasons)
    assert clouds > 0.1 * campaign.plan.tile_ids.map(len).sum()


def test_specks_can_stay(campaign):
    hazy = next(t for t in campaign.tiles if campaign.truth.acquisition(t.id).cloud > 0)
    fine, coarse = (clear_tiles([hazy], smallest_hole=n)[0] for n in (1, 100_000))
    assert not fine or fine[0].footprint.area < coarse[0].footprint.area


def test_a_tile_without_pixels_is_left_out(campaign):
    clear, unclear = clear_tiles([replace(campaign.tiles[0], path=None)])
    assert not clear
    assert unclear[0].reason.startswith("A tile must have its pixels on this machine")
