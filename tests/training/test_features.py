"""Features of frozen encoders: computed once, known by what made them, and what they cost."""

from dataclasses import replace

import torch
from torch.utils.flop_counter import FlopCounterMode

from tests.training.made_examples import (
    QUICK,
    examples,
    plain,
    small_vit,
)
from workbench.datasets.fractions import label_fraction
from workbench.models.heads import ClassificationModel
from workbench.training.features import FeatureCache
from workbench.training.finetune import finetune


def test_frozen_features_are_computed_once_for_a_sweep_and_equal_live_ones(tmp_path):
    train, val = examples(), examples(8, "b", 1)
    cache = FeatureCache(tmp_path)
    encoder = small_vit()
    for seed in range(3):
        chosen = label_fraction(train.occurrence(), 0.5, draw=seed)
        finetune(
            ClassificationModel(encoder, 2),
            train,
            val,
            protocol="frozen",
            standardise=plain,
            settings=QUICK,
            chosen=chosen,
            cache=cache,
            seed=seed,
        )
    assert cache.passes == 2  # train and val
    assert len(list(tmp_path.iterdir())) == 2
    again = FeatureCache(tmp_path)
    model = ClassificationModel(encoder, 2)
    kept = again.of(model, train, plain).maps[0]
    assert again.passes == 0
    with torch.no_grad():
        live = model.eval().features(torch.stack([train[i][0] for i in range(len(train))]))[0]
    assert torch.allclose(kept, live, atol=1e-6)


def test_other_weights_or_images_have_other_features(tmp_path):
    cache, train = FeatureCache(), examples()
    model = ClassificationModel(small_vit(), 2)
    first = cache.key(model, train, plain)
    assert cache.key(model, train.subset(range(5)), plain) != first
    with torch.no_grad():
        model.encoder.norm.weight[0] += 1
    assert cache.key(model, train, plain) != first


def test_features_are_known_by_weights_not_by_addresses():
    """Memory is given out again, and `.data` is written without a trace."""
    cache, train = FeatureCache(), examples()
    model = ClassificationModel(small_vit(), 2)
    first = cache.of(model, train, plain).maps[0]
    weight = model.encoder.norm.weight
    seen = weight.data_ptr(), weight._version
    weight.data.fill_(3)
    assert (weight.data_ptr(), weight._version) == seen
    found = cache.of(model, train, plain).maps[0]
    assert cache.passes == 2
    assert not torch.equal(found, first)
    del weight
    model.encoder = small_vit()  # may lie where the other one lay
    assert torch.equal(cache.of(model, train, plain).maps[0], first)
    model.encoder.norm.weight.data.fill_(3)
    twin = ClassificationModel(small_vit(), 2)
    twin.encoder.load_state_dict(model.encoder.state_dict())
    assert torch.equal(cache.of(twin, train, plain).maps[0], found)
    assert cache.passes == 2  # equal weights elsewhere are the same encoder


def test_operations_of_frozen_rows_count_one_pass_of_the_encoder(tmp_path):
    def flops(protocol, **options):
        found = finetune(
            ClassificationModel(small_vit(), 2), train, val, protocol=protocol, standardise=plain,
            settings=QUICK, **options,
        )  # fmt: skip
        return found.flops

    train, val = examples(), examples(8, "b", 1)
    encoder = small_vit().eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        encoder(train[0][0][None])
    of_image = counter.get_total_flops()
    head = 2 * (2 * 32 * 2)  # a linear layer, forward and back to its weights
    steps = QUICK.steps * QUICK.batch_size
    assert flops("frozen") == of_image * 24 + head * steps
    assert flops("frozen", chosen=range(6)) == of_image * 6 + head * steps
    assert flops("knn") == of_image * 24
    assert flops("full") > 2.5 * of_image * steps  # forward, and backward to weights and inputs
    for cache in (FeatureCache(tmp_path), FeatureCache(tmp_path)):  # the second reads the files
        assert flops("frozen", cache=cache) == of_image * 24 + head * steps


class Opposite:
    """The same images under another task: each label is the other one."""

    def __init__(self, source):
        self.source = source

    def __len__(self):
        return len(self.source)

    def __getitem__(self, i):
        found = self.source[i]
        return {"image": found["image"], "target": 1 - found["target"]}


def test_two_tasks_on_the_same_images_share_features_but_not_targets():
    cache, one = FeatureCache(), examples()
    other = replace(one, source=Opposite(one.source))
    model = ClassificationModel(small_vit(), 2)
    first, second = cache.of(model, one, plain), cache.of(model, other, plain)
    assert cache.passes == 1
    assert torch.equal(first.maps[0], second.maps[0])
    assert torch.equal(first.targets, one.source.labels)
    assert torch.equal(second.targets, 1 - one.source.labels)
