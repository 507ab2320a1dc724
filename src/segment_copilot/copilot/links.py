"""No link leaves in a text: an image or a link that the model was talked into would carry data to whoever it names.

Markdown images, links and HTML tags keep their words and lose their address. What may still become one is held back
until it is clear, so it does not matter where a delta ends.
"""

from __future__ import annotations

import re
from typing import Final

_SPECIAL = re.compile(r"!?\[|!\Z|<(?=[a-zA-Z/!]|\Z)")
_BRACKETS = re.compile(r"[\[\]<>]")
_HELD_AT_MOST: Final = 1_000


class LinkFilter:
    """Text in, text without links out."""

    def __init__(self) -> None:
        self._held = ""
        self._line_start = True  # whether what was shown so far ends a line
        self._last = ""  # its last character

    def feed(self, delta: str) -> str:
        """What may be shown now."""
        text, self._held = self._held + delta, ""
        shown: list[str] = []
        position = 0
        while found := _SPECIAL.search(text, position):
            shown.append(text[position : found.start()])
            end, words = self._construct(text, found, shown)
            if end < 0 and len(text) - found.start() <= _HELD_AT_MOST:
                self._held = text[found.start() :]
                break
            shown.append(words or self._gap(shown))
            position = found.end() if end < 0 else end
        else:
            shown.append(text[position:])
        return self._note("".join(shown))

    def flush(self) -> str:
        """What was held back, at the end of a text: its first bracket opens nothing any more, a later one may."""
        shown = ""
        while text := self._held:
            self._held = ""
            shown += text[0] + self.feed(text[1:])
        self._line_start, self._last = True, ""
        return shown

    def _construct(self, text: str, found: re.Match[str], shown: list[str]) -> tuple[int, str]:
        """Where the construct at *found* ends (-1: not in sight) and the words it leaves."""
        if found[0] == "<":
            close = text.find(">", found.end())
            return (close + 1 if close >= 0 else -1), ""
        if found[0] == "!":
            return -1, "!"
        close = _closing(text, found.end() - 1, "[]")
        if close < 0 or close + 1 == len(text):
            return -1, ""
        label = _BRACKETS.sub("", text[found.end() : close])  # an image inside a link is no image any more either
        match text[close + 1]:
            case "(":
                end = _closing(text, close + 1, "()")
                return (end + 1 if end >= 0 else -1), label
            case "[":
                end = _closing(text, close + 1, "[]")
                return (end + 1 if end >= 0 else -1), label
            case ":" if self._begins_line(shown):
                end = text.find("\n", close)
                return end, ""
            case _:
                return found.end(), found[0]  # brackets that are no link

    def _begins_line(self, shown: list[str]) -> bool:
        before = "".join(shown).rstrip(" ")
        return before.endswith("\n") if before else self._line_start

    def _gap(self, shown: list[str]) -> str:
        """What stands for a construct that left no words: `[a]<i>(b)` may not become a link by losing its middle."""
        return " " if ("".join(shown) or self._last).endswith("]") else ""

    def _note(self, shown: str) -> str:
        self._last = shown[-1:] or self._last
        if shown.strip(" "):
            self._line_start = shown.rstrip(" ").endswith("\n")
        return shown


def without_links(text: str) -> str:
    """A whole text without links."""
    links = LinkFilter()
    return links.feed(text) + links.flush()


def _closing(text: str, start: int, pair: str) -> int:
    """Where the bracket at *start* closes, or -1."""
    depth = 0
    for position in range(start, min(len(text), start + _HELD_AT_MOST)):
        if text[position] == pair[0]:
            depth += 1
        elif text[position] == pair[1]:
            depth -= 1
            if depth == 0:
                return position
    return -1
