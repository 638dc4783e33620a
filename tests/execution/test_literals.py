import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.execution.literals import LiteralValueError, accept, is_supported, parse_text

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("2022_0612", "str", "2022_0612"),
        ("007", "str", "007"),
        ("false", "str", "false"),
        ("None", "str", "None"),
        ("", "str", ""),
        ("-12", "int", -12),
        ("0", "int", 0),
        ("1e-3", "float", 1e-3),
        ("3", "float", 3.0),
        (".5", "float", 0.5),
        ("false", "bool", False),
        ("True", "bool", True),
        ("[1, 2]", "list[int]", [1, 2]),
        ('{"a": 0.5}', "dict[str, float]", {"a": 0.5}),
        ("none", "list[str] | None", None),
        ("null", "int | None", None),
        ("5", "int | None", 5),
        ("3", "int | float", 3),
        ("3.5", "int | float", 3.5),
        ("true", "bool | str", True),
        ("x", "int | str", "x"),
        ("2022_0612", "object", "2022_0612"),
        ("[1]", "object", [1]),
    ],
)
def test_text_is_read_by_its_declared_type(text, kind, value):
    found = parse_text(text, kind)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "kind", "reason"),
    [
        ("2022_0612", "int", "no underscore"),
        ("1_000.0", "float", "no underscore"),
        ("007", "int", "no leading zero"),
        ("007", "float", "no leading zero"),
        ("1e-3", "int", "digits only"),
        ("1.0", "int", "digits only"),
        ("nan", "float", "such as 0.5"),
        ("inf", "float", "such as 0.5"),
        ("no", "bool", "true or false"),
        ("1", "bool", "true or false"),
        ("None", "int", "digits only"),
        ("a, b", "list", "write it as JSON"),
        ("[NaN]", "list[float]", "NaN is no number"),
        ('["a"]', "list[int]", "its elements do not fit"),
        ("[true]", "list[int]", "its elements do not fit"),
        ('{"a": 1}', "list", "its elements do not fit"),
    ],
)
def test_other_text_is_refused_with_its_reason(text, kind, reason):
    with pytest.raises(LiteralValueError, match=reason):
        parse_text(text, kind)


def test_a_default_of_none_makes_any_type_optional():
    assert parse_text("none", "list", optional=True) is None
    assert accept(None, "int", optional=True) is None
    with pytest.raises(LiteralValueError):
        accept(None, "int")


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (True, "int"),
        (1, "bool"),
        ("1", "int"),
        (1.0, "int"),
        (float("nan"), "float"),
        ((1, 2), "list"),
        ([1, "a"], "list[int]"),
        ({"a": 1}, "dict[str, str]"),
        ({1: 1}, "dict[str, int]"),
    ],
)
def test_a_typed_value_of_another_type_is_refused(value, kind):
    with pytest.raises(LiteralValueError):
        accept(value, kind)


def test_an_int_is_taken_where_only_a_float_fits():
    assert type(accept(1, "float")) is float
    assert type(accept(1, "int | float")) is int


@pytest.mark.parametrize(
    "kind", ["np.ndarray", "set", "tuple[int]", "dict[int, str]", "list[", "a b"]
)
def test_types_no_text_can_have_are_not_supported(kind):
    assert not is_supported(kind)


@given(st.integers())
def test_every_int_comes_back(value):
    assert parse_text(str(value), "int") == value


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_finite_float_comes_back(value):
    assert parse_text(repr(value), "float") == value


@given(st.text())
def test_text_stays_as_it_is(text):
    assert parse_text(text, "str") == text


@given(st.lists(JSON))
def test_every_json_list_comes_back(value):
    assert parse_text(json.dumps(value), "list") == value


@given(st.text(), st.sampled_from(["int", "float", "bool", "int | str", "list[int]", "object"]))
def test_what_is_read_is_accepted(text, kind):
    try:
        value = parse_text(text, kind)
    except LiteralValueError:
        return
    assert accept(value, kind, optional=value is None) == value
