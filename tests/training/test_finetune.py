"""Fine-tuning: what each protocol trains and leaves alone, and that the tasks are learned."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from workbench.datasets.examples import Examples, scene_examples
from workbench.datasets.fractions import label_fraction
from workbench.errors import ContractMismatchError, TrainingError
from workbench.models import SpectralAdapter, resnet
from workbench.models.heads import ClassificationModel, SiameseEncoder
from workbench.models.vit import ViTEncoder, ViTSize
from workbench.sensors import sensor
from workbench.training.features import FeatureCache
from workbench.training.finetune import FinetuneResult, finetune
from workbench.training.finetune_run import Look
from workbench.training.finetune_settings import FinetuneSettings
from workbench.training.protocols import (
    Protocol,
    apply_protocol,
    encoder_parameters,
    rate_factors,
    set_training,
)

BANDS, SIDE = 75, 8
QUICK = FinetuneSettings(steps=12, batch_size=8, lr=3e-3, eval_every=6)


def small_vit(bands=BANDS, adapter=True):
    torch.manual_seed(0)
    return ViTEncoder(bands, SIDE, 4, ViTSize(32, 2, 2), adapter=adapter)


class Labelled:
    """Images whose labels can be told from the mean of two bands."""

    def __init__(self, size, bands=BANDS, seed=0):
        rng = np.random.default_rng(seed)
        labels = rng.integers(0, 2, (size, 2))
        images = rng.normal(0, 0.3, (size, bands, SIDE, SIDE)).astype(np.float32)
        images[:, :40] += labels[:, :1, None, None] * 2
        images[:, 40:] += labels[:, 1:, None, None] * 2
        self.images, self.labels = torch.from_numpy(images), torch.from_numpy(labels).float()

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        return {"image": self.images[i], "target": self.labels[i]}


def contract(bands=BANDS):
    return sensor("enmap").contract([f"B{i:03d}" for i in range(1, bands + 1)])


def examples(size=24, prefix="a", seed=0):
    names = tuple(f"{prefix}{i}" for i in range(size))
    return Examples(
        Labelled(size, seed=seed), names, names, "presence", ("x", "y"), None, contract()
    )


def plain(images):
    return images.float()


def weights(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def changed(before, module):
    now = module.state_dict()
    return {name for name in before if not torch.equal(before[name], now[name])}


def test_adapter_only_trains_exactly_the_published_number_of_encoder_weights():
    model = ClassificationModel(resnet_with_adapter(), 2)
    apply_protocol(model, Protocol("adapter"))
    assert encoder_parameters(model) == 56_192


def resnet_with_adapter():
    from workbench.models import spectral_resnet50

    return spectral_resnet50(BANDS)


@pytest.mark.parametrize("name", ["scratch", "full", "adapter", "frozen", "linear"])
def test_a_protocol_changes_its_part_and_nothing_else(name):
    model = ClassificationModel(small_vit(), 2)
    encoder, head = weights(model.encoder), weights(model.decoder)
    found = finetune(
        model, examples(), examples(8, "b", 1), protocol=name, standardise=plain, settings=QUICK
    )
    assert changed(head, model.decoder)
    moved = changed(encoder, model.encoder)
    if name in ("frozen", "linear"):
        assert not moved  # BatchNorm statistics included
        assert found.encoder_parameters_trained == 0
    elif name == "adapter":
        assert moved
        assert all(key.startswith("adapter.") for key in moved)
    else:
        assert any(key.startswith("blocks.") for key in moved)
    assert found.flops > 0
    assert not model.training


def test_as_published_lets_statistics_move_and_nothing_else():
    model = ClassificationModel(small_vit(), 2)
    encoder = weights(model.encoder)
    protocol = Protocol("frozen", as_published=True)
    finetune(
        model, examples(), examples(8, "b", 1), protocol=protocol, standardise=plain, settings=QUICK
    )
    moved = changed(encoder, model.encoder)
    assert moved
    assert all("running" in key or "num_batches" in key for key in moved)


def test_the_same_seed_gives_the_same_weights_and_another_one_others():
    def run(seed):
        torch.manual_seed(3)
        model = ClassificationModel(small_vit(), 2)
        finetune(
            model,
            examples(),
            examples(8, "b", 1),
            protocol="full",
            standardise=plain,
            settings=QUICK,
            seed=seed,
        )
        return weights(model)

    first, again, other = run(0), run(0), run(1)
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert not all(torch.equal(first[k], other[k]) for k in first)


def test_an_easy_task_is_learned_by_training_and_by_neighbours():
    train, val = examples(32), examples(16, "b", 1)
    settings = FinetuneSettings(steps=60, batch_size=8, lr=3e-3, eval_every=20)
    model = ClassificationModel(small_vit(), 2)
    found = finetune(
        model, train, val, protocol="full", standardise=plain, settings=settings, seed=1
    )
    assert found.history[-1].val_score > 0.9 > found.history[0].val_score
    assert 0 < found.steps_to(0.95) <= 60
    voted = finetune(
        ClassificationModel(small_vit(), 2), train, val, protocol="knn", standardise=plain
    )
    assert voted.history[-1].val_score > 0.9
    assert voted.parameters_trained == 0


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


def test_rates_fall_from_the_head_to_the_first_layer():
    model = ClassificationModel(small_vit(), 2)
    protocol = Protocol("full", layer_decay=0.5)
    apply_protocol(model, protocol)
    factors = {id(p): f for f, group in rate_factors(model, protocol) for p in group}
    assert factors[id(model.decoder.weight)] == 1
    assert factors[id(model.encoder.blocks[1].mlp.fc1.weight)] == 0.5
    assert factors[id(model.encoder.blocks[0].mlp.fc1.weight)] == 0.25
    assert factors[id(model.encoder.pos_embed)] == 0.125
    assert len(factors) == sum(p.requires_grad for p in model.parameters())


def test_low_rank_updates_train_few_weights_and_leave_the_others():
    model = ClassificationModel(small_vit(), 2)
    before = model.encoder.blocks[0].attn.qkv.weight.clone()
    protocol = Protocol("full", lora_rank=2)
    finetune(
        model, examples(), examples(8, "b", 1), protocol=protocol, standardise=plain, settings=QUICK
    )
    names = [n for n, p in model.encoder.named_parameters() if p.requires_grad]
    assert names
    assert all("lora_" in name for name in names)
    assert torch.equal(model.encoder.blocks[0].attn.qkv.base_layer.weight, before)


def test_two_dates_give_the_difference_of_their_features():
    encoder = resnet(18, 3).eval()
    both = SiameseEncoder(encoder).eval()
    before, after = torch.randn(2, 2, 3, 32, 32)
    with torch.no_grad():
        found = both.feature_maps(torch.cat([before, after], dim=1))
        for one, a, b in zip(
            found, encoder.feature_maps(after), encoder.feature_maps(before), strict=True
        ):
            assert torch.allclose(one, a - b, atol=1e-5)
        assert not both(torch.cat([after, after], dim=1)).any()


def test_frozen_parts_stay_in_eval_mode():
    model = ClassificationModel(small_vit(), 2)
    for name, modes in {"frozen": (False, False), "adapter": (False, True)}.items():
        apply_protocol(model, Protocol(name))
        set_training(model, Protocol(name))
        assert (model.encoder.blocks.training, model.encoder.adapter.training) == modes
        assert model.decoder.training


def test_what_cannot_be_is_refused():
    train, val = examples(), examples(8, "b", 1)
    model = ClassificationModel(small_vit(), 2)
    with pytest.raises(TrainingError, match="must not share ground"):
        finetune(model, train, train, protocol="full", standardise=plain)
    with pytest.raises(TrainingError, match="no protocol 'half'"):
        finetune(model, train, val, protocol="half", standardise=plain)
    other = ClassificationModel(small_vit(76), 2)
    with pytest.raises(ContractMismatchError, match="takes 76 and they have 75"):
        finetune(other, train, val, protocol="full", standardise=plain)
    bare = ClassificationModel(small_vit(adapter=False), 2)
    with pytest.raises(TrainingError, match="this encoder has none"):
        finetune(bare, train, val, protocol="adapter", standardise=plain)
    settings = FinetuneSettings(loss="boundary")
    with pytest.raises(TrainingError, match="loss 'boundary' is for classes"):
        finetune(model, train, val, protocol="full", standardise=plain, settings=settings)
    with pytest.raises(TrainingError, match="form of 'full'"):
        Protocol("frozen", lora_rank=4)


def test_a_loss_that_is_no_number_names_its_examples():
    train = examples()
    train.source.images[3] = float("nan")
    with pytest.raises(TrainingError, match=r"(?s)must be a number.*a3"):
        finetune(
            ClassificationModel(small_vit(), 2),
            train,
            examples(8, "b", 1),
            protocol="full",
            standardise=plain,
            settings=QUICK,
        )


class PixelModel(nn.Module):
    """The smallest segmentation model: one convolution, then one more."""

    def __init__(self, bands, classes):
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(bands, 8, 1), nn.ReLU())
        self.encoder.bands = bands
        self.encoder.adapter = None
        self.decoder = nn.Conv2d(8, classes, 1)

    def features(self, images):
        return [self.encoder(images)]

    def decode(self, features, size):
        return self.decoder(features[0])

    def forward(self, images):
        return self.decode(self.features(images), images.shape[2:])


def scene(height=32, width=32, bands=3, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.repeat(rng.integers(0, 3, (height // 4, width // 4)), 4, 0), 4, 1)
    image = rng.normal(0, 0.2, (bands, height, width)) + np.eye(3)[labels].transpose(2, 0, 1)
    labels[0, 0] = 9
    return image.astype(np.float32), labels.astype(np.uint8)


def test_pixels_are_learned_and_an_all_ignored_batch_teaches_nothing():
    image, labels = scene(64, 64)
    labels[:8, :8] = 9  # one window without a label
    found = scene_examples(
        image, labels, contract(3), ("a", "b", "c"), size=8, block=4, ignore_index=9
    )
    groups = sorted(set(found.groups))
    train, val = found.where(groups[:3]), found.where(groups[3:])
    settings = FinetuneSettings(steps=80, batch_size=1, lr=2e-2, eval_every=40)
    result = finetune(
        PixelModel(3, 3), train, val, protocol="scratch", standardise=plain, settings=settings
    )
    assert result.history[-1].val_score > 0.9


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


def test_low_rank_updates_leave_the_frozen_adapters_statistics():
    model = ClassificationModel(small_vit(), 2)
    before = weights(model.encoder.adapter)
    finetune(
        model,
        examples(),
        examples(8, "b", 1),
        protocol=Protocol("full", lora_rank=2),
        standardise=plain,
        settings=QUICK,
    )
    assert not changed(before, model.encoder.adapter)


def test_steps_to_a_share_count_from_the_final_score_not_the_best():
    scores = [0.1, 0.5, 0.9, 0.6]
    history = [Look(10 * i, 0.0, 0.0, score) for i, score in enumerate(scores)]
    result = FinetuneResult(nn.Identity(), history, 20, 0, 0, 0.0, 0.0)
    assert result.steps_to(0.8) == 10  # 0.5 is more than 0.8 of 0.6, and less than that of 0.9
    assert result.steps_to(0.95) == 20
    history[-1] = Look(30, 0.0, 0.0, -0.2)
    assert np.isnan(result.steps_to())


def parts_labelled(train_label, val_label):
    found = scene_examples(
        scene(64, 64)[0],
        np.zeros((64, 64), np.uint8),
        contract(3),
        ("a", "b", "c"),
        size=8,
        block=4,
        ignore_index=9,
    )
    train, val = (found.where([g]) for g in sorted(set(found.groups))[:2])
    for part, label in ((train, train_label), (val, val_label)):
        for row, col in found.source.corners[list(part.numbers)]:
            found.source.labels[row : row + 8, col : col + 8] = label
    return train, val


@pytest.mark.parametrize(
    ("labels", "loss", "sentence"),
    [
        ((9, 1), "auto", "training part needs a label"),
        ((1, 9), "auto", "validation part needs a label"),
        ((7, 1), "auto", r"must be 0 to 2 or the ignored 9, but \d+ of a batch are not \(7\)"),
        ((1, 7), "boundary", r"must be 0 to 2 or the ignored 9, but \d+ of a batch are not \(7\)"),
    ],
)
def test_labels_outside_the_legend_and_parts_without_labels_are_refused(labels, loss, sentence):
    train, val = parts_labelled(*labels)
    settings = FinetuneSettings(steps=3, eval_every=1, loss=loss)
    with pytest.raises(TrainingError, match=sentence):
        finetune(
            PixelModel(3, 3), train, val, protocol="scratch", standardise=plain, settings=settings
        )


def test_a_fraction_keeps_one_sample_of_each_class():
    occurrence = np.zeros((100, 4), dtype=bool)
    occurrence[:, 0] = True
    for k in (1, 2, 3):
        occurrence[k, k] = True
    chosen = label_fraction(occurrence, 0.01)
    assert occurrence[chosen].any(axis=0).all()
    assert len(chosen) == 3  # more than the share, and no more than the floor needs


def test_the_adapter_is_the_published_one():
    assert sum(p.numel() for p in SpectralAdapter(BANDS).parameters()) == 56_192
