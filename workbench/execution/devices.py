"""The GPUs of this machine as NVIDIA's management library (NVML) tells: names, driver, energy.

torch is not asked: importing it takes longer than many a notebook, and a notebook that needs a GPU
has a process of its own.
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Gpu:
    """One NVIDIA GPU."""

    index: str
    name: str
    memory_gib: float
    driver: str

    energy_joules: float | None
    """Energy used since the driver was loaded, in J; None where the GPU does not count it."""


def gpus() -> list[Gpu]:
    """The GPUs that a kernel started here would see; empty without NVIDIA's driver.

    ``CUDA_VISIBLE_DEVICES`` is honoured, as indices or as identifiers that begin with ``GPU-``.
    """
    with _nvml() as nvml:
        if nvml is None:
            return []
        count = nvml.nvmlDeviceGetCount()
        handles = {str(n): nvml.nvmlDeviceGetHandleByIndex(n) for n in range(count)}
        identifiers = {_text(nvml.nvmlDeviceGetUUID(h)): n for n, h in handles.items()}
        allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
        names = list(handles) if allowed is None else [n.strip() for n in allowed.split(",")]
        chosen = [identifiers.get(name, name) for name in names]
        return [_gpu(nvml, name, handles[name]) for name in chosen if name in handles]


def _gpu(nvml: Any, index: str, handle: Any) -> Gpu:
    energy = None
    with contextlib.suppress(nvml.NVMLError):  # older GPUs have no counter
        energy = nvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1000
    memory = nvml.nvmlDeviceGetMemoryInfo(handle).total / 2**30
    driver = _text(nvml.nvmlSystemGetDriverVersion())
    return Gpu(index, _text(nvml.nvmlDeviceGetName(handle)), round(memory, 1), driver, energy)


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


@contextlib.contextmanager
def _nvml() -> Iterator[Any]:
    """NVML ready for use; None where the driver or the library is missing."""
    try:
        import pynvml  # type: ignore[import-untyped]

        pynvml.nvmlInit()
    except Exception:  # a missing driver shows itself in many ways
        yield None
        return
    try:
        yield pynvml
    finally:
        pynvml.nvmlShutdown()


def energy_used(before: list[Gpu], after: list[Gpu]) -> float | None:
    """Energy in J that the GPUs used between two looks at them; None if none of them counts it.

    Example:
        >>> gpu = Gpu("0", "a GPU", 80.0, "550", 10.0)
        >>> energy_used([gpu], [Gpu("0", "a GPU", 80.0, "550", 25.5)])
        15.5
    """
    begun = {gpu.index: gpu.energy_joules for gpu in before}
    used = [
        gpu.energy_joules - start
        for gpu in after
        if gpu.energy_joules is not None and (start := begun.get(gpu.index)) is not None
    ]
    return round(sum(used), 3) if used else None
