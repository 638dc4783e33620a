"""Adapters that have seen something."""

import torch

from workbench.models import SpectralAdapter


def adapter_of(bands, seed=0, dtype=torch.float32):
    """An adapter whose every weight and running moment differs from its start."""
    torch.manual_seed(seed)
    adapter = SpectralAdapter(bands).to(dtype)
    for name, value in [*adapter.named_parameters(), *adapter.named_buffers()]:
        if "var" in name:
            value.data.uniform_(0.5, 2)
        elif "num_batches" not in name:
            value.data.add_(torch.randn_like(value) * 0.1)
    return adapter
