"""Write docs/architecture.md's file map from the first lines of the modules' docstrings.

usage: python tests/tools/file_map.py        (after adding, renaming or removing a module)
"""

import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PACKAGE = ROOT / "workbench"
TARGET = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- file map: generated -->\n", "<!-- end of the file map -->\n"


def first_line(path: Path) -> str:
    """First line of a module's docstring, without its full stop."""
    text = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
    return text.partition("\n")[0].rstrip(".")


def file_map() -> str:
    """One table for each room (folder), one row for each module, in alphabetical order."""
    modules = [p for p in sorted(PACKAGE.rglob("*.py")) if p.name != "__init__.py"]
    rooms: dict[str, list[Path]] = {}
    for path in modules:
        rooms.setdefault(path.parent.relative_to(ROOT).as_posix(), []).append(path)
    blocks = []
    for room, paths in rooms.items():
        width = max(len(path.name) for path in paths)
        lines = [f"{path.name:<{width}}  {first_line(path)}" for path in paths]
        blocks.append("\n".join([f"### `{room}/`", "", "```", *lines, "```"]))
    return "\n\n".join(blocks) + "\n"


def document(text: str) -> str:
    """Put the present map in its place in the document."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{file_map()}\n{END}{after}"


if __name__ == "__main__":
    TARGET.write_text(document(TARGET.read_text("utf-8")), "utf-8")
