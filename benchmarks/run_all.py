"""Run every benchmark in a process of its own and write what they found to RESULTS.md.

    python benchmarks/run_all.py --scale full          # what `make bench` does
    python benchmarks/run_all.py overlap_graph         # only some, by name

A benchmark that fails or is stopped is a row of its own; the others still run. Exit code 1 if one
failed or a claim does not hold.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
NOT_BENCHMARKS = {"gpu_figures.py", "harness.py", "run_all.py"}
STATED = ("claim", "holds", "peak_memory_mb", "machine")


@dataclass
class Outcome:
    """One benchmark's last line, or why there is none."""

    name: str
    seconds: float
    values: dict[str, Any] = field(default_factory=dict)
    problem: str = ""

    @property
    def good(self) -> bool:
        return not self.problem and bool(self.values["holds"])


def main(arguments: list[str] | None = None) -> int:
    """Run, print one line each, write the results file; 0 if every claim holds."""
    options = parse(arguments)
    outcomes = []
    for path in chosen(options.folder, options.names):
        outcome = run(path, options.scale, options.timeout)
        print(f"{verdict(outcome):>8}  {outcome.name}  ({outcome.seconds:.0f} s)", flush=True)
        outcomes.append(outcome)
    write_atomically(options.out or options.folder / "RESULTS.md", page(outcomes, options.scale))
    return 0 if all(outcome.good for outcome in outcomes) else 1


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", help="benchmarks to run; all without")
    parser.add_argument("--scale", choices=("quick", "full"), default="quick")
    parser.add_argument("--timeout", type=float, default=3600, help="seconds for one benchmark")
    parser.add_argument("--folder", type=Path, default=HERE, help="where the benchmarks are")
    parser.add_argument("--out", type=Path, help="results file; RESULTS.md in the folder without")
    return parser.parse_args(arguments)


def chosen(folder: Path, names: list[str]) -> list[Path]:
    """The benchmarks of a folder in order of their names, or those asked for."""
    paths = {p.stem: p for p in sorted(folder.glob("*.py")) if p.name not in NOT_BENCHMARKS}
    unknown = [name for name in names if name not in paths]
    if unknown:
        raise SystemExit(f"No benchmark {', '.join(unknown)}; there are: {', '.join(paths)}.")
    return [path for name, path in paths.items() if not names or name in names]


def run(path: Path, scale: str, timeout: float) -> Outcome:
    """Run one benchmark; its standard error goes to ours."""
    command = [sys.executable, str(path), "--scale", scale]
    start = time.perf_counter()
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=timeout)
    except subprocess.TimeoutExpired:
        return Outcome(path.stem, timeout, problem=f"stopped after {timeout:.0f} s")
    seconds = time.perf_counter() - start
    if done.returncode:
        return Outcome(path.stem, seconds, problem=f"exit code {done.returncode}")
    try:
        values = json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, json.JSONDecodeError):
        return Outcome(path.stem, seconds, problem="the last line is no JSON object")
    missing = [key for key in STATED if not isinstance(values, dict) or key not in values]
    if missing:
        return Outcome(path.stem, seconds, problem=f"the last line lacks {', '.join(missing)}")
    return Outcome(path.stem, seconds, values)


def verdict(outcome: Outcome) -> str:
    """One word."""
    if outcome.problem:
        return "FAILED"
    return "holds" if outcome.good else "MISSED"


def page(outcomes: list[Outcome], scale: str) -> str:
    """The results as Markdown: a line on the machine, then a table of claims and values."""
    machine: dict[str, Any] = next((o.values["machine"] for o in outcomes if o.values), {})
    system = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    lines = [
        "# Benchmark results",
        "",
        f"Written by `python benchmarks/run_all.py --scale {scale}` on "
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC.",
        f"Machine: {machine.get('cores', '?')} cores, {machine.get('device', '?')}; {system}.",
        "",
        "| benchmark | claim | verdict | values | peak memory, MB | wall time, s |",
        "|---|---|---|---|---|---|",
    ]
    return "\n".join([*lines, *map(row, outcomes), ""])


def row(outcome: Outcome) -> str:
    """One line of the table."""
    values = {k: v for k, v in outcome.values.items() if k not in STATED}
    shown = ", ".join(f"`{key}` {value}" for key, value in values.items())
    cells = [
        outcome.name,
        outcome.values.get("claim", outcome.problem),
        verdict(outcome),
        shown or "–",
        str(outcome.values.get("peak_memory_mb", "–")),
        f"{outcome.seconds:.1f}",
    ]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def write_atomically(path: Path, text: str) -> None:
    """Write beside the file, then rename: a reader sees the old results or the new ones."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


if __name__ == "__main__":
    sys.exit(main())
