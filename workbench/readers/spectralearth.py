"""SpectralEarth: one folder per location, one GeoTIFF of 202 bands per acquisition.

    <root>/enmap/0287155/07676.tif                     pretraining
    <root>/enmap_<task>/enmap/0287155/07676.tif        images of a downstream task
    <root>/enmap_<task>/<task>/0287155/07676.tif       its label maps
    train.txt · val.txt · test.txt                     lines "0287155/07676.tif"

The archive gives no acquisition times: its patches have a source tile, but no date, and so they
can be listed and read, but not planned over as tiles.
"""

import re
from pathlib import Path

from workbench.errors import TileError
from workbench.geo.raster import open_raster
from workbench.readers.images import (
    Image,
    PatchFile,
    in_any_case,
    is_clutter,
    listed_names,
    named_image,
)
from workbench.sensors import sensor

SPLITS = ("train", "val", "test")
_PATCH = re.compile(r"(\d{7})/(\d{5})\.tif", re.IGNORECASE)


def spectralearth_patches(root: str | Path) -> list[PatchFile]:
    """List the pretraining patches, sorted by location and source tile.

    Raises:
        TileError: If there are none.
    """
    folder = Path(root) / "enmap"
    found = [_patch(folder, file.relative_to(folder).as_posix()) for file in _tifs(folder)]
    patches = sorted((p for p in found if p is not None), key=lambda p: (p.location, p.view))
    return _required(patches, f"{folder}/<location, 7 digits>/<tile, 5 digits>.tif")


def spectralearth_task(
    root: str | Path, task: str, *, splits: str | Path | None = None
) -> list[PatchFile]:
    """List the images of a downstream task with their label maps, in the order of the split files.

    Args:
        root: Folder that holds `enmap_<task>`.
        task: "corine", "cdl", "nlcd" ….
        splits: Folder of `train.txt`, `val.txt`, `test.txt`; the task's own folder if None.

    Raises:
        TileError: If a split file, or a file named in it, is missing; or a name has another form.
    """
    folder = Path(root) / f"enmap_{task}"
    found = []
    for split in SPLITS:
        listing = (folder if splits is None else Path(splits)) / f"{split}.txt"
        if not listing.is_file():
            raise TileError(f"A task must have its split files, but {listing} is missing.")
        for line in listed_names(listing):
            patch = _patch(folder / "enmap", line, folder / task, split)
            if patch is None:
                raise TileError(
                    f"A line of a split file must be like 0287155/07676.tif, but {listing} has "
                    f"{line!r}."
                )
            found.append(patch)
    return _required(found, str(folder))


def open_spectralearth(path: str | Path) -> Image:
    """Open a patch lazily, with the contract of the 202 bands sorted by wavelength.

    Raises:
        TileError: If the file is damaged, or has not 202 bands.
    """
    data = open_raster(path)
    kept = sensor("enmap").kept
    if data.sizes["band"] != len(kept):
        raise TileError(
            f"A SpectralEarth patch must have {len(kept)} bands, but {path} has "
            f"{data.sizes['band']}.\nIs it of another sensor, or an EnMAP product?"
        )
    return named_image(data, sensor("enmap").contract())


def _tifs(folder: Path) -> list[Path]:
    return [p for p in folder.glob("*/*") if p.suffix.lower() == ".tif" and not is_clutter(p)]


def _patch(
    images: Path, name: str, labels: Path | None = None, split: str | None = None
) -> PatchFile | None:
    """The patch behind "0287155/07676.tif", or None if the name is another one."""
    found = _PATCH.fullmatch(name)
    if found is None:
        return None
    path = in_any_case(images / name)
    label = None if labels is None else in_any_case(labels / name)
    for file in (path, label):
        if split is not None and file is not None and not file.is_file():
            raise TileError(
                f"Every line of {split}.txt must have its files, but {file} is missing."
            )
    return PatchFile(found[1], found[2], path, label=label, split=split)


def _required(patches: list[PatchFile], where: str) -> list[PatchFile]:
    if not patches:
        raise TileError(f"There must be patches at {where}, but none is there.\nCheck the path.")
    return patches
