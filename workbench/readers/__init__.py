"""What data look like on disk → tiles; one file per kind of product.

The parts of the package are named here but imported only when used, so that reading one product
does not load what another needs.
"""

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

from workbench.catalog import Entry
from workbench.errors import CatalogError
from workbench.geo.tile import Tile

if TYPE_CHECKING:
    import geopandas as gpd

__all__ = ["has_tiles", "read_land_outline", "read_tiles"]

_READERS = {  # layout: module and function
    "bigearthnet_scenes": ("bigearthnet_scenes", "read_bigearthnet_scenes"),
    "footprints": ("footprints", "read_footprints"),
    "wrs2_grid": ("footprints", "read_wrs2_grid"),
    "enmap_l2a": ("enmap", "read_enmap_l2a"),
    "stac_enmap": ("stac", "read_stac_enmap"),
    "ssl4eo_s12": ("ssl4eo", "read_ssl4eo_s12"),
    "ssl4eo_s12_v1_1": ("ssl4eo_zarr", "read_ssl4eo_s12_v1_1"),
    "ssl4eo_eu_forest": ("ssl4eo", "read_ssl4eo_eu_forest"),
    "hyspecnet_11k": ("hyspecnet", "read_hyspecnet_11k"),
}


def has_tiles(entry: Entry) -> bool:
    """Whether `read_tiles` knows the entry's layout."""
    return entry.layout in _READERS


def read_tiles(entry: Entry) -> list[Tile]:
    """Read the tiles of a catalog entry; a package is fetched if it is not there yet.

    Args:
        entry: Entry of a layout that has tiles: bigearthnet_scenes, footprints, wrs2_grid,
            enmap_l2a, stac_enmap, ssl4eo_s12, ssl4eo_s12_v1_1, ssl4eo_eu_forest, hyspecnet_11k.

    Returns:
        Tiles with distinct ids, in an order that depends on the data only.

    Raises:
        CatalogError: If the entry's files cannot be had, or its layout has no tiles to read.
        CRSMismatchError: If footprints have no CRS.
        TileError: If the files do not hold what the layout promises.
    """
    if not has_tiles(entry):
        cure = f"Tiles are read from: {', '.join(_READERS)}."
        if entry.source.type == "simulated":
            cure = f"Make them with `workbench tiles {entry.name}`, or with `workbench.synthetic`."
        raise CatalogError(
            f"Entry {entry.name!r} has the layout {entry.layout!r}, which has no reader of tiles.\n"
            f"{cure}"
        )
    module, function = _READERS[entry.layout]
    reader: Callable[[Entry], list[Tile]]
    reader = getattr(import_module(f"workbench.readers.{module}"), function)
    return reader(entry)


def read_land_outline(entry: Entry) -> "gpd.GeoDataFrame":
    """Read the land polygons that lie under every offline map; see `workbench.readers.footprints`.

    Args:
        entry: Entry of layout "land_outline".

    Returns:
        One row per country: `name` and geometry in EPSG:4326, split at the antimeridian.

    Raises:
        CatalogError: If the file cannot be had.
    """
    from workbench.readers import footprints

    return footprints.read_land_outline(entry)
