"""SimCLR, SwAV, BYOL, SimSiam, Barlow Twins and VICReg: each loss is its paper's formula."""

import pytest
import torch
import torch.nn.functional as F

from workbench.errors import MethodError
from workbench.methods import BYOL, BarlowTwins, SimCLR, SimSiam, SwAV, VICReg

WIDE = {"hidden_dim": 16, "output_dim": 12}


def test_simclr_is_equation_1(conv, scenes):
    method = SimCLR(conv(), **WIDE, temperature=0.3).eval()
    views = scenes(5)
    both = F.normalize(torch.cat([method.head(method.encoder(view)) for view in views]), dim=1)
    terms = []
    for i in range(10):
        others = [both[i] @ both[k] / 0.3 for k in range(10) if k != i]
        terms.append(-(both[i] @ both[(i + 5) % 10] / 0.3 - torch.stack(others).logsumexp(0)))
    torch.testing.assert_close(method(views).loss, torch.stack(terms).mean())


def test_byol_is_equation_2_both_ways(conv, scenes):
    method = BYOL(conv(), **WIDE).eval()
    views = scenes(5)

    def one_way(a, b):
        told = method.predictor(method.head(method.encoder(a)))
        wanted = method.teacher_head(method.teacher_encoder(b))
        return (F.normalize(told, dim=1) - F.normalize(wanted, dim=1)).square().sum(1).mean()

    torch.testing.assert_close(method(views).loss, one_way(*views) + one_way(*views[::-1]))
    method(views).loss.backward()
    assert all(p.grad is None for p in method.teacher_encoder.parameters())


def test_byols_target_follows_along_the_cosine(conv, scenes):
    method = BYOL(conv(), **WIDE, momentum=0.9)
    with torch.no_grad():
        for parameter in method.encoder.parameters():
            parameter += 1
    before = [p.clone() for p in method.teacher_encoder.parameters()]
    method.update(0.5)  # momentum 0.95
    for old, now in zip(before, method.teacher_encoder.parameters(), strict=True):
        torch.testing.assert_close(now - old, torch.full_like(old, 0.05))


def test_simsiam_stops_the_gradient_of_the_other_side(conv, scenes):
    method = SimSiam(conv(norm=False), **WIDE, bottleneck_dim=8).eval()
    views = scenes(6)
    said = [method.head(method.encoder(view)) for view in views]
    told = [method.predictor(z) for z in said]
    cosine = F.cosine_similarity
    expected = -(cosine(told[0], said[1].detach()) + cosine(told[1], said[0].detach())).mean() / 2
    loss = method(views).loss
    torch.testing.assert_close(loss, expected)
    weights = list(method.encoder.parameters())
    ours = torch.autograd.grad(loss, weights)
    for a, b in zip(ours, torch.autograd.grad(expected, weights), strict=True):
        torch.testing.assert_close(a, b)


def test_barlow_twins_is_equation_1(conv, scenes):
    method = BarlowTwins(conv(), **WIDE, off_diagonal=0.01).eval()
    views = scenes(7)
    one, two = (method.head(method.encoder(view)).detach().double() for view in views)
    one, two = ((z - z.mean(0)) / (z.var(0, correction=0) + 1e-5).sqrt() for z in (one, two))
    cross = one.T @ two / 7
    expected = sum(
        (cross[i, j] - 1) ** 2 if i == j else 0.01 * cross[i, j] ** 2
        for i in range(12)
        for j in range(12)
    )
    torch.testing.assert_close(method(views).loss.double(), expected, rtol=1e-4, atol=1e-4)


def test_vicreg_is_equation_6(conv, scenes):
    method = VICReg(conv(), **WIDE).eval()
    views = scenes(7)
    z = [method.head(method.encoder(view)).detach() for view in views]
    distance = (z[0] - z[1]).square().mean()
    want = [F.relu(1 - (a.var(0) + 1e-4).sqrt()).mean() for a in z]
    common = [torch.cov(a.T).square().fill_diagonal_(0).sum() / 12 for a in z]
    expected = 25 * distance + 25 * sum(want) / 2 + sum(common)  # as in the authors' code
    torch.testing.assert_close(method(views).loss, expected)


def sinkhorn(scores, epsilon=0.05, iterations=3):
    """The paper's, line by line, in float64."""
    shares = (scores.double() / epsilon).exp()  # (B, K)
    for _ in range(iterations):
        shares = shares / shares.sum(0, keepdim=True) / shares.shape[1]
        shares = shares / shares.sum(1, keepdim=True) / shares.shape[0]
    return shares * shares.shape[0]


def test_swav_swaps_the_assignments(conv, scenes):
    method = SwAV(conv(), **WIDE, prototypes=9).eval()
    views = [*scenes(8), *scenes(8, views=2, side=4, seed=3)]
    weight = method.prototypes.weight
    scores = [F.normalize(method.head(method.encoder(v)), dim=1) @ weight.T for v in views]
    terms = []
    for i in range(2):
        wanted = sinkhorn(scores[i].detach())
        told = [(s.double() / 0.1).log_softmax(1) for j, s in enumerate(scores) if j != i]
        terms += [-(wanted * t).sum(1).mean() for t in told]
    loss = method(views).loss
    assert loss.ndim == 0
    torch.testing.assert_close(loss.double(), torch.stack(terms).mean(), rtol=1e-4, atol=1e-5)


def test_swavs_prototypes_have_unit_length_and_stand_still_at_first(conv, scenes):
    method = SwAV(conv(), **WIDE, prototypes=9, freeze_prototypes=0.1)
    optimiser = torch.optim.SGD(method.parameters(), lr=1.0)
    for progress, moves in ((0.05, False), (0.2, True), (0.3, True)):
        before = method.prototypes.weight.clone()
        optimiser.zero_grad()
        method(scenes(8)).loss.backward()
        optimiser.step()
        changed = not torch.equal(before, method.prototypes.weight)
        assert changed == moves or progress == 0.2  # what was frozen in this pass was progress 0.05
        method.update(progress)
        torch.testing.assert_close(method.prototypes.weight.norm(dim=1), torch.ones(9))


def test_swavs_queue_holds_the_newest_and_enters_when_full(conv, scenes):
    method = SwAV(conv(norm=False), **WIDE, prototypes=9, queue_size=10, queue_from=0.0)
    alone = SwAV(conv(norm=False), **WIDE, prototypes=9)
    alone.load_state_dict(method.state_dict() | {"queue": alone.queue})
    views = [scenes(4, seed=s) for s in range(4)]
    for number in range(3):
        torch.testing.assert_close(method(views[number]).loss, alone(views[number]).loss)
        method.update(0.0)
    newest = F.normalize(method.head(method.encoder(views[2][1])), dim=1)
    assert method.filled == 10
    torch.testing.assert_close(method.queue[1, :4], newest, atol=1e-4, rtol=1e-3)
    assert (method(views[3]).loss - alone(views[3]).loss).abs() > 1e-3


@pytest.mark.parametrize("kind", [SimCLR, SwAV, BYOL, SimSiam, BarlowTwins, VICReg])
def test_a_batch_of_one_is_refused(kind, conv, scenes):
    with pytest.raises(MethodError, match=f"{kind.__name__} compares the locations of a batch"):
        kind(conv(), **WIDE)(scenes(1))


def test_temperatures_are_positive(conv):
    with pytest.raises(MethodError, match="SwAV needs a temperature and an epsilon > 0"):
        SwAV(conv(), epsilon=0.0)
