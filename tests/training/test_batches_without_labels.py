"""A batch that teaches nothing moves nothing; BatchNorm is never given a single value."""

import numpy as np
import pytest
import torch
from torch import nn

from tests.training.made_examples import PixelModel, plain, scene
from workbench.datasets.examples import scene_examples
from workbench.errors import TrainingError
from workbench.sensors import InputContract
from workbench.training import finetune
from workbench.training.batchnorm import with_statistics_of
from workbench.training.finetune_run import LiveImages, Run
from workbench.training.finetune_settings import FinetuneSettings
from workbench.training.protocols import Protocol
from workbench.training.validation import task_loss

NONE = (None,) * 3
CONTRACT = InputContract("DN", 1.0, 0.0, None, ("a", "b", "c"), NONE, NONE, 10.0)


def parts(ignored_rows):
    """Tiles of a scene, the first of which have no label."""
    image, labels = scene(64, 64)
    labels[:ignored_rows] = 9
    found = scene_examples(
        image, labels, CONTRACT, ("x", "y", "z"), size=8, block=4, ignore_index=9
    )
    groups = sorted(set(found.groups))
    return found.where(groups[:-1]), found.where(groups[-1:])


class Normed(PixelModel):
    """With BatchNorm over what may be a single pixel."""

    def __init__(self, pooled):
        super().__init__(3, 3)
        pool = nn.AdaptiveAvgPool2d(1) if pooled else nn.Identity()
        self.decoder = nn.Sequential(
            pool, nn.BatchNorm2d(8), nn.Upsample((8, 8)), nn.Conv2d(8, 3, 1)
        )


@pytest.mark.parametrize("loss", ["auto", "boundary"])
def test_steps_without_a_label_leave_every_bit_alone(loss):
    torch.manual_seed(0)
    train, val = parts(8)
    settings = FinetuneSettings(steps=40, batch_size=1, lr=2e-2, weight_decay=0.1, loss=loss)
    model = Normed(pooled=False)
    live = LiveImages(model, train, plain, "cpu"), LiveImages(model, val, plain, "cpu")
    rows = np.arange(len(train))
    run = Run(
        model, Protocol("scratch"), settings, task_loss(train, settings), live, rows, train, 0
    )
    ignored = 0
    for step in range(40):
        before = {k: v.clone() for k, v in model.state_dict().items()}
        found = run.step(step)
        same = [torch.equal(v, before[k]) for k, v in model.state_dict().items()]
        assert all(same) if found is None else not all(same)
        ignored += found is None
    assert 0 < ignored == run.steps_ignored < 40
    assert run.steps_made == 40 - ignored


def test_a_run_tells_how_many_steps_were_left_out(caplog):
    train, val = parts(8)
    settings = FinetuneSettings(steps=30, batch_size=1, eval_every=10)
    result = finetune(
        PixelModel(3, 3), train, val, protocol="scratch", standardise=plain, settings=settings
    )
    assert 0 < result.steps_ignored < 30
    assert f"{result.steps_ignored} of 30 steps were left out" in caplog.text


@pytest.mark.parametrize("protocol", ["scratch", "frozen"])
def test_a_batch_of_one_is_refused_before_training_where_batchnorm_sees_one_value(protocol):
    train, val = parts(0)
    more = {"protocol": protocol, "standardise": plain}
    one = FinetuneSettings(steps=3, batch_size=1)
    model = Normed(pooled=True)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with pytest.raises(
        TrainingError, match=r"BatchNorm needs more than one .*'decoder.1' gets one"
    ):
        finetune(model, train, val, settings=one, **more)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    finetune(Normed(pooled=False), train, val, settings=one, **more)
    finetune(
        Normed(pooled=True), train, val, settings=FinetuneSettings(steps=3, batch_size=2), **more
    )


def test_statistics_of_the_data_are_those_of_each_layers_input():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(2, 4, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.BatchNorm2d(4))
    images = 3 + 2 * torch.randn(64, 2, 6, 6)
    twin = with_statistics_of(network, images, batch_size=64)
    first = network[0](images)
    wanted = first.mean((0, 2, 3)), first.var((0, 2, 3))
    torch.testing.assert_close(twin[1].running_mean, wanted[0])
    torch.testing.assert_close(twin[1].running_var, wanted[1])
    assert not any(m.training for m in twin.modules())
    assert torch.equal(network[1].running_mean, torch.zeros(4))
    for a, b in zip(network.parameters(), twin.parameters(), strict=True):
        assert torch.equal(a, b)
