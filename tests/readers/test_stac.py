"""STAC items of EnMAP become tiles; what is wrong with an item is said and counted."""

import json
from datetime import UTC, datetime

import numpy as np
import pytest
from pyproj import CRS

from workbench.errors import TileError
from workbench.geo.dates import tile_dates
from workbench.geo.grid import PixelGrid
from workbench.geo.raster import write_raster
from workbench.readers.stac import discover_stac, tile_of_item

NAME = "ENMAP01-____L2A-DT0000001867_20220724T104526Z_008_V010302_20230628T165614Z"
RING = [[13.0, 52.0], [13.4, 51.9], [13.5, 52.2], [13.1, 52.3], [13.0, 52.0]]


def item(**changes):
    found = {
        "type": "Feature",
        "id": NAME,
        "geometry": {"type": "Polygon", "coordinates": [RING]},
        "properties": {"datetime": "2022-07-24T10:45:26.5Z", "proj:epsg": 32633},
        "assets": {"image": {"href": f"https://example.org/{NAME}-SPECTRAL_IMAGE_COG.TIFF"}},
    }
    return {**found, **changes}


def test_an_item_becomes_a_tile():
    tile = tile_of_item(item())
    assert (tile.id, tile.group, tile.crs, tile.path) == (NAME, "0000001867", "EPSG:32633", None)
    assert tile.acquired == datetime(2022, 7, 24, 10, 45, 26, 500_000, UTC)
    assert tile.footprint.bounds == (13.0, 51.9, 13.5, 52.3)


@pytest.mark.parametrize(
    ("properties", "asset"),
    [({"proj:code": "EPSG:32633"}, {}), ({}, {"proj:epsg": 32633})],
)
def test_the_projection_may_stand_in_either_version_and_place(properties, asset):
    assets = {"image": {"href": f"{NAME}-SPECTRAL_IMAGE.TIF", **asset}}
    found = item(properties={"datetime": "2022-07-24T10:45:26Z", **properties}, assets=assets)
    assert tile_of_item(found).crs == "EPSG:32633"


def test_a_local_image_gives_the_path_of_its_product(tmp_path):
    (tmp_path / NAME).mkdir()
    (tmp_path / NAME / f"{NAME}-SPECTRAL_IMAGE.TIF").touch()
    found = item(assets={"image": {"href": f"{NAME}/{NAME}-SPECTRAL_IMAGE.TIF"}})
    assert tile_of_item(found, tmp_path).path == tmp_path / NAME


def test_collections_and_single_items_are_read_from_a_folder(tmp_path):
    other = NAME.replace("_008_", "_009_")
    collection = {"type": "FeatureCollection", "features": [item(id=other), item(id="x")]}
    (tmp_path / "search.json").write_text(json.dumps(collection))
    (tmp_path / "item.json").write_text(json.dumps(item()))
    tiles, skipped = discover_stac(tmp_path)
    assert [tile.id for tile in tiles] == [NAME, other]
    assert [s.reason for s in skipped] == [
        "An item must be of an EnMAP L2A product, but its id is 'x'."
    ]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"geometry": None}, "must have a polygon for geometry"),
        ({"geometry": {"type": "Point", "coordinates": [1, 2]}}, "must have a polygon"),
        ({"geometry": {"type": "Polygon", "coordinates": "x"}}, "must have a geometry in GeoJSON"),
        ({"properties": {"proj:epsg": 32633}}, "must have a datetime"),
        ({"properties": {"datetime": "2022-07-24T10:45:26Z"}}, "must name its CRS"),
    ],
)
def test_an_item_that_lacks_something_is_refused(changes, reason):
    with pytest.raises(TileError, match=reason):
        tile_of_item(item(**changes))


@pytest.mark.parametrize("text", ["", "[1]", '{"type": "Catalog"}', "{"])
def test_a_file_without_items_is_refused(tmp_path, text):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(TileError, match=r"must be JSON features, but .*x\.json"):
        discover_stac(tmp_path)


LEVEL_30 = {"proj:transform": [30, 0, 400_005, 0, -30, 5_800_005], "proj:shape": [1000, 1200]}


def with_properties(**properties):
    return item(properties={"datetime": "2022-07-24T10:45:26Z", **properties})


@pytest.mark.parametrize(
    "stated",
    [
        {"proj:epsg": None, "proj:wkt2": CRS.from_epsg(32733).to_wkt()},
        {"proj:projjson": CRS.from_epsg(32733).to_json_dict(), "proj:code": None},
        {"proj:projjson": CRS.from_epsg(32733).to_json()},
        {"proj:code": "epsg:32733"},
        {"proj:epsg": "32733"},
    ],
)
def test_a_crs_is_read_in_every_form_of_the_extension(stated):
    assert tile_of_item(with_properties(**stated)).crs == "EPSG:32733"


def test_a_crs_may_stand_in_an_asset_that_is_signed_or_no_image():
    signed = f"https://h/a%20b/{NAME}-SPECTRAL_IMAGE_COG.TIFF?sv=1&sig=a%2Fb#x"
    for href in (signed, "https://h/B4.tif"):
        found = with_properties()
        found["assets"] = {"thumbnail": {"href": "x.png"}, "image": {"href": href}}
        found["assets"]["image"]["proj:code"] = "EPSG:32633"
        assert tile_of_item(found).crs == "EPSG:32633"


@pytest.mark.parametrize(
    ("stated", "grid"),
    [
        (LEVEL_30, ((30, 0, 400_005, 0, -30, 5_800_005), (1000, 1200))),
        (
            {**LEVEL_30, "proj:transform": [*LEVEL_30["proj:transform"], 0, 0, 1]},
            ((30, 0, 400_005, 0, -30, 5_800_005), (1000, 1200)),
        ),
        (
            {"proj:bbox": [400_005, 5_770_005, 436_005, 5_800_005], "proj:shape": [1000, 1200]},
            ((30, 0, 400_005, 0, -30, 5_800_005), (1000, 1200)),
        ),
        ({"proj:shape": [1000, 1200]}, None),
        ({**LEVEL_30, "proj:transform": [30, 1, 400_005, 1, -30, 5_800_005]}, None),
        ({**LEVEL_30, "proj:shape": ["x", None]}, None),
    ],
)
@pytest.mark.parametrize("place", ["item", "image"])
def test_the_pixel_grid_is_that_of_the_projection_extension(place, stated, grid):
    found = with_properties(**{"proj:epsg": 32633, **(stated if place == "item" else {})})
    if place == "image":
        found["assets"]["image"] |= stated
    expected = None if grid is None else PixelGrid("EPSG:32633", *grid)
    assert tile_of_item(found).grid == expected


def test_the_header_of_a_local_image_tells_the_grid(tmp_path):
    grid = PixelGrid("EPSG:32633", (30, 0, 400_015, 0, -30, 5_800_015), (4, 5))
    write_raster(tmp_path / "a b" / f"{NAME}-SPECTRAL_IMAGE.TIF", np.ones((4, 5), "i2"), grid)
    for href in ("a%20b/", "a b/", f"file://{tmp_path}/a%20b/", f"{tmp_path}/a b/"):
        found = with_properties(**{"proj:epsg": 32633, **LEVEL_30})
        found["assets"] = {"image": {"href": f"{href}{NAME}-SPECTRAL_IMAGE.TIF"}}
        tile = tile_of_item(found, tmp_path)
        assert (tile.path, tile.grid) == (tmp_path / "a b", grid)


@pytest.mark.parametrize("turn", [-360, 0])
def test_a_ring_that_goes_on_past_the_antimeridian_is_split_there(turn):
    ring = [[x + turn, y] for x, y in ([179.5, -17], [180.5, -17], [180.5, -16], [179.5, -16])]
    ring.append(ring[0])
    footprint = tile_of_item(item(geometry={"type": "Polygon", "coordinates": [ring]})).footprint
    parts = sorted(part.bounds for part in footprint.geoms)
    assert parts == [(-180, -17, -179.5, -16), (179.5, -17, 180, -16)]


def test_a_third_dimension_is_left_out():
    ring = [[x, y, 120.0] for x, y in RING]
    tile = tile_of_item(item(geometry={"type": "Polygon", "coordinates": [ring]}))
    assert not tile.footprint.has_z


OTHER = NAME.replace("_008_", "_009_")
BOM = b"\xef\xbb\xbf"


@pytest.mark.parametrize("name", ["1.json", "1.JSON", "1.geojson", "deep/er/1.GeoJSON"])
@pytest.mark.parametrize("mark", [b"", BOM])
def test_items_are_found_under_every_suffix_and_with_a_byte_order_mark(tmp_path, name, mark):
    file = tmp_path / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(mark + json.dumps(item(), indent=1).replace("\n", "\r\n").encode())
    file.with_name("._1.json").write_bytes(b"\0\5\26\7")
    tiles, skipped = discover_stac(tmp_path)
    assert ([t.id for t in tiles], skipped) == ([NAME], [])


def link(href, rel="item"):
    return {"rel": rel, "href": href, "type": "application/json"}


def catalog(*links, kind="Catalog"):
    return json.dumps({"type": kind, "id": "c", "stac_version": "1.0.0", "links": links})


def test_a_static_catalog_is_read_by_its_links_or_by_its_folder(tmp_path):
    """As DLR's EOC and others publish: catalog → collection → items, with links back and out."""
    (tmp_path / "enmap" / "my items").mkdir(parents=True)
    back = [link("../catalog.json", "root"), link("../catalog.json", "parent")]
    items = [link("./my%20items/1.json"), link("my items/2.json"), link("gone.json")]
    out = [link("https://geoservice.example/items/3"), link("../../elsewhere.json")]
    (tmp_path / "catalog.json").write_text(catalog(link("./enmap/collection.json", "child")))
    (tmp_path / "enmap" / "collection.json").write_text(
        catalog(*back, *items, *out, kind="Collection")
    )
    (tmp_path.parent / "elsewhere.json").write_text(json.dumps(item(id=NAME.replace("_008", "_7"))))
    (tmp_path / "enmap" / "my items" / "1.json").write_text(json.dumps(item()))
    (tmp_path / "enmap" / "my items" / "2.json").write_text(json.dumps(item(id=OTHER)))
    for start in (tmp_path, tmp_path / "catalog.json"):
        tiles, skipped = discover_stac(start)
        assert [tile.id for tile in tiles] == [NAME, OTHER]
        reasons = sorted(s.reason for s in skipped)
        assert len(reasons) == 3
        assert "'../../elsewhere.json' must stay in" in reasons[0]
        assert "'gone.json' leads to no file" in reasons[1]
        assert "'https://geoservice.example/items/3' is not on this machine" in reasons[2]


def test_one_id_in_two_files_and_other_files_are_told(tmp_path):
    (tmp_path / "1.json").write_text(json.dumps(item()))
    (tmp_path / "2.json").write_text(json.dumps(with_properties(**{"proj:epsg": 32632})))
    (tmp_path / "settings.json").write_text('{"colour": 1}')
    (tmp_path / "latin.json").write_bytes(b'{"type": "Feature", "id": "\xe4"}')
    tiles, skipped = discover_stac(tmp_path)
    assert [(t.id, t.crs) for t in tiles] == [(NAME, "EPSG:32633")]
    told = {s.path.name: s.reason for s in skipped}
    assert told["2.json"] == f"Item {NAME} is already in 1.json; the first is used."
    assert "neither an item" in told["settings.json"]
    assert "must be UTF-8" in told["latin.json"]


def test_pieces_of_a_datatake_are_one_date():
    later = item(id=OTHER, properties={"datetime": "2022-07-24T10:45:30Z", "proj:epsg": 32633})
    assert tile_dates([tile_of_item(item()), tile_of_item(later)]).tolist() == [0, 0]
