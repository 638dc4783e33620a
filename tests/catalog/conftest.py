"""A wheel made by hand and a folder pip takes for the package index: fetching without a network."""

import hashlib
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from workbench.catalog.entries import PackageSource
from workbench.catalog.fetch import wheel_folder

FILES = {"tiny_data/a.csv": b"x\n1\n", "tiny_data/deep/b.bin": bytes(range(256)) * 40}


@dataclass(frozen=True)
class Wheel:
    path: Path

    @property
    def checksum(self) -> str:
        return f"sha256:{hashlib.sha256(self.path.read_bytes()).hexdigest()}"


def build_wheel(folder: Path, files: Mapping[str, bytes], *, requires_python: str = "") -> Wheel:
    """Write tiny_data-1.0-py3-none-any.whl with these files, as the wheel format asks."""
    folder.mkdir(parents=True, exist_ok=True)
    metadata = "Metadata-Version: 2.1\nName: tiny-data\nVersion: 1.0\n"
    if requires_python:
        metadata += f"Requires-Python: {requires_python}\n"
    info = "tiny_data-1.0.dist-info"
    path = folder / "tiny_data-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        archive.writestr(f"{info}/METADATA", metadata)
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return Wheel(path)


@pytest.fixture
def index(tmp_path, monkeypatch) -> Path:
    """A folder that pip searches instead of any index; the cache is empty and private."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))
    return folder


@pytest.fixture
def publish(index) -> Callable[..., Wheel]:
    """Put a wheel of these files into the index."""

    def put(files: Mapping[str, bytes] = FILES, **about: str) -> Wheel:
        return build_wheel(index, files, **about)

    return put


@pytest.fixture
def keep(index) -> Callable[..., Wheel]:
    """Put a wheel of these files where fetched wheels are kept; pip is not asked then."""

    def put(files: Mapping[str, bytes] = FILES) -> Wheel:
        return build_wheel(wheel_folder(), files)

    return put


@pytest.fixture
def source() -> PackageSource:
    return PackageSource(
        type="package", name="tiny-data", version="1.0", members=["tiny_data/a.csv", "*/b.bin"]
    )
