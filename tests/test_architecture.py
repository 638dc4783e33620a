"""The layer rule: imports point down, rooms do not form circles, heavy packages have one room."""

import ast
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import networkx as nx
import pytest

PACKAGE = Path(__file__).parent.parent / "workbench"

LAYERS = [  # from the ground up; names of one layer do not know each other
    {"errors", "escape"},
    {"files", "nodata", "progress", "showing"},
    {"records"},
    {"geo", "sensors", "legends"},
    {"catalog"},
    {"readers"},
    {"extraction", "synthetic"},
    {"datasets", "models", "methods"},
    {"training"},
    {"evaluation"},
    {"viz", "execution"},
    {"commands"},
    {"__main__"},
]
ROOMS = {  # heavy package: the files that may import it
    "rasterio": ["geo/raster.py", "geo/raster_grids.py"],
    "rioxarray": ["geo/raster.py"],
    "yaml": ["catalog/*"],
    "papermill": ["execution/*"],
    "nbclient": ["execution/*"],
    "nbconvert": ["execution/*"],
    "folium": ["viz/maps*.py"],
    "branca": ["viz/maps*.py"],
    "hvplot": ["viz/plots*.py"],
    "holoviews": ["viz/plots*.py"],
    "datashader": ["viz/*"],
    "bokeh": ["viz/*"],
    "matplotlib": ["viz/*"],
    "ipywidgets": ["viz/controls.py"],
    "anywidget": ["viz/controls.py", "viz/map_widgets.py"],
    "typer": ["commands/*", "__main__.py"],
    "rich": ["commands/*", "__main__.py"],
}
TORCH = {"torch", "torchvision", "lightning", "lightly", "timm", "torchmetrics", "kornia"}
FIRST_TORCH_LAYER = 7
COSTLY = {"numpy", "pandas", "shapely", "geopandas", "pyproj", "networkx", "scipy", "pyarrow"}
COSTLY |= {"xarray", "zarr", "dask", "distributed", "pydantic", "sklearn"} | set(ROOMS) | TORCH

FILES = sorted(PACKAGE.rglob("*.py"))
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}


def place(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def module_name(path: Path) -> str:
    parts = ("workbench", *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts).removesuffix(".__init__")


def imported_names(path: Path) -> set[str]:
    """Every dotted name a file imports, wherever in the file; `from a import b` gives "a.b"."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{place(path)}: use absolute imports"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def import_graph() -> nx.DiGraph:
    """Which module imports which; a name counts for the longest module that it starts with."""
    modules = {module_name(path) for path in FILES}
    graph = nx.DiGraph()
    for path in FILES:
        for name in imported_names(path):
            parts = name.split(".")
            prefixes = (".".join(parts[:n]) for n in range(len(parts), 0, -1))
            target = next((p for p in prefixes if p in modules), None)
            if target not in (None, "workbench"):
                graph.add_edge(module_name(path), target)
    return graph


def loaded_by(statement: str) -> set[str]:
    """Top-level packages in memory after a statement in a fresh interpreter."""
    code = f"{statement}; import sys; print(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("path", FILES, ids=place)
def test_imports_point_down(path):
    here = room(path)
    used = {name.split(".")[1] for name in imported_names(path) if name.startswith("workbench.")}
    if here == "__init__":
        assert not used, "`import workbench` imports nothing"
        return
    assert here in RANK, f"{place(path)}: give {here!r} a layer in this file"
    upward = {name for name in used - {here, "__version__"} if RANK[name] >= RANK[here]}
    assert not upward


@pytest.mark.parametrize("path", FILES, ids=place)
def test_heavy_packages_have_one_room(path):
    top_level = {name.split(".")[0] for name in imported_names(path)}
    strangers = {
        name
        for name in top_level & set(ROOMS)
        if not any(fnmatch(place(path), pattern) for pattern in ROOMS[name])
    }
    assert not strangers


@pytest.mark.parametrize("path", FILES, ids=place)
def test_torch_begins_at_the_datasets(path):
    if room(path) != "__init__" and RANK[room(path)] >= FIRST_TORCH_LAYER:
        return
    assert not {name.split(".")[0] for name in imported_names(path)} & TORCH


def test_modules_do_not_import_each_other_in_a_circle():
    assert not list(nx.simple_cycles(import_graph()))


def test_the_graph_of_imports_sees_them():
    assert import_graph().has_edge("workbench.geo.tile", "workbench.errors")


def test_import_workbench_loads_nothing_heavy():
    assert not loaded_by("import workbench") & COSTLY


@pytest.mark.parametrize(
    "name", ["workbench.extraction", "workbench.catalog", "workbench.__main__"]
)
def test_planning_and_the_command_line_start_without_torch_and_plots(name):
    unwanted = TORCH | {"matplotlib", "folium", "holoviews", "hvplot", "papermill", "ipywidgets"}
    assert not loaded_by(f"import {name}") & unwanted


def test_parquet_is_read_from_a_file_opened_once():
    """A path would be opened twice, and the file may be replaced in between (`opened_once`)."""
    readers = {"read_parquet", "read_table", "ParquetFile"}
    packages = {"pd", "gpd", "pq"}
    found = [
        f"{path.relative_to(PACKAGE)}:{call.lineno} {ast.unparse(call)}"
        for path in PACKAGE.rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)
        if call.func.attr in readers and ast.unparse(call.func.value) in packages
        if ast.unparse(call.args[0]) not in {"file", "buffer"}
    ]
    assert found == []
