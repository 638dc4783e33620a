"""Patches as pictures: three bands as red, green and blue, in one stretch that is stated."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.errors import EvaluationError
from workbench.extraction.store import QUALITY_BITS
from workbench.sensors import InputContract

TRUE_COLOUR, FALSE_COLOUR = (660.0, 560.0, 480.0), (865.0, 1610.0, 660.0)
"""Wavelengths in nm shown as red, green and blue: as the eye sees it; and with the infrared, in
which living plants are red to yellow, bare soil is green to cyan, and water is black."""
GAMMA = 0.7
"""Exponent of the shown brightness, below 1 so that dark woods keep their structure."""
UNUSABLE = sum(bit for kind, bit in QUALITY_BITS.items() if kind != "water")
"""Bits of `QUALITY_BITS` that keep a pixel from being clear."""

Image = NDArray[np.float32]


def band_near(contract: InputContract, wavelength_nm: float) -> int:
    """Give the place of the band whose centre is nearest to a wavelength.

    Raises:
        ValueError: If the contract knows no wavelengths.
    """
    centres = np.array([np.nan if w is None else w for w in contract.wavelengths_nm])
    if np.isnan(centres).all():
        raise ValueError("A picture needs bands with wavelengths, but the contract names none.")
    return int(np.nanargmin(np.abs(centres - wavelength_nm)))


def composite(
    pixels: NDArray[Any], contract: InputContract, wavelengths_nm: Sequence[float]
) -> Image:
    """Take three bands of a patch as values.

    Args:
        pixels: (C, H, W) stored numbers.
        contract: How to read them.
        wavelengths_nm: Of red, green and blue, nm.

    Returns:
        (H, W, 3) in the contract's units; NaN where there is no measurement.
    """
    index = [band_near(contract, nm) for nm in wavelengths_nm]
    return np.moveaxis(contract.physical(pixels[index]), 0, -1)


def stretch_limits(images: Sequence[Image], clear: Sequence[NDArray[np.bool_]]) -> NDArray[Any]:
    """Find one stretch for all images: the 2nd and 98th percentile of their clear pixels.

    Args:
        images: (H, W, 3) each.
        clear: (H, W) each, where pixels count; if none does, all do.

    Returns:
        (2, 3): lowest and highest value of each channel.
    """
    known = [i[c] for i, c in zip(images, clear, strict=True)]
    values = np.concatenate([*known, np.empty((0, 3), np.float32)])
    if not np.isfinite(values).all(axis=1).any():
        values = np.concatenate([i.reshape(-1, 3) for i in images])
    values = values[np.isfinite(values).all(axis=1)]
    if not len(values):
        return np.array([[0.0] * 3, [1.0] * 3])
    low, high = np.percentile(values, (2, 98), axis=0)
    return np.stack([low, np.maximum(high, low + 1e-3)])


def stretched(image: Image, limits: NDArray[Any]) -> Image:
    """Bring values into [0, 1] for display; pixels without a measurement become grey."""
    scaled = np.clip((image - limits[0]) / (limits[1] - limits[0]), 0, 1) ** GAMMA
    return np.where(np.isfinite(image).all(axis=-1, keepdims=True), scaled, 0.72).astype(np.float32)


def stretch_told(
    name: str,
    limits: NDArray[Any],
    contract: InputContract,
    wavelengths_nm: Sequence[float],
    over: str,
) -> str:
    """Say in a line how a picture was made: bands, limits, and what they were taken over."""
    bands = [contract.wavelengths_nm[band_near(contract, nm)] for nm in wavelengths_nm]
    shown = "/".join(f"{nm:.0f}" for nm in bands if nm is not None)
    ranges = ", ".join(f"{low:.3f}–{high:.3f}" for low, high in limits.T)
    return (
        f"{name} {shown} nm; {contract.units} {ranges} (2nd–98th percentile, {over}), gamma {GAMMA}"
    )


def shown_pictures(files: Mapping[str, Path]) -> dict[str, NDArray[np.uint8]]:
    """Read pictures as they can be shown: eight bits, three channels.

    What has more than eight bits a pixel (a band as a 16-bit PNG or TIFF) is brought into one
    stretch that all of them share, from the 2nd to the 98th percentile; other pictures stay as
    they are. One band is grey.

    Args:
        files: PNG, TIFF or JPEG of each patch by its id.

    Returns:
        (H, W, 3) each, by id.

    Raises:
        EvaluationError: If one cannot be read as a picture.
    """
    from PIL import Image, UnidentifiedImageError

    ready, deep = {}, {}
    for name, file in files.items():
        try:
            with Image.open(file) as image:
                if image.mode[0] in "IF":  # whole numbers of 16 or 32 bits, or floats
                    deep[name] = np.asarray(image, dtype=np.float32)
                else:
                    ready[name] = np.asarray(image.convert("RGB"))
        except (OSError, UnidentifiedImageError) as error:
            raise EvaluationError(f"{file} cannot be read as a picture: {error}.") from error
    if deep:
        bands = [np.repeat(values[..., None], 3, axis=2) for values in deep.values()]
        limits = stretch_limits(bands, [np.isfinite(values) for values in deep.values()])
        for name, band in zip(deep, bands, strict=True):
            ready[name] = np.rint(stretched(band, limits) * 255).astype(np.uint8)
    return {name: ready[name] for name in files}
