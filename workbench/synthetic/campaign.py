"""The plan of a simulated campaign: which sites, which acquisitions, and what is wrong with them.

Three sites, each one component of the overlap graph: "saale" lies on the border of UTM zones 32
and 33, "uckermark" in zone 33, "wabash" in Indiana (zone 16), where the American label maps belong.
Pixels lie as those of EnMAP and Landsat do, with their centres on multiples of 30 m.

Asked for (`world=True`), four more sites hold what is odd about real grids: "bergen" (zone 32V, in
zone 31 by longitude), "maipo" south of the equator with negative northings as Landsat has them,
"harz" in two realisations of one zone (WGS 84 and ETRS89), and "meeting", the place where zones 31,
32 and 33 meet.
"""

import math
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from workbench.errors import WorkbenchError
from workbench.geo.footprint import transformer
from workbench.geo.grid import PixelGrid
from workbench.geo.zones import utm_crs
from workbench.synthetic import landscape as land
from workbench.synthetic.acquisition import GSD, Acquisition
from workbench.synthetic.landscape import Disturbance, Landscape
from workbench.synthetic.noise import rng

SCALES: dict[str, tuple[int, int]] = {
    "test": (64, 17), "demo": (192, 24), "small": (384, 36), "full": (1200, 72),
}  # fmt: skip
"""Side of a tile in pixels and number of product folders, by scale."""

NASTY_TILES = 17
"""Product folders that the list of nasty details needs."""

_SITES = {"saale": (12.0, 51.3, 32), "uckermark": (13.8, 53.3, 33), "wabash": (-86.95, 40.45, 16)}
_WORLD = {
    "bergen": (5.4, 60.5, "EPSG:32632"),
    "maipo": (-70.9, -33.6, "EPSG:32619"),
    "harz": (10.6, 51.8, "EPSG:32632"),
    "meeting": (9.0, 72.0, "EPSG:32632"),
}
_FELLED = "2023-03-01"
_OFFSET = GSD / 2  # of the pixels' edges from multiples of 30 m


@dataclass(frozen=True)
class Site:
    """One place on the ground."""

    landscape: Landscape
    """What covers it."""
    middle: tuple[float, float]
    """Where the acquisitions aim, metres in the landscape's CRS."""
    disturbance: Disturbance | None = None
    """What is felled there, if anything."""

    @property
    def name(self) -> str:
        """Name of the site."""
        return self.landscape.name

    @property
    def is_american(self) -> bool:
        """Whether CDL and NLCD describe it rather than CORINE."""
        return self.name == "wabash"

    @property
    def has_labels(self) -> bool:
        """Whether label maps are made for it."""
        return self.name in _SITES


@dataclass
class Campaign:
    """The whole plan: sites and acquisitions, in the order of delivery."""

    seed: int
    tile_size: int
    n_tiles: int
    nasty: bool
    world: bool = False
    sites: dict[str, Site] = field(default_factory=dict)
    acquisitions: list[Acquisition] = field(default_factory=list)


def plan_campaign(
    *,
    tile_size: int = 192,
    n_tiles: int = 24,
    seed: int = 0,
    nasty: bool = True,
    world: bool = False,
) -> Campaign:
    """Plan a campaign without making any pixel.

    Args:
        tile_size: Side of a product's raster in pixels, >= 32.
        n_tiles: Number of product folders, re-deliveries and broken ones included; >= 17 if
            `nasty`, else >= 1.
        seed: Seed of every draw.
        nasty: Whether the campaign has the nasty details; without them, every product is whole
            and cloudless.
        world: Whether `n_tiles` products are followed by ten more at the four sites with odd grids.

    Raises:
        WorkbenchError: If a size is too small.

    Example:
        >>> plan = plan_campaign()
        >>> len(plan.acquisitions), sorted({a.grid.crs for a in plan.acquisitions})
        (24, ['EPSG:32616', 'EPSG:32632', 'EPSG:32633'])
    """
    least = NASTY_TILES if nasty else 1
    if n_tiles < least or tile_size < 32:
        raise WorkbenchError(
            f"A campaign needs at least {least} tiles of 32 pixels, got {n_tiles} of {tile_size}.\n"
            "Ask for more, or leave the nasty details out with `nasty=False`."
        )
    plan = Campaign(seed, tile_size, n_tiles, nasty, world)
    for name, (lon, lat, zone) in _SITES.items():
        plan.sites[name] = _site(name, f"EPSG:{32600 + zone}", lon, lat, seed, tile_size)
    if nasty:
        _add_nasty(plan)
    turn = ("saale", "wabash", "uckermark")
    for k in range(n_tiles - len(plan.acquisitions)):
        cloud = (0.0, 0.2, 0.0, 0.5)[k % 4] if nasty else 0.0
        haze = 0.3 if nasty and k % 4 == 3 else 0.0
        day = date(2023, 9, 14) + timedelta(days=23 * k)
        j = k // len(turn)
        eastern = turn[k % 3] == "saale" and j % 2 == 1
        _add(plan, turn[k % 3], str(day), frame=j // 6, eastern=eastern, cloud=cloud, haze=haze)
    if world:
        _add_world(plan)
    return plan


def _add_world(plan: Campaign) -> None:
    """Sites whose grids are odd, two dates each or more; all products are whole and cloudless."""
    for name, (lon, lat, crs) in _WORLD.items():
        plan.sites[name] = _site(name, crs, lon, lat, plan.seed, plan.tile_size)
    for site in ("bergen", "maipo"):
        crs = plan.sites[site].landscape.crs
        _add(plan, site, "2022-06-18", crs=crs)
        _add(plan, site, "2023-07-02", crs=crs)
    for day, crs in (("2022-06-18", "EPSG:32632"), ("2023-07-02", "EPSG:25832")):
        _add(plan, "harz", day, crs=crs)
    # One tile on each side of the corner in which the zones meet, all overlapping in the middle.
    corner = {32: (0, -1), 31: (-1, 1), 33: (1, 1)}
    for day, zone in (
        ("2022-06-18", 32),
        ("2022-07-11", 31),
        ("2023-07-02", 33),
        ("2023-08-02", 32),
    ):
        _add(plan, "meeting", day, crs=f"EPSG:326{zone}", aim=corner[zone])


def _site(name: str, crs: str, lon: float, lat: float, seed: int, tile_size: int) -> Site:
    """Aim at the most varied ground near the given place."""
    x, y = transformer("EPSG:4326", crs).transform(lon, lat)
    origin = round(x / GSD) * GSD, round(y / GSD) * GSD
    if name == "meeting":  # the corner of the zones matters, not what grows there
        return Site(Landscape(name, crs, origin, seed), origin)
    ground = Landscape(name, crs, origin, seed)
    reach = tile_size * GSD * 0.35
    offsets = np.linspace(-reach, reach, 41)
    shifts = [1500.0 * k for k in range(-6, 7)]
    covers = [
        ground.cover(*np.meshgrid(origin[0] + offsets, origin[1] + s + offsets)) for s in shifts
    ]
    best = int(np.argmax([_variety(c) for c in covers]))
    middle = origin[0], origin[1] + shifts[best]
    if name != "wabash":
        return Site(ground, middle)
    woods = np.isin(covers[best], (land.BROADLEAF, land.CONIFER)).astype(float)
    dense = uniform_filter(woods, size=9)
    dense[[*range(8), *range(33, 41)], :] = dense[:, [*range(8), *range(33, 41)]] = -1
    row, col = np.unravel_index(int(np.argmax(dense)), dense.shape)
    where = middle[0] + float(offsets[col]), middle[1] + float(offsets[row])
    return Site(ground, middle, Disturbance(*where, radius=0.3 * reach, day=_FELLED))


def _variety(cover: NDArray[np.uint8]) -> float:
    share = np.bincount(cover.ravel(), minlength=len(land.COVER_NAMES)) / cover.size
    woods, wet = share[land.BROADLEAF] + share[land.CONIFER], share[land.RIVER] + share[land.LAKE]
    return float(-abs(woods - 0.38) + 4 * min(wet, 0.05) + 2 * min(share[land.URBAN], 0.05))


def _add_nasty(plan: Campaign) -> None:
    """The nasty details, each in one product that the truth names."""
    _add(plan, "saale", "2022-06-18")
    _add(plan, "saale", "2022-08-07", shift=0.5)
    _add(plan, "saale", "2023-05-27", cloud=0.35)
    _add(plan, "saale", "2022-09-04", eastern=True)
    _add(plan, "saale", "2023-07-02", fault="wrong crs")
    first = _add(plan, "uckermark", "2022-07-12", bad_bands=(131, 132, 133, 134, 135))
    _add(plan, "uckermark", "2022-07-12", frame=1, of=first, bad_bands=(75, 76))
    kept = _add(plan, "uckermark", "2023-04-21", haze=0.5)
    _redeliver(plan, kept, "older version", version="010303")
    kept = _add(plan, "uckermark", "2023-01-16", snow=0.3)
    _redeliver(plan, kept, "processed earlier", version=kept.version)
    _add(plan, "uckermark", "2023-06-09", fault="truncated")
    _add(plan, "uckermark", "2023-08-25", fault="no metadata")
    first = _add(plan, "wabash", "2022-05-30", touching=1)
    _add(plan, "wabash", "2022-05-30", frame=1, of=first, touching=-1)
    _add(plan, "wabash", "2022-09-19", defective_columns=2)
    _add(plan, "wabash", "2023-07-21", cirrus=0.3, cloud=0.12)


def _add(
    plan: Campaign,
    site: str,
    day: str,
    *,
    frame: int = 0,
    eastern: bool = False,
    shift: float = 0.0,
    touching: int = 0,
    of: Acquisition | None = None,
    crs: str | None = None,
    aim: tuple[int, int] = (0, 0),
    **details: object,
) -> Acquisition:
    """Place one acquisition near the middle of its site and add it to the plan.

    `frame` counts southwards along the track; `of` is the first tile of the same datatake;
    `touching` puts an upright footprint that fills its raster just north (1) or south (-1); `crs`
    is that of its pixels, if not the zone of its middle; `aim` points it east and north of the
    site.
    """
    number = len(plan.acquisitions) + 1
    draw = rng(plan.seed, "place", number)
    turn = of.rotation if of else float(np.round(draw.uniform(5, 20), 2))
    if touching:
        turn, side = 0.0, plan.tile_size
    else:
        spread = math.cos(math.radians(turn)) + math.sin(math.radians(turn))
        side = math.floor((plan.tile_size - 1) / spread)
    east, north = draw.uniform(-0.06, 0.06, 2) * side
    if touching:
        east, north = 0.0, touching * plan.tile_size / 2
    elif site == "saale":
        east += (0.22 if eastern else -0.22) * side
    east, north = east + 0.2 * aim[0] * side, north + 0.2 * aim[1] * side
    north -= 0 if touching else frame * 0.72 * side
    start = of.start + timedelta(seconds=5) if of else _overpass(site, day, draw)
    acquisition = Acquisition(
        site=site,
        datatake=of.datatake if of else f"99{number:08d}",
        tile=1 + frame,
        start=start,
        grid=_grid(plan, site, east * GSD, north * GSD, shift * GSD, crs),
        rotation=turn,
        side=side,
        processed=start + timedelta(days=400, hours=3, minutes=11),
        **details,  # type: ignore[arg-type]
    )
    plan.acquisitions.append(acquisition)
    return acquisition


def _overpass(site: str, day: str, draw: np.random.Generator) -> datetime:
    """About eleven o'clock local time."""
    clock = "16:30:00" if site == "wabash" else "10:20:00"
    start = datetime.fromisoformat(f"{day}T{clock}+00:00")
    return start + timedelta(seconds=int(draw.integers(-600, 600)))


def _grid(
    plan: Campaign, site: str, east: float, north: float, shift: float, pixels: str | None
) -> PixelGrid:
    """Pixels around the place in a CRS, or the zone of their middle, 15 m off multiples of 30 m."""
    place = plan.sites[site]
    x, y = place.middle[0] + east, place.middle[1] + north
    crs = place.landscape.crs
    lon, lat = transformer(crs, "EPSG:4326").transform(x, y)
    zone = utm_crs(lon, lat) if pixels is None else pixels
    x, y = transformer(crs, zone).transform(x, y) if zone != crs else (x, y)
    half = plan.tile_size * GSD / 2
    xmin, ymax = (round(v / GSD) * GSD for v in (x - half, y + half))
    size = (plan.tile_size, plan.tile_size)
    return PixelGrid(zone, (GSD, 0, xmin + _OFFSET + shift, 0, -GSD, ymax + _OFFSET - shift), size)


def _redeliver(plan: Campaign, kept: Acquisition, why: str, *, version: str) -> None:
    """Deliver what is to be kept once more, as it was processed before: a little too dark."""
    earlier = kept.processed - timedelta(days=300)
    old = replace(kept, version=version, processed=earlier, gain=0.97, replaced_by=(why, kept.id))
    plan.acquisitions.append(old)
