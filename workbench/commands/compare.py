"""`workbench compare`: two models' maps of the same patches, and what one of them loses."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from workbench.errors import EvaluationError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.evaluation import Comparison, Predictions

Store = Annotated[
    Path,
    typer.Argument(help="Folder of a model's predictions (maps.npy and manifest.json)."),
]
_ROWS = {"miou": "mIoU", "boundary": "Boundary IoU", "area": "Boundary curve"}


def compare(
    first: Store,
    second: Store,
    targets: Annotated[
        Path,
        typer.Option("--targets", "-t", help="Folder of the labels, in the same layout."),
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="HTML file of the inspector; none if not given."),
    ] = None,
    ranking: Annotated[
        Path | None,
        typer.Option(help="Parquet file of the patches by disagreement, the most disputed first."),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(help="Folder of pictures for the HTML file, ID.png for each patch."),
    ] = None,
    patches: Annotated[
        int, typer.Option(min=1, help="Most disputed patches that the HTML file carries.")
    ] = 60,
    names: Annotated[
        str | None,
        typer.Option(
            help="Names of the two models, as 'plain,detail'. [default: what differs between them]",
            show_default=False,
        ),
    ] = None,
    measure: Annotated[
        str,
        typer.Option(help="Boundary score that decides, chosen before looking: boundary or area."),
    ] = "boundary",
    dilation: Annotated[
        float,
        typer.Option(min=0.001, help="Boundary band: pixels, or a share of the diagonal below 1."),
    ] = 0.02,
    draws: Annotated[int, typer.Option(min=100, help="Bootstrap draws behind intervals.")] = 2000,
    seed: Annotated[int, typer.Option(help="Seed of the draws.")] = 0,
) -> None:
    """Compare two models on the same patches: scores with intervals, and what the worse one loses.

    Patches are matched by id and classes by name. Boundary IoU is the mean over images; the
    boundary curve is the area under it, at tolerances of 0 to 100 m. Differences are in points
    (hundredths), A - B. Where the labels or maps say which block of ground a patch is of, whole
    blocks are drawn for intervals; where not, that is said. With fewer than 6 blocks no difference
    is claimed. With --output the most disputed patches are written as one HTML file that
    needs no network. Without --images its pictures are the true maps in the classes' colours.
    """
    import numpy as np

    from workbench.evaluation import compare_models, read_predictions

    truth = read_predictions(targets)
    stores = [read_predictions(folder) for folder in (first, second)]
    if _same_folder(first, second):
        raise EvaluationError(
            f"Two models need two folders, but {first} was given twice.\n"
            "Give the folders of two models' predictions."
        )
    short = _names(names, stores)
    models = dict(zip(short, stores, strict=True))
    found = compare_models(
        models, truth, dilation=dilation, draws=draws, measure=_measure(measure),
        rng=np.random.default_rng(seed),
    )  # fmt: skip
    _print(found, dict(zip(short, (store.model for store in stores), strict=True)))
    console = Console(highlight=False)
    if ranking is not None:
        _write_ranking(found, ranking)
        console.print(f"written: {ranking}", markup=False, soft_wrap=True)
    if output is not None:
        _write_page(found, models, truth, output, patches, images)
        console.print(f"written: {output}", markup=False, soft_wrap=True)


def _same_folder(first: Path, second: Path) -> bool:
    return first.resolve() == second.resolve()


def _measure(word: str) -> Any:
    if word not in ("boundary", "area"):
        raise typer.BadParameter(f"--measure is boundary or area, not {word!r}.")
    return word


def _names(given: str | None, stores: "list[Predictions]") -> tuple[str, ...]:
    """Two distinct short names, as given or by what differs between the models."""
    from workbench.evaluation.predictions import short_names

    if given is None:
        return short_names(stores)
    names = tuple(part.strip() for part in given.split(","))
    if len(names) != 2 or not all(names) or names[0] == names[1]:
        raise typer.BadParameter(f"--names are two distinct names as A,B, not {given!r}.")
    return names


def _print(found: "Comparison", full: "dict[str, str]") -> None:
    """Key, scores, differences with their intervals, notes, floor and the paragraph."""
    from workbench.evaluation.verdict import signed

    (pair,) = found.pairs
    scores = found.models.set_index("model")
    console = Console(highlight=False)
    for letter, name in zip("AB", (pair.first, pair.second), strict=True):
        more = f"  ({full[name]})" if full[name] != name else ""
        console.print(Text(f"{letter} = {name}{more}"), soft_wrap=True)
    groups = f"in {found.n_groups} groups" if found.has_groups else "without groups"
    console.print(Text(f"{len(found.ids)} patches {groups}; scores and differences in points"))
    console.print()
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("", "A", "B", "A - B", "interval", "p", "floor", ""):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    columns = dict(zip(_ROWS, ("miou", "boundary_iou", "curve_area"), strict=True))
    for name, words in _ROWS.items():
        test = pair.tests[name]
        both = scores[columns[name]].loc[[pair.first, pair.second]]
        interval = f"{signed(100 * test.low)} to {signed(100 * test.high)}"
        interval = "" if test.low != test.low else interval
        floor = 100 * found.floors[name].smallest
        told = f"{floor:.2f}" if floor < float("inf") else "-"
        said = "tied" if test.is_tie else ""
        values = [_score(v) for v in both] + [signed(100 * test.difference)]
        table.add_row(words, *values, interval, f"{test.p_value:.2g}", told, said)
    console.print(table)
    console.print()
    console.print(
        Text("floor: the smallest difference that is told apart here in 4 of 5 such comparisons")
    )
    for note in found.notes:
        console.print(Text(note))
    console.print()
    console.print(pair.paragraph, markup=False)


def _score(value: float) -> str:
    """Points with two digits; a dash where there is nothing to score."""
    return "-" if value != value else f"{100 * value:.2f}"


def _write_ranking(found: "Comparison", path: Path) -> None:
    from workbench.datasets.files import whole_file

    with whole_file(path) as unfinished:
        found.pairs[0].ranking.to_parquet(unfinished)


def _write_page(
    found: "Comparison",
    models: "dict[str, Predictions]",
    truth: "Predictions",
    path: Path,
    patches: int,
    images: Path | None,
) -> None:
    """The inspector with the most disputed patches."""
    from dataclasses import replace

    from workbench.viz import Inspector

    pair = found.pairs[0]
    shown = replace(pair, ranking=pair.ranking.head(patches))
    few = replace(found, pairs=(shown,))
    ids = [str(name) for name in shown.ranking["id"]]
    pictures = coloured(truth, ids) if images is None else _pictures(images, ids)
    Inspector.from_comparison(few, models, truth, pictures).save(path)


def coloured(truth: "Predictions", ids: list[str]) -> "dict[str, NDArray[Any]]":
    """The true maps in the colours of their classes; white where there is no label."""
    import numpy as np

    from workbench.viz.palettes import class_colours

    k = len(truth.classes)
    colours = truth.colors or tuple(class_colours(k))
    if len(colours) != k:
        raise EvaluationError(
            f"The labels need a colour for each of their {k} classes, but have {len(colours)}.\n"
            "Correct `colors` in their manifest.json, or leave them out."
        )
    odd = [c for c in colours if re.fullmatch("#(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})", c) is None]
    if odd:
        raise EvaluationError(
            f"Colours of classes are as #rrggbb, but {odd[0]!r} of the labels is not "
            f"({len(odd)} in all)."
        )
    full = [c[1:] if len(c) == 7 else "".join(2 * digit for digit in c[1:]) for c in colours]
    table = [tuple(bytes.fromhex(digits)) for digits in full]
    palette = np.array([*table, (255, 255, 255)], np.uint8)
    maps = truth.of(ids)
    known = (maps >= 0) & (maps < k)
    return dict(zip(ids, palette[np.where(known, maps, k)], strict=True))


def _pictures(folder: Path, ids: list[str]) -> "dict[str, NDArray[Any]]":
    """Pictures by patch id; ids are looked up among the files and never made into paths."""
    from workbench.viz.patch_images import shown_pictures

    files = {file.stem: file for file in sorted(folder.glob("*.png"))}
    if missing := [name for name in ids if name not in files]:
        raise EvaluationError(
            f"{folder} must hold a picture of each patch shown, but not of {missing[0]!r} "
            f"({len(missing)} in all).\nPictures are called as the patch, ID.png."
        )
    return shown_pictures({name: files[name] for name in ids})
