"""`workbench init`, `doctor`, `lab`: a folder to work in, a machine to work on, a place to look."""

import os
import platform
import secrets
import shutil
import socket
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from workbench.errors import NotebookRunError
from workbench.execution.health import examine
from workbench.execution.project import init_project

STYLES = {"ok": "green", "note": "yellow", "bad": "red"}
FIRST_PORT, PORTS = 8888, 50


def init(folder: Annotated[Path, typer.Argument(help="The folder to make.")]) -> None:
    """Make a project folder of your own: catalog, notebooks with their chain, a place for runs."""
    for path in init_project(folder):
        typer.echo(path)
    typer.echo(f"Next: cd {folder} && workbench doctor")


def doctor(
    catalog: Annotated[
        Path, typer.Option("--catalog", "-c", help="The catalog file.", envvar="WORKBENCH_CATALOG")
    ] = Path("data_catalog.yaml"),
    runs: Annotated[Path, typer.Option(help="Where runs are kept.")] = Path("runs"),
    self_test: Annotated[
        bool, typer.Option(help="Run a small notebook too, which takes a few seconds.")
    ] = True,
) -> None:
    """Look whether this machine is ready: versions, devices, disk, catalog, cache, a self-test.

    Exits with 1 if something has to be mended first; each such line says how.
    """
    console = Console(highlight=False, soft_wrap=True)
    bad = False
    for finding in examine(catalog, runs, self_test=self_test):
        bad |= finding.state == "bad"
        line = Text(f"{finding.state:<5}", style=STYLES[finding.state])
        line.append(f"{finding.what:<11} {finding.text}", style="default")
        console.print(line)
        if finding.cure and finding.state != "ok":
            console.print(Text(f"{'':<16} {finding.cure}", style="dim"))
    if bad:
        raise typer.Exit(1)


def lab(
    folder: Annotated[Path, typer.Argument(help="Folder to open.")] = Path(),
    port: Annotated[
        int | None,
        typer.Option(
            min=1, max=65535, help="Port. [default: the first that is free]", show_default=False
        ),
    ] = None,
    browser: Annotated[bool, typer.Option(help="Open a browser on this machine.")] = False,
) -> None:
    """Open the notebooks in JupyterLab, for this machine only and behind a token.

    On a server, the printed ssh command carries the page to your own machine.
    """
    port = port or _free_port()
    token = os.environ.get("JUPYTER_TOKEN") or secrets.token_hex(24)
    start = "notebooks" if (folder / "notebooks").is_dir() else ""
    here = f"http://127.0.0.1:{port}/lab/tree/{start}?token={token}"
    user = os.environ.get("USER", "USER")
    typer.echo(f"On this machine:   {here}")
    typer.echo(f"From your own:     ssh -N -L {port}:127.0.0.1:{port} {user}@{platform.node()}")
    typer.echo("                   and then open the same address there. Ctrl-C twice ends it.")
    sys.stdout.flush()
    if shutil.which("jupyter-lab", path=Path(sys.executable).parent.as_posix()) is None:
        raise NotebookRunError("JupyterLab must be installed; run `make setup`.")
    command = [sys.executable, "-m", "jupyterlab", "--ServerApp.ip=127.0.0.1"]
    command += [f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
    command += [f"--ServerApp.root_dir={folder.resolve()}", "--ServerApp.log_level=WARN"]
    command += [f"--LabApp.default_url=/lab/tree/{start}"]
    command += [] if browser else ["--no-browser"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")
    # By the environment, since everyone on the machine can read a command line.
    os.execve(command[0], command, {**os.environ, "JUPYTER_TOKEN": token})


def _free_port() -> int:
    for port in range(FIRST_PORT, FIRST_PORT + PORTS):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port
    raise NotebookRunError(
        f"A port from {FIRST_PORT} to {FIRST_PORT + PORTS - 1} must be free, but none is."
    )
