"""How things show themselves: small tables, as text in a terminal and as HTML in a notebook."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from workbench.escape import html_text

WIDTH = 100
"""Widest line of a text table, in characters; the last column is cut to fit."""

_LONG_WORD = 40  # what is longer and one word is a checksum or a path

_CELL = "text-align:left;padding-right:1em"  # also where no style sheet of Jupyter's is

MOST_ROWS = 12
"""Rows of a sheet that are shown; what is more is counted."""


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]], width: int = WIDTH) -> str:
    """Lay rows out in columns; the last column takes what is left of the width.

    A header without a word is left out.

    Example:
        >>> print(text_table(("name", "what"), [("a", "letter"), ("one", "number")]))
        name  what
        a     letter
        one   number
    """
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    room = max(20, width - sum(widths[:-1]) - 2 * (len(widths) - 1))
    lines = []
    for row in (header, *rows) if any(header) else rows:
        cells = [cell.ljust(size) for cell, size in zip(row[:-1], widths[:-1], strict=True)]
        last = row[-1] if len(row[-1]) <= room else f"{row[-1][: room - 1].rstrip()}…"
        lines.append("  ".join([*cells, last]).rstrip())
    return "\n".join(lines)


def html_table(header: Sequence[str], rows: Sequence[Sequence[str]], caption: str) -> str:
    """Lay rows out as an HTML table; every text is escaped. A header without a word is left out."""
    names = "".join(f"<th style='{_CELL}'>{html_text(cell)}</th>" for cell in header)
    head = f"<thead><tr>{names}</tr></thead>" if any(header) else ""
    body = "".join(
        "<tr>" + "".join(f"<td style='{_CELL}'>{html_text(c)}</td>" for c in row) + "</tr>"
        for row in rows
    )
    return (
        f"<table><caption style='text-align:left'>{html_text(caption)}</caption>"
        f"{head}<tbody>{body}</tbody></table>"
    )


def plain_line(text: str) -> str:
    r"""Text of unknown origin as one line for a terminal: what is not seen or moves is escaped.

    Control characters, line ends and marks that turn the direction of writing become escapes.

    Example:
        >>> plain_line("a\nb\x1b[2J"), plain_line("\u202etxt")
        ('a\\nb\\x1b[2J', '\\u202etxt')
    """
    return "".join(
        c if c == " " or c.isprintable() else c.encode("unicode_escape").decode() for c in text
    )


def some(values: Sequence[Any], most: int = 4) -> str:
    """Name the first of many, and count the rest.

    Example:
        >>> some(["a", "b", "c"], most=2), some(["a", "b"]), some([])
        ('a, b … (3 in all)', 'a, b', 'none')
    """
    named = ", ".join(str(value) for value in islice(values, most))
    more = f" … ({len(values):,} in all)" if len(values) > most else ""
    return f"{named}{more}" or "none"


def in_short(value: Any, most: int = 6) -> str:
    """Write plain values in a line: lists by their first values, mappings as "name value".

    Example:
        >>> in_short({"lr": 0.00012345678, "bands": [0, 1, 2, 3, 4], "mask": {"share": 0.75}})
        'lr 0.00012346, bands [0, 1, 2, 3 … (5 in all)], mask {share 0.75}'
    """
    if isinstance(value, Mapping):
        pairs = list(value.items())
        return some([f"{name} {_nested(v)}" for name, v in pairs], most)
    text = f"{value:.5g}" if isinstance(value, float) else str(value)
    return text if len(text) <= _LONG_WORD or " " in text else f"{text[:16]}…"


def _nested(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{{{in_short(value)}}}" if value else "{}"
    if isinstance(value, list | tuple):
        return f"[{some([in_short(v) for v in value])}]" if value else "[]"
    return in_short(value)


@dataclass(frozen=True)
class Sheet:
    """What a thing says of itself: a few sentences, and a table."""

    caption: str
    """The sentences; they may take several lines."""
    header: Sequence[str]
    """Names of the columns."""
    rows: Sequence[Sequence[str]]
    """The cells, as text."""

    @property
    def left_out(self) -> str:
        """Says how many rows are not shown; empty if all are."""
        more = len(self.rows) - MOST_ROWS
        return f"… and {more:,} more rows, {len(self.rows):,} in all" if more > 0 else ""


class Shown:
    """Shows itself as text and, in a notebook, as HTML; a subclass says what in `_sheet`.

    A dataclass is declared with ``repr=False``, or its own `repr` hides this one.
    """

    def _sheet(self) -> Sheet:
        raise NotImplementedError

    def __repr__(self) -> str:
        sheet = self._sheet()
        rows = sheet.rows[:MOST_ROWS]
        lines = [sheet.caption, text_table(sheet.header, rows) if rows else "", sheet.left_out]
        return "\n".join(line for line in lines if line)

    def _repr_html_(self) -> str:
        sheet = self._sheet()
        caption = " ".join(line for line in [*sheet.caption.splitlines(), sheet.left_out] if line)
        return html_table(sheet.header, sheet.rows[:MOST_ROWS], caption)
