"""The adapter against its definition in Conv3d layers, its numbers, and its refusals."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tests.models.made_adapters import adapter_of
from workbench.errors import ModelError
from workbench.models import SpectralAdapter
from workbench.models.spectral_compiled import spectra_by_products
from workbench.models.spectral_function import lengths


def test_it_has_56192_parameters():
    for bands in (75, 202, 235):
        assert sum(p.numel() for p in SpectralAdapter(bands).parameters()) == 56_192


@pytest.mark.parametrize(
    ("bands", "expected"),
    [(202, (40, 8, 2)), (235, (47, 9, 3)), (198, (39, 7, 2)), (150, (30, 6, 2)), (75, (15, 3, 1))],
)
def test_the_spectrum_shrinks_as_published(bands, expected):
    assert lengths(bands) == expected
    rows = torch.zeros(1, 1, bands, 1, 1)
    found = []
    for layer in list(SpectralAdapter(bands).eval())[:-1]:
        rows = layer(rows)
        found += [rows.shape[2]] if isinstance(layer, nn.Conv3d) else []
    assert tuple(found) == expected


def test_its_state_is_that_of_the_published_layers():
    shapes = {name: tuple(v.shape) for name, v in SpectralAdapter(202).state_dict().items()}
    assert shapes["0.weight"] == (32, 1, 7, 1, 1)
    assert shapes["3.weight"] == (64, 32, 7, 1, 1)
    assert shapes["6.weight"] == (128, 64, 5, 1, 1)
    norms = {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}
    convs = {"weight", "bias"}
    assert set(shapes) == {f"{i}.{n}" for i in (0, 3, 6) for n in convs} | {
        f"{i}.{n}" for i in (1, 4, 7) for n in norms
    }


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("bands", [75, 150, 202, 235])
def test_the_form_for_compilers_computes_the_same(bands, training):
    plain = adapter_of(bands, dtype=torch.float64).train(training)
    other = copy.deepcopy(plain)
    spectra = torch.randn(2, bands, 5, dtype=torch.float64) * 2 + 3
    weights = torch.randn(2, 128, 5, dtype=torch.float64)
    wanted = plain.conv3d_form(spectra[..., None])[..., 0]
    found = spectra_by_products([other._block(i) for i in range(3)], spectra)
    torch.testing.assert_close(found, wanted)
    (wanted * weights).sum().backward()
    (found * weights).sum().backward()
    for (name, a), b in zip(other.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, atol=1e-9, rtol=1e-7, msg=name)
    for (name, a), b in zip(other.named_buffers(), plain.buffers(), strict=True):
        if "num_batches" not in name:  # the adapter counts, the function does not
            torch.testing.assert_close(a, b, msg=name)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("bands", "size"), [(202, (40, 17)), (75, (3, 5)), (235, (2, 2))])
def test_it_computes_what_the_conv3d_layers_do(training, bands, size):
    """Output, every gradient, the input's too, and BatchNorm's running moments; in float64."""
    fast = adapter_of(bands, dtype=torch.float64).train(training)
    plain = copy.deepcopy(fast)
    images = torch.randn(3, bands, *size, dtype=torch.float64) * 2 + 3
    weights = torch.randn(3, 128, *size, dtype=torch.float64)
    inputs = [images.clone().requires_grad_() for _ in range(2)]
    outputs = [fast(inputs[0]), plain.conv3d_form(inputs[1])]
    for output in outputs:
        (output * weights).sum().backward()
    torch.testing.assert_close(*outputs, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(inputs[0].grad, inputs[1].grad, rtol=1e-8, atol=1e-9)
    for (name, a), b in zip(fast.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-8, atol=1e-8, msg=name)
    for (name, a), b in zip(fast.named_buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9, msg=name)


def test_single_precision_agrees_too():
    fast = adapter_of(202)
    plain = copy.deepcopy(fast)
    images = torch.randn(2, 202, 24, 24)
    torch.testing.assert_close(fast(images), plain.conv3d_form(images), rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        fast.eval(), plain.eval()
        expected = plain.conv3d_form(images)
        torch.testing.assert_close(fast(images), expected, rtol=1e-4, atol=1e-4)


@settings(max_examples=20, deadline=None)
@given(row=st.integers(0, 4), column=st.integers(0, 6), seed=st.integers(0, 99))
def test_a_pixel_depends_on_its_own_spectrum_only(row, column, seed):
    adapter = adapter_of(80, seed).eval()
    images = torch.randn(1, 80, 5, 7, generator=torch.Generator().manual_seed(seed))
    changed = images.clone()
    changed[:, :, row, column] += 1
    with torch.no_grad():
        moved = (adapter(images) != adapter(changed)).any(1)[0]
    assert moved[row, column]
    assert moved.sum() == 1


@pytest.mark.slow
def test_moments_of_two_processes_are_those_of_one(tmp_path):
    """`nn.SyncBatchNorm` in its place: two gloo processes, unequal shares of the batch."""
    torch.manual_seed(0)
    images, target = torch.randn(5, 75, 4, 4), torch.randn(5, 128, 4, 4)
    whole = adapter_of(75)
    start = copy.deepcopy(whole.state_dict())
    (whole(images) * target).sum().backward()
    arguments = (str(tmp_path / "meet"), start, images, target, str(tmp_path))
    torch.multiprocessing.spawn(_half, arguments, nprocs=2)
    parts = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    for i, p in enumerate(whole.parameters()):
        found = parts[0]["grads"][i] + parts[1]["grads"][i]
        torch.testing.assert_close(found, p.grad, rtol=1e-3, atol=1e-3)
    for part in parts:
        for name, value in whole.named_buffers():
            torch.testing.assert_close(part["state"][name], value, rtol=1e-5, atol=1e-5)


def _half(rank, meet, start, images, target, folder):
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{meet}", rank=rank,
                                         world_size=2)  # fmt: skip
    adapter = SpectralAdapter(75)
    adapter.load_state_dict(start)
    adapter = nn.SyncBatchNorm.convert_sync_batchnorm(adapter)
    share = slice(0, 2) if rank == 0 else slice(2, 5)
    (adapter(images[share]) * target[share]).sum().backward()
    found = {"grads": [p.grad for p in adapter.parameters()], "state": adapter.state_dict()}
    torch.save(found, f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


def test_half_precision_comes_from_autocast():
    adapter = adapter_of(75)
    images = torch.randn(2, 75, 6, 6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = adapter(images)
    found.float().square().mean().backward()
    assert found.dtype == torch.bfloat16
    assert all(p.grad.dtype == torch.float32 for p in adapter.parameters())
    expected = adapter_of(75)(images)
    assert (found - expected).abs().mean() < 0.02 * expected.abs().mean()


def test_filters_answer_where_the_spectrum_has_their_shape():
    adapter = adapter_of(202).eval()
    images = torch.randn(2, 202, 3, 3)
    expected = adapter[2](adapter[1](adapter[0](images[:, None])))  # (B, 32, places, H, W)
    found = adapter.first_responses(images)
    torch.testing.assert_close(found, expected.movedim(2, -1), rtol=1e-4, atol=1e-4)
    assert adapter.first_filters().shape == (32, 7)
    centres = adapter.filter_centres_nm(torch.arange(202.0))
    assert len(centres) == 40
    np.testing.assert_allclose(centres[:3], [2.5, 7, 12])  # the first sees six bands, not seven


@pytest.mark.parametrize("bands", [1, 12, 74])
def test_too_few_bands_are_refused(bands):
    with pytest.raises(ModelError, match=f"needs at least 75 bands, got {bands}"):
        SpectralAdapter(bands)


def test_other_data_are_refused():
    adapter = SpectralAdapter(202)
    with pytest.raises(ModelError, match="made for 202 bands, but the data have 224"):
        adapter(torch.zeros(1, 224, 4, 4))
    with pytest.raises(ModelError, match=r"must be \(B, C, H, W\)"):
        adapter(torch.zeros(202, 4, 4))
    with pytest.raises(ModelError, match="more than one value"):
        SpectralAdapter(75)(torch.zeros(1, 75, 1, 1))
