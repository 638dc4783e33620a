"""`workbench compare`: two models' maps of the same patches, and what one of them loses."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from workbench.errors import EvaluationError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.evaluation import Comparison, Predictions

Store = Annotated[
    Path,
    typer.Argument(help="Folder of a model's predictions (maps.npy and manifest.json)."),
]
_ROWS = {
    "miou": "mIoU",
    "boundary": "Boundary IoU, mean of images",
    "area": "Area under the boundary curve",
}


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
    dilation: Annotated[
        float,
        typer.Option(min=0.001, help="Boundary band: pixels, or a share of the diagonal below 1."),
    ] = 0.02,
    draws: Annotated[int, typer.Option(min=100, help="Bootstrap draws behind intervals.")] = 2000,
    seed: Annotated[int, typer.Option(help="Seed of the draws.")] = 0,
) -> None:
    """Compare two models on the same patches: scores with intervals, and what the worse one loses.

    Patches are matched by id. Tolerances of the boundary curve are 0 to 100 m; differences are in
    points (hundredths); where the labels say which block of ground a patch is of, whole blocks are
    drawn for intervals. With --output the most disputed patches are written as one HTML file that
    needs no network. Without --images its pictures are the true maps in the classes' colours.
    """
    import numpy as np

    from workbench.evaluation import compare_models, read_predictions

    truth = read_predictions(targets)
    stores = [read_predictions(folder) for folder in (first, second)]
    if stores[0].model == stores[1].model:
        raise EvaluationError(
            f"Two models need two names, but both are called {stores[0].model!r}.\n"
            "Is it the same folder twice?"
        )
    models = {store.model: store for store in stores}
    found = compare_models(
        models, truth, dilation=dilation, draws=draws, rng=np.random.default_rng(seed)
    )
    _print(found)
    console = Console(highlight=False)
    if ranking is not None:
        _write_ranking(found, ranking)
        console.print(f"written: {ranking}", markup=False, soft_wrap=True)
    if output is not None:
        _write_page(found, models, truth, output, patches, images)
        console.print(f"written: {output}", markup=False, soft_wrap=True)


def _print(found: "Comparison") -> None:
    """Scores, differences with their intervals, and the paragraph."""
    (pair,) = found.pairs
    scores = found.models.set_index("model")
    table = Table(box=None, pad_edge=False)
    for heading in ("", pair.first, pair.second, "difference", "interval", ""):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    columns = dict(zip(_ROWS, ("miou", "boundary_iou", "curve_area"), strict=True))
    for name, words in _ROWS.items():
        test = getattr(pair, name)
        both = scores[columns[name]].loc[[pair.first, pair.second]]
        interval = f"{100 * test.low:+.2f} to {100 * test.high:+.2f}"
        said = "tied" if test.is_tie else ""
        values = [f"{100 * v:.2f}" for v in both] + [f"{100 * test.difference:+.2f}"]
        table.add_row(words, *values, interval, said)
    console = Console(highlight=False)
    console.print(table)
    console.print()
    console.print(pair.paragraph, markup=False)


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
    colours = truth.colors or class_colours(k)
    table = [tuple(bytes.fromhex(colour.removeprefix("#"))) for colour in colours]
    palette = np.array([*table, (255, 255, 255)], np.uint8)
    maps = truth.of(ids)
    return dict(zip(ids, palette[np.where(maps < k, maps, k)], strict=True))


def _pictures(folder: Path, ids: list[str]) -> "dict[str, NDArray[Any]]":
    """Pictures by patch id; ids are looked up among the files and never made into paths."""
    import numpy as np
    from PIL import Image

    files = {file.stem: file for file in sorted(folder.glob("*.png"))}
    if missing := [name for name in ids if name not in files]:
        raise EvaluationError(
            f"{folder} must hold a picture of each patch shown, but not of {missing[0]!r} "
            f"({len(missing)} in all).\nPictures are called as the patch, ID.png."
        )
    return {name: np.asarray(Image.open(files[name]).convert("RGB")) for name in ids}
