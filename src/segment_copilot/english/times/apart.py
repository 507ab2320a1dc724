"""Reads how far one thing may be from the one before it: "within 2 days of it", "an hour later at most", "the same day"."""

from __future__ import annotations

from typing import Final

from segment_copilot.english.times.dates import MONTHS
from segment_copilot.english.times.phrases import Length, length, lowers
from segment_copilot.english.times.windows import Window
from segment_copilot.english.words.lexer import Token, written

_MOST: Final = tuple(
    tuple(words.split())
    for words in (
        "at the very most", "no later than", "not later than", "no more than", "not more than", "in less than", "less than",
        "in under", "under", "in no more than", "in at most", "at most", "in the first", "within the first", "inside of", "inside", "up to", "within the", "within",
        "in the", "in", "max", "maximum", "not exceeding", "during the", "<=", "<", "",
    )
)  # fmt: skip
_SAME: Final = tuple(
    tuple(words.split())
    for words in (
        "in the same", "within the same", "on the same", "during the same", "the same", "same", "in the first", "within the first",
        "inside the first", "in their first", "within their first", "during their first", "during the first",
    )
)  # fmt: skip
_AT_MOST: Final = tuple(tuple(words.split()) for words in ("at most", "at the most", "or less", "max", "maximum", "at the latest", "or sooner", ""))  # fmt: skip
_BACK: Final = tuple(
    tuple(words.split())
    for words in (
        "doing so", "doing that", "doing this", "doing it", "having done so", "that one", "this one", "that", "this", "it",
        "them", "those", "each other", "one another", "each another", "which", "the first one", "the former", "the first",
    )
)  # fmt: skip
_FROM: Final = {"of", "after", "from", "following"}
_WHOLE: Final = tuple(
    tuple(words.split())
    for words in (
        "from first to last",
        "first to last",
        "from start to finish",
        "start to finish",
        "from the first to the last",
        "between first and last",
    )
)
_TAILS: Final = tuple(
    tuple(words.split())
    for words in (
        "later", "later on", "apart", "afterwards", "afterward", "thereafter", "that followed", "that follow", "which followed",
        "which follow", "between them", "between the two", "from first to last", "first to last", "from the first to the last",
        "from start to finish", "from beginning to end", "between first and last",
    )
)  # fmt: skip
_MORE: Final = {"than", "least", "over", "exactly", "past", "minimum", "min", ">", ">="}
_NOW: Final = {"now", "today", "this", "which"}
_ENDS: Final = {",", ".", ";", ")", "!", "?", "", ":", "and", "but"}


def apart(tokens: tuple[Token, ...], at: int) -> tuple[Window, int] | None:
    """Return the length at *at* that counts from something said before, and the position behind it."""
    for start in _behind(tokens, at, _SAME):
        read = length(tokens, start) if start > at and _word(tokens, start) != "-" else None
        if read is not None and _word(tokens, read[1]) not in {"of", "after", "from"}:
            return _said(tokens, at, read[0], read[1])
    for start in _behind(tokens, at, _WHOLE):
        for begin in _behind(tokens, start, _MOST):
            if (read := length(tokens, begin)) is not None:
                return _said(tokens, at, read[0], read[1])
    more = at > 0 and tokens[at - 1].lower in _MORE
    for start in () if more else _behind(tokens, at, _MOST):
        read = length(tokens, start)
        end = _pointed(tokens, read[1], bare=start == at) if read is not None else None
        if read is not None and end is not None:
            return _said(tokens, at, read[0], end)
    return None


def near(tokens: tuple[Token, ...], at: int) -> tuple[Window, int] | None:
    """Return the length that counts from what follows it: "at most 2 days after", "no later than a week after"."""
    for start in _behind(tokens, at, _MOST):
        read = length(tokens, start)
        if read is None or start == at:
            continue
        for end in _behind(tokens, read[1], _AT_MOST):
            dated = _word(tokens, end + 1) in MONTHS or (tokens[end + 1 : end + 2] and tokens[end + 1].kind == "number")
            if _word(tokens, end) == "of" and (dated or "first" in lowers(tokens, at, start - at)):
                continue  # "in the first 10 days of May", "in the month of May"
            by = _word(tokens, end) == "by" and at > 0 and tokens[at - 1].lower == "followed"
            if by or (_word(tokens, end) in _FROM and _word(tokens, end + 1) not in _NOW):
                return Window("last", text=written(tokens[at:end]), lead="within", length=read[0]), end
    return None


def _pointed(tokens: tuple[Token, ...], at: int, *, bare: bool) -> int | None:
    """Return the position behind words that say from what on: something before, which is said again by no word."""
    first = "first" in lowers(tokens, max(at - 3, 0), 3)  # "in the first fortnight of this month"
    for end in _behind(tokens, at, _AT_MOST):
        for behind in _behind(tokens, end, _TAILS):
            return behind
        if _word(tokens, end) in _FROM and not (first and _word(tokens, end) == "of"):
            for behind in _behind(tokens, end + 1, _BACK):
                return behind
            said = _word(tokens, end) in {"after", "following"} and (not bare or end > at)
            if said and _word(tokens, end + 1) in _ENDS:
                return end + 1
    return None


def _behind(tokens: tuple[Token, ...], at: int, phrases: tuple[tuple[str, ...], ...]) -> list[int]:
    """Return where each of the phrases that stand at a position ends, the longest first."""
    ends = {at + len(words) for words in phrases if lowers(tokens, at, len(words)) == words}
    return sorted(ends, reverse=True)


def _said(tokens: tuple[Token, ...], at: int, said: Length, end: int) -> tuple[Window, int]:
    return Window("same", text=written(tokens[at:end]), lead="within", length=said), end


def _word(tokens: tuple[Token, ...], at: int) -> str:
    return tokens[at].lower if at < len(tokens) else ""
