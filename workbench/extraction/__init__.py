"""From tiles to planned locations: duplicates, the overlap graph, temporal views, splits."""

from workbench.extraction.leakage import LeakReport, leak_report, read_split_files
from workbench.extraction.manifest import manifest_note, read_manifest, write_manifest
from workbench.extraction.overlap import overlap_graph
from workbench.extraction.rules import ViewRules
from workbench.extraction.splits import label_fractions, split_locations
from workbench.extraction.tiles import DroppedTile, Tile, drop_duplicates
from workbench.extraction.views import PlanSummary, plan_summary, temporal_views

__all__ = [
    "DroppedTile",
    "LeakReport",
    "PlanSummary",
    "Tile",
    "ViewRules",
    "drop_duplicates",
    "label_fractions",
    "leak_report",
    "manifest_note",
    "overlap_graph",
    "plan_summary",
    "read_manifest",
    "read_split_files",
    "split_locations",
    "temporal_views",
    "write_manifest",
]
