import pytest

from workbench.catalog.document import MAX_NODES, read_document
from workbench.catalog.problems import Position


def lines(text: str) -> list[str]:
    return [problem.line("c.yaml") for problem in read_document(text).problems]


def test_values_and_places_of_a_plain_file():
    document = read_document("a: 1\nb:\n  - x\n  - {c: true}\n")
    assert document.value == {"a": 1, "b": ["x", {"c": True}]}
    assert document.keys[("b",)] == Position(2, 1)
    assert document.values[("b", 0)] == Position(3, 5)
    assert document.position(("b", 1, "c"), of_key=True) == Position(4, 6)
    assert document.position(("b", 1, "missing")) == Position(2, 1)
    assert not document.problems


def test_every_duplicate_key_is_listed():
    assert lines("a: 1\nb: {x: 1, x: 2}\na: 3\n") == [
        "c.yaml:2:11 b.x: this key is already on line 2; each key may stand once",
        "c.yaml:3:1 a: this key is already on line 1; each key may stand once",
    ]


def test_the_same_key_in_two_maps_is_fine():
    assert not lines("a: {x: 1}\nb: {x: 1}\n")


def test_a_shared_map_is_read_wherever_it_is_named():
    assert read_document("a: &m {x: 1}\nb: *m\n").value == {"a": {"x": 1}, "b": {"x": 1}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1\n", "not YAML"),
        ("a: 1\n---\nb: 2\n", "not YAML"),
        ("a: b: c\n", "c.yaml:1:5: not YAML: mapping values are not allowed here"),
        ("a: \x07\n", "not YAML"),
        ("a: !!python/object/apply:os.system [ls]\n", "is not read; remove it"),
        ("a: !secret x\n", "c.yaml:1:4 a: the tag !secret is not read; remove it"),
        ("a: !!set {x}\n", "is not read; remove it"),
        ("1: x\n", "c.yaml:1:1: a key must be text, found 1; quote it"),
        ("[1, 2]: x\n", "a key must be text, found a list or map; quote it"),
        ("x: {<<: {a: 1}}\n", 'merge keys ("<<") are not read'),
        ("a: 2020-13-45\n", "cannot be read (month must be in 1..12); quote it if it is text"),
        ("a: &a [*a]\n", "an alias may not refer to what it stands in"),
        ("[" * 900 + "]" * 900, "nested too deeply to be a catalog"),
    ],
)
def test_what_is_refused(text, message):
    (line,) = lines(text)
    assert message in line


def test_a_billion_laughs_are_refused():
    text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    for i in range(1, 12):
        text += f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n"
    (line,) = lines(text)
    assert f"more than {MAX_NODES:,} values" in line


def test_an_empty_file_has_no_value():
    assert read_document("# nothing\n").value is None
