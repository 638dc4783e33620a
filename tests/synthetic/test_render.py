from dataclasses import replace

import numpy as np
import pytest
import shapely

from workbench.synthetic import NODATA, CampaignTruth, render
from workbench.synthetic import landscape as land
from workbench.synthetic.atmosphere import sun_position
from workbench.synthetic.render import STUCK, ground_cover


def find(truth: CampaignTruth, **wanted: object) -> str:
    """The first product with these details."""
    return next(
        a.id
        for a in truth.campaign.acquisitions
        if all(getattr(a, k) == v for k, v in wanted.items())
    )


def test_nodata_is_exactly_what_lies_outside_the_footprint(truth) -> None:
    tile = truth.kept[0]
    cube = truth.truth_reflectance(tile)
    acquisition = truth.acquisition(tile)
    xs, ys = np.meshgrid(acquisition.grid.x, acquisition.grid.y)
    inside = shapely.contains_xy(acquisition.outline, xs, ys)
    assert cube.shape == (224, 48, 48)
    assert cube.dtype == np.int16
    assert np.array_equal((cube != NODATA).all(axis=0), inside)
    assert np.array_equal((cube != NODATA).any(axis=0), inside)
    assert (truth.render(tile).layers["QUALITY_CLASSES"] == 3).sum() == (~inside).sum()


def test_same_acquisition_same_numbers(truth) -> None:
    tile = truth.kept[1]
    first, second = truth.render(tile), truth.render(tile)
    assert np.array_equal(first.cube, second.cube)
    assert np.array_equal(first.defective, second.defective)


def test_surface_is_a_function_of_the_ground(truth) -> None:
    """Without air and noise, a moved grid of the same day shows the same numbers where it lies."""
    a = truth.acquisition(find(truth, site="wabash", rotation=0.0))
    c, e = a.grid.transform[2], a.grid.transform[5]
    moved = replace(a, grid=replace(a.grid, transform=(30, 0, c + 90, 0, -30, e - 60)))
    site = truth.campaign.sites["wabash"]
    here, there = (render(x, site, surface=True).cube for x in (a, moved))
    light = 1  # the sun stands a hair elsewhere: one DN
    assert np.abs(here[:, 2:, 3:].astype(int) - there[:, :-2, :-3]).max() <= light


def test_neighbouring_tiles_of_a_datatake_see_one_ground(truth) -> None:
    a, b = (truth.acquisition(i) for i in find_pair(truth))
    site = truth.campaign.sites[a.site]
    common = a.grid.intersect(b.grid)
    assert common is not None
    cubes = []
    for x in (a, b):
        window = x.grid.window(common.bounds)
        cubes.append(render(x, site, surface=True).cube[:, *window.slices].astype(int))
    both = (cubes[0][0] != NODATA) & (cubes[1][0] != NODATA)
    assert both.sum() > 100
    assert np.abs(cubes[0] - cubes[1])[:, both].max() <= 2


def find_pair(truth: CampaignTruth) -> tuple[str, str]:
    return next(p for p in truth.edges if truth.dates(p) == 1)


def test_delivered_is_surface_plus_noise_where_the_sky_is_clear(truth) -> None:
    tile = truth.kept[0]  # cloudless, no haze
    acquisition = truth.acquisition(tile)
    assert (acquisition.cloud, acquisition.haze, acquisition.cirrus) == (0, 0, 0)
    valid = acquisition.valid()
    difference = truth.truth_reflectance(tile)[:, valid].astype(float)
    difference -= truth.truth_reflectance(tile, surface=True)[:, valid]
    kept = np.r_[0:126, 141:160, 167:224]
    assert np.abs(difference[kept].mean(axis=1)).max() < 2.5
    assert 5 < difference[60].std() < 12
    neighbour = np.corrcoef(difference[60], difference[61])[0, 1]
    assert abs(neighbour) < 0.15


def test_noise_differs_between_dates_and_not_between_deliveries(truth) -> None:
    old, (_, new) = next(iter(truth.dropped.items()))
    valid = truth.acquisition(new).valid()
    a, b = (truth.truth_reflectance(i)[:, valid].astype(float) for i in (old, new))
    bright = b > 500
    assert np.abs(a[bright] - 0.97 * b[bright]).max() <= 1.0  # the same, a little darker
    assert (a != b).mean() > 0.8


def test_clouds_are_bright_and_shadows_dark(truth) -> None:
    tile = find(truth, site="saale", cloud=0.35)
    rendered = truth.render(tile)
    surface = truth.truth_reflectance(tile, surface=True).astype(float)
    cloud = rendered.layers["QUALITY_CLOUD"] == 1
    shadow = rendered.layers["QUALITY_CLOUDSHADOW"] == 1
    valid = truth.acquisition(tile).valid()
    assert 0.1 < cloud[valid].mean() < 0.7
    assert shadow[valid].mean() > 0.01
    assert not (cloud & shadow).any()
    assert not (cloud | shadow)[~valid].any()
    assert (rendered.cube[10][cloud] > 4000).all()
    assert (rendered.cube[70][shadow] < 0.6 * surface[70][shadow] + 150).all()
    clear = valid & ~cloud & ~shadow
    assert np.abs(rendered.cube[60][clear] - surface[60][clear]).max() < 60


@pytest.mark.parametrize(
    ("layer", "details", "values"),
    [
        ("QUALITY_HAZE", {"haze": 0.5, "replaced_by": None}, {0, 1}),
        ("QUALITY_CIRRUS", {"cirrus": 0.3}, {0, 1, 2, 3}),
        ("QUALITY_SNOW", {"snow": 0.3, "replaced_by": None}, {0, 1}),
    ],
)
def test_each_layer_has_its_codes_and_effect(truth, layer, details, values) -> None:
    tile = find(truth, **details)
    rendered = truth.render(tile)
    valid = truth.acquisition(tile).valid()
    found = rendered.layers[layer]
    assert set(np.unique(found)) <= values
    assert 0.1 < (found[valid] > 0).mean() < 1
    clear = valid & (rendered.layers["QUALITY_CLOUD"] + rendered.layers["QUALITY_CLOUDSHADOW"] == 0)
    marked, free = clear & (found > 0), clear & (found == 0)
    blue = rendered.cube[8].astype(float)
    if layer != "QUALITY_SNOW":  # snow lies on the ground
        blue -= truth.truth_reflectance(tile, surface=True)[8]
    assert marked.any()
    assert free.any()
    assert blue[marked].mean() > blue[free].mean() + 50


def test_bad_bands_hold_nothing(truth) -> None:
    for bands in ((131, 132, 133, 134, 135), (75, 76)):
        cube = truth.truth_reflectance(find(truth, bad_bands=bands))
        empty = np.flatnonzero((cube == NODATA).all(axis=(1, 2))) + 1
        assert tuple(empty) == bands


def test_defective_pixels_are_stuck_and_marked(truth) -> None:
    tile = find(truth, defective_columns=2)
    rendered = truth.render(tile)
    mask = rendered.defective == 1
    assert (rendered.cube[mask] == STUCK).all()
    assert not (rendered.cube[~mask] == STUCK).any()
    bands = np.flatnonzero(mask.any(axis=(1, 2)))
    assert set(bands) == {*range(40, 44), *range(150, 156)}
    share = mask.any(axis=0)[truth.acquisition(tile).valid()].mean()
    assert 0.01 < share < 0.15
    others = [i for i in truth.kept if truth.acquisition(i).defective_columns == 0]
    assert not truth.render(others[0]).defective.any()


def test_forest_is_felled_between_two_dates(truth) -> None:
    site = truth.campaign.sites["wabash"]
    assert site.disturbance is not None
    before = find(truth, defective_columns=2)
    after = truth.acquisition(find(truth, cirrus=0.3))
    was = replace(after, start=truth.acquisition(before).start)
    then, now = (ground_cover(a, site)[0] for a in (was, after))
    changed = then != now
    assert 0.005 < changed.mean() < 0.5
    assert (now[changed] == land.CLEARED).all()
    assert np.isin(then[changed], (land.BROADLEAF, land.CONIFER)).all()
    assert (truth.cover(after.id) == land.CLEARED).any()
    assert not (truth.cover(before) == land.CLEARED).any()


def test_sun_stands_high_in_june_and_low_in_january(truth) -> None:
    """Against the almanac: noon elevation is 90° − latitude + declination."""
    tile = truth.acquisition(find(truth, site="uckermark", snow=0.3, replaced_by=None))
    noon = tile.start.replace(month=6, day=21, hour=11, minute=5)
    high, south = sun_position(replace(tile, start=noon))
    low, _ = sun_position(replace(tile, start=noon.replace(month=12)))
    assert high == pytest.approx(90 - 53.3 + 23.44, abs=0.7)
    assert low == pytest.approx(90 - 53.3 - 23.44, abs=0.7)
    assert south == pytest.approx(180, abs=2)
    _, morning = sun_position(replace(tile, start=noon.replace(hour=6)))
    assert 70 < morning < 110
