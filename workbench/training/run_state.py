"""Everything a run needs to go on exactly where it stopped: method, optimiser, step.

What is random is not here: order, views and masks are functions of the seed and the step.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from workbench.datasets.files import whole_file
from workbench.errors import CheckpointError

FORMAT = 2
STATE = "state.pt"


@dataclass(frozen=True)
class RunState:
    """A run between two steps."""

    step: int
    """Steps done."""
    identity: dict[str, Any]
    """What the run is: method, encoder, settings, data, seed; another run is refused."""
    method: dict[str, Any]
    """State of the method, teachers and queues included."""
    optimiser: dict[str, Any]
    """State of the optimiser."""
    last: dict[str, float] = field(default_factory=dict)
    """Last row of the metrics."""
    watch: dict[str, Any] = field(default_factory=dict)
    """State of the collapse sentinel, and what it found."""


def write_state(folder: Path, state: RunState) -> Path:
    """Write the state, whole or not at all; the one before stays until then."""
    path = folder / STATE
    with whole_file(path) as unfinished:
        torch.save({"format": FORMAT, **vars(state)}, unfinished)
    return path


def read_state(folder: Path) -> RunState | None:
    """Read the state of a run, if there is one.

    Raises:
        CheckpointError: If the file is damaged, or of another format.
    """
    path = folder / STATE
    if not path.is_file():
        return None
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
        version = found.pop("format")
        state = RunState(**found) if version == FORMAT else None
    except Exception as error:  # torch names a damaged file by a dozen types
        raise CheckpointError(
            f"{path} must be the state of a run, but cannot be read ({type(error).__name__}).\n"
            "Remove it to start the run anew, or choose another folder."
        ) from error
    if state is None:
        raise CheckpointError(
            f"Cannot resume {folder}: its {STATE} is of format {version!r}, which does not record "
            f"all options of the method; this version reads format {FORMAT}.\nThe encoder in the "
            "folder can still be loaded; train on in another folder."
        )
    return state


def full_state(method: nn.Module, optimiser: Optimizer, *, is_sharded: bool) -> tuple[Any, Any]:
    """Give the states of method and optimiser in full, also where each process holds a part.

    With shards every process must call this; those other than the first get nothing.
    """
    if not is_sharded:
        return method.state_dict(), optimiser.state_dict()
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_state_dict

    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    return get_state_dict(method, optimiser, options=options)


def restore(method: nn.Module, optimiser: Optimizer, state: RunState, *, is_sharded: bool) -> None:
    """Put a state back.

    Raises:
        CheckpointError: If it is of another network.
    """
    try:
        if not is_sharded:
            method.load_state_dict(state.method)
            optimiser.load_state_dict(state.optimiser)
            return
        from torch.distributed.checkpoint.state_dict import StateDictOptions, set_state_dict

        set_state_dict(
            method,
            optimiser,
            model_state_dict=state.method,
            optim_state_dict=state.optimiser,
            options=StateDictOptions(full_state_dict=True),
        )
    except (RuntimeError, ValueError) as error:
        first = str(error).splitlines()[0]
        raise CheckpointError(
            f"The state of a run must be of the same network, but is not ({first}).\n"
            "Go on with the method and the encoder that the run was started with."
        ) from error
