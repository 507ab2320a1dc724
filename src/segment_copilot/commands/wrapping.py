"""Wraps a text that comes in pieces, so that the edge of a terminal cuts no word."""

from __future__ import annotations

import re
from typing import Final

from rich.cells import cell_len

_PIECES: Final = re.compile(r"\n|[ \t]+|[^ \t\n]+")


class WordWrap:
    """Holds a word back until it is whole, and then puts it on the line that has room for it."""

    def __init__(self) -> None:
        self._word = ""
        self._blank = ""
        self._column = 0

    def add(self, text: str, *, width: int) -> str:
        """Return what can be written of all that was added, in lines of at most *width* cells."""
        written = ""
        for piece in _PIECES.findall(text):
            if piece == "\n":
                written += self.finish(width=width) + "\n"
                self._column, self._blank = 0, ""
            elif piece.isspace():
                written += self.finish(width=width)
                self._blank += piece.replace("\t", " ")
            else:
                self._word += piece
        return written

    def finish(self, *, width: int) -> str:
        """Return the word that was held back: nothing more belongs to it."""
        if not (word := self._word):
            return ""
        cells, blank = cell_len(word), self._blank
        self._word, self._blank = "", ""
        if self._column and self._column + len(blank) + cells > width:
            self._column = cells % width if cells > width else cells
            return f"\n{word}"
        self._column += len(blank) + cells
        return blank + word
