"""`workbench pretrain`: from an extraction to an encoder, on one process or under torchrun."""

import ast
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from workbench.errors import TrainingError
from workbench.files import read_text

if TYPE_CHECKING:
    from torch import nn

    from workbench.datasets import Patches, TemporalPatches
    from workbench.methods import Recipe
    from workbench.training import PretrainResult

Assigned = list[str]
EncoderOptions = Annotated[
    Assigned | None,
    typer.Option("--encoder-option", "-e", help="Its argument, as size=S or token_size=8."),
]
MethodOptions = Annotated[
    Assigned | None,
    typer.Option("--method-option", "-m", help="Argument of the method, as queue_size=4096."),
]
Settings = Annotated[
    Assigned | None,
    typer.Option(
        "--set",
        "-s",
        help="Setting of the run in place of the recipe's, as epochs=20, batch_size=64, "
        "lr=0.001, workers=4, precision=bf16-mixed, strategy=fsdp, watch=stop.",
    ),
]
ViewChanges = Annotated[
    Assigned | None,
    typer.Option(
        "--view-option",
        "-v",
        help="Of the views, as crop=(0.2,1), local_size=48, views=2; "
        "large ones have the size of the patches.",
    ),
]
Positives = Annotated[
    str | None,
    typer.Option(
        help="Which two dates of a location are a positive pair: any_dates, one_season (within "
        "30 days of the year), months (20 to 120 days apart), or one_date (no pairs). Locations "
        "without such a pair are left out, and counted in the card. [default: any_dates, but "
        "locations with one date stay, shown alone]",
        show_default=False,
    ),
]
SplitFile = Annotated[
    Path | None, typer.Option(help="Text file of the locations to learn from, one id a line.")
]


def pretrain(
    patches: Annotated[
        Path, typer.Argument(metavar="PATCHES", help="Folder that `workbench extract` wrote.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of the run; a run that is there goes on.")
    ],
    method: Annotated[
        str, typer.Option(help="Pretext method: moco, dino, mae, simclr, byol, …")
    ] = "moco",
    recipe: Annotated[
        str, typer.Option(help="Recipe of the method: original, or spectral_earth.")
    ] = "original",
    encoder: Annotated[
        str, typer.Option(help="Factory: spectral_vit, spectral_resnet50, vit, resnet.")
    ] = "spectral_vit",
    encoder_options: EncoderOptions = None,
    method_options: MethodOptions = None,
    settings: Settings = None,
    view_options: ViewChanges = None,
    positives: Positives = None,
    split: SplitFile = None,
    seed: Annotated[int, typer.Option(min=0, help="Of weights, order, pairs, views, masks.")] = 0,
    licence: Annotated[str, typer.Option(help="Licence of the weights.")] = "not stated",
) -> None:
    """Pretrain an encoder on the patches of an extraction.

    The same command completes a run that was cut off. Several processes share each batch under
    `torchrun --nproc-per-node N -m workbench pretrain …`. Written: encoder.safetensors with its
    card (encoder.json), metrics.csv, tensorboard, and the state to go on from.
    """
    from workbench import methods
    from workbench.datasets import open_patches

    chosen = methods.recipe(method, recipe)
    data = open_patches(patches)
    if split is not None:
        data = data.only(read_text(split, error=TrainingError).split())
    shown = _shown(data, positives, seed)
    made = _encoder(encoder, data, _values(encoder_options), seed)
    if method_options:
        chosen = chosen.with_options(**_values(method_options))
    try:
        module = chosen.build(made)
    except TypeError as error:
        raise TrainingError(f"The method {method} cannot be made: {error}.") from error
    view = {"size": data.shape[-1], **_values(view_options)}
    result = _run(module, shown, chosen, output, seed, licence, settings, view)
    if int(os.environ.get("RANK", 0)) == 0:
        _tell(result)


def _shown(data: "Patches", positives: str | None, seed: int) -> "Patches | TemporalPatches":
    """Show the patches by a policy of `datasets.POLICIES`; None leaves the choice to the run."""
    from workbench.datasets import POLICIES, TemporalPatches

    if positives is None:
        return data
    if positives not in POLICIES:
        raise TrainingError(
            f"There is no policy {positives!r} for positives.\nPolicies are {', '.join(POLICIES)}."
        )
    policy = POLICIES[positives]
    return TemporalPatches(data, min_acquisitions=2 if policy else 1, pairs=policy, seed=seed)


def _encoder(name: str, data: "Patches", options: dict[str, Any], seed: int) -> "nn.Module":
    """Make the encoder for the bands and the size of the data, where they are not given."""
    import torch

    from workbench.training import build_encoder

    bands, side, _ = data.shape
    given = {"bands": bands}
    if name.endswith("vit"):
        given["image_size"] = side
    if name == "wavelength_vit":
        given.pop("bands")
        contract = data.contract
        options = {
            "wavelengths_nm": list(contract.wavelengths_nm),
            "fwhm_nm": list(contract.fwhm_nm),
            **options,
        }
    torch.manual_seed(seed)
    return build_encoder(name, **{**given, **options})


def _run(
    module: "nn.Module",
    data: "Patches | TemporalPatches",
    recipe: "Recipe",
    output: Path,
    seed: int,
    licence: str,
    settings: Assigned | None,
    view: dict[str, Any],
) -> "PretrainResult":
    from workbench.training import PretrainSettings, pretrain, recipe_views

    logging.getLogger("lightning").setLevel(logging.WARNING)  # it says twice how it was started
    logging.getLogger("lightning.fabric").setLevel(logging.WARNING)
    try:
        views = recipe_views(recipe, **view)
    except TypeError as error:
        raise TrainingError(f"The views cannot be made: {error}.") from error
    return pretrain(
        module,
        data,
        out=output,
        recipe=recipe,
        settings=PretrainSettings.from_recipe(recipe, **_values(settings)),
        views=views,
        seed=seed,
        licence=licence,
    )


def _values(assigned: Assigned | None) -> dict[str, Any]:
    """Read NAME=VALUE; what is no Python literal is a word."""
    found: dict[str, Any] = {}
    for text in assigned or ():
        name, sign, value = text.partition("=")
        if not (sign and name.isidentifier()):
            raise TrainingError(f"An option must be NAME=VALUE, got {text!r}.")
        try:
            found[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            found[name] = value
    return found


def _tell(result: "PretrainResult") -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_row("steps", f"{result.steps:,}" + ("" if result.is_complete else " (to go on)"))
    for name, value in result.last.items():
        table.add_row(name.replace("_", " "), f"{value:,.4g}")
    for finding in result.findings:
        table.add_row("collapse", finding.reason)
    console = Console(soft_wrap=True)
    console.print(table)
    console.print(f"encoder: {result.checkpoint}", markup=False, highlight=False)
    console.print(f"metrics: {result.metrics}", markup=False, highlight=False)
