"""`workbench finetune`: one encoder, one task, one protocol; a seed or several."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from workbench.commands import finetune_options as options
from workbench.commands.pretrain import _values as values_of
from workbench.errors import EvaluationError
from workbench.files import opened_once

if TYPE_CHECKING:
    from workbench.evaluation import ResultsTable, StudyCell
    from workbench.evaluation.sweeps import Sweep
    from workbench.evaluation.tasks import Task

RANDOM = "random"


def finetune(
    task: options.Task,
    output: options.Output,
    entry: options.Entry = "enmap_simulated",
    scale: options.Scale = "demo",
    data: options.Data = None,
    patches: options.Patches = None,
    labels: options.Labels = None,
    split: options.Split = None,
    event: options.Event = None,
    allow_leak: options.AllowLeak = False,
    checkpoint: options.Checkpoint = None,
    encoder: options.Encoder = "spectral_vit",
    encoder_options: options.EncoderOptions = None,
    protocol: options.Protocol = None,
    decoder: options.Decoder = None,
    loss: options.Loss = "auto",
    settings: options.Settings = None,
    fraction: options.Fraction = 1.0,
    draw: options.Draw = 0,
    seeds: options.Seeds = 1,
    split_seed: options.SplitSeed = 0,
    device: options.Device = "cpu",
    catalog: options.Catalog = Path("data_catalog.yaml"),
) -> None:  # fmt: skip
    """Put an encoder to a task: train, choose by the validation part, judge by the test part once.

    Written: results.parquet with a row for each seed, and for each a folder with its predictions,
    weights and card. The same command completes a run that was cut off; a seed that is there is
    not trained again.
    """
    made = _task(task, entry, scale, data or output / "data", patches, labels, split, event,
                 allow_leak, split_seed, catalog)  # fmt: skip
    if checkpoint is not None and encoder_options:
        raise EvaluationError("--encoder-option is for random weights; a checkpoint has its own.")
    cells = _cells(task, checkpoint, encoder, values_of(encoder_options), protocol, decoder, loss,
                   values_of(settings), fraction, draw, seeds)  # fmt: skip
    ready = _ready(made, cells, checkpoint, encoder, values_of(encoder_options), output, device)
    _train(ready, Console(soft_wrap=True, highlight=False))


def _task(
    name: str,
    entry: str,
    scale: str,
    data: Path,
    patches: Path | None,
    labels: list[Path] | None,
    split: Path | None,
    event: str | None,
    allow_leak: bool,
    seed: int,
    catalog: Path,
) -> "Task":
    from datetime import datetime

    from workbench.catalog import open_catalog
    from workbench.evaluation.campaign_tasks import maps_task
    from workbench.evaluation.named_tasks import open_task

    if patches is None:
        if labels or split or event:
            raise EvaluationError("--labels, --split and --event go with --patches.")
        found = open_catalog(catalog)[entry]
        may = True if allow_leak else None
        return open_task(name, found, data, scale=scale, seed=seed, allow_leak=may)
    if not labels:
        raise EvaluationError("Patches need label maps: --labels MAP.tif, once for each map.")
    try:
        day = None if event is None else datetime.fromisoformat(event)
    except ValueError:
        raise EvaluationError(f"--event is a day as 2023-03-01, got {event!r}.") from None
    return maps_task(
        name, patches, labels, seed=seed, split=None if split is None else _split(split),
        event=day, allow_leak=allow_leak,
    )  # fmt: skip


def _split(path: Path) -> Any:
    """The part of each location, from a table."""
    import pandas as pd

    if not path.is_file():
        raise EvaluationError(f"There is no split at {path}.")
    if path.suffix == ".csv":
        frame = pd.read_csv(path, dtype=str)
    else:
        with opened_once(path) as file:
            frame = pd.read_parquet(file)
    if not {"location_id", "split"} <= set(frame.columns):
        raise EvaluationError(
            f"A split has the columns location_id and split, but {path.name} has "
            f"{', '.join(map(str, frame.columns))}."
        )
    return frame.set_index("location_id")["split"]


def _cells(
    task: str,
    checkpoint: Path | None,
    encoder: str,
    made_with: dict[str, Any],
    protocol: str | None,
    decoder: str | None,
    loss: str,
    settings: dict[str, Any],
    fraction: float,
    draw: int,
    seeds: int,
) -> "list[StudyCell]":
    from workbench.evaluation import StudyCell
    from workbench.evaluation.benchmark import protocol_of, settings_of
    from workbench.training.checkpoint import read_card
    from workbench.training.finetune_settings import FinetuneSettings

    name, init, varied = encoder, RANDOM, {**settings, "loss": loss}
    if checkpoint is not None:
        from workbench.datasets.files import file_checksum

        card = read_card(checkpoint)
        name = "given" if card.encoder is None else card.encoder.factory
        init = card.method.lower() or "given"
        varied["weights"] = file_checksum(checkpoint)[:16]
    chosen = protocol or ("scratch" if checkpoint is None else "frozen")
    known = {*FinetuneSettings().to_dict(), "as_published", "layer_decay", "lora_rank"}
    if unknown := sorted(set(settings) - known):
        raise EvaluationError(
            f"There is no setting {unknown[0]!r}.\nSettings are {', '.join(sorted(known))}."
        )
    if made_with:  # part of what the result depends on
        varied["made_with"] = ", ".join(f"{k}={made_with[k]!r}" for k in sorted(made_with))
    cells = [
        StudyCell(task, name, init, chosen, decoder or "linear", seed, fraction, draw, varied)
        for seed in range(seeds)
    ]
    protocol_of(cells[0])
    settings_of(cells[0])
    return cells


def _ready(
    made: "Task",
    cells: "list[StudyCell]",
    checkpoint: Path | None,
    encoder: str,
    made_with: dict[str, Any],
    output: Path,
    device: str,
) -> "Sweep":
    from workbench.evaluation import ResultsTable
    from workbench.evaluation.benchmark import Bench, require_sensible
    from workbench.evaluation.cell_encoders import CellEncoders
    from workbench.evaluation.kept_runs import KeptRuns
    from workbench.evaluation.study_files import EncoderPlan
    from workbench.evaluation.sweeps import RESULTS, Sweep
    from workbench.training.features import FeatureCache

    require_sensible(made, cells[0])
    plans = {cell.encoder: EncoderPlan(factory=encoder, options=made_with) for cell in cells[:1]}
    encoders = CellEncoders(plans, str(checkpoint or ""), Path())
    keep = KeptRuns(output, made)
    cache = FeatureCache(output / "features", device=device)
    bench = Bench({made.name: made}, encoders, cache=cache, device=device, keep=keep)
    return Sweep(tuple(cells), ResultsTable(output / RESULTS), bench)


def _train(ready: "Sweep", console: Console) -> None:
    from workbench.commands.sweep import run_and_tell

    keep: Any = ready.bench.keep
    run_and_tell(ready, console)
    for cell in ready.cells:
        if not (keep.of(cell) / "card.json").is_file():
            keep.finish(cell, ready.table)
    console.print(_scores(ready.table, ready.cells))
    for text in _definitions(ready.table, ready.cells[0]):
        console.print(text, markup=False)
    for cell in ready.cells:
        console.print(f"seed {cell.seed}: {keep.of(cell)}", markup=False)


def _scores(table: "ResultsTable", cells: "tuple[StudyCell, ...]") -> Table:
    """Scores of the test part, a column for each seed."""
    found = Table(box=None, pad_edge=False)
    found.add_column("test part")
    for cell in cells:
        found.add_column(f"seed {cell.seed}", justify="right")
    scores = [table.record(cell.key).scores() for cell in cells]
    for name in scores[0]:
        found.add_row(name, *(f"{s[name].value:.4f}" for s in scores))
    if len(cells) < 5:
        found.caption = "Fewer than 5 seeds: no significance is claimed."
    return found


def _definitions(table: "ResultsTable", cell: "StudyCell") -> list[str]:
    """What each score of a task is; of those of single classes the first stands for all."""
    told: dict[str, str] = {}
    for name, score in table.record(cell.key).scores().items():
        told.setdefault(name.split("/")[0], f"{name}: {score.definition}")
    return list(told.values())
