"""On an easy simulated task thirty steps of pretraining beat random weights, with every seed.

A place has the faint spectrum of one of four classes in all its pixels, and on each date it is
hidden under noise a hundred times as strong in power. What the tokens and dates of a place share is
its class: each method finds it in its own way, without labels. Random weights pass noise and
spectrum on alike, so that few labels do not suffice to tell them apart.
"""

import pytest
import torch

from workbench.methods import DINO, MAE, MoCo
from workbench.models import ViTEncoder, ViTSize
from workbench.training import CollapseSentinel, ProbeTask

BANDS, CLASSES, SIDE, TOKEN, STEPS = 40, 4, 16, 4, 30
METHODS = {
    "moco": (MoCo, 1e-3, {"queue_size": 256, "momentum": 0.9, "hidden_dim": 64, "output_dim": 32}),
    "dino": (
        DINO,
        3e-4,
        {
            **{"output_dim": 64, "hidden_dim": 64, "bottleneck_dim": 32, "momentum": 0.9},
            **{"teacher_temperature": 0.07, "teacher_temperature_start": 0.07},
            "freeze_last_layer": 0.0,
        },
    ),
    "mae": (
        MAE,
        1e-3,
        {"mask_ratio": 0.5, "decoder_depth": 1, "decoder_width": 64, "decoder_heads": 4},
    ),
}


class Places:
    """Simulated places whose class is known."""

    def __init__(self, seed):
        self.generator = torch.Generator().manual_seed(seed)
        self.spectra = 0.1 * torch.randn(CLASSES, BANDS, generator=self.generator)

    def images(self, classes):
        """(N, BANDS, SIDE, SIDE): one date of each place."""
        noise = torch.randn(len(classes), BANDS, SIDE, SIDE, generator=self.generator)
        return noise + self.spectra[classes][:, :, None, None]

    def task(self):
        known, asked = torch.arange(40) % CLASSES, torch.arange(400) % CLASSES
        return ProbeTask(self.images(known), known, self.images(asked), asked)

    def dates(self, count):
        """The same 64 places on some dates."""
        classes = torch.randint(CLASSES, (64,), generator=self.generator)
        return [self.images(classes) for _ in range(count)]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", METHODS)
def test_probes_of_a_trained_encoder_beat_those_of_a_random_one(name, seed):
    make, rate, options = METHODS[name]
    places = Places(seed)
    task = places.task()
    torch.manual_seed(seed)
    encoder = ViTEncoder(BANDS, SIDE, TOKEN, ViTSize(64, 2, 4), adapter=False)
    before = task(encoder)
    method = make(encoder, **options)
    optimiser = torch.optim.AdamW(method.parameters(), lr=rate)
    sentinel = CollapseSentinel(method.family)
    for step in range(STEPS):
        found = method(places.dates(method.views_needed), places.generator)
        optimiser.zero_grad()
        found.loss.backward()
        optimiser.step()
        method.update((step + 1) / STEPS)
        assert not sentinel.observe(step, found.loss, found.embeddings, found.diagnostics)
    after = task(encoder)
    assert task.chance <= before.knn < 0.65
    assert after.knn > before.knn + 0.05
    assert after.linear > before.linear
