"""What a pipeline found in a simulated campaign, held against what is known to be true of it.

The truth about patches is computed here once more, from the ground up: nothing of the extraction
is used, so that the two can disagree.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import networkx as nx
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.geo.footprint import transformer
from workbench.geo.grid import PixelGrid
from workbench.geo.tile import Tile
from workbench.readers.images import SkippedProduct
from workbench.sensors import sensor
from workbench.synthetic.acquisition import GSD
from workbench.synthetic.render import NODATA
from workbench.synthetic.truth import CampaignTruth

if TYPE_CHECKING:
    import geopandas as gpd

Mask = NDArray[np.bool_]
Patch = tuple[str, str]
"""Location id and tile id."""

_LAYERS = {
    "cloud": "CLOUD", "shadow": "CLOUDSHADOW", "haze": "HAZE", "cirrus": "CIRRUS", "snow": "SNOW",
}  # fmt: skip
_FAULTS = {"truncated": "all its pixels", "no metadata": "METADATA", "wrong crs": "one CRS"}


class Dropped(Protocol):
    """A delivery that was dropped for another one."""

    @property
    def tile(self) -> Tile: ...
    @property
    def kept(self) -> str: ...


@dataclass
class Findings:
    """What a pipeline found in a campaign, step by step."""

    skipped: Sequence[SkippedProduct]
    """Products that could not be read."""
    dropped: Sequence[Dropped]
    """Deliveries of what was delivered better."""
    kept: Sequence[Tile]
    """Tiles that entered the plan."""
    graph: nx.Graph = field(repr=False)
    """Their overlap graph."""
    plan: "gpd.GeoDataFrame" = field(repr=False)
    """Planned locations: location_id, crs, bounds, tile_ids, geometry."""
    patches: "gpd.GeoDataFrame" = field(repr=False)
    """Patches that were cut: location_id, tile_id."""
    rejected: "gpd.GeoDataFrame" = field(repr=False)
    """Planned patches that were not, with `reasons`."""


def compare_with_truth(
    truth: CampaignTruth, found: Findings, limits: Mapping[str, float]
) -> pd.DataFrame:
    """Hold findings against the truth, one by one.

    Args:
        truth: What is true.
        found: What was found.
        limits: Largest share of a patch's pixels that may be of each kind, as the extraction was
            told.

    Returns:
        One row per finding: `finding`, `known truth` and `found` (counts), and `equal`, which says
        whether the things themselves are the same, not only how many there are.
    """
    rows = [*_tile_rows(truth, found), *_patch_rows(truth, found, limits)]
    table = [(name, len(a), len(b), a == b) for name, a, b in rows]
    return pd.DataFrame(table, columns=["finding", "known truth", "found", "equal"])


def _tile_rows(truth: CampaignTruth, found: Findings) -> Iterable[tuple[str, Any, Any]]:
    yield "tiles kept", set(truth.kept), {tile.id for tile in found.kept}
    dropped = {item.tile.id: item.kept for item in found.dropped}
    yield "repeated deliveries dropped", {i: k for i, (_, k) in truth.dropped.items()}, dropped
    told = {item.path.name: item.reason for item in found.skipped}
    for fault, words in _FAULTS.items():
        broken = {name for name, why in truth.broken.items() if why == fault}
        yield f"broken products: {fault}", broken, {n for n, why in told.items() if words in why}
    edges = {frozenset(pair) for pair in truth.edges}
    yield "pairs of tiles that overlap", edges, {frozenset(pair) for pair in found.graph.edges}
    components = {frozenset(c) for c in nx.connected_components(found.graph)}
    yield "connected components", {frozenset(c) for c in truth.components}, components


def _patch_rows(
    truth: CampaignTruth, found: Findings, limits: Mapping[str, float]
) -> Iterable[tuple[str, Any, Any]]:
    plan = found.plan
    held = {
        row.location_id: truth.dates(sorted(set(row.tile_ids) & set(truth.covering(row.geometry))))
        for row in plan.itertuples()
    }
    planned = dict(zip(plan["location_id"], plan["n_acquisitions"].tolist(), strict=True))
    yield "locations planned on two dates or more", _several(held), _several(planned)
    expected = true_reasons(truth, plan, limits)
    told = dict(zip(_ids(found.rejected), map(set, found.rejected["reasons"]), strict=True))
    for reason in (*limits, "same date"):
        ours = {patch for patch, reasons in told.items() if reason in reasons}
        true = {patch for patch, reasons in expected.items() if reason in reasons}
        if ours or true:
            yield f"patches rejected for {reason}", true, ours
    whole = {patch for patch, reasons in expected.items() if not reasons}
    yield "patches cut", whole, set(_ids(found.patches))
    dates = Counter(name for name, _ in whole)
    series = found.patches.groupby("location_id")["tile_id"].size().to_dict()
    yield "locations left with two dates or more", _several(dates), _several(series)


def _several(dates: Mapping[str, int]) -> dict[str, int]:
    return {name: n for name, n in dates.items() if n >= 2}


def _ids(table: pd.DataFrame) -> list[Patch]:
    return list(zip(table["location_id"], table["tile_id"], strict=True))


def true_reasons(
    truth: CampaignTruth, plan: "gpd.GeoDataFrame", limits: Mapping[str, float]
) -> dict[Patch, set[str]]:
    """Say why each planned patch must be rejected; an empty set if it must not.

    A patch is judged in the order in which its product is read: by the metadata (a band without
    data), by the quality layers, and by its pixels only if these let it pass. Of acceptable patches
    of one location and datatake, all but the first by id are of the "same date".

    Args:
        truth: What is true.
        plan: Planned locations: location_id, crs, xmin, ymin, xmax, ymax (metres), tile_ids.
        limits: Largest share of its pixels that may be of each kind.
    """
    rows = plan.explode("tile_ids").rename(columns={"tile_ids": "tile_id"})
    reasons: dict[Patch, set[str]] = {}
    for tile_id, members in rows.groupby("tile_id", sort=True):
        stages, grid = _stages(truth, str(tile_id)), truth.acquisition(str(tile_id)).grid
        for row in members.itertuples():
            at = _pixels_under(row, grid)
            reasons[row.location_id, row.tile_id] = _judged(stages, at, limits)
    return _one_per_date(truth, reasons)


def _stages(truth: CampaignTruth, tile_id: str) -> list[dict[str, Mask]]:
    """Masks (H, W) of a product by kind, in the order in which they are looked at."""
    bands = sensor("enmap").bands
    kept = set(sensor("enmap").kept)
    delivered = [i for i, band in enumerate(bands) if band.name in kept]
    empty = {band - 1 for band in truth.acquisition(tile_id).bad_bands} & set(delivered)
    rendered = truth.render(tile_id)
    classes = rendered.layers["QUALITY_CLASSES"]
    if empty:
        return [{"nodata": np.ones(classes.shape, dtype=bool)}]
    layers = {kind: rendered.layers[f"QUALITY_{name}"] > 0 for kind, name in _LAYERS.items()}
    layers |= {"nodata": classes == 3, "water": classes == 2, "land": classes == 1}
    lost = (rendered.cube[delivered] == NODATA).any(axis=0) | layers["nodata"]
    stuck = rendered.defective[delivered].any(axis=0)
    return [layers, {**layers, "nodata": lost, "defective": stuck}]


def _pixels_under(row: Any, grid: PixelGrid) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns (K, H·W) of the product's pixels that each pixel of a location is made of.

    One in the zone of the location, the nearest; the four around it in another zone.
    """
    side = round((row.xmax - row.xmin) / GSD)
    steps = GSD * (np.arange(side) + 0.5)
    x, y = (v.ravel() for v in np.meshgrid(row.xmin + steps, row.ymax - steps))
    if row.crs != grid.crs:
        x, y = transformer(row.crs, grid.crs).transform(x, y)
    col, line = (x - grid.transform[2]) / GSD - 0.5, (grid.transform[5] - y) / GSD - 0.5
    if row.crs == grid.crs:
        return tuple(np.floor(v + 0.5).astype(np.intp)[None] for v in (line, col))
    north, west = np.floor(line).astype(np.intp), np.floor(col).astype(np.intp)
    return np.stack([north, north, north + 1, north + 1]), np.stack([west, west + 1] * 2)


def _judged(
    stages: Sequence[Mapping[str, Mask]],
    at: tuple[NDArray[np.intp], NDArray[np.intp]],
    limits: Mapping[str, float],
) -> set[str]:
    """Kinds of which there is too much, at the first stage that finds any."""
    for masks in stages:
        shares = {kind: float(mask[at].any(axis=0).mean()) for kind, mask in masks.items()}
        if found := {kind for kind, most in limits.items() if shares.get(kind, 0.0) > most}:
            return found
    return set()


def _one_per_date(truth: CampaignTruth, reasons: Mapping[Patch, set[str]]) -> dict[Patch, set[str]]:
    taken: set[tuple[str, str]] = set()
    judged = dict(reasons)
    for location, tile_id in sorted(reasons):
        date = location, truth.acquisition(tile_id).datatake
        if reasons[location, tile_id]:
            continue
        if date in taken:
            judged[location, tile_id] = {"same date"}
        taken.add(date)
    return judged
