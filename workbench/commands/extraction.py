"""`workbench tiles`, `plan` and `extract`: from products to a store of patches."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Table
from rich.text import Text

from workbench.commands.catalog import DEFAULT, CatalogFile
from workbench.errors import ManifestError

if TYPE_CHECKING:  # planning takes half a second to import; other commands need not wait for it
    from workbench.catalog import Entry
    from workbench.extraction import DroppedTile, Extraction, Progress, Tile

CLOUD, SNOW = 0.1, 0.5
"""Limits of `ValidityRules`, for the help."""

Simulated = Annotated[
    Path,
    typer.Option("--simulated", help="Folder for the products of a simulated entry, made once."),
]
SIMULATED = Path("data/simulated")
Scale = Annotated[
    str, typer.Option(help="Size of a simulated campaign: test, demo, small or full.")
]


def tiles(
    entry: Annotated[str, typer.Argument(help="Entry of the catalog.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="GeoParquet file of the tiles.")
    ] = None,
    catalog: CatalogFile = DEFAULT,
    simulated: Simulated = SIMULATED,
    scale: Scale = "demo",
) -> None:
    """List the tiles of an entry, without deliveries of the same acquisition.

    Prints how many there are, on how many dates and over which ground, and which were left out;
    writes id, time, CRS, path, group and footprint (EPSG:4326) with --output.
    """
    from workbench.catalog import open_catalog
    from workbench.geo.dates import tile_dates

    kept, dropped = _tiles_of(open_catalog(catalog)[entry], simulated, scale)
    console = _console()
    for item in dropped:
        console.print(Text(f"left out {item.tile.id}: {item.reason}"))
    dates = len(set(tile_dates(kept).tolist()))
    console.print(
        f"{len(kept):,} tiles of {dates:,} dates, {len(dropped):,} left out", markup=False
    )
    if output is not None:
        _write_tiles(kept, output)
        console.print(f"written: {output}", markup=False)


def plan(
    entry: Annotated[str, typer.Argument(help="Entry of the catalog.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="GeoParquet file of the plan.")],
    patch_size: Annotated[int, typer.Option(min=1, help="Side of a patch, pixels.")] = 128,
    gsd: Annotated[
        float | None,
        typer.Option(
            min=0.01,
            help="Size of a pixel, metres. [default: that of the tiles; 30 if none says one]",
            show_default=False,
        ),
    ] = None,
    origin: Annotated[
        tuple[float, float] | None,
        typer.Option(
            help="Crossing of grid lines (x y), units of the CRS. [default: that of the tiles]",
            show_default=False,
        ),
    ] = None,
    crs: Annotated[
        str | None,
        typer.Option(
            help="CRS of all locations, as EPSG:25832. [default: those of the tiles]",
            show_default=False,
        ),
    ] = None,
    resample: Annotated[
        bool,
        typer.Option(
            "--resample", help="Accept pixels of another size, in degrees, or not square."
        ),
    ] = False,
    method: Annotated[
        Literal["coverage", "combinations"], typer.Option(help="How squares are found.")
    ] = "coverage",
    min_acquisitions: Annotated[int, typer.Option(min=1, help="Fewest dates of a location.")] = 1,
    clear: Annotated[
        bool, typer.Option("--clear", help="Count a date only where its ground is clear.")
    ] = False,
    catalog: CatalogFile = DEFAULT,
    simulated: Simulated = SIMULATED,
    scale: Scale = "demo",
) -> None:
    """Plan locations over the tiles of an entry; no pixels are read, unless --clear asks for masks.

    Locations lie on the pixel grid that most tiles of their region share; what cannot be copied is
    said here, and in the column why_resampled. Example: workbench plan enmap -o plan.parquet

    Beside PLAN.parquet lies PLAN.tiles.parquet, with the tiles that `workbench extract` reads.
    """
    from workbench.catalog import open_catalog
    from workbench.extraction import (
        ViewRules,
        clear_tiles,
        plan_summary,
        temporal_views,
        write_manifest,
    )

    opened = open_catalog(catalog)[entry]
    kept, _ = _tiles_of(opened, simulated, scale)
    if clear:
        kept, _ = clear_tiles(kept)
    rules = ViewRules(
        patch_size=patch_size,
        gsd=gsd,
        method=method,
        min_acquisitions=min_acquisitions,
        origin=origin,
        crs=crs,
        resample=resample,
    )
    planned = temporal_views(kept, rules)
    _write_tiles(kept, _tiles_file(output))
    note = {"entry": entry, "patch_size": patch_size, "nodata": opened.nodata}
    write_manifest(planned, output, kind="plan", note=note)
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in plan_summary(planned, kept, rules).as_dict().items():
        text = f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"
        table.add_row(name.replace("_", " "), text)
    console = _console()
    console.print(table)
    if "why_resampled" in planned.columns:
        whys = planned["why_resampled"].explode().value_counts()
        for why, count in whys[whys.index != ""].items():
            console.print(f"{count:,} patches will be resampled: {why}", markup=False)


def extract(
    planned: Annotated[Path, typer.Argument(metavar="PLAN", help="What `workbench plan` wrote.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the extraction.")],
    cloud: Annotated[
        float, typer.Option(min=0, max=1, help="Largest share of cloudy pixels of a patch.")
    ] = CLOUD,
    snow: Annotated[
        float, typer.Option(min=0, max=1, help="Largest share of snowy pixels.")
    ] = SNOW,
    accept_all: Annotated[
        bool, typer.Option("--accept-all", help="Reject nothing, whatever the shares.")
    ] = False,
    across_zones: Annotated[
        Literal["bilinear", "nearest"], typer.Option(help="Resampling from another UTM zone.")
    ] = "bilinear",
    bands: Annotated[
        str,
        typer.Option(
            help="kept (of EnMAP 202), all, names with commas, or what to leave out: "
            "--bands=-B092,-B093"
        ),
    ] = "kept",
    nodata: Annotated[
        float | None,
        typer.Option(
            help="Stored number of plain rasters that is no measurement, as 0 for fill that no "
            "header names. [default: that of the plan's catalog entry]",
            show_default=False,
        ),
    ] = None,
    compress: Annotated[
        bool, typer.Option("--compress", help="Compress with zstd, for archives.")
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Processes. [default: one for each core]", show_default=False),
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="Address of a Dask scheduler, as tcp://host:8786.")
    ] = None,
) -> None:
    """Cut the patches of a plan into a store, with the manifest beside it.

    A run that was cut off is completed by giving the same command again. Tiles that cannot be read
    are reported and cost nothing but their own patches. Ends with 1 if no patch is kept, or if
    tiles break the contract of the others. Example: workbench extract plan.parquet -o patches
    """
    from workbench.extraction import ValidityRules, extract_patches, read_manifest

    plan_frame = read_manifest(planned, kind="plan")
    source = _read_tiles(_tiles_file(planned))
    rules = ValidityRules.accept_all() if accept_all else ValidityRules(cloud=cloud, snow=snow)
    with _bar() as show:
        found = extract_patches(
            plan_frame,
            source,
            output,
            rules=rules,
            bands=bands if bands in ("kept", "all") else [b.strip() for b in bands.split(",")],
            across_zones=across_zones,
            nodata=_stated(planned) if nodata is None else nodata,
            compression="zstd" if compress else None,
            workers=workers,
            scheduler=scheduler,
            progress=show,
        )
    _print_findings(found)
    if found.odd or not len(found.manifest):
        raise typer.Exit(1)


def _stated(planned: Path) -> float | None:
    """The nodata that the catalog entry of a plan states."""
    from workbench.extraction import manifest_note

    value = manifest_note(planned).get("nodata")
    return None if value is None else float(value)


@contextmanager
def _bar() -> "Iterator[Callable[[Progress], None]]":
    """A bar of tiles on stderr; gives what moves it."""
    with Bar(
        TextColumn("tiles"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[told]}"),
        console=Console(stderr=True),
    ) as bar:
        task = bar.add_task("tiles", total=None, told="")

        def show(progress: "Progress") -> None:
            told = f"{progress.patches:,} patches, {progress.rejected:,} rejected"
            bar.update(task, total=progress.tiles, completed=progress.tiles_done, told=told)

        yield show


def _print_findings(found: "Extraction") -> None:
    console = _console()
    locations = found.manifest["location_id"].nunique()
    console.print(f"{len(found.manifest):,} patches of {locations:,} locations", markup=False)
    reasons = found.rejected["reasons"].map(" and ".join).value_counts()
    for reason, count in reasons.items():
        console.print(f"{count:,} rejected: {reason}", markup=False)
    for tile_id, reason in found.failed.items():
        kind = "breaks the contract" if tile_id in found.odd else "unreadable"
        console.print(Text(f"{kind}: {tile_id}: {reason}"))
    for text in found.advice():
        console.print(Text(text))
    console.print(f"written: {found.path}", markup=False)


def _tiles_of(
    entry: "Entry", simulated: Path, scale: str
) -> "tuple[list[Tile], list[DroppedTile]]":
    """The tiles of an entry, without re-deliveries; what is simulated is made first."""
    from workbench.extraction import drop_duplicates

    if entry.layout == "footprints_simulated" and entry.source.type == "simulated":
        from workbench.synthetic.footprints import simulated_footprints

        parameters = {"seed": entry.source.seed, **entry.source.parameters}
        return drop_duplicates(simulated_footprints(**parameters))
    if entry.layout == "enmap_simulated" and entry.source.type == "simulated":
        from workbench.readers.enmap import discover_enmap
        from workbench.synthetic import simulate_campaign

        parameters = {"seed": entry.source.seed, "scale": scale, **entry.source.parameters}
        folder = simulated / f"{entry.name}_{scale}"
        truth = simulate_campaign(folder, **parameters)
        return drop_duplicates(discover_enmap(truth.products)[0])
    from workbench.readers import read_tiles

    return drop_duplicates(read_tiles(entry))


def _tiles_file(plan_file: Path) -> Path:
    return plan_file.with_suffix(".tiles.parquet")


def _write_tiles(kept: "list[Tile]", path: Path) -> None:
    from workbench.extraction import write_manifest
    from workbench.extraction.tiles import tile_frame

    frame = tile_frame(kept)
    texts = [name for name in ("path", "group", "grid") if name in frame.columns]
    frame[texts] = frame[texts].fillna("").astype(str)
    write_manifest(frame, path, kind="tiles")


def _read_tiles(path: Path) -> "list[Tile]":
    from workbench.extraction import read_manifest
    from workbench.extraction.tiles import tiles_from_geodataframe

    if not path.is_file():
        raise ManifestError(
            f"A plan needs the table of its tiles beside it, but {path} is not there.\n"
            "Plan with `workbench plan`, or write the table with `workbench tiles ENTRY -o`."
        )
    frame = read_manifest(path, kind="tiles")
    optional = {name: name for name in ("path", "group", "grid") if name in frame.columns}
    return tiles_from_geodataframe(frame, **optional)


def _console() -> Console:
    """Wide where nobody looks (pipes, logs), so that nothing is cut there."""
    console = Console(highlight=False, soft_wrap=True)
    return console if console.is_terminal else Console(width=120, highlight=False, soft_wrap=True)
