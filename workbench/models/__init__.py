"""Encoders for images of any number of bands: the spectral adapter, ResNets, transformers."""

from workbench.models.published_weights import WeightsReport, load_published_weights
from workbench.models.resnet import ResNetEncoder, resnet, spectral_resnet50
from workbench.models.segmentation import SegmentationModel, segmentation_model
from workbench.models.spectral_adapter import SpectralAdapter
from workbench.models.vit import ViTEncoder, ViTSize, spectral_vit, vit
from workbench.models.wavelength_vit import WavelengthViT, wavelength_vit

__all__ = [
    "ResNetEncoder",
    "SegmentationModel",
    "SpectralAdapter",
    "ViTEncoder",
    "ViTSize",
    "WavelengthViT",
    "WeightsReport",
    "load_published_weights",
    "resnet",
    "segmentation_model",
    "spectral_resnet50",
    "spectral_vit",
    "vit",
    "wavelength_vit",
]
