"""Reads a time that leans on one said before: "none the month after", "in the 30 days before that", "the day before"."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final

from segment_copilot.english.times.dates import YEARS, add_months
from segment_copilot.english.times.phrases import Length, length
from segment_copilot.english.times.windows import Window
from segment_copilot.english.words.lexer import Token, written

_LEADS: Final = frozenset({"in", "on", "during", "over", "for", "within", "throughout"})
_EARLIER: Final = frozenset({"before", "earlier", "prior", "preceding"})
_LATER: Final = frozenset({"after", "since", "afterwards", "following", "later"})
_BACK: Final = frozenset({"that", "those", "it", "then", "this", "them", "which", "these"})
_ENDS: Final = frozenset({"", ",", ".", ";", ")", "?", "!", "and", "but", "or", ":"})
_COUNTS: Final = frozenset({"at", "more", "fewer", "less", "no", "exactly", "none"})
_UNITS: Final = {"day": "d", "week": "w", "month": "mo", "quarter": "mo", "year": "y"}
_DAYS: Final = {"d": 1, "w": 7, "mo": 30, "y": 365}


def relative(tokens: tuple[Token, ...], at: int, said: Window | None) -> tuple[Window, int] | None:
    """Return the time at *at* that counts from *said*, the one before it, and the position behind it."""
    if said is None:
        return None
    if (beside := _year_beside(tokens, at, said)) is not None:
        return beside
    start = at + (_lower(tokens, at) in _LEADS)
    start += _lower(tokens, start) == "the"
    if _lower(tokens, start) in {"following", "next"} and start > at and _lower(tokens, start + 1) in _UNITS:
        found = _later(said, _unit(tokens, start + 1), one=True)
        return found and _told(tokens, at, found, start + 2)
    read = length(tokens, start)
    if read is None or start == at or _lower(tokens, at - 1) in {"than", "least", "most", "exactly"}:
        return None
    word, end = _lower(tokens, read[1]), read[1] + 1
    back = _lower(tokens, end) in _BACK
    end += back
    counted = back and (_lower(tokens, end) in _COUNTS or (end < len(tokens) and tokens[end].kind == "number"))
    if _lower(tokens, end) not in _ENDS and not counted:
        return None
    one = read[1] == start + 1 and tokens[start].kind == "word"
    if word in _EARLIER:
        found = _earlier(said, read[0])
    elif word in _LATER:
        found = _later(said, read[0], one=one)
    else:
        return None
    return found and _told(tokens, at, found, end)


def _year_beside(tokens: tuple[Token, ...], at: int, said: Window) -> tuple[Window, int] | None:
    """Return the year at *at* where another one stands before it: of "in 2025 and 2026", "in 2024, 2025 and 2026"."""
    start = said.first
    whole = (
        said.kind == "range"
        and start is not None
        and said.after == date(start.year + 1, 1, 1)
        and start.day == start.month == 1
    )
    if not whole or _lower(tokens, at - 1) not in {"and", ","} or not _is_year(tokens, at - 2):
        return None
    if not _is_year(tokens, at):
        return None
    year = int(tokens[at].value)
    return _told(tokens, at, Window("range", first=date(year, 1, 1), after=date(year + 1, 1, 1)), at + 1)


def _is_year(tokens: tuple[Token, ...], at: int) -> bool:
    token = tokens[at] if 0 <= at < len(tokens) else None
    return token is not None and token.kind == "number" and len(token.text) == 4 and token.value in YEARS  # noqa: PLR2004


def _lower(tokens: tuple[Token, ...], at: int) -> str:
    return tokens[at].lower if 0 <= at < len(tokens) else ""


def _unit(tokens: tuple[Token, ...], at: int) -> Length:
    read = length(tokens, at)
    return read[0] if read is not None else Length(1, "d")


def _told(tokens: tuple[Token, ...], at: int, said: Window, end: int) -> tuple[Window, int]:
    return Window(
        said.kind, text=written(tokens[at:end]), lead="in", rolling=said.rolling, length=said.length, near=said.near,
        first=said.first, after=said.after,
    ), end  # fmt: skip


def _earlier(said: Window, by: Length) -> Window | None:
    """Return the stretch that ends where *said* begins."""
    if said.kind in {"range", "period"} and said.first is not None:
        return Window("range", first=_back(said.first, by), after=said.first)
    if said.kind in {"last", "between"} and said.length is not None:
        far = _added(said.length, by)
        near = said.length if far is None or far.unit == said.length.unit else _in_days(said.length)
        return None if far is None or near is None else Window("between", length=far, near=near)
    return None


def _later(said: Window, by: Length, *, one: bool) -> Window | None:
    """Return the stretch that begins where *said* ends: the next of its kind, or what is left until now."""
    if said.kind in {"between", "ago"}:
        near = said.near or said.length
        return (
            Window("last", rolling=True, length=near) if near is not None and _in_days(near) == _in_days(by) else None
        )
    if said.kind not in {"range", "period"} or said.first is None or said.after is None or not one:
        return None
    after = _back(said.after, Length(-by.count, by.unit))
    return Window("range", first=said.after, after=after) if _back(said.after, by) == said.first else None


def _back(day: date, by: Length) -> date:
    if by.unit in {"mo", "y"}:
        return add_months(day, -by.count * (12 if by.unit == "y" else 1))
    return day - timedelta(days=by.count * _DAYS.get(by.unit, 0))


def _added(one: Length, two: Length) -> Length | None:
    if one.unit == two.unit:
        return Length(one.count + two.count, one.unit)
    left, right = _in_days(one), _in_days(two)
    return None if left is None or right is None else Length(left.count + right.count, "d")


def _in_days(said: Length) -> Length | None:
    return Length(said.count * _DAYS[said.unit], "d") if said.unit in _DAYS else None
