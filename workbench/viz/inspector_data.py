"""One patch as the inspector carries it: pictures, class maps and spectra as a few kilobytes.

The three class maps of a patch lie side by side in one palette PNG that keeps class indices, so
that colours, boundaries and differences are made in the reader's browser. Spectra are optional:
a few components of each patch, eight bits each, from which the browser makes spectra and any
composite of bands. Arrays are let go as soon as they are packed.
"""

import io
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.errors import EvaluationError

QUALITY = 90
"""JPEG quality of pictures; at 264 px a patch then takes about 60 KB with its class maps."""
BANDS_KEPT = 12
"""Up to this many bands travel as they are; more are reduced to `COMPONENTS`."""
COMPONENTS = 8
PICTURE = "image"
"""Name of a picture that was given without one."""

Maps = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]
"""Target, A and B of a patch: (H, W) each, class indices, K where the target is ignored."""


@dataclass(frozen=True)
class InspectorPatch:
    """What is known of one patch: its pictures, its target and two predictions."""

    id: str
    """Name of the patch; distinct within a comparison. It may hold any text."""
    image: NDArray[np.uint8] | Mapping[str, NDArray[np.uint8]]
    """(H, W, 3) uint8, ready to be shown; or several of them by the name of the composite. Empty
    if `bands` is given, from which the browser makes any composite."""
    target: NDArray[Any]
    """(H, W) integers: class indices, or `ignore_index`."""
    a: NDArray[Any]
    """(H, W) integers: class indices of the first model's prediction."""
    b: NDArray[Any]
    """(H, W) integers: class indices of the second model's prediction."""
    scores: Mapping[str, float] = field(default_factory=dict)
    """Measures to sort by, by name; NaN where one is not defined."""
    bands: NDArray[Any] | None = None
    """(C, H, W) in physical units, NaN without measurement: the spectra under the cursor."""


@dataclass(frozen=True)
class PackedSpectra:
    """Spectra of a patch as weights of components: value = mean + sum of weight × component."""

    planes: bytes
    """PNG, the K planes of weights below each other: 0 without measurement, else 1-255."""
    low: tuple[float, ...]
    """Weight that 1 stands for, of each plane."""
    step: tuple[float, ...]
    """Weight of one count, of each plane."""
    basis: bytes
    """(K + 1, C) little-endian float32: the mean spectrum, then the components."""
    error: float
    """Root mean square difference from the spectra that were given, in their units."""


@dataclass(frozen=True)
class PackedPatch:
    """A patch as it travels."""

    id: str
    height: int
    width: int
    pictures: Mapping[str, bytes]
    """JPEG (PNG if lossless) of each composite, by name."""
    maps: bytes
    """Palette PNG of (H, 3 W) class indices: target, A, B."""
    spectra: PackedSpectra | None
    scores: Mapping[str, float]
    differing: tuple[int, ...]
    """Classes that A or B gives to pixels on which they differ."""
    largest: int
    """Pixels of the largest connected region on which A and B differ."""

    @property
    def nbytes(self) -> int:
        """Bytes it travels with."""
        spectra = len(self.spectra.planes) + len(self.spectra.basis) if self.spectra else 0
        return sum(map(len, self.pictures.values())) + len(self.maps) + spectra


def pack_patch(
    patch: InspectorPatch, colours: Sequence[str], ignore_index: int, *, lossless: bool = False
) -> PackedPatch:
    """Check a patch and pack it.

    Args:
        patch: The patch.
        colours: "#rrggbb" of each class.
        ignore_index: Value of the target where pixels do not count.
        lossless: Pictures as PNG instead of JPEG.

    Raises:
        EvaluationError: If shapes differ or a value is no class.
    """
    target, a, b = maps = class_maps(patch, len(colours), ignore_index)
    pictures = _pictures(patch, target.shape, lossless=lossless)
    differ = (a != b) & (target < len(colours))
    return PackedPatch(
        id=patch.id,
        height=target.shape[0],
        width=target.shape[1],
        pictures=pictures,
        maps=class_png(np.concatenate(maps, axis=1), colours),
        spectra=None if patch.bands is None else pack_spectra(_bands(patch, target.shape)),
        scores={**difference_scores(target, a, b, len(colours)), **patch.scores},
        differing=tuple(np.unique(np.concatenate([a[differ], b[differ]])).tolist()),
        largest=_largest_region(differ),
    )


def class_maps(patch: InspectorPatch, classes: int, ignore_index: int) -> Maps:
    """Check the three class maps of a patch; ignored pixels of the target become `classes`.

    Raises:
        EvaluationError: If shapes differ or a value is no class.
    """
    target = np.asarray(patch.target)
    if target.ndim != 2 or not target.size:
        raise EvaluationError(
            f"A target is one map of (H, W) pixels, but that of patch {patch.id!r} is "
            f"{target.shape}."
        )
    shown = []
    for name, values in (("target", target), ("A", patch.a), ("B", patch.b)):
        values = np.asarray(values)
        if values.shape != target.shape:
            raise EvaluationError(
                f"Predictions have the shape of their target, but in patch {patch.id!r} {name} "
                f"is {values.shape} and the target {target.shape}."
            )
        if not np.issubdtype(values.dtype, np.integer):
            raise EvaluationError(
                f"Class maps hold whole numbers, but {name} of patch {patch.id!r} is "
                f"{values.dtype}.\nPass the argmax of the logits."
            )
        is_class = (values >= 0) & (values < classes)
        ignored = values == ignore_index if name == "target" else np.zeros_like(is_class)
        if wrong := np.unique(values[~is_class & ~ignored]).tolist():
            raise EvaluationError(
                f"Every value of {name} must be a class 0–{classes - 1}, but patch {patch.id!r} "
                f"has {', '.join(map(str, wrong[:5]))}.\nPixels without a label take "
                f"`ignore_index` ({ignore_index}) in the target; predictions have no such pixels."
            )
        shown.append(np.where(ignored, classes, values).astype(np.uint8))
    return shown[0], shown[1], shown[2]


def difference_scores(
    target: NDArray[np.uint8], a: NDArray[np.uint8], b: NDArray[np.uint8], classes: int
) -> dict[str, float]:
    """Measures every comparison has, over the labelled pixels; NaN without one.

    Returns:
        "disagreement": share on which A and B differ, in [0, 1]; "A right, B wrong" and
        "B right, A wrong": shares, in [0, 1].
    """
    known = target < classes
    n = int(known.sum())
    counts = {
        "disagreement": a != b,
        "A right, B wrong": (a == target) & (b != target),
        "B right, A wrong": (b == target) & (a != target),
    }
    return {k: float((v & known).sum() / n) if n else float("nan") for k, v in counts.items()}


def class_png(ids: NDArray[np.uint8], colours: Sequence[str]) -> bytes:
    """Write class indices as a palette PNG; one past the last class is grey.

    Args:
        ids: (H, W) uint8, values in [0, len(colours)].
        colours: "#rrggbb" of each class.
    """
    palette = b"".join(bytes.fromhex(colour.removeprefix("#")) for colour in colours)
    return _png(ids, 0, (b"PLTE", palette + b"\x9a\x9a\x9a"))


def pack_spectra(bands: NDArray[np.float32]) -> PackedSpectra:
    """Reduce the spectra of a patch to a few planes of eight bits.

    Args:
        bands: (C, H, W) in physical units; a pixel with a NaN is without measurement.
    """
    count, height, width = bands.shape
    spectra = bands.reshape(count, -1).astype(np.float64)
    known = np.isfinite(spectra).all(axis=0)
    inside = spectra[:, known] if known.any() else np.zeros((count, 1))
    mean = inside.mean(axis=1, keepdims=True)
    if count <= BANDS_KEPT:
        basis = np.eye(count)
    else:
        _, vectors = np.linalg.eigh(np.cov(inside - mean, bias=True))
        basis = vectors[:, ::-1][:, :COMPONENTS].T  # (K, C), the strongest first
    weights = basis @ (inside - mean)
    low, high = weights.min(axis=1), weights.max(axis=1)
    step = np.maximum(high - low, 1e-12) / 254.0
    counts = np.rint((weights - low[:, None]) / step[:, None])
    back = mean + basis.T @ (counts * step[:, None] + low[:, None])
    planes = np.zeros((len(basis), height * width), np.uint8)
    if known.any():
        planes[:, known] = counts + 1
    return PackedSpectra(
        planes=_png(planes.reshape(-1, width), 2),
        low=tuple(low.tolist()),
        step=tuple(step.tolist()),
        basis=np.concatenate([mean.T, basis]).astype("<f4").tobytes(),
        error=float(np.sqrt(np.mean((back - inside) ** 2))),
    )


def _bands(patch: InspectorPatch, shape: tuple[int, ...]) -> NDArray[np.float32]:
    bands = np.asarray(patch.bands, dtype=np.float32)
    if bands.ndim != 3 or bands.shape[1:] != shape:
        raise EvaluationError(
            f"Bands are (C, H, W) on the pixels of the target, but those of patch {patch.id!r} are "
            f"{bands.shape} and the target {shape}."
        )
    return bands


def _pictures(patch: InspectorPatch, shape: tuple[int, ...], *, lossless: bool) -> dict[str, bytes]:
    from PIL import Image

    given = patch.image if isinstance(patch.image, Mapping) else {PICTURE: patch.image}
    if not given and patch.bands is None:
        raise EvaluationError(f"A patch needs a picture or bands; {patch.id!r} has neither.")
    packed = {}
    for name, pixels in given.items():
        pixels = np.asarray(pixels)
        if pixels.shape != (*shape, 3) or pixels.dtype != np.uint8:
            raise EvaluationError(
                f"A picture is (H, W, 3) uint8 on the pixels of the target, but {name!r} of patch "
                f"{patch.id!r} is {pixels.shape} {pixels.dtype} and the target {shape}.\n"
                "Stretch it first, as `workbench.viz.patch_images.stretched` does, or pass `bands`."
            )
        buffer = io.BytesIO()
        if lossless:
            Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
        else:
            Image.fromarray(pixels).save(buffer, "JPEG", quality=QUALITY, optimize=True)
        packed[str(name)] = buffer.getvalue()
    return packed


def _largest_region(differ: NDArray[np.bool_]) -> int:
    from scipy import ndimage

    labels, found = ndimage.label(differ)
    return int(np.bincount(labels.ravel())[1:].max()) if found else 0


def _png(rows: NDArray[np.uint8], up: int, palette: tuple[bytes, bytes] | None = None) -> bytes:
    """Write one byte a pixel.

    Equal values compress best as they are (`up` 0), since A and B mostly repeat the target beside
    them; measurements as differences from the row above (`up` 2, PNG's filter of that number).
    """
    height, width = rows.shape
    if up:
        rows = np.diff(rows, axis=0, prepend=np.zeros((1, width), np.uint8))  # modulo 256
    content = np.concatenate([np.full((height, 1), up, np.uint8), rows], axis=1).tobytes()
    kind = 3 if palette else 0
    header = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    chunks = [(b"IHDR", header), *([palette] if palette else [])]
    chunks += [(b"IDAT", zlib.compress(content, 7)), (b"IEND", b"")]
    body = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body
