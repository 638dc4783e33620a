import json
import time
from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import NotebookParameterError, NotebookRunError
from workbench.execution import RunOptions, run_sweep
from workbench.execution.sweeps import expand_grid, split_values, sweep_rows

WORDS = st.lists(st.text("abc123.", min_size=1, max_size=4), min_size=1, max_size=4, unique=True)


@given(st.dictionaries(st.text("pqrs", min_size=1), WORDS, min_size=1, max_size=3))
def test_a_grid_is_every_combination_once(values):
    texts = {name: ",".join(parts) for name, parts in values.items()}
    if all(len(parts) == 1 for parts in values.values()):
        with pytest.raises(NotebookParameterError, match="A grid needs a parameter with more"):
            expand_grid(texts)
        return
    members = expand_grid(texts)
    assert len(members) == prod(map(len, values.values()))
    assert len({tuple(m.texts.items()) for m in members}) == len({m.name for m in members})
    assert all(m.texts[name] in values[name] for m in members for name in values)


def test_commas_in_brackets_separate_nothing():
    assert split_values('[1, 2],{"a": [3, 4]},5') == ["[1, 2]", '{"a": [3, 4]}', "5"]


def test_names_of_members_are_names_of_folders():
    members = expand_grid({"path": "../a,b/c", "seed": "1"})
    assert [member.name for member in members] == ["001", "002"]
    assert members[0].values == {"path": "../a"}


def test_a_value_twice_is_refused():
    with pytest.raises(NotebookParameterError, match="'seed' has a value twice: '1,2,1'"):
        expand_grid({"seed": "1,2,1"})


@pytest.mark.notebook
def test_a_sweep_runs_all_tells_who_failed_and_resumes(write_notebook, tmp_path):
    notebook = write_notebook(
        "a",
        "from workbench.execution import RunFolder\nassert seed != 2, '<b>unlucky</b>'",
        "RunFolder(run_dir).metrics({'double': seed * 2})",
    )
    told = []
    failure = r"(?s)1 of 3 runs did not end well: seed=2\. The first:\na stopped.*<b>unlucky</b>"
    with pytest.raises(NotebookRunError, match=failure):
        run_sweep(
            notebook,
            texts={"seed": "1,2,3"},
            run_dir=tmp_path / "sweep",
            options=RunOptions(jobs=3),
            tell=told.append,
        )
    assert {note.step for note in told} == {f"seed={n}/a" for n in (1, 2, 3)}
    rows = sweep_rows(tmp_path / "sweep")
    assert [row["status"] for row in rows] == ["ok", "failed", "ok"]
    assert [row.get("a: double") for row in rows] == [2, None, 6]
    page = (tmp_path / "sweep" / "index.html").read_text()
    assert "2 of 3 runs ended well" in page
    assert 'href="seed%3D1/index.html"' in page
    again = run_sweep(notebook, texts={"seed": "1,3"}, run_dir=tmp_path / "sweep")
    assert [note.action for run in again for note in run.notes] == ["unchanged"] * 2
    assert len(json.loads((tmp_path / "sweep" / "sweep.json").read_text())["members"]) == 2


@pytest.mark.notebook
def test_the_wait_for_a_slot_is_not_the_time_of_a_run(write_notebook, tmp_path):
    notebook = write_notebook("a", "import time\ntime.sleep(1.5)")
    begun = time.monotonic()
    runs = run_sweep(notebook, texts={"seed": "1,2"}, run_dir=tmp_path, options=RunOptions(jobs=1))
    elapsed = time.monotonic() - begun
    assert sum(run.wall_seconds for run in runs) < elapsed + 1.5  # the end of one may overlap
    assert all(run.wall_seconds >= 1.5 for run in runs)
    assert runs[0].started < runs[1].started


def test_all_members_are_checked_before_any_runs(write_notebook, tmp_path):
    with pytest.raises(NotebookParameterError, match="needs 'seed' as int"):
        run_sweep(write_notebook("a", "1"), texts={"seed": "1,x"}, run_dir=tmp_path / "sweep")
    assert not (tmp_path / "sweep").exists()
