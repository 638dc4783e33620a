"""Printed text as an executed notebook stores it: carriage returns applied, long text cut.

Work and memory stay in proportion to what is printed, however it is cut into messages and lines.
"""

import re
from collections import deque
from dataclasses import dataclass, field

HEAD_CHARACTERS = TAIL_CHARACTERS = 1_000_000
"""What is stored of the beginning and of the end of one stream of a cell."""

LINE_CHARACTERS = 1_000_000
"""Of a line that goes on longer than this, a carriage return erases the last part only."""

_TOKENS = re.compile(r"[^\n\r\x08]+|\n+|\r+|\x08+")


@dataclass
class _Piece:
    """A part of the line that is being printed, of which the first `size` characters stand."""

    text: str
    size: int


@dataclass
class StreamText:
    r"""One stream of one cell, message by message.

    A carriage return that is followed by more text erases its line, and a backspace the character
    before it, as in a terminal that shows a progress bar.

    Example:
        >>> stream = StreamText()
        >>> for text in ("  1%\r 50%\r", "100%\nab\x08c\n"):
        ...     stream.feed(text)
        >>> stream.text()
        '100%\nac\n'
    """

    head_characters: int = HEAD_CHARACTERS
    tail_characters: int = TAIL_CHARACTERS
    line_characters: int = LINE_CHARACTERS
    fed: int = 0
    """Characters that were printed."""

    left_out: int = 0
    """Characters that are stored nowhere here, of those that carriage returns left standing."""

    _head: list[str] = field(default_factory=list)
    _head_size: int = 0
    _tail: deque[str] = field(default_factory=deque)
    _tail_size: int = 0
    _line: list[_Piece] = field(default_factory=list)
    _line_size: int = 0
    _returned: bool = False

    def feed(self, text: str) -> None:
        """Take what a message holds, in the order in which it was printed."""
        self.fed += len(text)
        for match in _TOKENS.finditer(text):
            token = match[0]
            if token[0] == "\r":
                self._returned = True
            elif token[0] == "\n":
                self._returned = False
                self._end_line(token)
            else:
                if self._returned:
                    self._returned = False
                    self._line.clear()
                    self._line_size = 0
                if token[0] == "\x08":
                    self._erase(len(token))
                else:
                    self._extend(token)

    def text(self) -> str:
        """What is stored, with a mark where something was left out."""
        head, tail = "".join(self._head), "".join(self._tail)
        line = "".join(piece.text[: piece.size] for piece in self._line)
        mark = f"\n[… {self.left_out:,} characters are left out here …]\n" if self.left_out else ""
        return f"{head}{mark}{tail}{line}" + ("\r" if self._returned else "")

    def _extend(self, text: str) -> None:
        self._line.append(_Piece(text, len(text)))
        self._line_size += len(text)
        if self._line_size > self.line_characters:
            self._store("".join(piece.text[: piece.size] for piece in self._line))
            self._line.clear()
            self._line_size = 0

    def _end_line(self, newlines: str) -> None:
        if self._line:
            self._store("".join(piece.text[: piece.size] for piece in self._line))
            self._line.clear()
            self._line_size = 0
        self._store(newlines)

    def _erase(self, count: int) -> None:
        while count and self._line:
            last = self._line[-1]
            taken = min(count, last.size)
            last.size -= taken
            self._line_size -= taken
            count -= taken
            if not last.size:
                self._line.pop()

    def _store(self, text: str) -> None:
        """Add text that nothing erases any more; what no longer fits is counted."""
        if room := min(len(text), self.head_characters - self._head_size):
            self._head.append(text[:room])
            self._head_size += room
            text = text[room:]
        if not text:
            return
        if len(text) > self.tail_characters:
            self.left_out += len(text) - self.tail_characters
            text = text[-self.tail_characters :]
        self._tail.append(text)
        self._tail_size += len(text)
        while self._tail_size - len(self._tail[0]) >= self.tail_characters:
            gone = len(self._tail.popleft())
            self._tail_size -= gone
            self.left_out += gone
