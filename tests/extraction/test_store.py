import pickle

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import ManifestError
from workbench.extraction import PatchStore
from workbench.extraction.shards import EMPTY, ShardWriter, crc32c, read_index
from workbench.extraction.store import STORE, StoreLayout, create_store, shard_path
from workbench.sensors import sensor

CONTRACT = sensor("enmap").contract(("B001", "B002", "B003"))


def make(folder, patches, *, shard_size=4, places=8, compression=None):
    """A store with the given patches by place, and as quality the place itself."""
    layout = StoreLayout(places, 6, "int16", shard_size, CONTRACT, compression)
    create_store(folder / STORE, layout)
    for shard in range(places // shard_size):
        for array in ("pixels", "quality"):
            path = shard_path(folder / STORE, array, shard)
            with ShardWriter(
                path, folder / "part", places=shard_size, compression=compression
            ) as out:
                for place, pixels in patches.items():
                    if place // shard_size == shard:
                        quality = np.full((6, 6), place, np.uint8)
                        out.put(place % shard_size, pixels if array == "pixels" else quality)
    return PatchStore(folder)


def draw(places, seed=0):
    rng = np.random.default_rng(seed)
    return {p: rng.integers(-999, 9999, (3, 6, 6)).astype(np.int16) for p in places}


@pytest.mark.parametrize("compression", [None, "zstd"])
@settings(max_examples=15, deadline=None)
@given(places=st.lists(st.integers(0, 7), unique=True), data=st.data())
def test_zarr_reads_what_the_direct_reader_reads(tmp_path_factory, compression, places, data):
    order = data.draw(st.permutations(places))
    patches = draw(order)
    store = make(tmp_path_factory.mktemp("store"), patches, compression=compression)
    theirs = zarr.open_array(store.path / "pixels", mode="r")[:]
    quality = zarr.open_array(store.path / "quality", mode="r")[:]
    for place in range(8):
        assert (place in store) == (place in patches)
        if place in patches:
            assert np.array_equal(theirs[place], patches[place])
            assert np.array_equal(store.pixels(place), patches[place])
            assert np.array_equal(store.quality(place), quality[place])
            assert (quality[place] == place).all()
        else:
            assert (theirs[place] == -32768).all()


def test_a_chunk_is_plain_bytes_at_a_known_offset(tmp_path):
    patches = draw([5, 2, 7])
    store = make(tmp_path, patches)
    for place, pixels in patches.items():
        path, offset, size = store.extent(place)
        assert offset % pixels.nbytes == 0
        assert path.read_bytes()[offset : offset + size] == pixels.tobytes()


def test_views_are_read_only_and_maps_do_not_travel(tmp_path):
    patches = draw([1])
    store = make(tmp_path, patches)
    view = store.pixels(1)
    assert not view.flags.writeable
    again = pickle.loads(pickle.dumps(store))
    assert np.array_equal(again.pixels(1), view)
    assert again.contract == CONTRACT
    assert len(pickle.dumps(store)) < 5_000


def test_a_shard_without_patches_is_no_file(tmp_path):
    store = make(tmp_path, draw([0]))
    assert store.shard_path("pixels", 0).is_file()
    assert not store.shard_path("pixels", 1).exists()
    assert not (tmp_path / "part").exists()


def test_a_writer_that_fails_leaves_nothing(tmp_path):
    def fail():
        with ShardWriter(tmp_path / "shard", tmp_path / "part", places=2) as out:
            out.put(0, np.zeros(9, np.int16))
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("place", [3, 8, -1])
def test_empty_places_are_refused(tmp_path, place):
    store = make(tmp_path, draw([1]))
    with pytest.raises(ManifestError, match=r"^A patch must be stored at its place, but place"):
        store.pixels(place)


@pytest.mark.parametrize("cut", [1, 50, 10_000])
def test_a_shard_cut_short_is_refused(tmp_path, cut):
    store = make(tmp_path, draw([0, 1]))
    path = store.shard_path("pixels", 0)
    data = path.read_bytes()
    path.write_bytes(data[: max(0, len(data) - cut)])
    with pytest.raises(ManifestError, match=r"^A shard must end with its index of 4 places"):
        store.pixels(0)


def test_an_index_with_a_flipped_bit_is_refused(tmp_path):
    store = make(tmp_path, draw([0, 1]))
    path = store.shard_path("pixels", 0)
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)
    with pytest.raises(ManifestError, match=r"^A shard must end with its index"):
        read_index(path, 4)


def test_a_missing_shard_is_empty(tmp_path):
    assert (read_index(tmp_path / "none", 3) == EMPTY).all()


@given(st.binary(max_size=200))
def test_crc32c_is_the_reference(data):
    google_crc32c = pytest.importorskip("google_crc32c")
    assert crc32c(data) == google_crc32c.value(data)


def test_what_is_no_store(tmp_path):
    with pytest.raises(ManifestError, match=r"^A patch store must hold"):
        PatchStore(tmp_path)


def test_a_store_of_another_format(tmp_path):
    store = make(tmp_path, draw([0]))
    path = store.path / "zarr.json"
    path.write_text(path.read_text().replace('"format": 1', '"format": 9'))
    with pytest.raises(ManifestError, match=r"^A patch store of format 1 is read here"):
        PatchStore(tmp_path)
