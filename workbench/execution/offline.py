"""What an HTML page would fetch from the network if it were opened."""

import re
from html.parser import HTMLParser

FETCHING = {  # tag: attributes whose address the browser fetches by itself
    "script": ("src",),
    "link": ("href",),
    "img": ("src", "srcset"),
    "iframe": ("src",),
    "embed": ("src",),
    "object": ("data",),
    "source": ("src", "srcset"),
    "video": ("src", "poster"),
    "audio": ("src",),
    "track": ("src",),
    "image": ("href", "xlink:href"),
    "use": ("href", "xlink:href"),
}
REMOTE = re.compile(r"\s*(?:https?:)?//", re.IGNORECASE)
IN_STYLE = re.compile(
    r"""(?:url\(\s*['"]?|@import\s+['"])\s*((?:https?:)?//[^'")\s]+)""", re.IGNORECASE
)
IN_MODULE = re.compile(
    r"""(?:\bimport\s*\(\s*|\bfrom\s+|\bimport\s+)['"](https?://[^'"]+)""", re.IGNORECASE
)


def external_references(html: str) -> list[str]:
    """List the addresses that a browser would fetch from the network to show `html`.

    Scripts, styles, pictures, frames and imports of modules count, those inside an
    ``iframe srcdoc`` too; links for people to follow do not.

    Args:
        html: A page or a fragment.

    Returns:
        Addresses in the order of the page; empty if it opens offline as it does online.

    Example:
        >>> external_references('<a href="https://example.org">x</a><img src="data:,">')
        []
        >>> external_references('<script src="https://cdn.example.org/a.js"></script>')
        ['https://cdn.example.org/a.js']
    """
    finder = _Finder()
    finder.feed(html)
    finder.close()
    return finder.found


class _Finder(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self._inside = tag if tag in {"style", "script"} else ""
        for name in FETCHING.get(tag, ()):
            if REMOTE.match(values.get(name, "")):
                self.found.append(values[name].strip())
        self.found += IN_STYLE.findall(values.get("style", ""))
        if tag == "iframe" and values.get("srcdoc"):
            self.found += external_references(values["srcdoc"])

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "style":
            self.found += IN_STYLE.findall(data)
        elif self._inside == "script":
            self.found += IN_MODULE.findall(data)
