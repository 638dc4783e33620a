"""The spectral adapter: each pixel's spectrum, of any number of bands from 75, to 128 channels.

Three blocks of convolution along the spectrum, BatchNorm and ReLU, then the mean over what is left
of the spectrum. The state is that of the published Conv3d layers; the computation is not (see
`spectral_function`): the same numbers, forward and backward, in a quarter of the time on a CPU.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from workbench.errors import ModelError
from workbench.models.spectral_compiled import compiled_spectra
from workbench.models.spectral_function import (
    KERNELS,
    STRIDES,
    WIDTHS,
    AdapterFunction,
    lengths,
    pieces,
    rows_of,
    under_kernel,
)
from workbench.models.spectral_norm import all_sums

FEWEST_BANDS = 75


class SpectralAdapter(nn.Sequential):
    """Turn images of many bands into 128 channels, each pixel from its own spectrum alone.

    56,192 parameters, whatever the number of bands. Weights lie in Conv3d and BatchNorm3d modules
    at 0, 1, 3, 4, 6 and 7, as in SpectralEarth's checkpoints. In training BatchNorm takes its
    moments over all pixels and positions given, and so do `nn.SyncBatchNorm` modules put in their
    place, over all processes.

    Args:
        bands: Number of bands, at least 75: with fewer no spectrum is left for the third block.

    Raises:
        ModelError: If there are too few bands.

    Example:
        >>> adapter = SpectralAdapter(202).eval()
        >>> adapter(torch.zeros(2, 202, 4, 4)).shape
        torch.Size([2, 128, 4, 4])

    References:
        Braham et al. 2024, SpectralEarth, https://arxiv.org/abs/2408.08447.
    """

    channels = WIDTHS[-1]

    def __init__(self, bands: int = 202) -> None:
        if bands < FEWEST_BANDS:
            raise ModelError(
                f"A spectral adapter needs at least {FEWEST_BANDS} bands, got {bands}.\n"
                "Use an encoder without adapter, or wavelength_vit, for so few."
            )
        layers: list[nn.Module] = []
        for width_in, width, kernel, stride in zip(
            (1, *WIDTHS), WIDTHS, KERNELS, STRIDES, strict=False
        ):
            conv = nn.Conv3d(width_in, width, (kernel, 1, 1), (stride, 1, 1), (1, 0, 0))
            layers += [conv, nn.BatchNorm3d(width), nn.ReLU()]
        super().__init__(*layers, nn.AdaptiveAvgPool3d((1, None, None)))
        self.bands = bands
        self.is_compiled = False
        """Whether a GPU computes `spectral_compiled`: for a loop whose batches are of one shape."""

    def forward(self, images: Tensor) -> Tensor:
        """Adapt images.

        Args:
            images: (B, C, H, W) standardised values.

        Returns:
            (B, 128, H, W).

        Raises:
            ModelError: If the number of bands is another one.
        """
        if images.ndim != 4:
            raise ModelError(f"Images must be (B, C, H, W), got the shape {tuple(images.shape)}.")
        return self.spectra(images.flatten(2)).unflatten(2, images.shape[2:])

    def spectra(self, spectra: Tensor) -> Tensor:
        """Adapt bare spectra: (B, C, P) → (B, 128, P), for any choice of pixels.

        Raises:
            ModelError: If the number of bands is another one, or BatchNorm is given one value.
        """
        if spectra.shape[1] != self.bands:
            raise ModelError(
                f"This adapter was made for {self.bands} bands, but the data have "
                f"{spectra.shape[1]}.\nGive the bands it was made for, or make another encoder."
            )
        kind = spectra.device.type
        if torch.is_autocast_enabled(kind):
            spectra = spectra.to(torch.get_autocast_dtype(kind))
        with torch.autocast(kind, enabled=False):
            if torch.is_grad_enabled() or self.training:
                return self._compute(spectra)
            # nothing has to be kept: an image at a time bounds the memory
            return torch.cat([self._compute(part) for part in spectra.split(self._images(spectra))])

    def conv3d_form(self, images: Tensor) -> Tensor:
        """Compute as written in the paper: slow, for comparison. The same numbers as `forward`."""
        return super().forward(images.unsqueeze(1)).squeeze(2)

    def first_filters(self) -> Tensor:
        """Give the first block's kernels with their BatchNorm folded in: (32, 7), detached."""
        conv, norm = self._block(0)
        weight, _ = _fold(conv, norm, norm.running_mean - conv.bias, norm.running_var)
        return weight.detach()

    @torch.no_grad()
    def first_responses(self, images: Tensor) -> Tensor:
        """Say how strongly each first-block filter answers at each place of the spectrum.

        Uses BatchNorm's running moments. `filter_centres_nm` gives the wavelengths of the last
        axis.

        Args:
            images: (B, C, H, W) or (B, C, P) standardised values.

        Returns:
            (B, 32, H, W, places) or (B, 32, P, places), after ReLU.
        """
        conv, norm = self._block(0)
        weight, bias = _fold(conv, norm, norm.running_mean - conv.bias, norm.running_var)
        windows = F.pad(images.movedim(1, -1), (1, 1)).unfold(-1, KERNELS[0], STRIDES[0])
        answers = torch.einsum("b...lk,fk->bf...l", windows, weight)
        return (answers + bias.view(-1, *[1] * (answers.ndim - 2))).relu()

    def filter_centres_nm(self, wavelengths_nm: Tensor) -> Tensor:
        """Give the mean wavelength under each place of the first block's filters.

        Args:
            wavelengths_nm: (C,) band centres in the order of the data.

        Returns:
            (places,) nanometres: 40 for 202 bands. Padding at the ends does not count.
        """
        padded = F.pad(wavelengths_nm, (1, 1), value=torch.nan)
        return padded.unfold(0, KERNELS[0], STRIDES[0]).nanmean(1)

    def _images(self, spectra: Tensor) -> int:
        return max(1, 65_536 // spectra.shape[2])

    def _block(self, number: int) -> tuple[Any, Any]:
        return self[3 * number], self[3 * number + 1]  # a convolution and its BatchNorm

    def _compute(self, spectra: Tensor) -> Tensor:
        (conv1, norm1), (conv2, norm2), (conv3, norm3) = (self._block(i) for i in range(3))
        group = _group(norm1) if self.training else None
        if self.is_compiled and spectra.is_cuda and group is None:
            return self._compute_compiled(spectra)
        if self.training:
            if spectra.shape[0] * spectra.shape[2] * lengths(self.bands)[2] < 2:
                raise ModelError("BatchNorm needs more than one value in training, got 1 pixel.")
            mean, var, count = _first_moments(spectra, conv1, group)
            _remember(norm1, mean + conv1.bias, var, count)
            # the bias before BatchNorm changes nothing: its gradient is 0, but there is one
            weight, bias = _fold(conv1, norm1, mean + conv1.bias - conv1.bias, var)
        else:
            weight, bias = _fold(conv1, norm1, norm1.running_mean - conv1.bias, norm1.running_var)
        out, *moments = AdapterFunction.apply(
            spectra, weight, bias,
            conv2.weight[..., 0, 0], norm2.weight, norm2.bias,
            norm2.running_mean - conv2.bias, norm2.running_var,
            conv3.weight[..., 0, 0], norm3.weight, norm3.bias,
            norm3.running_mean - conv3.bias, norm3.running_var,
            self.training, norm2.eps, group,
        )  # fmt: skip
        if self.training:
            _remember(norm2, moments[0] + conv2.bias, *moments[1:3])
            _remember(norm3, moments[3] + conv3.bias, *moments[4:6])
        return out

    def _compute_compiled(self, spectra: Tensor) -> Tensor:
        blocks = [self._block(i) for i in range(3)]
        if self.training:
            for _, norm in blocks:
                norm.num_batches_tracked += 1
        found: Tensor = compiled_spectra(blocks, spectra)
        return found


def _fold(conv: Any, norm: Any, mean: Tensor, var: Tensor) -> tuple[Tensor, Tensor]:
    """Weight (32, 7) and bias (32,) of block 1 and its BatchNorm as one linear map."""
    scale = norm.weight * (var + norm.eps).rsqrt()
    return conv.weight[:, 0, :, 0, 0] * scale[:, None], norm.bias - mean * scale


def _first_moments(spectra: Tensor, conv: Any, group: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and var of the first convolution's output (32,) without its bias, and their count.

    A linear map of 7 inputs has the moments that follow from its inputs' mean and covariance, so
    the widest activations need not be computed to be normalised. The gradient of a weight through
    the moments follows too.
    """
    if spectra.dtype in (torch.bfloat16, torch.float16):
        spectra = spectra.float()
    kernel, stride, length = KERNELS[0], STRIDES[0], lengths(spectra.shape[1])[0]
    count = all_sums(spectra.new_tensor(float(spectra.shape[0] * spectra.shape[2])), group)
    mean = all_sums(spectra.sum((0, 2)), group) / count
    gram = spectra.new_zeros(length, kernel, kernel)  # of the rows under each place
    for piece in pieces(spectra):
        centred = F.pad(rows_of(spectra, piece) - mean[:, None], (0, 0, 1, 1))[:, None]
        under = under_kernel(centred, stride, length, kernel)
        gram.baddbmm_(under, under.transpose(1, 2))
    within = all_sums(gram.mean(0), group) / count
    means = F.pad(mean, (1, 1)).unfold(0, kernel, stride)  # (places, 7)
    centre = means.mean(0)
    between = (means - centre).t() @ (means - centre) / len(means)
    weight = conv.weight[:, 0, :, 0, 0]
    var = ((weight @ (within + between)) * weight).sum(1)
    return weight @ centre, var, count * len(means)


@torch.no_grad()
def _remember(norm: Any, mean: Tensor, var: Tensor, count: Tensor) -> None:
    """Move the running moments as BatchNorm does, with the unbiased variance."""
    norm.num_batches_tracked += 1
    share = norm.momentum if norm.momentum is not None else 1 / float(norm.num_batches_tracked)
    norm.running_mean.lerp_(mean.to(norm.running_mean.dtype), share)
    norm.running_var.lerp_((var * (count / (count - 1))).to(norm.running_var.dtype), share)


def _group(norm: nn.Module) -> Any:
    """The processes whose moments are shared; None: this one alone."""
    if not (isinstance(norm, nn.SyncBatchNorm) and torch.distributed.is_initialized()):
        return None
    group = norm.process_group or torch.distributed.group.WORLD
    return group if torch.distributed.get_world_size(group) > 1 else None
