"""One call that makes any task of the benchmark from an entry of the data catalog."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.errors import EvaluationError
from workbench.evaluation.archive_tasks import archive_task
from workbench.evaluation.campaign_tasks import campaign_data, campaign_task, task_kind
from workbench.evaluation.forest import forest_task
from workbench.evaluation.tasks import Task, scene_task
from workbench.readers.samples import indian_pines, nc_landsat_forest

if TYPE_CHECKING:
    from workbench.catalog import Entry

SCENES = {"indian_pines": "indian_pines", "landsat_bands": "forest"}
"""Name of the one task of each layout that is a labelled scene."""


def open_task(
    name: str,
    entry: "Entry",
    folder: str | Path,
    *,
    scale: str = "demo",
    seed: int = 0,
    allow_leak: bool | None = None,
) -> Task:
    """Make a task by its name from whatever a catalog entry describes.

    Args:
        name: Key of `campaign_tasks.TASKS`; "indian_pines" or "forest" for the two real scenes. Of
            layout spectralearth, those with a folder enmap_<name>.
        entry: Of layout enmap_simulated, spectralearth, ssl4eo_eu_forest, indian_pines or
            landsat_bands. For images of one's own see `maps_task`.
        folder: Where a campaign is simulated, cut and kept; the other layouts write nothing.
        scale: Size of campaign and patches, key of `training.small_runs.SCALES`; of a scene, the
            size of its windows follows from the scene.
        seed: Of the campaign and the split. Archives come with their split.
        allow_leak: Whether tiles may be in two parts. None: only where it cannot be otherwise,
            which is the simulated campaign: all locations of one of its sites share tiles. Its
            parts share no ground, and each row of a table says which share of them shares a tile.

    Raises:
        EvaluationError: If there is no such task, the layout has none, or a split leaks.
    """
    return open_tasks([name], entry, folder, scale=scale, seed=seed, allow_leak=allow_leak)[name]


def open_tasks(
    names: Iterable[str],
    entry: "Entry",
    folder: str | Path,
    *,
    scale: str = "demo",
    seed: int = 0,
    allow_leak: bool | None = None,
) -> dict[str, Task]:
    """Make several tasks of one entry, by name; arguments and errors are those of `open_task`."""
    if entry.layout == "enmap_simulated":
        wanted = {name: task_kind(name) for name in names}  # before anything is simulated
        data = campaign_data(entry, folder, scale=scale, seed=seed)
        may = allow_leak is not False
        return {name: campaign_task(name, data, seed=seed, allow_leak=may) for name in wanted}
    if entry.layout in SCENES:
        return {name: _scene(name, entry, seed=seed) for name in names}
    if entry.layout in ("spectralearth", "ssl4eo_eu_forest"):
        leaky = bool(allow_leak)
        return {name: archive_task(name, entry, seed=seed, allow_leak=leaky) for name in names}
    raise EvaluationError(
        f"Entries of layout {entry.layout!r} have no labels, so there is no task of {entry.name}.\n"
        "Cut patches of it and give label maps: `maps_task`."
    )


def _scene(name: str, entry: "Entry", *, seed: int) -> Task:
    """The task of a real labelled scene."""
    if name != SCENES[entry.layout]:
        raise EvaluationError(
            f"The scene {entry.name} has one task, {SCENES[entry.layout]!r}, and not {name!r}."
        )
    if entry.layout == "landsat_bands":
        return forest_task(nc_landsat_forest(entry), size=32, block=2, seed=seed)
    # windows as small as the fields of the scene; half of its pixels have no label
    scene = indian_pines(entry)
    return scene_task(name, scene, size=8, block=1, seed=seed, least_labelled=0.3)
