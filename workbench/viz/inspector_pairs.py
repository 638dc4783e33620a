"""From a comparison of models to the patches of an inspector, with what each patch is ranked by."""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from workbench.errors import EvaluationError
from workbench.viz.inspector_data import InspectorPatch

if TYPE_CHECKING:
    from workbench.evaluation.comparison import Maps, ModelPair

MEASURES = {
    "score": "dispute",
    "boundary": "boundaries apart",
    "thin": "thin structures apart",
    "objects": "objects in one only",
}
"""Columns of a ranking by disagreement and what the inspector calls them; its area is the
"disagreement" that every inspector has."""

Images = Mapping[str, Any] | Callable[[str], Any]
"""Pictures by patch id, or what gives one for an id: (H, W, 3) uint8, or several by name."""


def compared_patches(
    pair: "ModelPair",
    predictions: Mapping[str, "Maps"],
    targets: "Maps",
    images: Images,
    bands: Images | None = None,
) -> Iterator[InspectorPatch]:
    """Give the patches of two compared models, the most disputed first.

    Args:
        pair: The two models and their ranking.
        predictions: Each model's maps by its name, as for `compare_models`.
        targets: The true maps, likewise.
        images: Pictures of the patches.
        bands: (C, H, W) measurements of the patches, by id or from a function; None for none.

    Raises:
        EvaluationError: If a model has no maps or a patch no picture.
    """
    from workbench.evaluation.predictions import as_predictions, matched

    truth = as_predictions("target", targets)
    for name in (pair.first, pair.second):
        if name not in predictions:
            raise EvaluationError(
                f"Maps of both compared models are needed, but those of {name!r} are missing.\n"
                f"Given: {', '.join(predictions) or 'none'}."
            )
    ids = [str(name) for name in pair.ranking["id"]]
    named = ((pair.first, predictions[pair.first]), (pair.second, predictions[pair.second]))
    first, second = (matched(name, maps, truth).of(ids) for name, maps in named)
    true = truth.of(ids)
    columns = {k: v for k, v in MEASURES.items() if k in pair.ranking}
    for k, name in enumerate(ids):
        row = pair.ranking.iloc[k]
        scores = {shown: _number(row[column]) for column, shown in columns.items()}
        cube = None if bands is None else _of(bands, name, "bands")
        yield InspectorPatch(
            name, _of(images, name, "picture"), true[k], first[k], second[k], scores, cube
        )


def _of(given: Images, name: str, what: str) -> Any:
    if callable(given):
        return given(name)
    if name not in given:
        raise EvaluationError(f"Every compared patch needs its {what}, but {name!r} has none.")
    return given[name]


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)
