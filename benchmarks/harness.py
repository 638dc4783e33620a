"""What every benchmark shares: the scale argument, timing, peak memory, and the last JSON line.

from harness import Timing, measured, parse_scale, report

args = parse_scale(__doc__)                              # --scale quick|full
floor = measured(lambda: bare_loop(data), repeats=3)     # Timing(seconds, peak_mb, result)
ours = measured(lambda: overlap_graph(tiles), repeats=3)
report("at most 1.5 x the floor", ours.seconds / floor.seconds <= 1.5, ratio_to_floor=...)
"""

import argparse
import json
import os
import platform
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STATUS = Path("/proc/self/status")
CLEAR_REFS = Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Timing:
    """The best of some repeats: wall time in s, peak memory of the process meanwhile in MB."""

    seconds: float
    peak_mb: float
    result: Any


def parse_scale(description: str | None, *more: tuple[str, dict[str, Any]]) -> argparse.Namespace:
    """Read `--scale quick|full` and more arguments, each as (flag, options of argparse)."""
    summary = (description or "").partition("\n")[0]
    parser = argparse.ArgumentParser(description=summary)
    parser.add_argument("--scale", choices=("quick", "full"), default="quick")
    for flag, options in more:
        parser.add_argument(flag, **options)
    return parser.parse_args()


def measured(work: Callable[[], Any], *, repeats: int = 1) -> Timing:
    """Run `work` some times; keep the shortest time, the highest memory and the last result."""
    reset_peak_memory()
    best, result = float("inf"), None
    for _ in range(repeats):
        result = None  # two results alive at once would count twice in the peak
        start = time.perf_counter()
        result = work()
        best = min(best, time.perf_counter() - start)
    return Timing(best, peak_memory_mb(), result)


def peak_memory_mb() -> float:
    """Highest resident memory of this process, since the last reset where Linux allows one."""
    if STATUS.exists():
        line = next(s for s in STATUS.read_text().splitlines() if s.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def reset_peak_memory() -> None:
    """Start the peak anew from what is resident now (Linux only; elsewhere the peak only grows)."""
    if CLEAR_REFS.exists() and os.access(CLEAR_REFS, os.W_OK):
        CLEAR_REFS.write_text("5")


def machine() -> dict[str, Any]:
    """Cores this process may use and the device, as every benchmark states them."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    torch = sys.modules.get("torch")  # never imported for the sake of this line
    gpu = torch.cuda.get_device_name(0) if torch and torch.cuda.is_available() else None
    return {"cores": cores, "device": gpu or "cpu", "processor": platform.machine()}


def report(claim: str, holds: bool, *, peak_mb: float, **values: Any) -> None:
    """Print the one JSON object a benchmark ends with; numbers keep four significant digits."""
    rounded = {k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in values.items()}
    line = {"claim": claim, "holds": bool(holds), **rounded, "peak_memory_mb": round(peak_mb, 1)}
    print(json.dumps({**line, "machine": machine()}, default=_plain, allow_nan=False), flush=True)


def _plain(value: Any) -> Any:
    """NumPy's numbers as Python's."""
    return value.item()
