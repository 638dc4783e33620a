"""What an extraction found, in two tables: patches that are there; those that are not, and why."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from workbench.extraction.cutting import TileJob
from workbench.extraction.jobs import component_of
from workbench.extraction.validity import MEASURES
from workbench.extraction.workers import TileResult
from workbench.geo.dates import tile_dates
from workbench.geo.tile import Tile

if TYPE_CHECKING:
    import geopandas as gpd
    import pandas as pd

UNREADABLE, SAME_DATE = "unreadable tile", "same date"
BREAKS_CONTRACT = "breaks the contract"
"""Reasons of rejection that are not shares of pixels."""

_SQUARE = ["crs", "xmin", "ymin", "xmax", "ymax", "geometry"]
_BOTH = ["location_id", "tile_id", "acquired", "group", *_SQUARE, "component"]
_HOW = [*MEASURES, "resampling", "why_resampled", "shift_east", "shift_south"]
KEPT_COLUMNS = [*_BOTH, "acquisition", "n_acquisitions", *_HOW, "checksum", "place"]
REJECTED_COLUMNS = [*_BOTH, "reasons", "detail", *_HOW]


def patch_tables(
    plan: "gpd.GeoDataFrame",
    tiles: Sequence[Tile],
    jobs: Sequence[TileJob],
    results: Mapping[str, TileResult],
) -> "tuple[gpd.GeoDataFrame, gpd.GeoDataFrame]":
    """Lay results out, one row for each planned patch, in one of two tables.

    Of several acceptable patches of one location and date (neighbouring tiles of one datatake),
    the one of the first tile by id stays. The order of the results does not matter.

    Args:
        plan: The plan, as it was extracted.
        tiles: Its tiles.
        jobs: What was to be cut.
        results: What became of each tile, by id.

    Returns:
        Kept patches, by location in the order of the plan, then by time: `acquisition` counts them
        from 0 within a location, `n_acquisitions` is how many the location has. And rejected ones
        with `reasons` (kinds of `ValidityRules`, "unreadable tile", "breaks the contract",
        "same date") and `detail`.
    """
    import geopandas as gpd
    import numpy as np
    import pandas as pd

    rows = pd.DataFrame([row for job in jobs for row in _rows(job, results[job.tile_id])])
    known = pd.DataFrame(_tile_rows(tiles, component_of(jobs)))
    rows = rows.merge(known, on="tile_id", validate="many_to_one")
    squares = plan[["location_id", *_SQUARE]].assign(_order=np.arange(len(plan)))
    rows = rows.merge(squares, on="location_id", validate="many_to_one")
    rows = rows.sort_values(["_order", "acquired", "group", "tile_id"], ignore_index=True)
    rows = _one_per_date(rows)
    accepted = rows["reasons"].map(len) == 0
    kept, rejected = rows[accepted].copy(), rows[~accepted].copy()
    groups = kept.groupby("location_id", sort=False)
    kept["acquisition"] = groups.cumcount()
    kept["n_acquisitions"] = groups["tile_id"].transform("size").astype("int64")
    frames = [
        gpd.GeoDataFrame(frame[columns], geometry="geometry", crs=plan.crs).reset_index(drop=True)
        for frame, columns in ((kept, KEPT_COLUMNS), (rejected, REJECTED_COLUMNS))
    ]
    return frames[0], frames[1]


def _rows(job: TileJob, result: TileResult) -> Iterable[dict[str, Any]]:
    nan = float("nan")
    if result.failure is not None:
        for patch in job.patches:
            yield {
                "tile_id": job.tile_id, "location_id": patch.location_id, "place": patch.place,
                "reasons": (BREAKS_CONTRACT if result.breaks_contract else UNREADABLE,),
                "detail": result.failure, "resampling": "",
                "why_resampled": "", "shift_east": nan, "shift_south": nan, "checksum": "",
                **dict.fromkeys(MEASURES, nan),
            }  # fmt: skip
        return
    for cut in result.patches:
        yield {
            "tile_id": job.tile_id, "location_id": cut.location_id, "place": cut.place,
            "reasons": cut.reasons, "detail": cut.detail, "resampling": cut.resampling,
            "why_resampled": cut.why_resampled,
            "shift_east": cut.shift[0], "shift_south": cut.shift[1], "checksum": cut.checksum,
            **cut.shares,
        }  # fmt: skip


def _tile_rows(tiles: Sequence[Tile], component: Mapping[str, int]) -> list[dict[str, Any]]:
    return [
        {
            "tile_id": t.id,
            "acquired": t.acquired,
            "group": t.group or "",
            "component": component[t.id],
            "_date": date,
        }
        for t, date in zip(tiles, tile_dates(tiles).tolist(), strict=True)
        if t.id in component
    ]


def _one_per_date(rows: "pd.DataFrame") -> "pd.DataFrame":
    """Reject all acceptable patches of a location and date but that of the first tile by id."""
    accepted = rows["reasons"].map(len) == 0
    columns = [rows["location_id"], rows["_date"]]
    first = rows["tile_id"].where(accepted).groupby(columns).transform("min")
    again = accepted & (first != rows["tile_id"])
    rows["reasons"] = [
        (SAME_DATE,) if is_again else reasons
        for is_again, reasons in zip(again, rows["reasons"], strict=True)
    ]
    rows["detail"] = rows["detail"].mask(again, "the same date as tile " + first.astype(str))
    return rows


def locations_of(patches: "gpd.GeoDataFrame") -> "gpd.GeoDataFrame":
    """Turn a manifest of patches back into one of locations, with the tiles that were kept.

    Splits, leak reports and maps take the result as they take a plan.

    Args:
        patches: A manifest of kind "patches".

    Returns:
        One row per location in the order of the manifest, with the columns of `temporal_views`.
    """
    groups = patches.groupby("location_id", sort=False)
    found = patches.drop_duplicates("location_id", ignore_index=True)
    ids = groups["tile_id"].agg(tuple)
    found = found.assign(tile_ids=ids.reindex(found["location_id"]).to_numpy())
    columns = ["crs", "xmin", "ymin", "xmax", "ymax", "tile_ids", "n_acquisitions", "geometry"]
    return found[["location_id", *columns]]
