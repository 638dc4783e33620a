"""What the parts of a split share after all: tiles, ground, and how many patches that concerns."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import pandas as pd

from workbench.errors import ManifestError
from workbench.extraction.ground import overlapping_pairs, shared_ground_m2
from workbench.extraction.grouping import exploded_tiles
from workbench.extraction.splits import BUFFER, PARTS
from workbench.files import read_text
from workbench.showing import Sheet, Shown

if TYPE_CHECKING:
    import geopandas as gpd

log = logging.getLogger(__name__)

PRETRAINING = "pretraining"
_SHOWN = ("part", "seen in", "patches affected", "by tile", "by ground", "shared ground")
_PATCH = ["split", "location_id", "tile_id"]


@dataclass(frozen=True, repr=False)
class LeakReport(Shown):
    """What one part of a split has seen of another."""

    pairs: pd.DataFrame
    """One row for each two parts: `seen` and `judged` (names), `patches` (of `judged`),
    `shared_tiles` and `shared_locations` (counts), `shared_ground_m2` (NaN without polygons),
    `by_tile`, `by_ground` and `affected` (patches of `judged` whose tile, whose ground, or either
    is also in `seen`), `share` (of patches affected, in [0, 1])."""
    patches: pd.DataFrame
    """One row for each affected patch and pair: seen, judged, location_id, tile_id, by_tile,
    by_ground."""
    ground: str
    """How ground was compared: "polygons" or "location ids"."""
    left_out: int
    """Patches that belong to no part ("buffer")."""

    @property
    def leaky(self) -> bool:
        """True if a part that is judged (any but train) has a patch that was seen elsewhere."""
        judged = self.pairs[self.pairs["judged"] != PARTS[0]]
        return bool((judged["affected"] > 0).any())

    @property
    def verdict(self) -> str:
        """Whether a part that is judged was seen, in a sentence."""
        verdict = "Leaky" if self.leaky else "Clean: no tile and no ground on two sides"
        return f"{verdict} (ground compared by {self.ground})."

    def _sheet(self) -> Sheet:
        left_out = f" {self.left_out:,} patches belong to no part." if self.left_out else ""
        rows = [
            (
                str(row.judged),
                str(row.seen),
                f"{row.share:.1%} of {row.patches:,}",
                f"{row.by_tile:,} ({row.shared_tiles:,} tiles)",
                f"{row.by_ground:,} ({row.shared_locations:,} locations)",
                _km2(cast(float, row.shared_ground_m2)) or "not known",
            )
            for row in self.pairs.itertuples()
        ]
        return Sheet(f"{self.verdict}{left_out}", _SHOWN, rows)

    def __str__(self) -> str:
        """A verdict, then one line for each pair."""
        lines = [self.verdict]
        for row in self.pairs.itertuples():
            area = _km2(cast(float, row.shared_ground_m2))
            ground = f" ({area} shared)" if area else ""
            lines.append(
                f"{row.judged} against {row.seen}: {row.share:.1%} of {row.patches:,} patches, "
                f"{row.by_tile:,} by tile ({row.shared_tiles:,} tiles shared), "
                f"{row.by_ground:,} by ground{ground}."
            )
        return "\n".join(lines)


def _km2(area: float) -> str:
    """An area in m² as text in km², empty for NaN."""
    return "" if np.isnan(area) else f"{area / 1e6:,.2f} km²"


def leak_report(
    split: pd.Series | pd.DataFrame,
    plan: "gpd.GeoDataFrame | None" = None,
    *,
    pretraining: "gpd.GeoDataFrame | pd.DataFrame | None" = None,
) -> LeakReport:
    """Say which ground and tiles the parts of any split share, and how many patches that affects.

    A patch is one location in one tile. It is affected if a patch of the other part is from the
    same tile (one atmosphere, one processing, often a neighbour) or on the same ground.

    Args:
        split: Part of each location, as `split_locations` gives it; or a table with one row for
            each patch and columns split, location_id, tile_id, as `read_split_files` gives it.
        plan: The plan or manifest of the locations. Needed with a Series. With a table it adds the
            polygons; without them ground is compared by location id.
        pretraining: Plan, manifest or table of patches (location_id, tile_id) that a model was
            pretrained on. Its ids are those of `split`; ground is compared by polygons if both have
            them.

    Returns:
        The report: print it, or look at `pairs` and `patches`.

    Raises:
        ValueError: If a Series comes without a plan, or names locations the plan does not have.

    Example:
        >>> lines = [("train", "0", "a"), ("test", "2", "a"), ("test", "3", "b")]
        >>> print(leak_report(pd.DataFrame(lines, columns=["split", "location_id", "tile_id"])))
        Leaky (ground compared by location ids).
        test against train: 50.0% of 2 patches, 1 by tile (1 tiles shared), 0 by ground.
    """
    patches = _patches(split, plan)
    known = pd.concat([patches, _pretraining(pretraining)], ignore_index=True)
    inside = known[known["split"] != BUFFER].copy()
    inside["tile"], _ = pd.factorize(inside["tile_id"])  # numbers compare faster than strings
    inside["place"], ids = pd.factorize(inside["location_id"])
    present = set(inside["split"])
    order = [PRETRAINING, *PARTS, *sorted(present - {PRETRAINING, *PARTS})]
    names = [name for name in order if name in present]
    ours = _numbered(plan, ids)
    places = {name: ours for name in names} | {PRETRAINING: _numbered(pretraining, ids)}
    found = [
        _compare(inside, seen, judged, places)
        for i, seen in enumerate(names)
        for judged in names[i + 1 :]
    ]
    rows = pd.DataFrame([row for row, _ in found], columns=_COLUMNS)
    hit = [table for _, table in found]
    return LeakReport(
        pairs=rows,
        patches=pd.concat(hit, ignore_index=True) if hit else pd.DataFrame(columns=_HIT_COLUMNS),
        ground="polygons" if all(places[n] is not None for n in names) else "location ids",
        left_out=len(known) - len(inside),
    )


def read_split_files(folder: Path | str) -> pd.DataFrame:
    """Read a published split: `train.txt`, `val.txt` and `test.txt`, each line `location/tile.tif`.

    Args:
        folder: Where the files are; at least two of the three must be there.

    Returns:
        Table with one row for each patch: split, location_id, tile_id (strings, as written).

    Raises:
        ManifestError: If fewer than two files are there, or a line has another form.
    """
    folder = Path(folder)
    files = {name: folder / f"{name}.txt" for name in PARTS}
    there = {name: path for name, path in files.items() if path.is_file()}
    if len(there) < 2:
        raise ManifestError(
            f"A published split has two or three of train.txt, val.txt, test.txt, but {folder} has "
            f"{', '.join(p.name for p in there.values()) or 'none'}."
        )
    rows = [(name, *patch) for name, path in there.items() for patch in _lines(path)]
    table = pd.DataFrame(rows, columns=_PATCH)
    repeated = int(table.duplicated().sum())
    if repeated:
        log.warning("%s: %d lines are there twice; each counts once.", folder, repeated)
    return table.drop_duplicates(ignore_index=True)


def _lines(path: Path) -> list[tuple[str, str]]:
    found = []
    for number, line in enumerate(read_text(path, error=ManifestError).split("\n"), 1):
        parts = [part.strip() for part in line.strip("\ufeff").split("/")]
        if parts == [""]:
            continue
        if len(parts) != 2 or not parts[0] or Path(parts[1]).suffix.lower() != ".tif":
            raise ManifestError(
                f"{path}:{number}: a line of a split is `location/tile.tif`, got {line.strip()!r}."
            )
        found.append((parts[0], Path(parts[1]).stem))
    return found


def _patches(split: pd.Series | pd.DataFrame, plan: "gpd.GeoDataFrame | None") -> pd.DataFrame:
    """One row for each patch of a split: split, location_id, tile_id."""
    if isinstance(split, pd.DataFrame):
        return split[_PATCH].astype(str)
    if plan is None:
        raise ValueError(
            "A split of locations needs their plan, which knows the tiles, but got none.\n"
            "Call `leak_report(split, plan)`."
        )
    table = _exploded(plan)
    unknown = split.index.astype(str).difference(table["location_id"].tolist())
    if len(unknown):
        raise ValueError(
            f"A split names locations of its plan, but {len(unknown)} are not in it "
            f"(e.g. {unknown[0]!r})."
        )
    part = split.set_axis(split.index.astype(str)).reindex(table["location_id"])
    return table.assign(split=part.to_numpy())[part.notna().to_numpy()][_PATCH].astype(str)


def _exploded(plan: pd.DataFrame) -> pd.DataFrame:
    owner, tile_ids = exploded_tiles(plan)
    ids = plan["location_id"].astype(str).to_numpy()[owner]
    return pd.DataFrame({"location_id": ids, "tile_id": tile_ids}, dtype="str")


def _pretraining(table: "gpd.GeoDataFrame | pd.DataFrame | None") -> pd.DataFrame:
    if table is None:
        return pd.DataFrame(columns=_PATCH, dtype="str")
    patches = table if "tile_id" in table.columns else _exploded(table)
    return patches.assign(split=PRETRAINING)[_PATCH].astype(str)


def _numbered(table: pd.DataFrame | None, ids: pd.Index) -> "gpd.GeoDataFrame | None":
    """Add the number of each location id in `ids`; None if the table has no polygons."""
    if table is None or "geometry" not in table.columns:
        return None
    own = pd.Index(table["location_id"].astype(str))
    return table.assign(place=ids.get_indexer(own))


_COLUMNS = ["seen", "judged", "patches", "shared_tiles", "shared_locations", "shared_ground_m2"]
_COLUMNS += ["by_tile", "by_ground", "affected", "share"]
_HIT_COLUMNS = ["seen", "judged", "location_id", "tile_id", "by_tile", "by_ground"]


def _compare(
    patches: pd.DataFrame, seen: str, judged: str, places: dict[str, "gpd.GeoDataFrame | None"]
) -> tuple[list[object], pd.DataFrame]:
    """Compare two parts: the row of the report, and the affected patches of `judged`."""
    a, b = (patches[patches["split"] == name] for name in (seen, judged))
    by_tile = b["tile"].isin(a["tile"])
    same = np.intersect1d(a["place"], b["place"])
    area, on_ground = float("nan"), same
    if (one := places[seen]) is not None and (other := places[judged]) is not None:
        area, on_ground = _ground(one, a, other, b)
    by_ground = b["place"].isin(on_ground)
    affected = by_tile | by_ground
    tiles = np.intersect1d(a["tile"], b["tile"])
    row = [seen, judged, len(b), len(tiles), len(same), area]
    row += [int(by_tile.sum()), int(by_ground.sum()), int(affected.sum()), affected.mean()]
    hit = b.assign(seen=seen, judged=judged, by_tile=by_tile, by_ground=by_ground)
    return row, hit.loc[affected, _HIT_COLUMNS]


def _ground(
    one: "gpd.GeoDataFrame", a: pd.DataFrame, other: "gpd.GeoDataFrame", b: pd.DataFrame
) -> tuple[float, np.ndarray]:
    """Area shared by the locations of two parts, in m², and the numbers of those of `b` on it."""
    left = one[one["place"].isin(a["place"])]
    right = other[other["place"].isin(b["place"])]
    pairs = overlapping_pairs(left, right)
    return shared_ground_m2(left, right, pairs), right["place"].to_numpy()[np.unique(pairs[1])]
