"""Interactive figures of graphs and plans, each with a picture for where scripts may not run.

HoloViews draws them with Bokeh, whose script each page carries inside itself. The extension that
HoloViews would load into a notebook is not used: it puts megabytes into the notebook and shows
nothing once it is reopened untrusted.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import holoviews as hv
import holoviews.plotting.bokeh  # registers the backend, without a notebook extension
import networkx as nx
import numpy as np
import pandas as pd

from workbench.escape import format_text
from workbench.geo.tile import Tile
from workbench.viz import palettes
from workbench.viz.bokeh_page import bokeh_page, plain_figure
from workbench.viz.embed import OfflineView
from workbench.viz.network import MAX_NODES, component_sizes, largest_component, spring_positions
from workbench.viz.statics import picture
from workbench.viz.statics_plots import (
    bars_figure,
    component_figure,
    grouped_bars_figure,
    method_colours,
    timeline_figure,
)

if TYPE_CHECKING:
    import geopandas as gpd

_FONTS = {"title": "11.5pt", "labels": "10pt", "ticks": "9pt", "legend": "9.5pt"}


def graph_distributions(graph: nx.Graph) -> OfflineView:
    """Show how many tiles a tile overlaps, and how large the connected components are.

    Args:
        graph: Overlap graph of tiles.
    """
    degrees = pd.Series([degree for _, degree in graph.degree], dtype=int).value_counts()
    degrees = degrees.reindex(range(int(degrees.index.max() if len(degrees) else 0) + 1)).fillna(0)
    sizes = component_sizes(graph)
    ranked = pd.Series(sizes, index=range(1, len(sizes) + 1), dtype=int)
    panels = [
        ("Degree of the tiles", "Number of overlapping tiles", "Tiles", degrees.astype(int)),
        ("Size of the components", "Component, largest first", "Tiles", ranked),
    ]
    title = "Degrees and components of the overlap graph"
    bars = [_bars(*panel) for panel in panels]
    return _view(title, bars, picture(bars_figure(panels)), height=360)


def component_graph(
    graph: nx.Graph, tiles: Sequence[Tile], *, max_nodes: int = MAX_NODES, seed: int = 0
) -> OfflineView:
    """Show the largest connected component as a graph, laid out by its edges.

    Args:
        graph: Overlap graph; edges may carry ``area``, m².
        tiles: The tiles it was made from.
        max_nodes: Most nodes to draw, see `network.largest_component`.
        seed: Seed of the layout.

    Raises:
        ValueError: If the graph has no node.
    """
    component = largest_component(graph, max_nodes=max_nodes)
    whole = len(nx.node_connected_component(graph, next(iter(component))))
    place = spring_positions(component, seed=seed)
    of_whole = "" if len(component) == whole else f" of {whole:,}"
    size = f"{len(component):,}{of_whole} tile{'s' if whole > 1 else ''}"
    title = f"Largest component: {size}, {_counted(component.number_of_edges(), 'overlap')}"
    top = max(degree for _, degree in component.degree)
    drawn = _graph(component, {tile.id: tile for tile in tiles}, place, title, top)
    static = component_figure(component, place, title, top)
    return _view(title, [drawn], picture(static), height=560)


def plan_comparison(
    plans: "Mapping[str, gpd.GeoDataFrame]", *, title: str = "Locations by number of dates"
) -> OfflineView:
    """Show side by side how many locations of each series length several plans hold.

    Args:
        plans: Plans by the name of their method; each with the column n_acquisitions.
        title: Heading.
    """
    counts = {name: plan["n_acquisitions"].value_counts() for name, plan in plans.items()}
    table = pd.DataFrame(counts).sort_index().fillna(0).astype(int)
    labels = ("Dates of a location", "Locations")
    from bokeh.models import NumeralTickFormatter

    long = table.rename_axis("dates").reset_index().melt("dates", var_name="method", value_name="n")
    long["dates"] = long["dates"].astype(str)
    bars = hv.Bars(
        long,
        [("dates", labels[0]), hv.Dimension("method", label="Method", values=list(plans))],
        [("n", labels[1])],
    ).opts(
        **_shared(title),
        color="method",
        cmap=method_colours(table),
        multi_level=False,
        show_legend=True,
        legend_position="top_right",
        tools=["hover"],
        yformatter=NumeralTickFormatter(format="0,0"),
        ylim=(0, None),
        line_color=None,
    )
    static = grouped_bars_figure(table, title, *labels)
    return _view(title, [bars], picture(static), height=420)


def location_timeline(
    plan: "gpd.GeoDataFrame", tiles: Sequence[Tile], location_id: str | None = None
) -> OfflineView:
    """Show when one location was acquired, and by which tiles.

    Args:
        plan: Columns location_id, tile_ids and n_acquisitions.
        tiles: The tiles the plan was made from.
        location_id: Which location; None for the first of the longest series.

    Raises:
        ValueError: If the plan is empty or has no such location.
    """
    row = _location(plan, location_id)
    by_id = {tile.id: tile for tile in tiles}
    acquired = [by_id[tile].acquired for tile in row["tile_ids"]]
    dates = pd.DataFrame({"acquired": acquired, "tile": list(row["tile_ids"])})
    span = (max(acquired) - min(acquired)).days
    seen = f"{_counted(row['n_acquisitions'], 'date')} within {_counted(span, 'day')}"
    title = f"Location {row['location_id']}: {seen}, {_counted(len(dates), 'tile')}"
    drawn = _timeline(dates.assign(acquired=pd.DatetimeIndex(acquired).tz_localize(None)), title)
    height = 170 + 34 * len(dates)
    return _view(title, [drawn], picture(timeline_figure(dates, title)), height=height)


def _counted(number: int, name: str) -> str:
    return f"{number:,} {name}{'' if number == 1 else 's'}"


def _timeline(dates: pd.DataFrame, title: str) -> Any:
    """Draw stems with their dates written on; Bokeh itself, for text that keeps its distance."""
    from bokeh.models import ColumnDataSource, FactorRange
    from bokeh.plotting import figure

    times, names = list(dates["acquired"]), list(dates["tile"])
    written = [f"{time:%Y-%m-%d}" for time in times]
    rows = ColumnDataSource({"acquired": times, "tile": names, "date": written})
    margin = max((max(times) - min(times)) * 0.1, pd.Timedelta(days=5))
    options: dict[str, Any] = {"x_axis_type": "datetime", "tools": "pan,reset"}
    options["x_range"] = (min(times) - margin, max(times) + margin)
    plot = figure(
        title=title,
        y_range=FactorRange(factors=names[::-1], range_padding=0.06),
        **options,
    )
    plot.segment(min(times), "tile", "acquired", "tile", source=rows, color=palettes.BORDER)
    font: dict[str, Any] = {"text_font_size": "9.5pt", "text_color": palettes.INK}
    plot.scatter("acquired", "tile", source=rows, size=12, color=palettes.ACCENT, line_color=None)
    plot.text("acquired", "tile", "date", source=rows, text_align="center", y_offset=-8, **font)
    plot.xaxis.axis_label = "Time of acquisition (UTC)"
    plot.grid.visible = False
    return plot


def _location(plan: "gpd.GeoDataFrame", location_id: str | None) -> pd.Series:
    if len(plan) == 0:
        raise ValueError("A timeline needs at least one location, but the plan is empty.")
    if location_id is None:
        return plan.iloc[int(np.argmax(plan["n_acquisitions"].to_numpy()))]
    rows = plan[plan["location_id"] == location_id]
    if len(rows) == 0:
        raise ValueError(
            f"The plan has no location {location_id!r}.\n"
            f"Its ids look like {plan['location_id'].iloc[0]!r}."
        )
    return rows.iloc[0]


def _bars(title: str, x: str, y: str, heights: pd.Series) -> hv.Element:
    from bokeh.models import BasicTicker

    edges = np.append(
        heights.index.to_numpy() - 0.5, heights.index[-1] + 0.5 if len(heights) else 0
    )
    return hv.Histogram((edges, heights.to_numpy()), kdims=[("x", x)], vdims=[("n", y)]).opts(
        **_shared(title),
        fill_color=palettes.ACCENT,
        line_color="white",
        tools=["hover"],
        ylim=(0, float(heights.max()) * 1.05 if len(heights) else 1.0),
        xticks=BasicTicker(min_interval=1),
        yticks=BasicTicker(min_interval=1),
    )


def _graph(
    component: nx.Graph,
    tiles: Mapping[str, Tile],
    place: Mapping[str, np.ndarray],
    title: str,
    top: int,
) -> hv.Element:
    names = list(component)
    number = {name: i for i, name in enumerate(names)}
    columns = {
        "x": [place[name][0] for name in names],
        "y": [place[name][1] for name in names],
        "index": range(len(names)),
        "tile": names,
        "acquired": [f"{tiles[name].acquired:%Y-%m-%d %H:%M}" for name in names],
        "group": [tiles[name].group or "" for name in names],
        # As a float: HoloViews takes equal integers for one colour and draws no node at all.
        "degree": [float(component.degree[name]) for name in names],
    }
    nodes = hv.Nodes(
        pd.DataFrame(columns),
        kdims=["x", "y", "index"],
        vdims=["tile", "acquired", "group", "degree"],
    )
    edges = [(number[a], number[b]) for a, b in component.edges]
    return hv.Graph((np.array(edges, dtype=int).reshape(-1, 2), nodes)).opts(
        **_shared(title),
        node_color="degree",
        cmap=list(palettes.ramp_stops(64)),
        clim=(0, max(top, 1)),
        colorbar=True,
        clabel="Number of overlapping tiles",
        colorbar_opts={"title_text_font_style": "normal"},
        node_size=13,
        node_line_color="white",
        edge_line_color=palettes.MUTED,
        edge_line_width=0.7,
        edge_alpha=0.45,
        edge_hover_line_color=palettes.CONTRAST,
        node_hover_fill_color=palettes.CONTRAST,
        xaxis=None,
        yaxis=None,
        tools=["hover", "tap"],
        hover_tooltips=[
            ("tile", "@tile"),
            ("acquired (UTC)", "@acquired"),
            ("group", "@group"),
            ("overlaps", "@degree"),
        ],
    )


def _shared(title: str) -> dict[str, Any]:
    return {"title": format_text(title), "fontsize": _FONTS, "backend": "bokeh"}


def _view(title: str, elements: Sequence[Any], png: bytes, *, height: int) -> OfflineView:
    """Put HoloViews elements or Bokeh figures side by side into one page."""
    from bokeh.layouts import row

    figures = [
        hv.render(element, backend="bokeh") if isinstance(element, hv.core.Dimensioned) else element
        for element in elements
    ]
    for figure in figures:
        plain_figure(figure, height - 24)
    layout = figures[0] if len(figures) == 1 else row(figures, sizing_mode="stretch_width")
    return OfflineView(title, png=png, page=bokeh_page(layout, title), height=height)
