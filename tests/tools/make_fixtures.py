"""Write small files of every format with the code of commit 7acea7f, for tests of old data.

    git worktree add /tmp/old 7acea7f
    PYTHONPATH=/tmp/old python tests/tools/make_fixtures.py tests/fixtures/7acea7f

The machine's name and user are replaced before anything is written, all work is done in
/tmp/fixtures, and paths that a record keeps are relative or below that folder; nothing is edited
after it was written, so checksums within the files hold.
"""

import json
import os
import platform
import shutil
import sys
from pathlib import Path

WORK = Path("/tmp/fixtures")
HOST = "host.example"
BANDS = ["B010", "B030", "B050", "B090"]
PARAMETERS = """\
run_dir: str = "../runs/lab"  # Folder of the run
seed: int = 0  # Seed of every random draw
"""


def main(target: Path) -> None:
    """Make everything in WORK and copy what is small to the target."""
    target = target.resolve()
    platform.node = lambda: HOST
    os.environ["USER"] = os.environ["LOGNAME"] = "user"
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    os.chdir(WORK)
    extraction()
    training()
    judgement()
    run_folder()
    shutil.rmtree(target, ignore_errors=True)
    ignored = shutil.ignore_patterns("campaign", "tensorboard", "lock", "0?_*.html")
    shutil.copytree(WORK, target, ignore=ignored)


def extraction() -> None:
    """Plan, tiles, split, store with manifest and rejected patches, labels, statistics."""
    import numpy as np

    from workbench.datasets import open_patches
    from workbench.datasets.alignment import LabelSource, align_labels
    from workbench.datasets.patches import stored_statistics
    from workbench.extraction import (
        ValidityRules,
        ViewRules,
        drop_duplicates,
        extract_patches,
        split_locations,
        temporal_views,
        write_manifest,
    )
    from workbench.extraction.tiles import tile_frame
    from workbench.geo.grid import PixelGrid
    from workbench.geo.raster import write_raster
    from workbench.legends import HRL_LEAF_TYPE
    from workbench.readers.enmap import discover_enmap
    from workbench.synthetic import simulate_campaign

    truth = simulate_campaign(
        Path("campaign"), scale="test", seed=0, tile_size=40, nasty=False, n_tiles=4
    )
    tiles, _ = drop_duplicates(discover_enmap(truth.products)[0])
    plan = temporal_views(tiles, ViewRules(patch_size=8))
    frame = tile_frame(tiles)
    frame[["path", "group"]] = frame[["path", "group"]].fillna("").astype(str)
    write_manifest(frame, Path("plan.tiles.parquet"), kind="tiles")
    write_manifest(plan, Path("plan.parquet"), kind="plan", note={"entry": "e", "patch_size": 8})
    split = split_locations(plan, by="block", block_size_m=480, seed=0)
    split.rename_axis("location_id").reset_index().to_parquet("split.parquet")
    split.rename_axis("location_id").reset_index().to_csv("split.csv", index=False)
    for name, compression in (("patches", None), ("compressed", "zstd")):
        extract_patches(
            plan,
            tiles,
            Path(name),
            rules=ValidityRules(),
            bands=BANDS,
            workers=1,
            compression=compression,
        )
        patches = open_patches(Path(name))
        pixels = {
            str(p): patches.store.pixels(int(p)).astype(int).sum().item()
            for p in patches.index.place
        }
        Path(f"{name}.truth.json").write_text(json.dumps(pixels))
    stored_statistics(open_patches("patches"), "patches/statistics.json")
    row = plan.iloc[0]
    grid = PixelGrid.from_bounds(
        row.crs,
        (row.xmin - 30_000, row.ymin - 30_000, row.xmax + 30_000, row.ymax + 30_000),
        60.0,
    )
    codes = np.random.default_rng(0).choice([0, 1, 2], grid.shape).astype(np.uint8)
    Path("campaign/maps").mkdir(exist_ok=True)
    path = write_raster(Path("campaign/maps/leaf.tif"), codes, grid)
    align_labels("patches", "leaf", LabelSource((path,), "classes", HRL_LEAF_TYPE))


def training() -> None:
    """A pretrained encoder with its card and state."""
    import torch

    from workbench.datasets import open_patches
    from workbench.methods import MoCo
    from workbench.models import ViTEncoder, ViTSize
    from workbench.training import PretrainSettings, pretrain

    torch.manual_seed(0)
    patches = open_patches("patches")
    encoder = ViTEncoder(len(BANDS), 8, 4, ViTSize(16, 1, 2), adapter=False)
    method = MoCo(encoder, queue_size=16, hidden_dim=8, output_dim=8)
    settings = PretrainSettings(steps=2, batch_size=4)
    pretrain(method, patches, out="pretraining", settings=settings, seed=0, progress=False)
    keep = [p for p in Path("pretraining").rglob("*") if p.is_file()]
    print(*(f"{p} {p.stat().st_size}" for p in keep), sep="\n")


def judgement() -> None:
    """Predictions, votes, a results table with its images, a study, a catalog."""
    import numpy as np

    from workbench.evaluation.predictions import Predictions, write_predictions
    from workbench.evaluation.results import CellResult, Cost, DataStamp, ResultsTable
    from workbench.evaluation.score_records import ScoreRecord
    from workbench.evaluation.study import StudyCell, run_study
    from workbench.evaluation.study_files import study_text
    from workbench.viz.votes import votes_table, write_votes

    rng = np.random.default_rng(0)
    target = rng.integers(0, 3, (6, 8, 8)).astype(np.uint8)
    ids = tuple(f"p{i}" for i in range(6))
    for name, share in (("target", 0.0), ("one", 0.2), ("two", 0.4)):
        maps = np.where(rng.random(target.shape) < share, (target + 1) % 3, target)
        groups = tuple(f"g{i // 2}" for i in range(6)) if name != "two" else ()
        write_predictions(
            f"predictions/{name}",
            Predictions(
                name,
                ids,
                maps.astype(np.uint8),
                ("water", "wood", "field"),
                30.0,
                255,
                ("#0000ff", "#00ff00", "#ffff00"),
                groups,
            ),
        )
    votes = [
        {
            "patch": f"p{i % 5}",
            "rater": f"r{i % 3}",
            "left": "AB"[i % 2],
            "choice": ("left", "right", "tie")[i % 3],
            "preferred": ("AB"[i % 2], "BA"[i % 2], "tie")[i % 3],
            "at": f"2026-01-01T00:00:{i:02d}+00:00",
            "seconds": 1.5 + i,
        }
        for i in range(20)
    ]
    Path("votes").mkdir()
    write_votes("votes/votes.parquet", votes_table(votes), "abc")
    mark = {"format": "workbench-votes", "version": 1, "comparison": "abc", "votes": votes}
    Path("votes/votes.json").write_text(json.dumps(mark))

    def run(cell: StudyCell) -> CellResult:
        confusions = np.random.default_rng(cell.seed).integers(1, 9, (4, 2, 2))
        record = ScoreRecord(
            "segmentation",
            {"classes": ["no tree", "tree"], "bins": 15},
            tuple("abcd"),
            {"confusions": confusions},
            tuple("xxyy"),
        )
        return CellResult(
            record,
            DataStamp("m1", "s1", 0.25, 40),
            Cost(100, 1e9, 1.5, 100.0),
            {"training": cell.seed},
        )

    cells = [StudyCell("forest", "small", "random", "frozen", "linear", seed=k) for k in range(2)]
    run_study(cells, run, ResultsTable("study/results.parquet"))
    Path("study/study.yaml").write_text(study_text("protocols"))
    shutil.copy(Path(sys.modules["workbench"].__file__).parents[1] / "data_catalog.yaml", "study")


def run_folder() -> None:
    """A chain of two notebooks, run; one makes a table that the other reads."""
    import nbformat

    from workbench.execution import run_chain

    codes = {
        "01_first": "import pathlib\np = pathlib.Path(run_dir) / 'tables'\n"
        "p.mkdir(exist_ok=True)\n(p / 'a.csv').write_text('x\\n1\\n')\nprint(seed)",
        "02_second": "import pathlib\nprint((pathlib.Path(run_dir) / 'tables/a.csv').read_text())",
    }
    place = Path("notebooks")
    place.mkdir()
    for name, code in codes.items():
        node = nbformat.v4.new_notebook()
        parameters = nbformat.v4.new_code_cell(PARAMETERS, id="parameters")
        parameters.metadata["tags"] = ["parameters"]
        title = nbformat.v4.new_markdown_cell(f"# {name}", id="title")
        node.cells = [title, parameters, nbformat.v4.new_code_cell(code, id="code")]
        nbformat.write(node, place / f"{name}.ipynb")
    (place / "chain.yaml").write_text(
        "title: Two steps\nsteps:\n  - notebook: 01_first.ipynb\n"
        "  - notebook: 02_second.ipynb\n    needs: [01_first]\n"
    )
    run_chain(place / "chain.yaml", {"seed": 3}, run_dir=Path("run"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
