"""Quotes of what the person wrote: found in their own words, each word once, and the words that no quote has.

Which words made which condition is told by a model; that they are the person's words is seen here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec import Struct


class Span(Struct, frozen=True):
    """A span of a message, in characters; message 0 is the latest, 1 the one before it."""

    message: int
    start: int
    end: int

    def overlaps(self, other: Span) -> bool:
        """Return whether the two have a character in common."""
        return self.message == other.message and self.start < other.end and other.start < self.end


def find_quotes(said: Sequence[str], quotes: Sequence[str]) -> tuple[Span | None, ...]:
    """Return where each quote stands in what was *said*, the latest messages first; None where it does not, or not again.

    A quote is whole words, in any case and spacing. Of words that stand there twice the ones after the quote before are taken.
    """
    found: list[Span | None] = []
    taken: list[Span] = []
    for quote in quotes:
        pattern = _pattern(quote)
        span = _find(said, pattern, taken) if pattern is not None else None
        found.append(span)
        taken += [] if span is None else [span]
    return tuple(found)


def unquoted(said: Sequence[str], quoted: Sequence[Span]) -> tuple[Span, ...]:
    """Return the words that no quote has, of the latest message and of each that is quoted; what stands together is one span."""
    found: list[Span] = []
    for ago in sorted({0, *(span.message for span in quoted)}):
        text = said[-1 - ago]
        at = 0
        for span in sorted((one for one in quoted if one.message == ago), key=lambda one: one.start):
            found += _words(ago, text, at, span.start)
            at = span.end
        found += _words(ago, text, at, len(text))
    return tuple(found)


def _pattern(quote: str) -> re.Pattern[str] | None:
    if not any(map(str.isalnum, quote)):
        return None
    words = quote.split()
    before = r"(?<![^\W_])" if words[0][0].isalnum() else ""
    after = r"(?![^\W_])" if words[-1][-1].isalnum() else ""
    return re.compile(before + r"\s+".join(re.escape(word) for word in words) + after, re.IGNORECASE)


def _find(said: Sequence[str], pattern: re.Pattern[str], taken: Sequence[Span]) -> Span | None:
    if taken and (found := _find_in(said, taken[-1].message, taken[-1].end, pattern, taken)):
        return found
    everywhere = (_find_in(said, ago, 0, pattern, taken) for ago in range(len(said)))
    return next((found for found in everywhere if found), None)


def _find_in(said: Sequence[str], ago: int, start: int, pattern: re.Pattern[str], taken: Sequence[Span]) -> Span | None:
    """Return the first place from *start* on that no other quote has."""
    text = said[-1 - ago]
    while (match := pattern.search(text, start)) is not None:
        span = Span(ago, *match.span())
        ends = [other.end for other in taken if other.overlaps(span)]
        if not ends:
            return span
        start = max(ends)
    return None


def _words(ago: int, text: str, start: int, end: int) -> list[Span]:
    """Return the part between two places without the signs around it, if any word is in it."""
    saying = [at for at in range(start, end) if text[at].isalnum()]
    return [Span(ago, saying[0], saying[-1] + 1)] if saying else []
