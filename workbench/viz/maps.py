"""Maps: the public face of the modules beside it.

coverage_map       locations, any number: coloured, filtered in time, clicked, selected
tile_map           footprints with their overlap graph, up to some thousand tiles
graph_map          the overlap graph of any number of tiles, with a histogram that selects
fate_map           what became of each planned location
largest_group      where the most locations lie: what a map of scattered sites may open at
location_cards     thumbnails and spectra for the clicks of a coverage map
MapWidget          a coverage map with a kernel behind it: its selection as a table in Python
select_locations   a selection made on a map, applied to a plan or manifest
read_selection     the ids that a map saved to a file
"""

from workbench.viz.map_cards import Cards, location_cards
from workbench.viz.map_selection import read_selection, select_locations
from workbench.viz.map_view import CoverageMap
from workbench.viz.map_widgets import LiveMap, MapWidget
from workbench.viz.maps_base import OfflineMap
from workbench.viz.maps_coverage import MOST_FEATURES, MOST_PACKED, coverage_map
from workbench.viz.maps_graph import graph_map
from workbench.viz.maps_patches import fate_map, largest_group
from workbench.viz.maps_tiles import tile_map

__all__ = [
    "MOST_FEATURES",
    "MOST_PACKED",
    "Cards",
    "CoverageMap",
    "LiveMap",
    "MapWidget",
    "OfflineMap",
    "coverage_map",
    "fate_map",
    "graph_map",
    "largest_group",
    "location_cards",
    "read_selection",
    "select_locations",
    "tile_map",
]
