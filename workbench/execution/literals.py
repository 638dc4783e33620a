"""Values of declared types: read from text, or checked when they are typed already.

The types are those a notebook's `parameters` cell can hold: str, int, float, bool, list, dict,
``list[T]``, ``dict[str, T]``, unions with ``|``, ``None`` and ``object`` (anything).
"""

import ast
import json
import math
import re
from typing import Any

SIMPLE = {"str": str, "int": int, "float": float, "bool": bool, "list": list, "dict": dict}
INTEGER = re.compile(r"[+-]?(0|[1-9][0-9]*)")
REAL = re.compile(r"[+-]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
BOOLS = {"true": True, "false": False}
NULLS = {"none", "null"}


class LiteralValueError(ValueError):
    """A value does not fit its declared type; `reason` ends the sentence "... got VALUE"."""

    def __init__(self, reason: str = ".") -> None:
        super().__init__(reason)
        self.reason = reason


def is_supported(kind: str) -> bool:
    """Whether `kind` is a type that this module can read and check."""
    try:
        return all(_supported(member) for member in _members(kind))
    except SyntaxError:
        return False


def _supported(member: str) -> bool:
    if member in SIMPLE or member in {"None", "object"}:
        return True
    base, inner = _generic(member)
    if base == "list" and len(inner) == 1:
        return is_supported(inner[0])
    return base == "dict" and len(inner) == 2 and inner[0] == "str" and is_supported(inner[1])


def parse_text(text: str, kind: str, *, optional: bool = False) -> Any:
    """Read `text` as a value of type `kind`.

    The members of a union are tried from the strictest to ``str``; lists and dicts are JSON.

    Args:
        text: As written on a command line.
        kind: A type for which `is_supported` holds.
        optional: Whether ``None`` is a value too, as in ``list | None``.

    Raises:
        LiteralValueError: If the text cannot be read as any member of the type.

    Example:
        >>> parse_text("1e-3", "float"), parse_text("2022_0612", "str"), parse_text("false", "bool")
        (0.001, '2022_0612', False)
    """
    members = _members(kind)
    if text.lower() in NULLS and (optional or "None" in members or members == ["object"]):
        return None
    order = ["None", "bool", "int", "float"]
    rest = [m for m in members if m not in {*order, "str", "object"}]
    error = LiteralValueError()
    for member in [*order[1:], *rest, "object", "str"]:
        if member not in members:
            continue
        try:
            return _parse_member(text, member)
        except LiteralValueError as refused:
            error = refused
    raise error


def _parse_member(text: str, member: str) -> Any:
    if member == "str":
        return text
    if member == "int":
        return int(_matched(text, INTEGER, "an int has digits only"))
    if member == "float":
        return float(_matched(text, REAL, "write a number such as 0.5 or 1e-3"))
    if member == "bool":
        if text.lower() not in BOOLS:
            raise LiteralValueError("; write true or false.")
        return BOOLS[text.lower()]
    if member == "object":
        return _json_or_text(text)
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        example = '["a", "b"]' if member.startswith("list") else '{"a": 1}'
        raise LiteralValueError(f"; write it as JSON, e.g. '{example}'.") from error
    return accept(value, member)


def _matched(text: str, pattern: re.Pattern[str], rule: str) -> str:
    if pattern.fullmatch(text):
        return text
    if re.fullmatch(r"[+-]?0[0-9]+\S*", text):
        rule = "a number has no leading zero"
    elif "_" in text:
        rule = "a number has no underscore"
    raise LiteralValueError(f"; {rule}.")


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except ValueError:
        return text


def _refuse_constant(name: str) -> float:
    raise LiteralValueError(f"; {name} is no number that a run record can hold.")


def accept(value: Any, kind: str, *, optional: bool = False) -> Any:
    """Return `value` if it is of type `kind`; an int is taken where only a float fits.

    Args:
        value: A typed value, e.g. from Python or a JSON file.
        kind: A type for which `is_supported` holds.
        optional: Whether ``None`` is a value too.

    Raises:
        LiteralValueError: If the value has another type, or is a float that is not finite.
    """
    members = _members(kind)
    if value is None and (optional or "None" in members or "object" in members):
        return None
    if isinstance(value, float) and not math.isfinite(value):
        raise LiteralValueError("; it must be finite.")
    for member in members:
        if _is_instance(value, member):
            return value
    if type(value) is int and "float" in members:
        return float(value)
    if isinstance(value, list | dict):
        raise LiteralValueError("; its elements do not fit.")
    raise LiteralValueError(f", which is {type(value).__name__}.")


def _is_instance(value: Any, member: str) -> bool:
    if member == "object":
        return isinstance(value, str | int | float | bool | list | dict)
    if member in SIMPLE:
        return type(value) is SIMPLE[member]
    base, inner = _generic(member)
    if base == "list":
        return isinstance(value, list) and all(_accepts(v, inner[0]) for v in value)
    return isinstance(value, dict) and all(
        isinstance(key, str) and _accepts(v, inner[1]) for key, v in value.items()
    )


def _accepts(value: Any, kind: str) -> bool:
    try:
        accept(value, kind)
    except LiteralValueError:
        return False
    return True


def _members(kind: str) -> list[str]:
    """The members of a union, each as text."""
    node: ast.expr = ast.parse(kind.strip("'\""), mode="eval").body
    members: list[str] = []
    while isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        members.insert(0, ast.unparse(node.right))
        node = node.left
    return [ast.unparse(node), *members]


def _generic(member: str) -> tuple[str, list[str]]:
    """Split ``dict[str, int]`` into ``dict`` and its arguments; other text has none."""
    node = ast.parse(member, mode="eval").body
    if not isinstance(node, ast.Subscript):
        return member, []
    inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    return ast.unparse(node.value), [ast.unparse(element) for element in inner]
