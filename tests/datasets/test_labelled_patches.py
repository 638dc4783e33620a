"""Labels on their own grids, carried onto patches; what is skipped, what is refused."""

import json
import pickle
from datetime import UTC, datetime

import numpy as np
import pytest
import torch
from pyproj import Transformer
from torch.utils.data import DataLoader

from workbench.datasets.alignment import LabelSource, align_labels, read_labels
from workbench.datasets.labelled_patches import ChangePatches, LabelledPatches
from workbench.errors import ContractMismatchError, ManifestError, TileError
from workbench.geo.grid import PixelGrid
from workbench.geo.raster import write_raster
from workbench.legends import CDL_14, CORINE_19, HRL_LEAF_TYPE, NLCD_15, Legend, LegendClass

JUNE, JULY, AUGUST, MARCH = "2022-06-05", "2022-07-10", "2022-08-02", "2022-03-01"
DATES = [[JUNE, JULY], [JUNE], [MARCH, JUNE, AUGUST]]
CHANGE = Legend(
    "change",
    "Change",
    (LegendClass("no change", (0,), "#ffffff"), LegendClass("change", (1,), "#ff0000")),
    {255: "no data"},
)


def location_grid(i):
    return PixelGrid("EPSG:32632", (30, 0, 600_000 + 240 * i, 0, -30, 5_400_240), (8, 8))


def map_over(folder, codes_of, crs, gsd, locations=(0, 1, 2), name="map.tif", nodata=None):
    """Write a label map over some locations, and a margin; `codes_of` fills its shape."""
    to = Transformer.from_crs("EPSG:32632", crs, always_xy=True)
    xmin, ymin, xmax, ymax = to.transform_bounds(
        600_000 + 240 * min(locations), 5_400_000, 600_240 + 240 * max(locations), 5_400_240
    )
    low = [np.floor(v / gsd - 3) * gsd for v in (xmin, ymin)]
    high = [np.ceil(v / gsd + 3) * gsd for v in (xmax, ymax)]
    own = PixelGrid.from_bounds(crs, (*low, *high), gsd)
    codes = codes_of(own.shape)
    return write_raster(folder / name, codes, own, nodata=nodata), codes, own


def drawn(choices, seed=0):
    return lambda shape: np.random.default_rng(seed).choice(choices, shape).astype(np.uint8)


def code_under(own, codes, grid):
    """The map's code at each pixel centre of a grid, looked up one by one."""
    to = Transformer.from_crs(grid.crs, own.crs, always_xy=True)
    found = np.zeros(grid.shape, int)
    for r, y in enumerate(grid.y):
        for c, x in enumerate(grid.x):
            mx, my = to.transform(x, y)
            col = int((mx - own.bounds[0]) // own.resolution[0])
            found[r, c] = codes[int((own.bounds[3] - my) // own.resolution[1]), col]
    return found


def by_location(dataset):
    """{number of the location in its id: target}"""
    ids = dataset.patches.index.location
    return {int(ids[s["location"]][1:]): s["target"] for s in dataset}


@pytest.mark.parametrize(
    ("legend", "crs", "gsd"), [(NLCD_15, "EPSG:3035", 30.0), (CDL_14, "EPSG:32632", 30.0)]
)
def test_each_pixel_takes_the_class_under_its_centre(make, tmp_path, legend, crs, gsd):
    patches = make(DATES)
    known = [*legend.index_of_code, 0]
    path, codes, own = map_over(tmp_path, drawn(known), crs, gsd)
    labels = align_labels(tmp_path, "land", LabelSource((path,), "classes", legend))
    dataset = LabelledPatches(patches, labels)
    assert len(dataset) == 6
    agree = []
    for i, target in by_location(dataset).items():
        wanted = legend.encode(code_under(own, codes, location_grid(i)))
        agree.append((target.numpy() == wanted).mean())
    assert np.mean(agree) == 1
    assert labels.ignore_index == len(legend)


def test_a_majority_counts_the_finer_pixels_that_have_a_class(make, tmp_path):
    patches = make(DATES)
    path, codes, own = map_over(tmp_path, drawn([0, 1, 2, 255]), "EPSG:32632", 10.0)
    source = LabelSource((path,), "classes", HRL_LEAF_TYPE, majority=True)
    labels = align_labels(tmp_path, "trees", source)
    for i, target in by_location(LabelledPatches(patches, labels)).items():
        window = own.window(location_grid(i).bounds)
        blocks = codes[window.slices].reshape(8, 3, 8, 3).swapaxes(1, 2).reshape(8, 8, 9)
        votes = np.stack([(blocks == k).sum(axis=-1) for k in range(3)], axis=-1)
        most = votes.max(axis=-1)
        is_clear = (most > 0) & ((votes == most[..., None]).sum(axis=-1) == 1)
        np.testing.assert_array_equal(target.numpy()[is_clear], votes.argmax(axis=-1)[is_clear])
        assert (target.numpy()[most == 0] == 3).all()
    assert "most of the map's pixels" in labels.how


def test_the_classes_present_are_those_of_the_maps_own_pixels(make, tmp_path):
    patches = make(DATES)
    known = [c for c in CORINE_19.index_of_code if c < 256]
    path, codes, own = map_over(tmp_path, drawn(known), "EPSG:3035", 100.0)
    labels = align_labels(tmp_path, "corine", LabelSource((path,), "presence", CORINE_19))
    dataset = LabelledPatches(patches, labels, dates="first")
    to = Transformer.from_crs("EPSG:3035", "EPSG:32632", always_xy=True)
    x, y = to.transform(*np.meshgrid(own.x, own.y))
    for i, target in by_location(dataset).items():
        xmin, ymin, xmax, ymax = location_grid(i).bounds
        inside = (x > xmin) & (x < xmax) & (y > ymin) & (y < ymax)
        wanted = {CORINE_19.index_of_code[c] for c in codes[inside].tolist()}
        assert set(torch.nonzero(target).ravel().tolist()) == wanted
        assert target.dtype == torch.float32
    counts = sum(by_location(dataset).values())
    assert dataset.class_counts().tolist() == counts.tolist()


def test_density_is_the_mean_of_the_finer_pixels(make, tmp_path):
    patches = make(DATES)
    path, codes, own = map_over(tmp_path, drawn(np.arange(101)), "EPSG:32632", 10.0)
    labels = align_labels(tmp_path, "density", LabelSource((path,), "density"))
    dataset = LabelledPatches(patches, labels)
    for i, target in by_location(dataset).items():
        mine = codes[own.window(location_grid(i).bounds).slices] / 100
        np.testing.assert_allclose(target, mine.reshape(8, 3, 8, 3).mean(axis=(1, 3)), atol=1e-6)
    with pytest.raises(ValueError, match="no classes to count"):
        dataset.class_counts()


def test_counted_pixels_of_classes_leave_out_the_ignored(make, tmp_path):
    patches = make(DATES)
    path, _, _ = map_over(tmp_path, drawn([0, 1, 255]), "EPSG:32632", 30.0)
    labels = align_labels(tmp_path, "trees", LabelSource((path,), "classes", HRL_LEAF_TYPE))
    dataset = LabelledPatches(patches, labels)
    maps = torch.stack(list(by_location(dataset).values()))
    assert dataset.class_counts().tolist() == [int((maps == k).sum()) for k in range(3)]


# ---- what is not covered, not labelled, not known --------------------------------------------


def test_patches_that_no_map_covers_are_skipped_and_counted(make, tmp_path):
    patches = make(DATES)
    path, _, _ = map_over(tmp_path, drawn([11]), "EPSG:32632", 30.0, locations=(0,))
    labels = align_labels(tmp_path, "nlcd", LabelSource((path,), "classes", NLCD_15))
    assert labels.skipped == {"L0001": "no map covers it", "L0002": "no map covers it"}
    dataset = LabelledPatches(patches, labels)
    assert (len(dataset), dataset.counts.labelled, dataset.counts.unlabelled) == (2, 1, 2)
    with pytest.raises(ManifestError, match="none of these 1 has a label"):
        LabelledPatches(patches.only(["L0001"]), labels)


def test_patches_that_no_map_covers_are_an_error_if_asked(make, tmp_path):
    make(DATES)
    path, _, _ = map_over(tmp_path, drawn([11]), "EPSG:32632", 30.0, locations=(0,))
    with pytest.raises(TileError, match=r"must cover each location, but none of 1 covers L0001"):
        align_labels(tmp_path, "n", LabelSource((path,), "classes", NLCD_15), missing="error")
    assert not list(tmp_path.glob("labels/*"))


def test_several_maps_share_the_ground(make, tmp_path):
    patches = make(DATES)
    west, _, _ = map_over(tmp_path, drawn([11]), "EPSG:32632", 30.0, locations=(0, 1), name="w.tif")
    east, _, _ = map_over(tmp_path, drawn([21]), "EPSG:32632", 30.0, locations=(1, 2), name="e.tif")
    labels = align_labels(tmp_path, "n", LabelSource((west, east), "classes", NLCD_15))
    found = by_location(LabelledPatches(patches, labels))
    assert {i: target.unique().tolist() for i, target in found.items()} == {0: [0], 1: [0], 2: [1]}


def test_a_map_of_another_region_is_refused(make, tmp_path):
    make(DATES)
    path, _, _ = map_over(tmp_path, drawn([11]), "EPSG:32632", 30.0, locations=(900,))
    with pytest.raises(ManifestError, match="must cover at least one location, but all 3"):
        align_labels(tmp_path, "nlcd", LabelSource((path,), "classes", NLCD_15))


def test_patches_with_too_few_labelled_pixels_are_skipped(make, tmp_path):
    make(DATES)

    def only_west(shape):
        codes = np.full(shape, 0, np.uint8)
        codes[:, :10] = 1  # location 0 ends at the map's column 11
        return codes

    path, _, _ = map_over(tmp_path, only_west, "EPSG:32632", 30.0)
    source = LabelSource((path,), "classes", CDL_14)
    assert align_labels(tmp_path, "cdl", source).skipped == {}
    labels = align_labels(tmp_path, "cdl", source, least_labelled=0.5)
    assert labels.skipped == dict.fromkeys(["L0001", "L0002"], "too few labelled pixels")


@pytest.mark.parametrize("majority", [False, True])
def test_codes_outside_the_legend_are_an_error_and_no_reason_to_skip(make, tmp_path, majority):
    make(DATES)
    path, _, _ = map_over(tmp_path, drawn([11, 77]), "EPSG:32632", 30.0)
    source = LabelSource((path,), "classes", NLCD_15, majority=majority)
    with pytest.raises(ContractMismatchError, match="must be in the legend 'nlcd15', but 77"):
        align_labels(tmp_path, "nlcd", source)
    assert not list(tmp_path.glob("labels/*"))


def test_a_density_above_100_percent_is_an_error(make, tmp_path):
    make(DATES)
    path, _, _ = map_over(tmp_path, drawn([101]), "EPSG:32632", 10.0)
    with pytest.raises(ContractMismatchError, match="must be a percentage 0-100"):
        align_labels(tmp_path, "density", LabelSource((path,), "density"))


def test_labels_are_made_once_and_made_anew_when_asked_otherwise(make, tmp_path):
    make(DATES)
    path, _, _ = map_over(tmp_path, drawn([0, 1, 2]), "EPSG:32632", 10.0)
    source = LabelSource((path,), "classes", HRL_LEAF_TYPE)
    told = []
    first = align_labels(tmp_path, "t", source, progress=lambda *seen: told.append(seen))
    assert told == [(1, 3), (2, 3), (3, 3)]
    align_labels(tmp_path, "t", source, progress=lambda *seen: told.append(seen))
    assert len(told) == 3
    other = align_labels(tmp_path, "t", LabelSource((path,), "classes", HRL_LEAF_TYPE, True))
    assert other.path != first.path
    assert sorted(p.name for p in (tmp_path / "labels").iterdir()) == [other.path.name, "t.json"]
    record = json.loads((tmp_path / "labels" / "t.json").read_text())
    assert record["maps"] == [str(path)]
    assert record["how"] == other.how


def test_labels_of_another_manifest_are_refused(make, tmp_path):
    patches = make(DATES)
    path, _, _ = map_over(tmp_path, drawn([11]), "EPSG:32632", 30.0)
    labels = align_labels(tmp_path, "nlcd", LabelSource((path,), "classes", NLCD_15))
    manifest = tmp_path / "manifest.parquet"
    manifest.write_bytes(manifest.read_bytes() + b" ")
    with pytest.raises(ManifestError, match="must come from the manifest in use"):
        read_labels(tmp_path, "nlcd")
    object.__setattr__(patches, "checksum", "0" * 64)
    with pytest.raises(ManifestError, match="must be aligned with the manifest in use"):
        LabelledPatches(patches, labels)


def test_labels_that_were_never_made_are_named(make, tmp_path):
    make(DATES)
    with pytest.raises(ManifestError, match="There are no labels at"):
        read_labels(tmp_path, "corine")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((), "density"), "needs at least one label map"),
        ((("a.tif",), "density", NLCD_15), "has a legend unless its kind is 'density'"),
        ((("a.tif",), "classes"), "has a legend unless its kind is 'density'"),
        ((("a.tif",), "presence", NLCD_15, True), "A majority is of classes"),
    ],
)
def test_sources_that_make_no_sense_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        LabelSource(*arguments)


def test_arguments_out_of_range_are_refused(make, tmp_path):
    patches = make(DATES)
    path, _, _ = map_over(tmp_path, drawn([11]), "EPSG:32632", 30.0)
    source = LabelSource((path,), "classes", NLCD_15)
    with pytest.raises(ValueError, match="missing='skip' or 'error'"):
        align_labels(tmp_path, "n", source, missing="ignore")
    labels = align_labels(tmp_path, "n", source)
    with pytest.raises(ValueError, match="'all', 'first' or 'clearest'"):
        LabelledPatches(patches, labels, dates="last")
    for dataset in (LabelledPatches(patches, labels), change(patches, labels)):
        with pytest.raises(IndexError, match="so none is number 99"):
            dataset[99]


# ---- which acquisitions ----------------------------------------------------------------------


def date_numbers(dataset):
    return [divmod(int(sample["image"][0, 0, 0]), 100) for sample in dataset]


def test_all_dates_the_first_or_the_clearest_can_be_shown(make, tmp_path):
    patches = make(DATES, cloud=[[0.5, 0.1], [0.9], [0.2, 0.0, 0.0]])
    path, _, _ = map_over(tmp_path, drawn([11]), "EPSG:32632", 30.0)
    labels = align_labels(tmp_path, "nlcd", LabelSource((path,), "classes", NLCD_15))
    shown = {d: date_numbers(LabelledPatches(patches, labels, dates=d)) for d in
             ("all", "first", "clearest")}  # fmt: skip
    assert shown["all"] == [(0, 0), (0, 1), (1, 0), (2, 0), (2, 1), (2, 2)]
    assert shown["first"] == [(0, 0), (1, 0), (2, 0)]
    assert shown["clearest"] == [(0, 1), (1, 0), (2, 1)]


def change(patches, labels, **more):
    return ChangePatches(patches, labels, event=datetime(2022, 7, 1, tzinfo=UTC), **more)


def test_change_shows_the_last_date_before_the_event_and_the_first_after(make, tmp_path):
    patches = make(DATES, cloud=[[0, 0], [0], [0, 0.8, 0]])
    path, _, _ = map_over(tmp_path, drawn([0, 1]), "EPSG:32632", 30.0)
    labels = align_labels(tmp_path, "felled", LabelSource((path,), "classes", CHANGE))
    assert labels.class_names == ("no change", "change")
    for limit, last in ((1.0, 1), (0.5, 0)):
        dataset = change(patches, labels, max_cloud=limit)
        assert (dataset.counts.labelled, dataset.counts.unsuitable) == (2, 1)
        sample = dataset[1]
        assert int(sample["before"][0, 0, 0]) == 200 + last
        assert int(sample["after"][0, 0, 0]) == 202
        assert sample["target"].shape == (8, 8)
        assert set(sample["target"].unique().tolist()) == {0, 1}
    assert int(change(patches, labels)[0]["after"][0, 0, 0]) == 1


def test_an_event_outside_the_dates_is_refused(make, tmp_path):
    patches = make(DATES)
    path, _, _ = map_over(tmp_path, drawn([0, 1]), "EPSG:32632", 30.0)
    labels = align_labels(tmp_path, "felled", LabelSource((path,), "classes", CHANGE))
    with pytest.raises(ManifestError, match="a usable date on each side of the event"):
        ChangePatches(patches, labels, event=datetime(2030, 1, 1))
    with pytest.raises(ManifestError, match="a usable date on each side of the event"):
        change(patches, labels, max_cloud=0.5)  # cloud is not known here


def test_workers_see_the_same_samples_and_map_the_labels_themselves(make, tmp_path):
    patches = make(DATES)
    path, _, _ = map_over(tmp_path, drawn([0, 1, 2]), "EPSG:32632", 10.0)
    labels = align_labels(tmp_path, "trees", LabelSource((path,), "classes", HRL_LEAF_TYPE))
    dataset = LabelledPatches(patches, labels)
    alone, shared = (list(DataLoader(dataset, 2, num_workers=n)) for n in (0, 2))
    for a, b in zip(alone, shared, strict=True):
        assert all(torch.equal(a[key], b[key]) for key in a)
    assert dataset.labels.values.shape == (3, 8, 8)
    assert "values" not in pickle.loads(pickle.dumps(dataset)).labels.__dict__
