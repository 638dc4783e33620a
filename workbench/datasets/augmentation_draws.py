"""What is drawn at random for a view of each sample, before any pixel is touched.

Everything is drawn on the CPU, from one generator, for the whole batch at once. So the same
generator gives the same views on any device; and processes that share a batch draw all of it, and
each takes its own rows.
"""

import math
from dataclasses import dataclass, fields

import torch
from torch import Tensor

Range = tuple[float, float]

_TRIES = 10  # boxes that are drawn until one fits into the image, as torchvision does
_NODES = 5  # of the curve of spectral jitter, over the whole range of wavelengths


@dataclass(frozen=True)
class ViewOptions:
    """How one view of a sample is made. The defaults leave the spectrum as it is.

    The order is that of the fields; whatever is off costs nothing.

    Raises:
        ValueError: If a number is outside its range.

    Example:
        >>> ViewOptions(size=96, crop=(0.05, 0.4), blur=0.5).size
        96
        >>> ViewOptions(crop=(0.5, 0.2))
        Traceback (most recent call last):
        ValueError: ViewOptions.crop must be (smallest, largest) in (0, inf), got (0.5, 0.2).
    """

    size: int | None = None
    """Side of the view in pixels; None for that of the image."""
    crop: Range = (1.0, 1.0)
    """Smallest and largest share of the image's area that is cut out, in (0, 1]. Boxes are drawn as
    torchvision's RandomResizedCrop draws them, but not rounded to whole pixels: a view of 8 pixels
    has the same distribution of scales as one of 800. (1, 1) is the whole image."""
    ratio: Range = (3 / 4, 4 / 3)
    """Smallest and largest width over height of what is cut out, evenly on a logarithmic scale."""
    horizontal_flip: float = 0.5
    """Probability of left and right changing places."""
    vertical_flip: float = 0.5
    """Probability of up and down changing places."""
    turn: float = 0.0
    """Probability of a rotation by 90°, 180° or 270°."""
    blur: float = 0.0
    """Probability of a Gaussian blur."""
    blur_sigma: Range = (0.1, 2.0)
    """Its standard deviation in pixels of the view; kernels end six pixels away (13 × 13)."""
    jitter: float = 0.0
    """Spectral jitter: each band's physical value is multiplied by a factor in [1 - jitter,
    1 + jitter] that is smooth over the wavelengths, in [0, 1). No value changes its sign."""
    colour: float = 0.0
    """Probability that brightness and contrast are changed."""
    brightness: float = 0.4
    """Largest change of the factor on the physical values of all bands, in [0, 1)."""
    contrast: float = 0.4
    """Largest change of the distance from each band's mean over the view, in [0, 1)."""
    gray: float = 0.0
    """Probability that every band becomes the mean of all bands."""
    solarise: float = 0.0
    """Probability that each band is reflected at its mean over the view, where it is above it."""
    band_dropout: float = 0.0
    """Probability of each band to be replaced by its mean over the data, in [0, 1)."""

    def __post_init__(self) -> None:
        for name in ("crop", "ratio", "blur_sigma"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
            low, high = getattr(self, name)
            if not 0 < low <= high or (name == "crop" and high > 1):
                within = "(0, 1]" if name == "crop" and high > 1 else "(0, inf)"
                raise ValueError(
                    f"ViewOptions.{name} must be (smallest, largest) in {within}, "
                    f"got ({low!r}, {high!r})."
                )
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, float) and not 0 <= value <= 1:
                raise ValueError(f"ViewOptions.{field.name} must be in [0, 1], got {value!r}.")
        if max(self.jitter, self.brightness, self.contrast, self.band_dropout) >= 1:
            raise ValueError(
                "ViewOptions.jitter, brightness, contrast and band_dropout must be below 1, "
                f"got {self.jitter}, {self.brightness}, {self.contrast} and {self.band_dropout}."
            )


@dataclass(frozen=True)
class ViewDraw:
    """One view of each of B samples: what was drawn. All on the CPU."""

    box: Tensor
    """(B, 4) float64: top, left, height and width of what is cut out, pixels, not rounded."""
    flip: Tensor
    """(B, 2) bool: vertically, horizontally."""
    quarter_turns: Tensor
    """(B,) int64, 0 to 3, anticlockwise, after the flips."""
    sigma: Tensor
    """(B,) blur in pixels of the view; 0 for none."""
    gain: Tensor
    """(B, C) factor on the physical value: jitter and brightness."""
    contrast: Tensor
    """(B,) factor on the distance from the mean."""
    gray: Tensor
    """(B,) bool."""
    solarise: Tensor
    """(B,) bool."""
    dropped: Tensor
    """(B, C) bool: bands that are replaced by their mean."""

    def rows(self, chosen: slice) -> "ViewDraw":
        """Keep some of the samples."""
        return ViewDraw(**{f.name: getattr(self, f.name)[chosen] for f in fields(self)})


def draw_view(
    options: ViewOptions,
    count: int,
    bands: Tensor,
    shape: tuple[int, int],
    generator: torch.Generator,
) -> ViewDraw:
    """Draw one view of each sample.

    As many random numbers are taken whatever is drawn from them.

    Args:
        options: What may be drawn.
        count: Number of samples B.
        bands: (C,) place of each band on the axis of wavelengths, in [0, 1].
        shape: Height and width of the images, pixels.
        generator: Of the CPU.
    """
    chance = torch.rand(count, 14, generator=generator, dtype=torch.float64).unbind(1)
    tries = torch.rand(count, _TRIES, 2, generator=generator, dtype=torch.float64)
    nodes = torch.rand(count, _NODES, generator=generator)
    lost = torch.rand(count, len(bands), generator=generator)
    gain = 1 + options.jitter * (2 * _curve(nodes, bands) - 1)
    is_changed = chance[9] < options.colour
    brightness = torch.where(is_changed, 1 + options.brightness * (2 * chance[10] - 1), 1)
    turned = 1 + (chance[7] * 3).long()
    low, high = options.blur_sigma
    return ViewDraw(
        box=_boxes(options, shape, tries, chance[2], chance[3]),
        flip=torch.stack(
            [chance[4] < options.vertical_flip, chance[5] < options.horizontal_flip], dim=1
        ),
        quarter_turns=torch.where(chance[6] < options.turn, turned, 0),
        sigma=torch.where(chance[8] < options.blur, low + (high - low) * chance[13], 0.0).float(),
        gain=gain * brightness[:, None].float(),
        contrast=torch.where(is_changed, 1 + options.contrast * (2 * chance[11] - 1), 1).float(),
        gray=chance[12] < options.gray,
        solarise=_other(chance[12]) < options.solarise,
        dropped=lost < options.band_dropout,
    )


def _boxes(
    options: ViewOptions, shape: tuple[int, int], tries: Tensor, down: Tensor, right: Tensor
) -> Tensor:
    """(B, 4) boxes: the first of some tries that fits, else the largest central one.

    Args:
        options: Range of areas and of ratios.
        shape: Height and width of the images, pixels.
        tries: (B, tries, 2) in [0, 1): area and ratio.
        down: (B,) in [0, 1): place of the box from the top.
        right: (B,) in [0, 1): from the left.
    """
    height, width = shape
    if options.crop == (1.0, 1.0):
        whole = torch.tensor([0.0, 0.0, height, width], dtype=torch.float64)
        return whole.expand(len(tries), 4)
    low, high = options.crop
    area = (low + (high - low) * tries[..., 0]) * height * width
    low, high = (math.log(r) for r in options.ratio)
    ratio = (low + (high - low) * tries[..., 1]).exp()
    h, w = (area / ratio).sqrt(), (area * ratio).sqrt()  # (B, tries)
    fits = (h <= height) & (w <= width)
    first = fits.to(torch.uint8).argmax(1, keepdim=True)
    has_one = fits.any(1)
    middle = min(max(width / height, options.ratio[0]), options.ratio[1])
    fallback = min(height, width / middle), min(width, height * middle)
    h = torch.where(has_one, h.gather(1, first)[:, 0], fallback[0])
    w = torch.where(has_one, w.gather(1, first)[:, 0], fallback[1])
    top = (height - h) * torch.where(has_one, down, 0.5)
    left = (width - w) * torch.where(has_one, right, 0.5)
    return torch.stack([top, left, h, w], dim=1)


def _curve(nodes: Tensor, bands: Tensor) -> Tensor:
    """(B, C) values of curves through nodes (B, N) at equal distances, linear between them."""
    at = bands * (nodes.shape[1] - 1)
    low = at.long().clamp(max=nodes.shape[1] - 2)
    return torch.lerp(nodes[:, low], nodes[:, low + 1], (at - low).to(nodes.dtype))


def _other(chance: Tensor) -> Tensor:
    """A second number in [0, 1) from the further digits of the first."""
    return (chance * 65_536) % 1
