"""Labelled images that are easily told apart, and the smallest networks that can."""

import numpy as np
import torch
from torch import nn

from workbench.datasets.examples import Examples
from workbench.models.vit import ViTEncoder, ViTSize
from workbench.sensors import sensor
from workbench.training.finetune_settings import FinetuneSettings

BANDS, SIDE = 75, 8
QUICK = FinetuneSettings(steps=12, batch_size=8, lr=3e-3, eval_every=6)


def small_vit(bands=BANDS, adapter=True):
    torch.manual_seed(0)
    return ViTEncoder(bands, SIDE, 4, ViTSize(32, 2, 2), adapter=adapter)


class Labelled:
    """Images whose labels can be told from the mean of two bands."""

    def __init__(self, size, bands=BANDS, seed=0):
        rng = np.random.default_rng(seed)
        labels = rng.integers(0, 2, (size, 2))
        images = rng.normal(0, 0.3, (size, bands, SIDE, SIDE)).astype(np.float32)
        images[:, :40] += labels[:, :1, None, None] * 2
        images[:, 40:] += labels[:, 1:, None, None] * 2
        self.images, self.labels = torch.from_numpy(images), torch.from_numpy(labels).float()

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        return {"image": self.images[i], "target": self.labels[i]}


def contract(bands=BANDS):
    return sensor("enmap").contract([f"B{i:03d}" for i in range(1, bands + 1)])


def examples(size=24, prefix="a", seed=0):
    names = tuple(f"{prefix}{i}" for i in range(size))
    return Examples(
        Labelled(size, seed=seed), names, names, "presence", ("x", "y"), None, contract()
    )


def plain(images):
    return images.float()


def weights(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def changed(before, module):
    now = module.state_dict()
    return {name for name in before if not torch.equal(before[name], now[name])}


class PixelModel(nn.Module):
    """The smallest segmentation model: one convolution, then one more."""

    def __init__(self, bands, classes):
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(bands, 8, 1), nn.ReLU())
        self.encoder.bands = bands
        self.encoder.adapter = None
        self.decoder = nn.Conv2d(8, classes, 1)

    def features(self, images):
        return [self.encoder(images)]

    def decode(self, features, size):
        return self.decoder(features[0])

    def forward(self, images):
        return self.decode(self.features(images), images.shape[2:])


def scene(height=32, width=32, bands=3, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.repeat(rng.integers(0, 3, (height // 4, width // 4)), 4, 0), 4, 1)
    image = rng.normal(0, 0.2, (bands, height, width)) + np.eye(3)[labels].transpose(2, 0, 1)
    labels[0, 0] = 9
    return image.astype(np.float32), labels.astype(np.uint8)
