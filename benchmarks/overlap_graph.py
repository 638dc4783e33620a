"""The overlap graph of 28,892 real footprints against the bare geometry calls it cannot do without.

Floor: a shapely STRtree query, `intersection` and `area` in bulk on the same polygons, no graph,
areas in square degrees. Beside it geopandas' own way, `sjoin` and `overlay`, which gives no graph
either. The footprints are the WRS-2 scenes of the catalog entry `wrs2_grid`.
"""

import geopandas as gpd
import numpy as np
import shapely
from harness import measured, parse_scale, report

from workbench.catalog import open_catalog
from workbench.extraction import overlap_graph
from workbench.geo.tile import tile_frame
from workbench.readers import read_tiles

GOAL = 1.5


def floor(footprints):
    """Pairs, their intersections and their areas: what any overlap graph has to compute."""
    first, second = shapely.STRtree(footprints).query(footprints, predicate="intersects")
    once = first < second
    return shapely.area(shapely.intersection(footprints[first[once]], footprints[second[once]]))


def with_geopandas(frame):
    """The same pairs and areas with geopandas alone."""
    pairs = gpd.sjoin(frame[["geometry"]], frame[["geometry"]], predicate="intersects")
    shared = gpd.overlay(frame, frame, how="intersection", keep_geom_type=True)
    return len(pairs), shared.to_crs("EPSG:6933").area.sum()


def main():
    args = parse_scale(__doc__)
    tiles = read_tiles(open_catalog()["wrs2_grid"])
    footprints = np.array([tile.footprint for tile in tiles], dtype=object)
    repeats = 3 if args.scale == "full" else 2
    bare = measured(lambda: floor(footprints), repeats=repeats)
    ours = measured(lambda: overlap_graph(tiles), repeats=repeats)
    graph = ours.result
    print(f"{graph.number_of_nodes():,} footprints, {graph.number_of_edges():,} overlaps")
    print(f"floor (query, intersection, area)  {bare.seconds:6.2f} s")
    print(f"overlap_graph                      {ours.seconds:6.2f} s")
    # geopandas takes the most time; the quick run shows it on a tenth of the scenes.
    frame = tile_frame(tiles)[["id", "geometry"]]
    part = frame if args.scale == "full" else frame.iloc[::10].reset_index(drop=True)
    peer = measured(lambda: with_geopandas(part))
    print(f"geopandas sjoin and overlay        {peer.seconds:6.2f} s for {len(part):,} footprints")
    ratio = ours.seconds / bare.seconds
    report(
        f"overlap_graph takes at most {GOAL} x the bare geometry calls",
        ratio <= GOAL,
        peak_mb=ours.peak_mb,
        ratio_to_floor=ratio,
        seconds=ours.seconds,
        floor_seconds=bare.seconds,
        geopandas_seconds=peer.seconds,
        geopandas_footprints=len(part),
        nodes=graph.number_of_nodes(),
        edges=graph.number_of_edges(),
    )


if __name__ == "__main__":
    main()
