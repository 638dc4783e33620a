"""The ground of a plan divided among the pixel grids of its tiles: one grid for each region.

A component of the overlap graph is planned in the reference systems of its tiles. Where all tiles
share one, there is one region, however many UTM zones it reaches into: southern Landsat (northern
codes, negative northings), Norway, ETRS89, a national grid. Where they do not, ground goes to the
CRS whose zone it lies in, then to that of most tiles that see it, so that regions never share
ground. Within a region the pixel grid (size, place of the lines) that most tiles share wins.
Tiles of which only the footprint is known have 30 m pixels on multiples of 30 m in the zone they
show.
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from workbench.errors import CRSMismatchError, TileError, WorkbenchError
from workbench.extraction.frames import MAX_BEND, zone_box, zone_pieces, zones_within
from workbench.extraction.rules import ViewRules
from workbench.geo.footprint import EARTH_RADIUS, transformer
from workbench.geo.grid import PixelGrid, crs_name
from workbench.geo.lines import GridLines, families, most_common, same_size, why_resampled
from workbench.geo.raster import raster_info
from workbench.geo.tile import Tile
from workbench.geo.units import is_geographic, metres_per_unit, short_crs
from workbench.geo.zones import Zone, utm_crs, zone_codes, zone_number

log = logging.getLogger(__name__)

DEFAULT_GSD = 30.0
"""Size of a pixel in metres where no tile says another."""
_STRETCH = 0.1  # a CRS whose scale is further off is not meant for the place

Geometries = NDArray[np.object_]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Division:
    """Which ground is planned on which pixel grid, and the footprints cut along it."""

    component: Ints
    """(N,) component of each tile: tiles that have a point in common, directly or by others."""
    lines: tuple[GridLines, ...]
    """(S,) the grid of each region; a component has one region in each of its CRS."""
    pieces: Geometries
    """(P,) footprints cut at the borders of regions, in EPSG:4326."""
    owner: Ints
    """(P,) which tile a piece belongs to."""
    sheet: Ints
    """(P,) which region it lies in."""
    regions: dict[int, "_Component"]
    """How each component is divided."""
    grids: tuple[PixelGrid | None, ...]
    """(N,) the grid of each tile, where it is known."""
    inset: float
    """How far pieces stay from a border of regions, in metres."""

    def cut(self, ground: BaseGeometry, component: int) -> list[tuple[BaseGeometry, int]]:
        """Cut ground of a component along its regions.

        Returns:
            Pieces with a surface, and the region of each.
        """
        return self.regions[component].cut(ground, self.inset)

    def reason(self, tile: int, sheet: int) -> str:
        """Say why a tile's pixels are not copied in a region; "" if they are, as far as known."""
        grid = self.grids[tile]
        return "" if grid is None else why_resampled(grid, self.lines[sheet])


@dataclass(frozen=True)
class _Component:
    """The regions of one component: zones as they are, or polygons of longitude and latitude."""

    sheets: dict[int, int] | None
    """Region of each zone by its code, where ground is divided by zone; None otherwise."""
    parts: tuple[tuple[int, BaseGeometry], ...] = ()
    """Region and its ground, where tiles decide; the ground of an only region is not looked at."""

    def cut(self, ground: BaseGeometry, inset: float) -> list[tuple[BaseGeometry, int]]:
        if self.sheets is not None:
            pieces, _, zones = zone_pieces(np.array([ground], dtype=object), inset=inset)
            return [(p, self.sheets[z]) for p, z in zip(pieces, zones.tolist(), strict=True)]
        if len(self.parts) == 1:
            return [(ground, self.parts[0][0])]
        near = [(sheet, polygon) for sheet, polygon in self.parts if polygon.intersects(ground)]
        if len(near) == 1:
            return [(ground, near[0][0])]
        wide = {sheet: _widened(polygon, ground, inset) for sheet, polygon in near}
        found = []
        for sheet, _ in near:
            others = shapely.union_all([w for k, w in wide.items() if k != sheet])
            piece = shapely.difference(ground, others)
            if piece.area > 0:
                found.append((piece, sheet))
        return found


def _widened(polygon: BaseGeometry, ground: BaseGeometry, metres: float) -> BaseGeometry:
    """A region near some ground, wider by some metres: what other regions must keep clear of."""
    west, south, east, north = ground.bounds
    lat = min(max(abs(south), abs(north)), 89.0)
    across = np.cos(np.radians(lat))  # the smallest on this ground: no place is widened by less
    pad = 0.01
    part = shapely.clip_by_rect(
        polygon, west - pad / across, south - pad, east + pad / across, north + pad
    )
    scaled = shapely.transform(part, lambda xy: xy * [across, 1.0])
    wide = shapely.buffer(scaled, np.degrees(metres / EARTH_RADIUS), quad_segs=4)
    return shapely.transform(wide, lambda xy: xy / [across, 1.0])


def divide(
    tiles: Sequence[Tile], footprints: Geometries, component: Ints, rules: ViewRules
) -> Division:
    """Divide the ground of all tiles among their pixel grids.

    Args:
        tiles: N tiles.
        footprints: (N,) their outlines.
        component: (N,) which of them hang together.
        rules: With `gsd` set (`planned_gsd`); `crs` and `origin` override what the tiles say.

    Raises:
        TileError: If a tile's pixels are not square, or the CRS asked for cannot show a tile.
        CRSMismatchError: If pixels are in degrees, and resampling was not asked for.
    """
    grids = _usable_grids(tiles, rules)
    claims = _claimed_crs(tiles, footprints, grids, rules)
    lines: list[GridLines] = []
    regions: dict[int, _Component] = {}
    inset = rules.tolerance + MAX_BEND
    zoned = np.ones(len(tiles), dtype=bool)
    members = _members(component)
    for number, group in members.items():
        if any(claims[i] is not None for i in group):
            zoned[group] = False
            regions[number] = _by_tiles(group, tiles, footprints, grids, claims, rules, lines)
    parts = [_by_zones(np.flatnonzero(zoned), footprints, component, rules, lines, regions, inset)]
    for number, group in members.items():
        if not zoned[group[0]]:
            cut = [(p, i, s) for i in group for p, s in regions[number].cut(footprints[i], inset)]
            parts.append(
                (
                    np.array([p for p, _, _ in cut], dtype=object),
                    np.array([i for _, i, _ in cut], dtype=np.int64),
                    np.array([s for _, _, s in cut], dtype=np.int64),
                )
            )
    pieces, owner, sheet = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Division(
        component, tuple(lines), pieces, owner, sheet, regions, tuple(t.grid for t in tiles), inset
    )


def _members(component: Ints) -> dict[int, list[int]]:
    found: dict[int, list[int]] = defaultdict(list)
    for i, number in enumerate(component.tolist()):
        found[number].append(i)
    return found


def _by_zones(
    some: Ints,
    footprints: Geometries,
    component: Ints,
    rules: ViewRules,
    lines: list[GridLines],
    regions: dict[int, _Component],
    inset: float,
) -> tuple[Geometries, Ints, Ints]:
    """Divide the ground of tiles without a grid by the zones it lies in, one region for each."""
    pieces, owner, zone = zone_pieces(footprints[some], inset=inset)
    owner = some[owner]
    keys = np.column_stack([component[owner], zone])
    sheets, sheet = np.unique(keys, axis=0, return_inverse=True)
    for number in np.unique(component[some]).tolist():
        regions[number] = _Component({})
    known: dict[int, GridLines] = {}
    for number, code in sheets.tolist():
        if code not in known:
            known[code] = GridLines(Zone(code).crs, _size(Zone(code).crs, rules), _origin(rules))
        own = regions[number].sheets
        assert own is not None
        own[code] = len(lines)
        lines.append(known[code])
    return pieces, owner, sheet.ravel().astype(np.int64) + len(lines) - len(sheets)


def _by_tiles(
    group: Sequence[int],
    tiles: Sequence[Tile],
    footprints: Geometries,
    grids: Sequence[PixelGrid | None],
    claims: Sequence[str | None],
    rules: ViewRules,
    lines: list[GridLines],
) -> _Component:
    """Divide the ground of a component among the CRS of its tiles.

    Ground in the zone of a CRS goes to it first, of several to that of most tiles; then ground
    that only tiles of other zones see. Tiles that claim nothing come last.
    """
    crs_of = {i: claims[i] or _standing_in(tiles[i]) for i in group}
    claiming = Counter(crs_of[i] for i in group if claims[i] is not None)
    others = Counter(crs_of.values())
    order = sorted(claiming, key=lambda crs: (-claiming[crs], crs))
    order += sorted(others.keys() - claiming.keys(), key=lambda crs: (-others[crs], crs))
    sheet_of = {crs: len(lines) + k for k, crs in enumerate(order)}
    for crs in order:
        _require_shows_or_warn(crs, next(tiles[i] for i in group if crs_of[i] == crs))
        lines.append(_winning_lines(crs, [grids[i] for i in group if crs_of[i] == crs], rules))
    if len(order) == 1:
        return _Component(None, ((sheet_of[order[0]], footprints[group[0]]),))
    ground: dict[str, list[BaseGeometry]] = {crs: [] for crs in order}
    taken: BaseGeometry = shapely.Polygon()
    for claims_it in (True, False):
        seen = {
            crs: shapely.union_all(
                [
                    footprints[i]
                    for i in group
                    if crs_of[i] == crs and (claims[i] is not None) == claims_it
                ]
            )
            for crs in order
        }
        for at_home in (True, False):
            for crs in order:
                whole = _at_home(seen[crs], crs) if at_home else seen[crs]
                mine = shapely.difference(whole, taken)
                if mine.area > 0:
                    ground[crs].append(mine)
                    taken = shapely.union_all([taken, mine])
    united = [(sheet_of[crs], _surfaces(ground[crs])) for crs in order if ground[crs]]
    return _Component(None, tuple(united))


def _surfaces(parts: Sequence[BaseGeometry]) -> BaseGeometry:
    """Unite what has a surface, and prepare it for many questions."""
    pieces = shapely.get_parts(shapely.get_parts(parts))
    whole = shapely.union_all(pieces[shapely.get_type_id(pieces) == 3])
    shapely.prepare(whole)
    return whole


def _at_home(ground: BaseGeometry, crs: str) -> BaseGeometry:
    """The part of some ground that lies in the UTM zone of a CRS, in both hemispheres."""
    number = zone_number(crs)
    if number is None or ground.is_empty:
        return ground
    north, south = zone_box(Zone(32600 + number)), zone_box(Zone(32700 + number))
    return shapely.intersection(ground, shapely.union_all([north, south]))


def _winning_lines(crs: str, grids: Sequence[PixelGrid | None], rules: ViewRules) -> GridLines:
    """The grid that most tiles of one CRS share, of the pixel size of the plan."""
    size = _size(crs, rules)
    if rules.origin is not None:
        return GridLines(crs, size, _origin(rules))
    own = [grid for grid in grids if grid is not None and grid.crs == crs]
    fitting = [grid for grid in own if same_size(grid.gsd_m, rules.known_gsd)]
    if not own:
        return GridLines(crs, size)
    some = fitting or own  # pixels of another size: at least on lines that they have
    number = families(some)
    shared = Counter(GridLines.of(grid) for grid, k in zip(some, number, strict=True) if k == 0)
    best = max(sorted(shared), key=lambda found: shared[found])
    return best if fitting else GridLines(crs, size, best.offset)


def _size(crs: str, rules: ViewRules) -> float:
    """Side of a planned pixel in units of a CRS."""
    return rules.known_gsd / metres_per_unit(crs)


def _origin(rules: ViewRules) -> tuple[float, float]:
    origin = (0.0, 0.0) if rules.origin is None else rules.origin
    return origin if isinstance(origin, tuple) else (origin, origin)


# ------------------------------------------------------------------ what the tiles say


def with_known_grids(tiles: Sequence[Tile]) -> list[Tile]:
    """Read the grid of tiles that name a raster file but no grid off the file's header.

    No pixel is read. What is no readable north-up raster in the tile's CRS stays without.
    """
    found = []
    for tile in tiles:
        if tile.grid is None and tile.path is not None and tile.path.is_file():
            try:
                tile = replace(tile, grid=raster_info(tile.path).grid)
            except WorkbenchError as error:
                log.debug("the grid of tile %s is not known: %s", tile.id, error)
        found.append(tile)
    return found


def planned_gsd(tiles: Sequence[Tile], rules: ViewRules) -> float:
    """Say which pixel size a plan has, in metres: that of most tiles, or the one asked for.

    Raises:
        TileError: If the size asked for is not that of the tiles, or they have none in metres and
            none is asked for; resampling must be asked for.
        CRSMismatchError: If pixels are in degrees, and resampling was not asked for.
    """
    sizes = [grid.gsd_m for grid in _usable_grids(tiles, rules) if grid is not None]
    own = most_common(sizes)
    if rules.gsd is None:
        if own is None and any(tile.grid is not None for tile in tiles):
            raise TileError(
                "A plan that resamples needs the size of its pixels, as no tile has square pixels "
                "in metres.\nState it: `ViewRules(gsd=30, resample=True)`."
            )
        return DEFAULT_GSD if own is None else own
    if own is None or same_size(own, rules.gsd):
        return rules.gsd if own is None else own
    if not rules.resample:
        count = sum(same_size(own, size) for size in sizes)
        raise TileError(
            f"A plan must have the pixel size of its tiles, but {rules.gsd:g} m is asked for and "
            f"{count:,} of {len(sizes):,} tiles have pixels of {own:.6g} m.\n"
            "Leave `gsd` out to take theirs, or ask for resampling: "
            f"`ViewRules(gsd={rules.gsd:g}, resample=True)`."
        )
    return rules.gsd


def _usable_grids(tiles: Sequence[Tile], rules: ViewRules) -> list[PixelGrid | None]:
    """The grids that squares can be planned on; None where a tile's is unknown or to be resampled.

    Raises:
        TileError, CRSMismatchError: If one cannot be planned on, and resampling is not asked for.
    """
    found: list[PixelGrid | None] = []
    for tile in tiles:
        grid, fault = tile.grid, ""
        if grid is not None and is_geographic(grid.crs):
            fault = f"are in degrees ({short_crs(grid.crs)})"
        elif grid is not None:
            wide, high = grid.resolution_m
            if not same_size(wide, high):
                fault = f"are not square ({wide:g} × {high:g} m)"
        if fault and not rules.resample:
            kind = CRSMismatchError if "degrees" in fault else TileError
            raise kind(
                f"Patches have square pixels in metres, but those of tile {tile.id!r} {fault}.\n"
                "Warp it to a projected CRS first, or ask for resampling with the size of the "
                "pixels: `ViewRules(gsd=30, resample=True)`."
            )
        found.append(None if fault else grid)
    return found


def _claimed_crs(
    tiles: Sequence[Tile],
    footprints: Geometries,
    grids: Sequence[PixelGrid | None],
    rules: ViewRules,
) -> list[str | None]:
    """(N,) the CRS each tile wants its ground planned in; None for those of the zones it shows.

    A tile of which only the footprint is known claims its CRS where that is none of the zones that
    it shows: what was delivered on the north's code in the south, or on another datum.
    """
    if rules.crs is not None:
        for tile in tiles:
            _require_shows(rules.crs, tile)
        return [rules.crs] * len(tiles)
    bounds = shapely.bounds(footprints).reshape(-1, 4)
    code = zone_codes(bounds[:, 0], bounds[:, 1])  # of one corner: most tiles name it
    found: list[str | None] = []
    for i, (tile, grid) in enumerate(zip(tiles, grids, strict=True)):
        claim: str | None = None
        if grid is not None:
            claim = grid.crs
        elif tile.grid is not None:
            claim = None if is_geographic(tile.grid.crs) else tile.grid.crs
        elif tile.crs != f"EPSG:{code[i]}" and not _shows_zone_of(tile):
            claim = crs_name(tile.crs) if _suits(tile.crs, tile) else None
        found.append(claim)
    return found


def _standing_in(tile: Tile) -> str:
    """The CRS for ground that only tiles without a claim see: theirs, or that of its zone."""
    if _suits(tile.crs, tile):
        return crs_name(tile.crs)
    centre = tile.footprint.representative_point()
    return utm_crs(centre.x, centre.y)


def _shows_zone_of(tile: Tile) -> bool:
    """Whether a tile shows ground of the zone whose CRS it names."""
    parts = shapely.bounds(shapely.get_parts(tile.footprint)).reshape(-1, 4)
    codes = {f"EPSG:{code}" for bounds in parts for code in zones_within(bounds)}
    return tile.crs in codes


def _suits(crs: str, tile: Tile) -> bool:
    """Whether a CRS is one for lengths that shows a tile without stretching it by a tenth."""
    try:
        stretch = abs(scale_at(crs_name(crs), tile) - 1)
    except WorkbenchError:
        return False
    return bool(stretch < _STRETCH)


def scale_at(crs: str, tile: Tile) -> float:
    """Measure length on the map over length on the ground in the middle of a tile.

    Infinite where there is no map of it.

    Raises:
        CRSMismatchError: If the CRS counts in degrees.
    """
    centre = tile.footprint.representative_point()
    step = 1e-4
    lat = min(max(centre.y, -89.9), 89.9)
    ground = np.radians(step) * EARTH_RADIUS
    lon_step = step / np.cos(np.radians(lat))
    x, y = transformer("EPSG:4326", crs).transform(
        [centre.x, centre.x + lon_step, centre.x], [lat, lat, lat + step]
    )
    unit = metres_per_unit(crs)
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        return float("inf")
    sides = [np.hypot(x[k] - x[0], y[k] - y[0]) * unit / ground for k in (1, 2)]
    return float(max(sides, key=lambda side: abs(side - 1)))


def _require_shows(crs: str, tile: Tile) -> None:
    scale = scale_at(crs, tile)
    if not 0.8 < scale < 1.25:
        raise TileError(
            f"The plan's CRS must be able to show its tiles, but {short_crs(crs)} is not meant for "
            f"the place of tile {tile.id!r} (scale {scale:.3g}).\n"
            "Name one made for this ground, or leave `crs` out to take those of the tiles."
        )


def _require_shows_or_warn(crs: str, tile: Tile) -> None:
    """Refuse a CRS that has no map of a tile; warn of one on which metres are far from metres."""
    scale = scale_at(crs, tile)
    if not np.isfinite(scale):
        raise TileError(
            f"Tile {tile.id!r}: its footprint must lie where its CRS {short_crs(crs)} is defined, "
            "but cannot be projected to it.\nState the CRS of its pixels, or mend the footprint."
        )
    if abs(scale - 1) > _STRETCH:
        log.warning(
            "a metre in %s is %.2f m on the ground at tile %s: pixel sizes are those of the map",
            short_crs(crs), 1 / scale, tile.id,
        )  # fmt: skip
