"""On what a run computes: device, precision, and the processes that train together (Fabric)."""

import os
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from workbench.errors import TrainingError
from workbench.methods.mae import HiddenErrors
from workbench.models import SpectralAdapter
from workbench.training.settings import PretrainSettings

if TYPE_CHECKING:
    from lightning.fabric import Fabric

StepOutput = tuple[Tensor, Tensor, Tensor | None, dict[str, Tensor]]


class StepModule(nn.Module):
    """A pretext method as parallel training wants it: tensors in, a tuple of tensors out.

    Args:
        method: The method; it keeps its own name in every state.
    """

    def __init__(self, method: nn.Module) -> None:
        super().__init__()
        self.method = method

    def forward(self, views: list[Tensor], generator: torch.Generator) -> StepOutput:
        """Give loss, embeddings, projections and diagnostics.

        Where a method does not hand its projections out, the first output of its `head` is taken.
        """
        seen: list[Tensor] = []
        head: Any = getattr(self.method, "head", None)
        is_watched = isinstance(head, nn.Module) and getattr(self.method, "has_projections", True)
        watched = [head.register_forward_hook(_keep_first(seen))] if is_watched else []
        try:
            found = self.method(views, generator)
        finally:
            for hook in watched:
                hook.remove()
        projections = found.projections
        if projections is None and seen:
            projections = seen[0].float()
        return found.loss, found.embeddings, projections, dict(found.diagnostics)


def _keep_first(seen: list[Tensor]) -> Any:
    """A hook that keeps the first output (N, P) of a module, without gradient."""

    def hook(module: nn.Module, inputs: Any, output: Any) -> None:
        if not seen and isinstance(output, Tensor) and output.ndim == 2:
            seen.append(output.detach())

    return hook


def make_fabric(settings: PretrainSettings) -> "Fabric":
    """Join the processes that `torchrun` started, or make the only one.

    Raises:
        TrainingError: If sharding is asked for where there is one process, or a precision that
            the device does not have.
    """
    from lightning.fabric import Fabric

    processes = int(os.environ.get("WORLD_SIZE", 1)) if _is_torchrun(os.environ) else 1
    here = int(os.environ.get("LOCAL_WORLD_SIZE", 1)) if processes > 1 else 1
    asked = _precision(settings)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The `srun` command is available")
        warnings.filterwarnings("ignore", "You passed `Fabric")  # it is refused below
        fabric = Fabric(
            accelerator=settings.accelerator,
            devices=here,
            num_nodes=processes // here,
            strategy=_strategy(settings, processes),
            precision=asked,  # type: ignore[arg-type]
        )
        if precision_of(fabric) != asked:
            raise TrainingError(
                f"The precision {asked!r} is not to be had on this device ({fabric.device.type}), "
                f"which would compute in {precision_of(fabric)!r}.\n"
                "Use precision='auto', 'bf16-mixed' or '32-true'."
            )
        fabric.launch()
    return fabric


def precision_of(fabric: "Fabric") -> str:
    """In which precision a run really computes."""
    return str(fabric.strategy.precision.precision)


def what_ran(fabric: "Fabric", settings: PretrainSettings) -> dict[str, Any]:
    """Say on what a run computes, for its card: what "auto" and defaults became."""
    synced = settings.sync_batchnorm and fabric.world_size > 1 and fabric.device.type == "cuda"
    return {
        "device": fabric.device.type,
        "processes": fabric.world_size,
        "precision": precision_of(fabric),
        "sync_batchnorm": synced and not _shards(settings),
    }


def set_up(
    fabric: "Fabric", method: nn.Module, settings: PretrainSettings
) -> tuple[nn.Module, bool]:
    """Move a method to the device, in parallel if there are several processes.

    Returns:
        What is to be called on views, and whether each process holds only a part of the weights.

    Raises:
        TrainingError: If gradient checkpointing or compiling is asked of an encoder that has none.
    """
    if settings.gradient_checkpointing:
        _compute_twice(method)
    if settings.compile:
        compile_blocks(method)
    on_gpu = fabric.device.type == "cuda"
    if settings.sync_batchnorm and fabric.world_size > 1 and on_gpu and not _shards(settings):
        method = nn.SyncBatchNorm.convert_sync_batchnorm(method)
    module: Any = fabric.setup_module(StepModule(method))
    return module, _shards(settings)


def compile_blocks(method: nn.Module) -> int:
    """Compile every block of a method's transformers, in place; their weights keep their names.

    So is what else of a step passes over memory many times: the spectral adapter on a GPU, and what
    is computed on all hidden tokens.

    Blocks of one shape share what was compiled, so it takes as long for 24 as for one.

    Returns:
        How many blocks there are.

    Raises:
        TrainingError: If there is none.
    """
    blocks = [b for part in method.modules() for b in getattr(part, "blocks", None) or ()]
    if not blocks:
        raise TrainingError(
            f"Compiling needs a transformer, but {type(method.encoder).__name__} has no blocks.\n"
            "Set compile=False."
        )
    for block in blocks:
        block.compile()
    for part in method.modules():
        if isinstance(part, SpectralAdapter):
            part.is_compiled = True
        elif isinstance(part, HiddenErrors):
            part.compile()
    return len(blocks)


def _is_torchrun(environment: Mapping[str, str]) -> bool:
    return "TORCHELASTIC_RUN_ID" in environment or {"MASTER_ADDR", "WORLD_SIZE", "RANK"} <= set(
        environment
    )


def _shards(settings: PretrainSettings) -> bool:
    return settings.strategy == "fsdp"


def _strategy(settings: PretrainSettings, processes: int) -> Any:
    from lightning.fabric.strategies import DDPStrategy, ModelParallelStrategy

    if _shards(settings):
        if processes == 1:
            raise TrainingError(
                "The strategy 'fsdp' shards a model over processes, but there is one.\n"
                "Start several with torchrun, or use strategy 'auto'."
            )
        return ModelParallelStrategy(
            parallelize_fn=_sharded, data_parallel_size=processes, tensor_parallel_size=1
        )
    if processes == 1:
        return "auto"
    return DDPStrategy()


def _sharded(module: nn.Module, mesh: Any) -> nn.Module:
    """Shard each transformer block on its own, then what is left."""
    from torch.distributed.fsdp import fully_shard

    for part in list(module.modules()):
        for block in getattr(part, "blocks", None) or ():
            fully_shard(block, mesh=mesh["data_parallel"])
    fully_shard(module, mesh=mesh["data_parallel"])
    return module


def _precision(settings: PretrainSettings) -> str:
    if settings.precision != "auto":
        return settings.precision
    has_gpu = settings.accelerator != "cpu" and torch.cuda.is_available()
    return "bf16-mixed" if has_gpu and torch.cuda.is_bf16_supported() else "32-true"


def _compute_twice(method: nn.Module) -> None:
    encoder: Any = method.encoder
    if not hasattr(encoder, "set_grad_checkpointing"):
        raise TrainingError(
            f"Gradient checkpointing needs an encoder that can do it, but "
            f"{type(encoder).__name__} cannot.\nSet gradient_checkpointing=False."
        )
    encoder.set_grad_checkpointing(True)
