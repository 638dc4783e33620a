"""How far an extraction or a study is, as a bar in a notebook that needs no widget."""

import time
from collections.abc import Callable

from workbench.escape import html_text
from workbench.evaluation.study import CellNote
from workbench.extraction.patches import Progress


def progress_bar(label: str = "Cutting patches") -> Callable[[Progress], None]:
    """Show a bar below the cell and give what moves it, for `extract_patches(progress=...)`.

    The bar is one output of plain HTML that is replaced as work goes on: a saved notebook shows how
    it ended. In a terminal, take `print_progress`.

    Args:
        label: What is being done.

    Returns:
        To be called with each `Progress`.
    """
    from IPython.display import HTML, display

    handle = display(HTML(progress_html(label, None)), display_id=True)
    first: list[tuple[float, int]] = []  # when, and how many tiles were done: some by earlier runs

    def show(progress: Progress) -> None:
        now = time.perf_counter()
        first.append((now, progress.tiles_done))
        spent, done = now - first[0][0], progress.tiles_done - first[0][1]
        rate = done / spent if done and spent > 0 else None
        if handle is not None:  # outside a notebook there is nothing to replace
            handle.update(HTML(progress_html(label, progress, rate)))

    return show


def progress_html(label: str, progress: Progress | None, rate: float | None = None) -> str:
    """Write the bar for one moment; None for the start.

    Args:
        label: What is being done.
        progress: How far it is.
        rate: Tiles per second of this run, from which the rest is guessed; None: not known yet.

    Example:
        >>> progress_html("Cutting", Progress(1, 4, 20, 3, 0))[45:]
        'Cutting: 1 of 4 tiles · 20 patches cut · 3 rejected · 0 unreadable tiles</div>'
    """
    if progress is None:
        return f"<div><progress></progress> {html_text(label)}: starting</div>"
    told = (
        f"{html_text(label)}: {progress.tiles_done:,} of {progress.tiles:,} tiles · "
        f"{progress.patches:,} patches cut · {progress.rejected:,} rejected · "
        f"{progress.failed:,} unreadable tiles"
    )
    if rate:
        left = (progress.tiles - progress.tiles_done) / rate
        told += f" · {rate:.3g} tiles/s · about {left:.0f} s to go"
    value = f'value="{progress.tiles_done}" max="{max(progress.tiles, 1)}"'
    return f"<div><progress {value}></progress> {told}</div>"


def study_bar(label: str = "Cells") -> Callable[[CellNote], None]:
    """Show a bar below the cell and give what moves it, for `run_study(progress=...)`.

    Args:
        label: What is being done.
    """
    from IPython.display import HTML, display

    handle = display(HTML(study_html(label, None)), display_id=True)
    spent: list[float] = []

    def show(note: CellNote) -> None:
        spent.append(note.seconds)
        if handle is not None:  # outside a notebook there is nothing to replace
            handle.update(HTML(study_html(label, note, sum(spent))))

    return show


def study_html(label: str, note: CellNote | None, seconds: float = 0.0) -> str:
    """Write the bar of a study for one moment; None for the start.

    Args:
        label: What is being done.
        note: What became of the last cell.
        seconds: Time spent so far, from which the rest is guessed.
    """
    if note is None:
        return f"<div><progress></progress> {html_text(label)}: starting</div>"
    left = seconds / note.number * (note.total - note.number)
    told = f"{note.number} of {note.total} · {seconds:.0f} s"
    told += f" · {note.number / seconds:.2g} a second" if seconds > 0 else ""
    told += f" · about {left:.0f} s to go"
    if note.reason:
        told += f" · failed: {html_text(note.reason)}"
    value = f'value="{note.number}" max="{max(note.total, 1)}"'
    return f"<div><progress {value}></progress> {html_text(label)}: {told}</div>"
