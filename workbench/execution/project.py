"""A project folder of one's own: catalog, notebooks and a place for runs, ready to be changed."""

import shutil
from pathlib import Path

from workbench.errors import NotebookRunError
from workbench.execution.files import require_writable, write_text
from workbench.execution.provenance import PACKAGE
from workbench.showing import some

README = """\
# {name}

A project of Spectral Workbench. All of it is yours to change.

    workbench doctor                                     is this machine ready?
    workbench catalog list                               what data there are
    workbench run notebooks/chain.yaml --name first      run all notebooks
    workbench lab                                        open them in JupyterLab
    workbench runs list                                  what was run, and how it went

`data_catalog.yaml` says what data exist, the first cell of a notebook what a run does. Results go
to `runs/`, which git leaves alone.
"""
IGNORED = "runs/\n.ipynb_checkpoints/\n"


def init_project(folder: str | Path, *, source: Path = PACKAGE.parent) -> list[Path]:
    """Make a project folder: the catalog, the notebooks with their chain, and a folder for runs.

    Args:
        folder: Where; made if needed. What is there already is never overwritten.
        source: Where catalog and notebooks are taken from: a checkout of the workbench.

    Returns:
        The files that were written, in order.

    Raises:
        NotebookRunError: If the folder already holds one of the files or cannot be written, or if
            the workbench was installed without its notebooks.
    """
    target = Path(folder)
    if not (source / "notebooks" / "chain.yaml").is_file():
        raise NotebookRunError(
            f"Notebooks must lie beside the package, but there are none in {source}.\n"
            "Install the workbench from a checkout (`pip install -e .`), or copy `notebooks/` and "
            "`data_catalog.yaml` from one."
        )
    copied = [source / "data_catalog.yaml", source / "notebooks" / "chain.yaml"]
    copied += sorted((source / "notebooks").glob("*.ipynb"))
    own = {"README.md": README.format(name=target.resolve().name), ".gitignore": IGNORED}
    names = [path.relative_to(source).as_posix() for path in copied] + list(own)
    if there := [name for name in names if (target / name).exists()]:
        raise NotebookRunError(
            f"A new project must not overwrite anything, but {target} has {some(there)}.\n"
            "Name another folder."
        )
    require_writable(target)
    (target / "runs").mkdir(exist_ok=True)
    for path in copied:
        place = target / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
    for name, text in own.items():
        write_text(target / name, text)
    return [target / name for name in names]
