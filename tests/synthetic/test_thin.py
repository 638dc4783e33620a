"""The scene of thin structures: simulated, the same for a seed, and thin."""

import numpy as np

from workbench.synthetic.thin import THIN_4, thin_structures


def test_a_seed_gives_the_same_scene_and_another_one_another():
    one, same, other = (thin_structures(48, seed=seed, per_side=2) for seed in (0, 0, 1))
    assert np.array_equal(one.image.data.values, same.image.data.values)
    assert np.array_equal(one.labels, same.labels)
    assert not np.array_equal(one.labels, other.labels)
    assert one.image.data.shape == (6, 48, 48)
    assert one.image.contract.gsd_m == 10
    assert one.image.data.values.min() >= 1


def test_it_has_every_class_and_lines_of_a_few_pixels():
    scene = thin_structures(192, seed=0, per_side=2)
    share = np.bincount(scene.labels.ravel(), minlength=4) / scene.labels.size
    assert len(share) == len(THIN_4.classes)
    assert (share > 0.01).all()
    sealed = np.pad(scene.labels == 2, 2)
    inner = np.ones(scene.labels.shape, bool)
    for dy in range(5):
        for dx in range(5):
            inner &= sealed[dy : dy + 192, dx : dx + 192]
    assert inner.sum() < 0.02 * sealed.sum()  # hardly a pixel has 5 × 5 of its kind around it


def test_mixed_pixels_lie_between_their_covers():
    scene = thin_structures(192, seed=0, noise=0.0, per_side=2)
    near_infrared = scene.image.data.sel(band="B8").values
    water, trees = (near_infrared[scene.labels == k] for k in (3, 1))
    assert np.median(water) < np.median(trees)
    assert near_infrared.max() < 10_000
