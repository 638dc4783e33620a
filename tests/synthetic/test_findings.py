"""Findings of the pipeline equal the truth; wrong findings do not."""

from dataclasses import asdict, replace

import networkx as nx
import pytest

from workbench.extraction import (
    ValidityRules,
    ViewRules,
    drop_duplicates,
    extract_patches,
    overlap_graph,
    temporal_views,
)
from workbench.readers.enmap import discover_enmap
from workbench.synthetic.findings import Findings, compare_with_truth, true_reasons

LIMITS = asdict(ValidityRules())


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
