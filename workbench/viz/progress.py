"""How far an extraction is, as a bar in a notebook that needs no widget."""

from collections.abc import Callable
from html import escape

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

    def show(progress: Progress) -> None:
        if handle is not None:  # outside a notebook there is nothing to replace
            handle.update(HTML(progress_html(label, progress)))

    return show


def progress_html(label: str, progress: Progress | None) -> str:
    """Write the bar for one moment; None for the start.

    Example:
        >>> progress_html("Cutting", Progress(1, 4, 20, 3, 0))[45:]
        'Cutting: 1 of 4 tiles · 20 patches cut · 3 rejected · 0 unreadable tiles</div>'
    """
    if progress is None:
        return f"<div><progress></progress> {escape(label)}: starting</div>"
    told = (
        f"{escape(label)}: {progress.tiles_done:,} of {progress.tiles:,} tiles · "
        f"{progress.patches:,} patches cut · {progress.rejected:,} rejected · "
        f"{progress.failed:,} unreadable tiles"
    )
    value = f'value="{progress.tiles_done}" max="{max(progress.tiles, 1)}"'
    return f"<div><progress {value}></progress> {told}</div>"
