"""Archives: unpacked inside their folder, or not at all."""

import io
import tarfile
import zipfile

import pytest

from workbench.errors import TileError
from workbench.readers.archives import unpack

BAD_NAMES = ["../out.txt", "/tmp/out.txt", "a/../../out.txt", "..\\out.txt", "C:/out.txt"]


def make_zip(path, *names):
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, name)
    return path


def make_tar(path, *names, kind=tarfile.REGTYPE):
    with tarfile.open(path, "w:gz") as archive:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size, info.type = (len(name) if kind == tarfile.REGTYPE else 0), kind
            info.linkname = "/etc/passwd"
            archive.addfile(info, io.BytesIO(name.encode()))
    return path


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_plain_members_are_unpacked(tmp_path, make):
    archive = make(tmp_path / "x", "a/b.txt", "c.txt")
    found = unpack(archive, tmp_path / "out")
    assert [p.relative_to(tmp_path / "out").as_posix() for p in found] == ["a/b.txt", "c.txt"]
    assert found[0].read_text() == "a/b.txt"


@pytest.mark.parametrize("make", [make_zip, make_tar])
@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_member_that_leaves_the_folder_stops_all(tmp_path, make, name):
    archive = make(tmp_path / "x", "good.txt", name)
    with pytest.raises(TileError, match=r"must stay in its folder, but .*out.txt"):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(tmp_path, kind):
    archive = make_tar(tmp_path / "x", "link", kind=kind)
    with pytest.raises(TileError, match=r"must be plain files, but .*'link'"):
        unpack(archive, tmp_path / "out")


def test_a_symbolic_link_in_a_zip_is_refused(tmp_path):
    info = zipfile.ZipInfo("link")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "x", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(TileError, match=r"must be plain files"):
        unpack(tmp_path / "x", tmp_path / "out")


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 broken"])
def test_a_broken_archive_is_named(tmp_path, content):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(TileError, match=r"must be a whole zip or tar file"):
        unpack(tmp_path / "x", tmp_path / "out")
