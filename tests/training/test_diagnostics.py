"""Diagnostics against their definitions, and values that are known beforehand."""

import math

import numpy as np
import pytest
import torch

from workbench.training import diagnostics as d


@pytest.fixture(params=range(3))
def embeddings(request):
    return torch.randn(24, 10, generator=torch.Generator().manual_seed(request.param)) + 0.5


def test_measures_equal_their_definition(embeddings):
    rows = [row / np.linalg.norm(row) for row in embeddings.double().numpy()]
    pairs = [a @ b for i, a in enumerate(rows) for j, b in enumerate(rows) if i != j]
    assert float(d.mean_cosine(embeddings)) == pytest.approx(np.mean(pairs), abs=1e-6)
    away = [np.sum((row - np.mean(rows, axis=0)) ** 2) for row in rows]
    assert float(d.spread(embeddings)) == pytest.approx(math.sqrt(np.mean(away)), abs=1e-6)
    std = np.std(rows, axis=0) * math.sqrt(10)
    np.testing.assert_allclose(d.dimension_std(embeddings).numpy(), std, atol=1e-6)
    for centred in (False, True):
        values = embeddings.double().numpy()
        values = values - values.mean(axis=0) if centred else values
        share = np.linalg.svd(values, compute_uv=False)
        share /= share.sum()
        known = math.exp(-(share * np.log(share)).sum())
        found = float(d.effective_rank(embeddings, centred=centred))
        assert found == pytest.approx(known, rel=1e-4)


def test_collapse_and_its_opposite_have_the_values_of_the_docstrings():
    same, even = torch.ones(6, 4), torch.eye(8)
    assert d.spread(same) == 0
    assert d.mean_cosine(same) == pytest.approx(1)
    assert d.effective_rank(same) == pytest.approx(1)
    assert d.effective_rank(same, centred=True) == pytest.approx(1)
    assert d.effective_rank(even) == pytest.approx(8)
    wide = torch.randn(4000, 16, generator=torch.Generator().manual_seed(0))
    assert d.dimension_std(wide).mean() == pytest.approx(1, abs=0.02)
    line = torch.arange(1.0, 9.0)[:, None] * torch.ones(1, 5)
    assert d.effective_rank(line, centred=True) == pytest.approx(1, abs=1e-3)


def test_entropy_is_in_units_of_its_largest():
    one = torch.eye(5)[:3]
    assert d.normalised_entropy(one) == 0
    assert d.normalised_entropy(torch.full((3, 7), 1 / 7)) == pytest.approx(1)
    half = torch.tensor([[0.5, 0.5, 0.0, 0.0]])
    assert d.normalised_entropy(half) == pytest.approx(0.5)


def test_motion_and_drift_are_relative_and_zero_when_frozen():
    before = [torch.tensor([3.0, 0.0]), torch.tensor([[4.0]])]
    after = [torch.tensor([3.0, 0.0]), torch.tensor([[4.5]])]
    assert d.parameter_motion(before, before) == 0
    assert d.parameter_motion(before, after) == pytest.approx(0.1)
    assert d.centre_drift(torch.tensor([4.0]), torch.tensor([5.0])) == pytest.approx(0.25)
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        d.parameter_motion(before, after[:1])


def test_age_of_a_queue_counts_what_was_written():
    written = torch.tensor([-1, 4, 6, 6])
    mean, newest = d.queue_age(written, 7)
    assert (mean, newest) == (pytest.approx(5 / 3), 1)
    assert d.queue_age(torch.full((3,), -1), 7) == (8, 8)


def test_masked_and_visible_tokens_are_told_apart():
    target, mask = torch.zeros(2, 4, 3), torch.tensor([[1, 1, 0, 0], [0, 0, 1, 0]]).bool()
    masked, visible = d.token_losses(mask[..., None] * torch.full((2, 4, 3), 2.0), target, mask)
    assert (masked, visible) == (4, 0)


def test_a_constant_prediction_has_no_spread():
    target = torch.randn(3, 5, 2, generator=torch.Generator().manual_seed(0))
    assert d.prediction_spread(torch.ones(3, 5, 2), target) == 0
    assert d.prediction_spread(target * 0.5 + 3, target) == pytest.approx(0.5)


def test_one_embedding_cannot_be_compared():
    with pytest.raises(ValueError, match="Embeddings are compared with each other"):
        d.spread(torch.ones(1, 4))
