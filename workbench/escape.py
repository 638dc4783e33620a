"""Escape text for HTML, scripts, templates, pictures and terminals: names in data are never code.

Names, titles, units and paths come from files that other people wrote. Wherever such a text becomes
part of a language (HTML, JavaScript, a template, a plot's format string) it passes through here,
so that it shows as the letters it is. No other module escapes by itself.

    html_text         text or a quoted attribute of HTML
    script_json       a plain value in a <script>, or in any JavaScript
    in_script         JavaScript that a library wrote, in a <script>
    format_text       text where `str.format` is applied again
    tip_text          text as the label of a Bokeh tooltip
    visible           text whose invisible characters would be lost or would disorder what is around
    filled            our own template with named places, each filled once
"""

import html
import json
import re
import unicodedata
from collections.abc import Iterable
from typing import Any

_IN_SCRIPT = {ord(c): f"\\u{ord(c):04x}" for c in "<>&'\u2028\u2029\x7f"}
# HTML has no way to write these: NUL and lone halves of a surrogate pair.
_NOT_IN_HTML = re.compile("[\0\ud800-\udfff]")
_KEPT = "\n\t"
_NAMED = {"\0": "\\0", "\r": "\\r", "\x1b": "\\x1b"}


def html_text(text: object) -> str:
    r"""Escape text for HTML, between tags or inside a quoted attribute.

    What a page cannot hold at all (NUL, half a surrogate pair) is written as `visible` does.

    Example:
        >>> html_text('<b> & "c"'), html_text("a\0b")
        ('&lt;b&gt; &amp; &quot;c&quot;', 'a\\0b')
    """
    return html.escape(_NOT_IN_HTML.sub(lambda found: _shown(found.group()), str(text)))


def script_json(value: Any) -> str:
    r"""Write a plain value as JSON that may stand in a ``<script>`` or in JavaScript.

    Args:
        value: Lists, mappings, text, numbers, truth values, None. No NaN.

    Raises:
        ValueError: If a number is not finite.
        TypeError: If something is not plain.

    Example:
        >>> script_json({"name": "</script>"})
        '{"name":"\\u003c/script\\u003e"}'
    """
    text = json.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=True)
    return text.translate(_IN_SCRIPT)


def in_script(code: str) -> str:
    r"""Keep generated JavaScript from closing the ``<script>`` it stands in, or opening a comment.

    Only for code whose texts are inside string literals, as a library writes it.

    Example:
        >>> print(in_script("'</script><!--'"))
        '<\/script>\u003c!--'
    """
    code = code.replace("</", "<\\/").replace("<!--", "\\u003c!--")
    return code.replace("<script", "\\u003cscript")


def format_text(text: object) -> str:
    """Double the braces of text to which `str.format` will be applied (HoloViews' titles).

    Example:
        >>> format_text("{label}").format()
        '{label}'
    """
    return str(text).replace("{", "{{").replace("}", "}}")


def tip_text(text: object) -> str:
    r"""Text as the label of a Bokeh tooltip, where ``@name`` and ``$name`` are places for values.

    A joiner that takes no room stands behind each such sign.

    Example:
        >>> tip_text("a@b $1 5 $")
        'a@\u2060b $\u20601 5 $'
    """
    return re.sub(r"([@$])(?=[\w{$])", "\\1\u2060", str(text))


def visible(text: object) -> str:
    r"""Write control and reordering characters as escapes that can be read; the rest stays.

    For places that would drop such a character or obey it: pictures, terminals, file names.
    Line breaks and tabs stay.

    Example:
        >>> visible("a\u202eb\0c"), visible("café\n")
        ('a\\u202eb\\0c', 'café\n')
    """
    return "".join(_shown(c) if _is_unseen(c) else c for c in str(text))


def filled(template: str, parts: Iterable[tuple[str, str]], mark: str = "{{NAME}}") -> str:
    """Fill the named places of one of our own templates; what is filled in is not searched again.

    Args:
        template: With one place for each part, in their order.
        parts: Name and text of each place. The text is HTML or script, escaped already.
        mark: How the template writes "NAME".

    Raises:
        ValueError: If the template lacks a place.

    Example:
        >>> filled("<i>{{A}}</i>{{B}}", [("A", "{{B}}"), ("B", "end")])
        '<i>{{B}}</i>end'
    """
    pieces, rest = [], template
    for name, text in parts:
        head, found, rest = rest.partition(mark.replace("NAME", name))
        if not found:
            raise ValueError(f"The template has no place for {name} behind those before it.")
        pieces += [head, text]
    return "".join([*pieces, rest])


def _is_unseen(character: str) -> bool:
    return character not in _KEPT and unicodedata.category(character) in (
        "Cc",
        "Cf",
        "Cs",
        "Zl",
        "Zp",
    )


def _shown(character: str) -> str:
    code = ord(character)
    return _NAMED.get(character) or (f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")
