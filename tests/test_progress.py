import pytest

from workbench.progress import PROGRESS_LINE, ProgressBar


def test_where_no_bar_can_stand_lines_tell_first_and_last_step_rate_and_rest(capsys):
    bar = ProgressBar(True, total=300, start=100)
    for step in range(101, 301):
        bar.done(step, {"loss": 0.12345})
    bar.close()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2  # it is over before the next line is due
    found = [PROGRESS_LINE.match(line) for line in lines]
    assert [(match[1], match[2]) for match in found] == [("101", "300"), ("300", "300")]
    assert found[1][3].startswith("loss 0.1235, ")
    assert found[1][3].endswith(" steps/s, 0:00:00 left")


@pytest.mark.parametrize("line", ["step 3 of 30 is", "a step 3 of 30", "step 3", "step 3 of 30 %"])
def test_other_lines_are_no_progress(line):
    assert not PROGRESS_LINE.match(line)


def test_none_is_shown_where_none_is_wanted_and_a_function_is_called(capsys):
    told = []
    for wanted in (False, lambda *given: told.append(given)):
        bar = ProgressBar(wanted, total=2, start=0)
        bar.done(1, {})
        bar.close()
    assert told == [(1, 2)]
    assert capsys.readouterr() == ("", "")
