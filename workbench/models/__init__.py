"""Encoders for images of any number of bands: the spectral adapter, ResNets, transformers."""

from workbench.models.spectral_adapter import SpectralAdapter
from workbench.models.vit import ViTEncoder, ViTSize, spectral_vit, vit

__all__ = [
    "SpectralAdapter",
    "ViTEncoder",
    "ViTSize",
    "spectral_vit",
    "vit",
]
