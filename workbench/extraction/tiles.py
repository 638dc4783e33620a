"""Which tiles enter a plan: distinct ids, and one delivery of each acquisition."""

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import shapely

from workbench.errors import TileError
from workbench.geo.dates import tile_dates
from workbench.geo.tile import Tile, tile_frame, tiles_from_geodataframe

__all__ = [
    "DroppedTile",
    "Tile",
    "bounding_boxes",
    "drop_duplicates",
    "require_distinct_ids",
    "tile_frame",
    "tiles_from_geodataframe",
]

log = logging.getLogger(__name__)


def require_distinct_ids(tiles: Sequence[Tile]) -> None:
    """Refuse two tiles of one id.

    Raises:
        TileError: If an id occurs twice.
    """
    seen: set[str] = set()
    twice = sorted({t.id for t in tiles if t.id in seen or seen.add(t.id)})  # type: ignore[func-returns-value]
    if twice:
        raise TileError(
            f"Tile ids must be distinct, but {len(twice)} occur twice, e.g. {twice[0]!r}.\n"
            "Drop re-deliveries first with `drop_duplicates(tiles)`, or make the ids distinct."
        )


def bounding_boxes(tiles: Sequence[Tile]) -> list[Tile]:
    """Replace each footprint by its bounding box in longitude/latitude.

    Only to see what outlines are worth: a box holds nodata corners, so boxes overlap where no two
    tiles show the same ground. What crosses the antimeridian becomes a belt round the Earth.
    """
    return [replace(tile, footprint=shapely.box(*tile.footprint.bounds)) for tile in tiles]


@dataclass(frozen=True)
class DroppedTile:
    """A tile left out, and why."""

    tile: Tile
    kept: str
    """Id of the tile kept instead."""
    reason: str
    """Why this one was left out, in words."""


def drop_duplicates(
    tiles: Iterable[Tile], *, min_shared: float = 0.99
) -> tuple[list[Tile], list[DroppedTile]]:
    """Keep one of several deliveries of the same acquisition.

    Two tiles are deliveries of one acquisition if they are of one date (`workbench.geo.dates`: one
    group within an hour, or without a group the same time) and their footprints agree: the shared
    area is at least `min_shared` of the larger one. The last in the order of ids is kept, which for
    EnMAP's names (version, then processing time, at their end) is the newest version and then the
    newest processing. Neighbouring tiles of one datatake, which overlap by a strip, both stay.

    Args:
        tiles: Tiles in any order; ids may repeat.
        min_shared: Shared area over the larger area, in (0, 1].

    Returns:
        The tiles kept, in the order given, and the dropped ones with the reason.
    """
    given = list(tiles)
    groups: dict[int, list[int]] = defaultdict(list)
    for i, date in enumerate(tile_dates(given).tolist()):
        groups[date].append(i)
    dropped: dict[int, DroppedTile] = {}
    for members in groups.values():
        kept: list[int] = []
        for i in sorted(members, key=lambda i: (given[i].id, -i), reverse=True):
            rival = next((k for k in kept if _agree(given[i], given[k], min_shared)), None)
            if rival is None:
                kept.append(i)
            else:
                dropped[i] = DroppedTile(given[i], given[rival].id, _reason(given[i], given[rival]))
    for item in dropped.values():
        log.info("dropped tile %s: %s", item.tile.id, item.reason)
    return [t for i, t in enumerate(given) if i not in dropped], [
        dropped[i] for i in sorted(dropped)
    ]


def _agree(a: Tile, b: Tile, min_shared: float) -> bool:
    # A ratio of areas on nearly the same ground: degrees² do as well as m².
    shared = a.footprint.intersection(b.footprint).area
    return shared >= min_shared * max(a.footprint.area, b.footprint.area)


def _reason(tile: Tile, kept: Tile) -> str:
    when = f"{tile.acquired:%Y-%m-%dT%H:%M:%SZ}"
    if tile.id == kept.id:
        return f"listed twice under one id ({when})"
    return f"same acquisition ({when}, {tile.group or 'no group'}) delivered again as {kept.id}"
