"""From tiles to planned locations: duplicates, the overlap graph, temporal views."""

from workbench.extraction.overlap import overlap_graph
from workbench.extraction.rules import ViewRules
from workbench.extraction.tiles import DroppedTile, Tile, drop_duplicates
from workbench.extraction.views import PlanSummary, plan_summary, temporal_views

__all__ = [
    "DroppedTile",
    "PlanSummary",
    "Tile",
    "ViewRules",
    "drop_duplicates",
    "overlap_graph",
    "plan_summary",
    "temporal_views",
]
