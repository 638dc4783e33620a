"""One training in several processes, started by torchrun and followed from a notebook."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from workbench.errors import NotebookRunError
from workbench.execution.processes import ProcessIdentity, end_group
from workbench.progress import PROGRESS_LINE, ProgressBar, in_notebook

LAST_LINES = 20
"""Lines of a process that its failure is told with, if it left no traceback; and that come back."""
KEPT_LINES = 500
"""Lines of each process that are kept meanwhile, in which its traceback is looked for."""
GRACE_SECONDS = 10.0
"""Time that the processes have to end after an interrupt, before they are killed."""

# How torchrun marks what a process printed, and torch the traceback of one.
_OF_PROCESS = re.compile(r"\[default(\d+)\]:(?:\[rank\d+\]: ?)?(.*)")
_FIRST_TO_FAIL = re.compile(
    r"^Root Cause.*?^ +rank +: (\d+).*?^ +exitcode +: (-?\d+)", re.DOTALL | re.MULTILINE
)


def run_torchrun(
    arguments: Sequence[str],
    *,
    processes: int,
    log: str | Path | None = None,
    tell: Callable[[str], None] | None = None,
) -> list[str]:
    """Run a program in several processes of this machine, one for each GPU, and follow it.

    The processes find each other by themselves. When the caller is interrupted, or its notebook is
    stopped, so are they.

    Args:
        arguments: A script with its arguments, or ``-m``, a module and its arguments.
        processes: How many; on a GPU server as many as there are GPUs for it.
        log: A file that everything printed is added to.
        tell: Called with each line as it comes, of all processes. None: lines are printed, and in
            a notebook those of `workbench.progress` move a bar.

    Returns:
        The last lines that the first process printed.

    Raises:
        NotebookRunError: If a process fails; the message says which, and holds its last lines.
    """
    said: dict[int, deque[str]] = defaultdict(lambda: deque(maxlen=KEPT_LINES))
    launcher: deque[str] = deque(maxlen=KEPT_LINES)
    with contextlib.ExitStack() as opened:
        follow = tell or opened.enter_context(_shown())
        file = opened.enter_context(Path(log).open("a", encoding="utf-8")) if log else None
        apart = opened.enter_context(tempfile.TemporaryDirectory(prefix="wb-torchrun-"))
        process = subprocess.Popen(
            _command(arguments, processes, apart),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            process_group=0,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},  # lines come when they are printed
        )
        opened.callback(_end, process)
        assert process.stdout is not None
        opened.enter_context(process.stdout)
        for line in map(str.rstrip, process.stdout):
            if file is not None:
                file.write(f"{line}\n")
                file.flush()
            marked = _OF_PROCESS.match(line)
            if marked is None:
                launcher.append(line)
                continue
            said[int(marked[1])].append(marked[2])
            follow(marked[2] if marked[1] == "0" else f"process {marked[1]}: {marked[2]}")
        code = end_group(process)
    if code:
        raise NotebookRunError(_failure(arguments, processes, code, said, "\n".join(launcher)))
    return list(said[0])[-LAST_LINES:]


def _command(arguments: Sequence[str], processes: int, folder: str) -> list[str]:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    told = ["--tee", "3", "--log-dir", folder]  # each line is marked with its process
    return [*launcher, f"--nproc-per-node={processes}", *told, *arguments]


@contextlib.contextmanager
def _shown() -> Iterator[Callable[[str], None]]:
    """Print lines; in a notebook, those that tell progress move a bar."""
    bar: ProgressBar | None = None

    def follow(line: str) -> None:
        nonlocal bar
        told = PROGRESS_LINE.match(line) if in_notebook() else None
        if told is None:
            print(line)
            return
        done, total = int(told[1]), int(told[2])
        bar = bar or ProgressBar(True, total=total, start=0)
        bar.done(done, {})

    try:
        yield follow
    finally:
        if bar is not None:
            bar.close()


def _failure(
    arguments: Sequence[str],
    processes: int,
    code: int,
    said: dict[int, deque[str]],
    launcher: str,
) -> str:
    """Say which process failed first, and what it printed last."""
    head = f"{' '.join(arguments)} must end well on {processes} processes, but "
    first = _FIRST_TO_FAIL.search(launcher)
    if first is None:
        shown = "\n".join(launcher.splitlines()[-LAST_LINES:])
        return f"{head}ended with exit code {code}. Its last lines:\n{shown}"
    number, ended = int(first[1]), int(first[2])
    how = f"was ended by signal {-ended}" if ended < 0 else f"ended with exit code {ended}"
    shown = "\n".join(_telling(list(said[number]))) or "(it printed nothing)"
    return f"{head}process {number} {how}. Its last lines:\n{shown}"


def _telling(lines: list[str]) -> list[str]:
    """The last traceback in the lines, whole, and what came after it; else the last lines."""
    starts = [n for n, line in enumerate(lines) if line.startswith("Traceback (most recent")]
    return lines[starts[-1] :] if starts else lines[-LAST_LINES:]


def _end(process: "subprocess.Popen[str]") -> None:
    """Interrupt the launcher, which ends its processes; kill the whole group if it does not."""
    if process.returncode is None:
        process_identity = ProcessIdentity.of(process.pid)
        if process_identity is not None:
            process_identity.send_to_group(signal.SIGTERM)
        end_group(process, grace_seconds=GRACE_SECONDS)
