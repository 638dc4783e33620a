import bz2
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.catalog import Entry
from workbench.catalog.entries import LocalSource
from workbench.errors import TileError
from workbench.readers.bigearthnet import read_bigearthnet_patches, sensing_time

LIST = "s1_s2_name_country_season.csv.bz2"
HEAD = "s1_name,s2_name,country,season"


def row(tile: str, datatake: str, col: int, row: int, *, s2_cell: str | None = None) -> str:
    s1 = f"S1A_IW_GRDH_1SDV_20170904T161304_{tile}_{col}_{row}"
    return f"{s1},{datatake}_{s2_cell or f'{col}_{row}'},Finland,Fall"


def entry_of(folder: Path, rows: list[str], head: str = HEAD) -> Entry:
    (folder / LIST).write_bytes(bz2.compress("\n".join([head, *rows, ""]).encode()))
    return Entry(
        name="ben",
        folder=folder,
        description="",
        sensor="sentinel2_l2a",
        layout="bigearthnet_scenes",
        source=LocalSource(type="local", path=LIST, obtain="write it"),
        license="",
        citation="",
        checksum=None,
        gsd=None,
        bands=None,
    )


A = "S2B_MSIL2A_20180204T094159"  # these three are one overpass, four seconds of writing apart
B = "S2B_MSIL2A_20180204T94160"
C = "S2B_MSIL2A_20180204T94161"
LATER = "S2A_MSIL2A_20180209T94031"
TRAPS = [
    row("35VNH", A, 0, 0),
    row("35VNJ", B, 90, 90),
    row("35VPK", B, 1, 0),
    row("35VPK", C, 2, 0),
    row("35VPK", LATER, 1, 0),
]


def test_the_table_says_place_and_date_of_every_patch(tmp_path):
    frame, _ = read_bigearthnet_patches(entry_of(tmp_path, TRAPS))
    assert frame["tile"].tolist() == ["35VNH", "35VNJ", "35VPK", "35VPK", "35VPK"]
    assert frame[["col", "row"]].to_numpy().tolist() == [[0, 0], [90, 90], [1, 0], [2, 0], [1, 0]]
    assert frame["datatake"].tolist() == [A, B, B, C, LATER]
    assert frame["sensed"].iloc[3] == datetime(2018, 2, 4, 9, 42, 1, tzinfo=UTC)
    assert frame["s2_name"].iloc[0] == f"{A}_0_0"
    assert frame["country"].unique().tolist() == ["Finland"]


def test_names_of_one_overpass_are_one_date(tmp_path):
    frame, report = read_bigearthnet_patches(entry_of(tmp_path, TRAPS))
    assert frame["overpass"].tolist() == [A, A, A, A, LATER]
    assert frame["acquired"].iloc[2] == datetime(2018, 2, 4, 9, 41, 59, tzinfo=UTC)
    assert report.overpasses == 2


def test_two_satellites_in_the_same_minute_are_two_dates(tmp_path):
    rows = [row("35VPK", "S2A_MSIL2A_20180204T094159", 1, 0), row("35VPK", A, 1, 0)]
    _, report = read_bigearthnet_patches(entry_of(tmp_path, rows))
    assert report.overpasses == 2
    assert report.cells_by_dates == {2: 1}


def test_the_report_counts_every_trap(tmp_path, caplog):
    rows = [
        *TRAPS,
        row("35VPK", LATER, 1, 0),  # repeated
        row("35VPK", "S2A_MSIL2A_20180209T094031", 1, 0),  # repeated, spelt in full
        row("35VPK", LATER, 3, 0, s2_cell="4_0"),  # contradictory
        row("35VPK", "S2A_MSIL2A_20180209T256131", 5, 0),  # hour 25
        row("35VPK", "S2A_MSIL2A_20180231T094031", 5, 0),  # 31 February
        row("35VPK", LATER, 91, 0),  # outside the tile
        row("33VPK", LATER, 5, 0),  # no such square
        "nonsense,S2A_MSIL2A_20180209T94031_5_0,Finland,Fall",
        f"S1A_IW_GRDH_1SDV_20170904T161304_35VPK_5_0,{LATER}_5,Finland,Fall",
        ",,,",
    ]
    frame, report = read_bigearthnet_patches(entry_of(tmp_path, rows))
    assert (report.rows, report.patches, len(frame)) == (15, 5, 5)
    assert (report.unreadable, report.contradictory, report.repeated) == (7, 1, 2)
    assert report.cells_by_dates == {1: 3, 2: 1}
    assert (report.cells, report.cells_of_several_dates) == (4, 1)
    assert (report.scenes, report.datatakes, report.datatakes_of_several_tiles) == (5, 4, 1)
    assert report.mended_times == {
        "20180204T94160": "20180204T094200",
        "20180204T94161": "20180204T094201",
        "20180209T94031": "20180209T094031",
    }
    assert "10 of 15 rows of the patch list are left out: 7 unreadable" in caplog.text


def test_a_clean_list_is_read_without_a_warning(tmp_path, caplog):
    read_bigearthnet_patches(entry_of(tmp_path, TRAPS))
    assert not caplog.records


def test_a_list_without_a_readable_row_is_refused(tmp_path):
    with pytest.raises(TileError, match="Entry 'ben': none of the 1 rows of the patch list"):
        read_bigearthnet_patches(entry_of(tmp_path, ["a,b,c,d"]))
    with pytest.raises(TileError, match="none of the 0 rows"):
        read_bigearthnet_patches(entry_of(tmp_path, []))


def test_a_list_without_the_names_is_refused(tmp_path):
    with pytest.raises(TileError, match="has no column s2_name, country"):
        read_bigearthnet_patches(entry_of(tmp_path, ["a,b"], head="s1_name,season"))


@given(st.datetimes(datetime(2015, 1, 1), datetime(2030, 1, 1)))
def test_a_time_survives_losing_its_leading_zeros(moment):
    moment = moment.replace(microsecond=0, tzinfo=UTC)
    day, clock = f"{moment:%Y%m%d}", f"{moment:%H%M%S}"
    assert sensing_time(f"{day}T{clock}") == moment
    assert sensing_time(f"{day}T{clock.lstrip('0') or '0'}") == moment


@pytest.mark.parametrize(
    "text", ["20180204T246000", "20180204T096100", "20181304T093020", "x", "20180204T9x020"]
)
def test_what_is_no_time_is_refused(text):
    with pytest.raises(ValueError, match=r"does not match|unconverted|invalid"):
        sensing_time(text)
