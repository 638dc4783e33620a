"""The patch store: a sharded Zarr 3 group made for mapping, and its direct reader.

    patches.zarr/pixels    (acquisition, band, y, x), one chunk for each acquisition
    patches.zarr/quality   (acquisition, y, x), bits of `QUALITY_BITS`
    patches.zarr/time …    what is known about each place from the plan

Any Zarr library reads it. `PatchStore` reads it faster: it takes a shard's index once and then maps
the bytes of a patch, without copying them. docs/decisions/0007-patch-store.md has the reasons.
"""

import math
import mmap
import warnings
import zlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.errors import ManifestError
from workbench.extraction.schemas import (
    CHECKSUMS,
    ArrayMeta,
    StoreRoot,
    contract_from,
    read_array_meta,
    read_checksums,
    read_root,
    same_json,
)
from workbench.extraction.shards import EMPTY, LEVEL, Compression, read_index, unpacked
from workbench.files import sha256_of
from workbench.nodata import nodata_as
from workbench.sensors import InputContract

STORE = "patches.zarr"
"""Name of the Zarr group in the folder of an extraction."""
FORMAT = 1
QUALITY_BITS: dict[str, int] = {
    "nodata": 1, "defective": 2, "cloud": 4, "shadow": 8, "haze": 16, "cirrus": 32, "snow": 64,
    "water": 128,
}  # fmt: skip
"""Bits of the quality array: a pixel without data in a kept band, with a defective one, …"""

_ALWAYS = ("wavelength_nm", "fwhm_nm", "x_offset", "y_offset")  # coordinates beside the places
_OWN = ("_indexes", "_maps", "_compared")  # of one process
_MAPS = 256  # shards mapped at a time; each holds a file descriptor


@dataclass(frozen=True)
class StoreLayout:
    """What a store looks like before anything is in it."""

    places: int
    """Number of places along `acquisition`, a multiple of `shard_size`."""
    patch_size: int
    """Side of a patch in pixels."""
    dtype: str
    """NumPy name of the stored type, as "int16"."""
    shard_size: int
    """Places in a shard, >= 1."""
    contract: InputContract
    """How the numbers are to be read; its bands are those of the store."""
    compression: Compression | None = None
    """How each chunk is compressed; None keeps plain bytes, which can be mapped."""

    @property
    def chunk(self) -> tuple[int, int, int]:
        """(C, H, W) of one patch."""
        return len(self.contract.band_names), self.patch_size, self.patch_size

    @property
    def fill(self) -> int | float:
        """Number that stands for "no data": the contract's; without one NaN, or 0 of whole numbers.

        Pixels that have no measurement and no number to say so are not kept (`cutting`).
        """
        number = nodata_as(self.dtype, self.contract.nodata)
        if np.dtype(self.dtype).kind == "f":
            return math.nan if number is None else float(number)
        return 0 if number is None else int(number)


def create_store(
    path: Path, layout: StoreLayout, places: Mapping[str, NDArray[Any]] | None = None
) -> None:
    """Make an empty store; its pixels come shard by shard.

    Args:
        path: Folder of the group; it must not exist.
        layout: What it holds.
        places: What is known about each place, (places,) each: "time" (int64, seconds since 1970),
            "epsg" (int32), "xmin", "ymax" (float64, in units of that CRS), "location_id", "tile_id"
            and "crs" (text). They are coordinates for `xarray.open_zarr`.
    """
    import zarr
    from zarr.codecs import ZstdCodec

    contract, shape, n = layout.contract, layout.chunk, layout.shard_size
    crs = _one_crs(places or {})
    mapping = {} if crs is None else {"grid_mapping": "spatial_ref"}
    told = {"format": FORMAT, "contract": contract.to_dict(), "quality_bits": QUALITY_BITS}
    group = zarr.create_group(path, zarr_format=3, attributes={"spectral_workbench": told})
    codec = ZstdCodec(level=LEVEL) if layout.compression else None
    group.create_array(
        "pixels",
        shape=(layout.places, *shape),
        chunks=(1, *shape),
        shards=(n, *shape),
        dtype=layout.dtype,
        compressors=codec,
        fill_value=layout.fill,
        dimension_names=("acquisition", "band", "y", "x"),
        attributes={
            **_cf_attributes(contract, np.dtype(layout.dtype)),
            "coordinates": " ".join(
                ["wavelength_nm", "fwhm_nm", "x_offset", "y_offset", *(places or ())]
            ),
            **mapping,
        },
    )
    group.create_array(
        "quality",
        shape=(layout.places, *shape[1:]),
        chunks=(1, *shape[1:]),
        shards=(n, *shape[1:]),
        dtype="uint8",
        compressors=codec,
        fill_value=QUALITY_BITS["nodata"],
        dimension_names=("acquisition", "y", "x"),
        attributes={
            "flag_masks": list(QUALITY_BITS.values()),
            "flag_meanings": " ".join(QUALITY_BITS),
            "coordinates": " ".join(places or ()),
            **mapping,
        },
    )
    spectral = {"wavelength_nm": contract.wavelengths_nm, "fwhm_nm": contract.fwhm_nm}
    for name, values in spectral.items():
        array = np.array([np.nan if v is None else v for v in values], dtype=np.float64)
        _small_array(group, name, array, "band", {"units": "nm"})
    names = np.array(contract.band_names)
    _small_array(group, "band", names, "band", {"long_name": "name of the band"})
    for axis, size, way in (("x", shape[2], "east of xmin"), ("y", shape[1], "south of ymax")):
        centres = (np.arange(size) + 0.5) * contract.gsd_m
        where = {"units": "m", "long_name": f"pixel centre, metres {way} of each patch"}
        _small_array(group, f"{axis}_offset", centres, axis, where)
    units = {"time": "seconds since 1970-01-01"}
    for name, array in (places or {}).items():
        attributes = {"units": units[name]} if name in units else {}
        _small_array(group, name, array, "acquisition", attributes)
    if crs is not None:
        scalar = group.create_array("spatial_ref", shape=(), dtype="int32", dimension_names=())
        scalar[...] = 0
        scalar.attrs.update({"crs_wkt": crs, "spatial_ref": crs})
    with warnings.catch_warnings():  # xarray looks for it, other readers pass it over
        warnings.filterwarnings("ignore", "Consolidated metadata", UserWarning)
        zarr.consolidate_metadata(path)


def _cf_attributes(contract: InputContract, dtype: "np.dtype[Any]") -> dict[str, Any]:
    """What an array says of its numbers, so that xarray gives them as they are stored.

    CF's own names (`_FillValue`, `scale_factor`) would make it decode int16 to float64, twice the
    memory and more, without being asked; `stored_*` say the same and leave that to the reader.
    """
    found: dict[str, Any] = {
        "long_name": contract.units,
        "band_names": list(contract.band_names),
        "stored_scale": contract.scale,
        "stored_offset": contract.offset,
        "value": "number * stored_scale + stored_offset",
    }
    nodata = nodata_as(dtype, contract.nodata)
    if nodata is not None:
        found["stored_nodata"] = nodata
    return found


def _one_crs(places: Mapping[str, NDArray[Any]]) -> str | None:
    """WKT of the CRS of all places; None where there are several."""
    from pyproj import CRS

    names = {str(name) for name in places.get("crs", ())} - {""}
    return CRS.from_user_input(names.pop()).to_wkt() if len(names) == 1 else None


def _small_array(
    group: Any, name: str, values: NDArray[Any], dim: str, attributes: Mapping[str, str]
) -> None:
    array = group.create_array(
        name,
        shape=values.shape,
        chunks=(max(1, min(len(values), 65_536)),),
        dtype=str if values.dtype.kind == "U" else values.dtype,
        compressors=None,
        dimension_names=(dim,),
        attributes=dict(attributes),
    )
    array[:] = values


class PatchStore:
    """Patches by place, mapped from the files; nothing is read before it is asked for.

    It can be pickled and sent to workers; each opens its own maps.

    Raises:
        ManifestError: If there is no store, or it is of another layout or format.
    """

    def __init__(self, folder: Path | str) -> None:
        """Open a store.

        Args:
            folder: Folder of an extraction, or its Zarr group.
        """
        folder = Path(folder)
        self.path = folder / STORE if (folder / STORE).is_dir() else folder
        if not (self.path / "zarr.json").is_file():
            raise ManifestError(
                f"A patch store must hold {self.path / 'zarr.json'}, but it is not there.\n"
                "Name the folder given to `extract_patches`."
            )
        self._sha256 = read_checksums(self.path.parent)
        for name in ("zarr.json", "pixels/zarr.json", "quality/zarr.json"):
            self._require_whole(name)
        root = read_root(self.path / "zarr.json")
        told = root.attributes.own
        if told.format != FORMAT:
            raise ManifestError(
                f"A patch store of format {FORMAT} is read here, but {self.path} has format "
                f"{told.format}.\nExtract again with this version."
            )
        meta = read_array_meta(self.path / "pixels" / "zarr.json")
        quality = read_array_meta(self.path / "quality" / "zarr.json")
        self.contract = contract_from(told.contract, self.path / "zarr.json")
        """How the numbers are to be read."""
        self._require_one_story(root, meta, quality)
        self.shape: tuple[int, int, int] = (meta.shape[1], meta.shape[2], meta.shape[3])
        """(C, H, W) of a patch."""
        self.dtype = np.dtype(meta.data_type)
        """Type of the stored numbers."""
        self.places: int = meta.shape[0]
        """Number of places, empty ones included."""
        self.compression: Compression | None = "zstd" if meta.is_compressed else None
        """How chunks are compressed; None if they are plain bytes."""
        self.shard_size: int = meta.chunk_grid.configuration.chunk_shape[0]
        """Places in a shard."""
        self._bytes = {"pixels": meta.chunk_bytes, "quality": quality.chunk_bytes}
        self.crc: NDArray[np.int64] | None = None
        """(places,) CRC-32 of each patch's pixels from the manifest, -1 where unknown; with it,
        a patch is compared once by each process that reads it. `open_patches` sets it."""
        self._forget()

    def __len__(self) -> int:
        return self.places

    def pixels(self, place: int) -> NDArray[Any]:
        """Give a patch.

        Args:
            place: The manifest's column `place`.

        Returns:
            (C, H, W) stored numbers; a read-only view of the file if chunks are plain bytes.

        Raises:
            ManifestError: If nothing is stored there, or the shard is damaged.
        """
        return np.frombuffer(self._chunk("pixels", place), self.dtype).reshape(self.shape)

    def quality(self, place: int) -> NDArray[np.uint8]:
        """Give the quality of a patch's pixels.

        Returns:
            (H, W) bits of `QUALITY_BITS`; read-only.

        Raises:
            ManifestError: See `pixels`.
        """
        return np.frombuffer(self._chunk("quality", place), np.uint8).reshape(self.shape[1:])

    def __contains__(self, place: int) -> bool:
        """Whether there is a patch at a place."""
        if not 0 <= place < self.places:
            return False
        shard, slot = divmod(place, self.shard_size)
        return int(self._index("pixels", shard)[slot, 0]) != EMPTY

    def extent(self, place: int) -> tuple[Path, int, int]:
        """Say where the bytes of a patch lie: file, offset and length in bytes.

        Raises:
            ManifestError: If nothing is stored there.
        """
        if not 0 <= place < self.places:
            raise self._nothing(place)
        shard, slot = divmod(place, self.shard_size)
        offset, size = (int(v) for v in self._index("pixels", shard)[slot])
        if offset == EMPTY:
            raise self._nothing(place)
        return self.shard_path("pixels", shard), offset, size

    def shard_path(self, array: str, shard: int) -> Path:
        """Give the file of a shard of "pixels" or "quality"."""
        return shard_path(self.path, array, shard)

    def _chunk(self, array: str, place: int) -> bytes | memoryview:
        if not 0 <= place < self.places:
            raise self._nothing(place)
        shard, slot = divmod(place, self.shard_size)
        offset, size = (int(v) for v in self._index(array, shard)[slot])
        if offset == EMPTY:
            raise self._nothing(place)
        data = memoryview(self._map(array, shard))[offset : offset + size]
        found = unpacked(data, self.compression, self._bytes[array], self.shard_path(array, shard))
        if array == "pixels" and self.crc is not None and place not in self._compared:
            self._compare(place, found)
        return found

    def _compare(self, place: int, data: bytes | memoryview) -> None:
        """Hold the bytes of a patch against the manifest's checksum, once."""
        expected = -1 if self.crc is None else int(self.crc[place])
        if expected >= 0 and zlib.crc32(data) != expected:
            raise ManifestError(
                f"The pixels at place {place} must be those of the manifest (CRC-32 "
                f"{expected:08x}), but {self.shard_path('pixels', place // self.shard_size)} "
                f"holds others ({zlib.crc32(data):08x}).\nIt is damaged: copy the store again, or "
                "remove its tile's file from the journal and extract again."
            )
        self._compared.add(place)

    def _require_whole(self, name: str) -> None:
        """Compare a file of the store with its SHA-256, where one was kept."""
        path = self.path / name
        known = self._sha256.get(name)
        if known is not None and path.is_file() and sha256_of(path) != known:
            raise ManifestError(
                f"{path} is not what was written: its SHA-256 differs from that in "
                f"{CHECKSUMS}.\nIt is damaged: copy the store again, or extract again."
            )

    def _require_one_story(self, root: StoreRoot, meta: ArrayMeta, quality: ArrayMeta) -> None:
        """Both arrays, the contract and the copies in the group's own file must agree."""
        bands = len(self.contract.band_names)
        problem = ""
        if len(meta.shape) != 4 or meta.shape[1] != bands:
            problem = f"pixels of {meta.shape} for {bands} bands"
        elif quality.shape != [meta.shape[0], *meta.shape[2:]] or quality.data_type != "uint8":
            problem = f"quality {quality.shape} {quality.data_type} for pixels {meta.shape}"
        elif (
            quality.chunk_grid.configuration.chunk_shape[0]
            != (meta.chunk_grid.configuration.chunk_shape[0])
        ):
            problem = "pixels and quality in shards of different sizes"
        elif quality.is_compressed != meta.is_compressed:
            problem = "pixels and quality of different compression"
        elif root.consolidated_metadata is not None:
            copies = root.consolidated_metadata.metadata
            for name in ("pixels", "quality"):
                if not same_json(self.path / name / "zarr.json", copies.get(name)):
                    problem = f"two descriptions of {name} that differ"
        if problem:
            raise ManifestError(
                f"The descriptions of a patch store must agree, but {self.path} has {problem}.\n"
                "It is damaged: copy the store again, or extract again."
            )

    def _index(self, array: str, shard: int) -> NDArray[np.uint64]:
        found = self._indexes.get((array, shard))
        if found is None:
            if array == "quality":
                self._require_whole(self.shard_path(array, shard).relative_to(self.path).as_posix())
            plain = self._bytes[array] if self.compression is None else None
            found = read_index(self.shard_path(array, shard), self.shard_size, plain)
            self._indexes[array, shard] = found
        return found

    def _map(self, array: str, shard: int) -> mmap.mmap:
        key = (array, shard)
        found = self._maps.pop(key, None)
        if found is None:
            with self.shard_path(array, shard).open("rb") as file:
                found = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            if len(self._maps) >= _MAPS:
                self._maps.popitem(last=False)  # closed with the last view of it
        self._maps[key] = found
        return found

    def _nothing(self, place: int) -> ManifestError:
        return ManifestError(
            f"A patch must be stored at its place, but place {place} of {self.path} is empty.\n"
            "Take places from the manifest that lies beside the store."
        )

    def _forget(self) -> None:
        self._indexes: dict[tuple[str, int], NDArray[np.uint64]] = {}
        self._maps: OrderedDict[tuple[str, int], mmap.mmap] = OrderedDict()
        self._compared: set[int] = set()

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k not in _OWN}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()


def shard_path(store: Path, array: str, shard: int) -> Path:
    """Give the file of a shard: the rest of its key is one 0 for each undivided axis."""
    return store / array / "c" / str(shard) / ("0/0/0" if array == "pixels" else "0/0")
