"""Write an acquisition as a product folder in the layout of a genuine EnMAP L2A delivery."""

import os
import shutil
from pathlib import Path

import numpy as np

from workbench.geo.grid import PixelGrid
from workbench.geo.raster import write_raster
from workbench.sensors import sensor
from workbench.synthetic.acquisition import Acquisition
from workbench.synthetic.campaign import Site
from workbench.synthetic.metadata import metadata_xml
from workbench.synthetic.render import NODATA, Rendered, render
from workbench.synthetic.spectra import wavelengths

_QUICKLOOKS = {"QL_VNIR": (847.1, 671.21, 548.06), "QL_SWIR": (2201.0, 1645.3, 1051.3)}


def write_product(
    folder: Path,
    acquisition: Acquisition,
    site: Site,
    *,
    tiles: int = 1,
    compress: str | None = "deflate",
) -> Path:
    """Write one product folder, whole or not at all; its faults are part of it.

    Args:
        folder: Where product folders lie.
        acquisition: What to deliver.
        site: The ground it shows.
        tiles: Number of tiles of its datatake, for the metadata.
        compress: Compression of the GeoTIFFs: None, "deflate", "zstd", "lzw".

    Returns:
        The product folder; one that exists is left as it is.

    Raises:
        TileError: If a file cannot be written.
    """
    product = folder / acquisition.id
    if product.exists():
        return product
    unfinished = folder / f".{acquisition.id}.tmp"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    rendered = render(acquisition, site)
    _write_rasters(unfinished, acquisition, rendered, compress)
    sizes = {p.name: p.stat().st_size for p in sorted(unfinished.iterdir())}
    if acquisition.fault != "no metadata":
        xml = metadata_xml(acquisition, rendered, sizes, tiles)
        (unfinished / f"{acquisition.id}-METADATA.XML").write_bytes(xml)
    if acquisition.fault == "truncated":
        image = unfinished / f"{acquisition.id}-SPECTRAL_IMAGE.TIF"
        os.truncate(image, sizes[image.name] * 6 // 10)
    os.replace(unfinished, product)
    return product


def _write_rasters(
    folder: Path, acquisition: Acquisition, rendered: Rendered, compress: str | None
) -> None:
    """Spectral image, quality layers, pixel mask and quicklooks."""
    grid = delivered_grid(acquisition)
    cube = rendered.cube
    names = [f"{b.name} {b.wavelength_nm:g} nm, simulated" for b in sensor("enmap").bands]

    def write(name: str, array: np.ndarray, **more: object) -> None:
        path = folder / f"{acquisition.id}-{name}.TIF"
        write_raster(path, array, grid, compress=compress, tiled=False, **more)  # type: ignore[arg-type]

    write("SPECTRAL_IMAGE", cube, nodata=NODATA, band_names=names)
    write("QL_PIXELMASK", rendered.defective)
    for name, layer in rendered.layers.items():
        write(f"QL_{name}", layer)
    for name, channels in _QUICKLOOKS.items():
        bands = [int(np.argmin(np.abs(wavelengths() - nm))) for nm in channels]
        write(name, cube[bands], nodata=NODATA)


def delivered_grid(acquisition: Acquisition) -> PixelGrid:
    """Give the grid as the rasters' headers state it: the neighbouring zone for a wrong CRS tag."""
    grid = acquisition.grid
    if acquisition.fault != "wrong crs":
        return grid
    code = int(grid.crs.removeprefix("EPSG:"))
    return PixelGrid(f"EPSG:{code + 1}", grid.transform, grid.shape)
