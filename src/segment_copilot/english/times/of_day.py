"""Reads weekdays and hours of the day at which something is done: "on weekends", "Mon-Fri 9 to 17h", "between 10pm and 2am"."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from msgspec import UNSET, Struct

from segment_copilot.english.times.phrases import lowers
from segment_copilot.english.words.lexer import Token
from segment_copilot.language.local_times import WEEKDAYS
from segment_copilot.language.nodes import LocalTime, Weekday

_DAYS: Final = {
    name: at
    for at, names in enumerate(
        ("mon monday", "tue tues tuesday", "wed weds wednesday", "thu thur thurs thursday", "fri friday", "sat saturday", "sun sunday")
    )
    for name in names.split()
}  # fmt: skip
_PLURALS: Final = {f"{name}s": at for name, at in _DAYS.items() if name.endswith("day")}
_SETS: Final = {
    **dict.fromkeys(("weekend", "weekends"), (5, 6)),
    **dict.fromkeys(("weekday", "weekdays", "workday", "workdays"), (0, 1, 2, 3, 4)),
}
_WORKING: Final = frozenset(
    {("working", "days"), ("business", "days"), ("working", "day"), ("business", "day"), ("work", "days")}
)
_ONE_TIME: Final = frozenset(
    {"last", "this", "past", "next", "coming", "previous", "over"}
)  # "this weekend" is a time, no habit
_TO: Final = frozenset({"to", "through", "thru", "till", "until", "til", "-", "–", "—"})
_AND: Final = frozenset({"and", "or", "/", "&", ",", "+"})
_LEADS: Final = frozenset(
    {"on", "at", "in", "during", "the", "a", "any", "every", "each", "from", "between", "btw", "of", "("}
)
_BEFORE: Final = (("earlier", "than"), ("before",), ("until",), ("till",), ("by",))
_AFTER: Final = (("later", "than"), ("after",), ("past",), ("from",), ("since",))
_ON: Final = (("or", "later"), ("or", "after"), ("onwards",), ("onward",), ("on",))
_CLOCK: Final = re.compile(r"(\d{1,2})(?::?(\d{2}))?(am|pm|h)")
_HALVES: Final = {"am": "am", "a.m": "am", "pm": "pm", "p.m": "pm", "h": "h", "o'clock": "", "o’clock": "", "hrs": "h"}
_PARTS: Final = {"morning": "am", "evening": "pm", "afternoon": "pm", "night": "pm"}
_NAMED: Final = {"noon": 720, "midday": 720, "midnight": 0}
_DAY: Final = 1_440  # minutes


class OfDay(Struct, frozen=True):
    """Weekdays, hours (minutes of the day, the second out), or both."""

    weekdays: tuple[Weekday, ...] = ()
    hours: tuple[int, int] | None = None

    @property
    def json(self) -> LocalTime:
        """Return it as a definition holds it."""
        clock = UNSET if self.hours is None else [f"{at // 60:02}:{at % 60:02}" for at in self.hours]
        return LocalTime(list(self.weekdays) or UNSET, clock)

    def with_(self, other: OfDay) -> OfDay | None:
        """Return both together; none where they say different things of the same kind."""
        weekdays, hours = self.weekdays or other.weekdays, self.hours or other.hours
        agrees = (other.weekdays or weekdays) == weekdays and (other.hours or hours) == hours
        return OfDay(weekdays, hours) if agrees else None


def said(tokens: tuple[Token, ...]) -> Iterator[tuple[int, int, OfDay]]:
    """Yield each mention of weekdays or hours: where it begins and ends, the words before it that only lead to it among them."""
    at = 0
    while at < len(tokens):
        read = _weekdays(tokens, at) or _hours(tokens, at)
        if read is None:
            at += 1
            continue
        found, end = read
        start = at
        while start > 0 and tokens[start - 1].lower in _LEADS - {"from", "between", "btw"}:
            start -= 1
        closed = tokens[start].lower == "(" and end < len(tokens) and tokens[end].lower == ")"
        yield start + (tokens[start].lower == "(" and not closed), end + closed, found
        at = end + closed


def _lower(tokens: tuple[Token, ...], at: int) -> str:
    return tokens[at].lower if 0 <= at < len(tokens) else ""


def _weekdays(tokens: tuple[Token, ...], at: int) -> tuple[OfDay, int] | None:
    word = _lower(tokens, at)
    if word in _SETS and _lower(tokens, at - 1) not in _ONE_TIME and _lower(tokens, at - 2) not in _ONE_TIME:
        return _named(_SETS[word]), at + 1
    if (word, _lower(tokens, at + 1)) in _WORKING:
        return _named(_SETS["weekdays"]), at + 2
    first = _PLURALS.get(word, _DAYS.get(word))
    if first is None:
        return None
    last = _DAYS.get(_lower(tokens, at + 2), _PLURALS.get(_lower(tokens, at + 2)))
    if _lower(tokens, at + 1) in _TO and last is not None and tokens[at + 2].kind == "word":
        days = range(first, last + 1) if first <= last else (*range(first, 7), *range(last + 1))
        return _named(days), at + 3
    found, end = [first], at + 1
    while _lower(tokens, end) in _AND:
        more = end + 1 + (_lower(tokens, end + 1) in {"a", "on"})  # "on a Saturday or a Sunday"
        more += _lower(tokens, end + 1) == "on" and _lower(tokens, more) == "a"
        if _lower(tokens, more) not in _PLURALS and not (word in _DAYS and _lower(tokens, more) in _DAYS):
            break
        found.append({**_DAYS, **_PLURALS}[_lower(tokens, more)])
        end = more + 1
    habit = (
        word in _PLURALS
        or _lower(tokens, at - 1) in {"any", "every", "each", "a"}
        or (len(found) > 1 and _lower(tokens, at + 1) == "/")
    )
    return (_named(found), end) if habit else None


def _named(days: Iterable[int]) -> OfDay:
    return OfDay(tuple(WEEKDAYS[day] for day in sorted(days)))


def _hours(tokens: tuple[Token, ...], at: int) -> tuple[OfDay, int] | None:
    between = _lower(tokens, at) in {"between", "from", "btw"}
    first = _clock(tokens, at + between)
    if first is not None and (_lower(tokens, first[2]) in _TO or (between and _lower(tokens, first[2]) == "and")):
        last = _clock(tokens, first[2] + 1)
        if last is not None and (first[1] or last[1]):
            begin, end = first[0], last[0]
            if not first[1] and last[1] == "pm" and begin + _DAY // 2 < end:  # "5 to 9pm"
                begin += _DAY // 2
            return (OfDay((), (begin % _DAY, end % _DAY)), last[2]) if begin != end else None
    for words in (*_BEFORE, *_AFTER):
        if lowers(tokens, at, len(words)) == words and (one := _clock(tokens, at + len(words))) is not None and one[1]:
            end = next((one[2] + len(more) for more in _ON if lowers(tokens, one[2], len(more)) == more), one[2])
            if words == ("from",) and end == one[2]:
                return None
            return OfDay((), (0, one[0]) if words in _BEFORE else (one[0], 0)), end
    return None


def _clock(tokens: tuple[Token, ...], at: int) -> tuple[int, str, int] | None:
    """Return the minute of the day, by what it is known for one ("" where it is only a number), and the position behind it."""
    if at >= len(tokens):
        return None
    token = tokens[at]
    if token.lower in _NAMED:
        return _NAMED[token.lower], "named", at + 1
    written = _CLOCK.fullmatch(token.lower)
    if written is not None:
        return _minute(int(written[1]), int(written[2] or 0), written[3], at + 1)
    if token.kind != "number" or not (token.text.isdigit() or token.text.isalpha()):
        return None
    hour, minute, end, half = int(token.value), 0, at + 1, ""
    if _lower(tokens, at + 1) == ":" and _lower(tokens, at + 2).isdigit() and len(_lower(tokens, at + 2)) == 2:  # noqa: PLR2004
        minute, end, half = int(_lower(tokens, at + 2)), at + 3, "h"
    if _lower(tokens, end) in _HALVES:
        half, end = _HALVES[_lower(tokens, end)] or half or "h", end + 1
        end += _lower(tokens, end) == "." and half in {"am", "pm"}
    elif lowers(tokens, end, 2) in {("in", "the"), ("at", "night")} or lowers(tokens, end, 1) == ("at",):
        place = end + (2 if lowers(tokens, end, 2) == ("in", "the") else 1)
        if _lower(tokens, place) in _PARTS:
            half, end = _PARTS[_lower(tokens, place)], place + 1
    return _minute(hour, minute, half, end)


def _minute(hour: int, minute: int, half: str, end: int) -> tuple[int, str, int] | None:
    if half in {"am", "pm"}:
        hour = hour % 12 + (12 if half == "pm" else 0) if 0 < hour <= 12 else hour  # noqa: PLR2004
    if hour > 24 or minute > 59:  # noqa: PLR2004
        return None
    return (hour * 60 + minute) % _DAY, half, end
