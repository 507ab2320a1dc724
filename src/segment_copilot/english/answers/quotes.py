"""Tells a draft's words as the tools take them: whole words of the text, in order, each once."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Final

from msgspec import structs

from segment_copilot.english.outcomes import Drafted, Part

_MOST: Final = 200
_SENTENCE: Final = 300


def quotes_of(text: str, drafted: Drafted) -> tuple[Mapping[str, Any], ...]:
    """Return what became of the words of *text*; those of no condition only ask or join, or else it were no draft.

    Without a reading it is known of the whole text alone.
    """
    if not drafted.reading:
        return ({"text": text.strip(), "pointers": [""]},)
    parts: list[Part] = []
    for said in sorted(drafted.reading, key=lambda one: one.start):
        start, end = _whole_words(text, said.start, said.end)
        part = structs.replace(said, start=start, end=end)
        parts = [*parts[:-1], _both(parts[-1], part)] if parts and start < parts[-1].end else [*parts, part]
    ends = [0, *(at for part in parts for at in (part.start, part.end)), len(text)]
    gaps = [Part("", start, end) for start, end in list(pairwise(ends))[::2]]
    told = sorted((*parts, *gaps), key=lambda one: one.start)
    quotes = tuple(_quote(text[one.start : one.end].strip(), one) for one in told)
    said = tuple(quote for quote in quotes if any(map(str.isalnum, quote["text"])))
    return said if len(said) <= _MOST else ()


def _both(one: Part, other: Part) -> Part:
    """Return two parts that share a word as one."""
    pointers = tuple(dict.fromkeys((*one.pointers, *other.pointers)))
    return structs.replace(one, end=max(one.end, other.end), pointers=pointers, assumed=one.assumed or other.assumed)


def _quote(text: str, part: Part) -> Mapping[str, Any]:
    if part.unmapped:
        return {"text": text, "unmapped": True}
    if part.assumed:
        return {"text": text, "assumed": part.assumed[:_SENTENCE]}
    return {"text": text, "pointers": list(part.pointers)}


def _whole_words(text: str, start: int, end: int) -> tuple[int, int]:
    """Return the span up to the ends of the words that it begins and ends in."""
    while 0 < start < len(text) and _inside(text, start):
        start -= 1
    while 0 < end < len(text) and _inside(text, end):
        end += 1
    return start, end


def _inside(text: str, at: int) -> bool:
    return all(character.isalnum() or character in "'’" for character in text[at - 1 : at + 1])
