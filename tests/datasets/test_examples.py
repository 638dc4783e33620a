"""Examples and fractions: windows that share no pixel, beginnings that are fair samples."""

from itertools import pairwise

import numpy as np
import pytest

from tests.training.made_examples import contract, scene
from workbench.datasets.examples import Examples, scene_examples
from workbench.datasets.fractions import label_fraction
from workbench.errors import ContractMismatchError, ManifestError


def test_windows_of_a_scene_share_no_pixel_and_lie_in_blocks():
    image, labels = scene()
    found = scene_examples(
        image, labels, contract(3), ("a", "b", "c"), size=8, block=2, ignore_index=9
    )
    assert len(found) == 16
    assert len(set(found.groups)) == 4
    again = np.zeros_like(labels)
    for i in range(len(found)):
        row, col = found.source.corners[i]
        again[row : row + 8, col : col + 8] += 1
        assert np.array_equal(found[i][1].numpy(), labels[row : row + 8, col : col + 8])
    assert (again == 1).all()
    with pytest.raises(ContractMismatchError, match="right legend"):
        scene_examples(image, labels, contract(3), ("a", "b", "c"), size=8, block=2)


def test_fractions_are_nested_whole_and_stratified():
    rng = np.random.default_rng(0)
    occurrence = rng.random((200, 5)) < np.array([0.9, 0.5, 0.2, 0.05, 0.01])
    occurrence[0] = True
    chosen = [label_fraction(occurrence, f, draw=2, seed=1) for f in (0.01, 0.1, 0.5, 1.0)]
    for small, large in pairwise(chosen):
        assert set(small) < set(large)
    assert all(len(set(c)) == len(c) for c in chosen)
    assert all(occurrence[c].any(axis=0).all() for c in chosen)  # a floor of one for each class
    assert len(chosen[1]) == 20
    assert np.allclose(occurrence[chosen[2]].mean(0), occurrence.mean(0), atol=0.02)
    other = label_fraction(occurrence, 0.1, draw=3, seed=1)
    assert set(other) != set(chosen[1])
    with pytest.raises(ValueError, match="in \\(0, 1\\]"):
        label_fraction(occurrence, 0.0)


def test_examples_need_distinct_ids_and_a_group_each():
    image, labels = scene()
    found = scene_examples(
        image, labels, contract(3), ("a", "b", "c"), size=8, block=2, ignore_index=9
    )
    part = found.where(found.groups[:1])
    assert set(part.groups) == {found.groups[0]}
    assert part.subset([1]).ids == (part.ids[1],)
    assert found.occurrence().shape == (16, 3)
    with pytest.raises(ManifestError, match="Ids of examples must be distinct"):
        Examples(found.source, ("a",) * 16, found.groups, "classes", (), None, contract(3))
    with pytest.raises(ManifestError, match="an id and a group"):
        Examples(found.source, ("a",), ("a",), "classes", (), None, contract(3))
    with pytest.raises(ManifestError, match="none of 16"):
        found.where(["elsewhere"])
