"""Fine-tuning: what each protocol trains and leaves alone, and that the tasks are learned."""

import numpy as np
import pytest
import torch
from torch import nn

from tests.training.made_examples import (
    BANDS,
    QUICK,
    PixelModel,
    changed,
    contract,
    examples,
    plain,
    scene,
    small_vit,
    weights,
)
from workbench.datasets.examples import scene_examples
from workbench.datasets.fractions import label_fraction
from workbench.models import SpectralAdapter, resnet
from workbench.models.heads import ClassificationModel, SiameseEncoder
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
