"""The folder of a run, as a notebook sees it: tables, figures, pages and numbers go here.

Everything written through `RunFolder` is listed with its checksum in ``records/STEP.outputs.json``,
from which the runner makes the step's record and the report its page. A notebook opened by hand
writes to the same kind of folder, under the step name ``lab``.
"""

import logging
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from workbench.errors import NotebookRunError
from workbench.execution.files import write_json, write_text
from workbench.execution.offline import external_references
from workbench.execution.schemas import VERSION, StoredOutputs, read_stored
from workbench.execution.stages import run_stage
from workbench.files import opened_once, path_inside, sha256_of, whole_file

if TYPE_CHECKING:
    import pandas as pd

STEP_VARIABLE = "WORKBENCH_STEP"
"""Environment variable by which the runner tells a kernel which step it is."""

PREVIEW_ROWS, PREVIEW_COLUMNS, PREVIEW_CHARACTERS = 8, 10, 48

log = logging.getLogger(__name__)


class Savable(Protocol):
    """A matplotlib figure, or anything else that can save itself as a picture."""

    def savefig(self, fname: Any, /, **options: Any) -> Any:
        """Write the picture to `fname`."""


class DataEntry(Protocol):
    """An entry of the data catalog, as far as a record needs it."""

    @property
    def name(self) -> str: ...
    @property
    def description(self) -> str: ...
    @property
    def license(self) -> str: ...
    @property
    def citation(self) -> str: ...
    def fingerprint(self) -> str: ...


class RunFolder:
    """Where one notebook leaves what it made.

    Every method writes atomically, replaces an older file of the same name and returns its path.
    Two steps of one run may not write the same file.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     out = RunFolder(folder)
        ...     out.page("<!DOCTYPE html><title>map</title>", "coverage").name
        'coverage.html'
    """

    def __init__(self, run_dir: str | Path, *, step: str | None = None) -> None:
        self.root = Path(run_dir).resolve()
        self.step = step or os.environ.get(STEP_VARIABLE, "lab")

    def __repr__(self) -> str:
        outputs = read_outputs(self.root, self.step)["artifacts"]
        return f"RunFolder({str(self.root)!r}, step={self.step!r}, {len(outputs)} outputs)"

    def table(self, frame: "pd.DataFrame", name: str, *, title: str = "") -> Path:
        """Write a DataFrame as ``tables/NAME.parquet``; a GeoDataFrame becomes GeoParquet."""
        path = self._target("tables", name, ".parquet")
        with whole_file(path) as temporary:
            frame.to_parquet(temporary)
        rows, columns = len(frame), [str(column) for column in frame.columns]
        self._list(path, "table", title, rows=rows, columns=columns, preview=_preview(frame))
        return path

    def read_table(self, name: str) -> "pd.DataFrame":
        """Read a table of this run, written by this or an earlier notebook.

        Returns:
            A GeoDataFrame if the table was one.

        Raises:
            NotebookRunError: If this run has no such table.
        """
        path = path_inside(self.root, f"tables/{name}.parquet", what="A table of a run")
        if not path.is_file():
            known = sorted(p.stem for p in path.parent.glob("*.parquet"))
            raise NotebookRunError(
                f"{self.root.name} must hold a table {name!r} before it is read; "
                f"it holds: {', '.join(known) or 'none'}.\nRun the notebook that writes it first."
            )
        import geopandas as gpd
        import pandas as pd
        import pyarrow.parquet as pq

        with opened_once(path) as file:
            is_geo = b"geo" in (pq.read_schema(file).metadata or {})
            file.seek(0)
            return gpd.read_parquet(file) if is_geo else pd.read_parquet(file)

    def figure(self, figure: Savable, name: str, *, title: str = "", dpi: int = 110) -> Path:
        """Write a figure as ``figures/NAME.png``.

        Args:
            figure: A matplotlib figure, or anything that has ``savefig``.
            name: File name without its suffix.
            title: A line for the report.
            dpi: Resolution in dots per inch.
        """
        path = self._target("figures", name, ".png")
        with whole_file(path, keep_suffix=True) as temporary:
            figure.savefig(temporary, dpi=dpi, bbox_inches="tight")
        self._list(path, "figure", title)
        return path

    def page(self, html: str, name: str, *, title: str = "", preview: bytes | None = None) -> Path:
        """Write a whole HTML page, such as a map, as ``maps/NAME.html``.

        Args:
            html: The page. It should need no network; what it would fetch is counted and logged.
            name: File name without its suffix.
            title: A line for the report.
            preview: A PNG picture of the page for the report.
        """
        path = self._target("maps", name, ".html")
        external = external_references(html)
        if external:
            log.warning(
                "%s asks the network for %d file(s), e.g. %s: it is blank without one",
                path.name,
                len(external),
                external[0],
            )
        write_text(path, html)
        shown = {}
        if preview is not None:
            picture = path.with_suffix(".png")
            with whole_file(picture) as temporary:
                temporary.write_bytes(preview)
            shown = {"preview": picture.relative_to(self.root).as_posix()}
        self._list(path, "page", title, external=len(external), **shown)
        return path

    def file(self, path: str | Path, *, title: str = "") -> Path:
        """List a file that is already in the run folder, such as a manifest or a checkpoint.

        Args:
            path: Absolute, or relative to the working directory or to the run folder.
            title: A line for the report.

        Raises:
            NotebookRunError: If there is no such file, or if it lies outside the run folder.
        """
        whole = Path(path).resolve()
        if not whole.is_relative_to(self.root):
            whole = (self.root / path).resolve()
        if not whole.is_file() or not whole.is_relative_to(self.root):
            raise NotebookRunError(
                f"An output must be a file inside the run folder {self.root}, got {str(path)!r}."
            )
        self._list(whole, "file", title)
        return whole

    def metrics(self, values: Mapping[str, float | int | str | bool | None]) -> Path:
        """Write named numbers as ``metrics/STEP.json``; later calls add to earlier ones.

        NaN and infinity, which JSON cannot hold, are written as null: the number is undefined.
        """
        path = self._target("metrics", self.step, ".json")
        outputs = read_outputs(self.root, self.step)
        outputs["metrics"] |= {name: _plain(value) for name, value in values.items()}
        write_json(path, outputs["metrics"])
        self._write(outputs)
        self._list(path, "metrics", "")
        return path

    def used_data(self, entry: DataEntry) -> None:
        """Say that a data set of the catalog was used, for the record and the report.

        Args:
            entry: The catalog's entry; its fingerprint tells later whether the data have changed.
        """
        outputs = read_outputs(self.root, self.step)
        outputs["data"][entry.name] = {
            "fingerprint": entry.fingerprint(),
            "description": " ".join(entry.description.split()),
            "licence": entry.license,
            "citation": " ".join(entry.citation.split()),
        }
        self._write(outputs)

    def stage(
        self,
        name: str,
        make: Callable[[Path], object],
        *,
        parameters: Mapping[str, Any] | None = None,
        inputs: Iterable[str | Path] = (),
        keep_partial: bool = False,
    ) -> Path:
        """Make a folder of files, unless it was made before from the same things.

        Args:
            name: Letters, digits, ``_``, ``-`` and ``.``; one name for each stage of a notebook.
            make: Called with an empty folder, which it fills.
            parameters: What the result depends on, as JSON can hold it.
            inputs: Files, known by their checksums, and folders, by names and sizes of their files.
            keep_partial: Give `make` what an interrupted call of it left, such as a checkpoint.

        Returns:
            The folder, finished. Why it was made, or not, is logged.

        Raises:
            NotebookRunError: If an input is missing.
        """
        self._target("stages", name, "")
        return run_stage(
            self.root,
            self.step,
            name,
            make,
            parameters=parameters or {},
            inputs=inputs,
            keep_partial=keep_partial,
        )

    def _target(self, folder: str, name: str, suffix: str) -> Path:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
            raise NotebookRunError(
                f"The name of an output must be letters, digits, '_', '-' and '.', got {name!r}."
            )
        relative = f"{folder}/{name}{suffix}"
        path_inside(self.root, relative, what="An output")  # a link may lead out of the folder
        path = self.root / relative
        for other in sorted((self.root / "records").glob("*.outputs.json")):
            step = other.name.removesuffix(".outputs.json")
            if step != self.step and any(
                a["path"] == relative for a in read_outputs(self.root, step)["artifacts"]
            ):
                raise NotebookRunError(
                    f"{relative} is an output of step {step!r}; step {self.step!r} must write to "
                    f"another name."
                )
        return path

    def _list(self, path: Path, kind: str, title: str, **more: Any) -> None:
        relative = path.relative_to(self.root).as_posix()
        outputs = read_outputs(self.root, self.step)
        entry = {
            "path": relative,
            "kind": kind,
            "title": title,
            "bytes": path.stat().st_size,
            "sha256": sha256_of(path),
            **more,
        }
        others = [a for a in outputs["artifacts"] if a["path"] != relative]
        outputs["artifacts"] = [*others, entry]
        self._write(outputs)

    def _write(self, outputs: dict[str, Any]) -> None:
        write_json(outputs_path(self.root, self.step), {**outputs, "version": VERSION})


def outputs_path(root: Path, step: str) -> Path:
    """Where a step's outputs are listed while it runs.

    Raises:
        UnsafePathError: If the step's name leads out of the run folder.
    """
    return path_inside(root, f"records/{step}.outputs.json", what="The outputs of a step")


def read_outputs(root: Path, step: str) -> dict[str, Any]:
    """What a step has written so far: ``artifacts`` (list), ``metrics`` and ``data`` (dicts).

    Raises:
        NotebookRunError: If the list is damaged.
        UnsafePathError: If it names a file outside the run folder.
    """
    path = outputs_path(root, step)
    if not path.is_file():
        return {"artifacts": [], "metrics": {}, "data": {}}
    stored = read_stored(path, StoredOutputs, what="the list of a step's outputs")
    for artifact in stored.artifacts:
        for key in ("path", "preview"):
            if isinstance(name := artifact.get(key), str):
                path_inside(root, name, what=f"A path in {path.name}")
    return {"artifacts": stored.artifacts, "metrics": stored.metrics, "data": stored.data}


def _plain(value: Any) -> Any:
    """A numpy scalar as the Python number it stands for; None for NaN and infinity."""
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _preview(frame: "pd.DataFrame") -> dict[str, Any]:
    head = frame.iloc[:PREVIEW_ROWS, :PREVIEW_COLUMNS]
    rows = [[_shortened(value) for value in row] for row in head.itertuples(index=False)]
    return {"columns": [str(column) for column in head.columns], "rows": rows}


def _shortened(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= PREVIEW_CHARACTERS else text[: PREVIEW_CHARACTERS - 1] + "…"
