import stat
import zipfile

import pytest

from workbench.catalog.unpack import checksum_of, unpack_members
from workbench.errors import CatalogError


@pytest.fixture
def archive(tmp_path):
    def write(files):
        path = tmp_path / "data.whl"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
            for name, content in files.items():
                opened.writestr(name, content)
        return path

    return write


def test_size_and_checksum_of_each_file_are_returned(archive, tmp_path):
    path = archive({"a/b.txt": b"hello", "c.txt": b"other"})
    found = unpack_members(path, ["a/*"], tmp_path / "out")
    assert list(found) == ["a/b.txt"]
    assert found["a/b.txt"]["bytes"] == 5
    assert f"sha256:{found['a/b.txt']['sha256']}" == checksum_of(tmp_path / "out/a/b.txt")
    assert not (tmp_path / "out/c.txt").exists()


@pytest.mark.parametrize("name", ["../evil.txt", "/evil.txt", "a/../../evil.txt", "C:evil.txt"])
def test_a_member_that_leaves_the_folder_is_refused(archive, tmp_path, name):
    path = archive({name: b"x"})
    with pytest.raises(CatalogError, match="would be written outside its folder"):
        unpack_members(path, ["*"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_link_is_refused(archive, tmp_path):
    link = zipfile.ZipInfo("link.txt")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with pytest.raises(CatalogError, match="or is a link"):
        unpack_members(archive({link: b"/etc/hostname"}), ["link.txt"], tmp_path / "out")


def test_a_bomb_is_refused_before_it_is_unpacked(archive, tmp_path):
    path = archive({"bomb.bin": bytes(30 << 20)})
    with pytest.raises(CatalogError, match="more than allowed"):
        unpack_members(path, ["bomb.bin"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_more_than_the_limit_in_all_is_refused(archive, tmp_path):
    path = archive({"a": b"123456", "b": b"123456"})
    with pytest.raises(CatalogError, match="its members would unpack to"):
        unpack_members(path, ["*"], tmp_path / "out", max_bytes=11)
    assert len(unpack_members(path, ["*"], tmp_path / "out", max_bytes=12)) == 2


def test_a_damaged_archive_is_refused(tmp_path):
    (tmp_path / "data.whl").write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(CatalogError, match="cannot be unpacked"):
        unpack_members(tmp_path / "data.whl", ["*"], tmp_path / "out")


@pytest.mark.parametrize("at", range(40, 110, 10))
def test_a_flipped_byte_in_a_member_is_noticed(archive, tmp_path, at):
    path = archive({"a.bin": bytes(range(256)) * 4})
    content = bytearray(path.read_bytes())
    content[at] ^= 0xFF
    path.write_bytes(bytes(content))
    with pytest.raises(CatalogError, match="cannot be unpacked"):
        unpack_members(path, ["a.bin"], tmp_path / "out")


def test_a_pattern_without_a_match_is_named(archive, tmp_path):
    with pytest.raises(CatalogError, match=r"has no member '\*\.tif'"):
        unpack_members(archive({"a.csv": b"1"}), ["*.tif"], tmp_path / "out")
