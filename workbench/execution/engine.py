"""papermill and nbclient, as one call: cells in, an executed notebook and perhaps an error out."""

import asyncio
import contextvars
import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
from jupyter_core.utils import ensure_event_loop

from workbench.execution.outcome import CellWatch

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"papermill\..*")
    import papermill

AUTOSAVE_SECONDS = 5


def execute_cells(
    node: nbformat.NotebookNode, executed: Path, watch: CellWatch, options: dict[str, Any]
) -> Exception | None:
    """Execute `node`, saving it as it goes, and return what papermill raised instead of raising it.

    Args:
        node: The notebook; left as it is.
        executed: Where the executed notebook is saved, every few seconds and at the end.
        watch: Told when a cell begins and ends.
        options: More arguments of ``papermill.execute_notebook``: parameters, streams, kernel.
    """
    return _in_own_loop(lambda: _execute(node, executed, watch, options))


def _execute(
    node: nbformat.NotebookNode, executed: Path, watch: CellWatch, options: dict[str, Any]
) -> Exception | None:
    executed.parent.mkdir(parents=True, exist_ok=True)
    logging.getLogger("papermill").setLevel(logging.CRITICAL)  # we report in its place
    try:
        papermill.execute_notebook(
            node,
            str(executed).replace("{", "{{").replace("}", "}}"),  # papermill formats this path
            kernel_name="python3",
            language="python",
            progress_bar=False,
            autosave_cell_every=AUTOSAVE_SECONDS,
            coalesce_streams=True,
            on_cell_execute=watch.begins,
            on_cell_executed=watch.ended,
            **options,
        )
    except Exception as error:
        return error
    return None


def _in_own_loop(call: Callable[[], Exception | None]) -> Exception | None:
    """Call in an event loop that is closed afterwards; nbclient leaves the one it makes open."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        return call()  # inside Jupyter: nbclient works in a thread with a loop of its own

    def run() -> Exception | None:
        with asyncio.Runner(loop_factory=ensure_event_loop) as runner:
            runner.get_loop()
            return call()

    return contextvars.Context().run(run)
