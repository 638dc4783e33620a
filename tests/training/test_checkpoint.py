"""A checkpoint gives its encoder back, and refuses to be taken for another."""

import io
import os
import pickle
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from workbench import models
from workbench.errors import CheckpointError, ContractMismatchError
from workbench.sensors import sensor
from workbench.training import (
    Card,
    EncoderSpec,
    build_encoder,
    describe_encoder,
    load_checkpoint,
    read_card,
    save_checkpoint,
)

CONTRACT = sensor("enmap").contract(["B001", "B020", "B040", "B060", "B080", "B100"])


@pytest.fixture
def saved(encoder, tmp_path):
    network = encoder()
    card = Card(contract=CONTRACT, encoder=describe_encoder(network), licence="CC0", steps=3)
    return save_checkpoint(tmp_path / "a.safetensors", network, card), network, card


def test_weights_and_card_come_back(saved):
    path, network, card = saved
    found, its_card = load_checkpoint(path, contract=CONTRACT)
    assert its_card == card == read_card(path)
    assert not found.training
    for ours, theirs in zip(found.parameters(), network.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert '"licence": "CC0"' in path.with_suffix(".json").read_text()


@pytest.mark.parametrize(
    "make",
    [
        lambda: models.vit("T", bands=3, image_size=8, token_size=4),
        lambda: models.spectral_vit("T", bands=75, image_size=8, token_size=4),
        lambda: models.wavelength_vit([500.0, 700.0], [10.0, 20.0], "T", 8, 4),
        lambda: models.resnet(18, bands=3, stem="detail"),
    ],
)
def test_every_encoder_says_how_it_is_made(make):
    encoder = make()
    spec = describe_encoder(encoder)
    twin = spec.build()
    twin.load_state_dict(encoder.state_dict())
    assert describe_encoder(twin) == spec
    assert (twin.bands, twin.strides) == (encoder.bands, encoder.strides)


def test_other_data_are_refused(saved):
    path, _, _ = saved
    with pytest.raises(ContractMismatchError, match=r"Data for the encoder of a\.safetensors must"):
        load_checkpoint(path, contract=replace(CONTRACT, scale=1.0))


def test_another_architecture_is_refused(saved, encoder):
    path, _, _ = saved
    with pytest.raises(
        CheckpointError, match=r"must be of the same network, but in a\.safetensors"
    ):
        load_checkpoint(path, encoder=encoder(bands=5))
    with pytest.raises(CheckpointError, match="There is no encoder 'nothing'"):
        build_encoder("nothing")
    with pytest.raises(CheckpointError, match="An encoder vit cannot be made"):
        EncoderSpec("vit", {"depth": 3}).build()


def test_truncated_and_foreign_files_are_refused(saved, tmp_path):
    path, network, _ = saved
    whole = path.read_bytes()
    for cut in (5, 200, len(whole) - 10):
        path.write_bytes(whole[:cut])
        with pytest.raises(CheckpointError, match="is not a whole safetensors file"):
            load_checkpoint(path)
    foreign = tmp_path / "b.safetensors"
    save_file(network.state_dict(), foreign)
    with pytest.raises(CheckpointError, match="must have a card of this package"):
        load_checkpoint(foreign)
    with pytest.raises(CheckpointError, match="There is no checkpoint at"):
        load_checkpoint(tmp_path / "c.safetensors")


class Code:
    def __reduce__(self):
        return os.mkdir, ("made_by_a_pickle",)


@pytest.mark.parametrize("write", ["pickle", "torch"])
def test_a_pickle_is_refused_unexecuted(write, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "evil.safetensors"
    if write == "pickle":
        path.write_bytes(pickle.dumps(Code()))
    else:
        buffer = io.BytesIO()
        torch.save({"weights": Code()}, buffer)
        path.write_bytes(buffer.getvalue())
    with pytest.raises(CheckpointError, match="is a pickle, which can run code"):
        load_checkpoint(path)
    assert not (tmp_path / "made_by_a_pickle").exists()
