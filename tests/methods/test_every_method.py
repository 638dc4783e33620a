"""What holds for every method: it trains, it repeats itself bit by bit, it is watched."""

import math

import pytest
import torch

from tests.methods.made_methods import SMALL
from workbench.methods import METHODS
from workbench.methods.masking import MaskedMethod

STEPS = 30


def train(name, encoder, scenes, *, steps=STEPS, bands=6, seed=0):
    """Train on new simulated locations at each step; give the method and its outputs."""
    torch.manual_seed(seed)
    method = METHODS[name](encoder, **SMALL[name])
    trained = [p for p in method.parameters() if p.requires_grad]
    rate = 5e-4 if name == "dino" else 3e-3
    optimiser = torch.optim.AdamW(trained, lr=rate, weight_decay=1e-4)
    warm_up = torch.optim.lr_scheduler.LinearLR(optimiser, 0.1, total_iters=steps // 3)
    masks = torch.Generator().manual_seed(seed)
    outputs = []
    for step in range(steps):
        out = method(scenes(32, seed=step, bands=bands), masks)
        optimiser.zero_grad()
        out.loss.backward()
        optimiser.step()
        warm_up.step()
        method.update((step + 1) / steps)
        outputs.append(out)
    return method, outputs


def spread(embeddings):
    unit = torch.nn.functional.normalize(embeddings, dim=1)
    return (unit - unit.mean(0)).norm(dim=1).mean().item()


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in METHODS if name != "dino"])
def test_thirty_steps_lower_the_loss_and_keep_the_embeddings_apart(name, conv, vit, scenes):
    encoder = vit() if issubclass(METHODS[name], MaskedMethod) else conv()
    method, outputs = train(name, encoder, scenes)
    losses = [out.loss.item() for out in outputs]
    start = 5 if name == "moco" else 0  # until there are real keys in the queue
    first, last = sum(losses[start : start + 5]) / 5, sum(losses[-5:]) / 5
    assert all(map(math.isfinite, losses))
    assert last < first
    assert spread(outputs[-1].embeddings) > 0.05
    assert method.progress == 1.0


@pytest.mark.slow
def test_dinos_teacher_learns_to_tell_locations_apart(vit, scenes):
    """DINO's loss rises while the centre settles, so it is no measure of a short run.

    What the teacher says of one location is to be surer than what it says of all: the difference
    of the two entropies is the information in its word. And the student is to learn that word.
    """
    _, outputs = train("dino", vit(), scenes, steps=90)
    told = [
        (out.diagnostics["teacher_mean_entropy"] - out.diagnostics["teacher_entropy"]).item()
        for out in outputs
    ]
    losses = [out.loss.item() for out in outputs]
    assert sum(told[-10:]) / 10 > 0.05
    assert sum(losses[-10:]) / 10 < max(losses)
    assert spread(outputs[-1].embeddings) > 0.05


@pytest.mark.parametrize("name", METHODS)
def test_a_step_repeats_itself_bit_by_bit(name, vit, scenes):
    runs = [train(name, vit(), scenes, steps=2) for _ in range(2)]
    states = [method.state_dict() for method, _ in runs]
    for key in states[0]:
        if isinstance(states[0][key], torch.Tensor):
            assert torch.equal(states[0][key], states[1][key]), key
    assert torch.equal(runs[0][1][-1].loss, runs[1][1][-1].loss)


@pytest.mark.parametrize("name", METHODS)
def test_outputs_are_what_a_loop_expects(name, vit, scenes):
    encoder = vit()
    method, (out,) = train(name, encoder, scenes, steps=1)
    assert method.encoder is encoder
    assert method.family in {"contrastive", "clustering", "distillation", "redundancy", "masked"}
    assert out.loss.shape == ()
    assert out.loss.dtype == torch.float32
    assert out.embeddings.shape[1] == 32
    watched = [*out.diagnostics.values(), out.embeddings]
    assert not any(value.requires_grad for value in watched)
    assert all(value.numel() == 1 and value.isfinite() for value in out.diagnostics.values())


@pytest.mark.parametrize("name", METHODS)
def test_every_trained_parameter_is_in_use_from_the_first_step(name, vit, scenes):
    """Or parallel training would wait for gradients that never come."""
    torch.manual_seed(0)
    method = METHODS[name](vit(), **SMALL[name])
    for progress in (0.0, 0.5):
        method.update(progress)
        method.zero_grad()
        method(scenes(8)).loss.backward()
        unused = [n for n, p in method.named_parameters() if p.requires_grad and p.grad is None]
        assert not unused


@pytest.mark.parametrize("name", METHODS)
def test_bfloat16_gives_a_finite_loss_in_float32(name, vit, scenes):
    method = METHODS[name](vit(), **SMALL[name])
    with torch.autocast("cpu", torch.bfloat16):
        out = method(scenes(8))
    out.loss.backward()
    assert out.loss.dtype == torch.float32
    assert out.loss.isfinite()


@pytest.mark.parametrize("name", ["moco", "dino", "mae"])
def test_with_the_spectral_adapter(name, vit, scenes):
    encoder = vit(bands=75, adapter=True)
    _, outputs = train(name, encoder, scenes, steps=3, bands=75)
    assert all(p.grad is not None for p in encoder.adapter.parameters())
    assert outputs[-1].loss.isfinite()
