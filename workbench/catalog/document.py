"""YAML that knows where everything stands: plain values, and the line and column of each key.

Only plain YAML is read: maps, lists, text, numbers, true/false and null. Duplicate keys, custom
tags, merge keys and self-referring aliases are refused; nothing in the file can run code.
"""

from dataclasses import dataclass, field
from typing import Any

import yaml

from workbench.catalog.problems import Path, Position, Problem

MAX_NODES = 100_000
"""More values than this (after aliases are followed) are not a catalog but an attack."""


@dataclass
class Document:
    """The values of a YAML file and their places."""

    value: Any = None
    """Dicts, lists and scalars."""
    keys: dict[Path, Position] = field(default_factory=dict)
    """Where each key of a map stands."""
    values: dict[Path, Position] = field(default_factory=dict)
    """Where each value begins."""
    problems: list[Problem] = field(default_factory=list)
    """What is wrong with the YAML itself."""

    def position(self, path: Path, *, of_key: bool = False) -> Position:
        """Find a value, or its key; if the file has no such thing, the nearest key above it."""
        for places in (self.keys, self.values) if of_key else (self.values,):
            if path in places:
                return places[path]
        for length in range(len(path) - 1, 0, -1):
            if path[:length] in self.keys:
                return self.keys[path[:length]]
        return Position(1, 1)


def read_document(text: str) -> Document:
    r"""Read YAML text; whatever is wrong with it is listed in `Document.problems`, not raised.

    Args:
        text: One YAML document.

    Example:
        >>> document = read_document("a: 1\nb: [x, y]\na: 2\n")
        >>> document.problems[0].line("catalog.yaml")
        'catalog.yaml:3:1 a: this key is already on line 1; each key may stand once'
    """
    document = Document()
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if root is not None:
            document.value = _Reader(document).read(root, ())
    except yaml.YAMLError as error:
        document.problems.append(_syntax_problem(error))
    except RecursionError:
        document.problems.append(Problem(Position(1, 1), (), "nested too deeply to be a catalog"))
    return document


def _syntax_problem(error: yaml.YAMLError) -> Problem:
    mark = getattr(error, "problem_mark", None)
    position = Position(1, 1) if mark is None else Position(mark.line + 1, mark.column + 1)
    reason = getattr(error, "problem", None) or getattr(error, "reason", None) or "unreadable"
    context = getattr(error, "context", None)
    return Problem(
        position, (), f"not YAML: {context}, {reason}" if context else f"not YAML: {reason}"
    )


class _Reader:
    """Walks the nodes once; `_open` holds the nodes above the present one."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._scalars = yaml.constructor.SafeConstructor()
        self._open: set[int] = set()
        self._count = 0

    def read(self, node: yaml.Node, path: Path) -> Any:
        self._document.values[path] = _place(node)
        self._count += 1
        if id(node) in self._open:
            return self._complain(node, path, "an alias may not refer to what it stands in")
        if self._count > MAX_NODES:
            if self._count == MAX_NODES + 1:
                self._complain(node, path, f"more than {MAX_NODES:,} values; this is no catalog")
            return None
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        self._open.add(id(node))
        try:
            return (
                self._map(node, path)
                if isinstance(node, yaml.MappingNode)
                else (self._list(node, path))
            )
        finally:
            self._open.discard(id(node))

    def _map(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        self._require_plain(node, path, "tag:yaml.org,2002:map")
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node, path)
            if key is None:
                continue
            here = (*path, key)
            if here in self._document.keys and key in found:
                first = self._document.keys[here].line
                self._complain(
                    key_node, here, f"this key is already on line {first}; each key may stand once"
                )
                continue
            self._document.keys[here] = _place(key_node)
            found[key] = self.read(value_node, here)
        return found

    def _key(self, node: yaml.Node, path: Path) -> str | None:
        if node.tag == "tag:yaml.org,2002:merge":
            self._complain(node, path, 'merge keys ("<<") are not read; write the keys out')
            return None
        key = self._scalar(node, path) if isinstance(node, yaml.ScalarNode) else None
        if not isinstance(key, str):
            text = getattr(node, "value", "")
            found = f" {text}" if isinstance(text, str) else " a list or map"
            self._complain(node, path, f"a key must be text, found{found}; quote it")
            return None
        return key

    def _list(self, node: yaml.Node, path: Path) -> list[Any]:
        self._require_plain(node, path, "tag:yaml.org,2002:seq")
        return [self.read(item, (*path, i)) for i, item in enumerate(node.value)]

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> Any:
        if node.tag not in self._scalars.yaml_constructors:
            return self._complain(node, path, f"the tag {node.tag} is not read; remove it")
        try:
            return self._scalars.construct_object(node)
        except (ValueError, yaml.YAMLError) as error:
            return self._complain(node, path, f"cannot be read ({error}); quote it if it is text")

    def _require_plain(self, node: yaml.Node, path: Path, tag: str) -> None:
        if node.tag != tag:
            self._complain(node, path, f"the tag {node.tag} is not read; remove it")

    def _complain(self, node: yaml.Node, path: Path, message: str) -> None:
        self._document.problems.append(Problem(_place(node), path, message))


def _place(node: yaml.Node) -> Position:
    return Position(node.start_mark.line + 1, node.start_mark.column + 1)
