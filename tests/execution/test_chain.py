import pytest

from workbench.errors import NotebookParameterError, NotebookRunError
from workbench.execution.chain import read_chain, step_parameters


@pytest.fixture
def write_chain(write_notebook):
    """Write ``chain.yaml`` beside notebooks a, b and c."""
    write_notebook("a", "1", parameters="seed: int = 0  # Seed\nscale: str = 'demo'  # Size")
    write_notebook("b", "1", parameters="patch_size: int = 128  # Pixels\nseed: int = 0  # Seed")
    folder = write_notebook("c", "1", parameters="ratio: float = 0.5  # Share").parent

    def write(text):
        (folder / "chain.yaml").write_text(text)
        return folder / "chain.yaml"

    return write


def test_a_chain_is_read(write_chain):
    chain = read_chain(
        write_chain(
            "title: T\nparameters: {seed: 3}\nsteps:\n  - notebook: a.ipynb\n    timeout_s: 60\n"
            "  - {notebook: b.ipynb, needs: [a], parameters: {patch_size: 64}}\n"
        )
    )
    assert chain.title == "T"
    assert [step.name for step in chain.steps] == ["a", "b"]
    assert chain.steps[0].timeout_s == 60
    assert chain.steps[1].needs == ("a",)
    assert step_parameters(chain, {}, {}) == {"a": {"seed": 3}, "b": {"seed": 3, "patch_size": 64}}


def test_steps_follow_what_they_need_and_else_the_file(write_chain):
    chain = read_chain(
        write_chain(
            "steps: [{notebook: c.ipynb, needs: [b]}, {notebook: b.ipynb}, {notebook: a.ipynb}]"
        )
    )
    assert [step.name for step in chain.steps] == ["b", "c", "a"]


def test_a_notebook_is_a_chain_of_one(write_notebook):
    chain = read_chain(write_notebook("a", title="Alone"))
    assert chain.title == "Alone"
    assert [step.name for step in chain.steps] == ["a"]


def test_everything_wrong_is_listed_at_once(write_chain):
    path = write_chain(
        "titel: T\nsteps:\n  - notebook: a.ipynb\n    timeout_s: soon\n"
        "  - notebook: x.ipynb\n    needs: [aa]\n  - notebook: a.ipynb\n  - needs: [a]\n"
    )
    with pytest.raises(NotebookRunError) as error:
        read_chain(path)
    assert str(error.value).splitlines() == [
        'chain.yaml:1:1 titel: unknown key, did you mean "title"?',
        "chain.yaml:4:16 steps[0].timeout_s: must be a number of seconds, found 'soon'",
        "chain.yaml:5:15 steps[1].notebook: there is no notebook x.ipynb",
        "chain.yaml:6:12 steps[1].needs: there is no other step 'aa', did you mean \"a\"?",
        "chain.yaml:7:15 steps[2].notebook: step 'a' is listed twice",
        "chain.yaml:8:5 steps[3]: a step must name its notebook",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must be a map with the keys title, parameters, steps"),
        ("steps: []", "a chain must list at least one step"),
        ("steps: [a.ipynb]", "must be a map with the keys notebook"),
        ("steps: [{notebook: a.ipynb, needs: [a]}]", "there is no other step 'a'"),
        ("steps: [{notebook: a.ipynb, timeout_s: true}]", "must be a number of seconds"),
        ("title: a\ntitle: b", "already on line 1"),
    ],
)
def test_other_shapes_are_refused(write_chain, text, message):
    with pytest.raises(NotebookRunError, match=message):
        read_chain(write_chain(text))


def test_no_step_waits_for_itself(write_chain):
    path = write_chain(
        "steps: [{notebook: a.ipynb, needs: [b]}, {notebook: b.ipynb, needs: [a]},"
        " {notebook: c.ipynb}]"
    )
    with pytest.raises(NotebookRunError, match="these form a circle: a -> b -> a"):
        read_chain(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(NotebookRunError, match="There is no chain or notebook"):
        read_chain(tmp_path / "chain.yaml")


def test_a_value_goes_to_every_step_that_declares_it(write_chain):
    chain = read_chain(
        write_chain(
            "parameters: {seed: 1}\nsteps:\n  - {notebook: a.ipynb, parameters: {seed: 2}}\n"
            "  - {notebook: b.ipynb}\n  - {notebook: c.ipynb}\n"
        )
    )
    assert step_parameters(chain, {}, {"ratio": "1e-3"}) == {
        "a": {"seed": 2}, "b": {"seed": 1}, "c": {"ratio": 1e-3},
    }  # fmt: skip
    assert step_parameters(chain, {"seed": 5}, {}) == {"a": {"seed": 5}, "b": {"seed": 5}, "c": {}}
    assert step_parameters(chain, {"seed": 5}, {"seed": "6"})["a"] == {"seed": 6}


@pytest.mark.parametrize(
    ("given", "texts", "message"),
    [
        ({}, {"patchsize": "3"}, "No step of chain.yaml has a parameter 'patchsize', did you mean"),
        ({"seed": "3"}, {}, "a.ipynb needs 'seed' as int"),
        ({}, {"patch_size": "2_0"}, "b.ipynb needs 'patch_size' as int"),
    ],
)
def test_a_wrong_parameter_is_refused_before_anything_runs(write_chain, given, texts, message):
    chain = read_chain(write_chain("steps: [{notebook: a.ipynb}, {notebook: b.ipynb}]"))
    with pytest.raises(NotebookParameterError, match=message):
        step_parameters(chain, given, texts)


def test_a_wrong_parameter_in_the_file_is_refused_too(write_chain):
    chain = read_chain(write_chain("parameters: {ratio: 1}\nsteps: [{notebook: a.ipynb}]"))
    with pytest.raises(NotebookParameterError, match="has a parameter 'ratio'"):
        step_parameters(chain, {}, {})
