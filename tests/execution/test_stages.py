import logging

import pytest

from workbench.errors import NotebookRunError
from workbench.execution import RunFolder
from workbench.execution.opening import steps_of
from workbench.execution.records import RunRecord


@pytest.fixture
def stage(tmp_path, caplog):
    """A stage that counts how often it is made, and says why."""
    caplog.set_level(logging.INFO, "workbench.execution.stages")
    source = tmp_path / "input.txt"
    source.write_text("one")
    made = []

    def make(folder):
        made.append([path.name for path in folder.iterdir()])
        (folder / "checkpoint").write_text("half")
        if (tmp_path / "fails").exists():
            raise RuntimeError("interrupted")
        (folder / "result.txt").write_text(source.read_text() * 2)

    def run(seed=0, **options):
        out = RunFolder(tmp_path / "run", step="01")
        caplog.clear()
        folder = out.stage("cut", make, parameters={"seed": seed}, inputs=[source], **options)
        return folder, len(made), caplog.messages[-1].partition(": ")[2]

    run.made, run.source = made, source
    return run


def test_a_stage_runs_again_only_if_what_it_depends_on_has_changed(stage):
    folder, count, why = stage()
    assert (count, why) == (1, "not finished before")
    assert (folder / "result.txt").read_text() == "oneone"
    assert stage()[1:] == (1, "finished before, and nothing it depends on has changed")
    assert stage(seed=1)[1:] == (2, "parameter seed 0 -> 1")
    stage.source.write_text("two")
    assert stage(seed=1)[1:] == (3, "an input has changed")
    (folder / "result.txt").unlink()
    assert stage(seed=1)[1:] == (4, "its result is not as it was written")
    assert (folder / "result.txt").read_text() == "twotwo"


@pytest.mark.parametrize(("keep", "found"), [(False, []), (True, ["checkpoint"])])
def test_an_interrupted_stage_is_not_taken_for_finished(stage, tmp_path, keep, found):
    (tmp_path / "fails").touch()
    with pytest.raises(RuntimeError, match="interrupted"):
        stage()
    (tmp_path / "fails").unlink()
    assert stage(keep_partial=keep)[1:] == (2, "not finished before")
    assert stage.made[1] == found


def test_a_missing_input_and_a_bad_name_are_told(tmp_path):
    out = RunFolder(tmp_path, step="01")
    with pytest.raises(NotebookRunError, match="An input of a stage must be a file or a folder"):
        out.stage("cut", lambda folder: None, inputs=["nothing"])
    with pytest.raises(NotebookRunError, match="The name of an output must be letters"):
        out.stage("../cut", lambda folder: None)


def test_the_record_of_a_stage_is_none_of_a_step(stage, tmp_path):
    stage()
    RunRecord("run", "R", "c", "workbench run", "ok").write(tmp_path / "run")
    assert steps_of(tmp_path / "run") == []
