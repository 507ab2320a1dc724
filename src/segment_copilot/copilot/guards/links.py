"""Keeps links out of texts: an image or a link that the model was talked into would carry data to whoever it names.

Markdown images, links and HTML tags keep their words and lose their address; a bare address loses what makes frontends
link it (the slashes of `https://`). What may still become one is held back until it is clear, so it does not matter where a
delta ends. Characters that nobody sees go as well.
"""

from __future__ import annotations

import re
from typing import Final

from segment_copilot.copilot.guards.characters import remove_hidden

_SPECIAL = re.compile(r"!?\[|!\Z|<(?=[a-zA-Z/!]|\Z)")
_BRACKETS = re.compile(r"[\[\]<>]")
_HELD_AT_MOST: Final = 1_000

_AFTER_SCHEME: Final = r"(?:(?<=http)|(?<=https)|(?<=ftp))"
_PARTED = re.compile(
    rf"{_AFTER_SCHEME}(?P<slashes>:/{{2,}})|(?<=www)\.(?=[a-z0-9])|(?<=\])(?=\()|(?<=<)(?=[a-z/!?])", re.IGNORECASE
)
"""Marks where what is left may still become a link: an address; a construct too long to wait for or without end."""
_WAITING = re.compile(rf"{_AFTER_SCHEME}:/*\Z|(?<=www)\.\Z", re.IGNORECASE)
_REMARKABLE = re.compile(r"[\]<:]|w\.|\A\.", re.IGNORECASE)
_OPEN: Final = ("]", "<")
_LONGEST_BEFORE: Final = 5  # characters that a part looks back on


class LinkFilter:
    """Takes a text in pieces and gives it back without links."""

    def __init__(self) -> None:
        self._markdown = _Markdown()
        self._addresses = _Addresses()

    def feed(self, delta: str) -> str:
        """Return what may be shown now."""
        return self._addresses.feed(self._markdown.feed(remove_hidden(delta)))

    def flush(self) -> str:
        """Return what was held back, at the end of a text."""
        return self._addresses.feed(self._markdown.flush()) + self._addresses.flush()


class _Addresses:
    """Parts bare addresses, and what looks like the rest of a link or a tag."""

    def __init__(self) -> None:
        self._held = ""
        self._before = ""  # the end of what was shown

    def feed(self, delta: str) -> str:
        if not self._held and not self._before.endswith(_OPEN) and not _REMARKABLE.search(delta):  # as most are
            self._before = (self._before + delta)[-_LONGEST_BEFORE:]
            return delta
        text, self._held = self._before + self._held + delta, ""
        if waiting := _WAITING.search(text):
            text, self._held = text[: waiting.start()], waiting[0]
        return self._shown(text)

    def flush(self) -> str:
        text, self._held = self._before + self._held, ""
        shown = self._shown(text)
        self._before = ""
        return shown

    def _shown(self, text: str) -> str:
        parted = _PARTED.sub(lambda found: ":" if found["slashes"] else f"{found[0]} ", text)
        shown = parted[len(self._before) :]
        self._before = parted[-_LONGEST_BEFORE:]
        return shown


class _Markdown:
    """Takes the address out of Markdown's constructs and leaves their words."""

    def __init__(self) -> None:
        self._held = ""
        self._line_start = True  # whether what was shown so far ends a line
        self._last = ""  # its last character

    def feed(self, delta: str) -> str:
        """Return what may be shown now."""
        text, self._held = self._held + delta, ""
        shown: list[str] = []
        position = 0
        while found := _SPECIAL.search(text, position):
            shown.append(text[position : found.start()])
            end, words = self._construct(text, found, shown)
            if end < 0 and len(text) - found.start() <= _HELD_AT_MOST:
                self._held = text[found.start() :]
                break
            shown.append(f"{self._gap(shown, words)}{words}")
            position = found.end() if end < 0 else end
        else:
            shown.append(text[position:])
        return self._note("".join(shown))

    def flush(self) -> str:
        """Return what was held back, at the end of a text: its first bracket opens nothing any more, a later one may."""
        shown = ""
        while text := self._held:
            self._held = ""
            shown += text[0] + self.feed(text[1:])
        self._line_start, self._last = True, ""
        return shown

    def _construct(self, text: str, found: re.Match[str], shown: list[str]) -> tuple[int, str]:
        """Return where the construct at *found* ends (-1: not in sight) and the words it leaves."""
        if found[0] == "<":
            close = text.find(">", found.end(), found.start() + _HELD_AT_MOST)
            return (close + 1 if close >= 0 else -1), ""
        if found[0] == "!":
            return -1, "!"
        close = _find_closing(text, found.end() - 1, "[]")
        if close < 0 or close + 1 == len(text):
            return -1, ""
        label = _BRACKETS.sub("", text[found.end() : close])  # an image inside a link is no image any more either
        match text[close + 1]:
            case "(":
                end = _find_closing(text, close + 1, "()")
                return (end + 1 if end >= 0 else -1), label
            case "[":
                end = _find_closing(text, close + 1, "[]")
                return (end + 1 if end >= 0 else -1), label
            case ":" if self._begins_line(shown):
                end = text.find("\n", close)
                return end, ""
            case _:
                return found.end(), found[0]  # brackets that are no link

    def _begins_line(self, shown: list[str]) -> bool:
        before = "".join(shown).rstrip(" ")
        return before.endswith("\n") if before else self._line_start

    def _gap(self, shown: list[str], words: str) -> str:
        """Return what stands for the rest of a construct: `[a]<i>(b)` and `<<i>b>` may not become one by losing their middle."""
        return " " if ("".join(shown) or self._last).endswith(("<",) if words else ("]", "<")) else ""

    def _note(self, shown: str) -> str:
        self._last = shown[-1:] or self._last
        if shown.strip(" "):
            self._line_start = shown.rstrip(" ").endswith("\n")
        return shown


def remove_links(text: str) -> str:
    """Return a whole text without links."""
    links = LinkFilter()
    return links.feed(text) + links.flush()


def _find_closing(text: str, start: int, pair: str) -> int:
    """Return where the bracket at *start* closes, or -1."""
    depth = 0
    for position in range(start, min(len(text), start + _HELD_AT_MOST)):
        if text[position] == pair[0]:
            depth += 1
        elif text[position] == pair[1]:
            depth -= 1
            if depth == 0:
                return position
    return -1
