"""Normalisation: there and back, and one refusal for each published failure of the input scale."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from workbench.datasets.normalization import Normalizer
from workbench.datasets.statistics import band_statistics, patch_statistics
from workbench.errors import ContractMismatchError
from workbench.sensors import sensor

ENMAP = sensor("enmap").contract()
SENTINEL = sensor("sentinel2_l2a").contract()


def statistics_of(contract, low=200, high=6000, seed=0):
    rng = np.random.default_rng(seed)
    shape = (len(contract.band_names), 16, 16)
    return patch_statistics(rng.integers(low, high, shape).astype(np.int16), contract)


@pytest.fixture(scope="module")
def images():
    return torch.randint(
        200, 6000, (4, 202, 8, 8), dtype=torch.int16, generator=torch.Generator().manual_seed(1)
    )


@pytest.fixture(scope="module")
def normalizer():
    return Normalizer(statistics_of(ENMAP), ENMAP)


def test_standardised_is_the_definition(normalizer, images):
    statistics = statistics_of(ENMAP)
    wanted = (images.numpy() - statistics.mean[:, None, None]) / statistics.std[:, None, None]
    np.testing.assert_allclose(normalizer(images), wanted, rtol=1e-5, atol=1e-5)


def test_the_patches_of_the_statistics_have_mean_0_and_spread_1(images):
    statistics = band_statistics(images.numpy().__getitem__, range(4), ENMAP)
    found = Normalizer(statistics, ENMAP)(images)
    torch.testing.assert_close(found.mean((0, 2, 3)), torch.zeros(202), atol=1e-5, rtol=0)
    torch.testing.assert_close(found.std((0, 2, 3), correction=0), torch.ones(202))


def test_there_and_back_is_identity(normalizer, images):
    back = normalizer.invert(normalizer(images))
    torch.testing.assert_close(back.round().short(), images)


def test_physical_values_are_reflectance(normalizer, images):
    values = normalizer.physical(normalizer(images))
    np.testing.assert_allclose(values, ENMAP.physical(images.numpy()), atol=1e-6)


def test_nodata_is_nan_or_what_is_asked_for(images):
    holed = images.clone()
    holed[0, :, 0, 0] = -32768
    statistics = statistics_of(ENMAP)
    assert torch.isnan(Normalizer(statistics, ENMAP)(holed)[0, :, 0, 0]).all()
    filled = Normalizer(statistics, ENMAP, nodata_as=0.0)(holed)
    assert (filled[0, :, 0, 0] == 0).all()
    assert not torch.isnan(filled).any()


def test_nan_nodata_of_float_data():
    contract = sensor("sentinel1").contract()
    data = np.random.default_rng(0).normal(-12, 4, (2, 9, 9)).astype(np.float32)
    data[0, 0, 0] = np.nan
    normalizer = Normalizer(patch_statistics(data, contract), contract)
    stored = torch.from_numpy(data)
    assert torch.equal(torch.isnan(normalizer(stored)), torch.isnan(stored))


def test_the_statistics_are_saved_with_a_model(normalizer):
    assert set(normalizer.state_dict()) == {"mean", "std"}
    assert "202 bands of surface reflectance" in repr(normalizer)


def test_standardised_values_are_not_clipped_unless_asked_for(images):
    """torchgeo #3997: default augmentations clip half of standardised EuroSAT to [0, 1]."""
    bright = images.clone()
    bright[0, 0, 0, 0] = 24_723  # the highest number known of a SpectralEarth patch
    free = Normalizer(statistics_of(ENMAP), ENMAP)(bright)
    assert free.max() > 10
    assert (free < 0).float().mean() > 0.4
    assert Normalizer(statistics_of(ENMAP), ENMAP, clip=(-3, 3))(bright).abs().max() <= 3


def assert_refused(data_contract, statistics_contract, message):
    with pytest.raises(ContractMismatchError, match=message):
        Normalizer(statistics_of(statistics_contract), data_contract)


def test_reflectance_is_refused_by_statistics_of_dn():
    """torchgeo-bench: 105 (model, dataset) cells broken by the scale, the worst at chance."""
    assert_refused(replace(SENTINEL, scale=1.0), SENTINEL, r"scale is 1.0, not 0.0001")


def test_raw_dn_is_refused_by_a_model_of_reflectance():
    """torchgeo-bench PR #211: a model without statistics was fed raw DN."""
    assert_refused(
        replace(SENTINEL, units="DN"), SENTINEL, "units is 'DN', not 'surface reflectance'"
    )


def test_the_offset_of_a_new_baseline_is_refused():
    """Sentinel-2 baseline 04.00 added 1,000 to every DN."""
    assert_refused(
        sensor("sentinel2_l2a").contract(offset=-0.1), SENTINEL, r"offset is -0.1, not 0.0"
    )


def test_nodata_minus_32768_given_as_a_measurement_is_refused():
    """EnMAP-Box #458: bands without data hold -32768."""
    assert_refused(replace(ENMAP, nodata=None), ENMAP, "nodata is None, not -32768")


def test_a_fill_value_of_0_is_refused():
    """HyperCoast writes `_FillValue` 0, which is a dark pixel here."""
    assert_refused(replace(ENMAP, nodata=0), ENMAP, "nodata is 0, not -32768")


def test_lost_wavelengths_are_refused():
    """EnMAP-Box #266: wavelengths are lost when the TIFF is opened instead of the metadata."""
    lost = replace(ENMAP, wavelengths_nm=(None,) * 202, fwhm_nm=(None,) * 202)
    assert_refused(lost, ENMAP, "wavelengths_nm of 'B001' is None")


def test_the_shifted_wavelength_table_is_refused():
    """SpectralEarth's band table is wrong for 15 bands (indices 130-144); others copied it."""
    shifted = list(ENMAP.wavelengths_nm)
    shifted[130:145] = [w + 80 for w in shifted[130:145]]
    wrong = replace(ENMAP, wavelengths_nm=tuple(shifted))
    assert_refused(wrong, ENMAP, f"wavelengths_nm of '{ENMAP.band_names[130]}' is")


def test_detector_order_is_refused_by_statistics_in_wavelength_order():
    """VNIR and SWIR interleave between 902 and 993 nm; some number VNIR first."""
    by_detector = ENMAP.select(sorted(ENMAP.band_names))
    assert_refused(by_detector, ENMAP, r"same bands, another order")


def test_thirteen_bands_are_refused_by_statistics_of_twelve():
    """SSL4EO-S12 weights take 13 L1C bands, the forest data have 12 L2A bands."""
    names = sensor("sentinel2_l1c").contract().band_names
    l1c = replace(sensor("sentinel2_l1c").contract(), units=SENTINEL.units)
    assert_refused(l1c, SENTINEL, f"has {len(names)} bands, not 12")


def test_another_pixel_size_is_refused():
    assert_refused(replace(SENTINEL, gsd_m=20.0), SENTINEL, "gsd_m is 20.0, not 10")


@pytest.mark.parametrize("shape", [(3, 8, 8), (8, 8, 202), (202, 8)])
def test_no_operation_is_skipped_for_an_unexpected_number_of_bands(normalizer, shape):
    """lightly-train drops augmentations silently where there are not 3 channels."""
    with pytest.raises(ContractMismatchError, match="a band for each of the contract's 202"):
        normalizer(torch.zeros(shape))
    with pytest.raises(ContractMismatchError, match="a band for each of the contract's 202"):
        normalizer.invert(torch.zeros(shape))


def test_numbers_that_belie_their_contract_are_found(normalizer, images):
    """A wrong scale that the contract does not show: reflectance where DN is claimed."""
    normalizer.require_plausible(images)
    with pytest.raises(ContractMismatchError, match=r"must hold numbers like those of the stat"):
        normalizer.require_plausible(images * 1e-4, thing="A batch")
    with pytest.raises(ContractMismatchError, match="lie below"):
        normalizer.require_plausible(images.float() * 1e4)
    with pytest.raises(ContractMismatchError, match="must hold a measurement"):
        normalizer.require_plausible(torch.full_like(images, -32768))


def test_a_band_that_never_changes_is_refused():
    data = np.random.default_rng(0).integers(0, 9, (202, 4, 4)).astype(np.int16)
    data[7] = 3
    with pytest.raises(ContractMismatchError, match=r"Every band must have a spread.* B008 "):
        Normalizer(patch_statistics(data, ENMAP), ENMAP)
