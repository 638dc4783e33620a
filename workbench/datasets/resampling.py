"""Cut out, flip, turn, resize and blur: one linear map per axis, for any number of bands.

A crop, a resize, a flip and a Gaussian blur act on rows and columns separately. So each is a small
matrix per axis, and their product is applied at once. Boxes need not lie on whole pixels: the image
counts as continuous, linear between the centres of its pixels and constant beyond the outermost.
"""

import math
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from workbench.datasets.augmentation_draws import ViewDraw

_RADIUS = 6  # pixels, of the blur


def axis_maps(
    start: Tensor, length: Tensor, flip: Tensor, sigma: Tensor, *, source: int, target: int
) -> Tensor:
    """Make the matrices that take a row of pixels to a row of the view.

    Bilinear with half-pixel centres. Where the view is coarser than the image, pixels are averaged
    under a triangle as wide as two pixels of the view, as `interpolate(align_corners=False,
    antialias=True)` does; the whole image is resized as by that function. The blur reflects at the
    edges of the view.

    Args:
        start: (B,) edge of the box, pixels from the edge of the image; any number.
        length: (B,) its length, pixels, > 0.
        flip: (B,) bool: backwards.
        sigma: (B,) blur in pixels of the view, 0 for none.
        source: Pixels of a row of the image.
        target: Pixels of a row of the view.

    Returns:
        (B, target, source) float32; each row sums to 1.
    """
    device = start.device
    start, length = start.double(), length.double()
    step = (length / target)[:, None]
    at = start[:, None] + (torch.arange(target, device=device) + 0.5) * step - 0.5  # (B, target)
    at = torch.where(flip[:, None], at.flip(1), at)
    reach = step.clamp(min=1.0)[..., None]
    pixel = torch.arange(source, device=device)
    weight = (1 - (at[..., None] - pixel).abs() / reach).clamp(min=0)
    weight = weight / weight.sum(-1, keepdim=True)
    return _blur_maps(sigma, target) @ weight.float()


def _blur_maps(sigma: Tensor, size: int) -> Tensor:
    """(B, size, size) Gaussian blur along an axis, reflected at the ends; identity for sigma 0."""
    radius = min(_RADIUS, size - 1)
    away = torch.arange(-radius, radius + 1, device=sigma.device)
    kernel = torch.exp(-0.5 * (away / sigma.clamp(min=1e-3)[:, None]) ** 2)  # (B, 2 radius + 1)
    kernel = kernel / kernel.sum(1, keepdim=True)
    at = torch.arange(size, device=sigma.device)[:, None] + away  # (size, 2 radius + 1)
    at = at.abs()
    at = torch.where(at > size - 1, 2 * (size - 1) - at, at)
    found = torch.zeros(len(sigma), size, size, device=sigma.device)
    return found.scatter_add_(
        2, at.expand(len(sigma), -1, -1), kernel[:, None].expand(-1, size, -1)
    )


def resample_all(images: Tensor, drawn: ViewDraw, size: int) -> Tensor:
    """Resample a batch at once, as an accelerator likes it.

    Where no box is larger than the view, four pixels are read for each one that is written, turned
    and flipped on the way; where one is, pixels must be averaged, by the matrices of `axis_maps`.

    Args:
        images: (B, C, H, W) float.
        drawn: Of the same B samples.
        size: Side of the view, pixels.

    Returns:
        (B, C, size, size) float.
    """
    if float(drawn.box[:, 2:].max()) > size:
        return _turned(_by_maps(images, drawn, size), drawn.quarter_turns)
    found = F.grid_sample(
        images, _grid(drawn, images, size), mode="bilinear", padding_mode="border",
        align_corners=True,
    )  # fmt: skip
    blurred = drawn.sigma.nonzero()[:, 0]
    if len(blurred):
        maps = _blur_maps(drawn.sigma[blurred].to(images.device), size)[:, None]
        where = blurred.to(images.device)
        found[where] = maps @ found[where] @ maps.mT
    return found


def _by_maps(images: Tensor, drawn: ViewDraw, size: int) -> Tensor:
    """The boxes, flipped, resized and blurred, but not turned."""
    rows, columns = _maps(drawn, images.shape[-2:], size, images.device)
    return rows[:, None] @ images @ columns[:, None].mT


def _turned(views: Tensor, quarter_turns: Tensor) -> Tensor:
    turns = quarter_turns.to(views.device)[:, None, None, None]
    for quarter in (1, 2, 3):
        if bool((quarter_turns == quarter).any()):
            views = torch.where(turns == quarter, views.rot90(quarter, (2, 3)), views)
    return views


def _grid(drawn: ViewDraw, images: Tensor, size: int) -> Tensor:
    """(B, size, size, 2) where each pixel of the view lies in the image: x and y in [-1, 1].

    -1 and 1 are the centres of the image's outermost pixels; what lies beyond them is moved there.
    """
    height, width = images.shape[-2:]
    box, flip, turns = (
        t.to(images.device) for t in (drawn.box, drawn.flip, drawn.quarter_turns[:, None, None])
    )
    top, left, h, w = box.unbind(1)
    at = torch.arange(size, device=images.device)
    i, j = at[None, :, None], at[None, None, :]  # of the turned view
    last = size - 1
    row = torch.where(turns == 1, j, torch.where(turns == 2, last - i, last - j))
    row = torch.where(turns == 0, i, row)
    column = torch.where(turns == 1, last - i, torch.where(turns == 2, last - j, i))
    column = torch.where(turns == 0, j, column)
    y = _in_image(row, top, h, flip[:, 0], size).clamp(0, height - 1)
    x = _in_image(column, left, w, flip[:, 1], size).clamp(0, width - 1)
    scaled = (2 * x / max(1, width - 1) - 1, 2 * y / max(1, height - 1) - 1)
    return torch.stack(scaled, dim=-1).to(images.dtype)


def _in_image(at: Tensor, start: Tensor, length: Tensor, flip: Tensor, size: int) -> Tensor:
    """Places (B, size, size) along an axis of the view, in pixels of the image, float64."""
    start, length, flip = (t[:, None, None] for t in (start, length, flip))
    at = torch.where(flip, size - 1 - at, at)
    return start + (at.double() + 0.5) * (length / size) - 0.5


def cut_out(image: Tensor, drawn: ViewDraw, size: int) -> tuple[Tensor, ViewDraw]:
    """Cut out the pixels that a view of one sample needs, of any type.

    Args:
        image: (C, H, W).
        drawn: Of this one sample.
        size: Side of the view, pixels.

    Returns:
        (C, h, w) piece of the image, and what was drawn, with the box in pixels of the piece.
    """
    box = drawn.box[0].tolist()
    pieces = [
        _span(start, length, whole, size)
        for start, length, whole in zip(box[:2], box[2:], image.shape[1:], strict=True)
    ]
    moved = drawn.box - torch.tensor([[pieces[0].start, pieces[1].start, 0, 0]])
    return image[:, pieces[0], pieces[1]], replace(drawn, box=moved)


def _span(start: float, length: float, whole: int, size: int) -> slice:
    """Pixels of an axis that have a weight in the view."""
    reach = max(1.0, length / size)
    return slice(
        max(0, math.floor(start - 0.5 - reach)), min(whole, math.ceil(start + length + 0.5 + reach))
    )


def resample_one(image: Tensor, drawn: ViewDraw, size: int) -> Tensor:
    """Resample one sample, as a processor likes it.

    Args:
        image: (C, h, w) float: the image, or the piece of it that `cut_out` gave.
        drawn: Of this one sample, with its box in pixels of the image.
        size: Side of the view, pixels.

    Returns:
        (C, size, size) float. A box of whole pixels that has the size of the view is copied.
    """
    top, left, height, width = drawn.box[0].tolist()
    is_copy = (height, width) == (size, size) and not (top % 1 or left % 1 or drawn.sigma[0])
    if is_copy:
        found = image[:, int(top) : int(top) + size, int(left) : int(left) + size]
        flips = [axis + 1 for axis, is_so in enumerate(drawn.flip[0].tolist()) if is_so]
        found = found.flip(flips) if flips else found
    elif torch.isfinite(image.sum()):
        found = _by_maps(image[None], drawn, size)[0]
    else:  # what is no number spreads to the pixels around it, not along whole rows
        found = _by_maps(image.nan_to_num(0, 0, 0)[None], drawn, size)[0]
        spoilt = _by_maps((~torch.isfinite(image))[None].float(), drawn, size)[0] > 0
        found = found.masked_fill(spoilt, torch.nan)
    turns = int(drawn.quarter_turns[0])
    return found.rot90(turns, (1, 2)) if turns else found


def _maps(
    drawn: ViewDraw, shape: torch.Size, size: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    box, flip, sigma = (t.to(device) for t in (drawn.box, drawn.flip, drawn.sigma))
    top, left, height, width = box.unbind(1)
    rows = axis_maps(top, height, flip[:, 0], sigma, source=shape[0], target=size)
    columns = axis_maps(left, width, flip[:, 1], sigma, source=shape[1], target=size)
    return rows, columns
