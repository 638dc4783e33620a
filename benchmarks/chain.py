"""The chain against bare nbclient runs of the same notebooks, and a resume of a finished chain.

floor      nbclient executes each notebook in a kernel of its own and saves it: nothing else
ours       run_chain: parameters, records, heartbeats, logs, checksums, HTML pages, the report
resume     `workbench run` on the finished chain, as a process of its own, imports included

quick runs two notebooks of eight seconds each (those of the demo take 6 to 120); full runs the
shipped demo chain. Results that the floor does not have (HTML of every notebook, the report) count
as overhead, which is a constant for each notebook: `overhead_seconds_a_notebook`. Both ways run in
turns, and the shortest time of each counts.
"""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import nbformat
from harness import parse_scale, peak_memory_mb, report, reset_peak_memory
from nbclient import NotebookClient

from workbench.execution import run_chain
from workbench.execution.chain import read_chain

ROOT = Path(__file__).parent.parent
REPEATS = {"quick": 2, "full": 1}
CLAIM = "overhead under 5 % of bare nbclient; a finished chain is found finished in under 5 s"
WORK = (
    "import time\nimport numpy as np\nimport pandas as pd",
    "from workbench.execution import RunFolder\nout = RunFolder(run_dir)",
    "rng = np.random.default_rng(seed)\nend = time.perf_counter() + seconds\nrounds = 40",
    "values = [np.linalg.svd(rng.normal(size=(120, 120)))[1][0] for _ in range(rounds)]",
    "time.sleep(max(0.0, end - time.perf_counter()))",
    "out.table(pd.DataFrame({'value': values}), f'values_{seed}')",
)


def write_notebooks(folder: Path) -> Path:
    """Two notebooks that compute, and wait until eight seconds are over, as a chain."""
    steps = []
    for seed in range(2):
        parameters = nbformat.v4.new_code_cell(
            f'run_dir: str = "{folder}/bare"\nseed: int = {seed}\nseconds: float = 8.0'
        )
        parameters.metadata["tags"] = ["parameters"]
        cells = [nbformat.v4.new_code_cell(source) for source in WORK]
        node = nbformat.v4.new_notebook(cells=[parameters, *cells])
        nbformat.write(node, folder / f"{seed:02d}_work.ipynb")
        steps.append(f"  - notebook: {seed:02d}_work.ipynb\n")
    chain = folder / "chain.yaml"
    chain.write_text("steps:\n" + "".join(steps))
    return chain


def copy_demo(folder: Path) -> Path:
    """The shipped notebooks and catalog, elsewhere, so that nothing is written beside them."""
    shutil.copytree(ROOT / "notebooks", folder / "notebooks")
    shutil.copy(ROOT / "data_catalog.yaml", folder)
    return folder / "notebooks" / "chain.yaml"


def bare(chain: Path, out: Path) -> None:
    """Execute and save every notebook with nbclient."""
    out.mkdir(parents=True)
    for step in read_chain(chain).steps:
        node = nbformat.read(step.notebook, as_version=4)
        client = NotebookClient(node, resources={"metadata": {"path": str(step.notebook.parent)}})
        asyncio.run(client.async_execute())
        nbformat.write(node, out / step.notebook.name)


def timed(work: Callable[[], object]) -> float:
    """Wall time in s."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def resume(chain: Path, run_dir: Path) -> None:
    """The command line on a finished run; it must find everything unchanged."""
    command = [sys.executable, "-m", "workbench", "run", str(chain), "--run-dir", str(run_dir)]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    told = [line.split()[0] for line in answer.stdout.splitlines() if not line.startswith("Report")]
    if set(told) != {"unchanged"}:
        raise SystemExit(f"A finished chain must be found unchanged, but: {answer.stdout}")


def main() -> None:
    """Measure and print."""
    scale = parse_scale(__doc__).scale
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    reset_peak_memory()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        chain = copy_demo(folder) if scale == "full" else write_notebooks(folder)
        first = read_chain(chain).steps[0].notebook
        brief = {} if scale == "full" else {"seconds": 0.0}
        run_chain(first, brief, run_dir=folder / "warm")  # files read, bytecode written, imports
        count = len(read_chain(chain).steps)
        floors, ours = [], []
        for turn in range(REPEATS[scale]):
            floors.append(timed(lambda: bare(chain, folder / f"bare{turn}")))  # noqa: B023
            ours.append(timed(lambda: run_chain(chain, run_dir=folder / f"run{turn}")))  # noqa: B023
        resumed = min(timed(lambda: resume(chain, folder / "run0")) for _ in range(2))
    floor, own = min(floors), min(ours)
    overhead = 100 * (own - floor) / floor
    report(
        CLAIM,
        overhead < 5 and resumed < 5,
        overhead_percent=overhead,
        overhead_seconds_a_notebook=(own - floor) / count,
        resume_seconds=resumed,
        chain_seconds=own,
        nbclient_seconds=floor,
        notebooks=count,
        peak_mb=peak_memory_mb(),
    )


if __name__ == "__main__":
    main()
