"""Evidence about models: scores that say what they are, intervals, paired tests, tables."""

from workbench.evaluation.boundary import boundary_iou, trimap_iou
from workbench.evaluation.curves import boundary_curve, curve_areas
from workbench.evaluation.distances import ContourDistances, contour_distances
from workbench.evaluation.resampling import Interval, bootstrap_interval
from workbench.evaluation.statistics import PairedDifference, paired_bootstrap, paired_permutation

__all__ = [
    "ContourDistances",
    "Interval",
    "PairedDifference",
    "bootstrap_interval",
    "boundary_curve",
    "boundary_iou",
    "contour_distances",
    "curve_areas",
    "paired_bootstrap",
    "paired_permutation",
    "trimap_iou",
]
