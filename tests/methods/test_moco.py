"""MoCo: the loss is the reference's, the queue keeps its order, errors tell the cure."""

import copy

import pytest
import torch
import torch.nn.functional as F
from lightly.loss import NTXentLoss

from workbench.errors import MethodError
from workbench.methods.moco import MoCo, info_nce


def unit(*shape, seed=0):
    return F.normalize(torch.randn(shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def test_the_loss_is_lightlys():
    queries, keys, queue = unit(5, 7), unit(5, 7, seed=1), unit(12, 7, seed=2)
    reference = NTXentLoss(temperature=0.2, memory_bank_size=(12, 7))
    reference.memory_bank.bank = queue.clone()
    loss, logits = info_nce(queries, keys, queue, 0.2)
    torch.testing.assert_close(loss, reference(queries, keys))
    naive = torch.stack([F.cosine_similarity(queries[2], k, dim=0) for k in [keys[2], *queue]])
    torch.testing.assert_close(logits[2], naive / 0.2)


def test_the_module_is_the_formula(conv, scenes):
    method = MoCo(conv(), queue_size=16, output_dim=8, temperature=0.2)
    views = scenes()
    method.eval()
    out = method(views)
    q = F.normalize(method.head(method.encoder(views[0])), dim=1)
    k = F.normalize(method.key_head(method.key_encoder(views[1])), dim=1)
    scores = torch.stack(
        [torch.cat([q[i] @ k[i][:, None], method.queue @ q[i]]) for i in range(16)]
    )
    expected = -(scores / 0.2).log_softmax(1)[:, 0].mean()
    torch.testing.assert_close(out.loss, expected)
    torch.testing.assert_close(out.embeddings, method.encoder(views[0]))
    assert not out.embeddings.requires_grad


def test_no_gradient_reaches_the_keys(conv, scenes):
    method = MoCo(conv(), queue_size=16)
    method(scenes()).loss.backward()
    assert all(p.grad is None for p in method.key_encoder.parameters())
    assert all(p.grad is not None for p in method.encoder.parameters())


def test_the_queue_forgets_the_oldest_and_goes_round(conv):
    method = MoCo(conv(), queue_size=10, output_dim=4)
    random = method.queue.clone()
    batches = [unit(4, 4, seed=s) for s in range(1, 5)]
    for number, keys in enumerate(batches, start=1):
        method._waiting.append(keys)
        method.update(0.0)
        latest = torch.cat(batches[:number])[-10:]
        kept = torch.cat([random, torch.cat(batches[:number])])[-10:]
        order = (torch.arange(10) + method.position) % 10  # from the oldest to the newest
        torch.testing.assert_close(method.queue[order], kept)
        assert method.entered.max() == number
        assert (method.entered >= 0).sum() == len(latest)


def test_more_keys_than_places_leaves_the_last(conv):
    method = MoCo(conv(), queue_size=3, output_dim=4)
    method._waiting.append(keys := unit(8, 4, seed=5))
    method.update(0.0)
    assert set(map(tuple, method.queue.tolist())) == set(map(tuple, keys[-3:].tolist()))


def test_a_step_of_two_small_batches_is_one_of_the_large(vit, scenes):
    views = scenes(8)
    whole = MoCo(vit(), queue_size=32, output_dim=8)
    parts = copy.deepcopy(whole)
    whole(views).loss.backward()
    for half in (slice(0, 4), slice(4, 8)):
        (parts([view[half] for view in views]).loss / 2).backward()
    for a, b in zip(whole.encoder.parameters(), parts.encoder.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, atol=1e-6, rtol=1e-5)
    whole.update(0.1)
    parts.update(0.1)
    torch.testing.assert_close(whole.queue, parts.queue)


def test_the_queue_is_part_of_a_checkpoint(conv, scenes):
    method = MoCo(conv(), queue_size=32)
    method(scenes())
    method.update(0.25)
    again = MoCo(conv(seed=3), queue_size=32)
    again.load_state_dict(method.state_dict())
    assert torch.equal(again.queue, method.queue)
    assert (again.position, again.steps, again.progress) == (16, 1, 0.25)


def test_looking_does_not_fill_the_queue(conv, scenes):
    method = MoCo(conv(), queue_size=32)
    with torch.no_grad():
        method(scenes())
    method.eval()(scenes())
    method.update(0.0)
    assert method.position == 0


def test_the_age_of_the_queue_is_in_steps(conv, scenes):
    method = MoCo(conv(), queue_size=64)
    for _ in range(3):
        out = method(scenes())
        method.update(0.0)
    assert out.diagnostics["queue_age"] == pytest.approx(0.5)  # of two batches, 0 and 1 steps old
    assert out.diagnostics["queue_newest"] == 0
    assert out.diagnostics["queue_filled"] == 0.5


def test_errors(conv, vit, scenes):
    method = MoCo(conv(), queue_size=8)
    with pytest.raises(MethodError, match="MoCo compares the locations of a batch, so it needs at"):
        method(scenes(1))
    with pytest.raises(MethodError, match="MoCo needs 2 views of each location, but got 1"):
        method(scenes(4, views=1))
    with pytest.raises(MethodError, match=r"all views must show the same locations.*\[4, 6\]"):
        method([*scenes(4, views=1), *scenes(6, views=1)])
    with pytest.raises(MethodError, match="queue_size >= 1 and a temperature > 0, but got 0 and"):
        MoCo(conv(), queue_size=0)
    with pytest.raises(
        MethodError, match="states its 'width' as a whole number, but ReLU has None"
    ):
        MoCo(torch.nn.ReLU())
    with pytest.raises(MethodError, match=r"Progress must be a share.*got 1\.5"):
        method.update(1.5)
