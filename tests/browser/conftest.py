"""Made tiles, a run of the chain on them, JupyterLab, and a Chromium without a network."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.error import URLError

import geopandas as gpd
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from shapely.affinity import rotate
from shapely.geometry import box

from tests.browser.waiting import PATIENCE_MS
from workbench.geo.grid import PixelGrid
from workbench.geo.raster import write_raster
from workbench.geo.tile import Tile, tile_frame

ROOT = Path(__file__).parent.parent.parent
CHROMIUM = next((p for name in ("chromium", "chromium-browser") if (p := shutil.which(name))), None)
FLAGS = [
    *(
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
    ),
    *("--no-first-run", "--disable-component-update", "--disable-default-apps", "--disable-sync"),
]
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on this machine (Debian: apt install chromium)"
)
TOKEN = "browser-tests"

CATALOG = """\
version: 1
datasets:
  bigearthnet_scenes:
    description: Made tiles. Rotated, repeated, in two zones.
    sensor: sentinel2_l2a
    layout: footprints
    source: {type: local, path: tiles.gpkg, obtain: made by the tests}
    license: CC0-1.0
    citation: none
  land_outline:
    description: A made land. One rectangle.
    layout: land_outline
    source: {type: local, path: land.gpkg, obtain: made by the tests}
    license: CC0-1.0
    citation: none
  enmap_simulated:
    description: A simulated campaign. Three sites.
    sensor: enmap
    layout: enmap_simulated
    source: {type: simulated, seed: 0}
    license: CC0-1.0
    citation: none
  nc_landsat_forest:
    description: A made scene. Woods, water and towns as blobs.
    sensor: landsat7
    layout: landsat_bands
    source: {type: local, path: landsat, obtain: made by the tests}
    license: CC0-1.0
    citation: none
"""


def made_tiles() -> list[Tile]:
    """Twelve tiles of about 30 km: nine on three dates around one place, three apart."""
    start = datetime(2022, 5, 1, 10, 30, tzinfo=UTC)
    tiles = []
    for i in range(12):
        lon, lat = (
            (11.7 + 0.18 * (i % 3), 47.0 + 0.05 * (i // 3)) if i < 9 else (15.0 + i / 5, 49.0)
        )
        ground = rotate(box(lon, lat, lon + 0.4, lat + 0.27), 12)
        zone = 32632 if ground.centroid.x < 12 else 32633
        when = start + timedelta(days=16 * (i // 3))
        tiles.append(
            Tile(f"<b>tile {i:02d}</b>", when, ground, f"EPSG:{zone}", None, f"pass {i // 3}")
        )
    return tiles


def made_landsat(folder: Path, *, side: int = 192) -> None:
    """Files like the real Landsat sample: seven classes that six bands barely tell apart."""
    grid = PixelGrid("EPSG:32119", (28.5, 0, 630_534, 0, -28.5, 228_114), (side, side))
    rng = np.random.default_rng(0)
    height = gaussian_filter(rng.normal(size=(side, side)), 6)
    strata = 1 + np.digitize(height, np.quantile(height, [0.15, 0.3, 0.4, 0.5, 0.9, 0.95]))
    for band, number in enumerate((10, 20, 30, 40, 50, 70)):
        values = 40 + 9 * ((strata * (band + 2)) % 7) + rng.normal(0, 12, (side, side))
        nodata = -32768 if number == 70 else -99999
        values = values.astype(np.int16 if number == 70 else np.float32)
        write_raster(folder / f"lsat7_2000_{number}.tif", values, grid, nodata=nodata)
    harn = PixelGrid("EPSG:3358", grid.transform, grid.shape)
    write_raster(folder / "strata.tif", strata.astype(np.float32), harn, nodata=-99999)


def at_test_scale(notebook: Path) -> None:
    """Let a notebook that knows the scale "test" begin with it: each runs here three times."""
    node = json.loads(notebook.read_text(encoding="utf-8"))
    for cell in node["cells"]:
        if "parameters" in cell["metadata"].get("tags", []):
            cell["source"] = [_smaller(line) for line in cell["source"]]
    notebook.write_text(json.dumps(node), encoding="utf-8")


def _smaller(line: str) -> str:
    """A line of parameters, with the least that still shows everything."""
    if line.startswith("scale:") and '"test"' in line:
        return line.replace('= "demo"', '= "test"')
    return line.replace("= 12", "= 5") if line.startswith("steps:") else line


@pytest.fixture(scope="session")
def workplace(tmp_path_factory) -> Path:
    """The notebooks beside a catalog of made data, as a user's checkout has them."""
    place = tmp_path_factory.mktemp("workplace")
    shutil.copytree(ROOT / "notebooks", place / "notebooks")
    for notebook in sorted((place / "notebooks").glob("*.ipynb")):
        at_test_scale(notebook)
    (place / "data_catalog.yaml").write_text(CATALOG)
    tile_frame(made_tiles()).drop(columns="path").to_file(place / "tiles.gpkg")
    made_landsat(place / "landsat")
    land = gpd.GeoDataFrame({"name": ["land"]}, geometry=[box(5, 44, 22, 52)], crs="EPSG:4326")
    land.to_file(place / "land.gpkg")
    return place


@pytest.fixture(scope="session")
def run(workplace) -> Path:
    """The folder of a finished headless run of the chain."""
    folder = workplace / "runs" / "demo"
    command = [
        sys.executable,
        "-m",
        "workbench",
        "run",
        "notebooks/chain.yaml",
        "--run-dir",
        str(folder),
        "--jobs=2",
    ]
    done = subprocess.run(command, cwd=workplace, capture_output=True, text=True, timeout=1500)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="session")
def browser():
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@dataclass
class Watch:
    """What a page did that it should not."""

    outside: list[str] = field(default_factory=list)
    """Requests to anywhere but its own origin."""
    errors: list[str] = field(default_factory=list)
    """Exceptions of the page and errors on its console."""

    def hear(self, message) -> None:
        """Keep an error of the console, but for one that is not ours.

        jupyter_server 2.21 answers JupyterLab's regular question for all kernels with 500 while one
        of them is being started (2026-11, "last_activity"); JupyterLab asks again.
        """
        is_theirs = "status of 500" in message.text and "/api/kernels?" in message.location["url"]
        if message.type == "error" and not is_theirs:
            self.errors.append(f"{message.text} {message.location['url']}".strip())


@pytest.fixture
def open_page(browser):
    """Open pages that can reach one origin at most; all must have stayed quiet in the end."""
    opened = []

    def opener(origin: str = "file://", *, width: int = 1200, height: int = 900):
        watch = Watch()
        context = browser.new_context(viewport={"width": width, "height": height})

        def gate(route):
            url = route.request.url
            if url.startswith((origin, "data:", "blob:", "about:")):
                route.continue_()
            else:
                watch.outside.append(url)
                route.abort()

        context.set_default_timeout(PATIENCE_MS)
        context.route("**/*", gate)
        page = context.new_page()
        page.on("pageerror", lambda error: watch.errors.append(str(error)))
        page.on("console", lambda message: watch.hear(message))
        opened.append((context, watch))
        return page

    yield opener
    for context, watch in opened:
        context.close()
        assert watch.outside == []
        assert watch.errors == []


@pytest.fixture(scope="session")
def lab(workplace, tmp_path_factory) -> Iterator[str]:
    """Address of a JupyterLab that shows the workplace; its settings are its own."""
    home = tmp_path_factory.mktemp("jupyter")
    with jupyterlab(workplace, home) as address:
        yield address


@contextmanager
def jupyterlab(root: Path, home: Path) -> Iterator[str]:
    quiet = (
        home
        / "settings"
        / "@jupyterlab"
        / "apputils-extension"
        / "notification.jupyterlab-settings"
    )
    quiet.parent.mkdir(parents=True)
    quiet.write_text(json.dumps({"fetchNews": "false", "checkForUpdates": False}))
    kernels = home / "data" / "kernels" / "python3"
    kernels.mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": argv, "display_name": "Python 3", "language": "python"}
    (kernels / "kernel.json").write_text(json.dumps(spec))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folders = {"CONFIG_DIR": "config", "DATA_DIR": "data", "RUNTIME_DIR": "runtime"}
    environment = os.environ | {f"JUPYTER_{key}": str(home / name) for key, name in folders.items()}
    environment |= {"JUPYTERLAB_SETTINGS_DIR": str(home / "settings")}
    environment |= {"JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces")}
    command = [
        *(sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root", f"--port={port}"),
        *(f"--IdentityProvider.token={TOKEN}", f"--ServerApp.root_dir={root}"),
        "--LabApp.expose_app_in_browser=True",
    ]
    with (home / "log").open("w") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(f"{address}/api/status?token={TOKEN}", server, home / "log")
        yield address
    finally:
        server.terminate()
        try:
            server.wait(timeout=60)
        except subprocess.TimeoutExpired:  # kernels that are slow to end
            server.kill()
            server.wait()


def wait_for(url: str, server: subprocess.Popen, log: Path, *, seconds: float = 180) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        assert server.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (URLError, OSError):
            time.sleep(0.3)
    raise AssertionError(f"JupyterLab did not answer within {seconds:g} s:\n{log.read_text()}")
