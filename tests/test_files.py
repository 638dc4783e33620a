import hashlib

import pandas as pd
import pytest

from workbench.errors import UnsafePathError, WorkbenchError
from workbench.files import opened_once, path_inside, read_text, sha256_of, whole_file


def write(path, **columns):
    with whole_file(path) as temporary:
        pd.DataFrame(columns).to_parquet(temporary)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "b.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError), whole_file(target) as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["b.txt"]


def test_the_temporary_name_keeps_the_suffix_where_the_writer_needs_it(tmp_path):
    with whole_file(tmp_path / "figure.png", keep_suffix=True) as temporary:
        assert temporary.suffix == ".png"
        temporary.write_bytes(b"")
    with whole_file(tmp_path / "new" / "table.parquet") as temporary:
        assert not list(temporary.parent.glob("*.parquet"))
        temporary.write_bytes(b"")
        assert not list(temporary.parent.glob("*.parquet"))
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["table.parquet"]


def test_sha256_is_that_of_the_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"abc" * 100_000)
    assert sha256_of(tmp_path / "a") == hashlib.sha256(b"abc" * 100_000).hexdigest()


def test_a_table_replaced_while_it_is_read_is_read_as_it_was(tmp_path):
    path = tmp_path / "a.parquet"
    write(path, name=["first"])
    with opened_once(path) as file:
        write(path, name=["second"] * 1_000, more=range(1_000))
        assert pd.read_parquet(file).to_dict("list") == {"name": ["first"]}
    with opened_once(path) as file:
        assert len(pd.read_parquet(file)) == 1_000
    with pytest.raises(FileNotFoundError), opened_once(tmp_path / "none.parquet"):
        pass


def test_text_is_read_without_its_byte_order_mark_and_with_plain_line_ends(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbffirst\r\nsecond\rthird\n")
    assert read_text(tmp_path / "a.txt") == "first\nsecond\nthird\n"
    (tmp_path / "b.txt").write_bytes(b"ab\xe9")
    with pytest.raises(WorkbenchError, match=r"b\.txt must be UTF-8 text, but byte 2 is 0xe9"):
        read_text(tmp_path / "b.txt")


@pytest.mark.parametrize("name", ["a.txt", "a/b/c.json", "./a", "a..b", "...", "ü/%20"])
def test_a_path_inside_a_folder_is_resolved(tmp_path, name):
    assert path_inside(tmp_path, name) == (tmp_path / name).resolve()


@pytest.mark.parametrize(
    "name",
    ["", ".", "./.", "..", "../a", "a/../../b", "a/../b", "/etc/passwd", "C:\\a", "\\a", "a\0b"],
)
def test_a_path_that_leaves_its_folder_is_refused(tmp_path, name):
    with pytest.raises(UnsafePathError, match="A thing must stay inside"):
        path_inside(tmp_path, name, what="A thing")


def test_a_link_that_leads_out_is_refused_and_one_inside_is_followed(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "out").symlink_to(tmp_path)
    (tmp_path / "in" / "data").mkdir()
    (tmp_path / "in" / "same").symlink_to(tmp_path / "in" / "data")
    with pytest.raises(UnsafePathError):
        path_inside(tmp_path / "in", "out/a")
    assert path_inside(tmp_path / "in", "same/a") == tmp_path.resolve() / "in" / "data" / "a"
