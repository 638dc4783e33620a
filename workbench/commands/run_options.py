"""The options of `workbench run`, by what they are about."""

import enum
from pathlib import Path
from typing import Annotated

import typer

from workbench.execution.stopping import LONGEST_SECONDS

_HOW, _CLUSTER = "How it runs", "On a cluster"


class Cluster(enum.StrEnum):
    """Where jobs go."""

    slurm = "slurm"
    local = "local"


Target = Annotated[Path, typer.Argument(help="A notebook (.ipynb) or a chain (.yaml).")]

# What is run, and where it is kept.
Assignments = Annotated[
    list[str] | None,
    typer.Option(
        "--parameter",
        "-p",
        metavar="NAME=VALUE",
        help="A parameter, read by the type the notebook declares. Lists and dicts are JSON. "
        "May be given many times.",
    ),
]
ParameterFile = Annotated[
    Path | None,
    typer.Option("--parameters", "-f", help="Parameters from a JSON or YAML file."),
]
Scale = Annotated[
    str | None,
    typer.Option(help="Short for -p scale=…: demo (a minute on two cores), small or full."),
]
Grid = Annotated[
    bool,
    typer.Option("--grid", help="Run every combination of values separated by commas."),
]
Name = Annotated[
    str | None,
    typer.Option(help="Run in runs/NAME. [default: the target's name]", show_default=False),
]
RunDir = Annotated[Path | None, typer.Option(help="Run in this folder, in place of runs/NAME.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would run and why; run nothing.")]
HelpParameters = Annotated[
    bool, typer.Option("--help-parameters", help="List the parameters of the notebooks.")
]

# How it runs.
Jobs = Annotated[
    int, typer.Option("--jobs", "-j", min=1, help="Notebooks at once.", rich_help_panel=_HOW)
]
Gpus = Annotated[
    int | None,
    typer.Option(
        min=0,
        help="GPUs the run may use, or each job asks for. [default: all here; 0 for a job]",
        show_default=False,
        rich_help_panel=_HOW,
    ),
]
Timeout = Annotated[
    float | None,
    typer.Option(
        min=0.001,
        max=LONGEST_SECONDS,
        help="Seconds for each notebook that has no limit of its own.",
        rich_help_panel=_HOW,
    ),
]
CellTimeout = Annotated[
    float | None,
    typer.Option(
        min=0.001,
        max=LONGEST_SECONDS,
        help="Seconds for each cell of notebooks that have no limit of their own.",
        rich_help_panel=_HOW,
    ),
]
Retries = Annotated[
    int,
    typer.Option(
        min=0, help="Times to run a notebook again if its kernel dies.", rich_help_panel=_HOW
    ),
]
Force = Annotated[
    bool, typer.Option("--force", help="Run finished steps again too.", rich_help_panel=_HOW)
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Go on with a run that must be there already: only what is missing runs.",
        rich_help_panel=_HOW,
    ),
]

# On a cluster.
Where = Annotated[
    Cluster | None,
    typer.Option(
        help="Submit to Slurm, or to processes of this machine that outlive this one.",
        rich_help_panel=_CLUSTER,
    ),
]
Partition = Annotated[
    str | None, typer.Option(help="Partition of Slurm.", rich_help_panel=_CLUSTER)
]
Minutes = Annotated[
    int,
    typer.Option(
        "--time",
        min=1,
        help="Minutes for each job; one that needs more is queued again and goes on.",
        rich_help_panel=_CLUSTER,
    ),
]
Cpus = Annotated[int, typer.Option(min=1, help="Cores for each job.", rich_help_panel=_CLUSTER)]
Memory = Annotated[
    float | None,
    typer.Option(min=0.1, help="GB of memory for each job.", rich_help_panel=_CLUSTER),
]
Account = Annotated[str | None, typer.Option(help="Account to charge.", rich_help_panel=_CLUSTER)]
Qos = Annotated[str | None, typer.Option(help="Quality of service.", rich_help_panel=_CLUSTER)]
Wait = Annotated[
    bool, typer.Option("--wait", help="Wait for the jobs to end.", rich_help_panel=_CLUSTER)
]
