"""BatchNorm between the adapter's products: its moments, and the way back through it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Norm:
    """BatchNorm of one block as it was applied: z → (z - mean) · inverse · gamma + beta."""

    mean: Tensor  # all (C, 1)
    inverse: Tensor
    scale: Tensor
    shift: Tensor

    @classmethod
    def of(cls, mean: Tensor, var: Tensor, gamma: Tensor, beta: Tensor, eps: float) -> "Norm":
        """From (C,) moments and parameters."""
        inverse = (var + eps).rsqrt()
        scale = gamma * inverse
        return cls(*(v[:, None] for v in (mean, inverse, scale, beta - mean * scale)))

    def apply(self, z: Tensor, out: Tensor | None = None) -> Tensor:
        """Normalise (L, C, n), without ReLU, in z's type."""
        scaled = torch.mul(z, self.scale.to(z.dtype), out=out)
        return scaled.add_(self.shift.to(z.dtype))


@dataclass(frozen=True)
class Way:
    """What the gradient needs of one block: its Norm, and whether the moments were the batch's."""

    norm: Norm
    count: Tensor | None  # values per channel over all processes; None: moments were given

    def back(self, sums: Tensor, totals: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Gradients of gamma and beta (C,), and slope and offset (C, 1) that correct dz.

        Args:
            sums: (2, C) of this process: sums of dy and of dy · z over all pixels and positions.
            totals: The same over all processes.
        """
        mean, inverse = self.norm.mean[:, 0], self.norm.inverse[:, 0]
        gamma, beta = inverse * (sums[1] - mean * sums[0]), sums[0]
        if self.count is None:
            nothing = torch.zeros_like(self.norm.mean)
            return gamma, beta, nothing, nothing
        total = inverse * (totals[1] - mean * totals[0])
        slope = -self.norm.scale[:, 0] * inverse * total / self.count
        offset = -self.norm.scale[:, 0] * totals[0] / self.count - mean * slope
        return gamma, beta, slope[:, None], offset[:, None]

    def of_mean(self, beta: Tensor) -> Tensor:
        """Gradient of the given mean (C,), from that of beta; 0 if it was not used."""
        return torch.zeros_like(beta) if self.count is not None else -self.norm.scale[:, 0] * beta

    def dz(self, dy: Tensor, z: Tensor, slope: Tensor, offset: Tensor) -> Tensor:
        """Carry dy (overwritten) back through the normalisation of z."""
        dz = dy.mul_(self.norm.scale.to(z.dtype))
        if self.count is not None:
            dz.add_(z * slope.to(z.dtype)).add_(offset.to(z.dtype))
        return dz


def sums_of(a: Tensor, b: Tensor) -> Tensor:
    """Sums of a and of a · b over all but the channels of (L, C, n): (2, C), at least float32."""
    if a.dtype in (torch.bfloat16, torch.float16):
        a, b = a.float(), b.float()
    return torch.stack([a.sum((0, 2)), (a * b).sum((0, 2))])


def all_sums(sums: Tensor, group: Any) -> Tensor:
    """Add up over the processes of a group; as it is without one."""
    if group is None:
        return sums
    sums = sums.clone()
    torch.distributed.all_reduce(sums, group=group)
    return sums


def way_of(
    zs: Sequence[Tensor], batch: bool, norm: tuple[Tensor, ...], eps: float, group: Any
) -> tuple[Way, tuple[Tensor, Tensor, Tensor]]:
    """Choose the moments of a block, and give the batch's with their count."""
    mean, var, gamma, beta = norm
    if not batch:
        return Way(Norm.of(mean, var, gamma, beta, eps), None), (mean, var, mean.new_zeros(()))
    count = mean.new_tensor(float(sum(z.shape[0] * z.shape[2] for z in zs)))
    sums = all_sums(torch.stack([sums_of(z, z) for z in zs]).sum(0), group)
    count = all_sums(count, group)
    mean = sums[0] / count
    var = (sums[1] / count - mean.square()).clamp_min_(0)
    return Way(Norm.of(mean, var, gamma, beta, eps), count), (mean, var, count)
