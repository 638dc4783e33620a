"""Evidence about models: scores that say what they are, intervals, paired tests, tables."""

from workbench.evaluation.resampling import Interval, bootstrap_interval
from workbench.evaluation.statistics import (
    PairedDifference,
    paired_bootstrap,
    paired_permutation,
)

__all__ = [
    "Interval",
    "PairedDifference",
    "bootstrap_interval",
    "paired_bootstrap",
    "paired_permutation",
]
