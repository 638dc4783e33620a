import base64
import json
import zlib

import numpy as np
import pytest
from pyproj import Transformer

from tests.viz.conftest import plan_of
from workbench.geo.tile import Tile
from workbench.viz.packed_layer import pack_plan


def unpacked(text):
    """What the page reads: the header, and each column summed up again."""
    raw = zlib.decompress(base64.b64decode(text))
    size = int.from_bytes(raw[:4], "little")
    header, at, columns = json.loads(raw[4 : 4 + size]), 4 + size, {}
    for name, n, kind in header["columns"]:
        size = n if kind == "bytes" else 4 * n
        numbers = np.frombuffer(raw[at : at + size], dtype=np.uint8).astype(np.uint8)
        if kind != "bytes":
            numbers = numbers.reshape(4, n).T.copy().view("<i4").ravel()
        columns[name] = np.cumsum(numbers) if kind == "steps" else numbers.astype(np.int64)
        at += size
    assert at == len(raw)
    return header, columns


def ids_of(header, columns, count):
    ids = header["ids"]
    if "list" in ids:
        return ids["list"]
    numbers = []
    for k in range(len(ids["widths"])):
        column, step = ids["derived"].get(f"id{k}", (f"id{k}", 1))
        numbers.append(columns[column] // step)
    return [
        "".join(
            text + (f"{numbers[k][i]:0{ids['widths'][k]}d}" if k < len(numbers) else "")
            for k, text in enumerate(ids["between"])
        )
        for i in range(count)
    ]


def tile_ids_of(header, columns, row):
    k = columns["combination"][row]
    first = columns["lengths"][:k].sum()
    members = columns["members"][first : first + columns["lengths"][k]]
    return tuple(header["tiles"][m][0] for m in members)


def test_every_row_comes_back(plan, tiles):
    packed = pack_plan(plan, tiles)
    header, columns = unpacked(packed.text)
    assert packed.locations == len(plan)
    assert ids_of(header, columns, len(plan)) == plan["location_id"].tolist()
    np.testing.assert_array_equal(columns["xmin"] / 100, plan["xmin"])
    np.testing.assert_array_equal((columns["ymin"] + columns["ymax"]) / 100, plan["ymax"])
    for row, expected in enumerate(plan["tile_ids"]):
        assert tile_ids_of(header, columns, row) == expected
        assert columns["dates"][columns["combination"][row]] == plan["n_acquisitions"][row]


def test_zones_are_grouped_and_keep_their_rows(tiles):
    import pandas as pd

    north = plan_of([("n1", 500_000, 5_000_000, ("a",), 1), ("n2", 503_000, 5_000_000, ("b",), 1)])
    south = plan_of([("s1", 500_000, 9_000_000, ("c",), 1)], crs="EPSG:32733")
    header, columns = unpacked(pack_plan(pd.concat([south, north]), tiles).text)
    assert [crs["zone"] for crs in header["crs"]] == [32, -33]
    assert columns["crs"].tolist() == [0, 0, 1]
    assert ids_of(header, columns, 3) == ["n1", "n2", "s1"]


def test_corners_outside_utm_are_stored_as_they_are(tiles):
    polar = plan_of([("p", 2_100_000, 2_300_000, ("a",), 1)], crs="EPSG:32661")
    header, columns = unpacked(pack_plan(polar, tiles).text)
    to_degrees = Transformer.from_crs("EPSG:32661", "EPSG:4326", always_xy=True)
    expected = to_degrees.transform([2_100_000, 2_102_560], [2_300_000, 2_300_000])
    assert header["crs"] == [{"name": "EPSG:32661", "zone": None}]
    np.testing.assert_allclose(columns["corner0"] / 1e7, expected[0][0], atol=1e-7)
    np.testing.assert_allclose(columns["corner2"] / 1e7, expected[0][1], atol=1e-7)
    np.testing.assert_allclose(columns["corner3"] / 1e7, expected[1][1], atol=1e-7)


@pytest.mark.parametrize(
    "names",
    [["7", "12"], ["x", "y"], ["a-001", "b-002"], ["0123456789", "0123456790"], ["ü1", "ü2"]],
)
def test_ids_of_any_shape_come_back(tiles, names):
    plan = plan_of([(name, 500_000 + 3000 * k, 0, ("a",), 1) for k, name in enumerate(names)])
    header, columns = unpacked(pack_plan(plan, tiles).text)
    assert ids_of(header, columns, len(names)) == names


def test_classes_are_counted(plan, tiles):
    assert pack_plan(plan, tiles).counts == (2, 2, 1, 0, 0, 0, 0)


def test_empty_plan_packs(plan, tiles):
    packed = pack_plan(plan.iloc[:0], tiles)
    assert packed.locations == 0
    assert unpacked(packed.text)[1]["xmin"].size == 0


def test_unknown_tile_is_named(plan, tiles):
    with pytest.raises(ValueError, match="Every tile of a plan must be given, but 1 are not"):
        pack_plan(plan, tiles[1:])


@pytest.mark.slow
def test_spectralearth_sized_plan_stays_small(tiles):
    rng = np.random.default_rng(0)
    count, side = 415_153, 3840
    cells = np.sort(rng.choice(1_200 * 1_200, count, replace=False))
    x, y = 30 * (cells % 1200 * 128 + 1000), 30 * (cells // 1200 * 128 + 1000)
    shift = 30 * rng.integers(0, 128, 1200)[cells // 1200]  # every row has its own offset
    names = [tile.id for tile in tiles]
    some = [tuple(names[: 1 + k]) for k in rng.integers(0, 3, count)]
    rows = zip(x, y, some, strict=True)
    plan = plan_of(
        [(f"32632-x{a // 30:06d}-y{b // 30:06d}", a, b, t, len(t)) for a, b, t in rows], side=side
    )
    plan["xmin"] += shift
    plan["xmax"] += shift
    assert len(pack_plan(plan, tiles).text) < 3e6


def test_tiles_are_listed_once_with_date_and_group(plan, tiles):
    header, _ = unpacked(
        pack_plan(
            plan, [*tiles, Tile("unused", tiles[0].acquired, tiles[0].footprint, "EPSG:32632")]
        ).text
    )
    assert header["tiles"][0] == ["a", "2022-06-01 10:30", "a"]
    assert [row[0] for row in header["tiles"]] == ["a", "b", "c", "far"]
