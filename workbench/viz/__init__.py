"""What one looks at: maps and figures that open without a network, each with a picture behind it.

embed           one output that shows itself live, untrusted, saved and headless
maps            coverage_map, tile_map, fate_map and what they take
plots           degrees, components, series lengths, the timeline of a location
inspector       two models' class maps beside image and target; `votes` reads what was voted on them
controls        the widgets, for where Python must hear of a click
"""

from workbench.viz.inspector import Inspector
from workbench.viz.inspector_data import InspectorPatch

__all__ = ["Inspector", "InspectorPatch"]
