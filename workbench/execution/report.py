"""A run as one light page: what ran on which data, and everything it made.

The page stands in the run folder, links to the files beside it and carries its own style,
thumbnails and interactive pages, so that it opens from ``file://`` without a network, and alone.
Text from records is escaped.
"""

import base64
import io
import json
import logging
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from workbench.escape import html_text
from workbench.execution.files import write_text
from workbench.execution.records import RunRecord, StepNote, StepRecord
from workbench.execution.report_pages import InlinePages
from workbench.execution.report_style import STYLE

THUMBNAIL_WIDTH = 520
"""Pixels; drawn at about half of it, so that it is sharp on dense screens."""

TAIL_BYTES = 20_000
"""Of a log, where the reason of a failure is looked for."""

GOOD = {"ok", "unchanged"}
IDLE = {"skipped", "running", "queued", "would run"}
WORDS = {"dead_kernel": "dead kernel", "unchanged": "ok, unchanged"}

log = logging.getLogger(__name__)


def write_report(run: RunRecord, run_dir: Path) -> Path:
    """Write ``index.html`` for the state that `run` is in, and return its path."""
    notes = {note.step: note for note in run.notes}
    pages = InlinePages(run_dir)
    parts = [
        f"<h1>{html_text(run.title)}</h1>",
        _opening(run),
        _overview(run.steps, notes),
        _data_section(run.steps),
        *(_step_section(step, notes.get(step.step), run_dir, pages) for step in run.steps),
        _provenance_section(run.steps),
        pages.script(),
    ]
    body = "\n".join(part for part in parts if part)
    page = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html_text(run.name)}: {html_text(run.title)}</title>\n<style>\n{STYLE}</style>\n"
        f"</head>\n<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )
    return write_text(run_dir / "index.html", page)


def _opening(run: RunRecord) -> str:
    when = html_text(run.finished or run.started)
    seconds = f", {run.wall_seconds:.1f} s" if run.finished else ""
    return (
        f'<p>{_status(run.status)} <span class="faint">{when}{seconds}</span></p>\n'
        f'<p class="faint">Made by <code>{html_text(run.command)}</code></p>'
    )


def _overview(steps: Iterable[StepRecord], notes: Mapping[str, StepNote]) -> str:
    rows = []
    for step in steps:
        note = notes.get(step.step)
        action, reason = (note.action, note.reason) if note else (step.status, step.reason)
        seconds = f"{step.wall_seconds:.1f} s" if step.wall_seconds else ""
        rows.append(
            f'<tr><td><a href="#{quote(step.step)}">{html_text(step.step)}</a></td>'
            f"<td>{_status(action)}</td><td>{html_text(reason)}</td><td>{seconds}</td></tr>"
        )
    head = "<tr><th>Step</th><th>Status</th><th>Why it ran or did not</th><th>Time</th></tr>"
    return f'<div class="scroll"><table class="steps">{head}{"".join(rows)}</table></div>'


def _data_section(steps: Iterable[StepRecord]) -> str:
    used: dict[str, dict[str, str]] = {}
    users: dict[str, list[str]] = {}
    for step in steps:
        used |= step.data
        for name in step.data:
            users.setdefault(name, []).append(step.step)
    if not used:
        return ""
    entries = []
    for name, data in sorted(used.items()):
        entries.append(
            f"<h3>{html_text(name)}</h3><p>{html_text(data['description'])}</p><dl>"
            f"<dt>Used by</dt><dd>{html_text(', '.join(users[name]))}</dd>"
            f"<dt>Licence</dt><dd>{html_text(data['licence'])}</dd>"
            f"<dt>Cite</dt><dd>{html_text(data['citation'])}</dd>"
            f"<dt>Fingerprint</dt><dd><code>{html_text(data['fingerprint'])}</code></dd></dl>"
        )
    return f"<section><h2>Data</h2>{''.join(entries)}</section>"


def _step_section(
    step: StepRecord, note: StepNote | None, run_dir: Path, pages: InlinePages
) -> str:
    action, reason = (note.action, note.reason) if note else (step.status, step.reason)
    when = f" · {html_text(step.started)}, {step.wall_seconds:.1f} s" if step.started else ""
    parts = [
        f'<section class="step" id="{html_text(step.step)}">',
        f"<h2>{_heading(step)}</h2>",
        f'<p>{_status(action)} <span class="faint">{html_text(reason)}{when}</span></p>',
        _links(step, run_dir),
        _alert(step, run_dir),
        _figures(step.artifacts, run_dir),
        pages.section(step.artifacts),
        _tables(step.artifacts),
        _files(step.artifacts),
        _named_values("Numbers", step.metrics),
        _named_values("Parameters", step.parameters, folded=True),
        "</section>",
    ]
    return "\n".join(part for part in parts if part)


def _heading(step: StepRecord) -> str:
    if not step.title:
        return html_text(step.step)
    return f'{html_text(step.title)} <span class="faint">{html_text(step.step)}</span>'


def _links(step: StepRecord, run_dir: Path) -> str:
    links = [
        (step.page, "Notebook as a page"),
        (step.executed, "Executed notebook (.ipynb)"),
        (step.log, "Log"),
    ]
    present = [
        _link(path, text)
        for path, text in links
        if path and (run_dir / path).is_file() and (run_dir / path).stat().st_size
    ]
    return f"<p>{' · '.join(present)}</p>" if present else ""


def _alert(step: StepRecord, run_dir: Path) -> str:
    if step.failure is None:
        return ""
    path = run_dir / step.log
    lines = last_text(path).splitlines() if path.is_file() else []
    tail = f"<pre>{html_text(chr(10).join(lines[-8:]))}</pre>" if lines else ""
    sentence = html_text(step.failure.sentence(step.step))
    return f'<div class="alert" role="alert"><p>{sentence}</p>{tail}</div>'


def last_text(path: Path, size: int = TAIL_BYTES) -> str:
    """The end of a file that may be very large, as text."""
    with path.open("rb") as file:
        end = file.seek(0, 2)
        file.seek(max(0, end - size))
        return file.read().decode("utf-8", errors="replace")


def _figures(artifacts: Iterable[dict[str, Any]], run_dir: Path) -> str:
    items = []
    for artifact in artifacts:
        picture = {"figure": artifact["path"], "page": artifact.get("preview")}.get(
            artifact["kind"]
        )
        if picture is None:
            continue
        caption = html_text(artifact["title"] or Path(artifact["path"]).stem)
        note = ' <span class="faint">interactive</span>' if artifact["kind"] == "page" else ""
        items.append(
            f'<figure><a href="{quote(artifact["path"])}">'
            f'<img src="{thumbnail(run_dir / picture)}" alt="{caption}"></a>'
            f"<figcaption>{caption}{note}</figcaption></figure>"
        )
    return f'<div class="figures">{"".join(items)}</div>' if items else ""


def _tables(artifacts: Iterable[dict[str, Any]]) -> str:
    items = []
    for artifact in _of_kind(artifacts, "table"):
        name = artifact["title"] or Path(artifact["path"]).stem
        shape = f"{artifact['rows']:,} rows × {len(artifact['columns'])} columns"
        items.append(
            f"<details><summary>{html_text(name)} "
            f'<span class="faint">{shape}</span></summary>'
            f"<p>{_link(artifact['path'], Path(artifact['path']).name)} {_size(artifact)}</p>"
            f"{_preview(artifact)}</details>"
        )
    return f"<h3>Tables</h3>{''.join(items)}" if items else ""


def _preview(artifact: dict[str, Any]) -> str:
    preview = artifact["preview"]
    head = "".join(f"<th>{html_text(column)}</th>" for column in preview["columns"])
    rows = "".join(
        f"<tr>{''.join(f'<td>{html_text(cell)}</td>' for cell in row)}</tr>"
        for row in preview["rows"]
    )
    shown, columns = len(preview["rows"]), len(preview["columns"])
    note = f"{shown} of {artifact['rows']:,} rows, {columns} of {len(artifact['columns'])} columns"
    return (
        f'<div class="scroll"><table class="preview"><tr>{head}</tr>{rows}</table></div>'
        f'<p class="faint">{note} shown</p>'
    )


def _files(artifacts: Iterable[dict[str, Any]]) -> str:
    items = [
        f"<li>{_link(a['path'], a['title'] or Path(a['path']).name)} {_size(a)}</li>"
        for a in _of_kind(artifacts, "file")
    ]
    return f"<h3>Files</h3><ul>{''.join(items)}</ul>" if items else ""


def _named_values(title: str, values: Mapping[str, Any], *, folded: bool = False) -> str:
    if not values:
        return ""
    if folded:
        return f"<details><summary>{title}</summary>{_definitions(values)}</details>"
    return f"<h3>{title}</h3>{_definitions(values)}"


def _definitions(values: Mapping[str, Any]) -> str:
    pairs = (
        f"<dt>{html_text(name)}</dt><dd>{html_text(_text(value))}</dd>"
        for name, value in values.items()
    )
    return f"<dl>{''.join(pairs)}</dl>"


def _provenance_section(steps: Iterable[StepRecord]) -> str:
    """What the steps ran with; steps that ran with the same are told together."""
    groups: dict[str, list[StepRecord]] = {}
    for step in steps:
        if step.provenance:
            groups.setdefault(json.dumps(step.provenance, sort_keys=True), []).append(step)
    parts = []
    for group in groups.values():
        values = dict(group[0].provenance)
        packages = values.pop("packages", {})
        changed = " with changes not committed" if values.pop("dirty", None) else ""
        values["commit"] = f"{values.get('commit') or 'unknown'}{changed}"
        values["packages"] = ", ".join(f"{name} {v}" for name, v in packages.items())
        heading = f"<h3>{html_text(', '.join(step.step for step in group))}</h3>"
        parts.append((heading if len(groups) > 1 else "") + _definitions(values))
    if not parts:
        return ""
    return f'<section class="step"><h2>Provenance</h2>{"".join(parts)}</section>'


def _of_kind(artifacts: Iterable[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [artifact for artifact in artifacts if artifact["kind"] == kind]


def _status(action: str) -> str:
    kind = "ok" if action in GOOD else "idle" if action in IDLE else "bad"
    return f'<span class="status {kind}">{html_text(WORDS.get(action, action))}</span>'


def _link(path: str, text: str) -> str:
    return f'<a href="{quote(path)}">{html_text(text)}</a>'


def _size(artifact: dict[str, Any]) -> str:
    size = artifact["bytes"]
    text = f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{max(1, round(size / 1e3))} KB"
    return f'<span class="faint">{text}</span>'


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def thumbnail(picture: Path) -> str:
    """A small copy of a picture as a data address; a link to the file itself if that fails."""
    modified = picture.stat().st_mtime_ns if picture.is_file() else 0
    return _thumbnail(picture, modified)


@lru_cache(maxsize=512)
def _thumbnail(picture: Path, modified_ns: int) -> str:
    """Kept, since a report is written anew after every step."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(picture) as image:
            small = image.convert("RGB") if image.mode not in {"RGB", "RGBA"} else image
            height = max(1, round(image.height * THUMBNAIL_WIDTH / image.width))
            if image.width > THUMBNAIL_WIDTH:
                small = small.resize((THUMBNAIL_WIDTH, height), Image.Resampling.LANCZOS)
            buffer = io.BytesIO()
            small.save(buffer, format="WEBP", quality=82)
    except (OSError, UnidentifiedImageError):
        log.warning("%s cannot be read as a picture", picture)
        return quote(f"{picture.parent.name}/{picture.name}")
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
