"""What fine-tuning refuses, and says so before anything is trained."""

import numpy as np
import pytest

from tests.training.made_examples import (
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
from workbench.errors import ContractMismatchError, TrainingError
from workbench.models.heads import ClassificationModel
from workbench.training.finetune import finetune
from workbench.training.finetune_settings import FinetuneSettings
from workbench.training.protocols import Protocol


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


@pytest.mark.parametrize("labels", [(9, 1), (1, 9)])
def test_a_part_without_labels_is_told_before_anything_is_trained(labels):
    train, val = parts_labelled(*labels)
    model, told = PixelModel(3, 3), []
    before = weights(model)
    part, first = ("training", train.ids[0]) if labels[0] == 9 else ("validation", val.ids[0])
    with pytest.raises(TrainingError, match=rf"The {part} part .* all 16 images.*'{first}'") as why:
        finetune(
            model, train, val, protocol="scratch", standardise=plain, settings=QUICK,
            progress=lambda done, total: told.append(done),
        )  # fmt: skip
    assert "Is ignore_index (9) right" in str(why.value)
    assert not told
    assert not changed(before, model)


def test_a_few_labels_that_no_step_sees_are_told_too():
    train, val = parts_labelled(9, 1)
    row, col = train.source.corners[train.numbers[5]]
    train.source.labels[row, col] = 1
    with pytest.raises(TrainingError, match="the images of all 1 steps have none"):
        finetune(
            PixelModel(3, 3), train, val, protocol="scratch", standardise=plain,
            settings=FinetuneSettings(steps=1, batch_size=1), seed=0,
        )  # fmt: skip
    with pytest.raises(TrainingError, match="training part needs a label, but all 3 images"):
        finetune(
            PixelModel(3, 3), train, val, protocol="scratch", standardise=plain, chosen=[0, 1, 2],
        )  # fmt: skip
