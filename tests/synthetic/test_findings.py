"""Findings of the pipeline equal the truth; wrong findings do not."""

from dataclasses import asdict, replace

import networkx as nx
import numpy as np
import pytest

from workbench.extraction import (
    PatchStore,
    ValidityRules,
    ViewRules,
    drop_duplicates,
    extract_patches,
    overlap_graph,
    temporal_views,
)
from workbench.readers.enmap import discover_enmap
from workbench.sensors import sensor
from workbench.synthetic import simulate_campaign
from workbench.synthetic.findings import Findings, compare_with_truth, true_reasons

LIMITS = asdict(ValidityRules())
BANDS = sensor("enmap").bands


@pytest.fixture(scope="module")
def found(truth, tmp_path_factory) -> Findings:
    tiles, skipped = discover_enmap(truth.products)
    kept, dropped = drop_duplicates(tiles)
    plan = temporal_views(kept, ViewRules(patch_size=8))
    done = extract_patches(plan, kept, tmp_path_factory.mktemp("out"), workers=1)
    graph = overlap_graph(kept)
    return Findings(skipped, dropped, kept, graph, plan, done.manifest, done.rejected)


def wrong(truth, findings: Findings) -> set[str]:
    table = compare_with_truth(truth, findings, LIMITS)
    return set(table.loc[~table["equal"], "finding"])


def test_findings_of_the_pipeline_equal_the_truth(truth, found) -> None:
    table = compare_with_truth(truth, found, LIMITS).set_index("finding")
    assert table["equal"].all()
    assert (table["known truth"] == table["found"]).all()
    assert table.loc["tiles kept", "found"] == 12
    assert table.loc["repeated deliveries dropped", "found"] == 2
    assert table.loc["locations left with two dates or more", "found"] > 5
    reasons = {name.rpartition(" ")[2] for name in table.index if "rejected" in name}
    assert reasons >= {"nodata", "defective", "cloud", "shadow", "haze", "cirrus", "snow"}


def test_pixels_are_copied_where_the_location_has_the_grid_of_the_tile(truth, found) -> None:
    """EnMAP's pixels begin 15 m off multiples of 30 m; one product lies half a pixel elsewhere."""
    crs_of = {tile.id: tile.crs for tile in found.kept}
    own = found.patches[found.patches["crs"] == found.patches["tile_id"].map(crs_of)]
    odd = {
        i for i in truth.kept if truth.acquisition(i).grid.transform[2] % 30 == 0
    }  # the shifted one
    assert len(odd) == 1
    assert set(own[~own["tile_id"].isin(odd)]["resampling"]) == {"none"}
    assert not own[~own["tile_id"].isin(odd)][["shift_east", "shift_south"]].any(axis=None)


@pytest.mark.slow
def test_odd_grids_are_copied_and_found_as_they_are(tmp_path) -> None:
    """EnMAP's half pixel, zone 32V, negative northings, ETRS89, three zones: nothing resampled
    that lies on the grid its location has, and each patch is the product's own numbers."""
    truth = simulate_campaign(tmp_path / "c", tile_size=40, n_tiles=3, nasty=False, world=True)
    tiles, skipped = discover_enmap(truth.products)
    assert (len(tiles), skipped) == (13, [])
    plan = temporal_views(tiles, ViewRules(patch_size=8))
    done = extract_patches(plan, tiles, tmp_path / "out", workers=1)
    found = Findings(skipped, [], tiles, overlap_graph(tiles), plan, done.manifest, done.rejected)
    table = compare_with_truth(truth, found, LIMITS)
    assert table["equal"].all(), table
    crs_of = {tile.id: tile.crs for tile in tiles}
    rows = done.manifest
    own = rows[rows["crs"] == rows["tile_id"].map(crs_of)]
    assert {truth.site(i).name for i in own["tile_id"]} == set(truth.campaign.sites)
    assert set(own["resampling"]) == {"none"}
    assert not own[["shift_east", "shift_south"]].any(axis=None)
    store = PatchStore(done.path)
    kept = [b.number - 1 for name in store.contract.band_names for b in BANDS if b.name == name]
    for row in own.groupby("tile_id").first().reset_index().itertuples():
        cube, grid = truth.render(row.tile_id).cube, truth.acquisition(row.tile_id).grid
        top, left, height, width = grid.window((row.xmin, row.ymin, row.xmax, row.ymax))
        expected = cube[kept, top : top + height, left : left + width]
        assert np.array_equal(store.pixels(row.place), expected)


def test_other_limits_than_those_of_the_extraction_are_found_out(truth, found) -> None:
    table = compare_with_truth(truth, found, {**LIMITS, "cloud": 1.0}).set_index("finding")
    assert not table.loc["patches rejected for cloud", "equal"]


def test_what_was_lost_or_mixed_up_is_named(truth, found) -> None:
    assert wrong(truth, replace(found, kept=found.kept[1:])) == {"tiles kept"}
    assert wrong(truth, replace(found, skipped=found.skipped[:2])) >= {
        f"broken products: {truth.broken[found.skipped[2].path.name]}"
    }
    graph = found.graph.copy()
    graph.remove_edge(*next(iter(graph.edges)))
    assert "pairs of tiles that overlap" in wrong(truth, replace(found, graph=graph))
    joined = nx.compose(found.graph, nx.path_graph(sorted(found.graph)))
    assert "connected components" in wrong(truth, replace(found, graph=joined))
    assert "patches cut" in wrong(truth, replace(found, patches=found.patches.iloc[1:]))


def test_as_many_but_other_patches_are_not_equal(truth, found) -> None:
    swapped = found.rejected.copy()
    first = swapped.index[swapped["reasons"].map(lambda r: r == ("cloud",))][0]
    swapped.loc[first, "location_id"] = "elsewhere"
    table = compare_with_truth(truth, replace(found, rejected=swapped), LIMITS)
    row = table.set_index("finding").loc["patches rejected for cloud"]
    assert row["known truth"] == row["found"]
    assert not row["equal"]


def test_tiles_of_one_datatake_are_one_date(truth, found) -> None:
    seen = found.plan[found.plan["tile_ids"].map(lambda ids: truth.dates(ids) < len(ids))]
    for row in seen.itertuples():
        told = true_reasons(truth, seen[seen["location_id"] == row.location_id], {})
        again = sum(reasons == {"same date"} for reasons in told.values())
        assert again == len(row.tile_ids) - truth.dates(row.tile_ids)
