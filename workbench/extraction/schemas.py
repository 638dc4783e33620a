"""What the files of an extraction must hold: schemas of its store, manifests and checksum table.

They may be damaged, of another version or a stranger's; each is held against its schema when it is
read, so that a fault is one sentence and never a wrong number or a request for all memory.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from workbench.errors import ManifestError, TileError
from workbench.files import sha256_of
from workbench.records import first_problem, parse_record, read_record, write_record
from workbench.sensors import InputContract

CHECKSUMS = "checksums.json"
"""Name of the table of SHA-256 beside a store: of its small files and of its quality shards. Those
of pixels are in the manifest, patch by patch."""
_LARGEST = 2**33  # bytes of one patch; 202 bands of 2,048 x 2,048 float32 are 3.4e9
_CURE = "It is damaged or not ours: extract again, or copy it again."

Count = Annotated[int, Field(ge=1, le=2**40)]
Side = Annotated[int, Field(ge=1, le=2**20)]


class _Open(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", populate_by_name=True)


class _Own(_Open):
    format: int
    contract: dict[str, Any]
    quality_bits: dict[str, Annotated[int, Field(ge=1, le=255)]]


class _Attributes(_Open):
    own: Annotated[_Own, Field(alias="spectral_workbench")]


class _Consolidated(_Open):
    metadata: dict[str, Any]


class StoreRoot(_Open):
    """`zarr.json` of a store."""

    zarr_format: Literal[3]
    node_type: Literal["group"]
    attributes: _Attributes
    consolidated_metadata: _Consolidated | None = None


class _ChunkShape(_Open):
    chunk_shape: Annotated[list[Side], Field(min_length=3, max_length=4)]


class _Grid(_Open):
    name: Literal["regular"]
    configuration: _ChunkShape


class _Codec(_Open):
    name: Literal["bytes", "zstd"]
    configuration: dict[str, Any] | None = None


class _IndexCodec(_Open):
    name: Literal["bytes", "crc32c"]


class _Sharding(_ChunkShape):
    codecs: Annotated[list[_Codec], Field(min_length=1, max_length=2)]
    index_codecs: Annotated[list[_IndexCodec], Field(min_length=2, max_length=2)]
    index_location: Literal["end"] = "end"


class _ShardCodec(_Open):
    name: Literal["sharding_indexed"]
    configuration: _Sharding


class ArrayMeta(_Open):
    """`zarr.json` of the pixels or of the quality of a store."""

    zarr_format: Literal[3]
    node_type: Literal["array"]
    shape: Annotated[list[Count], Field(min_length=3, max_length=4)]
    data_type: Literal[
        "bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64",
        "float16", "float32", "float64",
    ]  # fmt: skip
    chunk_grid: _Grid
    codecs: Annotated[list[_ShardCodec], Field(min_length=1, max_length=1)]

    @property
    def is_compressed(self) -> bool:
        """Whether chunks are compressed with zstd."""
        return [codec.name for codec in self.codecs[0].configuration.codecs] == ["bytes", "zstd"]

    @property
    def chunk_bytes(self) -> int:
        """Bytes of a patch without compression."""
        size = np.dtype(self.data_type).itemsize
        for side in self.shape[1:]:
            size *= side
        return size

    def problem(self) -> str:
        """What does not fit together; empty if all does."""
        inner, outer = self.codecs[0].configuration.chunk_shape, self.chunk_grid.configuration
        names = [codec.name for codec in self.codecs[0].configuration.codecs]
        little = self.codecs[0].configuration.codecs[0].configuration or {}
        shard = outer.chunk_shape[0]
        if inner != [1, *self.shape[1:]] or outer.chunk_shape[1:] != self.shape[1:]:
            return f"chunks of {inner} and shards of {outer.chunk_shape} do not fit {self.shape}"
        if self.shape[0] % shard:
            return f"{self.shape[0]} places are no whole number of shards of {shard}"
        if names not in (["bytes"], ["bytes", "zstd"]) or little.get("endian") == "big":
            return f"codecs must be bytes (little) and perhaps zstd, not {names}"
        if self.chunk_bytes > _LARGEST:
            return f"a patch of {self.chunk_bytes:,} bytes is larger than {_LARGEST:,}"
        return ""


class ChecksumTable(_Open):
    """`checksums.json` beside a store."""

    model_config = ConfigDict(strict=True, extra="forbid")

    format: Literal[1]
    files: dict[str, Annotated[str, Field(pattern="^[0-9a-f]{64}$")]]


def read_array_meta(path: Path) -> ArrayMeta:
    """Read `zarr.json` of an array of a store.

    Raises:
        ManifestError: If it is missing or damaged, or its parts do not fit together.
    """
    meta = read_record(
        path, ArrayMeta, what="the description of a store's array", cure=_CURE, error=ManifestError
    )
    if problem := meta.problem():
        raise ManifestError(f"{path} does not describe a patch store: {problem}.\n{_CURE}")
    return meta


def read_root(path: Path) -> StoreRoot:
    """Read `zarr.json` of a store; errors as in `read_array_meta`."""
    return read_record(
        path, StoreRoot, what="the description of a patch store", cure=_CURE, error=ManifestError
    )


def same_json(path: Path, copy: object) -> bool:
    """Whether a JSON file that was read before holds the same values as a copy of it."""
    found: object = json.loads(path.read_bytes())
    return json.dumps(found, sort_keys=True) == json.dumps(copy, sort_keys=True)


_CONTRACT = TypeAdapter(InputContract)


def contract_from(values: object, source: object) -> InputContract:
    """Make a contract of values that a file holds.

    Args:
        values: What `InputContract.to_dict` gave, as it was read.
        source: The file, for the message.

    Raises:
        ManifestError: If a value is missing, of another type or out of its range.
    """
    from pydantic import ValidationError

    try:
        plain: Any = values
        if isinstance(values, dict) and values.get("nodata") == "nan":
            plain = {**values, "nodata": float("nan")}
        _CONTRACT.validate_json(json.dumps(plain))
        contract = InputContract.from_dict(plain)
    except ValidationError as problem:
        raise ManifestError(
            f"{source} holds no input contract: {first_problem(problem)}.\n{_CURE}"
        ) from None
    except TileError as problem:
        raise ManifestError(f"{source} holds no input contract: {problem}\n{_CURE}") from None
    numbers = [contract.scale, contract.offset, contract.gsd_m]
    if not np.isfinite(numbers).all() or not contract.band_names:
        raise ManifestError(
            f"{source} holds no input contract: it needs bands, and a finite scale, offset and "
            f"GSD, but has {len(contract.band_names)} bands and {numbers}.\n{_CURE}"
        )
    return contract


def write_checksums(folder: Path, store: Path) -> Path:
    """Write the checksum table of a finished store, whole or not at all."""
    listed = sorted({*store.glob("**/zarr.json"), *store.glob("quality/c/**/0")})
    files = {p.relative_to(store).as_posix(): sha256_of(p) for p in listed if p.is_file()}
    return write_record(folder / CHECKSUMS, {"format": 1, "files": files})


def read_checksums(folder: Path) -> dict[str, str]:
    """Read the SHA-256 of a store's files by path in the store; none of stores before 2.

    Raises:
        ManifestError: If the table is damaged or of another format.
    """
    path = folder / CHECKSUMS
    if not path.exists():
        return {}
    cure = "It is damaged or of a newer version; extract again, or copy it again."
    return read_record(
        path, ChecksumTable, what="a table of checksums", cure=cure, error=ManifestError
    ).files


class ManifestMark(_Open):
    """What stands in the header of a manifest."""

    version: int
    kind: Literal["plan", "patches", "rejected", "tiles"]
    note: dict[str, Any]
    rows: Annotated[int, Field(ge=0)] | None = None
    columns: list[list[str]] | None = None


class _GeoColumn(_Open):
    encoding: Literal["WKB"]
    crs: dict[str, Any] | None = None


class _Geo(_Open):
    version: str
    primary_column: str
    columns: dict[str, _GeoColumn]


class _Pandas(_Open):
    index_columns: list[Any]
    columns: list[dict[str, Any]]
    column_indexes: list[Any] = []
    attributes: dict[str, Any] = {}


def read_mark(text: bytes, path: Path) -> ManifestMark:
    """Read the mark of a manifest from the header of its file."""
    cure = "It is damaged: make it again, or copy it again."
    return parse_record(
        text, ManifestMark, source=path, what="a manifest", cure=cure, error=ManifestError
    )


_IS_TEXT = (pa.types.is_string, pa.types.is_large_string, pa.types.is_null)
_IS_NUMBER = (pa.types.is_floating, pa.types.is_integer)
_IS_WHOLE = (pa.types.is_integer,)
_IS_TIME = (pa.types.is_timestamp, *_IS_TEXT)
_IS_LIST = (pa.types.is_list, pa.types.is_large_list, pa.types.is_null)  # null: of no rows
_TYPES: dict[str, tuple[str, tuple[Any, ...]]] = {
    **dict.fromkeys(
        ("location_id", "tile_id", "crs", "resampling", "checksum", "detail", "id"),
        ("text", _IS_TEXT),
    ),
    **dict.fromkeys(("place", "acquisition", "n_acquisitions", "component"), ("whole", _IS_WHOLE)),
    **dict.fromkeys(
        ("xmin", "ymin", "xmax", "ymax", "cloud", "snow", "nodata", "shift_east", "shift_south"),
        ("a number", _IS_NUMBER),
    ),
    "acquired": ("a time", _IS_TIME),
    "tile_ids": ("a list of text", _IS_LIST),
    "reasons": ("a list of text", _IS_LIST),
}
_NEEDED = {
    "patches": ("location_id", "place", "acquired"),
    "plan": ("location_id",),
    "rejected": ("location_id", "reasons"),
    "tiles": ("id",),
}
_AT_LEAST = {"place": 0, "acquisition": 0, "n_acquisitions": 1, "component": 0}
_FILLED = ("location_id", "tile_id", "crs", "place", "id", "acquired", "reasons",
           "tile_ids")  # fmt: skip


def check_schema(schema: pa.Schema, rows: int, mark: ManifestMark, path: Path) -> None:
    """Hold the columns of a manifest against its kind, and against what was written.

    Raises:
        ManifestError: Naming the first column that is missing or of another type.
    """
    for name in _NEEDED[mark.kind]:
        if name not in schema.names and len(schema.names):
            raise _wrong(path, f"a manifest of {mark.kind} needs the column {name!r}, which is not "
                         f"among {', '.join(schema.names[:12])}")  # fmt: skip
    twice = {name for name in schema.names if schema.names.count(name) > 1}
    if twice:
        raise _wrong(path, f"the column {min(twice)!r} stands there twice")
    for field in schema:
        words, kinds = _TYPES.get(field.name, ("", ()))
        if rows and kinds and not any(is_kind(field.type) for is_kind in kinds):
            raise _wrong(path, f"the column {field.name!r} must be {words}, but is {field.type}")
    if mark.columns is not None:
        now = [[field.name, str(field.type)] for field in schema]
        if now != mark.columns:
            lost = [column for column in mark.columns if column not in now]
            differ = lost or [column for column in now if column not in mark.columns]
            what = " ".join(differ[0]) if differ else "their order"
            raise _wrong(path, f"its columns are not those that were written ({what})")
    told = schema.metadata or {}
    for key, model in ((b"geo", _Geo), (b"pandas", _Pandas)):
        if key in told:
            parse_record(
                told[key], model, source=f"The header {key.decode()!r} of {path}",
                what="that of a manifest", cure="Make it again, or copy it again.",
                error=ManifestError,
            )  # fmt: skip


def check_rows(table: pa.Table, mark: ManifestMark, path: Path) -> None:
    """Hold the values of a manifest against their ranges.

    Raises:
        ManifestError: Naming the first column and row that are out of range.
    """
    if mark.rows is not None and table.num_rows != mark.rows:
        raise _wrong(path, f"it was written with {mark.rows} rows, but has {table.num_rows}")
    _require_ranges(table, path)
    if mark.kind == "patches" and "place" in table.column_names:
        _distinct(table["place"], "place", path)
    if mark.kind == "plan" and "location_id" in table.column_names:
        _distinct(table["location_id"], "location_id", path)


def _require_ranges(table: pa.Table, path: Path) -> None:
    """No value is missing where each row needs one, and none is out of its range."""
    import pyarrow.compute as pc

    for name in _FILLED:
        if name in table.column_names and table[name].null_count:
            raise _wrong(path, f"the column {name!r} must be filled, but {table[name].null_count} "
                         f"of {table.num_rows} values are missing")  # fmt: skip
    for name, least in _AT_LEAST.items():
        if name in table.column_names and table.num_rows:
            low, high = (pc.min_max(table[name])[end].as_py() for end in ("min", "max"))
            if low is not None and not (least <= low and high < 2**40):
                value = low if low < least else high
                raise _wrong(path, f"the column {name!r} must be >= {least}, but holds {value}")
    for low_name, high_name in (("xmin", "xmax"), ("ymin", "ymax")):
        if {low_name, high_name} <= set(table.column_names) and table.num_rows:
            sides = pc.subtract(table[high_name], table[low_name])
            if not pc.all(pc.greater(sides, 0)).as_py():
                raise _wrong(path, f"{low_name} must be smaller than {high_name} in every row")


def _distinct(column: pa.ChunkedArray, name: str, path: Path) -> None:
    import pyarrow.compute as pc

    if (count := pc.count_distinct(column).as_py()) < len(column):
        raise _wrong(
            path, f"each row needs its own {name}, but {len(column)} rows have {count} of them"
        )


def _wrong(path: Path, what: str) -> ManifestError:
    return ManifestError(
        f"{path} is no manifest that can be used: {what}.\n"
        "It was changed or damaged: make it again with the step that wrote it, or copy it again."
    )


def columns_of(schema: pa.Schema) -> Sequence[Sequence[str]]:
    """Name and type of each column, for the mark."""
    return [[field.name, str(field.type)] for field in schema]
