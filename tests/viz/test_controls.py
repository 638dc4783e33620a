import base64

import numpy as np
import pytest

from tests.viz.test_votes import vote
from workbench.errors import VoteError
from workbench.viz import Inspector, InspectorPatch
from workbench.viz.controls import InspectorWidget
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
