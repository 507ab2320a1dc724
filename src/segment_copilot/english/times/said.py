"""Finds the times that a sentence says, one after the other; a later one may lean on the one before it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Final

from msgspec import structs

from segment_copilot.english.times import ends, phrases, when, windows
from segment_copilot.english.times.apart import apart, near
from segment_copilot.english.times.dates import MONTHS, add_months
from segment_copilot.english.times.relative import relative
from segment_copilot.english.words.lexer import Token


def times_said(tokens: tuple[Token, ...], today: date) -> Iterator[tuple[int, int, windows.Window, bool, bool]]:
    """Yield each time: where it begins and ends, whether only a length was said, and whether all of it is still to come."""
    at, said = 0, None
    while at < len(tokens):
        read_window = (
            relative(tokens, at, said) or apart(tokens, at) or near(tokens, at) or ends.window(tokens, at, today)
        )
        grown = read_window is not None and _is_grown(read_window[0])
        if read_window is not None and not grown and not _is_old(tokens, at, read_window[1]):
            said, end = read_window
            ahead = said.first is not None and said.first > today
            yield at, end, said, _is_measure(said), ahead
            at = end
            continue
        behind = phrases.length(tokens, at + 1) if tokens[at].lower == "since" else None
        if behind is not None:  # "since 2 weeks", as is said in many languages
            yield at, behind[1], windows.Window("last", text="since", lead="for", length=behind[0]), False, False
            at = behind[1]
            continue
        bare = phrases.length(tokens, at) if tokens[at].kind == "number" else None
        grown = bare is not None and bare[0].unit == "y" and bare[0].count >= _GROWN
        if (
            bare is not None
            and not grown
            and not _is_age(tokens, bare[1])
            and not (at and tokens[at - 1].lower == "by")
        ):
            length, end = when.explained(tokens, (windows.Window("last", text="", length=bare[0]), bare[1]), today)
            yield at, end, length, True, False
            at = end
            continue
        at += 1


def coming(tokens: tuple[Token, ...], said: windows.Window, today: date) -> windows.Window | None:
    """Return a time of which no year was said, in the year to come: of "renews in July", which never lies a year back."""
    words = {token.lower for token in tokens}
    dated = any(token.kind == "date" or (token.kind == "number" and len(token.text) == _YEAR) for token in tokens)
    if said.kind != "range" or dated or not words & MONTHS.keys() or words & {"last", "this", "year", "previous"}:
        return None
    end = said.after or said.first
    if end is None or end > today:
        return None
    first, after = (day and add_months(day, 12) for day in (said.first, said.after))
    return structs.replace(said, first=first, after=after)


_YEAR: Final = 4  # digits
_GROWN: Final = 14  # years: who is spoken of is as old, and no event lies as far back


def _is_grown(said: windows.Window) -> bool:
    """Return whether a length is rather somebody's age: "over 50 years"."""
    long = said.length is not None and said.length.unit == "y" and said.length.count >= _GROWN
    return said.kind == "last" and long and not said.rolling and said.operator is not None


def _is_measure(said: windows.Window) -> bool:
    """Return whether a window may be how long something took: "for more than 20 minutes"."""
    short = said.length is not None and said.length.unit in {"m", "h"}
    return said.kind == "last" and short and not said.rolling and said.operator is not None


def _is_old(tokens: tuple[Token, ...], at: int, end: int) -> bool:
    """Return whether a length is somebody's age: "over 30 years old", "60 years of age"."""
    following = tuple(token.lower for token in tokens[end : end + 2])
    years = any(token.lower in {"year", "years", "yrs", "yr"} for token in tokens[at:end])
    old = following[:1] in {("old",), ("olds",)} or following in {("-", "old"), ("-", "olds")}
    return years and (old or following == ("of", "age"))


def _is_age(tokens: tuple[Token, ...], at: int) -> bool:
    """Return whether a length is an age: "30 years old", "60 years of age"."""
    return at > 0 and tokens[at - 1].lower in {"years", "year", "yrs", "y", "yr"}
