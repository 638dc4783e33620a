import numpy as np
import pytest

from workbench import legends
from workbench.geo.footprint import projected
from workbench.geo.raster import raster_info, read_raster
from workbench.geo.raster_grids import resampled
from workbench.synthetic import landscape as land
from workbench.synthetic.labels import CDL_CODES, NLCD_CODES, corine_codes


def test_maps_lie_on_their_own_grids_and_cover_the_footprints(truth) -> None:
    expected = {
        "corine": ("EPSG:3035", 100), "cdl": ("EPSG:5070", 30), "nlcd": ("EPSG:5070", 30),
        "leaf_type": (None, 10), "tree_density": (None, 10), "disturbance": ("EPSG:32616", 30),
    }  # fmt: skip
    assert set(truth.labels["wabash"]) == set(expected) - {"corine"}
    assert set(truth.labels["saale"]) == {"corine", "leaf_type", "tree_density"}
    for site, maps in truth.labels.items():
        for kind, path in maps.items():
            grid = raster_info(path).grid
            crs, gsd = expected[kind]
            assert grid.crs == (crs or ("EPSG:5070" if site == "wabash" else "EPSG:3035"))
            assert grid.resolution == (gsd, gsd)
            assert all(edge % gsd == 0 for edge in grid.bounds)
            for a in truth.campaign.acquisitions:
                if a.site == site:
                    outline = projected([a.footprint], "EPSG:4326", grid.crs)[0]
                    assert grid.outline.covers(outline)


@pytest.mark.parametrize(
    ("site", "kind", "legend"),
    [
        ("saale", "corine", legends.CORINE_19),
        ("uckermark", "corine", legends.CORINE_19),
        ("wabash", "cdl", legends.CDL_14),
        ("wabash", "nlcd", legends.NLCD_15),
        ("wabash", "leaf_type", legends.HRL_LEAF_TYPE),
        ("uckermark", "leaf_type", legends.HRL_LEAF_TYPE),
    ],
)
def test_every_code_is_in_the_legend(truth, site, kind, legend) -> None:
    codes = read_raster(truth.labels[site][kind])[0]
    classes = legend.encode(codes)
    assert len(np.unique(classes[classes != legend.ignore_index])) >= 2


def test_maps_show_the_ground_of_the_images(truth) -> None:
    """Carried to a product's pixels, CDL says what the cover says (but at its borders)."""
    tile = next(a for a in truth.campaign.acquisitions if a.site == "wabash")
    path = truth.labels["wabash"]["cdl"]
    codes = resampled(read_raster(path)[0], raster_info(path).grid, tile.grid)
    expected = np.vectorize(CDL_CODES.get)(truth.cover(tile.id))
    assert (codes == expected).mean() > 0.7
    share = [np.bincount(c.ravel(), minlength=256) / c.size for c in (codes, expected)]
    assert np.abs(share[0] - share[1]).max() < 0.03


def test_trees_by_kind_and_density_agree(truth) -> None:
    for site in truth.labels:
        leaf, density = (
            read_raster(truth.labels[site][k])[0] for k in ("leaf_type", "tree_density")
        )
        assert set(np.unique(leaf)) <= {0, 1, 2}
        assert ((density > 0) == (leaf > 0)).all()
        assert density.max() <= 100
        assert density[leaf > 0].min() >= 70
        legends.tree_cover_density(density)


def test_disturbance_map_is_what_the_covers_say(truth) -> None:
    before, after = (
        next(a for a in truth.campaign.acquisitions if getattr(a, key))
        for key in ("defective_columns", "cirrus")
    )
    path = truth.labels["wabash"]["disturbance"]
    grid = raster_info(path).grid
    mapped = read_raster(path)[0][*grid.window(after.grid.bounds).slices]
    cleared = truth.cover(after.id) == land.CLEARED
    assert mapped.shape == cleared.shape
    assert (mapped == 1).sum() > 20
    assert ((mapped == 1) & ~cleared).sum() <= 0.02 * mapped.size
    assert (cleared & (mapped == 0)).sum() <= 0.02 * mapped.size
    assert not (truth.cover(before.id) == land.CLEARED).any()


@pytest.mark.parametrize(
    ("shares", "code"),
    [
        ({land.RIVER: 0.6, land.CORN: 0.4}, 511),
        ({land.LAKE: 1.0}, 512),
        ({land.WETLAND: 0.5, land.PASTURE: 0.5}, 411),
        ({land.URBAN: 0.35, land.ROAD: 0.1, land.PASTURE: 0.55}, 112),
        ({land.BROADLEAF: 0.4, land.CONIFER: 0.4, land.CORN: 0.2}, 313),
        ({land.BROADLEAF: 0.8, land.CONIFER: 0.1, land.CORN: 0.1}, 311),
        ({land.CONIFER: 0.9, land.ROAD: 0.1}, 312),
        ({land.PASTURE: 0.7, land.CORN: 0.3}, 231),
        ({land.CORN: 0.3, land.WHEAT: 0.4, land.PASTURE: 0.3}, 211),
        ({land.BROADLEAF: 0.3, land.PASTURE: 0.4, land.CORN: 0.3}, 243),
        ({land.PASTURE: 0.5, land.CORN: 0.5}, 242),
    ],
)
def test_corine_rules(shares, code) -> None:
    column = np.zeros((16, 1))
    for cover, share in shares.items():
        column[cover] = share
    assert corine_codes(column).tolist() == [code]


def test_every_cover_has_a_code() -> None:
    assert set(CDL_CODES) == set(NLCD_CODES) == set(range(1, 16))
