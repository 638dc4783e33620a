"""nbclient's side of a run, with all output taken in, in linear time, and limits that always act.

nbclient joins printed text in a time that grows as the square of its length, gives up on output
that comes more than four seconds after a cell's end, and drops what still waits when a kernel dies.
Here printed text goes to the log as it comes, whole; the notebook stores as much as `StreamText`
keeps; other outputs are stored up to a limit, and beyond it in a file beside the log.
"""

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import papermill.clientwrap
import papermill.engines
import zmq
from jupyter_core.utils import ensure_async, run_sync
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionComplete, DeadKernelError

from workbench.execution.streams import StreamText

NO_LIMIT = 10**8
"""Seconds; nbclient wants a number."""

WAITING_MESSAGES = 100
"""Messages that wait here to be read; then the kernel waits (`kernel_launcher`)."""

TURN_SECONDS = 0.05
"""Messages are taken in for so long before the kernel's life is looked at again."""

ALIVE_SECONDS = 0.5
DRAIN_SECONDS = 20.0
"""What a kernel sent before it died by itself is taken in for at most so long after."""

STOPPED_SECONDS = 1.0
"""What a kernel that is being stopped sends is taken in for so long; then the rest is left."""

ERROR_CHARACTERS = 200_000
"""Of an error's message and of its traceback that are stored; the log has all of it."""

RICH_BYTES = 50_000_000
"""Stored outputs of one cell that are not printed text: figures, tables, widgets, errors."""

RICH_OUTPUTS = 2000
REFRESH_SECONDS = 1.0


class OutputClient(papermill.clientwrap.PapermillNotebookClient):
    """Executes cells as papermill's client does; output is handled as told above.

    Attributes:
        overflow: Gives the file for outputs of a cell (by its place) that the notebook cannot hold.
        stopped_seconds: How long ago the end of the run was asked for; 0 if it was not.
        left_out: Called with a cell's place and a sentence on what the notebook does not hold.
    """

    overflow: Callable[[int], Path]
    left_out: Callable[[int, str], None]
    stopped_seconds: Callable[[], float]

    def __init__(self, nb_man: Any, **options: Any) -> None:
        options |= {"coalesce_streams": False, "iopub_timeout": NO_LIMIT}
        super().__init__(nb_man, **options)
        self._streams: dict[str, tuple[Any, StreamText]] = {}
        self._refreshed = 0.0
        self._rich_bytes = self._rich_outputs = self._overflowed = self._taken = 0
        self._gave_up, self._dropped = False, 0

    async def async_start_new_kernel_client(self) -> Any:
        """Connect to the kernel through sockets that hold few messages: it waits for us."""
        assert self.km is not None
        self.km.context.setsockopt(zmq.RCVHWM, WAITING_MESSAGES)
        return await super().async_start_new_kernel_client()

    async def async_execute_cell(self, cell: Any, cell_index: int, **options: Any) -> Any:
        """Execute a cell; whatever becomes of it, its outputs and what they lack are put down."""
        self._streams.clear()
        self._rich_bytes = self._rich_outputs = self._overflowed = 0
        self._gave_up, self._dropped = False, 0
        try:
            return await super().async_execute_cell(cell, cell_index, **options)
        finally:
            self._refresh(cell_index)
            self._tell_losses(cell_index)
            if cell.get("cell_type") == "code":
                _in_order(cell.outputs)

    execute_cell = run_sync(async_execute_cell)

    async def _async_poll_output_msg(self, parent_msg_id: str, cell: Any, cell_index: int) -> None:
        assert self.kc is not None
        turn = time.monotonic()
        while True:
            message = await ensure_async(self.kc.iopub_channel.get_msg(timeout=None))
            self._taken += 1
            is_ours = message["parent_header"].get("msg_id") == parent_msg_id
            self._gave_up |= self.stopped_seconds() > STOPPED_SECONDS
            if self._gave_up and is_ours and message["msg_type"] == "stream":
                is_ours = False  # read, so that the kernel need not wait, but not kept
                self._dropped += len(message["content"]["text"])
            if is_ours:
                try:
                    self.process_message(message, cell, cell_index)
                except CellExecutionComplete:
                    return
            if time.monotonic() - turn > TURN_SECONDS:
                await asyncio.sleep(0)
                turn = time.monotonic()

    async def _async_poll_kernel_alive(self) -> None:
        while True:
            await asyncio.sleep(ALIVE_SECONDS)
            try:
                await self._async_check_alive()
            except DeadKernelError:
                deadline, taken = time.monotonic() + DRAIN_SECONDS, -1
                while taken != self._taken and time.monotonic() < deadline and not self._gave_up:
                    taken = self._taken
                    await asyncio.sleep(ALIVE_SECONDS / 2)
                if self.task_poll_for_reply is not None:
                    self.task_poll_for_reply.cancel()
                return

    def process_message(self, message: Any, cell: Any, cell_index: int) -> Any:
        """Take in one message; printed text is logged and not yet in the notebook."""
        output = NotebookClient.process_message(self, message, cell, cell_index)
        if time.monotonic() - self._refreshed > REFRESH_SECONDS:
            self._refresh(cell_index)
            self.nb_man.autosave_cell()
        return output

    def output(self, outs: Any, msg: Any, display_id: Any, cell_index: int) -> Any:
        """Store one output, or the part of it that fits."""
        hooked = self.output_hook_stack[msg["parent_header"].get("msg_id")]
        if msg["msg_type"] != "stream" or hooked:
            return self._rich(outs, msg, display_id, cell_index, is_hooked=bool(hooked))
        name, text = msg["content"]["name"], msg["content"]["text"]
        log = self.stdout_file if name == "stdout" else self.stderr_file
        if log is not None:
            log.write(text)
            log.flush()
        if self.clear_before_next_output:
            outs[:] = []
            self.clear_display_id_mapping(cell_index)
            self.clear_before_next_output: bool = False
        node, stream = self._streams.get(name, (None, None))
        if node is None or stream is None or not any(out is node for out in outs):
            node, stream = nbformat.v4.new_output("stream", name=name, text=""), StreamText()
            self._streams[name] = node, stream
            outs.append(node)
        stream.feed(text)
        return None

    def _rich(
        self, outs: Any, msg: Any, display_id: Any, cell_index: int, *, is_hooked: bool
    ) -> Any:
        before = len(outs)
        if msg["msg_type"] == "error" and _size(msg["content"]) > ERROR_CHARACTERS:
            self._overflow(cell_index, msg["content"])
            msg = {**msg, "content": _shortened(msg["content"])}
        output = super().output(outs, msg, display_id, cell_index)
        if output is None or is_hooked or len(outs) != before + 1:
            return output
        size = _size(output)
        if self._rich_bytes + size <= RICH_BYTES and self._rich_outputs < RICH_OUTPUTS:
            self._rich_bytes += size
            self._rich_outputs += 1
            return output
        self._overflow(cell_index, output)
        text = f"[… an output of {size:,} bytes is left out here …]\n"
        outs[-1] = nbformat.v4.new_output("stream", name="stderr", text=text)
        if self._overflowed > 1:
            outs.pop()  # the first mark stands for all
        if display_id:
            self.clear_display_id_mapping(cell_index)
        return None

    def _overflow(self, cell_index: int, output: Any) -> None:
        with self.overflow(cell_index).open("a", encoding="utf-8") as file:
            file.write(json.dumps(output) + "\n")
        self._overflowed += 1

    def _refresh(self, cell_index: int) -> None:
        """Put what was printed so far into the notebook."""
        for node, stream in self._streams.values():
            node["text"] = stream.text()
        self._refreshed = time.monotonic()

    def _tell_losses(self, cell_index: int) -> None:
        """Say what the notebook does not hold of a cell's output, and where all of it is."""
        said = [
            f"{stream.left_out:,} of {stream.fed:,} characters of {name} are only in "
            f"{Path(log.name).parent.name}/{Path(log.name).name}"
            for name, (_, stream) in self._streams.items()
            if stream.left_out
            and (log := self.stdout_file if name == "stdout" else self.stderr_file) is not None
        ]
        if self._overflowed:
            path = self.overflow(cell_index)
            said.append(f"{self._overflowed:,} outputs are only in {path.parent.name}/{path.name}")
        if self._dropped:
            said.append(
                f"{self._dropped:,} characters that it printed while it was stopped are not kept"
            )
        if said:
            sentence = "; ".join(said)
            self.left_out(cell_index, sentence)
            for node, stream in self._streams.values():
                if stream.left_out:
                    node["text"] += f"\n[{sentence}]\n"


def _size(output: Any) -> int:
    """Bytes of an output, about: its texts, wherever they are."""
    if isinstance(output, str):
        return len(output)
    if isinstance(output, dict):
        return sum(_size(value) for value in output.values())
    return sum(map(_size, output)) if isinstance(output, list | tuple) else 8


def _shortened(error: dict[str, Any]) -> dict[str, Any]:
    """An error whose message and traceback keep their beginning and their end."""
    half = ERROR_CHARACTERS // 2

    def cut(text: str) -> str:
        gone = len(text) - 2 * half
        return text if gone <= 0 else f"{text[:half]}[… {gone:,} characters …]{text[-half:]}"

    traceback = cut("\n".join(error.get("traceback", []))).split("\n")
    return {**error, "evalue": cut(str(error.get("evalue", ""))), "traceback": traceback}


def _in_order(outputs: Any) -> None:
    """Put printed text before messages that stand next to it, whichever came first."""
    for n in range(len(outputs) - 1):
        names = [out.get("name") if out["output_type"] == "stream" else "" for out in outputs[n:]]
        if names[:2] == ["stderr", "stdout"]:
            outputs[n : n + 2] = [outputs[n + 1], outputs[n]]


class OutputEngine(papermill.engines.NBClientEngine):
    """papermill's engine with `OutputClient`."""

    @classmethod
    def execute_managed_notebook(
        cls,
        nb_man: Any,
        kernel_name: str,
        *,
        client: Callable[[OutputClient], None],
        **options: Any,
    ) -> Any:
        """Execute the cells; `client` completes the new client with what it calls back."""
        wanted = {"log_output", "stdout_file", "stderr_file"}
        wanted |= {"kernel_manager_class", "on_cell_execute", "on_cell_executed"}
        given = {name: value for name, value in options.items() if name in wanted}
        own = OutputClient(nb_man, startup_timeout=START_SECONDS, kernel_name=kernel_name, **given)
        client(own)
        return own.execute()


START_SECONDS = 120
papermill.engines.papermill_engines.register("workbench", OutputEngine)
