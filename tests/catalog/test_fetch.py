import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from workbench.catalog.fetch import cache_folder, fetch_package, is_fetched, wheel_folder
from workbench.errors import CatalogError


def all_files(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_named_members_arrive_unchanged_and_nothing_else(publish, source):
    wheel = publish({"tiny_data/a.csv": b"x\n1\n", "tiny_data/deep/b.bin": b"b", "setup.py": b"!"})
    folder = fetch_package(source, wheel.checksum)
    assert all_files(folder) == ["record.json", "tiny_data/a.csv", "tiny_data/deep/b.bin"]
    assert (folder / "tiny_data/a.csv").read_bytes() == b"x\n1\n"
    said = json.loads((folder / "record.json").read_text())
    assert said["checksum"] == wheel.checksum
    assert said["files"]["tiny_data/deep/b.bin"]["bytes"] == 1


def test_a_wheel_for_other_pythons_is_only_data(publish, source):
    wheel = publish(requires_python="<3.0")
    assert is_fetched(fetch_package(source, wheel.checksum))


def test_constraints_of_the_environment_have_no_say(publish, source, tmp_path, monkeypatch):
    wheel = publish()
    (tmp_path / "constraints.txt").write_text("tiny-data>=2\n")
    monkeypatch.setenv("PIP_CONSTRAINT", str(tmp_path / "constraints.txt"))
    assert is_fetched(fetch_package(source, wheel.checksum))


def test_nothing_of_the_wheel_is_installed(publish, source):
    wheel = publish({"tiny_data/__init__.py": b"raise SystemExit", "tiny_data/a.csv": b"1"})
    only_data = source.model_copy(update={"members": ["tiny_data/a.csv"]})
    fetch_package(only_data, wheel.checksum)
    done = subprocess.run([sys.executable, "-c", "import tiny_data"], capture_output=True)
    assert b"ModuleNotFoundError" in done.stderr


def test_a_second_fetch_needs_no_index(publish, source):
    wheel = publish()
    first = fetch_package(source, wheel.checksum)
    checksum = wheel.checksum
    wheel.path.unlink()
    assert fetch_package(source, checksum) == first


def test_other_members_of_a_kept_wheel_need_no_index(publish, source):
    wheel = publish()
    checksum = wheel.checksum
    first = fetch_package(source, checksum)
    wheel.path.unlink()
    other = source.model_copy(update={"members": ["tiny_data/a.csv"]})
    second = fetch_package(other, checksum)
    assert is_fetched(second)
    assert first != second
    assert second.name.startswith("tiny_data-1.0-")


def test_a_wrong_checksum_keeps_nothing(publish, source):
    publish()
    with pytest.raises(CatalogError, match=r"The wheel tiny_data-1\.0.* must have the checksum"):
        fetch_package(source, f"sha256:{'0' * 64}")
    assert all_files(cache_folder()) == []


@pytest.mark.usefixtures("index")
def test_an_unreachable_index_says_what_to_do(source):
    with pytest.raises(CatalogError, match=r"pip could not download tiny-data==1\.0") as caught:
        fetch_package(source, f"sha256:{'0' * 64}")
    message = str(caught.value)
    assert "Check the network" in message
    assert str(wheel_folder()) in message
    assert message.count("\n") == 2
    assert all_files(cache_folder()) == []


def test_a_cache_that_cannot_be_written_is_named(source, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "file"))
    with pytest.raises(CatalogError, match=r"The cache folder .*file must be writable") as caught:
        fetch_package(source, f"sha256:{'0' * 64}")
    assert "Set WORKBENCH_CACHE" in str(caught.value)
    assert str(caught.value).count("\n") == 1


@pytest.mark.usefixtures("index")
def test_a_network_that_is_cut_is_called_so(source, monkeypatch):
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")  # the discard port
    monkeypatch.setenv("PIP_RETRIES", "1")
    with pytest.raises(CatalogError, match="the package index cannot be reached"):
        fetch_package(source, f"sha256:{'0' * 64}")


@pytest.mark.usefixtures("index")
def test_a_python_without_pip_is_called_so(source, tmp_path, monkeypatch):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'python: No module named pip' >&2\nexit 1\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(CatalogError, match="this Python has no pip"):
        fetch_package(source, f"sha256:{'0' * 64}")


def test_a_wheel_put_into_the_cache_by_hand_is_used(keep, source):
    assert is_fetched(fetch_package(source, keep().checksum))


def test_a_foreign_wheel_in_the_cache_is_named_and_left_alone(keep, source):
    by_hand = keep().path
    with pytest.raises(CatalogError, match="must have the checksum") as caught:
        fetch_package(source, f"sha256:{'0' * 64}")
    assert str(by_hand) in str(caught.value)
    assert by_hand.exists()


def test_a_missing_member_is_named_and_leaves_no_folder(keep, source):
    wheel = keep({"tiny_data/a.csv": b"1"})
    with pytest.raises(CatalogError, match="has no member"):
        fetch_package(source, wheel.checksum)
    assert list((cache_folder() / "packages").iterdir()) == []


def test_an_incomplete_folder_is_replaced_and_the_loss_is_logged(keep, source, caplog):
    wheel = keep()
    folder = fetch_package(source, wheel.checksum)
    (folder / "tiny_data/a.csv").write_bytes(b"cut")
    assert not is_fetched(folder)
    assert fetch_package(source, wheel.checksum) == folder
    assert (folder / "tiny_data/a.csv").read_bytes() == b"x\n1\n"
    assert "was incomplete and is replaced" in caplog.text


def test_fetching_at_once_from_several_sides_gives_one_whole_folder(publish, source):
    wheel = publish()
    with ThreadPoolExecutor(4) as pool:
        folders = set(pool.map(lambda _: fetch_package(source, wheel.checksum), range(4)))
    (folder,) = folders
    assert is_fetched(folder)
    assert [p.name for p in folder.parent.iterdir()] == [folder.name]
