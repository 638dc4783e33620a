"""Evidence about models: scores that say what they are, intervals, paired tests, tables."""

from workbench.evaluation.attribution import attribution
from workbench.evaluation.benchmark_tables import BenchmarkTable, TableShape, benchmark_table
from workbench.evaluation.blockiness import Blockiness, blockiness
from workbench.evaluation.boundary import boundary_iou, trimap_iou
from workbench.evaluation.claims import CLAIMS, Claim, Judgement, judge, judge_published
from workbench.evaluation.comparison import Comparison, ModelPair, compare_models
from workbench.evaluation.curves import boundary_curve, curve_areas
from workbench.evaluation.detail_bound import stride_bounds, through_stride
from workbench.evaluation.disagreement import DisagreementRules, disagreement, rank_patches
from workbench.evaluation.distances import ContourDistances, contour_distances
from workbench.evaluation.label_noise import (
    LabelShift,
    certain_target,
    estimate_shift,
    shift_scores,
)
from workbench.evaluation.metrics import SegmentationTally
from workbench.evaluation.metrics_density import DensityTally
from workbench.evaluation.metrics_labels import MultiLabelTally
from workbench.evaluation.objects import geometry, object_scores
from workbench.evaluation.predictions import Predictions, read_predictions, write_predictions
from workbench.evaluation.published_tables import PublishedTable, published_names, published_table
from workbench.evaluation.resampling import Interval, bootstrap_interval
from workbench.evaluation.results import CellResult, Cost, DataStamp, ResultsTable
from workbench.evaluation.score_records import ScoreRecord, read_scores
from workbench.evaluation.scores import Metric, Score
from workbench.evaluation.statistics import PairedDifference, paired_bootstrap, paired_permutation
from workbench.evaluation.statistics_many import (
    Comparisons,
    ResolutionFloor,
    compare_all,
    holm,
    resolution_floor,
)
from workbench.evaluation.statistics_seeds import (
    SeededDifference,
    SeedSummary,
    compare_seeds,
    interquartile_mean,
    score_of_seeds,
    summarise_seeds,
)
from workbench.evaluation.structures import skeleton_scores, width_recall
from workbench.evaluation.study import CellNote, StudyCell, StudyReport, run_study

__all__ = [
    "CLAIMS",
    "BenchmarkTable",
    "Blockiness",
    "CellNote",
    "CellResult",
    "Claim",
    "Comparison",
    "Comparisons",
    "ContourDistances",
    "Cost",
    "DataStamp",
    "DensityTally",
    "DisagreementRules",
    "Interval",
    "Judgement",
    "LabelShift",
    "Metric",
    "ModelPair",
    "MultiLabelTally",
    "PairedDifference",
    "Predictions",
    "PublishedTable",
    "ResolutionFloor",
    "ResultsTable",
    "Score",
    "ScoreRecord",
    "SeedSummary",
    "SeededDifference",
    "SegmentationTally",
    "StudyCell",
    "StudyReport",
    "TableShape",
    "attribution",
    "benchmark_table",
    "blockiness",
    "bootstrap_interval",
    "boundary_curve",
    "boundary_iou",
    "certain_target",
    "compare_all",
    "compare_models",
    "compare_seeds",
    "contour_distances",
    "curve_areas",
    "disagreement",
    "estimate_shift",
    "geometry",
    "holm",
    "interquartile_mean",
    "judge",
    "judge_published",
    "object_scores",
    "paired_bootstrap",
    "paired_permutation",
    "published_names",
    "published_table",
    "rank_patches",
    "read_predictions",
    "read_scores",
    "resolution_floor",
    "run_study",
    "score_of_seeds",
    "shift_scores",
    "skeleton_scores",
    "stride_bounds",
    "summarise_seeds",
    "through_stride",
    "trimap_iou",
    "width_recall",
    "write_predictions",
]
