"""Mutation testing: change one operator, sign, number, argument or check; does a test fail?

usage: python tests/tools/mutate.py [--seed 0] [--per-room 8] [--rooms geo extraction …]
                                    [--only KEY …] [--list] [--jobs 1] [--slow]

Mutants are keyed by room, function and operator ("geo:PixelGrid.holds:comparison:0"), not by file
and line, so that the same ones are drawn after a module has moved. They are applied to a copy of
the tree; the tests of the mutant's room run there, those of its own module first, and stop at the
first failure. Prints one line for each mutant and, last, how many survived.
"""

import argparse
import ast
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from queue import Queue

ROOT = Path(__file__).parent.parent.parent
ROOMS = ("geo", "extraction", "evaluation", "methods", "execution")
SEVERAL_ROOMS = {"methods": ["training/test_small_runs.py", "training/test_sentinel.py"]}
QUICK = "not browser and not slurm and not gpu and not notebook"
OPPOSITE = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
TOLD = {"__repr__", "__str__", "_repr_html_"}  # what is only shown is not mutated
SECONDS = 1500


@dataclass(frozen=True)
class Mutant:
    """One change of one function."""

    room: str
    function: str
    operator: str
    number: int
    path: Path = field(compare=False)
    node: ast.AST = field(compare=False, repr=False)
    changed: ast.AST = field(compare=False, repr=False)

    @property
    def key(self) -> str:
        """Name that stays when the function moves to another file of its room."""
        return f"{self.room}:{self.function}:{self.operator}:{self.number}"

    @property
    def change(self) -> str:
        """The change, as "before -> after" on one line."""
        before, after = (ast.unparse(n).replace("\n", " ") for n in (self.node, self.changed))
        return f"{before[:60]} -> {after[:60]}"

    def apply(self, tree: Path) -> Path:
        """Write the changed module into a copy of the tree; give its path."""
        target = tree / self.path.relative_to(ROOT)
        lines = self.path.read_text("utf-8").splitlines(keepends=True)
        node, text = self.node, ast.unparse(self.changed)
        first, last = node.lineno - 1, node.end_lineno - 1
        before = lines[first].encode()[: node.col_offset].decode()
        after = lines[last].encode()[node.end_col_offset :].decode()
        if isinstance(node, ast.expr):
            text = f"({text})"
        else:
            text = text.replace("\n", f"\n{' ' * node.col_offset}")
        lines[first : last + 1] = [before + text + after]
        target.write_text("".join(lines), "utf-8")
        return target


def functions(path: Path) -> Iterator[tuple[str, ast.AST]]:
    """Qualified name and node of each function and method of a module."""

    def walk(body: list[ast.stmt], prefix: str) -> Iterator[tuple[str, ast.AST]]:
        for node in body:
            if isinstance(node, ast.ClassDef):
                yield from walk(node.body, f"{prefix}{node.name}.")
            elif isinstance(node, ast.FunctionDef) and node.name not in TOLD:
                yield f"{prefix}{node.name}", node

    yield from walk(ast.parse(path.read_text("utf-8")).body, "")


def computing_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes below one but annotations, decorators and what only makes a message."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.JoinedStr | ast.arguments | ast.Raise | ast.Assert):
            continue
        if isinstance(node, ast.FunctionDef) and (
            child is node.returns or child in node.decorator_list
        ):
            continue
        if isinstance(child, ast.AnnAssign) and child.value is not None:
            yield from computing_nodes(ast.Expr(child.value))
            continue
        yield child
        yield from computing_nodes(child)


def is_text(node: ast.AST) -> bool:
    """Whether a node is a literal text, so that "+" joins it."""
    return isinstance(node, ast.JoinedStr) or isinstance(getattr(node, "value", None), str)


def changes(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Operator name and changed node, for each way in which a node can be mutated."""
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        opposite = OPPOSITE[type(node.ops[0])]()
        yield "comparison", ast.Compare(node.left, [opposite], node.comparators)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
        opposite = ast.Sub() if isinstance(node.op, ast.Add) else ast.Add()
        if not any(is_text(side) for side in (node.left, node.right)):
            yield "sign", ast.BinOp(node.left, opposite, node.right)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield "sign", node.operand
    if isinstance(node, ast.Constant) and type(node.value) is int:
        yield "off by one", ast.Constant(node.value + 1)
    if (
        isinstance(node, ast.Call)
        and len(node.args) >= 2
        and not any(isinstance(a, ast.Starred) for a in node.args[:2])
        and ast.dump(node.args[0]) != ast.dump(node.args[1])
    ):
        swapped = [node.args[1], node.args[0], *node.args[2:]]
        yield "swapped arguments", ast.Call(node.func, swapped, node.keywords)
    if isinstance(node, ast.If) and isinstance(node.body[-1], ast.Raise) and not node.orelse:
        yield "dropped check", ast.Pass()


def mutants(room: str) -> list[Mutant]:
    """Every mutant of a room, in the order of its modules."""
    listed: list[Mutant] = []
    number: dict[tuple[str, str], int] = {}
    for path in sorted((ROOT / "workbench" / room).rglob("*.py")):
        for name, function in functions(path):
            for node in computing_nodes(function):
                for operator, changed in changes(node):
                    k = number.setdefault((name, operator), 0)
                    number[name, operator] += 1
                    listed.append(Mutant(room, name, operator, k, path, node, changed))
    return listed


def drawn(room: str, seed: int, count: int) -> list[Mutant]:
    """Draw mutants of distinct functions, the operators in turn, by a hash of seed and key."""

    def rank(mutant: Mutant) -> bytes:
        return hashlib.sha256(f"{seed}/{mutant.key}".encode()).digest()

    kinds: dict[str, list[Mutant]] = {}
    for mutant in sorted(mutants(room), key=rank):
        kinds.setdefault(mutant.operator, []).append(mutant)
    chosen: list[Mutant] = []
    while len(chosen) < count and any(kinds.values()):
        for operator in sorted(kinds):
            seen = {m.function for m in chosen}
            free = [m for m in kinds[operator] if m.function not in seen]
            kinds[operator] = free[1:]
            chosen += free[:1]
    return chosen[:count]


def test_files(mutant: Mutant) -> list[str]:
    """The room's test files, those whose name shares the module's first; the doctests before."""
    folder = ROOT / "tests" / mutant.room
    also = [ROOT / "tests" / name for name in SEVERAL_ROOMS.get(mutant.room, [])]
    files = [*sorted(folder.rglob("test_*.py")), *also]
    stem = mutant.path.stem
    files.sort(key=lambda p: (p.stem != f"test_{stem}", stem not in p.stem))
    return [str(p.relative_to(ROOT)) for p in (mutant.path, *files) if p.exists()]


def verdict(mutant: Mutant, tree: Path, *, slow: bool) -> str:
    """Run the tests on a mutated copy and put the copy back: "killed by …" or "SURVIVED"."""
    target = mutant.apply(tree)
    marks = QUICK if slow else f"{QUICK} and not slow"
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-m", marks]
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    environment.setdefault("OMP_NUM_THREADS", "1")
    try:
        done = subprocess.run(
            [*command, *test_files(mutant)],
            cwd=tree,
            env=environment,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "killed by the time limit"
    finally:
        shutil.copyfile(mutant.path, target)
    if done.returncode == 0:
        return "SURVIVED"
    failed = [x for x in done.stdout.splitlines() if x.startswith(("FAILED", "ERROR"))]
    return f"killed by {(failed or done.stdout.splitlines() or ['?'])[-1][:90]}"


def copy_of_the_tree(folder: str) -> Path:
    """Copy the files under version control, as they are in the working tree."""
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    for name in filter(None, listing.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            target = Path(folder) / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target)
    return Path(folder)


def main() -> int:
    """Draw, try and print; the exit status is 1 if more than two mutants survived."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--per-room", type=int, default=8)
    parser.add_argument("--rooms", nargs="+", default=ROOMS)
    parser.add_argument("--only", nargs="+", default=[], help="keys, instead of a draw")
    parser.add_argument("--list", action="store_true", help="print the mutants, run nothing")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--slow", action="store_true", help="slow tests too")
    chosen = parser.parse_args()
    if chosen.only:
        rooms = {key.partition(":")[0] for key in chosen.only}
        listed = [m for room in sorted(rooms) for m in mutants(room) if m.key in chosen.only]
    else:
        listed = [m for room in chosen.rooms for m in drawn(room, chosen.seed, chosen.per_room)]
    if chosen.list:
        print(*(f"{m.key}  {m.change}" for m in listed), sep="\n")
        return 0
    survivors = 0
    with tempfile.TemporaryDirectory() as folder:
        trees: Queue[Path] = Queue()
        for k in range(chosen.jobs):
            trees.put(copy_of_the_tree(f"{folder}/{k}"))

        def tried(mutant: Mutant) -> tuple[Mutant, str]:
            tree = trees.get()
            try:
                return mutant, verdict(mutant, tree, slow=chosen.slow)
            finally:
                trees.put(tree)

        with ThreadPoolExecutor(chosen.jobs) as pool:
            for mutant, outcome in pool.map(tried, listed):
                survivors += outcome == "SURVIVED"
                print(f"{mutant.key}  [{mutant.change}]  {outcome}", flush=True)
    print(f"{survivors} of {len(listed)} survived")
    return int(survivors > 2)


if __name__ == "__main__":
    sys.exit(main())
