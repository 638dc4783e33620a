"""Momentum networks: a copy at the start, no storage shared, and the stated average after."""

import pytest
import torch
from torch import nn

from workbench.methods.dino import DINO
from workbench.methods.moco import MoCo
from workbench.methods.momentum import cosine, distance, follow, momentum_copy


def pairs(method):
    """The trained networks of a method beside their momentum copies."""
    if isinstance(method, MoCo):
        return [(method.encoder, method.key_encoder), (method.head, method.key_head)]
    return [(method.encoder, method.teacher_encoder), (method.head, method.teacher_head)]


def same(ours, theirs):
    return all(
        torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True)
    )


@pytest.fixture(params=["moco", "dino"])
def make(request, conv):
    small = {"queue_size": 8} if request.param == "moco" else {"output_dim": 16, "hidden_dim": 8}
    kind = MoCo if request.param == "moco" else DINO
    return lambda **options: kind(conv(), **small, **options)


def test_it_starts_as_a_copy_without_gradient_and_shares_no_storage(make):
    for ours, theirs in pairs(make()):
        assert same(ours, theirs)
        held = {t.untyped_storage().data_ptr() for t in ours.state_dict().values()}
        assert not held & {t.untyped_storage().data_ptr() for t in theirs.state_dict().values()}
        assert not any(p.requires_grad for p in theirs.parameters())


def test_training_moves_it_in_update_only_by_the_stated_average(make, scenes):
    method = make(momentum=0.75)
    before = [[p.clone() for p in theirs.parameters()] for _, theirs in pairs(method)]
    optimiser = torch.optim.SGD([p for p in method.parameters() if p.requires_grad], lr=0.1)
    method(scenes()).loss.backward()
    optimiser.step()
    for (_, theirs), old in zip(pairs(method), before, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(theirs.parameters(), old, strict=True))
    method.update(0.0)
    for (ours, theirs), old in zip(pairs(method), before, strict=True):
        for a, b, c in zip(ours.parameters(), theirs.parameters(), old, strict=True):
            torch.testing.assert_close(b, 0.75 * c + 0.25 * a)


def test_new_weights_are_an_option_with_a_name(conv):
    torch.manual_seed(1)
    method = MoCo(conv(), queue_size=8, copy_at_start=False)
    assert distance(method.encoder, method.key_encoder) > 0.1
    method = DINO(conv(), output_dim=16, hidden_dim=8, copy_head_at_start=False)
    assert same(method.encoder, method.teacher_encoder)
    assert not same(method.head, method.teacher_head)


def test_free_parameters_are_drawn_again_too(vit):
    network = vit()
    assert not torch.equal(network.pos_embed, momentum_copy(network, same_weights=False).pos_embed)


def test_running_statistics_stay_its_own():
    network = nn.BatchNorm1d(3)
    twin = momentum_copy(network)
    network(torch.randn(8, 3) + 5)
    follow(network, twin, 0.0)
    assert torch.equal(twin.running_mean, torch.zeros(3))


def test_it_tells_how_far_it_moved():
    network, twin = nn.Linear(3, 2), nn.Linear(3, 2)
    before = torch.cat([p.detach().flatten() for p in twin.parameters()])
    moved = follow(network, twin, 0.9)
    after = torch.cat([p.detach().flatten() for p in twin.parameters()])
    torch.testing.assert_close(moved, (after - before).norm() / before.norm())
    assert follow(network, twin, 1.0) == 0


def test_the_cosine_has_the_papers_ends():
    assert cosine(0, 0.996, 1.0) == pytest.approx(0.996)
    assert cosine(0.5, 0.996, 1.0) == pytest.approx(0.998)
    assert cosine(1, 0.996, 1.0) == cosine(3, 0.996, 1.0) == 1.0
