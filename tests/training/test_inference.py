"""Tiles of a scene: every pixel once, no seam where the model sees no further than the overlap."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from workbench.datasets.normalization import Normalizer
from workbench.datasets.statistics import patch_statistics
from workbench.errors import TrainingError
from workbench.sensors import InputContract
from workbench.training.inference import NO_CLASS, even_side, pieces, predict_scene


@given(st.integers(1, 200), st.integers(1, 60), st.integers(0, 29))
def test_pieces_keep_every_pixel_once_with_the_overlap_around_it(length, tile, overlap):
    tile = min(tile, length)
    if overlap * 2 >= tile:
        return
    found = pieces(length, tile, overlap)
    kept = [pixel for p in found for pixel in range(*p.keep)]
    assert kept == list(range(length))
    for p in found:
        assert 0 <= p.start <= length - tile
        first, last = p.keep
        assert p.start + (overlap if p.start else 0) <= first
        assert last <= p.start + tile - (overlap if p.start + tile < length else 0)


@given(st.integers(1, 3000), st.integers(40, 600), st.integers(0, 19), st.sampled_from([1, 8, 32]))
def test_even_tiles_are_no_more_than_the_largest_ones_and_waste_less(
    length, tile, overlap, multiple
):
    side = even_side(length, tile, overlap, multiple)
    assert side <= max(tile, 1)
    large, even = (pieces(length, min(t, length), overlap) for t in (tile, side))
    assert len(even) <= len(large)
    assert len(even) * side <= len(large) * min(tile, length)


class Blurred(nn.Module):
    """Three 3 × 3 convolutions: it sees three pixels around each."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        layers = [nn.Conv2d(2, 6, 3, padding=1), nn.Tanh(), nn.Conv2d(6, 6, 3, padding=1)]
        self.layers = nn.Sequential(*layers, nn.Tanh(), nn.Conv2d(6, 4, 3, padding=1))

    def forward(self, images):
        return self.layers(images)


def scene(height, width):
    return np.random.default_rng(1).normal(size=(2, height, width)).astype(np.float32)


@pytest.mark.parametrize("shape", [(61, 83), (20, 90), (16, 16), (7, 40)])
def test_tiles_give_what_the_whole_scene_gives(tmp_path, shape):
    image, model = scene(*shape), Blurred()
    with torch.no_grad():
        whole = model.eval()(torch.from_numpy(image)[None]).argmax(1)[0].numpy()
    done = []
    found = predict_scene(
        model,
        lambda row, col, h, w: image[:, row : row + h, col : col + w],
        shape,
        tmp_path / "classes.npy",
        standardise=lambda x: x,
        tile=16,
        overlap=3,
        progress=lambda *told: done.append(told),
    )
    assert np.array_equal(found, whole)
    assert done[-1][0] == done[-1][1]


class Strided(nn.Module):
    """Stride 4, continued at the far edges with the last pixels, as `SegmentationModel` does."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.down = nn.Conv2d(2, 6, 3, stride=4, padding=1)
        self.head = nn.Conv2d(6, 4, 3, padding=1)

    def forward(self, images):
        height, width = images.shape[2:]
        edges = (0, -width % 4, 0, -height % 4)
        maps = torch.tanh(self.down(nn.functional.pad(images, edges, mode="replicate")))
        fine = nn.functional.interpolate(maps, scale_factor=4)
        return self.head(fine)[..., :height, :width]


@pytest.mark.parametrize("shape", [(64, 64), (61, 83), (50, 30), (33, 97)])
def test_tiles_of_a_strided_model_begin_on_its_stride(tmp_path, shape):
    image, model = scene(*shape), Strided()
    with torch.no_grad():
        whole = model.eval()(torch.from_numpy(image)[None]).argmax(1)[0].numpy()

    def read(row, col, height, width):
        assert row + height <= shape[0]
        assert col + width <= shape[1]
        return image[:, row : row + height, col : col + width]

    found = predict_scene(
        model,
        read,
        shape,
        tmp_path / "classes.npy",
        standardise=lambda x: x,
        tile=32,
        overlap=8,
        multiple=4,
    )
    assert np.array_equal(found, whole)


def test_without_overlap_seams_show(tmp_path):
    image, model = scene(48, 48), Blurred()
    with torch.no_grad():
        whole = model.eval()(torch.from_numpy(image)[None]).argmax(1)[0].numpy()
    found = predict_scene(
        model,
        lambda row, col, h, w: image[:, row : row + h, col : col + w],
        (48, 48),
        tmp_path / "classes.npy",
        standardise=lambda x: x,
        tile=16,
        overlap=0,
    )
    wrong = np.argwhere(found != whole)
    assert len(wrong)
    near_an_edge = np.minimum(wrong % 16, 15 - wrong % 16).min(axis=1)
    assert near_an_edge.max() < 3


def test_a_failure_leaves_no_file_and_bad_tiles_are_refused(tmp_path):
    def broken(*_):
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="disk is gone"):
        predict_scene(Blurred(), broken, (9, 9), tmp_path / "a.npy", standardise=lambda x: x)
    assert not list(tmp_path.iterdir())
    with pytest.raises(TrainingError, match="overlap < tile / 2"):
        predict_scene(
            Blurred(), broken, (9, 9), tmp_path / "a.npy", standardise=lambda x: x, tile=4,
            overlap=2,
        )  # fmt: skip


class _Says(torch.nn.Module):
    """Class 2 of `classes` whatever it sees, or NaN."""

    def __init__(self, classes, value=5.0):
        super().__init__()
        self.classes, self.value = classes, value

    def forward(self, images):
        logits = torch.zeros(len(images), self.classes, *images.shape[2:])
        logits[:, 2] = self.value + 0 * images.sum(1)
        return logits


def test_pixels_without_data_have_no_class(tmp_path):
    image = np.random.default_rng(0).integers(100, 900, (2, 40, 40)).astype(np.int16)
    image[1, 20:24, 20:24] = -32768
    contract = InputContract("DN", 1.0, 0.0, -32768.0, ("a", "b"), (None,) * 2, (None,) * 2, 10.0)
    normalizer = Normalizer(patch_statistics(image, contract), contract)
    found = predict_scene(
        _Says(4), lambda r, c, h, w: image[:, r : r + h, c : c + w], (40, 40),
        str(tmp_path / "m.npy"), standardise=normalizer, tile=32, overlap=8,
    )  # fmt: skip
    wanted = np.full((40, 40), 2)
    wanted[20:24, 20:24] = NO_CLASS
    assert (found == wanted).all()


@pytest.mark.parametrize(
    ("model", "said"),
    [(_Says(300), "at most 255 classes"), (_Says(4, float("nan")), "must give numbers")],
)
def test_what_is_no_class_is_refused(tmp_path, model, said):
    def read(r, c, h, w):
        return np.ones((1, h, w), np.float32)

    with pytest.raises(TrainingError, match=said):
        predict_scene(
            model, read, (32, 32), tmp_path / "m.npy", standardise=lambda x: x, tile=32, overlap=8
        )
    assert not (tmp_path / "m.npy").exists()
