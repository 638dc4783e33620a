"""Planted filters and planted patterns are found."""

import numpy as np
import pytest
import torch
from torch import nn

from workbench.training.inspection import filter_responses, order_of_filters, token_components


def test_a_linear_adapter_answers_with_its_weights():
    adapter = nn.Conv2d(6, 3, 1)
    spectra = torch.randn(5, 6, generator=torch.Generator().manual_seed(0))
    found = filter_responses(adapter, spectra)
    np.testing.assert_allclose(found, adapter.weight[..., 0, 0].abs().detach().numpy(), rtol=1e-6)
    assert adapter.training
    assert adapter.weight.grad is None


def test_filters_are_sorted_by_the_middle_of_what_they_answer_to():
    responses = np.zeros((4, 10))
    for filter_number, band in enumerate([7, 0, 9, 3]):
        responses[filter_number, max(band - 1, 0) : band + 1] = 1
    assert order_of_filters(responses).tolist() == [1, 3, 0, 2]


class Planted(nn.Module):
    """Four features of which two carry known patterns, one much stronger than the other."""

    def feature_maps(self, images):
        x = torch.linspace(-1, 1, 6)[None, :].expand(6, 6)
        still = torch.zeros(6, 6)
        maps = torch.stack([5 * x, still, x.T + 2, still]).expand(len(images), 4, 6, 6)
        return [torch.zeros(len(images), 4, 12, 12), maps]


def test_components_are_the_planted_patterns_strongest_first():
    scores, share = token_components(Planted(), torch.zeros(2, 3, 24, 24), components=3)
    assert scores.shape == (2, 3, 6, 6)
    x = np.broadcast_to(np.linspace(-1, 1, 6), (6, 6))
    np.testing.assert_allclose(scores[1, 0], 5 * x, atol=1e-5)
    np.testing.assert_allclose(scores[0, 1], x.T, atol=1e-5)
    assert share == pytest.approx([25 / 26, 1 / 26, 0], abs=1e-6)
    fine, nothing = token_components(Planted(), torch.zeros(2, 3, 24, 24), level=0)
    assert fine.shape == (2, 3, 12, 12)
    assert not nothing.any()
