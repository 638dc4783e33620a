"""The manifest: the one index on disk, of planned locations and later of patches, as GeoParquet.

It is written in one piece and last, so that its existence means that all it lists is there. Any
reader of GeoParquet opens it (geopandas, QGIS, DuckDB); a small note in the file says what it is.
"""

import io
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from workbench.errors import ManifestError
from workbench.extraction.schemas import (
    ManifestMark,
    check_rows,
    check_schema,
    columns_of,
    read_mark,
)
from workbench.files import opened_once

if TYPE_CHECKING:
    import geopandas as gpd
    import pandas as pd
    import pyarrow as pa

VERSION = 1
_KEY = b"spectral_workbench"

ManifestKind = Literal["plan", "patches", "rejected", "tiles"]


def write_manifest(
    frame: "gpd.GeoDataFrame",
    path: Path | str,
    *,
    kind: ManifestKind = "plan",
    note: Mapping[str, Any] | None = None,
) -> Path:
    """Write a manifest atomically: the file is either the old one or the whole new one.

    Args:
        frame: Rows to write, with a CRS; columns may hold tuples of ids.
        path: File to write, usually ``manifest.parquet``; its folder is made.
        kind: "plan" for planned locations, "patches" for extracted ones, "rejected" for those that
            were planned and not accepted, "tiles" for the tiles of a plan.
        note: JSON-like facts to keep with it (rules, sources, statistics).

    Returns:
        The path.

    Raises:
        ManifestError: If the frame has no CRS.
        OSError: If the folder cannot be written or the disk is full; an old file stays as it was.
    """
    import pyarrow.parquet as pq

    if frame.crs is None:
        raise ManifestError(
            f"A manifest needs a CRS for its geometry, but the table for {path} has none.\n"
            'Planned locations are in EPSG:4326: `frame.set_crs("EPSG:4326")`.'
        )
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False, write_covering_bbox=True)
    table = pq.read_table(buffer)
    mark = {
        "version": VERSION,
        "kind": kind,
        "note": dict(note or {}),
        "rows": table.num_rows,
        "columns": columns_of(table.schema),
    }
    told = {**(table.schema.metadata or {}), _KEY: json.dumps(mark, sort_keys=True).encode()}
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    try:
        pq.write_table(
            table.replace_schema_metadata(told), temporary, compression="zstd",
            write_page_checksum=True,
        )  # fmt: skip
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path


def manifest_note(path: Path | str, *, kind: ManifestKind | None = None) -> dict[str, Any]:
    """Read the facts kept with a manifest, without its rows.

    Args:
        path: The file.
        kind: What it must be, if that matters.

    Raises:
        ManifestError: If the file is missing, no manifest of ours, of another version or kind.
    """
    return _open_mark(Path(path), kind)[0].note


def _open_mark(path: Path, kind: ManifestKind | None) -> "tuple[ManifestMark, pa.Schema]":
    """The mark of a manifest and the types of its columns, both checked."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        raise ManifestError(
            f"No manifest at {path}; it is written last, so an interrupted run leaves none.\n"
            "Run the step that makes it again: what is done is found and reused."
        )
    try:
        with opened_once(path) as file:
            parquet = pq.ParquetFile(file)
            schema, rows = parquet.schema_arrow, parquet.metadata.num_rows
    except (pa.ArrowException, OSError) as error:
        raise ManifestError(
            f"{path} is not a readable Parquet file ({str(error).splitlines()[0]})."
        ) from error
    told = schema.metadata or {}
    if _KEY not in told:
        raise ManifestError(
            f"{path} is a Parquet file, but no manifest of this workbench.\n"
            "Open it with `geopandas.read_parquet`, or write one with `write_manifest`."
        )
    mark = read_mark(told[_KEY], path)
    if mark.version != VERSION:
        raise ManifestError(
            f"{path} is a manifest of version {mark.version}, this workbench reads version "
            f"{VERSION}.\nMake it again with this version; its sources are in its note."
        )
    if kind is not None and mark.kind != kind:
        raise ManifestError(f"{path} is a manifest of {mark.kind}, but one of {kind} is needed.")
    check_schema(schema, rows, mark, path)
    return mark, schema


def read_manifest(path: Path | str, *, kind: ManifestKind | None = None) -> "gpd.GeoDataFrame":
    """Read a manifest back as it was written; lists of ids come back as tuples.

    Pages are compared with their checksums, columns with their types, values with their ranges.

    Args:
        path: The file.
        kind: What it must be, if that matters.

    Raises:
        ManifestError: See `manifest_note`; or if a value is damaged or out of its range.
    """
    import geopandas as gpd
    import pyarrow as pa
    import pyproj
    import shapely

    path = Path(path)
    mark, _ = _open_mark(path, kind)
    try:
        with opened_once(path) as file:
            check_rows(_whole_table(file), mark, path)
        with opened_once(path) as file:
            frame = gpd.read_parquet(file)
    except (pa.ArrowException, OSError, shapely.errors.ShapelyError, pyproj.exceptions.CRSError,
            UnicodeDecodeError) as error:  # fmt: skip
        raise ManifestError(
            f"{path} is damaged ({str(error).splitlines()[0]}).\nMake it again, or copy it again."
        ) from error
    frame = frame.drop(columns="bbox", errors="ignore")
    for column in frame.columns:
        if frame[column].dtype == object and column != frame.geometry.name:
            frame[column] = [tuple(v) if isinstance(v, np.ndarray) else v for v in frame[column]]
    return frame


def _whole_table(file: "pa.NativeFile") -> "pa.Table":
    """All rows, each page compared with its checksum where it has one."""
    import pyarrow.parquet as pq

    return pq.read_table(file, page_checksum_verification=True)


def read_columns(path: Path | str, names: "Sequence[str]", kind: ManifestKind) -> "pd.DataFrame":
    """Read some columns of a manifest without its geometry, checked as in `read_manifest`.

    Args:
        path: The file.
        names: Columns; those that are not there are left out.
        kind: What it must be.

    Raises:
        ManifestError: See `read_manifest`.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = Path(path)
    mark, schema = _open_mark(path, kind)
    present = [name for name in names if name in schema.names]
    try:
        with opened_once(path) as file:
            table = pq.read_table(file, columns=present, page_checksum_verification=True)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise ManifestError(
            f"{path} is damaged ({str(error).splitlines()[0]}).\nMake it again, or copy it again."
        ) from error
    check_rows(table, mark, path)
    return table.replace_schema_metadata(None).to_pandas()
