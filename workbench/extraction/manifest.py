"""The manifest: the one index on disk, of planned locations and later of patches, as GeoParquet.

It is written in one piece and last, so that its existence means that all it lists is there. Any
reader of GeoParquet opens it (geopandas, QGIS, DuckDB); a small note in the file says what it is.
"""

import io
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from workbench.errors import ManifestError
from workbench.files import opened_once

if TYPE_CHECKING:
    import geopandas as gpd

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
    mark = {"version": VERSION, "kind": kind, "note": dict(note or {})}
    told = {**(table.schema.metadata or {}), _KEY: json.dumps(mark, sort_keys=True).encode()}
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    try:
        pq.write_table(table.replace_schema_metadata(told), temporary, compression="zstd")
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
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = Path(path)
    if not path.is_file():
        raise ManifestError(
            f"No manifest at {path}; it is written last, so an interrupted run leaves none.\n"
            "Run the step that makes it again: what is done is found and reused."
        )
    try:
        told = pq.read_schema(path).metadata or {}
    except (pa.ArrowInvalid, OSError) as error:
        raise ManifestError(
            f"{path} is not a readable Parquet file ({str(error).splitlines()[0]})."
        ) from error
    if _KEY not in told:
        raise ManifestError(
            f"{path} is a Parquet file, but no manifest of this workbench.\n"
            "Open it with `geopandas.read_parquet`, or write one with `write_manifest`."
        )
    mark = json.loads(told[_KEY])
    if mark["version"] != VERSION:
        raise ManifestError(
            f"{path} is a manifest of version {mark['version']}, this workbench reads version "
            f"{VERSION}.\nMake it again with this version; its sources are in its note."
        )
    if kind is not None and mark["kind"] != kind:
        raise ManifestError(f"{path} is a manifest of {mark['kind']}, but one of {kind} is needed.")
    return mark["note"]


def read_manifest(path: Path | str, *, kind: ManifestKind | None = None) -> "gpd.GeoDataFrame":
    """Read a manifest back as it was written; lists of ids come back as tuples.

    Args:
        path: The file.
        kind: What it must be, if that matters.

    Raises:
        ManifestError: See `manifest_note`.
    """
    import geopandas as gpd

    manifest_note(path, kind=kind)
    with opened_once(Path(path)) as file:
        frame = gpd.read_parquet(file)
    frame = frame.drop(columns="bbox", errors="ignore")
    for column in frame.columns:
        if frame[column].dtype == object and column != frame.geometry.name:
            frame[column] = [tuple(v) if isinstance(v, np.ndarray) else v for v in frame[column]]
    return frame
