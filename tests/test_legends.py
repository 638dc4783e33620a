"""Class tables against the published code lists; codes outside them are errors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import ContractMismatchError
from workbench.legends import (
    CDL_14,
    CORINE_19,
    CORINE_19_GRID,
    HRL_LEAF_TYPE,
    HRL_TREE_MASK,
    LEGENDS,
    NLCD_15,
    Legend,
    LegendClass,
    tree_cover_density,
)

CORINE_CLASSES = [  # 1-based class k: its CORINE codes
    (111, 112), (121,), (211, 212, 213), (221, 222, 223, 241), (231,), (242,), (243,), (244,),
    (311,), (312,), (313,), (321, 333), (322, 323), (324,), (331,), (411, 412), (421, 422),
    (511, 512), (521, 522, 523),
]  # fmt: skip


def test_corine_codes_are_those_of_bigearthnet():
    assert [set(c.codes) for c in CORINE_19.classes] == [set(c) for c in CORINE_CLASSES]
    dropped = {122, 123, 124, 131, 132, 133, 141, 142, 332, 334, 335, 423}
    assert {c for c in CORINE_19.ignored if 0 < c < 999} == dropped


def test_corine_rasters_number_the_same_classes_from_1_to_44():
    codes = sorted({*CORINE_19.index_of_code, *CORINE_19.ignored} - {0, 999})
    assert len(codes) == 44
    numbers = np.arange(1, 45)
    assert (CORINE_19_GRID.encode(numbers) == CORINE_19.encode(np.array(codes))).all()


def test_crops_and_land_cover_codes_are_those_of_spectralearth():
    crops = [1, 2, 3, 4, 5, 6, 45, 54, 69, 72, 75, 76, 204, 210]
    assert CDL_14.encode(np.array(crops)).tolist() == list(range(14))
    assert CDL_14.encode(np.array([0, 61, 176, 255])).tolist() == [14] * 4  # fallow is ignored
    cover = [11, 21, 22, 23, 24, 31, 41, 42, 43, 52, 71, 81, 82, 90, 95]
    assert NLCD_15.encode(np.array(cover)).tolist() == list(range(15))
    assert NLCD_15.encode(np.array([12, 0])).tolist() == [15, 15]


def test_leaf_types_make_a_tree_mask():
    codes = np.array([[0, 1], [2, 255]], dtype=np.uint8)
    assert HRL_LEAF_TYPE.encode(codes).tolist() == [[0, 1], [2, 3]]
    assert HRL_TREE_MASK.encode(codes).tolist() == [[0, 1], [1, 2]]


@pytest.mark.parametrize("legend", LEGENDS.values(), ids=LEGENDS)
def test_legends_are_complete(legend):
    assert len(legend.names) == len(set(legend.names)) == len(legend)
    assert all(len(color) == 7 and color.startswith("#") for color in legend.colors)
    assert len(set(legend.colors)) == len(legend)
    assert legend.source
    assert legend.title


@given(st.lists(st.sampled_from(sorted(NLCD_15.index_of_code)), min_size=1), st.integers(0, 9))
def test_encoding_agrees_with_its_definition(codes, at):
    array = np.array(codes, dtype=np.int16).reshape(1, -1)
    expected = [[NLCD_15.index_of_code[code] for code in codes]]
    assert NLCD_15.encode(array).tolist() == expected


def test_classes_present_are_those_of_any_pixel():
    found = CORINE_19.present(np.array([[111, 112], [523, 335]]))
    assert np.flatnonzero(found).tolist() == [0, 18]


@pytest.mark.parametrize(
    ("legend", "code"), [(CORINE_19, 113), (NLCD_15, 13), (HRL_LEAF_TYPE, 3), (CDL_14, 256)]
)
def test_a_code_outside_the_legend_is_an_error(legend, code):
    codes = np.full((2, 3), next(iter(legend.index_of_code)))
    codes[1] = code
    with pytest.raises(ContractMismatchError, match=rf"Every code of map\.tif .* {code} \(3 pix"):
        legend.encode(codes, thing="map.tif")


def test_interpolated_codes_are_refused():
    with pytest.raises(ContractMismatchError, match="codes are whole numbers"):
        NLCD_15.encode(np.array([11.5]))


def test_a_code_in_two_classes_is_refused():
    with pytest.raises(ContractMismatchError, match="3 stands twice"):
        Legend("x", "X", (LegendClass("a", (1, 3), "#000000"), LegendClass("b", (3,), "#ffffff")))


def test_density_is_a_share_with_gaps():
    density = tree_cover_density(np.array([0, 50, 100, 254, 255], dtype=np.uint8))
    assert density[:3].tolist() == [0, 0.5, 1]
    assert np.isnan(density[3:]).all()
    with pytest.raises(ContractMismatchError, match=r"must be a percentage .* but 101 .1 pixels"):
        tree_cover_density(np.array([5, 101]))


def test_codes_of_alaska_and_fill_belong_to_no_class():
    codes = np.array([51, 72, 73, 74, 127, 250, 0, 12], dtype=np.uint8)
    assert NLCD_15.encode(codes).tolist() == [15] * 8
    assert NLCD_15.nodata_codes >= {0, 127, 250}


def test_whole_numbers_of_a_float_map_are_codes():
    codes = np.array([11, np.nan, 95], dtype=np.float32)
    assert NLCD_15.encode(codes).tolist() == [0, 15, 14]


def test_missing_pixels_may_hold_anything():
    codes = np.array([11, 199, 95], dtype=np.uint8)
    missing = np.array([False, True, False])
    assert NLCD_15.encode(codes, missing=missing).tolist() == [0, 15, 14]
    assert NLCD_15.present(codes, missing=missing).sum() == 2
    assert np.isnan(tree_cover_density(np.array([50, 180]), missing=missing[:2])[1])


def test_not_any_byte_raster_is_a_crop_map():
    with pytest.raises(ContractMismatchError, match=r"must be in the legend 'cdl14'"):
        CDL_14.encode(np.arange(256, dtype=np.uint8))
    listed = sorted([*CDL_14.index_of_code, *CDL_14.ignored])
    assert 120 < len(listed) < 150
