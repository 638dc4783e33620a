"""Cut out, flip, turn, resize and blur: one linear map per axis, for any number of bands.

A crop, a resize, a flip and a Gaussian blur act on rows and columns separately. So each is a small
matrix per axis, and their product is applied at once. Where nothing is blurred, the processor's
bilinear interpolation of the box alone is faster, and gives the same numbers.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from workbench.datasets.augmentation_draws import ViewDraw

_RADIUS = 6  # pixels, of the blur


def axis_maps(
    start: Tensor, length: Tensor, flip: Tensor, sigma: Tensor, *, source: int, target: int
) -> Tensor:
    """Make the matrices that take a row of pixels to a row of the view.

    Bilinear with half-pixel centres, as `interpolate(align_corners=False, antialias=True)`: where
    the view is coarser than the image, pixels are averaged. The blur reflects at the edges.

    Args:
        start: (B,) first pixel of the box.
        length: (B,) its length, pixels.
        flip: (B,) bool: backwards.
        sigma: (B,) blur in pixels of the view, 0 for none.
        source: Pixels of a row of the image.
        target: Pixels of a row of the view.

    Returns:
        (B, target, source) float32; each row sums to 1.
    """
    device = start.device
    step = (length / target)[:, None]
    at = (torch.arange(target, device=device) + 0.5) * step - 0.5  # (B, target), from the start
    at = torch.where(flip[:, None], at.flip(1), at)
    pixel = torch.arange(source, device=device) - start[:, None]  # (B, source)
    is_inside = (pixel >= 0) & (pixel < length[:, None])
    reach = step.clamp(min=1.0)[..., None]
    weight = (1 - (at[..., None] - pixel[:, None]).abs() / reach).clamp(min=0)
    weight = weight * is_inside[:, None]
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
    if int(drawn.box[:, 2:].max()) > size:
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

    -1 and 1 are the centres of the image's outermost pixels. Places between the box's edge and the
    centre of its outermost pixels are moved to these: nothing outside the box is seen.
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
    y = _in_image(row, top, h, flip[:, 0], size)
    x = _in_image(column, left, w, flip[:, 1], size)
    scaled = (2 * x / max(1, width - 1) - 1, 2 * y / max(1, height - 1) - 1)
    return torch.stack(scaled, dim=-1).to(images.dtype)


def _in_image(at: Tensor, start: Tensor, length: Tensor, flip: Tensor, size: int) -> Tensor:
    """Places (B, size, size) along an axis of the view, in pixels of the image, float64."""
    start, length, flip = (t[:, None, None] for t in (start, length, flip))
    at = torch.where(flip, size - 1 - at, at)
    place = (at.double() + 0.5) * (length / size) - 0.5
    return start + place.clamp(min=0).minimum(length.double() - 1)


def resample_one(image: Tensor, drawn: ViewDraw, size: int) -> Tensor:
    """Resample one sample from its box alone, as a processor likes it.

    Args:
        image: (C, h, w) float: the box, already cut out and flipped (`cut_out`).
        drawn: Of this one sample.
        size: Side of the view, pixels.

    Returns:
        (C, size, size) float.
    """
    if not float(drawn.sigma[0]):
        if image.shape[1:] == (size, size):
            return image
        shrinks = max(image.shape[1:]) > size
        return F.interpolate(
            image[None], (size, size), mode="bilinear", align_corners=False, antialias=shrinks
        )[0]
    zero, no = torch.zeros(1), torch.zeros(1, dtype=torch.bool)
    rows, columns = (
        axis_maps(zero, torch.tensor([float(n)]), no, drawn.sigma, source=n, target=size)[0]
        for n in image.shape[1:]
    )
    return rows @ (image @ columns.mT)


def cut_out(image: Tensor, drawn: ViewDraw) -> Tensor:
    """Cut out the box of one sample, flipped and turned: (C, h, w), of any type."""
    top, left, height, width = drawn.box[0].tolist()
    found = image[:, top : top + height, left : left + width]
    vertical, horizontal = drawn.flip[0].tolist()
    turns = int(drawn.quarter_turns[0])
    flips = [axis for axis, is_so in ((1, vertical), (2, horizontal)) if is_so]
    found = found.flip(flips) if flips else found
    return found.rot90(turns, (1, 2)) if turns else found


def _maps(
    drawn: ViewDraw, shape: torch.Size, size: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    box, flip, sigma = (t.to(device) for t in (drawn.box, drawn.flip, drawn.sigma))
    top, left, height, width = box.unbind(1)
    rows = axis_maps(top, height, flip[:, 0], sigma, source=shape[0], target=size)
    columns = axis_maps(left, width, flip[:, 1], sigma, source=shape[1], target=size)
    return rows, columns
