"""The three lists of dependencies agree: pyproject.toml, environment.yml, requirements.lock."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
CONDA_NAME = {"torch": "pytorch-gpu", "playwright": "playwright-python"}  # others: the same name
ONLY_CONDA = {"python", "cuda-version"}
PAIRS = {"2.15": "0.29"}  # torch: torchvision, seen to import and run; add one with a new lock


def declared() -> dict[str, SpecifierSet]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    listed = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    requirements = [Requirement(line) for line in listed]
    return {canonicalize_name(r.name): r.specifier for r in requirements}


def conda_environment() -> dict:
    return yaml.safe_load((ROOT / "environment.yml").read_text())


def conda_packages() -> dict[str, SpecifierSet]:
    lines = conda_environment()["dependencies"]
    from_pip = next(line for line in lines if isinstance(line, dict))["pip"]
    plain = [line for line in lines if isinstance(line, str)]
    requirements = [Requirement(line) for line in [*plain, *from_pip] if not line.startswith("-e")]
    return {canonicalize_name(r.name): r.specifier for r in requirements}


def locked() -> dict[str, list[tuple[str, str]]]:
    """Name: (version, the rest of its block) of each pin; a name may be pinned per Python."""
    pins: dict[str, list[tuple[str, str]]] = {}
    text = (ROOT / "requirements.lock").read_text()
    for block in re.split(r"(?m)^(?=[A-Za-z0-9])", text)[1:]:
        name, version, rest = re.match(r"([\w.-]+)==(\S+)(.*)", block, re.DOTALL).groups()
        pins.setdefault(canonicalize_name(name), []).append((version, rest))
    return pins


def test_conda_asks_for_what_the_package_declares_with_the_same_floors():
    expected = {CONDA_NAME.get(name, name): spec for name, spec in declared().items()}
    found = {n: spec for n, spec in conda_packages().items() if n not in ONLY_CONDA}
    assert found == expected


def test_conda_takes_everything_from_conda_forge_and_a_gpu_build_of_torch():
    environment = conda_environment()
    assert environment["channels"] == ["conda-forge", "nodefaults"]
    assert "pytorch-gpu" in conda_packages()
    assert str(conda_packages()["cuda-version"]).startswith(">=")


def test_conda_and_the_package_want_the_same_python():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert conda_packages()["python"] == SpecifierSet(project["requires-python"])


def test_conda_installs_the_package_itself():
    assert "-e ." in str(conda_environment()["dependencies"][-1])


@pytest.mark.parametrize("name", sorted(declared()))
def test_the_lock_pins_every_dependency_within_its_bounds(name):
    versions = [version for version, _ in locked()[name]]
    assert versions
    assert all(declared()[name].contains(version, prereleases=True) for version in versions)


def test_every_pin_has_hashes_and_nothing_is_pinned_without():
    for name, pins in locked().items():
        for version, rest in pins:
            assert "--hash=sha256:" in rest, f"{name}=={version}"


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-uv.lock"])
def test_locks_name_no_index(lock):
    text = (ROOT / lock).read_text()
    assert not re.search(r"https?://|--(extra-)?index-url|--find-links|(?m:^-[if] )", text)


def minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


def test_torch_and_torchvision_are_locked_as_one_pair_for_every_python():
    torch, torchvision = ([v for v, _ in locked()[name]] for name in ("torch", "torchvision"))
    assert len(torch) == len(torchvision) == 1
    assert torch[0] != "2.13.0"
    assert minor(torchvision[0]) == PAIRS[minor(torch[0])]


def test_torchvision_runs_on_the_torch_beside_it():
    code = (
        "import torch, torchvision; boxes = torch.tensor([[0., 0, 2, 2], [0, 0, 2, 2]]);"
        "print(len(torchvision.ops.nms(boxes, torch.tensor([0.9, 0.8]), 0.5)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "1", done.stderr
