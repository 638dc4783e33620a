"""Views against naive crops, flips and blurs; nothing clipped; the same views in every grouping."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from workbench.datasets.augmentation_draws import ViewOptions, draw_view
from workbench.datasets.augmentations import ViewPipeline, multi_crop, view_dates
from workbench.datasets.normalization import Normalizer
from workbench.datasets.resampling import cut_out, resample_all, resample_one
from workbench.datasets.statistics import patch_statistics
from workbench.errors import ContractMismatchError
from workbench.sensors import sensor

PLAIN = ViewOptions(horizontal_flip=0, vertical_flip=0)
BANDS = 7


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def stored(count=3, side=24, seed=0):
    """Stored numbers of an EnMAP-like batch, with a bright outlier, and their normaliser."""
    rng = np.random.default_rng(seed)
    level = np.linspace(500, 3000, BANDS)[:, None, None]
    numbers = (level + rng.normal(0, 300, (count, BANDS, side, side))).clip(100).astype(np.int16)
    numbers[0, :, 3, 3] = 16_000
    names = [f"B{n:03d}" for n in range(1, 10 * BANDS, 10)]
    contract = sensor("enmap").contract(names)
    normalizer = Normalizer(patch_statistics(numbers.swapaxes(0, 1), contract), contract)
    return torch.from_numpy(numbers), normalizer


def test_views_without_options_are_the_standardised_images():
    numbers, normalizer = stored()
    (view,) = ViewPipeline([PLAIN], normalizer=normalizer)(numbers, seeded())
    torch.testing.assert_close(view, normalizer(numbers), rtol=1e-5, atol=1e-5)


def test_standardised_data_are_not_clipped():
    batch = 4 * torch.randn(4, 5, 16, 16, generator=seeded())
    (view,) = ViewPipeline([ViewOptions(turn=0.5)])(batch, seeded(1))
    assert view.min() == batch.min() < -8
    assert view.max() == batch.max() > 8
    assert torch.equal(view.flatten(1).sort().values, batch.flatten(1).sort().values)


def naive_axis(start, length, size, pixels):
    """Weights (size, pixels) by the definition: a triangle around each place of the view."""
    weight = np.zeros((size, pixels))
    for k in range(size):
        at = start + (k + 0.5) * length / size - 0.5
        reach = max(1.0, length / size)
        for p in range(pixels):
            weight[k, p] = max(0.0, 1 - abs(at - p) / reach)
        weight[k] /= weight[k].sum()
    return weight


@pytest.mark.parametrize("size", [5, 9, 16, 40])
def test_a_box_is_resized_by_the_definition_wherever_it_lies(size):
    options = ViewOptions(crop=(0.1, 1.0), turn=0.5)
    images = torch.randn(8, 3, 20, 28, generator=seeded())
    drawn = draw_view(options, 8, torch.linspace(0, 1, 3), (20, 28), seeded(2))
    assert (drawn.box % 1 > 0).any()
    found = resample_all(images, drawn, size)
    for b in range(8):
        top, left, h, w = drawn.box[b].tolist()
        rows, columns = naive_axis(top, h, size, 20), naive_axis(left, w, size, 28)
        want = torch.from_numpy(rows @ images[b].double().numpy() @ columns.T).float()
        for axis, flipped in zip((1, 2), drawn.flip[b].tolist(), strict=True):
            want = want.flip(axis) if flipped else want
        want = want.rot90(int(drawn.quarter_turns[b]), (1, 2))
        torch.testing.assert_close(found[b], want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [7, 12, 20, 33])
def test_the_whole_image_is_resized_as_torch_does(size):
    images = torch.randn(2, 3, 20, 20, generator=seeded())
    (found,) = ViewPipeline([replace(PLAIN, size=size)])(images, seeded())
    want = F.interpolate(images, (size, size), mode="bilinear", antialias=True)
    torch.testing.assert_close(found, want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("flips", "turn"), [((0, 0), 0), ((1, 0), 1), ((0, 1), 2), ((1, 1), 3)])
def test_a_box_of_whole_pixels_is_copied_exactly(flips, turn):
    images = torch.randn(1, 3, 20, 28, generator=seeded())
    plain = draw_view(PLAIN, 1, torch.zeros(3), (20, 28), seeded())
    for top, left in ((0, 0), (3, 8), (12, 20)):
        drawn = replace(
            plain,
            box=torch.tensor([[top, left, 8.0, 8.0]], dtype=torch.float64),
            flip=torch.tensor([flips]).bool(),
            quarter_turns=torch.tensor([turn]),
        )
        want = images[0, :, top : top + 8, left : left + 8]
        want = want.flip([axis + 1 for axis in (0, 1) if flips[axis]]).rot90(turn, (1, 2))
        piece, moved = cut_out(images[0], drawn, 8)
        assert torch.equal(resample_one(piece, moved, 8), want)
        torch.testing.assert_close(resample_all(images, drawn, 8)[0], want, rtol=0, atol=1e-5)


def test_a_ramp_shows_where_a_box_lies_to_a_fraction_of_a_pixel():
    """Of an image whose value is its place, the view's value is the place that it shows."""
    y, x = torch.meshgrid(torch.arange(40.0), torch.arange(40.0), indexing="ij")
    plain = draw_view(PLAIN, 1, torch.zeros(2), (40, 40), seeded())
    for top, left, h, w, size, near in (
        (7.3, 9.8, 5.1, 6.7, 8, 1e-4),
        (11.25, 3.5, 20.0, 24.5, 6, 0.05),  # averages over whole pixels
    ):
        drawn = replace(plain, box=torch.tensor([[top, left, h, w]], dtype=torch.float64))
        found = resample_all(torch.stack([y, x])[None], drawn, size)[0]
        along = (torch.arange(size) + 0.5) / size
        torch.testing.assert_close(found[0, :, 0], top + along * h - 0.5, rtol=0, atol=near)
        torch.testing.assert_close(found[1, 0], left + along * w - 0.5, rtol=0, atol=near)


def boxes_of_torchvision(scale, ratio, count, side=5000):
    """Boxes of a large image, whose rounding does not matter, in shares of its side."""
    from torchvision.transforms import RandomResizedCrop

    torch.manual_seed(0)
    image = torch.empty(1, side, side)
    boxes = [RandomResizedCrop.get_params(image, list(scale), list(ratio)) for _ in range(count)]
    return torch.tensor(boxes).double() / side


@pytest.mark.parametrize("side", [8, 16, 64])
@pytest.mark.parametrize(
    ("scale", "ratio"),
    [((0.2, 1.0), (3 / 4, 4 / 3)), ((0.08, 1.0), (3 / 4, 4 / 3)), ((0.05, 0.4), (0.5, 2.0)),
     ((0.6, 1.0), (0.5, 2.0))],
)  # fmt: skip
def test_boxes_of_small_patches_are_distributed_as_torchvisions_of_large_images(side, scale, ratio):
    scipy_stats = pytest.importorskip("scipy.stats")
    want = boxes_of_torchvision(scale, ratio, 3000)
    options = ViewOptions(crop=scale, ratio=ratio)
    found = draw_view(options, 3000, torch.zeros(1), (side, side), seeded(5)).box / side
    told = {
        "area": lambda b: b[:, 2] * b[:, 3],
        "ratio": lambda b: b[:, 3] / b[:, 2],
        "top": lambda b: b[:, 0],
        "left": lambda b: b[:, 1],
        "centre": lambda b: b[:, 0] + b[:, 2] / 2,
    }
    for name, of in told.items():
        p = scipy_stats.ks_2samp(of(want).numpy(), of(found).numpy()).pvalue
        assert p > 1e-3, f"{name}: p = {p:.2g}"


def test_a_box_that_never_fits_is_the_largest_central_one():
    options = ViewOptions(crop=(0.999, 1.0), ratio=(2.0, 2.0))
    box = draw_view(options, 5, torch.zeros(1), (10, 12), seeded()).box
    want = torch.tensor([2.0, 0.0, 6.0, 12.0], dtype=torch.float64)
    torch.testing.assert_close(box, want.expand(5, 4))


def test_what_is_no_number_spreads_to_the_pixels_around_it_only():
    images = torch.randn(1, 2, 16, 16, generator=seeded())
    images[0, 1, 8, 8] = torch.nan
    plain = draw_view(PLAIN, 1, torch.zeros(2), (16, 16), seeded())
    drawn = replace(plain, box=torch.tensor([[3.3, 3.3, 10.0, 10.0]], dtype=torch.float64))
    found = resample_one(*cut_out(images[0], drawn, 12), 12)
    assert 0 < int(found[1].isnan().sum()) <= 9
    assert found[0].isfinite().all()


@pytest.mark.parametrize("size", [16, 32])  # pixels are averaged, or read between
def test_both_ways_of_resampling_agree_with_blur(size):
    options = ViewOptions(crop=(0.1, 1.0), turn=0.5, blur=0.7)
    images = torch.randn(10, 3, 20, 28, generator=seeded())
    drawn = draw_view(options, 10, torch.linspace(0, 1, 3), (20, 28), seeded(2))
    assert 0 < int((drawn.sigma > 0).sum()) < 10
    together = resample_all(images, drawn, size)
    for b in range(10):
        one = drawn.rows(slice(b, b + 1))
        alone = resample_one(*cut_out(images[b], one, size), size)
        torch.testing.assert_close(together[b], alone, rtol=1e-4, atol=1e-5)


def test_blur_is_a_gaussian_of_the_drawn_width():
    kornia = pytest.importorskip("kornia")
    options = replace(PLAIN, blur=1.0, blur_sigma=(1.5, 1.5))
    images = torch.randn(2, 4, 20, 20, generator=seeded())
    (view,) = ViewPipeline([options])(images, seeded())
    want = kornia.filters.gaussian_blur2d(images, (13, 13), (1.5, 1.5), "reflect")
    torch.testing.assert_close(view, want, rtol=1e-4, atol=1e-5)


def test_boxes_have_the_drawn_share_and_lie_inside():
    options = ViewOptions(crop=(0.2, 0.9))
    for height, width in ((100, 100), (8, 8), (7, 12)):
        box = draw_view(options, 2000, torch.zeros(1), (height, width), seeded()).box
        top, left, h, w = box.T
        share, ratio = h * w / (height * width), w / h
        assert float(share.min()) >= 0.2
        assert float(share.max()) <= 0.9 + 1e-9
        assert ratio.min() > 0.75 - 1e-9
        assert ratio.max() < 4 / 3 + 1e-9
        assert ((top >= 0) & (left >= 0)).all()
        assert ((top + h <= height + 1e-9) & (left + w <= width + 1e-9)).all()


def test_jitter_is_a_smooth_factor_on_the_reflectance():
    numbers, normalizer = stored()
    pipeline = ViewPipeline([replace(PLAIN, jitter=0.1)], normalizer=normalizer)
    (view,) = pipeline(numbers, seeded())
    before = numbers.float() * normalizer.contract.scale
    factor = normalizer.physical(view) / before
    for_band = factor.mean((2, 3), keepdim=True)
    torch.testing.assert_close(factor, for_band.expand_as(factor), rtol=1e-3, atol=1e-3)
    assert 0.9 <= float(for_band.min()) < float(for_band.max()) <= 1.1
    assert (normalizer.physical(view) >= 0).all()
    steps = for_band.diff(dim=1).abs()
    assert float(steps.max()) < 0.2 * 4 / (BANDS - 1) + 1e-6  # four straight pieces of the curve


def test_brightness_and_contrast_on_the_physical_scale():
    numbers, normalizer = stored()
    options = replace(PLAIN, colour=1.0, brightness=0.4, contrast=0.0)
    (bright,) = ViewPipeline([options], normalizer=normalizer)(numbers, seeded())
    factor = normalizer.physical(bright) / (numbers.float() * normalizer.contract.scale)
    for each in factor:
        torch.testing.assert_close(each, each.mean().expand_as(each), rtol=1e-3, atol=1e-3)
    assert float(factor.std()) > 0.05
    options = replace(options, brightness=0.0, contrast=0.4)
    (contrasted,) = ViewPipeline([options], normalizer=normalizer)(numbers, seeded())
    plain = normalizer(numbers)
    torch.testing.assert_close(contrasted.mean((2, 3)), plain.mean((2, 3)), rtol=1e-4, atol=1e-4)
    change = (contrasted.std((2, 3)) / plain.std((2, 3))).mean(1)
    assert ((change > 0.6) & (change < 1.4) & (change != 1)).all()


def test_gray_and_solarise_for_any_number_of_bands():
    batch = torch.randn(2, 5, 8, 8, generator=seeded())
    (gray,) = ViewPipeline([replace(PLAIN, gray=1.0)])(batch, seeded())
    torch.testing.assert_close(gray, batch.mean(1, keepdim=True).expand_as(batch))
    (solarised,) = ViewPipeline([replace(PLAIN, solarise=1.0)])(batch, seeded())
    middle = batch.mean((2, 3), keepdim=True)
    want = torch.where(batch > middle, 2 * middle - batch, batch)
    torch.testing.assert_close(solarised, want)


def test_dropped_bands_are_whole_bands_at_their_mean():
    batch = 5 + torch.rand(50, 20, 4, 4, generator=seeded())
    (view,) = ViewPipeline([replace(PLAIN, band_dropout=0.3)])(batch, seeded())
    is_zero = (view == 0).flatten(2)
    assert torch.equal(is_zero.all(2), is_zero.any(2))
    assert 0.25 < float(is_zero.float().mean()) < 0.35
    kept = ~is_zero.all(2)
    assert torch.equal(view[kept], batch[kept])


def test_what_was_not_measured_becomes_the_mean():
    numbers, normalizer = stored()
    numbers[1, 2, 5:9, 5:9] = -32_768
    (view,) = ViewPipeline([ViewOptions(crop=(0.5, 1.0))], normalizer=normalizer)(numbers, seeded())
    assert view.isfinite().all()
    assert view.abs().max() <= normalizer(numbers).nan_to_num(0).abs().max() + 1e-4
    (same,) = ViewPipeline([PLAIN], normalizer=normalizer)(numbers, seeded())
    assert same[1, 2, 5:9, 5:9].abs().max() < 1e-4


def every_option():
    return ViewOptions(
        size=16, crop=(0.2, 1.0), turn=0.5, blur=0.5, jitter=0.1, colour=0.8, gray=0.3,
        solarise=0.3, band_dropout=0.2,
    )  # fmt: skip


def test_the_same_generator_gives_the_same_views_in_any_grouping():
    numbers, normalizer = stored(count=6)
    views = multi_crop(every_option(), local_views=2, local_size=8)
    pipeline = ViewPipeline(views, normalizer=normalizer)
    whole = pipeline(numbers, seeded(3))
    again = pipeline(numbers, seeded(3))
    halves = [pipeline(numbers[3 * k : 3 * k + 3], seeded(3), part=(k, 2)) for k in (0, 1)]
    for v, view in enumerate(whole):
        assert torch.equal(view, again[v])
        assert torch.equal(view, torch.cat([half[v] for half in halves]))
    assert not torch.equal(whole[0], pipeline(numbers, seeded(4))[0])


def test_memory_is_used_again_only_when_asked():
    batch = torch.randn(2, 3, 8, 8)
    for reuse in (False, True):
        pipeline = ViewPipeline([PLAIN], reuse_memory=reuse)
        first, second = pipeline(batch, seeded())[0], pipeline(batch, seeded())[0]
        assert (first.data_ptr() == second.data_ptr()) is reuse


def test_each_view_shows_a_date_of_its_own():
    images = torch.arange(5.0)[:, None, None, None].expand(5, 2, 4, 4).clone()
    batch = {"pairs": torch.tensor([[0, 1], [3, 4]]), "singles": torch.tensor([2])}
    views = multi_crop(PLAIN, local_views=2, local_size=2)
    found = ViewPipeline(views)(images, seeded(), dates=view_dates(batch))
    assert [v[:, 0, 0, 0].round().int().tolist() for v in found] == [[0, 2, 3], [1, 2, 4]] * 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"crop": (0.5, 1.5)}, r"ViewOptions.crop must be \(smallest, largest\) in \(0, 1\]"),
        ({"blur": 1.5}, r"ViewOptions.blur must be in \[0, 1\], got 1.5"),
        ({"jitter": 1.0}, "ViewOptions.jitter, brightness, contrast and band_dropout must be"),
    ],
)
def test_options_outside_their_range_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        ViewOptions(**change)


def test_wrong_batches_are_refused():
    numbers, normalizer = stored()
    with pytest.raises(
        ContractMismatchError, match="must have a band for each of the contract's 7"
    ):
        ViewPipeline([PLAIN], normalizer=normalizer)(numbers[:, :3], seeded())
    with pytest.raises(ValueError, match="Without a normalizer the images must be float"):
        ViewPipeline([PLAIN])(numbers, seeded())
    with pytest.raises(ValueError, match="at least one view"):
        ViewPipeline([])
