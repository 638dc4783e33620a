"""Damage files of every format by a seed and count what their readers make of it.

    python tests/tools/fuzz.py [--count 80] [--seed 0] [--only FORMAT]

Each case is one damage to one fresh copy: bytes flipped, cut, inserted or blanked; a JSON value
dropped, or another one put in its place; a Parquet column dropped, retyped or emptied. The reader
runs in a child with bounded memory and time. Counted are: refused (a WorkbenchError of at most four
lines), same (the result is that of the whole file), other (another result, without a word), and the
faults: traceback, long (a refusal of more lines), memory, hang.
"""

import argparse
import copy
import json
import multiprocessing
import random
import resource
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OLD = Path(__file__).parents[1] / "fixtures" / "7acea7f"
FAULTS = ("traceback", "long", "memory", "hang")
SECONDS, BYTES = 60, 6 << 30
STRANGE: list[Any] = [
    None, True, 0, -1, 7, 2**40, 2**70, 1e308, -0.5, "", "x", "a" * 50_000, "../../x", "/etc/x",
    [], {}, [[]], {"a": 1}, [None], "nan", "2021-02-30", "\u0000", "{{1}}", [1] * 3000,
]  # fmt: skip


@dataclass(frozen=True)
class Format:
    """One format: how a whole copy is made, what is damaged, and how it is read."""

    make: Callable[[Path], None]
    files: str
    read: Callable[[Path], Any]


def digest(value: Any) -> str:
    """A text that is equal for equal results."""
    import hashlib

    import numpy as np
    import pandas as pd

    if isinstance(value, np.ndarray):
        return f"{value.dtype}{value.shape}{hashlib.sha256(value.tobytes()).hexdigest()}"
    if isinstance(value, pd.DataFrame):
        return f"{list(value.columns)}{value.astype(str).to_dict('list')}"
    if isinstance(value, dict):
        return "{" + ",".join(f"{k}:{digest(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(digest, value)) + "]"
    return repr(value)


def formats() -> dict[str, Format]:  # noqa: C901, PLR0915 - a list of short recipes
    """Every format with a fresh copy, written by the present code."""
    from workbench.catalog import open_catalog
    from workbench.datasets import open_patches
    from workbench.datasets.alignment import read_labels
    from workbench.datasets.statistics import read_statistics, write_statistics
    from workbench.evaluation.predictions import read_predictions, write_predictions
    from workbench.evaluation.results import ResultsTable, write_rows
    from workbench.evaluation.score_records import read_scores
    from workbench.evaluation.study_files import read_study
    from workbench.extraction import read_manifest, write_manifest
    from workbench.extraction.manifest import manifest_note
    from workbench.extraction.schemas import write_checksums
    from workbench.training.checkpoint import load_checkpoint, save_checkpoint
    from workbench.viz.votes import read_votes, write_votes

    def manifest(folder: Path) -> None:
        frame = read_manifest(OLD / "patches/manifest.parquet")
        write_manifest(frame, folder / "m.parquet", kind="patches", note={"a": 1})

    def plan(folder: Path) -> None:
        write_manifest(read_manifest(OLD / "plan.parquet"), folder / "m.parquet", note={"a": 1})

    def store(name: str) -> Callable[[Path], None]:
        def make(folder: Path) -> None:
            shutil.copytree(OLD / name, folder / "p")
            write_checksums(folder / "p", folder / "p/patches.zarr")
            note = manifest_note(OLD / name / "manifest.parquet")
            frame = read_manifest(OLD / name / "manifest.parquet")
            write_manifest(frame, folder / "p/manifest.parquet", kind="patches", note=note)

        return make

    def pixels(folder: Path) -> Any:
        patches = open_patches(folder / "p")
        stored, places = patches.store, patches.index.place.tolist()
        return [repr(stored.contract), [(stored.pixels(p), stored.quality(p)) for p in places]]

    def statistics(folder: Path) -> None:
        found = read_statistics(OLD / "patches/statistics.json")
        write_statistics(found, folder / "s.json", made_from={"manifest": "a"})

    def predictions(folder: Path) -> None:
        write_predictions(folder / "p", read_predictions(OLD / "predictions/one"))

    def predicted(folder: Path) -> Any:
        found = read_predictions(folder / "p")
        return [found.model, found.ids, found.of(found.ids), found.classes, found.gsd,
                found.colors, found.groups, found.ignore_index]  # fmt: skip

    def checkpoint(folder: Path) -> None:
        save_checkpoint(folder / "e.safetensors",
                        *load_checkpoint(OLD / "pretraining/encoder.safetensors"))  # fmt: skip
        (folder / "e.json").unlink()

    def network(folder: Path) -> Any:
        encoder, card = load_checkpoint(folder / "e.safetensors")
        return [card.to_dict(), {k: v.numpy() for k, v in encoder.state_dict().items()}]

    def votes(folder: Path) -> None:
        write_votes(folder / "v.parquet", read_votes(OLD / "votes/votes.parquet"), "abc")

    def copied(name: str, to: str) -> Callable[[Path], None]:
        return lambda folder: shutil.copy(OLD / name, folder / to) and None

    def labels(folder: Path) -> None:
        from workbench.datasets.files import file_checksum, json_checksum

        shutil.copytree(OLD / "patches", folder / "p")
        path = folder / "p/labels/leaf.json"
        values = json.loads(path.read_text())
        array = path.parent / values["array"]
        values["array_sha256"] = file_checksum(array)
        path.write_text(json.dumps({**values, "record_sha256": json_checksum(values)}))

    def catalog(folder: Path) -> Any:
        found = open_catalog(folder / "c.yaml")
        return [(name, repr(found[name]).replace(str(folder), "")) for name in found]

    def results(folder: Path) -> None:
        write_rows(ResultsTable(OLD / "study/results.parquet").frame(), folder / "r.parquet")

    scores = sorted((OLD / "study/results.images").glob("*.npz"))[0].relative_to(OLD).as_posix()
    return {
        "manifest": Format(manifest, "m.parquet", lambda d: read_manifest(d / "m.parquet")),
        "plan": Format(plan, "m.parquet", lambda d: read_manifest(d / "m.parquet", kind="plan")),
        "store": Format(store("patches"), "p/patches.zarr/**/*", pixels),
        "compressed": Format(store("compressed"), "p/patches.zarr/**/*", pixels),
        "index": Format(store("patches"), "p/manifest.parquet", pixels),
        "labels": Format(labels, "p/labels/*", lambda d: [
            (found := read_labels(d / "p", "leaf")).values, found.class_names, found.skipped]),
        "statistics": Format(
            statistics, "s.json", lambda d: read_statistics(d / "s.json").to_dict()
        ),
        "predictions": Format(predictions, "p/*", predicted),
        "checkpoint": Format(checkpoint, "e.safetensors", network),
        "votes": Format(votes, "v.parquet", lambda d: read_votes(d / "v.parquet")),
        "page votes": Format(
            copied("votes/votes.json", "v.json"), "v.json", lambda d: read_votes(d / "v.json")
        ),
        "results": Format(results, "r.parquet",
                          lambda d: ResultsTable(d / "r.parquet").frame()),
        "scores": Format(copied(scores, "s.npz"), "s.npz", lambda d: {
            n: s.value for n, s in read_scores(d / "s.npz").scores().items()}),
        "study": Format(copied("study/study.yaml", "s.yaml"), "s.yaml",
                        lambda d: [repr(c) for c in read_study(d / "s.yaml").cells()]),
        "catalog": Format(copied("study/data_catalog.yaml", "c.yaml"), "c.yaml", catalog),
    }  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON-like value but its top."""
    inner = value.items() if isinstance(value, dict) else enumerate(value[:5]) if isinstance(
        value, list) else ()  # fmt: skip
    found = [(*path, key) for key, _ in inner]
    inner = value.items() if isinstance(value, dict) else enumerate(value[:5]) if isinstance(
        value, list) else ()  # fmt: skip
    return found + [p for key, part in inner for p in places(part, (*path, key))]


def changed(value: Any, rng: random.Random) -> Any:
    """The same value with one place dropped or made strange."""
    value = copy.deepcopy(value)
    *above, last = rng.choice(places(value))
    holder = value
    for key in above:
        holder = holder[key]
    if rng.random() < 0.25:
        del holder[last]
    else:
        holder[last] = rng.choice(STRANGE)
    return value


def damage_bytes(path: Path, rng: random.Random) -> str:
    """Flip, cut, insert, blank, double or replace bytes; or put a folder in the file's place."""
    data = bytearray(path.read_bytes())
    at = rng.randrange(len(data)) if data else 0
    kind = rng.choice(
        ["flip", "flip", "cut", "insert", "blank", "double", "noise", "folder", "gone"]
    )
    if kind in ("folder", "gone"):
        path.unlink()
        if kind == "folder":
            path.mkdir()
        return kind
    if kind == "flip" and data:
        data[at] ^= 1 << rng.randrange(8)
    elif kind == "cut":
        del data[at:]
    elif kind == "insert":
        data[at:at] = rng.randbytes(9)
    elif kind == "blank":
        data[at : at + 40] = bytes(len(data[at : at + 40]))
    elif kind == "double":
        data = data * 2
    else:
        data = bytearray(rng.randbytes(200))
    path.write_bytes(data)
    return kind


def damage_table(path: Path, rng: random.Random) -> str:
    """Drop, retype, blank or shift a column, or lose rows, in well-formed Parquet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    name = rng.choice(table.column_names)
    at, rows = table.column_names.index(name), table.num_rows
    kind = rng.choice(["drop", "null", "text", "large", "less", "list", "rows", "twice", "head"])
    values = {"null": [None] * rows, "text": ["t"] * rows, "large": [2**61] * rows,
              "less": [-5] * rows, "list": [[1.5]] * rows}  # fmt: skip
    head = dict(table.schema.metadata or {})
    if kind == "drop":
        table = table.drop_columns([name])
    elif kind == "rows":
        table = table.slice(0, rng.randrange(rows))
    elif kind == "twice":
        table = pa.concat_tables([table, table])
    elif kind == "head" and head:
        name = rng.choice(sorted(head)).decode()
        head[name.encode()] = rng.choice(
            [b"", b"{}", b"[]", b"null", b"1", b"\xff", b'{"version":9}']
        )
    elif kind in values:
        table = table.set_column(at, name, pa.array(values[kind]))
    pq.write_table(table.replace_schema_metadata(head), path)
    return f"{name} {kind}"


def damage_card(path: Path, rng: random.Random) -> str:
    """Change a value in the header of safetensors, or in the card within."""
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    head = json.loads(data[8 : 8 + size])
    if rng.random() < 0.7:
        card = json.loads(head["__metadata__"]["workbench card"])
        head["__metadata__"]["workbench card"] = json.dumps(changed(card, rng))
    else:
        head = changed(head, rng)
    text = json.dumps(head).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + size :])
    return "header"


def damage(path: Path, rng: random.Random) -> str:
    """One damage that suits the file, or any bytes."""
    import yaml

    if rng.random() < 0.6:
        if path.suffix == ".parquet":
            return damage_table(path, rng)
        if path.suffix == ".safetensors":
            return damage_card(path, rng)
        if path.suffix == ".json":
            path.write_text(json.dumps(changed(json.loads(path.read_text()), rng)))
            return "value"
        if path.suffix == ".yaml":
            values = changed(yaml.safe_load(path.read_text()), rng)
            path.write_text(yaml.safe_dump(values, sort_keys=False))
            return "value"
    return damage_bytes(path, rng)


def outcome(read: Callable[[Path], Any], folder: Path) -> tuple[str, str]:
    """Read once in this process: kind and text."""
    import traceback

    from workbench.errors import WorkbenchError

    try:
        return "ok", digest(read(folder))
    except WorkbenchError as error:
        return ("long" if str(error).count("\n") > 3 else "refused"), str(error)
    except MemoryError:
        return "memory", traceback.format_exc()[-600:]
    except Exception:
        return "traceback", traceback.format_exc()[-1500:]


def _child(read: Callable[[Path], Any], folder: Path, send: Any) -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + BYTES, used + BYTES))
    send.send(outcome(read, folder))


def guarded(read: Callable[[Path], Any], folder: Path) -> tuple[str, str]:
    """Read in a child with bounded memory and time."""
    context = multiprocessing.get_context("fork")
    receive, send = context.Pipe(duplex=False)
    child = context.Process(target=_child, args=(read, folder, send))
    child.start()
    send.close()
    try:
        return receive.recv() if receive.poll(SECONDS) else ("hang", "")
    except EOFError:
        return "traceback", "the child died"
    finally:
        child.kill()
        child.join()


def fuzz(
    name: str, form: Format, *, count: int, seed: int, run: Callable[..., tuple[str, str]] = guarded
) -> list[tuple[str, str, str]]:
    """Damage a format so many times; give kind, damage and text of each case."""
    rng = random.Random(f"{name} {seed}")
    found = []
    with tempfile.TemporaryDirectory() as scratch:
        whole = Path(scratch, "whole")
        whole.mkdir()
        form.make(whole)
        kind, expected = run(form.read, whole)
        if kind != "ok":
            raise SystemExit(f"{name}: the whole file is not read: {expected}")
        for number in range(count):
            folder = Path(scratch, "case")
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(whole, folder)
            files = sorted(p for p in folder.glob(form.files) if p.is_file())
            path = rng.choice(files)
            what = f"{number} {path.relative_to(folder)} {damage(path, rng)}"
            kind, text = run(form.read, folder)
            if kind == "ok":
                kind = "same" if text == expected else "other"
            found.append((kind, what, text))
    return found


def main() -> int:
    """Fuzz every format and print the counts; 1 if there was any fault."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=80, help="damages of each format")
    parser.add_argument("--seed", type=int, default=0, help="of the draws")
    parser.add_argument("--only", help="one format")
    asked = parser.parse_args()
    faults = 0
    for name, form in formats().items():
        if asked.only in (None, name):
            cases = fuzz(name, form, count=asked.count, seed=asked.seed)
            print(name, dict(Counter(kind for kind, _, _ in cases)), flush=True)
            for kind, what, text in cases:
                if kind in FAULTS:
                    print(f"  {kind}: {what}\n{text}")
                elif kind == "other":
                    print(f"  other: {what}")
            faults += sum(kind in FAULTS for kind, _, _ in cases)
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main())
