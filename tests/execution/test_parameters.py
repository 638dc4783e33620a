import json

import pytest

from workbench.errors import NotebookParameterError
from workbench.execution import check_parameters
from workbench.execution.parameters import (
    declared_parameters,
    parameters_help,
    parse_parameters,
    read_parameter_file,
    split_assignments,
)

DECLARED = """\
'''What this run does.'''
mask_ratio: float = 0.75  # Fraction of tokens hidden, in [0, 1)
seed: int = 0  # Seed, not a colour like #ff0000
bands: list = None  # None: all
tile: str = "2022_0612"  # Name
sizes: list[int] = [
    32,
    64,
]  # Sides in pixels
quiet = False
"""


@pytest.fixture
def notebook(write_notebook):
    return write_notebook("05_pretrain", "1", parameters=DECLARED)


def test_declarations_are_read_with_type_default_and_help(notebook):
    declared = declared_parameters(notebook)
    assert list(declared) == ["mask_ratio", "seed", "bands", "tile", "sizes", "quiet"]
    assert declared["mask_ratio"].type == "float"
    assert declared["mask_ratio"].help == "Fraction of tokens hidden, in [0, 1)"
    assert declared["seed"].help == "Seed, not a colour like #ff0000"
    assert declared["sizes"].default == [32, 64]
    assert declared["sizes"].help == "Sides in pixels"
    assert declared["quiet"].type == "bool"


def test_a_notebook_without_the_cell_declares_nothing(write_notebook):
    notebook = write_notebook("plain", "1", parameters="")
    assert declared_parameters(notebook) == {}
    assert parameters_help(notebook) == "plain.ipynb declares no parameters."


@pytest.mark.parametrize(
    "given", [{}, {"mask_ratio": 0.5}, {"mask_ratio": 1}, {"bands": ["B2"]}, {"bands": None}]
)
def test_declared_parameters_pass_and_the_rest_keep_their_defaults(notebook, given):
    values = check_parameters(notebook, given)
    assert values == {
        "mask_ratio": 0.75, "seed": 0, "bands": None, "tile": "2022_0612", "sizes": [32, 64],
        "quiet": False,
    } | given  # fmt: skip


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"mask_ration": 0.5}, "05_pretrain.ipynb has no parameter 'mask_ration', did you mean"),
        ({"x": 0.5}, "has no parameter 'x'"),
        ({"mask_ratio": "0.5"}, r"needs 'mask_ratio' as float \(default 0.75\), got '0.5'"),
        ({"seed": True}, "needs 'seed' as int"),
        ({"sizes": ["a"]}, r"needs 'sizes' as list\[int\]"),
        ({"tile": None}, "needs 'tile' as str"),
    ],
)
def test_others_are_refused_by_name(notebook, given, message):
    with pytest.raises(NotebookParameterError, match=message):
        check_parameters(notebook, given)


def test_an_unknown_name_is_told_what_there_is(notebook):
    with pytest.raises(NotebookParameterError) as error:
        check_parameters(notebook, {"x": 1})
    assert str(error.value).splitlines() == [
        "05_pretrain.ipynb has no parameter 'x'.",
        "It declares: mask_ratio, seed, bands, tile, sizes, quiet.",
    ]


def test_texts_are_read_by_the_declared_types(notebook):
    texts = {"tile": "2022_0613", "mask_ratio": "1e-3", "bands": '["B2"]', "quiet": "true"}
    assert parse_parameters(notebook, texts) == {
        "tile": "2022_0613", "mask_ratio": 1e-3, "bands": ["B2"], "quiet": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({"seed": "2022_0612"}, "needs 'seed' as int .default 0., got '2022_0612'; a number has"),
        ({"quiet": "no"}, "needs 'quiet' as bool .default False., got 'no'; write true or false"),
        ({"sed": "1"}, "has no parameter 'sed', did you mean \"seed\""),
    ],
)
def test_texts_of_another_type_are_refused(notebook, texts, message):
    with pytest.raises(NotebookParameterError, match=message):
        parse_parameters(notebook, texts)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("import os", "may hold only lines"),
        ("a = b = 1", "may hold only lines"),
        ("a: int", "may hold only lines"),
        ("a: int = 2 * x", "must be a literal"),
        ("a: np.ndarray = None", "which no value on a command line can have"),
        ("a: int =", "is not valid Python"),
    ],
)
def test_anything_else_in_the_cell_is_refused(write_notebook, cell, message):
    with pytest.raises(NotebookParameterError, match=message):
        declared_parameters(write_notebook("odd", parameters=cell))


def test_files_that_are_no_notebooks_are_refused(tmp_path):
    with pytest.raises(NotebookParameterError, match="There is no notebook"):
        declared_parameters(tmp_path / "none.ipynb")
    for text in ("", "[]", '{"nbformat": 3, "worksheets": []}', '{"nbformat": 4}'):
        (tmp_path / "bad.ipynb").write_text(text)
        with pytest.raises(NotebookParameterError, match="is not a readable notebook"):
            declared_parameters(tmp_path / "bad.ipynb")


def test_help_lists_every_parameter(notebook):
    lines = parameters_help(notebook).splitlines()
    assert lines[0] == "Parameters of 05_pretrain.ipynb:"
    assert lines[1].split("  ")[1] == "mask_ratio: float = 0.75"
    assert lines[1].endswith("Fraction of tokens hidden, in [0, 1)")
    assert len(lines) == 7


@pytest.mark.parametrize("text", ["seed", "=3", "a b=3", "1a=2"])
def test_an_assignment_needs_a_name_and_a_value(text):
    with pytest.raises(NotebookParameterError, match="must be given as name=value"):
        split_assignments([text])


def test_a_name_is_given_once():
    with pytest.raises(NotebookParameterError, match="'seed' is given twice: '1' and '2'"):
        split_assignments(["seed=1", "seed=2"])


def test_a_json_file_is_typed_already(tmp_path):
    (tmp_path / "p.json").write_text(json.dumps({"seed": 3, "tile": "007"}))
    assert read_parameter_file(tmp_path / "p.json") == ({"seed": 3, "tile": "007"}, {})


def test_text_in_a_yaml_file_is_read_by_the_declared_type(tmp_path):
    (tmp_path / "p.yaml").write_text("seed: 3\nmask_ratio: 1e-3\n")
    assert read_parameter_file(tmp_path / "p.yaml") == ({"seed": 3}, {"mask_ratio": "1e-3"})


@pytest.mark.parametrize(
    ("text", "message"), [("[1]", "must hold a map"), ("a: 1\na: 2", "already on line 1")]
)
def test_a_parameter_file_is_one_map(tmp_path, text, message):
    (tmp_path / "p.yaml").write_text(text)
    with pytest.raises(NotebookParameterError, match=message):
        read_parameter_file(tmp_path / "p.yaml")
    with pytest.raises(NotebookParameterError, match="There is no parameter file"):
        read_parameter_file(tmp_path / "none.yaml")
