"""Pages of tables that sort themselves: one document with its style and script, no network."""

import re
from collections.abc import Sequence
from textwrap import fill

import pandas as pd

from workbench.escape import filled, html_text
from workbench.viz import assets
from workbench.viz.embed import OfflineView
from workbench.viz.table_words import WORDS

_WIDEST = 56
"""Letters of a column of text in a picture; longer text goes on in the next line."""


def assembled(title: str, kind: str, heads: str, body: str, notes: str, definitions: str) -> str:
    """Put a page together.

    Args:
        title: Title, as text.
        kind: Class of the table: "compared", "printed" or "frame".
        heads: Rows of the head, as HTML; a button in a head has the number of its column.
        body: Rows of the body, as HTML; a cell that sorts by a number has it in data-value.
        notes: Items of the list below, as HTML.
        definitions: Terms and what they mean, as HTML.
    """
    parts = {"TITLE": html_text(title), "KIND": kind, "CAPTION": html_text(title), "HEADS": heads}
    parts |= {"BODY": body, "NOTES": notes, "DEFINITIONS": definitions}
    parts |= {"SCRIPT": assets.script("table.js")}
    return filled(assets.script("table.html"), parts.items())


def note_list(notes: Sequence[str]) -> str:
    """Items of a list, as HTML."""
    return "".join(f"<li>{html_text(note)}</li>" for note in notes)


def frame_view(frame: pd.DataFrame, title: str, *, notes: Sequence[str] = ()) -> OfflineView:
    """Show any small table so that it sorts by a click: text in full, numbers with two digits.

    Names are written as in the other tables ("moco" as MoCo).

    Args:
        frame: What to show; the index is left out.
        title: Heading.
        notes: What stands below it, one sentence each.
    """
    from workbench.viz.statics_tables import table_picture

    heads = "".join(
        f'<th scope="col"><button type="button" data-column="{i}">{html_text(_head(name))}</button>'
        "</th>"
        for i, name in enumerate(frame)
    )
    rows = [[_text(value) for value in row] for row in frame.itertuples(index=False, name=None)]
    numeric = [pd.api.types.is_numeric_dtype(kind) for kind in frame.dtypes]
    body = "".join(
        "<tr>" + "".join(_cell(*parts) for parts in zip(row, texts, numeric, strict=True)) + "</tr>"
        for row, texts in zip(frame.itertuples(index=False, name=None), rows, strict=True)
    )
    page = assembled(title, "frame", f"<tr>{heads}</tr>", body, note_list(notes), "")
    folded = [[fill(text, _WIDEST) for text in row] for row in rows]
    png = table_picture(title, [_head(name) for name in frame], folded, notes)
    height = 170 + sum(16 + 22 * (1 + max(t.count("\n") for t in row)) for row in folded)
    return OfflineView(title, png, page, min(height + 24 * len(notes), 1500))


def _head(name: object) -> str:
    text = WORDS.get(str(name), str(name))
    if not re.fullmatch("[A-Za-z0-9]+(_[A-Za-z0-9]+)*", text):  # no column of ours
        return text
    text = text.replace("_", " ")
    return text[:1].upper() + text[1:]


def _text(value: object) -> str:
    if isinstance(value, float):
        return "" if value != value else f"{value:.2f}"
    return WORDS.get(str(value), str(value))


def _cell(value: object, text: str, is_number: bool) -> str:
    if not is_number:
        return f'<td class="text">{html_text(text)}</td>'
    order = f' data-value="{value}"' if text else ""
    return f"<td{order}>{html_text(text)}</td>"
