"""The simulated campaign of footprints: as large and as crowded as the planner must stand."""

import pytest

from workbench.extraction import overlap_graph
from workbench.geo.footprint import area_m2
from workbench.synthetic.footprints import TILE_SIDE, simulated_footprints


def test_the_same_seed_gives_the_same_tiles_and_a_longer_campaign_begins_alike():
    assert simulated_footprints(30, seed=4) == simulated_footprints(60, seed=4)[:30]
    assert simulated_footprints(30, seed=5) != simulated_footprints(30, seed=4)


def test_tiles_are_thirty_kilometres_wide():
    areas = area_m2([t.footprint for t in simulated_footprints(300)])
    assert areas == pytest.approx(TILE_SIDE**2, rel=0.05)


def test_tiles_of_a_strip_share_their_datatake():
    tiles = simulated_footprints(200)
    assert len({t.id for t in tiles}) == 200
    assert all(t.id.startswith(t.group) for t in tiles)
    assert len({t.group for t in tiles}) < 200


@pytest.mark.slow
def test_the_whole_campaign_is_as_crowded_as_the_talk_says():
    tiles = simulated_footprints()
    degrees = [d for _, d in overlap_graph(tiles).degree()]
    assert len(tiles) == 11_636
    assert max(degrees) > 30
    assert sum(d == 0 for d in degrees) > 500
