"""Tests that need a CUDA device: each compares it with the CPU. `pytest -m gpu tests/gpu`."""

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def _cuda() -> Iterator[None]:
    """Skip without a device; compute products in full float32, as the CPU does."""
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before
