"""Where two runs kept predictions of the same patches: the patches that changed, to be looked at.

A set of predictions is found again in the other run by its place below the run folder, or, where
its place is named by its settings and these differ, by its model's name. The truth is the set
called ``targets`` beside it.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.commands.compare import coloured
from workbench.execution.run_comparison_page import ComparedPages

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from workbench.evaluation import Predictions
    from workbench.viz import InspectorPatch

MANIFEST, TARGETS = "manifest.json", "targets"
NOT_SHOWN = ": not shown. "
MOST_PATCHES = 60
"""Patches that one page carries, those that changed most."""
MOST_PAGES = 6
"""Sets of predictions that are shown; the others are named."""


@dataclass(frozen=True)
class KeptTwice:
    """Predictions of one model that both runs kept."""

    name: str
    a: Path
    b: Path


def kept_in_both(a: Path, b: Path) -> tuple[list[KeptTwice], int]:
    """Sets of predictions of both runs: those whose maps differ, and how many are equal."""
    ours, theirs = dict(_sets(a)), dict(_sets(b))
    pairs = [(place, place) for place in ours if place in theirs]
    rest = {(_task(place), theirs[place]["model"]): place for place in theirs if place not in ours}
    for place, record in ours.items():
        other = rest.get((_task(place), record["model"]))
        if place not in theirs and other is not None:
            pairs.append((place, other))
    found, equal = [], 0
    for first, second in pairs:
        if ours[first]["maps_sha256"] == theirs[second]["maps_sha256"]:
            equal += 1
            continue
        name = f"{ours[first]['model']} ({_task(first)})"
        found.append(KeptTwice(name, a / first, b / second))
    return found, equal


def _sets(run_dir: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Place and manifest of each set of predictions in a run, targets left out."""
    for path in sorted(run_dir.rglob(MANIFEST)):
        if path.parent.name == TARGETS:
            continue
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(record, dict) and {"model", "maps_sha256"} <= record.keys():
            yield path.parent.relative_to(run_dir).as_posix(), record


def _task(place: str) -> str:
    return place.rpartition("/")[0]


def changed_patches(a: Path, b: Path, folder: Path) -> ComparedPages:
    """Write an inspector for each set of predictions that changed between two runs.

    Args:
        a: Folder of a run.
        b: Folder of the other one.
        folder: Where the pages go; made if there is one to write.

    Returns:
        The pages, and sentences on what was compared and what could not be.
    """
    sets, equal = kept_in_both(a, b)
    found = ComparedPages()
    if equal:
        found.notes.append(f"{equal} sets of predictions are equal byte for byte.")
    for number, kept in enumerate(sets):
        if len(found.pages) == MOST_PAGES:
            left = ", ".join(other.name for other in sets[number:])
            found.notes.append(f"{MOST_PAGES} of {len(sets)} changed sets are shown, not: {left}.")
            break
        _add(kept, (a.resolve().name, b.resolve().name), folder / f"{number + 1:02d}.html", found)
    found.notes[:] = _together(found.notes)
    return found


def _together(notes: list[str]) -> list[str]:
    """Say once why several sets are not shown, where the reason is the same."""
    told: dict[str, list[str]] = {}
    for note in notes:
        name, mark, reason = note.partition(NOT_SHOWN)
        names = told.setdefault(mark + reason if mark else note, [])
        names.extend([name] if mark else [])
    return ["; ".join(names) + rest for rest, names in told.items()]


def _add(kept: KeptTwice, names: tuple[str, str], page: Path, found: ComparedPages) -> None:
    from workbench.errors import WorkbenchError
    from workbench.evaluation import read_predictions
    from workbench.viz import Inspector

    try:
        first, second = read_predictions(kept.a), read_predictions(kept.b)
        truth = read_predictions(kept.b.parent / TARGETS)
        shares = changed_shares(first, second)
        most = sorted(shares, key=lambda name: -shares[name])[:MOST_PATCHES]
        changed = sum(share > 0 for share in shares.values())
        most = [name for name in most if shares[name] > 0]
        if not most:
            found.notes.append(f"{kept.name}: no patch of both has changed.")
            return
        two = names if names[0] != names[1] else (f"{names[0]} (first)", f"{names[1]} (second)")
        title = f"{kept.name}: {changed} of {len(shares)} patches changed"
        inspector = Inspector(
            _patches(first, second, truth, most, shares),
            _classes(truth),
            gsd=truth.gsd,
            names=two,
            title=title,
            sort_by="changed",
            ignore_index=truth.ignore_index,
        )
    except WorkbenchError as error:
        found.notes.append(f"{kept.name}{NOT_SHOWN}{error}")
        return
    page.parent.mkdir(parents=True, exist_ok=True)
    few = "" if len(most) == changed else f", the {len(most)} that changed most are shown"
    found.pages.append((f"{title}{few}", inspector.save(page)))


def changed_shares(a: "Predictions", b: "Predictions") -> dict[str, float]:
    """Share of the pixels that differ, for each patch that both have.

    Raises:
        EvaluationError: If they are not of the same classes or sizes.
    """
    from workbench.errors import EvaluationError

    known = set(b.ids)
    both = [name for name in a.ids if name in known]
    if not both:
        raise EvaluationError(
            f"Maps of two runs must be of the same patches, but the {len(a.ids)} and {len(b.ids)} "
            f"of these have none in common: {a.ids[0]!r} … and {b.ids[0]!r} ….\n"
            "Runs with another split or seed of the split judge other patches."
        )
    if a.classes != b.classes or a.maps.shape[1:] != b.maps.shape[1:]:
        raise EvaluationError(
            "Maps of two runs must be of the same classes and size, but are of "
            f"{len(a.classes)} and {len(b.classes)} classes, {a.maps.shape[1:]} and "
            f"{b.maps.shape[1:]} pixels."
        )
    differ = (a.of(both) != b.of(both)).mean(axis=(1, 2))
    return dict(zip(both, differ.tolist(), strict=True))


def _patches(
    first: "Predictions",
    second: "Predictions",
    truth: "Predictions",
    ids: list[str],
    shares: dict[str, float],
) -> "Iterator[InspectorPatch]":
    from workbench.viz import InspectorPatch

    pictures: dict[str, NDArray[np.uint8]] = coloured(truth, ids)
    maps = zip(truth.of(ids), first.of(ids), second.of(ids), strict=True)
    for name, (true, a, b) in zip(ids, maps, strict=True):
        yield InspectorPatch(name, pictures[name], true, a, b, {"changed": shares[name]})


def _classes(truth: "Predictions") -> list[tuple[str, str]]:
    from workbench.viz.palettes import class_colours

    colours = truth.colors or class_colours(len(truth.classes))
    return list(zip(truth.classes, colours, strict=True))
