"""A picture of the inspector's first patches: what shows where its page may not run."""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from workbench.viz import palettes
from workbench.viz.inspector_data import PackedPatch
from workbench.viz.statics import blank_figure, legend_label

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROWS = 4
"""Patches in the picture."""
DIFFERENCE = ("#f1f3f5", "#2b7bba", "#e8871e", "#8e4b9c")
"""Colours of: no difference that counts; only A right; only B right; both wrong and different."""


def inspector_figure(
    patches: Sequence[PackedPatch],
    classes: Sequence[tuple[str, str]],
    names: tuple[str, str],
    title: str,
    measure: str,
    total: int,
) -> "Figure":
    """Draw image, target, A, B and their difference, one row for each of the first patches.

    Args:
        patches: In the order to be drawn; the first `ROWS` are.
        classes: Name and "#rrggbb" of each class.
        names: Of the two models.
        title: Heading.
        measure: Score written beside each patch.
        total: Patches there are, for the heading.
    """
    from matplotlib.colors import ListedColormap

    drawn = patches[:ROWS]
    figure = blank_figure(9.0, 1.1 + 1.72 * len(drawn))
    grid = figure.subplots(len(drawn), 5, squeeze=False)
    colours = ListedColormap([*palettes.class_colours(len(classes)), "#9a9a9a"])
    heads = ("Image", "Target", *names, "Difference")
    for row, patch in zip(grid, drawn, strict=True):
        target, a, b = unpacked_maps(patch)
        picture = _picture(patch)
        if picture is not None:
            row[0].imshow(picture, interpolation="nearest")
        for axes, ids in zip(row[1:4], (target, a, b), strict=True):
            axes.imshow(
                ids, cmap=colours, vmin=-0.5, vmax=len(classes) + 0.5, interpolation="nearest"
            )
        difference = difference_classes(target, a, b, len(classes))
        row[4].imshow(
            difference,
            cmap=ListedColormap(DIFFERENCE),
            vmin=-0.5,
            vmax=3.5,
            interpolation="nearest",
        )
        for axes in row:
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_color(palettes.BORDER)
        label = f"{_short(patch.id, 26)}\n{measure} {patch.scores.get(measure, np.nan):.3g}"
        row[0].set_ylabel(label, fontsize=7.5, color=palettes.MUTED, parse_math=False)
    for axes, head in zip(grid[0], heads, strict=True):
        axes.set_title(_short(head, 22), fontsize=9.5, color=palettes.INK, parse_math=False)
    _legend(figure, classes, names)
    count = f" ({len(drawn)} of {total:,} patches)" if total > len(drawn) else ""
    figure.suptitle(
        _short(title, 80) + count,
        x=0.01,
        ha="left",
        fontsize=12,
        fontweight="bold",
        color=palettes.INK,
        parse_math=False,
    )
    return figure


def difference_classes(
    target: NDArray[Any], a: NDArray[Any], b: NDArray[Any], classes: int
) -> NDArray[np.uint8]:
    """Say for each pixel who is right.

    Args:
        target: (H, W) class indices, `classes` where ignored.
        a: (H, W) class indices.
        b: (H, W) class indices.
        classes: Number of classes.

    Returns:
        (H, W) uint8: 0 no difference or no label, 1 only A right, 2 only B right, 3 both wrong.

    Example:
        >>> difference_classes(np.array([[0, 0, 0, 2]]), np.array([[0, 0, 1, 0]]),
        ...                    np.array([[0, 1, 0, 1]]), 2).tolist()
        [[0, 1, 2, 0]]
    """
    kinds = np.where(a == target, 1, np.where(b == target, 2, 3))
    return np.where((a != b) & (target < classes), kinds, 0).astype(np.uint8)


def unpacked_maps(
    patch: PackedPatch,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """Read target, A and B back: (H, W) class indices each."""
    from PIL import Image

    ids = np.asarray(Image.open(io.BytesIO(patch.maps)))
    target, a, b = (ids[:, k * patch.width : (k + 1) * patch.width] for k in range(3))
    return target, a, b


def _picture(patch: PackedPatch) -> NDArray[np.uint8] | None:
    from PIL import Image

    for content in patch.pictures.values():
        return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    return None


def _legend(figure: "Figure", classes: Sequence[tuple[str, str]], names: tuple[str, str]) -> None:
    from matplotlib.patches import Patch

    colours = palettes.class_colours(len(classes))
    named = [
        Patch(color=c, label=legend_label(_short(name, 24)))
        for c, (name, _) in zip(colours, classes, strict=True)
    ]
    told = (
        f"only {_short(names[0], 16)} right",
        f"only {_short(names[1], 16)} right",
        "both wrong",
    )
    named += [Patch(color=c, label=text) for c, text in zip(DIFFERENCE[1:], told, strict=True)]
    legend = figure.legend(
        handles=named, loc="outside lower center", ncols=4, frameon=False, fontsize=8
    )
    for text in legend.get_texts():
        text.set_parse_math(False)


def _short(text: str, length: int) -> str:
    """One line of a text, cut where it is too long."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1] + "…"
