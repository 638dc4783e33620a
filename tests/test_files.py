import hashlib

import pandas as pd
import pytest

from workbench.files import opened_once, sha256_of, whole_file


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
