"""`workbench check`: compare stored files with their checksums, and say what cannot be verified."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from workbench.errors import WorkbenchError


class _Report:
    """What was verified, what is damaged, and what has no checksum."""

    def __init__(self) -> None:
        self.whole = 0
        self.damaged: list[str] = []
        self.unknown: list[str] = []

    def verify(self, what: str, call: Callable[[], object]) -> bool:
        """Note whether a call ends without an error of ours."""
        try:
            call()
        except WorkbenchError as error:
            self.damaged.append(str(error))
            return False
        except OSError as error:
            self.damaged.append(f"{what} cannot be read: {error.strerror or error}.")
            return False
        self.whole += 1
        return True

    def tell_without(self, path: Path, key: str, why: str) -> None:
        """Note that a file holds no checksum of its own."""
        if path.is_file() and key not in path.read_text("utf-8", errors="replace"):
            self.unknown.append(f"{path}: {why}")


def check(
    folders: Annotated[
        list[Path],
        typer.Argument(
            metavar="FOLDER...",
            help="Extractions, predictions, runs, or folders of checkpoints; or one checkpoint.",
        ),
    ],
) -> None:
    """Verify stored files: patches, labels, predictions, checkpoints, outputs of runs.

    Everything is read once and compared with the checksums that were stored with it. Each damaged
    or missing file is named, and what has no checksum is told. The exit code is 1 if anything is
    damaged or missing. Example: workbench check data/patches runs/demo
    """
    report = _Report()
    for folder in folders:
        for known in _checks(folder):
            known(folder, report)
    for line in report.damaged:
        typer.echo(f"damaged: {line}")
    for line in report.unknown:
        typer.echo(f"not verified: {line}")
    typer.echo(
        f"{report.whole:,} whole, {len(report.damaged):,} damaged or missing, "
        f"{len(report.unknown):,} without a checksum"
    )
    if report.damaged:
        raise typer.Exit(1)


def _checks(folder: Path) -> Iterator[Callable[[Path, _Report], None]]:
    """What a folder can be verified as; a path may be several things.

    Raises:
        WorkbenchError: If it is nothing that is known.
    """
    found: list[Callable[[Path, _Report], None]] = []
    if folder.is_file() and folder.suffix == ".safetensors":
        found.append(_checkpoint)
    if (folder / "patches.zarr").is_dir():
        found.append(_extraction)
    if (folder / "maps.npy").exists() or (folder / "manifest.json").exists():
        found.append(_predictions)
    if (folder / "run.json").exists():
        found.append(_run)
    if folder.is_dir() and not found and any(folder.glob("*.safetensors")):
        found.append(_checkpoints)
    if not found:
        raise WorkbenchError(
            f"There is nothing at {folder} that can be verified.\n"
            "Name an extraction (patches.zarr), predictions (maps.npy), a run (run.json) or a "
            "checkpoint (.safetensors)."
        )
    yield from found


def _extraction(folder: Path, report: _Report) -> None:
    from workbench.datasets import open_patches
    from workbench.extraction import read_manifest
    from workbench.extraction.schemas import CHECKSUMS, read_checksums

    for name, kind in (("manifest", "patches"), ("rejected", "rejected")):
        path = folder / f"{name}.parquet"
        report.verify(str(path), lambda p=path, k=kind: read_manifest(p, kind=k))  # type: ignore[misc]
    if not report.verify(str(folder), lambda: open_patches(folder)):
        return
    patches = open_patches(folder)
    store = patches.store
    for place in patches.index.place.tolist():
        report.verify(f"patch {place} of {folder}", lambda p=place: store.pixels(p))  # type: ignore[misc]
        report.verify(f"quality {place} of {folder}", lambda p=place: store.quality(p))  # type: ignore[misc]
    if store.crc is None or (store.crc[patches.index.place] < 0).any():
        report.unknown.append(f"{folder}: the manifest has no checksum of some patches' pixels")

    def table() -> None:
        if not read_checksums(folder):
            report.unknown.append(
                f"{folder}: quality masks and descriptions, which this version of stores kept no "
                "checksums of; extract again to have them"
            )

    report.verify(str(folder / CHECKSUMS), table)
    _beside(folder, report)


def _beside(folder: Path, report: _Report) -> None:
    """Labels and statistics that lie in the folder of an extraction."""
    from workbench.datasets.alignment import LABELS, read_labels
    from workbench.datasets.statistics import read_statistics

    for path in sorted((folder / LABELS).glob("*.json")):
        report.verify(str(path), lambda p=path: read_labels(folder, p.stem))  # type: ignore[misc]
        report.tell_without(path, "array_sha256", "made before labels had a checksum")
    for path in sorted(folder.glob("statistics*.json")):
        report.verify(str(path), lambda p=path: read_statistics(p))  # type: ignore[misc]
        report.tell_without(path, '"sha256"', "written before statistics had a checksum")


def _predictions(folder: Path, report: _Report) -> None:
    from workbench.evaluation.predictions import read_predictions

    report.verify(str(folder), lambda: read_predictions(folder, verify=True))
    report.tell_without(
        folder / "manifest.json",
        "manifest_sha256",
        "written before manifests had a checksum of their own",
    )


def _checkpoints(folder: Path, report: _Report) -> None:
    for path in sorted(folder.glob("*.safetensors")):
        _checkpoint(path, report)


def _checkpoint(path: Path, report: _Report) -> None:
    from workbench.training.checkpoint import verify_checkpoint

    verified: list[bool] = []
    report.verify(str(path), lambda: verified.append(verify_checkpoint(path)))
    if verified == [False]:
        report.unknown.append(f"{path}: written before checkpoints had a checksum")


def _run(folder: Path, report: _Report) -> None:
    """Outputs of each step against the checksums in its record."""
    from workbench.execution.records import read_record, read_run

    steps: list[str] = []
    report.verify(str(folder / "run.json"), lambda: steps.extend(_names(read_run(folder))))
    for step in steps:
        artifacts: list[dict[str, Any]] = []

        def read(name: str = step, into: list[dict[str, Any]] = artifacts) -> None:
            record = read_record(folder, name)
            into.extend([] if record is None else record.artifacts)
            if record is None:
                raise WorkbenchError(f"The record of step {name} in {folder} is not there.")

        report.verify(f"the record of {step}", read)
        for artifact in artifacts:
            _artifact(folder, step, artifact, report)


def _names(run: Any) -> list[str]:
    return [step["step"] if isinstance(step, dict) else step.step for step in run.steps]


def _artifact(folder: Path, step: str, artifact: dict[str, Any], report: _Report) -> None:
    from workbench.files import path_inside, sha256_of

    name = str(artifact.get("path"))
    if not artifact.get("sha256"):
        report.unknown.append(f"{folder / name}: its record has no checksum")
        return

    def compare() -> None:
        path = path_inside(folder, name, what=f"An output of {step}")
        if not path.is_file():
            raise WorkbenchError(f"{path} is not there, though step {step} made it.")
        if sha256_of(path) != artifact["sha256"]:
            raise WorkbenchError(f"{path} is not what step {step} made: its SHA-256 differs.")

    report.verify(name, compare)
