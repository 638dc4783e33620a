"""Entry point of kernel processes: IPython's kernel, whose output is never dropped.

A publishing socket of ZeroMQ silently drops messages once 1,000 of them wait. Here it makes its
kernel wait instead, and a long text is sent in pieces, so that neither side ever holds much and the
runner can look at its time limits in between. This file is started by its path, so that the kernel
imports nothing of workbench by itself.
"""

import sys
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    # The folder of this file, whose modules are none of the notebook's. IPython adds the cwd later.
    if sys.path and sys.path[0] and Path(sys.path[0]).resolve() == Path(__file__).resolve().parent:
        del sys.path[0]

    import zmq
    from ipykernel.iostream import OutStream
    from ipykernel.kernelapp import IPKernelApp

    WAITING_MESSAGES = 100
    PIECE_CHARACTERS = 250_000

    class SteadyOutStream(OutStream):  # type: ignore[misc, unused-ignore]
        """A printed stream that waits for its reader once much of it is unread."""

        flush_timeout = 3600
        _unsent = 0

        def write(self, string: str) -> int:
            """Print a text, in pieces that are small enough to be sent and read one by one."""
            if not isinstance(string, str) or not self._is_master_process():
                return super().write(string) or 0
            for start in range(0, max(1, len(string)), PIECE_CHARACTERS):
                piece = string[start : start + PIECE_CHARACTERS]
                super().write(piece)
                self._unsent += len(piece)
                if self._unsent >= PIECE_CHARACTERS:
                    self._unsent = 0
                    self.flush()
            return len(string)

    class SteadyKernelApp(IPKernelApp):  # type: ignore[misc, unused-ignore]
        """A kernel whose output waits for whoever reads it."""

        outstream_class = "__main__.SteadyOutStream"

        def init_iopub(self, context: Any) -> None:
            """Make the output socket; it waits where it would drop."""
            context.setsockopt(zmq.SNDHWM, WAITING_MESSAGES)
            context.setsockopt(zmq.XPUB_NODROP, 1)
            super().init_iopub(context)
            for option in (zmq.SNDHWM, zmq.XPUB_NODROP):
                context.sockopts.pop(option, None)

    SteadyKernelApp.launch_instance()
