"""Interactive figures of an extraction: spectra through time, reasons of rejection, leaks."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from workbench.escape import tip_text
from workbench.extraction.leakage import LeakReport
from workbench.extraction.store import PatchStore
from workbench.viz import palettes
from workbench.viz.bokeh_page import bokeh_page, plain_figure
from workbench.viz.embed import OfflineView
from workbench.viz.patch_tables import (
    FATES,
    leak_table,
    location_spectra,
    rejection_table,
    series_of,
    spectral_gaps,
)
from workbench.viz.statics import picture
from workbench.viz.statics_patches import (
    GAP,
    cell_colour,
    leaks_figure,
    reasons_figure,
    spectra_figure,
    split_colours,
)

if TYPE_CHECKING:
    import geopandas as gpd


def spectra_through_time(
    store: PatchStore, manifest: "gpd.GeoDataFrame", location_id: str | None = None
) -> OfflineView:
    """Show the median spectrum of a location on each date, with the gaps between the bands.

    Args:
        store: The patches.
        manifest: What was cut.
        location_id: Which location; None for that of the longest series which changed most.
    """
    name = str(series_of(store, manifest, location_id)["location_id"].iloc[0])
    spectra = location_spectra(store, manifest, name)
    gaps = spectral_gaps(store.contract)
    lines = [
        (f"{when:%Y-%m-%d}", _broken(rows, gaps)) for when, rows in spectra.groupby("acquired")
    ]
    colours = [palettes.ramp(1 - k / max(len(lines) - 1, 1)) for k in range(len(lines))]
    title = f"Location {name}: median of the clear pixels on {_counted(len(lines), 'date')}"
    units = store.contract.units.capitalize()
    drawn = _spectra(lines, colours, gaps, title, units)
    static = spectra_figure(lines, colours, gaps, title, units)
    return bokeh_view(title, drawn, picture(static), height=440)


def _broken(rows: pd.DataFrame, gaps: list[tuple[float, float]]) -> pd.DataFrame:
    """Put an empty row into each gap, so that no line crosses it."""
    middles = pd.DataFrame({"wavelength_nm": [(a + b) / 2 for a, b in gaps], "value": float("nan")})
    table = pd.concat([rows[["wavelength_nm", "value", "band"]], middles.assign(band="")])
    return table.sort_values("wavelength_nm", ignore_index=True)


def _spectra(
    lines: list[tuple[str, pd.DataFrame]],
    colours: list[str],
    gaps: list[tuple[float, float]],
    title: str,
    units: str,
) -> Any:
    from bokeh.models import HoverTool

    plot = _blank(title, tools="pan,box_zoom,wheel_zoom,reset")
    left, right = ([gap[side] for gap in gaps] for side in (0, 1))
    plot.vstrip(x0=left, x1=right, fill_color=GAP, line_color=None)
    for (date, table), colour in zip(lines, colours, strict=True):
        source = {name: table[name].to_list() for name in table} | {"date": [date] * len(table)}
        plot.line(
            "wavelength_nm", "value", source=source, color=colour, line_width=1.8, legend_label=date
        )
    tips = [
        ("date", "@date"), ("band", "@band"), ("wavelength", "@wavelength_nm{0.0} nm"),
        (tip_text(units), "@value{0.0000}"),
    ]  # fmt: skip
    plot.add_tools(HoverTool(tooltips=tips))
    plot.xaxis.axis_label = "Wavelength (nm); grey: bands that are not used"
    plot.yaxis.axis_label = units
    plot.add_layout(plot.legend[0], "right")
    plot.legend.click_policy = "hide"
    plot.legend.border_line_color = None
    plot.grid.grid_line_color = "#eef0f2"
    return plot


def rejection_reasons(manifest: pd.DataFrame, rejected: pd.DataFrame) -> OfflineView:
    """Show as a table of colours what became of the patches of each tile.

    Args:
        manifest: What was cut.
        rejected: What was not.

    Raises:
        ValueError: If nothing was planned.
    """
    if len(manifest) + len(rejected) == 0:
        raise ValueError("A figure of rejections needs a planned patch, but there is none.")
    table = rejection_table(manifest, rejected)
    title = f"{len(manifest):,} patches cut, {len(rejected):,} rejected: reasons by tile"
    table.insert(0, "label", _tile_labels(table))
    columns = [name for name in table.columns if name in FATES]
    cells = table.melt(
        ["label", "tile_id", "planned"], columns, var_name="what", value_name="patches"
    )
    height = 120 + 23 * len(table)
    drawn = _reason_cells(cells, list(table["label"]), columns, title)
    static = reasons_figure(table.set_index("label")[columns], title)
    return bokeh_view(title, drawn, picture(static), height=height)


def _tile_labels(table: pd.DataFrame) -> list[str]:
    """Name tiles by component and date; the second of one date is told apart."""
    dates = [f"{when:%Y-%m-%d}" for when in table["acquired"]]
    again = table.groupby(["component", pd.Series(dates, index=table.index)]).cumcount()
    return [
        f"component {component + 1} · {date}" + (f" ({k + 1})" if k else "")
        for component, date, k in zip(table["component"], dates, again, strict=True)
    ]


def _reason_cells(cells: pd.DataFrame, labels: list[str], columns: list[str], title: str) -> Any:
    top = max(int(cells["patches"].max()), 1)
    shown = cells.assign(
        colour=[
            cell_colour(n, what, top) for n, what in zip(cells.patches, cells.what, strict=True)
        ],
        text=[str(n) if n else "" for n in cells["patches"]],
        ink=["white" if n > 0.45 * top else palettes.INK for n in cells["patches"]],
    )
    plot = _blank(
        title, x_range=columns, y_range=labels[::-1], tools="", x_axis_location="above",
        tooltips=[("tile", "@tile_id"), ("@what", "@patches of @planned patches")],
    )  # fmt: skip
    source = {name: shown[name].to_list() for name in shown}
    plot.rect("what", "label", 0.98, 0.94, source=source, fill_color="colour", line_color=None)
    plot.text(
        "what", "label", "text", source=source, text_align="center", text_baseline="middle",
        text_font_size="9.5pt", text_color="ink",
    )  # fmt: skip
    plot.grid.visible = False
    plot.axis.major_tick_line_color = None
    plot.axis.axis_line_color = None
    return plot


def leak_comparison(reports: Mapping[str, LeakReport]) -> OfflineView:
    """Show side by side which share of its patches a part has seen elsewhere, split by split.

    Args:
        reports: Reports by the name of the split, at least one.
    """
    table = leak_table(reports)
    table["pair"] = table["judged"] + " against " + table["seen"]
    shares = table.pivot(index="pair", columns="split", values="share").fillna(0.0)
    shares = 100 * shares.reindex(index=table["pair"].unique(), columns=list(reports))
    title = "Patches that share a tile or ground with another part"
    drawn = _leak_bars(table, list(reports), title)
    return bokeh_view(title, drawn, picture(leaks_figure(shares, title)), height=380)


def _leak_bars(table: pd.DataFrame, splits: list[str], title: str) -> Any:
    from bokeh.models import FactorRange

    pairs = list(table["pair"].unique())
    factors = [(pair, split) for pair in pairs for split in splits]
    plot = _blank(
        title,
        x_range=FactorRange(factors=factors, range_padding=0.04),
        y_range=(0, 112),
        tools="",
        tooltips=[
            ("@split", "@affected of @patches patches (@percent{0.0} %)"),
            ("by tile", "@by_tile (@shared_tiles shared tiles)"),
            ("by ground", "@by_ground (@km2{0.00} km² shared)"),
        ],
    )
    colours = dict(zip(splits, split_colours(len(splits)), strict=True))
    source = {name: table[name].to_list() for name in table} | {
        "x": list(zip(table["pair"], table["split"], strict=True)),
        "percent": (100 * table["share"].fillna(0)).to_list(),
        "km2": (table["shared_ground_m2"].fillna(0) / 1e6).to_list(),
        "colour": [colours[name] for name in table["split"]],
        "text": [f"{share:.0%}" for share in table["share"].fillna(0)],
    }
    plot.vbar("x", top="percent", width=0.86, source=source, color="colour", legend_group="split")
    plot.text(
        "x", "percent", "text", source=source, text_align="center", y_offset=-3,
        text_font_size="10pt", text_color=palettes.INK,
    )  # fmt: skip
    plot.yaxis.axis_label = "Affected patches (%)"
    plot.xaxis.major_label_text_alpha = 0.0  # the legend names the splits; here they would collide
    plot.xaxis.major_tick_line_color = None
    plot.xaxis.separator_line_color = None
    plot.xaxis.group_text_font_size = "10pt"
    plot.xaxis.group_text_color = palettes.INK
    plot.xaxis.group_text_font_style = "normal"
    plot.add_layout(plot.legend[0], "right")
    plot.legend.border_line_color = None
    plot.xgrid.visible = False
    return plot


def _blank(title: str, **options: Any) -> Any:
    from bokeh.plotting import figure

    return figure(title=title, **options)


def bokeh_view(title: str, figure: Any, png: bytes, *, height: int) -> OfflineView:
    """Dress a Bokeh figure like the others and put it into a page with its picture behind it.

    Args:
        title: What is shown.
        figure: The Bokeh figure.
        png: The picture.
        height: CSS pixels.
    """
    plain_figure(figure, height - 24)
    figure.axis.major_label_text_font_size = "9.5pt"
    return OfflineView(title, png=png, page=bokeh_page(figure, title), height=height)


def _counted(number: int, name: str) -> str:
    return f"{number:,} {name}{'' if number == 1 else 's'}"
