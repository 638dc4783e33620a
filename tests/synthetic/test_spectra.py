import numpy as np
import pytest

from workbench.sensors import sensor
from workbench.synthetic import landscape as land
from workbench.synthetic import spectra
from workbench.synthetic.indian_pines import (
    CLASS_NAMES,
    SPECTRA_FILE,
    class_spectra,
    gaussian_weights,
    write_class_spectra,
)


def at(nm: float) -> int:
    return int(np.argmin(np.abs(spectra.wavelengths() - nm)))


def test_weights_average_under_the_band() -> None:
    samples = np.arange(400.0, 1000.0, 5.0)
    weights = gaussian_weights(samples, np.array([500.0, 702.5]), np.array([10.0, 30.0]))
    assert weights.sum(axis=1) == pytest.approx(1)
    assert weights @ samples == pytest.approx([500.0, 702.5])  # a straight line stays
    bent = weights @ (samples - 500) ** 2
    variance = (10 / 2.3548) ** 2
    assert bent[0] == pytest.approx(variance + 25 / 6, rel=0.05)  # plus that of the straight chords


def simulated_scene() -> tuple[np.ndarray, np.ndarray]:
    """A scene made from known spectra by the inverse of the documented correction."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(1, 17), 40).reshape(16, 40)
    cube = rng.integers(3000, 6000, (16, 1, 200)) + rng.integers(-200, 200, (16, 40, 200))
    return cube.astype(np.uint16), labels


def test_known_mean_and_covariance_come_back() -> None:
    """Linear in DN: a class that swings between two others shows their difference."""
    cube, labels = simulated_scene()
    cube[:] = cube[:, :1]  # no variation inside the classes …
    cube[4, ::2] = cube[1, 0]  # … but class 5, half class 2 and half class 3
    cube[4, 1::2] = cube[2, 0]
    nm, centres = np.linspace(400, 2500, 200), np.linspace(480, 2400, 30)
    table = class_spectra(cube, labels, nm, centres, np.full(30, 12.0))
    assert len(table) == 16 * 4
    assert table["name"].unique().tolist() == list(CLASS_NAMES)
    rows = table.set_index(["class", "row"]).filter(regex=r"^b\d").astype(float)
    second, third = rows.loc[(2, "mean")], rows.loc[(3, "mean")]
    assert np.abs(rows.loc[(5, "mean")] - (second + third) / 2).max() <= 1
    swing = (third - second) / 2 * np.sqrt(40 / 39)
    first = rows.loc[(5, "pc1")]
    assert np.abs(first - np.sign(swing.sum()) * swing).max() <= 1
    assert (rows.loc[(5, "pc2")] == 0).all()
    assert (rows.loc[(7, "pc1")] == 0).all()


def test_shipped_table_is_what_the_function_makes(tmp_path) -> None:
    """Same shape, columns and names as a table made anew (the scene itself is not shipped)."""
    cube, labels = simulated_scene()
    np.save(tmp_path / "Indian_pines_corrected.npy", cube)
    np.save(tmp_path / "Indian_pines_gt.npy", labels)
    made = write_class_spectra(tmp_path, tmp_path / "made.csv")
    first, shipped = (p.read_text().splitlines() for p in (made, SPECTRA_FILE))
    assert first[0] == shipped[0]
    assert [x.split(",")[1:4:2] for x in first[1:]] == [x.split(",")[1:4:2] for x in shipped[1:]]
    assert SPECTRA_FILE.stat().st_size < 200_000


def test_woods_are_green_plants_and_fields_are_soil_in_june() -> None:
    means, _ = spectra.class_table()
    woods, soil = means["woods"], means["corn_notill"]
    assert woods[at(670)] < woods[at(550)] < 0.3 * woods[at(860)]
    assert woods[at(1650)] > 2 * woods[at(2200)]
    assert soil[at(670)] > 2 * woods[at(670)]
    assert soil[at(2200)] > soil[at(860)] * 0.8


def test_seasons_turn() -> None:
    winter, _ = spectra.cover_spectra(15)
    summer, _ = spectra.cover_spectra(205)

    def ndvi(means: np.ndarray, code: int) -> float:
        red, near = means[code, at(660)], means[code, at(860)]
        return float((near - red) / (near + red))

    for code in (land.BROADLEAF, land.CORN, land.SOYBEAN):
        assert ndvi(summer, code) > ndvi(winter, code) + 0.2
    assert abs(ndvi(summer, land.ROAD) - ndvi(winter, land.ROAD)) < 0.1
    assert ndvi(summer, land.CONIFER) > 0.6
    assert summer[land.LAKE, at(1650)] < 150


def test_spectra_are_whole_numbers_that_float32_holds_exactly() -> None:
    means, parts = spectra.cover_spectra(120)
    assert means.shape == (16, 224)
    assert parts.shape == (16, 3, 224)
    for array in (means, parts):
        assert array.dtype == np.float32
        assert np.array_equal(array, np.rint(array))
    # 9 cells · 16ths · (mean + three components of at most 2.5 deviations) stay below 2^24
    assert 144 * (means.max() + 2.5 * 3 * np.abs(parts).max()) < 2**24


def test_formulas_look_like_what_they_are_called() -> None:
    assert spectra.cloud().min() > 1500
    assert spectra.cloud()[at(500)] > 7000
    assert spectra.snow()[at(500)] > 8000
    assert spectra.snow()[at(1650)] < 1500
    assert spectra.haze()[at(450)] > 3 * spectra.haze()[at(1650)]
    assert (spectra.noise_sigma() >= 7).all()
    assert len(sensor("enmap").bands) == spectra.N_BANDS
