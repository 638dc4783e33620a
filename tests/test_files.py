import hashlib

import pytest

from workbench.files import sha256_of, whole_file


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
