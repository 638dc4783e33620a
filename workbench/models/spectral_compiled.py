"""The spectral adapter as plain products, for torch.compile to fuse: faster on a GPU.

Pixels are outermost here, so that each convolution is two products of a matrix: the first `stride`
taps of all places lie side by side in memory, and so do the others. BatchNorm, ReLU and the mean
are fused by the compiler. Without it this form is slower than `spectral_function` and needs more
memory; the numbers are the same.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


def spectra_by_products(blocks: list[tuple[Any, Any]], spectra: Tensor) -> Tensor:
    """Compute the adapter: (B, C, P) → (B, 128, P).

    Args:
        blocks: Convolution and BatchNorm of each block.
        spectra: Of the type that is computed in.
    """
    images, bands, pixels = spectra.shape
    rows = F.pad(spectra.transpose(1, 2).reshape(images * pixels, bands, 1), (0, 0, 1, 1))
    for conv, norm in blocks:
        z = _convolve(rows, conv)  # (N, places, O)
        flat = F.batch_norm(
            z.flatten(0, 1), norm.running_mean, norm.running_var, norm.weight, norm.bias,
            norm.training, norm.momentum, norm.eps,
        )  # fmt: skip
        answers = F.relu(flat).unflatten(0, z.shape[:2])
        rows = F.pad(answers, (0, 0, 1, 1))
    return answers.mean(1).unflatten(0, (images, pixels)).transpose(1, 2)


def _convolve(rows: Tensor, conv: Any) -> Tensor:
    """(N, R, C) padded rows → (N, places, O)."""
    taps, stride = conv.kernel_size[0], conv.stride[0]
    weight = conv.weight[..., 0, 0].to(rows.dtype).permute(2, 1, 0)  # (taps, C, O)
    length = (rows.shape[1] - taps) // stride + 1
    first = _side_by_side(rows, stride, length) @ weight[:stride].flatten(0, 1)
    others = _side_by_side(rows[:, stride:], stride, length)[..., : (taps - stride) * rows.shape[2]]
    return first + others @ weight[stride:].flatten(0, 1) + conv.bias.to(rows.dtype)


def _side_by_side(rows: Tensor, stride: int, length: int) -> Tensor:
    """The rows below each place up to the next one: (N, length, stride · C); zeros at the end."""
    missing = length * stride - rows.shape[1]
    rows = F.pad(rows, (0, 0, 0, missing)) if missing > 0 else rows[:, : length * stride]
    return rows.unflatten(1, (length, stride)).flatten(2)


compiled_spectra = torch.compile(spectra_by_products)
"""The same, compiled at its first call."""
