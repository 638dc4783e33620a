"""From tiles to planned locations to patches: overlap graph, plan, validity, pixels, splits."""

from workbench.extraction.interchange import geotiff_to_store, store_to_geotiff
from workbench.extraction.jobs import plan_gsd
from workbench.extraction.leakage import LeakReport, leak_report, read_split_files
from workbench.extraction.manifest import manifest_note, read_manifest, write_manifest
from workbench.extraction.overlap import overlap_graph
from workbench.extraction.patches import Extraction, Progress, extract_patches, print_progress
from workbench.extraction.rules import ViewRules
from workbench.extraction.splits import label_fractions, split_locations
from workbench.extraction.stac_export import export_stac
from workbench.extraction.store import QUALITY_BITS, PatchStore
from workbench.extraction.tables import locations_of
from workbench.extraction.tiles import DroppedTile, Tile, bounding_boxes, drop_duplicates
from workbench.extraction.validity import UnclearTile, ValidityRules, clear_tiles
from workbench.extraction.views import PlanSummary, plan_summary, temporal_views

__all__ = [
    "QUALITY_BITS",
    "DroppedTile",
    "Extraction",
    "LeakReport",
    "PatchStore",
    "PlanSummary",
    "Progress",
    "Tile",
    "UnclearTile",
    "ValidityRules",
    "ViewRules",
    "bounding_boxes",
    "clear_tiles",
    "drop_duplicates",
    "export_stac",
    "extract_patches",
    "geotiff_to_store",
    "label_fractions",
    "leak_report",
    "locations_of",
    "manifest_note",
    "overlap_graph",
    "plan_gsd",
    "plan_summary",
    "print_progress",
    "read_manifest",
    "read_split_files",
    "split_locations",
    "store_to_geotiff",
    "temporal_views",
    "write_manifest",
]
