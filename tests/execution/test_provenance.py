import subprocess

import pytest

from workbench.execution.provenance import package_versions, provenance, source_hash


def git(folder, *arguments):
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(
        ["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True
    )


@pytest.fixture
def repository(tmp_path):
    git(tmp_path, "init")
    (tmp_path / "a.ipynb").write_text("{}")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "first")
    return tmp_path


def test_the_commit_is_that_of_the_notebook(repository):
    found = provenance(repository / "a.ipynb")
    assert len(found["commit"]) == 40
    assert found["dirty"] is False
    (repository / "a.ipynb").write_text("{ }")
    assert provenance(repository / "a.ipynb")["dirty"] is True


def test_outside_a_repository_there_is_no_commit(tmp_path):
    found = provenance(tmp_path / "a.ipynb")
    assert found["commit"] is None
    assert found["dirty"] is None


def test_code_packages_and_machine_are_told(tmp_path):
    found = provenance(tmp_path / "a.ipynb")
    assert len(found["source"]) == len(found["lock"]) == 64
    assert found["cores"] >= 1
    assert found["device"]
    assert found["packages"]["papermill"][0].isdigit()
    assert "pytest" not in found["packages"]
    assert source_hash() == found["source"]
    assert list(package_versions()) == sorted(package_versions())
