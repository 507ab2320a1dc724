"""Reads what stands behind a time and moves its end: "the last 7 days, today excluded", "in May or later"."""

from __future__ import annotations

from datetime import date
from typing import Final

from msgspec import structs

from segment_copilot.english.times import phrases, when, windows
from segment_copilot.english.words.lexer import Token, written

_WITHOUT_TODAY: Final = tuple(
    tuple(words.split())
    for words in (
        "today excluded", "excluding today", "today left out", "leaving out today", "not counting today", "today not counted",
        "without today", "today not included", "not including today", "before today", "until yesterday", "up to yesterday",
        "ending yesterday", "today apart", "today is out", "excl today", "excl . today", "up to and including yesterday",
    )
)  # fmt: skip
_OR_LATER: Final = (
    ("or", "later"),
    ("or", "after"),
    ("and", "later"),
    ("and", "after"),
    ("onwards",),
    ("onward",),
    ("and", "onwards"),
)


def window(tokens: tuple[Token, ...], at: int, today: date) -> when.Read | None:
    """Return the window at *at* with what is said of its end, and the position behind it."""
    read = when.window(tokens, at, today)
    if read is None:
        return None
    said, end = read
    found, behind = _whole_days(tokens, at, read) if said.kind == "last" else _later(tokens, read)
    return (found, end) if behind == end else (structs.replace(found, text=written(tokens[at:behind])), behind)


def _whole_days(tokens: tuple[Token, ...], at: int, read: when.Read) -> when.Read:
    """Return a length in days as whole days where today is left out: "the last 7 full days", "14 days, today excluded"."""
    said, end = read
    if said.length is None or said.length.unit not in {"d", "w"}:
        return read
    whole = any(token.lower in phrases.WHOLE for token in tokens[at:end])
    behind = when.past(tokens, end, _WITHOUT_TODAY)
    return (structs.replace(said, complete=True), behind) if whole or behind > end else read


def _later(tokens: tuple[Token, ...], read: when.Read) -> when.Read:
    """Return a stretch of the calendar without its end, where all that comes after is meant as well."""
    said, end = read
    later = next((words for words in _OR_LATER if phrases.lowers(tokens, end, len(words)) == words), None)
    behind = end + len(later or ())
    goes_on = behind < len(tokens) and tokens[behind].lower in {"that", "this", "they", "having", "the"}
    if later is None or goes_on or said.kind not in {"range", "period"} or said.first is None:
        return read
    return windows.Window("range", lead=said.lead, first=said.first), behind
