import json

import pytest

from workbench.errors import NotebookRunError
from workbench.execution.files import (
    require_writable,
    write_json,
    write_text,
)


def test_a_file_is_replaced_whole(tmp_path):
    write_text(tmp_path / "a" / "b.txt", "one")
    write_text(tmp_path / "a" / "b.txt", "zwei ü")
    assert (tmp_path / "a" / "b.txt").read_text(encoding="utf-8") == "zwei ü"
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["b.txt"]


def test_json_comes_back_and_nan_is_refused(tmp_path):
    value = {"a": [1, 0.5, None], "ü": "x"}
    assert json.loads(write_json(tmp_path / "a.json", value).read_text(encoding="utf-8")) == value
    with pytest.raises(ValueError, match="Out of range"):
        write_json(tmp_path / "b.json", float("nan"))
    assert not (tmp_path / "b.json").exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    require_writable(tmp_path / "new" / "run")
    assert list((tmp_path / "new" / "run").iterdir()) == []
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(NotebookRunError, match=r"The run folder .*run must be writable") as caught:
        require_writable(tmp_path / "file" / "run")
    assert "--run-dir" in str(caught.value)
    assert str(caught.value).count("\n") == 1
