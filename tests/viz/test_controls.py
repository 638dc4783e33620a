import base64
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from tests.viz.test_votes import vote
from workbench.errors import VoteError
from workbench.viz import Inspector, InspectorPatch
from workbench.viz.controls import InspectorWidget, RunPicker
from workbench.viz.votes import read_votes


@pytest.fixture
def inspector():
    ids = np.arange(64).reshape(8, 8) % 2
    image = np.zeros((8, 8, 3), np.uint8)
    patches = [InspectorPatch(f"p{k}", image, ids, ids, 1 - ids) for k in range(3)]
    return Inspector(patches, [("no", "#ffffff"), ("yes", "#000000")], gsd=30)


def test_every_vote_is_kept_at_once_and_read_again(inspector, tmp_path):
    path = tmp_path / "votes.parquet"
    widget = InspectorWidget(inspector, votes=path)
    assert not path.exists()
    widget.ballots = [vote("p0", "x", "A")]
    assert read_votes(path)["preferred"].tolist() == ["A"]
    widget.ballots = [vote("p0", "x", "B"), vote("p1", "x", "tie")]
    kept = read_votes(path, comparison=inspector.comparison).set_index("patch")["preferred"]
    assert (
        kept.to_dict()
        == {"p0": "B", "p1": "tie"}
        == dict(widget.votes.set_index("patch")["preferred"])
    )
    again = InspectorWidget(inspector, votes=path)
    assert again.votes.equals(widget.votes)


def test_votes_of_another_comparison_are_refused_and_stay(inspector, tmp_path):
    path = tmp_path / "votes.parquet"
    InspectorWidget(inspector, votes=path).ballots = [vote("p0", "x", "A")]
    before = path.read_bytes()
    other = Inspector(
        [InspectorPatch("p0", np.zeros((4, 4, 3), np.uint8), *[np.zeros((4, 4), int)] * 3)],
        [("no", "#ffffff"), ("yes", "#000000")],
        gsd=30,
    )
    with pytest.raises(VoteError, match="Votes must be of one comparison"):
        InspectorWidget(other, votes=path)
    assert path.read_bytes() == before


def test_where_widgets_do_not_live_a_picture_stands_in(inspector):
    data, _ = InspectorWidget(inspector)._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG")


@dataclass
class MadeRun:
    name: str
    status: str = "ok"

    @property
    def folder(self):
        return Path(self.name)

    def row(self):
        return self.name, self.status, ""


@dataclass
class MadeRuns:
    runs: list
    later: list = field(default_factory=list)

    def __len__(self):
        return len(self.runs)

    def __getitem__(self, index):
        return self.runs[index]

    def again(self):
        return MadeRuns(self.later)

    def _repr_html_(self):
        return f"<table>{len(self.runs)} runs</table>"


@dataclass
class MadeResult:
    kind: str
    title: str
    step: str = "01"

    def _repr_html_(self):
        return f"<p>{self.title}</p>"


@pytest.fixture
def opened():
    return []


@pytest.fixture
def results(opened):
    def results(folder):
        opened.append(str(folder))
        kinds = [] if str(folder) == "empty" else ["report", "figure", "table"]
        return [MadeResult(kind, f"{kind} of {folder}") for kind in kinds]

    return results


def test_a_picked_run_lists_its_results_and_a_picked_result_is_shown(results, opened):
    picker = RunPicker(MadeRuns([MadeRun("b", "failed"), MadeRun("a"), MadeRun("empty")]), results)
    assert picker.runs.options == ("b · failed", "a · ok", "empty · ok")
    assert picker.results.options[1] == "figure · 01 · figure of b"
    assert picker.message == "Choose a result."
    picker.results.index = 1
    assert picker.message == "<p>figure of b</p>"
    picker.runs.index = 1
    assert (picker.results.index, picker.message) == (None, "Choose a result.")
    picker.results.index = 2
    assert picker.message == "<p>table of a</p>"
    picker.runs.index = 2
    assert picker.results.options == ()
    assert picker.message == "This run has made nothing yet."
    assert opened == ["b", "a", "empty"]  # each was looked into once


def test_looking_again_keeps_the_run_that_was_chosen(results):
    first = [MadeRun("b"), MadeRun("a")]
    later = [MadeRun("c", "running"), *first]
    picker = RunPicker(MadeRuns(first, later), results)
    picker.runs.index = 1
    picker.look.click()
    assert picker.runs.options[picker.runs.index] == "a · ok"
    picker.look.click()  # now there are none
    assert picker.runs.options == ()
    assert picker.message == "There are no runs here yet."


def test_where_widgets_do_not_live_the_list_of_runs_stands_in(results):
    data, _ = RunPicker(MadeRuns([MadeRun("a")]), results)._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    assert data["text/html"] == "<table>1 runs</table>"
    assert data["text/plain"] == "a · ok"
