"""Printed text: what a terminal would show, in linear time, with every character accounted for."""

import re

from hypothesis import given
from hypothesis import strategies as st

from workbench.execution.streams import StreamText

PRINTED = st.text(alphabet="ab\n\r\x08", max_size=60)


def terminal(text: str) -> str:
    """The definition, one character at a time: a return erases its line once more text follows."""
    done, line, returned = "", "", False
    for character in text:
        if character == "\r":
            returned = True
        elif character == "\n":
            done, line, returned = f"{done}{line}\n", "", False
        else:
            line, returned = "" if returned else line, False
            line = line[:-1] if character == "\x08" else line + character
    return done + line + ("\r" if returned else "")


@given(st.lists(PRINTED, max_size=5))
def test_text_is_what_a_terminal_shows_however_it_is_cut_into_messages(messages):
    stream = StreamText()
    for message in messages:
        stream.feed(message)
    assert stream.text() == terminal("".join(messages))
    assert stream.left_out == 0


@given(
    st.lists(st.text(alphabet="ab\n", max_size=40), max_size=8),
    st.integers(0, 20),
    st.integers(1, 20),
    st.integers(1, 30),
)
def test_the_beginning_and_the_end_are_kept_and_the_rest_is_counted(messages, head, tail, line):
    stream = StreamText(head, tail, line)
    for message in messages:
        stream.feed(message)
    text, printed = stream.text(), "".join(messages)
    assert stream.fed == len(printed)
    if not stream.left_out:
        assert text == printed
        return
    first, mark, last = re.split(r"(\n\[… [\d,]+ characters are left out here …\]\n)", text)
    assert f"{stream.left_out:,} " in mark
    assert (printed.startswith(first), printed.endswith(last)) == (True, True)
    assert len(first) + len(last) + stream.left_out == len(printed)
    assert len(first) == head
    assert len(last) >= min(tail, len(printed) - head)


def test_a_long_line_is_held_in_bounded_memory():
    stream = StreamText(100, 100, 50)
    for _ in range(10_000):
        stream.feed("x" * 10)
    assert len(stream.text()) < 400
    assert stream.left_out > 99_000


def test_backspaces_and_returns_by_the_million_take_one_pass():
    """Each would be a copy of the line if characters were cut off one by one."""
    stream = StreamText()
    stream.feed("y" * 500_000 + "\x08x" * 500_000 + "\r" * 500_000 + "z")
    assert stream.text() == "z"
