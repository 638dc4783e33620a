"""One set of weights for any sensor: what is generated follows the wavelengths alone."""

import pytest
import torch

from workbench.errors import ModelError
from workbench.models import ViTSize, WavelengthViT, wavelength_vit
from workbench.sensors import sensor

TINY = ViTSize(32, 2, 2)


def tiny():
    torch.manual_seed(0)
    return WavelengthViT([443.0, 560.0, 665.0], [20.0, 35.0, 30.0], 8, 4, TINY).eval()


@torch.no_grad()
def test_the_order_of_bands_does_not_matter():
    encoder = tiny()
    images = torch.randn(2, 3, 8, 8)
    expected = encoder(images)
    encoder.set_sensor([665.0, 443.0, 560.0], [30.0, 20.0, 35.0])
    torch.testing.assert_close(encoder(images[:, [2, 0, 1]]), expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_an_unseen_sensor_works_and_a_near_one_gives_near_tokens():
    encoder = tiny()
    images = torch.rand(2, 3, 8, 8)
    here = encoder.embed(images)
    encoder.set_sensor([444.0, 561.0, 664.0], [20.0, 35.0, 30.0])
    near = (encoder.embed(images) - here).norm()
    encoder.set_sensor([1600.0, 2200.0, 900.0], [90.0, 180.0, 20.0])
    far = (encoder.embed(images) - here).norm()
    assert near < far
    contract = sensor("enmap").contract()
    encoder.set_sensor(contract.wavelengths_nm, contract.fwhm_nm)
    assert encoder.bands == len(contract.band_names)
    assert encoder(torch.rand(1, encoder.bands, 8, 8)).isfinite().all()


def test_the_width_of_a_band_matters_and_everything_learns():
    encoder = tiny().train()
    narrow, _ = encoder.patch_embed(torch.tensor([560.0]), torch.tensor([10.0]))
    wide, _ = encoder.patch_embed(torch.tensor([560.0]), torch.tensor([100.0]))
    assert (narrow - wide).abs().max() > 1e-4
    encoder(torch.randn(2, 3, 8, 8)).square().sum().backward()
    assert all(p.grad is not None for p in encoder.parameters())


def test_its_state_fits_an_encoder_of_another_sensor():
    other = WavelengthViT([490.0], [65.0], 8, 4, TINY)
    weights = tiny().state_dict()
    other.load_state_dict(weights)
    torch.testing.assert_close(dict(other.state_dict()), dict(weights), rtol=0, atol=0)


def test_bands_without_a_wavelength_are_refused():
    with pytest.raises(ModelError, match="Every band needs a centre and a width"):
        wavelength_vit([443.0, None], [20.0, None])
    with pytest.raises(ModelError, match="2 centres, 1 widths"):
        tiny().set_sensor([443.0, 560.0], [20.0])
    with pytest.raises(ModelError, match=r"must be \(B, 3, H, W\)"):
        tiny()(torch.zeros(1, 4, 8, 8))
