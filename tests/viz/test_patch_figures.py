"""Figures of an extraction: what they count is what the tables hold; text from files stays text."""

import numpy as np
import pandas as pd
import PIL.Image
import pytest

from workbench.errors import EvaluationError
from workbench.execution import external_references
from workbench.extraction import (
    Progress,
    extract_patches,
    leak_report,
    locations_of,
    split_locations,
)
from workbench.extraction.sources import open_source
from workbench.sensors import sensor
from workbench.viz.maps_patches import fate_map, largest_group
from workbench.viz.patch_dates import dates_figure
from workbench.viz.patch_images import (
    TRUE_COLOUR,
    band_near,
    composite,
    shown_pictures,
    stretch_limits,
    stretched,
)
from workbench.viz.patch_plots import leak_comparison, rejection_reasons, spectra_through_time
from workbench.viz.patch_quality import _TileView, quality_figure
from workbench.viz.patch_tables import (
    leak_table,
    location_spectra,
    rejection_table,
    series_of,
    spectral_gaps,
)
from workbench.viz.progress import progress_bar, progress_html

PNG = b"\x89PNG"


@pytest.fixture(scope="module")
def reports(cut):
    locations = locations_of(cut.manifest)
    splits = {by: split_locations(locations, by=by, seed=0) for by in ("random", "component")}
    return {by: leak_report(split, locations) for by, split in splits.items()}


@pytest.fixture(scope="module")
def views(cut, reports):
    return {
        "quality": quality_figure(cut.tiles, cut.manifest, cut.rejected),
        "dates": dates_figure(cut.store, cut.manifest, cut.rejected),
        "spectra": spectra_through_time(cut.store, cut.manifest),
        "reasons": rejection_reasons(cut.manifest, cut.rejected),
        "leaks": leak_comparison(reports),
        "map": fate_map(cut.manifest, cut.rejected),
    }


# Every figure


@pytest.mark.parametrize("name", ["quality", "dates", "spectra", "reasons", "leaks", "map"])
def test_figures_have_a_picture_and_ask_the_network_for_nothing(views, name):
    view = views[name]
    assert view.png.startswith(PNG)
    assert view.title
    if view.page is not None:
        assert external_references(view.page) == []
        assert len(view.page) < 2e6


@pytest.mark.parametrize("empty", ["kept", "lost"])
def test_figures_stand_one_empty_table(cut, empty):
    tables = {"kept": cut.manifest, "lost": cut.rejected}
    tables[empty] = tables[empty].iloc[:0]
    kept, lost = tables["kept"], tables["lost"]
    assert quality_figure(cut.tiles, kept, lost, count=2).png.startswith(PNG)
    assert rejection_reasons(kept, lost).png.startswith(PNG)
    assert fate_map(kept, lost).png.startswith(PNG)
    if len(kept):
        assert dates_figure(cut.store, kept, lost).png.startswith(PNG)


def test_nothing_planned_is_an_error(cut):
    none = cut.manifest.iloc[:0], cut.rejected.iloc[:0]
    with pytest.raises(ValueError, match=r"^A figure of rejections needs a planned patch"):
        rejection_reasons(*none)
    with pytest.raises(ValueError, match=r"^A map of fates holds 1 to 15,000 locations, got 0"):
        fate_map(*none)
    with pytest.raises(ValueError, match=r"^A series needs at least one patch"):
        dates_figure(cut.store, *none)
    with pytest.raises(ValueError, match=r"^A figure of quality layers needs a tile"):
        quality_figure([], *none)


def test_text_from_files_cannot_end_a_script(cut):
    evil = "</script><script>alert(1)</script>"
    lost = cut.rejected.assign(detail=evil, tile_id=evil)
    for page in (fate_map(cut.manifest, lost).page, rejection_reasons(cut.manifest, lost).page):
        assert "<script>alert(1)" not in page


# Tables behind them


def test_rejections_are_counted_by_tile_and_reason(cut):
    table = rejection_table(cut.manifest, cut.rejected).set_index("tile_id")
    assert table["cut"].sum() == len(cut.manifest)
    assert table["planned"].sum() == len(cut.manifest) + len(cut.rejected)
    for tile, row in table.iterrows():
        mine = cut.rejected[cut.rejected["tile_id"] == tile]
        assert row["planned"] == row["cut"] + len(mine)
        for reason in set(table.columns) - {"component", "acquired", "planned", "cut"}:
            assert row[reason] == sum(reason in reasons for reasons in mine["reasons"])


def test_spectra_are_medians_of_clear_pixels(cut):
    name = cut.manifest.query("0 < cloud")["location_id"].iloc[0]
    table = location_spectra(cut.store, cut.manifest, name)
    rows = series_of(cut.store, cut.manifest, name)
    assert len(table) == 202 * len(rows)
    for when, part in table.groupby("acquired"):
        place = rows.loc[rows["acquired"] == when, "place"].iloc[0]
        clear = (cut.store.quality(place) & 0b0111_1111) == 0
        values = cut.store.pixels(place)[:, clear] * 1e-4
        known = dict(zip(part["band"], part["value"], strict=True))
        expected = np.median(values, axis=1)
        names = cut.store.contract.band_names
        assert [known[band] for band in names] == pytest.approx(expected, abs=1e-6)
        assert (part["pixels"] == clear.sum()).all()
        assert part["wavelength_nm"].is_monotonic_increasing


def test_gaps_are_where_enmap_drops_bands():
    gaps = spectral_gaps(sensor("enmap").contract())
    dropped = [b.wavelength_nm for b in sensor("enmap").bands if b.name not in sensor("enmap").kept]
    assert len(gaps) == 2
    assert all(any(a < nm < b for a, b in gaps) for nm in dropped)
    kept = sensor("enmap").contract().wavelengths_nm
    assert not any(a < nm < b for nm in kept for a, b in gaps)


def test_the_default_location_has_the_longest_series_and_changes_most(cut):
    rows = series_of(cut.store, cut.manifest, None)
    assert len(rows) == cut.manifest["n_acquisitions"].max()

    def change(place):
        patches = cut.manifest[cut.manifest["location_id"] == place]["place"]
        values = np.stack([cut.store.pixels(p)[202 // 3].astype(float) for p in patches])
        return values.std(axis=0).mean()

    longest = cut.manifest[cut.manifest["n_acquisitions"] == len(rows)]["location_id"].unique()
    assert rows["location_id"].iloc[0] == max(longest, key=change)


def test_an_unknown_location_says_what_ids_look_like(cut):
    with pytest.raises(ValueError, match=r"^A location must have a patch, but 'nowhere' has none"):
        dates_figure(cut.store, cut.manifest, cut.rejected, "nowhere")


def test_leaks_of_all_splits_are_in_one_table(reports):
    table = leak_table(reports)
    assert table["split"].unique().tolist() == ["random", "component"]
    assert (table.loc[table["split"] == "component", "share"] == 0).all()
    assert (table.loc[table["split"] == "random", "share"] > 0).any()


# Pixels


def test_the_nearest_bands_are_shown():
    contract = sensor("enmap").contract()
    centres = np.array(contract.wavelengths_nm)
    for nm in (480.0, 660.0, 1610.0):
        found = band_near(contract, nm)
        assert abs(centres[found] - nm) == np.abs(centres - nm).min()
    with pytest.raises(ValueError, match=r"^A picture needs bands with wavelengths"):
        band_near(sensor("sentinel1").contract(), 660.0)


def test_one_stretch_for_all_images_by_their_clear_pixels(cut):
    place = cut.manifest["place"].iloc[0]
    image = composite(cut.store.pixels(place), cut.store.contract, (660.0, 560.0, 480.0))
    bright = image + 10
    clear = np.ones(image.shape[:2], dtype=bool)
    limits = stretch_limits([image, bright], [clear, ~clear])
    assert np.allclose(limits, np.percentile(image.reshape(-1, 3), (2, 98), axis=0))
    assert stretched(bright, limits).min() == 1.0
    lost = image.copy()
    lost[0, 0] = np.nan
    assert stretched(lost, limits)[0, 0] == pytest.approx(0.72)
    assert np.isfinite(stretch_limits([np.full_like(image, np.nan)], [clear])).all()


# Progress


def test_progress_tells_numbers_and_escapes_the_label(capsys):
    html = progress_html("<b>Cutting</b>", Progress(3, 19, 1234, 5, 1))
    assert 'value="3" max="19"' in html
    assert "1,234 patches cut · 5 rejected · 1 unreadable" in html
    assert "<b>" not in html
    assert "tiles/s" not in html  # no rate is known from one look
    later = progress_html("Cutting", Progress(3, 19, 1234, 5, 1), rate=0.5)
    assert "0.5 tiles/s · about 32 s to go" in later
    progress_bar()(Progress(1, 1, 1, 0, 0))  # outside a notebook nothing is replaced
    assert "Traceback" not in capsys.readouterr().out


def test_a_finished_extraction_tells_its_progress_at_once(cut):
    told = []
    again = extract_patches(cut.plan, cut.tiles, cut.store.path.parent, progress=told.append)
    assert len(again.manifest) == len(cut.manifest)
    (progress,) = told
    assert progress.tiles_done == progress.tiles
    assert isinstance(again.manifest, pd.DataFrame)


def test_the_largest_group_is_the_component_of_most_locations(cut):
    sizes = cut.manifest.groupby("component")["location_id"].nunique()
    west, south, east, north = largest_group(cut.manifest)
    inside = cut.manifest.cx[west:east, south:north]
    assert inside.loc[inside["component"] == sizes.idxmax(), "location_id"].nunique() == sizes.max()
    assert (west, south, east, north) == tuple(
        cut.manifest[cut.manifest["component"] == sizes.idxmax()].total_bounds
    )
    with pytest.raises(ValueError, match="the manifest lists none"):
        largest_group(cut.manifest.iloc[:0])


def test_true_colour_is_three_bands_and_none_of_them_another(cut):
    tile = next(t for t in cut.tiles if t.id in set(cut.manifest["tile_id"]))
    view = _TileView(tile)
    with open_source(tile.path, tile.id) as source:
        step = max(1, max(source.grid.shape) // 600)
        every = source.contract.physical(
            source.pixels(source.grid.whole, slice(0, len(source.contract.band_names)))
        )
        places = [band_near(source.contract, nm) for nm in TRUE_COLOUR]
    assert len(set(places)) == 3
    for channel, place in enumerate(places):
        np.testing.assert_array_equal(view.image[..., channel], every[place, ::step, ::step])
    assert not np.array_equal(view.image[..., 0], view.image[..., 2])


def test_what_is_read_of_a_source_stays_what_it_was(cut):
    tile = next(t for t in cut.tiles if t.id in set(cut.manifest["tile_id"]))
    with open_source(tile.path, tile.id) as source:
        window = source.grid.whole
        first = source.pixels(window, slice(0, 1))
        kept = first.copy()
        borrowed = source.pixels(window, slice(0, 1), borrow=True)
        source.defective(window, slice(1, 2))
        np.testing.assert_array_equal(borrowed, kept)
        source.pixels(window, slice(1, 2))
        source.pixels(window, slice(2, 3), borrow=True)
    np.testing.assert_array_equal(first, kept)


def test_pictures_of_sixteen_bits_are_stretched_together_and_one_band_is_grey(tmp_path):
    ramp = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
    small = np.arange(64 * 64).reshape(64, 64).astype(np.uint8)
    for name, pixels in {"a": ramp, "b": ramp + 4096, "c": small}.items():
        PIL.Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    shown = shown_pictures({name: tmp_path / f"{name}.png" for name in "abc"})
    for name in "abc":
        assert shown[name].shape == (64, 64, 3)
        assert shown[name].dtype == np.uint8
        np.testing.assert_array_equal(shown[name][..., 0], shown[name][..., 2])
    assert len(np.unique(shown["a"])) > 100
    assert shown["a"].max() < shown["b"].max() == 255
    assert shown["a"].max() <= shown["b"].min() + 1
    np.testing.assert_array_equal(shown["c"][..., 0], small)
    (tmp_path / "d.png").write_text("none")
    with pytest.raises(EvaluationError, match=r"d\.png cannot be read as a picture"):
        shown_pictures({"d": tmp_path / "d.png"})
