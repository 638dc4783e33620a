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

from workbench.execution.files import write_text
from workbench.execution.outcome import CellWatch

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"papermill\..*")
    import papermill
    import papermill.iorw

    from workbench.execution.client import OutputClient

ATOMIC = "workbench-atomic:"
"""Before a path: papermill writes there by way of a temporary file."""

AUTOSAVE_SECONDS = 5


def execute_cells(
    node: nbformat.NotebookNode,
    executed: Path,
    watch: CellWatch,
    options: dict[str, Any],
    stopped_seconds: Callable[[], float],
) -> Exception | None:
    """Execute `node`, saving it as it goes, and return what papermill raised instead of raising it.

    Args:
        node: The notebook; left as it is.
        executed: Where the executed notebook is saved, every few seconds and at the end.
        watch: Told when a cell begins and ends.
        options: More arguments of ``papermill.execute_notebook``: parameters, streams, kernel.
        stopped_seconds: How long ago the end of the run was asked for; 0 if it was not.
    """

    def complete(client: OutputClient) -> None:
        logs = Path(options["stderr_file"].name)
        step = logs.name.removesuffix(".stderr.log")
        client.overflow = lambda place: logs.with_name(f"{step}.outputs-{place + 1}.jsonl")
        client.stopped_seconds = stopped_seconds
        client.left_out = lambda place, sentence: watch.left_out(sentence)

    return _in_own_loop(lambda: _execute(node, executed, watch, {**options, "client": complete}))


class _AtomicHandler(papermill.iorw.LocalHandler):
    """Writes notebooks whole or not at all, where a full disk would leave an empty file."""

    def write(self, buf: str, path: str) -> None:
        write_text(Path(path.removeprefix(ATOMIC)), buf)

    def pretty_path(self, path: str) -> str:
        return path.removeprefix(ATOMIC)


papermill.iorw.papermill_io.register(ATOMIC, _AtomicHandler())


def _execute(
    node: nbformat.NotebookNode, executed: Path, watch: CellWatch, options: dict[str, Any]
) -> Exception | None:
    executed.parent.mkdir(parents=True, exist_ok=True)
    logging.getLogger("papermill").setLevel(logging.CRITICAL)  # we report in its place
    try:
        papermill.execute_notebook(
            node,
            ATOMIC + str(executed).replace("{", "{{").replace("}", "}}"),  # it formats this path
            engine_name="workbench",
            kernel_name="python3",
            language="python",
            progress_bar=False,
            autosave_cell_every=AUTOSAVE_SECONDS,
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
