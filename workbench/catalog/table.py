"""Small tables of text, for terminals and for notebooks."""

from collections.abc import Sequence
from html import escape

WIDTH = 100
"""Widest line of a text table, in characters; the last column is cut to fit."""


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]], width: int = WIDTH) -> str:
    """Lay rows out in columns; the last column takes what is left of the width.

    Example:
        >>> print(text_table(("name", "what"), [("a", "letter"), ("one", "number")]))
        name  what
        a     letter
        one   number
    """
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    room = max(20, width - sum(widths[:-1]) - 2 * (len(widths) - 1))
    lines = []
    for row in (header, *rows):
        cells = [cell.ljust(size) for cell, size in zip(row[:-1], widths[:-1], strict=True)]
        last = row[-1] if len(row[-1]) <= room else f"{row[-1][: room - 1].rstrip()}…"
        lines.append("  ".join([*cells, last]).rstrip())
    return "\n".join(lines)


def html_table(header: Sequence[str], rows: Sequence[Sequence[str]], caption: str) -> str:
    """Lay rows out as an HTML table; every text is escaped."""
    head = "".join(f"<th style='text-align:left'>{escape(cell)}</th>" for cell in header)
    body = "".join(
        "<tr>" + "".join(f"<td style='text-align:left'>{escape(c)}</td>" for c in row) + "</tr>"
        for row in rows
    )
    return (
        f"<table><caption style='text-align:left'>{escape(caption)}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )
