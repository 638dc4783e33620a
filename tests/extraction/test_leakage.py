"""The leak report finds what is planted, agrees with brute force, and reads published splits."""

from datetime import datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod, Transformer
from shapely import box

from workbench.errors import ManifestError
from workbench.extraction.leakage import leak_report, read_split_files
from workbench.extraction.splits import split_locations
from workbench.extraction.views import temporal_views
from workbench.geo.tile import Tile

SIDE = 3840.0
ZONE = "EPSG:32632"
LINES = [("train", "0", "a"), ("train", "1", "b"), ("val", "2", "b"), ("test", "3", "a")]
LINES += [("test", "4", "c"), ("test", "0", "d")]


def patches_of(lines):
    return pd.DataFrame(lines, columns=["split", "location_id", "tile_id"])


def pair(report, seen, judged):
    rows = report.pairs[(report.pairs["seen"] == seen) & (report.pairs["judged"] == judged)]
    return rows.iloc[0]


def test_a_planted_leak_is_counted_by_tile_and_by_place():
    report = leak_report(patches_of(LINES))
    row = pair(report, "train", "test")
    assert (row.patches, row.by_tile, row.by_ground, row.affected) == (3, 1, 1, 2)
    assert (row.shared_tiles, row.shared_locations) == (1, 1)
    assert row.share == pytest.approx(2 / 3)
    assert np.isnan(row.shared_ground_m2)
    assert report.leaky
    assert report.ground == "location ids"
    hit = report.patches[report.patches["judged"] == "test"]
    assert hit[["location_id", "tile_id"]].to_numpy().tolist() == [["3", "a"], ["0", "d"]]
    assert pair(report, "val", "test").affected == 0
    assert pair(report, "train", "val").share == 1


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, n) for n in (2, 8, 8)]), min_size=1, max_size=40))
def test_agrees_with_brute_force_for_any_split(numbers):
    names = ("train", "val", "test")
    lines = sorted({(names[s], f"l{place}", f"t{tile}") for s, place, tile in numbers})
    report = leak_report(patches_of(lines))
    for row in report.pairs.itertuples():
        seen = [line for line in lines if line[0] == row.seen]
        judged = [line for line in lines if line[0] == row.judged]
        tile = [any(j[2] == s[2] for s in seen) for j in judged]
        place = [any(j[1] == s[1] for s in seen) for j in judged]
        assert (row.by_tile, row.by_ground) == (sum(tile), sum(place))
        assert row.affected == sum(t or p for t, p in zip(tile, place, strict=True))
        assert row.share == pytest.approx(row.affected / len(judged))


def test_a_random_split_is_reported_leaky_and_a_component_split_clean(plan_of):
    squares = [(4e5 + SIDE * (i % 10), 5.4e6 + SIDE * (i // 10)) for i in range(100)]
    plan = plan_of(squares, [(f"t{i // 10}",) for i in range(100)])
    leaky = leak_report(split_locations(plan, by="random", seed=0), plan)
    assert leaky.leaky
    assert str(leaky).startswith("Leaky")
    row = pair(leaky, "train", "test")
    assert row.share > 0.9
    assert row.by_ground == 0
    assert row.shared_ground_m2 == 0
    clean = leak_report(split_locations(plan, by="component", seed=0), plan)
    assert not clean.leaky
    assert str(clean).startswith("Clean: no tile and no ground on two sides")
    assert clean.pairs["affected"].sum() == 0


def test_shared_ground_is_measured_once_on_the_ellipsoid(plan_of):
    half = SIDE / 2
    squares = [(5e5, 5.4e6), (5e5 + half, 5.4e6), (5e5 + half, 5.4e6), (6e5, 5.4e6)]
    plan = plan_of(squares, [("a",), ("b",), ("c",), ("d",)])
    split = pd.Series(["train", "test", "test", "test"], index=plan["location_id"])
    row = pair(leak_report(split, plan), "train", "test")
    shared = plan.geometry[0].intersection(plan.geometry[1])
    area = abs(Geod(ellps="WGS84").geometry_area_perimeter(shared)[0])
    assert row.shared_ground_m2 == pytest.approx(area, rel=1e-4)
    assert (row.patches, row.by_ground, row.by_tile) == (3, 2, 0)


def test_neighbours_that_touch_share_no_ground(plan_of):
    squares = [(3e5, 7.9e6), (3e5 + 1000, 7.9e6 + SIDE)]
    plan = plan_of(squares, [("a",), ("b",)])
    split = pd.Series(["train", "test"], index=plan["location_id"])
    row = pair(leak_report(split, plan), "train", "test")
    assert (row.by_ground, row.shared_ground_m2) == (0, 0)


def test_pretraining_is_compared_by_polygons_across_zones_and_not_by_id(plan_of):
    x, y = Transformer.from_crs(ZONE, "EPSG:32633", always_xy=True).transform(720_000, 5_500_000)
    downstream = plan_of([(720_000, 5.5e6), (5e5, 5.5e6), (4e5, 5.5e6)], [("a",), ("b",), ("c",)])
    seen = plan_of([(x, y), (6e5, 2e6)], [("z",), ("b",)], "EPSG:32633", prefix="p")
    split = pd.Series(["train", "val", "test"], index=downstream["location_id"])
    report = leak_report(split, downstream, pretraining=seen)
    assert report.ground == "polygons"
    assert pair(report, "pretraining", "train").by_ground == 1
    assert pair(report, "pretraining", "val").by_tile == 1
    assert pair(report, "pretraining", "test").affected == 0
    assert report.leaky


def test_pretraining_on_the_downstream_train_part_alone_is_no_leak(plan_of):
    downstream = plan_of([(5e5, 5.5e6), (4e5, 5.5e6)], [("a",), ("b",)])
    split = pd.Series(["train", "test"], index=downstream["location_id"])
    report = leak_report(split, downstream, pretraining=downstream.iloc[:1])
    assert pair(report, "pretraining", "train").share == 1
    assert not report.leaky


def test_pretraining_may_be_a_table_of_patches_without_polygons():
    report = leak_report(patches_of(LINES), pretraining=patches_of(LINES[3:4]))
    row = pair(report, "pretraining", "test")
    assert (row.by_tile, row.by_ground, row.affected) == (1, 1, 1)


def test_a_buffer_belongs_to_no_part_and_is_counted():
    report = leak_report(patches_of([*LINES, ("buffer", "9", "a")]))
    assert report.left_out == 1
    assert "buffer" not in set(report.pairs["seen"]) | set(report.pairs["judged"])


def test_part_of_a_plan_may_be_judged(plan_of):
    plan = plan_of([(5e5, 5.5e6), (4e5, 5.5e6), (3e5, 5.5e6)], [("a", "b"), ("b",), ("c",)])
    report = leak_report(pd.Series({"00000": "train", "00001": "test"}), plan)
    row = pair(report, "train", "test")
    assert (row.patches, row.affected) == (1, 1)


@pytest.mark.parametrize("lines", [[], LINES[:2]])
def test_a_split_without_a_second_part_has_nothing_to_compare(lines):
    report = leak_report(patches_of(lines))
    assert report.pairs.empty
    assert report.patches.empty
    assert not report.leaky


def test_reads_a_published_split(tmp_path):
    (tmp_path / "train.txt").write_text("0287155/07676.tif\n0000001/00002.tif\r\n\n")
    (tmp_path / "test.txt").write_text("0000003/07676.tif\n")
    table = read_split_files(tmp_path)
    assert table.to_numpy().tolist() == [
        ["train", "0287155", "07676"],
        ["train", "0000001", "00002"],
        ["test", "0000003", "07676"],
    ]
    assert pair(leak_report(table), "train", "test").share == 1


def test_a_line_that_is_there_twice_counts_once_and_is_logged(tmp_path, caplog):
    (tmp_path / "train.txt").write_text("1/2.tif\n1/2.tif\n")
    (tmp_path / "test.txt").write_text("3/4.tif\n")
    assert len(read_split_files(tmp_path)) == 2
    assert "1 lines are there twice" in caplog.text


@pytest.mark.parametrize("line", ["1/2.png", "2.tif", "a/1/2.tif", "/2.tif", "1/2"])
def test_a_line_of_another_form_is_named_by_file_and_number(tmp_path, line):
    (tmp_path / "train.txt").write_text(f"1/2.tif\n{line}\n")
    (tmp_path / "test.txt").write_text("3/4.tif\n")
    with pytest.raises(
        ManifestError, match=r"train.txt:2: a line of a split is `location/tile.tif`"
    ):
        read_split_files(tmp_path)


def test_a_folder_without_a_split_says_what_it_has(tmp_path):
    (tmp_path / "val.txt").write_text("1/2.tif\n")
    with pytest.raises(ManifestError, match=r"A published split has two or three of train.txt"):
        read_split_files(tmp_path)


def test_a_series_needs_its_plan():
    with pytest.raises(ValueError, match="A split of locations needs their plan, which knows the"):
        leak_report(pd.Series({"0": "train"}))


def test_a_split_that_names_other_locations_is_refused(plan_of):
    plan = plan_of([(5e5, 5.5e6)], [("a",)])
    with pytest.raises(
        ValueError, match="A split names locations of its plan, but 1 are not in it"
    ):
        leak_report(pd.Series({"00000": "train", "x": "test"}), plan)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_what_the_planner_plans_can_be_split_clean_and_its_random_split_is_leaky(seed):
    rng = np.random.default_rng(seed)
    corners = np.column_stack([rng.uniform(10.5, 13, 12), rng.uniform(47, 48, 12)])
    tiles = [
        Tile(f"t{i}", datetime(2022, 6, 1 + i), box(x, y, x + 0.25, y + 0.2), "EPSG:32632")
        for i, (x, y) in enumerate(corners)
    ]
    far = Tile("far", datetime(2022, 6, 30), box(20, 47, 20.25, 47.2), "EPSG:32634")
    plan = temporal_views([*tiles, far])
    fractions = (0.5, 0, 0.5)
    whole = split_locations(plan, by="component", fractions=fractions, seed=seed, tiles=tiles)
    report = leak_report(whole, plan)
    assert not report.leaky
    assert report.pairs["shared_ground_m2"].eq(0).all()
    assert leak_report(split_locations(plan, by="random", seed=seed), plan).leaky


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_leak_is_seen_whatever_editor_wrote_the_split(tmp_path, mark, end):
    """The same patch first in train and in test: a byte order mark must not make it another."""
    text = end.join(["0000001/00001.tif", "", "  0000002/00002.TIF \t", ""])
    (tmp_path / "train.txt").write_bytes(mark + text.encode())
    (tmp_path / "test.txt").write_bytes(b"0000001/00001.tif\n0000003/00002.tif\n")
    table = read_split_files(tmp_path)
    assert table["location_id"].tolist() == ["0000001", "0000002", "0000001", "0000003"]
    assert table["tile_id"].tolist() == ["00001", "00002", "00001", "00002"]
    report = leak_report(table)
    assert report.leaky
    assert set(report.patches["location_id"]) == {"0000001", "0000003"}  # by place, by tile


def test_a_split_in_another_encoding_is_refused(tmp_path):
    for part in ("train", "test"):
        (tmp_path / f"{part}.txt").write_bytes("0000001/00001.tif\n".encode("utf-16"))
    with pytest.raises(ManifestError, match="must be UTF-8 text"):
        read_split_files(tmp_path)
