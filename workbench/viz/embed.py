"""One output that shows itself in every place a notebook is read.

A notebook is read live in JupyterLab, reopened there untrusted, saved as HTML and opened without
a network, or run headless. `OfflineView` is a single ``text/html`` that survives all four: a
self-contained page in an iframe, and behind it a picture. Where scripts may run, the page shows
and its style hides the picture; where they may not, the sanitiser removes iframe and style
together and the picture is what remains.
"""

import base64
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import IO, Any

from workbench.escape import html_text

_STYLE = (
    ".wb-view iframe{width:100%;border:0;display:block;background:#fff}"
    ".wb-view iframe+img{display:none}"
    ".wb-view img{max-width:100%;height:auto}"
)
# The page may run its scripts but does not reach the notebook it is shown in.
_SANDBOX = "allow-scripts allow-downloads allow-popups"


def sandboxed_frame(page: str, title: str, height: int) -> str:
    """Put a whole document into a frame whose scripts do not reach the notebook around it.

    Args:
        page: The document.
        title: What is shown, any text.
        height: CSS pixels.
    """
    return (
        f'<iframe title="{html_text(title)}" height="{height}" style="height:{height}px" '
        f'sandbox="{_SANDBOX}" srcdoc="{html_text(page)}"></iframe>'
    )


@dataclass(frozen=True, repr=False)
class OfflineView:
    """A figure or map: an interactive page and a picture of the same thing.

    Example:
        >>> view = OfflineView("Three squares", png=b"...", page="<p>interactive</p>")
        >>> view
        <Three squares: interactive page and picture, 0.0 MB>
    """

    title: str
    """What is shown; read aloud where the picture cannot be seen."""
    png: bytes
    """The picture, as a PNG file."""
    page: str | None = None
    """A whole HTML document that fetches nothing; None for a picture alone."""
    height: int = 520
    """Height of the page in a notebook, in CSS pixels."""

    def __repr__(self) -> str:
        parts = "picture" if self.page is None else "interactive page and picture"
        megabytes = (len(self.png) + len(self.page or "")) / 1e6
        return f"<{self.title}: {parts}, {megabytes:.1f} MB>"

    def _repr_html_(self) -> str:
        title = html_text(self.title)
        picture = base64.b64encode(self.png).decode()
        image = f'<img alt="{title}" src="data:image/png;base64,{picture}">'
        if self.page is None:
            return f'<div class="wb-view"><style>{_STYLE}</style>{image}</div>'
        frame = sandboxed_frame(self.page, self.title, self.height)
        return f'<div class="wb-view"><style>{_STYLE}</style>{frame}{image}</div>'

    def savefig(self, target: str | PathLike[str] | IO[bytes], **_: Any) -> None:
        """Write the picture, as a matplotlib figure would (its options are not needed)."""
        if isinstance(target, (str, PathLike)):
            Path(target).write_bytes(self.png)
        else:
            target.write(self.png)
