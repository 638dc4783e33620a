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
    with pytest.raises(TileError, match=r"out.txt.* would be written outside its folder"):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(tmp_path, kind):
    archive = make_tar(tmp_path / "x", "link", kind=kind)
    with pytest.raises(TileError, match=r"'link' is not a plain file"):
        unpack(archive, tmp_path / "out")


def test_a_symbolic_link_in_a_zip_is_refused(tmp_path):
    info = zipfile.ZipInfo("link")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "x", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(TileError, match=r"is not a plain file"):
        unpack(tmp_path / "x", tmp_path / "out")


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 broken"])
def test_a_broken_archive_is_named(tmp_path, content):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(TileError, match=r"must be a whole zip or tar file"):
        unpack(tmp_path / "x", tmp_path / "out")


@pytest.mark.parametrize("make", ["zip", "tar"])
def test_a_bomb_is_refused_before_anything_is_written(tmp_path, make):
    """600 MB out of 0.6 MB, beside a small good file; the whole is below 1 GiB."""
    zeros = tmp_path / "zeros"
    with zeros.open("wb") as file:
        file.truncate(600 << 20)
    archive = tmp_path / "x"
    if make == "zip":
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as opened:
            opened.writestr("good.txt", "good")
            opened.write(zeros, "zeros")
    else:
        with tarfile.open(archive, "w:gz", compresslevel=1) as opened:
            opened.add(zeros, "zeros")
    assert archive.stat().st_size < 3 << 20
    with pytest.raises(TileError, match="more than allowed"):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_more_may_be_allowed(tmp_path):
    archive = make_zip(tmp_path / "x", "a.txt", "b.txt")
    with pytest.raises(TileError, match="its members would unpack to"):
        unpack(archive, tmp_path / "out", max_bytes=9)
    assert len(unpack(archive, tmp_path / "out", max_bytes=10)) == 2


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_a_link_that_lies_in_the_target_leads_nowhere_else(tmp_path, make):
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out" / "a").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(TileError, match="must stay inside"):
        unpack(make(tmp_path / "x", "a/b.txt"), tmp_path / "out")
    assert not list((tmp_path / "elsewhere").iterdir())
