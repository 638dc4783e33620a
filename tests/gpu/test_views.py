"""Views made on a CUDA device are those of the CPU: drawn alike, resampled to the same numbers."""

import numpy as np
import pytest
import torch

from workbench.datasets.augmentation_draws import ViewOptions
from workbench.datasets.augmentations import ViewPipeline, multi_crop
from workbench.datasets.normalization import Normalizer
from workbench.datasets.statistics import patch_statistics
from workbench.sensors import sensor

pytestmark = pytest.mark.gpu

EVERYTHING = ViewOptions(
    size=24, crop=(0.2, 1.0), turn=0.5, blur=0.5, colour=0.8, brightness=0.3, contrast=0.3,
    gray=0.3, solarise=0.3, jitter=0.1, band_dropout=0.1,
)  # fmt: skip


def views_on(device, pipeline, images, **given):
    generator = torch.Generator().manual_seed(7)
    return pipeline.to(device)(images.to(device), generator, **given)


def test_views_of_float_images():
    images = 3 * torch.randn(6, 9, 32, 40, generator=torch.Generator().manual_seed(0))
    pipeline = ViewPipeline(multi_crop(EVERYTHING, local_views=2, local_size=12))
    wanted = views_on("cpu", pipeline, images)
    found = views_on("cuda", pipeline, images)
    assert [v.shape[-1] for v in found] == [24, 24, 12, 12]
    for here, there in zip(wanted, found, strict=True):
        assert there.is_cuda
        assert there.dtype == torch.float32
        torch.testing.assert_close(there.cpu(), here, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("reuse", [False, True])
def test_views_of_stored_numbers_by_dates(reuse):
    """Standardised on the way, holes filled, each view from its own date."""
    rng = np.random.default_rng(0)
    names = [f"B{n:03d}" for n in range(1, 90, 10)]
    contract = sensor("enmap").contract(names)
    numbers = rng.integers(200, 4000, (5, len(names), 32, 32)).astype(np.int16)
    normalizer = Normalizer(patch_statistics(numbers.swapaxes(0, 1), contract), contract)
    numbers[1, :, 4:9, 6:11] = contract.nodata
    pipeline = ViewPipeline([EVERYTHING] * 2, normalizer=normalizer, reuse_memory=reuse)
    dates = torch.tensor([[0, 1], [2, 2], [3, 4]])
    wanted = views_on("cpu", pipeline, torch.from_numpy(numbers), dates=dates)
    wanted = [view.clone() for view in wanted]
    found = views_on("cuda", pipeline, torch.from_numpy(numbers), dates=dates)
    for here, there in zip(wanted, found, strict=True):
        torch.testing.assert_close(there.cpu(), here, rtol=1e-3, atol=1e-3)


def test_standardised_data_are_not_clipped():
    batch = 4 * torch.randn(4, 5, 16, 16, generator=torch.Generator().manual_seed(0))
    (view,) = views_on("cuda", ViewPipeline([ViewOptions(turn=0.5)]), batch)
    wanted = batch.flatten(1).sort().values
    torch.testing.assert_close(view.cpu().flatten(1).sort().values, wanted)
