"""The two small real scenes of the catalog: Indian Pines, and Landsat-7 over North Carolina."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from workbench.catalog import Entry
from workbench.errors import TileError
from workbench.geo.raster import open_raster, raster_info
from workbench.legends import INDIAN_PINES_16, NC_STRATA_7, Legend
from workbench.readers.images import Image, named_image
from workbench.sensors import InputContract, sensor

if TYPE_CHECKING:
    import xarray as xr

_LANDSAT_BANDS = {"10": "B1", "20": "B2", "30": "B3", "40": "B4", "50": "B5", "70": "B7"}
_LANDSAT_NODATA = -99_999.0
_LANDSAT_GSD = 28.5
_STRATA_CRS, _BAND_CRS = "EPSG:3358", "EPSG:32119"


class LabelledScene(NamedTuple):
    """A small scene with one label per pixel."""

    image: Image
    """Data (band, y, x) and contract."""
    labels: NDArray[np.uint8]
    """(H, W) class indices of the legend; its `ignore_index` where there is no label."""
    legend: Legend
    """The classes."""


def indian_pines(entry: Entry) -> LabelledScene:
    """Read the AVIRIS scene of catalog entry "indian_pines": 145 × 145 pixels, 200 bands.

    The scene has no georeference, so that its data have no coordinates but the band's.

    Raises:
        TileError: If the arrays have other shapes.
        CatalogError: If the files cannot be had.
    """
    import xarray as xr

    cube = _load(entry.file("*_corrected.npy"))
    labels = _load(entry.file("*_gt.npy"))
    contract = sensor("aviris").contract()
    expected = (*labels.shape, len(contract.band_names))
    if cube.shape != expected:
        raise TileError(
            f"Indian Pines must have {expected} numbers (height, width, bands), but {entry.name} "
            f"has {cube.shape}."
        )
    data = xr.DataArray(np.moveaxis(cube, -1, 0), dims=("band", "y", "x"))
    classes = INDIAN_PINES_16.encode(labels, thing=entry.name)
    return LabelledScene(named_image(data, contract), classes, INDIAN_PINES_16)


def nc_landsat_forest(entry: Entry) -> LabelledScene:
    """Read the Landsat-7 scene of catalog entry "nc_landsat_forest": 6 bands, 28.5 m.

    The strata are tagged EPSG:3358 and the bands EPSG:32119: the same grid in two realisations of
    one datum (NAD83 HARN and NAD83). That pair is accepted; any other difference is refused. Nodata
    are made one (-99999) where the files name two.

    Raises:
        TileError: If a band is missing, or the files do not share their pixels.
        CatalogError: If the files cannot be had.
    """
    import xarray as xr

    paths = {name: entry.file(f"*_{number}.tif") for number, name in _LANDSAT_BANDS.items()}
    infos = {name: raster_info(path) for name, path in paths.items()}
    strata = raster_info(entry.file("strata.tif"))
    first = infos["B1"].grid
    for info in (*infos.values(), strata):
        same_pixels = (info.grid.shape, info.grid.transform) == (first.shape, first.transform)
        if not same_pixels or (info.grid.crs, first.crs) not in _accepted(first.crs):
            raise TileError(
                f"The files of a scene must share their pixels, but {info.path.name} is "
                f"{info.grid} and {infos['B1'].path.name} {first}."
            )
    bands = [_one_nodata(open_raster(paths[n])[0], infos[n].nodata) for n in paths]
    data = xr.concat(bands, dim="band", coords="minimal", compat="override")
    data.rio.write_nodata(_LANDSAT_NODATA, inplace=True)
    values = sensor("landsat7").contract(list(paths)).to_dict()
    contract = InputContract.from_dict({**values, "nodata": _LANDSAT_NODATA, "gsd_m": _LANDSAT_GSD})
    labels = _strata(open_raster(strata.path)[0].values, strata.nodata, entry.name)
    return LabelledScene(named_image(data, contract), labels, NC_STRATA_7)


def _load(path: Path) -> NDArray[np.generic]:
    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise TileError(f"{path} must be a plain NumPy array, but is not: {error}.") from error


def _accepted(crs: str) -> set[tuple[str, str]]:
    return {(crs, crs), (_STRATA_CRS, _BAND_CRS)}


def _one_nodata(band: "xr.DataArray", nodata: float | None) -> "xr.DataArray":
    """float32 with the scene's one nodata."""
    values = band.astype("float32")
    return values if nodata is None else values.where(band != nodata, _LANDSAT_NODATA)


def _strata(values: NDArray[np.generic], nodata: float | None, name: str) -> NDArray[np.uint8]:
    """Class indices; the file's nodata is unlabelled."""
    missing = np.zeros(values.shape, dtype=bool) if nodata is None else values == nodata
    codes = np.where(missing, NC_STRATA_7.classes[0].codes[0], values).astype(np.int64)
    classes = NC_STRATA_7.encode(codes, thing=name)
    return np.where(missing, NC_STRATA_7.ignore_index, classes).astype(np.uint8)
