"""Band tables against the published facts; contracts that name what differs."""

import json
import math

import numpy as np
import pytest

from workbench.errors import ContractMismatchError
from workbench.sensors import SENSOR_NAMES, InputContract, sensor


@pytest.mark.parametrize(
    ("name", "bands", "kept"),
    [
        ("enmap", 224, 202),
        ("sentinel2_l1c", 13, 13),
        ("sentinel2_l2a", 13, 12),
        ("sentinel1", 2, 2),
        ("landsat7", 6, 6),
        ("landsat8", 7, 7),
        ("desis", 235, 235),
        ("eo1", 198, 198),
        ("aviris", 220, 200),
    ],
)
def test_every_sensor_has_its_bands_and_a_source(name, bands, kept):
    found = sensor(name)
    assert (len(found.bands), len(found.kept)) == (bands, kept)
    assert len({band.name for band in found.bands}) == bands
    assert found.source
    assert found.contract().band_names == found.kept
    assert name in SENSOR_NAMES


def test_enmap_delivers_vnir_before_swir_and_learns_by_wavelength():
    enmap = sensor("enmap")
    assert [b.detector for b in enmap.bands] == ["VNIR"] * 91 + ["SWIR"] * 133
    dropped = {b.number for b in enmap.bands} - {enmap.band(n).number for n in enmap.kept}
    assert dropped == {*range(127, 142), *range(161, 168)}
    wavelengths = enmap.contract().wavelengths_nm
    assert list(wavelengths) == sorted(wavelengths)
    # index 126 is raw band 142, 144 is 160, 145 is 168; VNIR and SWIR interleave at 79-100
    assert [enmap.kept[i] for i in (126, 144, 145)] == ["B142", "B160", "B168"]
    detectors = [enmap.band(name).detector for name in enmap.kept]
    assert set(detectors[:79]) == {"VNIR"}
    assert set(detectors[101:]) == {"SWIR"}
    assert detectors[79:82] == ["SWIR", "VNIR", "VNIR"] or detectors[79:81] == ["SWIR", "VNIR"]


def test_indian_pines_drops_the_water_bands():
    aviris = sensor("aviris")
    dropped = {b.number for b in aviris.bands} - {aviris.band(n).number for n in aviris.kept}
    assert dropped == {*range(104, 109), *range(150, 164), 220}


def test_level_2a_has_no_cirrus_band():
    assert set(sensor("sentinel2_l1c").kept) - set(sensor("sentinel2_l2a").kept) == {"B10"}


def test_equal_contracts_do_not_differ():
    contract = sensor("enmap").contract()
    assert contract.mismatch(sensor("enmap").contract()) == []
    contract.require_same(contract)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"units": "DN"}, "units is 'DN', not 'surface reflectance'"),
        ({"scale": 1.0}, r"scale is 1\.0, not 0\.0001"),
        ({"offset": -0.1}, r"offset is -0\.1, not 0\.0"),
        ({"nodata": None}, "nodata is None, not 0"),
        ({"gsd_m": 20.0}, r"gsd_m is 20\.0, not 10"),
        ({"band_names": ("B3", "B2")}, "band 0 is 'B3', not 'B2' .same bands, another order"),
        ({"wavelengths_nm": (492.7, 900.0)}, r"wavelengths_nm of 'B3' is 900\.0, not 559\.8"),
        ({"fwhm_nm": (65.0, None)}, r"fwhm_nm of 'B3' is None, not 35\.0"),
    ],
)
def test_a_mismatch_is_named(change, named):
    expected = sensor("sentinel2_l2a").contract(["B2", "B3"])
    found = InputContract.from_dict({**expected.to_dict(), **change})
    with pytest.raises(ContractMismatchError, match=f"Store 'x' must keep .* but .*{named}"):
        found.require_same(expected, thing="Store 'x'")


def test_another_number_of_bands_is_named():
    with pytest.raises(ContractMismatchError, match="it has 13 bands, not 12"):
        sensor("sentinel2_l1c").contract().require_same(sensor("sentinel2_l2a").contract())


def test_version_1_and_1_1_statistics_do_not_mix():
    v1, v11 = (sensor("sentinel2_l1c").contract(offset=offset) for offset in (None, -0.1))
    assert v1.mismatch(v11) == ["offset is 0.0, not -0.1"]


def test_wavelengths_of_two_scenes_may_differ_a_little():
    contract = sensor("enmap").contract()
    moved = InputContract.from_dict(
        {**contract.to_dict(), "wavelengths_nm": [w + 0.5 for w in contract.wavelengths_nm]}
    )
    assert moved.mismatch(contract) == []
    assert len(moved.mismatch(contract, tolerance_nm=0.1)) == 1


@pytest.mark.parametrize("name", SENSOR_NAMES)
def test_a_contract_survives_json(name):
    contract = sensor(name).contract()
    again = InputContract.from_dict(json.loads(json.dumps(contract.to_dict())))
    assert again.mismatch(contract, tolerance_nm=0) == []


def test_physical_values_are_scaled_and_nodata_is_nan():
    contract = sensor("sentinel2_l2a").contract(["B2"], offset=-0.1)
    values = contract.physical(np.array([[[0, 1000, 11_000]]], dtype=np.int16))
    assert values.dtype == np.float32
    assert math.isnan(values[0, 0, 0])
    assert values[0, 0, 1:].tolist() == pytest.approx([0.0, 1.0], abs=1e-6)


def test_selected_bands_keep_their_wavelengths():
    chosen = sensor("enmap").contract().select(["B200", "B001"])
    assert chosen.wavelengths_nm[1] == 418.24
    with pytest.raises(ContractMismatchError, match="No band named 'B130'"):
        sensor("enmap").contract().select(["B130"])


def test_unknown_names_are_refused():
    with pytest.raises(ContractMismatchError, match="Unknown sensor 'enmap-l2'"):
        sensor("enmap-l2")
    with pytest.raises(ContractMismatchError, match="has no band 'B99'"):
        sensor("landsat8").band("B99")


@pytest.mark.parametrize("change", [{"fwhm_nm": (1.0,)}, {"scale": 0.0}, {"gsd_m": -1.0}])
def test_a_contract_that_cannot_be_is_refused(change):
    with pytest.raises(ContractMismatchError, match=r"A contract names|must be positive"):
        InputContract.from_dict({**sensor("sentinel1").contract().to_dict(), **change})
