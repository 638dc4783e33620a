"""Locations and their pairs: what is drawn, how often, by whom, and what a draw costs."""

import pickle
from collections import Counter

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import DataLoader

from tests.datasets.made_dates import DATES, JULY, JUNE
from workbench.datasets.acquisitions import Acquisitions
from workbench.datasets.patches import open_patches, stored_statistics
from workbench.datasets.positives import PairPolicy
from workbench.datasets.temporal_patches import TemporalPatches, collate_views
from workbench.errors import ContractMismatchError, ManifestError
from workbench.extraction import read_manifest, write_manifest


def shown(sample):
    """Which (location, date) a sample's images are of, read off their first pixels."""
    return [divmod(int(n), 100) for n in sample["images"][:, 0, 0, 0]]


def test_a_sample_holds_two_dates_of_one_location(make):
    dataset = TemporalPatches(make(DATES), min_acquisitions=2)
    assert len(dataset) == 3
    for i, location in enumerate((1, 2, 4)):
        sample = dataset[i]
        (first, a), (second, b) = shown(sample)
        assert first == second == location
        assert a != b
        days = [pd.Timestamp(DATES[location][k], tz="UTC").timestamp() for k in (a, b)]
        assert sample["time"].tolist() == days
        assert sample["images"].dtype == torch.int16
        assert sample["location"] == i


def test_pixels_are_the_stored_ones(make):
    patches = make(DATES)
    dataset = TemporalPatches(patches, min_acquisitions=1)
    for i in range(len(dataset)):
        for image, acquisition in zip(dataset[i]["images"], dataset.draw(i), strict=True):
            place = int(patches.index.place[acquisition])
            np.testing.assert_array_equal(image, patches.store.pixels(place))


def test_single_locations_are_single_and_counted(make):
    """The published loader gives the same image twice for 82 % of its locations."""
    dataset = TemporalPatches(make(DATES), min_acquisitions=1)
    assert [len(dataset[i]["images"]) for i in range(5)] == [1, 2, 2, 1, 2]
    assert (dataset.counts.paired, dataset.counts.single) == (3, 2)
    assert dataset.counts.too_few_dates == 0


def test_left_out_locations_are_counted(make):
    cloud = [[0.0], [0.0, 0.9], [0.5, 0.0, 0.1, 0.2], [0.9], [0.9, 0.9]]
    policy = PairPolicy(max_cloud=0.3)
    patches = make(DATES, cloud=cloud)
    counts = TemporalPatches(patches, min_acquisitions=2, pairs=policy).counts
    assert (counts.paired, counts.single) == (1, 0)
    assert (counts.too_few_dates, counts.no_allowed_pair, counts.too_cloudy) == (2, 1, 1)
    counts = TemporalPatches(patches, min_acquisitions=1, pairs=policy).counts
    assert (counts.paired, counts.single) == (1, 2)
    assert (counts.too_few_dates, counts.no_allowed_pair, counts.too_cloudy) == (0, 0, 2)


def test_without_pairs_each_sample_is_one_image(make):
    dataset = TemporalPatches(make(DATES), min_acquisitions=2, pairs=None)
    assert {len(dataset[i]["images"]) for i in range(len(dataset))} == {1}
    assert dataset.counts.single == 3


def test_every_pair_is_equally_likely_in_either_order(make):
    dataset = TemporalPatches(make(DATES), min_acquisitions=4, seed=3)
    seen = Counter()
    for epoch in range(2400):
        dataset.set_epoch(epoch)
        seen[dataset.draw(0)] += 1
    assert len(seen) == 12
    assert max(seen.values()) < 200 + 5 * 200**0.5
    assert min(seen.values()) > 200 - 5 * 200**0.5


def test_pieces_of_one_pass_are_one_date(make):
    four_seconds = ["2022-06-05T10:00:00", "2022-06-05T10:00:04"]
    patches = make([four_seconds, [JUNE, JULY]], groups=[["dt1", "dt1"], ["dt1", "dt2"]])
    assert patches.index.n_dates.tolist() == [1, 2]
    assert len(TemporalPatches(patches, min_acquisitions=2)) == 1


def test_equal_times_are_one_date(make):
    assert make([[JUNE, JUNE, JULY]]).index.date.tolist() == [0, 0, 1]


def test_the_same_seed_gives_the_same_pairs_whatever_the_workers(make):
    dataset = TemporalPatches(make(DATES * 3), min_acquisitions=1, seed=11)
    found = []
    for workers in (0, 2):
        loader = DataLoader(
            dataset,
            batch_size=4,
            num_workers=workers,
            collate_fn=collate_views,
            persistent_workers=workers > 0,
        )
        epochs = []
        for epoch in (0, 1):
            dataset.set_epoch(epoch)  # workers that live on see it too
            epochs.append(list(loader))
        found.append(epochs)
    for alone, shared in zip(*found, strict=True):
        for a, b in zip(alone, shared, strict=True):
            assert a.keys() == b.keys()
            assert all(torch.equal(a[key], b[key]) for key in a)
    images = [torch.cat([batch["images"] for batch in epoch]) for epoch in found[0]]
    assert not torch.equal(*images)


def test_a_batch_says_which_images_are_pairs(make):
    dataset = TemporalPatches(make(DATES), min_acquisitions=1)
    batch = collate_views([dataset[i] for i in range(5)])
    assert batch["images"].shape == (8, 4, 8, 8)
    assert batch["pairs"].tolist() == [[1, 2], [3, 4], [6, 7]]
    assert batch["singles"].tolist() == [0, 5]
    assert batch["location"].tolist() == [0, 1, 1, 2, 2, 3, 4, 4]


def test_a_series_is_all_of_a_location_in_order_of_time(make):
    dataset = TemporalPatches(make(DATES), min_acquisitions=1)
    series = dataset.series(2)
    assert shown(series) == [(2, 0), (2, 1), (2, 2), (2, 3)]
    assert (series["time"].diff() > 0).all()


def test_chosen_bands_come_in_the_order_named(make):
    patches = make(DATES)
    whole, some = patches, patches.select(["B003", "B001"])
    np.testing.assert_array_equal(some.read(4), whole.read(4)[[2, 0]])
    dataset = TemporalPatches(some, min_acquisitions=1)
    assert dataset[0]["images"].shape == (1, 2, 8, 8)
    assert dataset.contract.band_names == ("B003", "B001")
    with pytest.raises(ContractMismatchError, match="No band named 'B224'"):
        patches.select(["B224"])


def test_a_part_of_a_split_can_be_taken(make):
    patches = make(DATES).only(["L0004", "L0002"])
    dataset = TemporalPatches(patches, min_acquisitions=1)
    assert sorted({shown(dataset[i])[0][0] for i in range(len(dataset))}) == [2, 4]
    with pytest.raises(ManifestError, match="'L9999' is not"):
        patches.only(["L0002", "L9999"])


def test_statistics_are_of_the_chosen_part(make):
    patches = make(DATES)
    part = patches.only(["L0000", "L0003"])
    pixels = np.stack([part.read(i) for i in range(2)])
    np.testing.assert_allclose(part.statistics().mean, pixels.mean(axis=(0, 2, 3)))
    assert patches.statistics(workers=2).patches == 10


def test_stored_statistics_are_measured_once_for_each_choice_of_patches(make, tmp_path):
    patches, path, told = make(DATES), tmp_path / "statistics.json", []

    def measured(chosen):
        told.clear()
        found = stored_statistics(chosen, path, progress=lambda *seen: told.append(seen))
        return found.patches, len(told)

    assert measured(patches) == (10, 1)
    assert measured(open_patches(tmp_path)) == (10, 0)
    assert measured(patches.only(["L0002"])) == (4, 1)
    assert measured(patches.only(["L0002"]).select(["B002"])) == (4, 1)
    assert measured(patches.only(["L0002"]).select(["B002"])) == (4, 0)


def test_only_a_manifest_of_patches_is_opened(make, tmp_path):
    make(DATES)
    plan = read_manifest(tmp_path / "manifest.parquet")
    write_manifest(plan, tmp_path / "manifest.parquet", kind="plan")
    with pytest.raises(ManifestError, match="is a manifest of plan, but one of patches"):
        open_patches(tmp_path)
    with pytest.raises(ManifestError, match="No manifest at"):
        open_patches(tmp_path / "elsewhere")


def large_index(locations=415_153, multi_date=73_000):
    """An index as large as SpectralEarth: 73,000 locations with two or more dates."""
    size = np.ones(locations, dtype=np.int64)
    size[:multi_date] = 2 + np.arange(multi_date) % 3
    first = np.append(0, np.cumsum(size))
    number = np.arange(first[-1]) - np.repeat(first[:-1], size)
    return Acquisitions(
        location=np.char.zfill(np.arange(locations).astype("S7"), 7),
        first=first,
        place=np.arange(first[-1]),
        time=number * 86_400.0 * 30,
        date=number,
        cloud=np.zeros(len(number), np.float32),
    )


class CountedArray(np.ndarray):
    """An array that counts how often an item is taken, and refuses to be scanned."""

    taken = 0

    def __getitem__(self, key):
        assert isinstance(key, int | np.integer), f"a look-up takes one item, not {key!r}"
        CountedArray.taken += 1
        return super().__getitem__(key)

    def __array_ufunc__(self, *_args, **_options):
        raise AssertionError("a look-up does not compute over all locations")

    def __iter__(self):
        raise AssertionError("a look-up does not go through all locations")


@pytest.mark.parametrize("locations", [100, 415_153])
def test_a_draw_takes_a_few_items_however_many_locations_there_are(make, locations):
    patches = make(DATES)
    index = large_index(locations, multi_date=min(locations // 2, 73_000))
    object.__setattr__(patches, "index", index)
    dataset = TemporalPatches(patches, min_acquisitions=1)
    watched = dataset._pairs
    for name in ("first", "earlier", "later"):
        object.__setattr__(watched, name, getattr(watched, name).view(CountedArray))
    dataset._usable = dataset._usable.view(CountedArray)
    dataset._first_usable = dataset._first_usable.view(CountedArray)
    CountedArray.taken = 0
    assert len(dataset.draw(0)) == 2
    assert len(dataset.draw(locations - 1)) == 1
    assert CountedArray.taken <= 10


def test_a_dataset_of_415153_locations_is_a_few_arrays_when_sent_to_a_worker(make):
    patches = make(DATES)
    object.__setattr__(patches, "index", large_index())
    dataset = TemporalPatches(patches, min_acquisitions=1)
    sent = pickle.dumps(dataset, protocol=5)
    assert len(sent) < 50e6
    assert sent.count(b"numpy") < 100  # not an object for each location
    assert pickle.loads(sent).draw(7) == dataset.draw(7)
