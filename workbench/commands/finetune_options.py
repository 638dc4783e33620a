"""The options of `workbench finetune`, and what other commands of learning share with it."""

from pathlib import Path
from typing import Annotated

import typer

Task = Annotated[
    str,
    typer.Argument(
        metavar="TASK",
        help="corine, cdl, nlcd, forest_type, tree_mask, tree_density, disturbance; "
        "indian_pines or forest of the real scenes.",
    ),
]
Output = Annotated[
    Path, typer.Option("--output", "-o", help="Folder of the run; a run that is there goes on.")
]
Entry = Annotated[str, typer.Option(help="Entry of the data catalog that the task is made of.")]
Scale = Annotated[str, typer.Option(help="Of a simulated campaign: test, demo, …")]
Data = Annotated[
    Path | None,
    typer.Option(help="Folder of a simulated campaign. [default: OUTPUT/data]", show_default=False),
]
Patches = Annotated[
    Path | None,
    typer.Option(help="Patches of your own, in place of --entry: a folder of `extract`."),
]
Labels = Annotated[
    list[Path] | None,
    typer.Option(help="Label map for --patches; may be given several times."),
]
Split = Annotated[
    Path | None,
    typer.Option(
        help="Parquet or CSV with location_id and split (train, val, test) for --patches. "
        "[default: blocks of ground]",
        show_default=False,
    ),
]
Event = Annotated[
    str | None, typer.Option(help="Day of the disturbance for --patches, as 2023-03-01.")
]
AllowLeak = Annotated[
    bool,
    typer.Option(help="Let training and test share tiles; each row then says how much."),
]
Checkpoint = Annotated[
    Path | None,
    typer.Option(
        "--checkpoint",
        "-w",
        help="Encoder that `workbench pretrain` wrote. [default: random weights]",
        show_default=False,
    ),
]
Encoder = Annotated[
    str, typer.Option(help="With random weights: spectral_vit, spectral_resnet50, vit, resnet.")
]
EncoderOptions = Annotated[
    list[str] | None,
    typer.Option("--encoder-option", "-e", help="Its argument, as size=T or token_size=4."),
]
Protocol = Annotated[
    str | None,
    typer.Option(
        help="scratch, frozen, linear, knn, adapter, full. [default: scratch of "
        "random weights, else frozen]",
        show_default=False,
    ),
]
Decoder = Annotated[
    str | None,
    typer.Option(
        help="unet, deeplabv3+, upconv, fcn, linear. [default: linear]", show_default=False
    ),
]
Loss = Annotated[str, typer.Option(help="auto, cross_entropy, boundary, bce, mse.")]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        "-s",
        help="Setting, as steps=300, batch_size=16, lr=0.001, "
        "eval_every=50, lora_rank=4, layer_decay=0.75, as_published=True.",
    ),
]
Fraction = Annotated[
    float, typer.Option(min=1e-6, max=1, help="Share of the training labels, in (0, 1].")
]
Draw = Annotated[int, typer.Option(min=0, help="Which draw of them.")]
Seeds = Annotated[int, typer.Option(min=1, help="Number of trainings, with seeds 0, 1, …")]
SplitSeed = Annotated[int, typer.Option(min=0, help="Of campaign and split.")]
Device = Annotated[str, typer.Option(help="Where to compute: cpu, cuda, cuda:1.")]
Catalog = Annotated[
    Path,
    typer.Option("--catalog", "-c", envvar="WORKBENCH_CATALOG", help="The data catalog."),
]
