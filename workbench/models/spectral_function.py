"""The spectral adapter's three convolutions as matrix products over pixels, a few at a time.

A convolution along the spectrum, 1×1 in space, is for each position of its kernel one product of
the kernel with the rows beneath it: weight (O, k·C) times rows (k·C, pixels). With the spectrum
outermost those rows lie side by side in memory, so nothing is unfolded. Pixels are walked in
pieces that stay in the processor's cache. Only what BatchNorm was given is kept for the way back;
the widest activations, after the first block, are computed again there, which is cheaper than
writing and reading them.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from workbench.models.spectral_norm import all_sums, sums_of, way_of

KERNELS = (7, 7, 5)
STRIDES = (5, 5, 3)
WIDTHS = (32, 64, 128)
_PIXELS = {"cpu": 512}  # per piece: fits a core's cache; 256 or 1024 are a tenth slower
_PIXELS_ELSEWHERE = 1 << 16  # on a GPU large products; the pieces only bound the memory

Piece = tuple[slice, slice]


def lengths(bands: int) -> tuple[int, int, int]:
    """Give the length of the spectrum after each block, 0 or less where it does not fit."""
    found, rows = [], bands
    for kernel, stride in zip(KERNELS, STRIDES, strict=True):
        rows = (rows + 2 - kernel) // stride + 1
        found.append(rows)
    return found[0], found[1], found[2]


def pieces(spectra: Tensor) -> Iterator[Piece]:
    """Cut (B, C, P) into images × pixels: many pixels of one image, or many small images."""
    images, _, pixels = spectra.shape
    size = _PIXELS.get(spectra.device.type, _PIXELS_ELSEWHERE)
    together = max(1, size // pixels)
    for first in range(0, images, together):
        for start in range(0, pixels, size):
            yield slice(first, min(first + together, images)), slice(start, start + size)


def rows_of(spectra: Tensor, piece: Piece) -> Tensor:
    """Give a piece of (B, C, P) as (C, n) rows, one for each band."""
    return spectra[piece[0], :, piece[1]].transpose(0, 1).flatten(1)


def under_kernel(rows: Tensor, stride: int, length: int, taps: int, first: int = 0) -> Tensor:
    """See (R, C, n) rows as (length, taps · C, n): those under the kernel at each place.

    Views into the same memory; those of neighbouring places share rows where taps > stride.
    """
    channels, n = rows.shape[1:]
    strides = (stride * channels * n, n, 1)
    start = rows.storage_offset() + first * channels * n
    return rows.as_strided((length, taps * channels, n), strides, start)


def _convolve(rows: Tensor, weight: Tensor, stride: int, length: int) -> Tensor:
    """(R, C, n) padded rows, weight (O, k·C) → (length, O, n)."""
    under = under_kernel(rows, stride, length, weight.shape[1] // rows.shape[1])
    return torch.bmm(weight.expand(length, -1, -1), under)


def _back_to_rows(dz: Tensor, weight: Tensor, stride: int, drows: Tensor) -> None:
    """Write the gradient of the padded rows (R, C, n).

    The first `stride` taps of all places fall on different rows, and so do the others: each half
    is one product, the first written, the second added.
    """
    length, channels = len(dz), drows.shape[1]
    turned, cut = weight.t().expand(length, -1, -1), stride * channels
    torch.bmm(turned[:, :cut], dz, out=under_kernel(drows, stride, length, stride))
    drows[length * stride :] = 0
    others = under_kernel(drows, stride, length, weight.shape[1] // channels - stride, first=stride)
    others.baddbmm_(turned[:, cut:], dz)


def _back_to_weight(dz: Tensor, rows: Tensor, stride: int, dweight: Tensor) -> None:
    under = under_kernel(rows, stride, len(dz), dweight.shape[1] // rows.shape[1])
    dweight += torch.bmm(dz, under.transpose(1, 2)).sum(0)


def _relu_back(dy: Tensor, y: Tensor, out: Tensor | None = None) -> Tensor:
    """Gradient through the ReLU that gave y, written to `out` if there is one."""
    if out is None:
        return torch.ops.aten.threshold_backward(dy, y, 0)
    return torch.ops.aten.threshold_backward.grad_input(dy, y, 0, grad_input=out)


class _Rows:
    """Padded rows (L + 2, C, n) for one piece after another: allocated once, edges zero."""

    def __init__(self, like: Tensor, length: int, channels: int) -> None:
        self.like, self.shape = like, (length + 2, channels)
        self.held = like.new_zeros(0, 0, 0)

    def of(self, n: int) -> Tensor:
        if self.held.shape[-1] != n:
            self.held = self.like.new_zeros(*self.shape, n)
        return self.held


def _windows(piece: Tensor, length: int) -> Tensor:
    """What block 1 sees of a piece (C, n) at each place, and a row of ones: (length, 8, n)."""
    n, kernel, stride = piece.shape[1], KERNELS[0], STRIDES[0]
    padded = F.pad(piece, (0, 0, 1, 1))
    windows = piece.new_ones(length, kernel + 1, n)
    windows[:, :kernel] = padded.as_strided((length, kernel, n), (stride * n, n, 1))
    return windows


def _first_block(windows: Tensor, weight: Tensor, rows: Tensor) -> None:
    """Fill rows with block 1: weight (32, 8) has the bias last, for the row of ones."""
    torch.bmm(weight.expand(len(windows), -1, -1), windows, out=rows[1:-1])
    rows[1:-1].relu_()


def _matrix(weight: Tensor, dtype: torch.dtype) -> Tensor:
    """(O, C, k) → (O, k·C), the order in which rows lie in memory."""
    return weight.transpose(1, 2).flatten(1).to(dtype)


def _kernel(matrix: Tensor, taps: int) -> Tensor:
    return matrix.unflatten(1, (taps, -1)).transpose(1, 2)


class AdapterFunction(torch.autograd.Function):
    """Blocks 1 (already normalised: weight and bias folded), 2 and 3, and the mean over positions.

    Inputs: spectra (B, C, P); first weight (32, 7) and bias (32,); for blocks 2 and 3 weight
    (O, C, k), gamma (O,), beta (O,), given mean (O,), given var (O,); whether to take the batch's
    moments instead of the given ones; eps; the process group to share them with, or None.
    Outputs: features (B, 128, P), then the batch's mean and var of blocks 2 and 3 and the number
    of values per channel they were taken from (not differentiable).
    """

    @staticmethod
    def forward(ctx: Any, spectra: Tensor, *arguments: Any) -> tuple[Tensor, ...]:
        """Compute the features; blocks 2 and 3 need their moments first, hence three passes."""
        w1, b1, w2, g2, e2, mean2, var2, w3, g3, e3, mean3, var3, batch, eps, group = arguments
        length1, length2, length3 = lengths(spectra.shape[1])
        dtype = spectra.dtype
        w1 = torch.cat([w1, b1[:, None]], dim=1).to(dtype)
        m2, m3 = _matrix(w2, dtype), _matrix(w3, dtype)
        rows = _Rows(spectra, length1, WIDTHS[0])
        z2s = []
        for piece in pieces(spectra):
            cut = rows_of(spectra, piece)
            filled = rows.of(cut.shape[1])
            _first_block(_windows(cut, length1), w1, filled)
            z2s.append(_convolve(filled, m2, STRIDES[1], length2))
        way2, moments2 = way_of(z2s, batch, (mean2, var2, g2, e2), eps, group)
        rows, z3s = _Rows(spectra, length2, WIDTHS[1]), []
        for z2 in z2s:
            filled = rows.of(z2.shape[2])
            way2.norm.apply(z2, out=filled[1:-1]).relu_()
            z3s.append(_convolve(filled, m3, STRIDES[2], length3))
        way3, moments3 = way_of(z3s, batch, (mean3, var3, g3, e3), eps, group)
        out = spectra.new_empty(spectra.shape[0], WIDTHS[2], spectra.shape[2])
        for piece, z3 in zip(pieces(spectra), z3s, strict=True):
            part = out[piece[0], :, piece[1]]
            mean = way3.norm.apply(z3).relu_().mean(0)
            part.copy_(mean.unflatten(1, (part.shape[0], -1)).transpose(0, 1))
        ctx.save_for_backward(spectra, w1, m2, m3, *z2s, *z3s)
        ctx.ways, ctx.group = (way2, way3), group
        ctx.mark_non_differentiable(*moments2, *moments3)
        return (out, *moments2, *moments3)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dout: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
        """Walk the pieces back: sums of block 3, block 3, then blocks 2 and 1 together."""
        with torch.autocast(dout.device.type, enabled=False):
            return _backward(ctx, dout)


def _backward(ctx: Any, dout: Tensor) -> tuple[Tensor | None, ...]:
    spectra, w1, m2, m3, *zs = ctx.saved_tensors
    z2s, z3s = zs[: len(zs) // 2], zs[len(zs) // 2 :]
    way2, way3 = ctx.ways
    cuts = [rows_of(dout, piece) for piece in pieces(spectra)]
    g3, e3, dm3, d2s, sums2 = _third_block_back(cuts, z2s, z3s, m3, ctx)
    g2, e2, slope, offset = way2.back(sums2, all_sums(sums2, ctx.group))
    # the folded first block: its moments are the caller's affair
    rows = _Rows(spectra, lengths(spectra.shape[1])[0], WIDTHS[0])
    drows = _Rows(spectra, lengths(spectra.shape[1])[0], WIDTHS[0])
    dm2, dw1 = (torch.zeros_like(m, dtype=sums2.dtype) for m in (m2, w1))
    dspectra = torch.empty_like(spectra) if ctx.needs_input_grad[0] else None
    for piece, z2, d2 in zip(pieces(spectra), z2s, d2s, strict=True):
        cut = rows_of(spectra, piece)
        filled, d1 = rows.of(cut.shape[1]), drows.of(cut.shape[1])
        windows = _windows(cut, len(filled) - 2)
        _first_block(windows, w1, filled)
        dz = way2.dz(d2, z2, slope, offset)
        _back_to_weight(dz, filled, STRIDES[1], dm2)
        _back_to_rows(dz, m2, STRIDES[1], d1)
        dy = _relu_back(d1[1:-1], filled[1:-1], out=d1[1:-1])
        dw1 += torch.bmm(dy, windows.transpose(1, 2)).sum(0)
        if dspectra is not None:
            dcut = spectra.new_empty(cut.shape[0] + 2, 1, cut.shape[1])
            _back_to_rows(dy, w1[:, :-1], STRIDES[0], dcut)
            part = dspectra[piece[0], :, piece[1]]
            part.copy_(dcut[1:-1, 0].unflatten(1, (part.shape[0], -1)).transpose(0, 1))
    dm2, dm3 = _kernel(dm2, KERNELS[1]), _kernel(dm3, KERNELS[2])
    mean2, mean3 = way2.of_mean(e2), way3.of_mean(e3)
    blocks = (dm2, g2, e2, mean2, None, dm3, g3, e3, mean3, None)
    return dspectra, dw1[:, :-1], dw1[:, -1], *blocks, None, None, None


def _third_block_back(
    cuts: Sequence[Tensor], z2s: Sequence[Tensor], z3s: Sequence[Tensor], m3: Tensor, ctx: Any
) -> tuple[Tensor, Tensor, Tensor, list[Tensor], Tensor]:
    """Gradients of block 3, and of what enters its convolution, with the sums block 2 needs."""
    way2, way3 = ctx.ways

    def dy(cut: Tensor, z: Tensor) -> Tensor:
        return _relu_back((cut / z.shape[0]).expand(z.shape), way3.norm.apply(z))

    sums = torch.stack([sums_of(dy(c, z), z) for c, z in zip(cuts, z3s, strict=True)]).sum(0)
    gamma, beta, slope, offset = way3.back(sums, all_sums(sums, ctx.group))
    rows, drows = (_Rows(m3, z2s[0].shape[0], WIDTHS[1]) for _ in range(2))
    dm3, sums2, d2s = torch.zeros_like(m3, dtype=sums.dtype), [], []
    for cut, z2, z3 in zip(cuts, z2s, z3s, strict=True):
        dz = way3.dz(dy(cut, z3), z3, slope, offset)
        filled, dfilled = rows.of(z2.shape[2]), drows.of(z2.shape[2])
        way2.norm.apply(z2, out=filled[1:-1]).relu_()
        _back_to_weight(dz, filled, STRIDES[2], dm3)
        _back_to_rows(dz, m3, STRIDES[2], dfilled)
        d2 = _relu_back(dfilled[1:-1], filled[1:-1])
        d2s.append(d2)
        sums2.append(sums_of(d2, z2))
    return gamma, beta, dm3, d2s, torch.stack(sums2).sum(0)
