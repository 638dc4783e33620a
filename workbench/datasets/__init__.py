"""From a manifest of patches to batches: temporal pairs, labels, statistics, normalisation."""

from workbench.datasets.alignment import AlignedLabels, LabelSource, align_labels, read_labels
from workbench.datasets.augmentation_draws import ViewOptions
from workbench.datasets.augmentations import ViewPipeline, multi_crop, view_dates
from workbench.datasets.labelled_patches import ChangePatches, LabelledPatches
from workbench.datasets.normalization import Normalizer
from workbench.datasets.patches import Patches, open_patches, stored_statistics
from workbench.datasets.positives import POLICIES, PairPolicy
from workbench.datasets.statistics import (
    BandStatistics,
    band_statistics,
    read_statistics,
    write_statistics,
)
from workbench.datasets.temporal_patches import TemporalPatches, collate_views

__all__ = [
    "POLICIES",
    "AlignedLabels",
    "BandStatistics",
    "ChangePatches",
    "LabelSource",
    "LabelledPatches",
    "Normalizer",
    "PairPolicy",
    "Patches",
    "TemporalPatches",
    "ViewOptions",
    "ViewPipeline",
    "align_labels",
    "band_statistics",
    "collate_views",
    "multi_crop",
    "open_patches",
    "read_labels",
    "read_statistics",
    "stored_statistics",
    "view_dates",
    "write_statistics",
]
