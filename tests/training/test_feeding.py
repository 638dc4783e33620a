"""Threads read the same batches that processes do, and a copy that runs ahead changes nothing."""

import pytest
import torch

from workbench.datasets import PairPolicy, TemporalPatches
from workbench.errors import ManifestError, TrainingError
from workbench.methods import MAE, MoCo
from workbench.models import resnet
from workbench.training import PretrainSettings
from workbench.training.batches import StepBatches, batch_loader
from workbench.training.devices import compile_blocks
from workbench.training.feeding import AHEAD, ReadBatches, on_device

CPU = torch.device("cpu")
SETTINGS = PretrainSettings(steps=9, batch_size=4, accumulate=2, accelerator="cpu")


@pytest.fixture
def dataset(make):
    return TemporalPatches(make(11), min_acquisitions=1, pairs=PairPolicy(), seed=3)


def read(dataset, *, start=0, stop=9, threads=3):
    from workbench.training.batches import Share

    asked = StepBatches(len(dataset), SETTINGS, seed=1, start=start, stop=stop, share=Share())
    return ReadBatches(dataset, asked, threads=threads, pin=False)


@pytest.mark.parametrize("start", [0, 5])
def test_threads_give_the_batches_of_a_data_loader(dataset, start):
    loader = batch_loader(dataset, SETTINGS, seed=1, start=start, stop=9)
    threads = read(dataset, start=start)
    assert len(threads) == len(loader) == 2 * (9 - start)
    for ours, theirs in zip(threads, loader, strict=True):
        assert ours.keys() == theirs.keys()
        for name in theirs:
            assert ours[name].dtype == theirs[name].dtype
            assert torch.equal(ours[name], theirs[name])


def test_no_more_batches_are_read_than_are_asked_for_soon(dataset):
    seen = []

    class Counted(TemporalPatches):
        def draw(self, i, epoch=None):
            seen.append(i)
            return super().draw(i, epoch)

    counted = Counted(dataset.patches, min_acquisitions=1, pairs=PairPolicy(), seed=3)
    batches = iter(read(counted))
    next(batches)
    assert len(seen) == 2 * (AHEAD + 1)  # two locations in each part of a batch
    batches.close()


def test_what_a_thread_meets_reaches_the_loop(dataset, tmp_path):
    for shard in tmp_path.rglob("pixels/c/0/0/0/0"):
        shard.write_bytes(b"")
    with pytest.raises(ManifestError):
        list(read(dataset))


def test_a_processor_takes_batches_as_they_are(dataset):
    given = list(read(dataset))
    assert all(a is b for a, b in zip(on_device(given, CPU), given, strict=True))


def test_every_block_of_all_networks_is_compiled_but_a_convnet_has_none(encoder):
    method = MAE(encoder(), decoder_width=16, decoder_depth=2, decoder_heads=2)
    names = list(method.state_dict())
    assert compile_blocks(method) == len(method.encoder.blocks) + 2
    assert list(method.state_dict()) == names
    with pytest.raises(TrainingError, match="ResNetEncoder has no blocks"):
        compile_blocks(MoCo(resnet(18, 6), hidden_dim=8, output_dim=8, queue_size=8))


@pytest.mark.gpu
def test_batches_arrive_whole_on_the_device(dataset):
    device = torch.device("cuda")
    loader = batch_loader(dataset, SETTINGS, seed=1, start=0, stop=9, device=device)
    wanted = list(read(dataset))
    for ours, want in zip(on_device(loader, device), wanted, strict=True):
        assert ours["images"].is_cuda
        busy = torch.randn(2048, 2048, device=device)
        for _ in range(20):
            busy = busy @ busy / busy.norm()
        assert torch.equal(ours["images"].cpu(), want["images"])
        assert torch.equal(ours["pairs"], want["pairs"])


@pytest.mark.gpu
@pytest.mark.slow
def test_compiled_blocks_give_the_same_loss_and_gradients(encoder):
    torch.manual_seed(0)
    method = MAE(encoder(), decoder_width=16, decoder_depth=1, decoder_heads=2).cuda()
    images = torch.randn(4, 6, 8, 8, device="cuda")
    found = []
    for _ in range(2):
        method.zero_grad()
        loss = method([images], torch.Generator().manual_seed(0)).loss
        loss.backward()
        found.append([loss.detach(), *(p.grad for p in method.parameters() if p.requires_grad)])
        compile_blocks(method)
    for plain, compiled in zip(*found, strict=True):
        torch.testing.assert_close(compiled, plain, rtol=1e-3, atol=1e-5)
