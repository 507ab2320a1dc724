"""Blanks what only lays a text out: bullets, marks of quoting, heads of forwarded mails, the quotes around a pasted request."""

from __future__ import annotations

import re
from typing import Final

_BULLET: Final = re.compile(r"^[ \t]*(?:>+[ \t]*)*(?:[-*•–—][ \t]+|\(?(?:\d{1,2}|[a-h])[.)][ \t]+)?", re.MULTILINE)
_HEAD: Final = re.compile(
    r"^(?:[> \t]*(?:fw|fwd|re|subject|sent|cc):|[ \t]*>[> \t]*(?:from|to):)[^\n]*$", re.MULTILINE | re.IGNORECASE
)
_INLINE: Final = re.compile(r"(?<!\S)(?:\((?:[1-9]|[a-h])\)|(?:[1-9]|[a-h])\)|[1-9]\.)(?=\s)")
_PASTED: Final = re.compile(r"[\"“]([^\"“”]{50,})[\"”]")


def plain(text: str) -> str:
    """Return the text with spaces for its layout: every other character stays at its place."""
    lines = "\n" in text.strip()
    made = _PASTED.sub(lambda found: f" {found[1]} ", text)
    if lines:
        made = _BULLET.sub(_blank, _HEAD.sub(_blank, made))
    marks = [found.group().strip("().") for found in _INLINE.finditer(made)]
    if len(marks) > 1 and marks[:2] in (["1", "2"], ["a", "b"]):
        made = _INLINE.sub(lambda found: " " * (len(found.group()) - 1) + ",", made)
    return made


def _blank(found: re.Match[str]) -> str:
    return " " * len(found.group())
