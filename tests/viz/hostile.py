"""Hostile text, and what a page holds of it: for tests that text of data shows as it is."""

import base64
import json
import re
import zlib
from html import unescape
from html.parser import HTMLParser

from workbench.escape import format_text, tip_text, visible

TEXTS = {
    "template": "{{7*191}} {% if %} {#",
    "markup": "</script><!--\"'&amp;`",
    "unseen": "A\u2028b\u2029c\u202ed\0e\x1b[1m",
    "formula": "_a $\\alpha_$ \\u003c\r\nb",
    "format": "{label} {0} %s @x $$x$$",
    "prototype": "__proto__",
    "terminal": "[/bold]**b**|c",
}


class _Parsed(HTMLParser):
    """Tags with the names of their attributes, the texts between and in them, and the scripts."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, ...]] = []
        self.texts: list[str] = []
        self.scripts: list[str] = []
        self._within: list[str] = []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, *sorted(name for name, _ in attributes)))
        self.texts += [value for _, value in attributes if value]
        self._within.append(tag)

    def handle_endtag(self, tag):
        if tag in self._within:
            while self._within.pop() != tag:
                pass

    def handle_comment(self, data):
        self.tags.append(("comment",))

    def handle_data(self, data):
        where = self._within[-1] if self._within else ""
        (self.scripts if where in ("script", "style") else self.texts).append(data)


_LITERAL = re.compile(r'"(?:[^"\\\n]|\\.)*"')
_MOST = 4_000_000  # characters of a text that is still looked into


def parsed(page: str) -> tuple[list[tuple[str, ...]], list[str]]:
    """The tags of a page, and every text it can show: also of its scripts, data and frames."""
    html = _Parsed()
    html.feed(page)
    html.close()
    tags, texts = html.tags, []
    for text in html.texts:
        texts.append(text)
        if text.lstrip().startswith("<!DOCTYPE html"):  # srcdoc of a frame
            more = parsed(text)
            tags, texts = tags + more[0], texts + more[1]
    for script in html.scripts:
        for told in re.findall(r"docs_json = '(.*?)';\n", script, re.DOTALL):  # Bokeh's figures
            texts += strings(json.loads(unescape(told.replace("\\\\", "\\"))))
        if script.lstrip().startswith("{"):  # JSON that a script of the page reads
            texts += strings(json.loads(script))
        for literal in _LITERAL.findall(script):
            try:
                found = strings(json.loads(literal))
            except ValueError:
                continue
            for text in found:
                if text.startswith("<details"):  # HTML of a legend
                    inner = parsed(text)
                    tags, texts = tags + inner[0], texts + inner[1]
                texts += [text, *unpacked(text)]
    return tags, texts


def strings(value) -> list[str]:
    """All texts in a plain value."""
    if isinstance(value, dict):
        return [s for k, v in value.items() for s in (str(k), *strings(v))]
    if isinstance(value, list):
        return [s for v in value for s in strings(v)]
    return [value] if isinstance(value, str) else []


def unpacked(text: str) -> list[str]:
    """Texts of the header that `packing.packed` wrote."""
    if len(text) < 20 or not re.fullmatch(r"[A-Za-z0-9+/]+=*", text[:2000]):
        return []
    try:
        raw = zlib.decompress(base64.b64decode(text))
        return strings(json.loads(raw[4 : 4 + int.from_bytes(raw[:4], "little")]))
    except (ValueError, zlib.error):
        return []


def shows(texts: list[str], wanted: str) -> bool:
    """Whether a text is there letter by letter, or with its unseen characters made visible."""
    ways = {wanted, visible(wanted), wanted.replace("\0", "\\0"), format_text(wanted)}
    ways |= {tip_text(wanted)}
    ways |= {way.replace("\r\n", "\n") for way in list(ways)}
    return any(all(any(line in text for text in texts) for line in way.split("\n")) for way in ways)


def evaluated(texts: list[str]) -> bool:
    """Whether ``{{7*191}}`` was reckoned."""
    return any("1337 " in text for text in texts)
