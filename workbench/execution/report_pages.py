"""Interactive pages inside the report: maps and inspectors that open where the report is read.

Each page is carried deflated, as text, and unpacked by the reader's browser only when it is opened.
So one file can be mailed and shows everything; a link leads to the page itself as well. A page that
is too large, or comes after too many, is linked only, and the report says so.
"""

import base64
import zlib
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from workbench.escape import html_text

PAGE_BYTES = 6_000_000
"""A larger page, deflated, stays outside the report."""

REPORT_BYTES = 15_000_000
"""Pages stay outside once the report carries so many bytes of them."""

SCRIPT = """\
<script>
for (const box of document.querySelectorAll("details.page")) {
  box.addEventListener("toggle", async () => {
    const frame = box.querySelector("iframe");
    const packed = box.querySelector("script[type='text/plain']");
    if (!box.open || !packed) return;
    try {
      const bytes = Uint8Array.from(atob(packed.textContent), c => c.charCodeAt(0));
      const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
      frame.srcdoc = await new Response(stream).text();
      packed.remove();
    } catch (error) {
      frame.replaceWith("This browser cannot unpack the page; open it by its link.");
    }
  });
}
</script>"""
"""Unpacks a page into its frame when it is opened for the first time."""


class InlinePages:
    """Pages for one report, as long as there is room for them."""

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir
        self.carried = 0

    def section(
        self, artifacts: Iterable[dict[str, Any]], heading: str = "<h3>Interactive pages</h3>"
    ) -> str:
        """The interactive pages of one step under a heading; nothing if it has none."""
        items = [self._item(artifact) for artifact in artifacts if artifact["kind"] == "page"]
        return f"{heading}{''.join(items)}" if items else ""

    def script(self) -> str:
        """What unpacks the pages; nothing if there are none."""
        return SCRIPT if self.carried else ""

    def _item(self, artifact: dict[str, Any]) -> str:
        path = artifact["path"]
        name = html_text(artifact["title"] or Path(path).stem)
        count = artifact["external"]
        warning = (
            f' <span class="bad">needs the network for {count} file(s)</span>' if count else ""
        )
        link = f'<a href="{quote(path)}">as a page of its own</a>'
        size = f'<span class="faint">{artifact["bytes"] / 1e6:.1f} MB</span>'
        packed = self._packed(path)
        if packed is None:
            note = '<span class="faint">not carried here</span>'
            return f"<p>{name}: {link} {size} {note}{warning}</p>"
        return (
            f'<details class="page"><summary>{name}</summary>'
            f"<p>{link} {size}{warning}</p>"
            f'<iframe title="{name}" sandbox="allow-scripts allow-downloads"></iframe>'
            f'<script type="text/plain">{packed}</script></details>'
        )

    def _packed(self, path: str) -> str | None:
        """The page, deflated, as text; None if it is missing or there is no room for it."""
        file = self.run_dir / path
        if not file.is_file():
            return None
        text = _deflated(file, file.stat().st_mtime_ns)
        if len(text) > PAGE_BYTES or self.carried + len(text) > REPORT_BYTES:
            return None
        self.carried += len(text)
        return text


@lru_cache(maxsize=64)
def _deflated(file: Path, modified_ns: int) -> str:
    """A file, deflated, as text; kept, since a report is written anew after every step."""
    return base64.b64encode(zlib.compress(file.read_bytes())).decode()
