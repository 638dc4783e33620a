"""One training in several processes, started by torchrun and followed from a notebook."""

import contextlib
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from workbench.errors import NotebookRunError

LAST_LINES = 20
GRACE_SECONDS = 10.0
"""Time that the processes have to end after an interrupt, before they are killed."""


def run_torchrun(
    arguments: Sequence[str],
    *,
    processes: int,
    log: str | Path | None = None,
    tell: Callable[[str], None] = print,
) -> list[str]:
    """Run a program in several processes of this machine, one for each GPU, and follow it.

    The processes find each other by themselves. When the caller is interrupted, or its notebook is
    stopped, so are they.

    Args:
        arguments: A script with its arguments, or ``-m``, a module and its arguments.
        processes: How many; on a GPU server as many as there are GPUs for it.
        log: A file that everything printed is added to.
        tell: Called with each line as it comes, of all processes.

    Returns:
        The last lines that were printed.

    Raises:
        NotebookRunError: If a process fails; the message holds the last lines.
    """
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command = [*launcher, f"--nproc-per-node={processes}", *arguments]
    last: deque[str] = deque(maxlen=LAST_LINES)
    with contextlib.ExitStack() as opened:
        file = opened.enter_context(Path(log).open("a", encoding="utf-8")) if log else None
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, process_group=0
        )
        opened.callback(_end, process)
        assert process.stdout is not None
        opened.enter_context(process.stdout)
        for line in process.stdout:
            if file is not None:
                file.write(line)
                file.flush()
            last.append(line.rstrip("\n"))
            tell(last[-1])
        code = process.wait()
    if code:
        shown = "\n".join(last)
        raise NotebookRunError(
            f"{' '.join(arguments)} must end well on {processes} processes, but ended with exit "
            f"code {code}. Its last lines:\n{shown}"
        )
    return list(last)


def _end(process: "subprocess.Popen[str]") -> None:
    """Interrupt the launcher, which ends its processes; kill the whole group if it does not."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=GRACE_SECONDS)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
