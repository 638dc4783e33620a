"""Rates against torch's own schedulers, decay groups, and every recipe as settings."""

import pytest
import torch
from torch import nn

from workbench.errors import TrainingError
from workbench.methods import METHODS, recipe
from workbench.methods.recipes import recipe_names
from workbench.training import PretrainSettings, recipe_views
from workbench.training.optimisers import build_optimiser, parameter_groups, set_rates
from workbench.training.schedules import learning_rate, peak_rate, weight_decay


def rates(settings, total, per_epoch):
    return [learning_rate(settings, s, total=total, per_epoch=per_epoch) for s in range(total)]


def test_warm_up_and_cosine_are_those_of_torch():
    settings = PretrainSettings(lr=0.5, warmup_epochs=2, warmup_start=0.05, lr_end=0.1)
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.5)
    rise = torch.optim.lr_scheduler.LinearLR(optimiser, 0.05, 1.0, total_iters=10)
    fall = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 30, eta_min=0.05)
    both = torch.optim.lr_scheduler.SequentialLR(optimiser, [rise, fall], [10])
    want = []
    for _ in range(40):
        want.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        both.step()
    assert rates(settings, 40, 5) == pytest.approx(want)


def test_steps_and_rules():
    settings = PretrainSettings(lr=1.0, schedule="step", milestones=(0.6, 0.8), gamma=0.1)
    found = rates(settings, 10, 1)
    assert found == pytest.approx([1.0] * 6 + [0.1] * 2 + [0.01] * 2)
    assert set(rates(PretrainSettings(lr=1.0, schedule="constant"), 5, 1)) == {1.0}
    assert peak_rate(PretrainSettings(lr=1.0, lr_rule="sqrt", batch_size=1024)) == 2.0
    rising = PretrainSettings(weight_decay=0.04, weight_decay_end=0.4)
    assert weight_decay(rising, 0, total=10) == pytest.approx(0.04)
    assert weight_decay(rising, 10, total=10) == pytest.approx(0.4)


@pytest.mark.parametrize("name", ["sgd", "adamw", "lars"])
def test_only_matrices_decay(name, encoder):
    network = encoder()
    optimiser = build_optimiser(network, PretrainSettings(optimiser=name, weight_decay=0.1))
    set_rates(optimiser, 0.2, 0.3)
    ids = {id(p): n for n, p in network.named_parameters()}
    decays = {ids[id(p)]: g["weight_decay"] for g in optimiser.param_groups for p in g["params"]}
    assert len(decays) == len(ids)
    for key, decay in decays.items():
        is_free = key.endswith(("bias", "pos_embed", "cls_token")) or "norm" in key
        assert decay == (0.0 if is_free else 0.3), key
    assert {g["lr"] for g in optimiser.param_groups} == {0.2}
    assert parameter_groups(nn.Linear(2, 2).requires_grad_(False), 0.1) == []


@pytest.mark.parametrize("method", METHODS)
def test_every_recipe_is_settings_and_views(method):
    for name in recipe_names(method):
        found = recipe(method, name)
        settings = PretrainSettings.from_recipe(found, steps=3)
        assert (settings.lr, settings.steps) == (found.lr, 3)
        assert PretrainSettings.from_dict(settings.to_dict()) == settings
        assert len(recipe_views(found)) >= METHODS[method].views_needed


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lr": 0}, "The setting 'lr' must be > 0, got 0"),
        ({"optimiser": "adam"}, "The setting 'optimiser' must be sgd or adamw or lars"),
        ({"loggers": ("wandb",)}, "The setting 'loggers' must be among"),
        ({"watch": "look"}, "The setting 'watch' must be warn, stop or None"),
        ({"speed": 1}, "There is no setting 'speed'"),
    ],
)
def test_wrong_settings_are_refused(change, message):
    with pytest.raises(TrainingError, match=message):
        PretrainSettings.from_dict(change)
