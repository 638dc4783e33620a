"""Views that leave the spectrum meaningful: batched, on the device, for any number of bands.

Nothing is clipped. Colour is changed on the physical scale of the contract (a factor on the
reflectance), so that standardised numbers are moved by what the factor means and not by their sign.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from workbench.datasets.augmentation_draws import Range, ViewDraw, ViewOptions, draw_view
from workbench.datasets.normalization import Normalizer
from workbench.datasets.resampling import cut_out, resample_all, resample_one
from workbench.datasets.temporal_patches import TemporalBatch
from workbench.errors import ContractMismatchError


def multi_crop(
    base: ViewOptions = ViewOptions(),  # noqa: B008  # frozen
    *,
    views: int = 2,
    local_views: int = 0,
    local_size: int = 48,
    local_crop: Range = (0.05, 0.4),
    blur: Sequence[float] | None = None,
    solarise: Sequence[float] | None = None,
) -> tuple[ViewOptions, ...]:
    """List the views of a method: large ones, then small ones of small parts.

    Args:
        base: Of the large views.
        views: Number of large views, >= 1.
        local_views: Number of small views, >= 0.
        local_size: Side of a small view, pixels.
        local_crop: Share of the image's area that a small view shows.
        blur: Probability of blur of each large view, if they differ, and of all small ones, last.
        solarise: As `blur`.

    Example:
        >>> [v.size for v in multi_crop(ViewOptions(size=128), local_views=2)]
        [128, 128, 48, 48]
        >>> [v.solarise for v in multi_crop(local_views=2, solarise=(0.0, 0.2, 0.0))]
        [0.0, 0.2, 0.0, 0.0]
    """
    small = replace(base, size=local_size, crop=local_crop)
    found = [base] * views + [small] * local_views
    for name, chances in (("blur", blur), ("solarise", solarise)):
        if chances is not None:
            each = [*chances[:views], *[chances[-1]] * max(0, len(found) - len(chances[:views]))]
            changes: list[dict[str, Any]] = [{name: chance} for chance in each]
            found = [replace(v, **change) for v, change in zip(found, changes, strict=True)]
    return tuple(found)


def view_dates(batch: TemporalBatch) -> Tensor:
    """Say which image of a batch shows each sample on its first and on its second date.

    Returns:
        (B, 2) int64, in the order of the samples; a sample with one date names it twice.

    Example:
        >>> batch = {"pairs": torch.tensor([[0, 1], [3, 4]]), "singles": torch.tensor([2])}
        >>> view_dates(batch).tolist()
        [[0, 1], [2, 2], [3, 4]]
    """
    single = batch["singles"][:, None].expand(-1, 2)
    both = torch.cat([batch["pairs"].reshape(-1, 2), single])
    return both[both[:, 0].argsort()]


class ViewPipeline(nn.Module):
    """Make the views of a batch: a module, so that it moves to a GPU with its statistics.

    Args:
        views: One for each view; `multi_crop` lists them.
        normalizer: With it, batches of stored numbers are taken and standardised on the way, each
            pixel touched once; what has no measurement becomes the band's mean. Without it,
            batches of float are taken as they are, as if 0 were the physical zero.
        reuse_memory: Write each call's views over those of the call before, which spares the
            system the pages. Only for a loop that is done with a batch before it asks for the
            next one.

    Example:
        >>> pipeline = ViewPipeline(multi_crop(ViewOptions(crop=(0.2, 1.0)), local_views=1))
        >>> batch = torch.randn(3, 5, 64, 64)
        >>> [tuple(v.shape) for v in pipeline(batch, torch.Generator().manual_seed(0))]
        [(3, 5, 64, 64), (3, 5, 64, 64), (3, 5, 48, 48)]
    """

    zero: Tensor

    def __init__(
        self,
        views: Sequence[ViewOptions],
        *,
        normalizer: Normalizer | None = None,
        reuse_memory: bool = False,
    ) -> None:
        super().__init__()
        if not views:
            raise ValueError("ViewPipeline needs at least one view, got none.")
        self.views, self.normalizer = tuple(views), normalizer
        self.reuse_memory = reuse_memory
        self._kept: dict[tuple[int, ...], Tensor] = {}
        zero = torch.zeros(1) if normalizer is None else _distance_of_zero(normalizer)
        self.register_buffer("zero", zero, persistent=False)

    @torch.no_grad()
    def forward(
        self,
        images: Tensor,
        generator: torch.Generator,
        *,
        dates: Tensor | None = None,
        part: tuple[int, int] = (0, 1),
    ) -> list[Tensor]:
        """Make every view of every sample.

        Args:
            images: (I, C, H, W) images: stored numbers with a normalizer, else float. NaN in float
                spreads to the pixels around it.
            generator: Of the CPU; the same state gives the same views.
            dates: (B, D) which image shows each sample on each of its dates (`view_dates`): view
                number v is made from date v modulo D. None: sample b is image b.
            part: (k, n) if this batch is the k-th of n equal parts of a larger one: the views are
                those that it would have there.

        Returns:
            One (B, C, size, size) float32 per view.
        """
        bands = self._require_images(images)
        count = len(images) if dates is None else len(dates)
        number, parts = part
        mine = slice(number * count, (number + 1) * count)
        shape = (images.shape[-2], images.shape[-1])
        found = []
        for v, options in enumerate(self.views):
            drawn = draw_view(options, count * parts, bands, shape, generator).rows(mine)
            source = range(count) if dates is None else dates[:, v % dates.shape[1]].tolist()
            size = options.size or min(shape)
            out = self._memory(v, (count, images.shape[1], size, size), images.device)
            if images.device.type == "cpu":
                self._one_by_one(images, list(source), drawn, out)
            else:
                self._at_once(images, list(source), drawn, out)
            found.append(_colours(out, drawn, options))
        return found

    def extra_repr(self) -> str:
        """Name the views, for `print`."""
        return "\n".join(map(repr, self.views))

    def _one_by_one(self, images: Tensor, source: list[int], drawn: ViewDraw, out: Tensor) -> None:
        factor, shift = self._affine(drawn.gain)
        for b, i in enumerate(source):
            one = drawn.rows(slice(b, b + 1))
            piece, one = cut_out(images[i], one, out.shape[-1])
            view = resample_one(self._measured(piece), one, out.shape[-1])
            torch.addcmul(shift[b], view, factor[b], out=out[b])

    def _at_once(self, images: Tensor, source: list[int], drawn: ViewDraw, out: Tensor) -> None:
        chosen = images[torch.tensor(source, device=images.device)]
        factor, shift = self._affine(drawn.gain.to(images.device))
        view = resample_all(self._measured(chosen), drawn, out.shape[-1])
        torch.addcmul(shift, view, factor, out=out)

    def _affine(self, gain: Tensor) -> tuple[Tensor, Tensor]:
        """Factor and shift, each (B, C, 1, 1), that standardise and multiply the physical value."""
        gain = gain[..., None, None]
        factor, shift = gain, (gain - 1) * self.zero
        if self.normalizer is not None:
            factor = gain / self.normalizer.std
            shift = shift - factor * self.normalizer.mean
        return factor, shift.expand_as(factor)

    def _measured(self, numbers: Tensor) -> Tensor:
        """Numbers as float32, with the band's mean where there is no measurement."""
        found = numbers.float()
        if self.normalizer is None:
            return found
        nodata = self.normalizer.contract.nodata
        is_cheap = numbers.device.type == "cpu" and not numbers.is_floating_point()
        if is_cheap and not _holds(numbers, nodata):
            return found
        return torch.where(self.normalizer.valid(numbers), found, self.normalizer.mean)

    def _memory(self, view: int, shape: tuple[int, ...], device: torch.device) -> Tensor:
        if not self.reuse_memory:
            return torch.empty(shape, device=device)
        key = (view, *shape)
        if key not in self._kept or self._kept[key].device != device:
            self._kept[key] = torch.empty(shape, device=device)
        return self._kept[key]

    def _require_images(self, images: Tensor) -> Tensor:
        """Check the images; give the place of each band on the axis of wavelengths, (C,)."""
        if images.ndim != 4:
            raise ValueError(f"A batch of images is (B, C, H, W), got {tuple(images.shape)}.")
        if self.normalizer is None:
            if not images.is_floating_point():
                raise ValueError(
                    f"Without a normalizer the images must be float, got {images.dtype}.\n"
                    "Give `normalizer=` for stored numbers."
                )
            return torch.linspace(0, 1, images.shape[1])
        contract = self.normalizer.contract
        if images.shape[1] != len(contract.band_names):
            raise ContractMismatchError(
                f"Images must have a band for each of the contract's {len(contract.band_names)}, "
                f"but have the shape {tuple(images.shape)}.\nThe order is (B, C, H, W)."
            )
        return _places(contract.wavelengths_nm)


def _holds(numbers: Tensor, nodata: float | None) -> bool:
    """Whether nodata is in the range of the numbers; a NaN is not."""
    return nodata is not None and float(numbers.amin()) <= nodata <= float(numbers.amax())


def _distance_of_zero(normalizer: Normalizer) -> Tensor:
    """(C, 1, 1) distance of each band's mean from the physical zero, in standard deviations."""
    contract = normalizer.contract
    value = normalizer.mean * contract.scale + contract.offset
    return value / (normalizer.std * contract.scale)


def _places(wavelengths: Sequence[float | None]) -> Tensor:
    known = [w for w in wavelengths if w is not None]
    if len(known) < len(wavelengths) or not max(known) > min(known):
        return torch.linspace(0, 1, len(wavelengths))
    at = torch.tensor(known)
    return (at - at.min()) / (at.max() - at.min())


def _colours(view: Tensor, drawn: ViewDraw, options: ViewOptions) -> Tensor:
    """Change contrast, gray and solarise of those samples for which it was drawn; in place."""
    if options.colour and options.contrast:
        factor = drawn.contrast.to(view.device)[:, None, None, None]
        middle = view.mean((2, 3), keepdim=True)
        view.sub_(middle).mul_(factor).add_(middle)
    for b in _drawn(drawn.gray):
        view[b] = view[b].mean(0, keepdim=True)
    for b in _drawn(drawn.solarise):
        middle = view[b].mean((1, 2), keepdim=True)
        view[b].sub_(middle).abs_().neg_().add_(middle)
    if options.band_dropout:
        view.masked_fill_(drawn.dropped.to(view.device)[..., None, None], 0.0)
    return view


def _drawn(mask: Tensor) -> list[int]:
    found: Any = mask.nonzero()[:, 0].tolist()
    return list(found)
