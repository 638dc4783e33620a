"""Which locations train, validate and test: splits that keep tiles, components or blocks together.

Locations are put into groups that must not be torn apart, and whole groups are dealt out to the
parts of the split. What a split still shares between its parts, `leak_report` says.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.extraction.ground import centres
from workbench.extraction.grouping import By, location_groups
from workbench.geo.tile import Tile

if TYPE_CHECKING:
    import geopandas as gpd

log = logging.getLogger(__name__)

PARTS = ("train", "val", "test")
BUFFER = "buffer"
"""Name of locations that belong to no part, since they lie too near to another part."""


def split_locations(
    plan: "gpd.GeoDataFrame",
    *,
    by: By = "component",
    fractions: Sequence[float] | Mapping[str, float] = (0.7, 0.1, 0.2),
    seed: int,
    block_size_m: float = 50_000.0,
    buffer_m: float = 0.0,
    tiles: Sequence[Tile] | None = None,
) -> pd.Series:
    """Name the part of a split that each location belongs to.

    Groups are dealt out whole, so fractions are met as closely as the groups allow; what they came
    to is in ``attrs["achieved"]``. The result depends on the seed and on the locations, not on
    their order.

    Args:
        plan: A plan or manifest: columns location_id, crs, xmin, ymin, xmax, ymax (metres),
            tile_ids and geometry (EPSG:4326).
        by: What stays together. "component": locations linked through shared tiles or overlapping
            ground, directly or through others, so that no pixel is on two sides. "tile": linked
            through shared tiles. "block": whose centres lie in one square of a zone. "random":
            nothing; such a split is leaky, and `attrs["leaky"]` says so.
        fractions: Shares of train, val and test, >= 0, adding up to 1; or names and their shares.
        seed: Seed of the draw, >= 0.
        block_size_m: Only "block": side of a block in metres, > 0.
        buffer_m: Only "block": least distance in metres between centres of locations of two parts,
            >= 0. Of two that are nearer, the one of the larger part becomes "buffer".
        tiles: Only "component": also keep together what overlapping tiles link where no location
            does, so that even the footprints of two parts share no ground.

    Returns:
        Series "split" indexed by location_id, in the order of the plan. Its ``attrs`` hold by,
        seed, leaky, groups, wanted and achieved.

    Raises:
        ValueError: If an argument is out of its range, location ids repeat, or there are fewer
            groups than parts.

    Example:
        >>> import geopandas as gpd
        >>> from shapely import box
        >>> x = [0.0, 3840.0, 90_000.0, 180_000.0]
        >>> plan = gpd.GeoDataFrame(
        ...     {"location_id": list("abcd"), "crs": "EPSG:32632", "xmin": x, "ymin": 0.0,
        ...      "xmax": [v + 3840 for v in x], "ymax": 3840.0,
        ...      "tile_ids": [("t1",), ("t1", "t2"), ("t3",), ("t4",)]},
        ...     geometry=[box(v / 1e5, 0, v / 1e5 + 0.03, 0.03) for v in x], crs="EPSG:4326")
        >>> split = split_locations(plan, by="tile", fractions=(0.5, 0.25, 0.25), seed=0)
        >>> split["a"] == split["b"] == "train", sorted(split)
        (True, ['test', 'train', 'train', 'val'])
    """
    wanted = _wanted(fractions)
    if by not in ("component", "tile", "block", "random"):
        raise ValueError(f"A split is by 'component', 'tile', 'block' or 'random', got {by!r}.")
    if by == "block" and not (block_size_m > 0 and buffer_m >= 0):
        raise ValueError(
            "Blocks need block_size_m > 0 and buffer_m >= 0 metres, "
            f"got {block_size_m!r} and {buffer_m!r}."
        )
    ids = plan["location_id"].astype(str).to_numpy()
    _require_distinct(ids)
    group = location_groups(plan, by, block_size_m=block_size_m, tiles=tiles)
    part = _deal(np.bincount(group), wanted, np.random.default_rng(seed), by)
    names = np.array(list(wanted), dtype=object)
    split = names[part[group]]
    if by == "block" and buffer_m > 0:
        split = _with_buffer(split, plan, wanted, buffer_m)
    return _as_series(split, ids, wanted, by=by, seed=seed, groups=len(part))


def label_fractions(
    labels: pd.Series, fractions: Sequence[float] = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0), *, seed: int
) -> pd.DataFrame:
    """Draw nested subsets that keep the shares of the classes, without replacement.

    A smaller subset is part of every larger one of the same seed, whatever other fractions are
    asked for. Of each class a subset holds its share of the whole, up to one sample.

    Args:
        labels: Class of each sample, indexed by distinct ids. For several labels a sample, give
            one stratum each, such as the rarest label.
        fractions: Shares of the samples, in (0, 1].
        seed: Seed of the draw, >= 0.

    Returns:
        Table indexed like `labels`, with one column of booleans for each fraction, ascending: True
        for the ``round(fraction * N)`` samples drawn, but at least one.

    Raises:
        ValueError: If a fraction is not in (0, 1], ids repeat, or a label is missing.

    Example:
        >>> labels = pd.Series(list("aaaaabbbbb"), index=range(10))
        >>> drawn = label_fractions(labels, (0.2, 0.6), seed=0)
        >>> drawn.groupby(labels).sum().to_numpy().tolist()
        [[1, 3], [1, 3]]
    """
    if not len(fractions) or not all(0 < f <= 1 for f in fractions):
        raise ValueError(f"Label fractions are in (0, 1], got {list(fractions)}.")
    if not labels.index.is_unique or labels.isna().any():
        raise ValueError(
            "Labels need distinct ids and a class each, but "
            f"{int(labels.index.duplicated().sum())} ids repeat and {int(labels.isna().sum())} "
            "classes are missing."
        )
    rng = np.random.default_rng(seed)
    shuffled = labels.sort_index().iloc[rng.permutation(len(labels))]
    rank = pd.Series(_turns(pd.factorize(shuffled)[0]), index=shuffled.index)
    count = {f: max(1, round(f * len(labels))) for f in sorted(set(fractions))}
    return pd.DataFrame({f: rank.reindex(labels.index) < n for f, n in count.items()})


def _turns(code: NDArray[np.int64]) -> NDArray[np.int64]:
    """(N,) places in an order of which every prefix holds each class in proportion, up to one.

    The quota method of apportionment: the next place goes to the class with the largest n / (taken
    + 1) among those that are still below their share of the longer prefix.

    References:
        Balinski, Young: The quota method of apportionment. Am. Math. Monthly 82 (1975).
    """
    size = np.bincount(code)
    taken = np.zeros_like(size)
    turn = np.empty(len(code), dtype=np.int64)
    for length in range(1, len(code) + 1):
        below = taken * len(code) < size * length
        turn[length - 1] = chosen = np.argmax(np.where(below, size / (taken + 1), -1.0))
        taken[chosen] += 1
    place = np.empty(len(code), dtype=np.int64)
    place[np.argsort(code, kind="stable")] = np.argsort(turn, kind="stable")
    return place


def _wanted(fractions: Sequence[float] | Mapping[str, float]) -> dict[str, float]:
    if isinstance(fractions, Mapping):
        wanted = {str(name): float(share) for name, share in fractions.items()}
    else:
        wanted = dict(zip(PARTS, map(float, fractions), strict=False))
    shares = list(wanted.values())
    complete = isinstance(fractions, Mapping) or len(fractions) == len(PARTS)
    if not complete or min(shares, default=-1) < 0 or abs(sum(shares) - 1) > 1e-9:
        raise ValueError(
            f"Fractions of train, val and test are >= 0 and add up to 1, got {fractions!r}."
        )
    if BUFFER in wanted:
        raise ValueError(f"{BUFFER!r} is no name for a part: it names what belongs to none.")
    return wanted


def _require_distinct(ids: NDArray[np.object_]) -> None:
    values, count = np.unique(ids.astype(str), return_counts=True)
    if (count > 1).any():
        raise ValueError(
            f"Location ids must be distinct, but {str(values[count > 1][0])!r} is there "
            f"{count.max()} times.\nSplit the locations of one plan, one row each."
        )


def _deal(
    sizes: NDArray[np.int64], wanted: dict[str, float], rng: np.random.Generator, by: str
) -> NDArray[np.int64]:
    """(G,) part of each group: largest first, drawn among the parts that still have room for it."""
    share = np.array(list(wanted.values()))
    parts = np.flatnonzero(share > 0)
    if 0 < len(sizes) < len(parts):
        raise ValueError(
            f"A split by {by!r} into {len(parts)} parts needs at least {len(parts)} groups of "
            f"locations, but the plan has {len(sizes)}.\n"
            "Use by='block' with small blocks and a buffer, or fewer parts."
        )
    room = share * sizes.sum()
    part = np.full(len(sizes), -1, dtype=np.int64)
    shuffled = rng.permutation(len(sizes))
    queue = shuffled[np.argsort(-sizes[shuffled], kind="stable")]
    singles = int((sizes == 1).sum())
    for left, group in zip(range(len(queue), singles, -1), queue, strict=False):
        empty = np.setdiff1d(parts, part)
        candidates = empty if left <= len(empty) else parts
        roomy = candidates[room[candidates] >= sizes[group]]
        fits = len(roomy) > 0
        chance = np.cumsum(room[roomy])
        part[group] = (
            roomy[np.searchsorted(chance, rng.random() * chance[-1], side="right")]
            if fits
            else candidates[np.argmax(room[candidates])]
        )
        room[part[group]] -= sizes[group]
    if singles:
        part[queue[-singles:]] = _deal_singles(room, singles, np.setdiff1d(parts, part), rng)
    return part


def _deal_singles(
    room: NDArray[np.float64], count: int, empty: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """(count,) parts for groups of one location: exact shares in random order, none left empty."""
    share = np.maximum(room, 0) / max(np.maximum(room, 0).sum(), 1e-9) * count
    quota = np.floor(share).astype(np.int64)
    short = count - quota.sum()
    quota[np.argsort(quota - share, kind="stable")[:short]] += 1
    for part in empty[quota[empty] == 0]:
        quota[np.argmax(quota)] -= 1
        quota[part] += 1
    return rng.permutation(np.repeat(np.arange(len(room)), quota))


def _with_buffer(
    split: NDArray[np.object_],
    plan: "gpd.GeoDataFrame",
    wanted: dict[str, float],
    buffer_m: float,
) -> NDArray[np.object_]:
    """Take out of the larger part what lies nearer than `buffer_m` to a smaller one."""
    from scipy.spatial import cKDTree

    xyz = centres(plan)
    split = split.copy()
    by_size = sorted(wanted, key=lambda name: (-wanted[name], name))
    for rank, larger in enumerate(by_size):
        smaller = np.isin(split, by_size[rank + 1 :])
        mine = np.flatnonzero(split == larger)
        if smaller.any() and len(mine):
            distance, _ = cKDTree(xyz[smaller]).query(xyz[mine])
            split[mine[distance < buffer_m]] = BUFFER
    return split


def _as_series(
    split: NDArray[np.object_],
    ids: NDArray[np.object_],
    wanted: dict[str, float],
    *,
    by: str,
    seed: int,
    groups: int,
) -> pd.Series:
    series = pd.Series(split, index=pd.Index(ids, name="location_id"), name="split", dtype="str")
    achieved = {name: float((series == name).mean()) if len(ids) else 0.0 for name in wanted}
    series.attrs = {"by": by, "seed": seed, "leaky": by == "random", "groups": groups,
                    "wanted": wanted, "achieved": achieved}  # fmt: skip
    if by == "random":
        log.warning("A patch-random split is leaky: patches of one tile are on every side.")
    shown = ", ".join(f"{name} {achieved[name]:.1%} of {wanted[name]:.1%}" for name in wanted)
    log.info("Split %d locations in %d groups by %s: %s.", len(ids), groups, by, shown)
    return series
