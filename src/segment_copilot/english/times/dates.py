"""Dates in words, and calendar stretches as instants."""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from segment_copilot.english.times.phrases import Length, lowers
from segment_copilot.english.words.lexer import Token
from segment_copilot.english.words.stems import listed
from segment_copilot.language.lengths import day_start

_MONTH_NAMES = listed("january february march april may june july august september october november december")
MONTHS = {name: number for number, name in enumerate(_MONTH_NAMES, 1)} | {
    name[:3]: number for number, name in enumerate(_MONTH_NAMES, 1) if name != "may"
} | {"sept": 9}  # fmt: skip
WEEKDAYS = {
    name: number
    for number, name in enumerate(["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"])
}
_MONTHS_A_YEAR = 12
YEARS = range(1970, 2200)


def local_date(as_of: datetime, timezone: str) -> date:
    """The day it is in *timezone*."""
    return as_of.astimezone(ZoneInfo(timezone)).date()


def local(instant: datetime, timezone: str) -> datetime:
    """Return the same instant on the clocks of *timezone*."""
    return instant.astimezone(ZoneInfo(timezone))


def midnight(day: date, timezone: str) -> datetime:
    """The instant at which *day* begins there, in UTC."""
    return day_start(day, ZoneInfo(timezone))


def back(as_of: datetime, length: Length, timezone: str) -> datetime:
    """*length* before *as_of*: calendar steps for days and more, absolute for hours and minutes."""
    if length.unit in {"m", "h"}:
        return as_of - timedelta(**{"minutes" if length.unit == "m" else "hours": length.count})
    local = as_of.astimezone(ZoneInfo(timezone))
    day = add_months(local.date(), -length.count * (12 if length.unit == "y" else 1)) if length.unit in {"mo", "y"} else (
        local.date() - timedelta(days=length.days or 0)
    )  # fmt: skip
    return datetime.combine(day, local.time(), ZoneInfo(timezone)).astimezone(UTC)


def add_months(day: date, months: int) -> date:
    """Return the same day of another month, clamped to its last."""
    year, month = divmod(day.year * _MONTHS_A_YEAR + day.month - 1 + months, _MONTHS_A_YEAR)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def period(name: str, today: date) -> tuple[date, date]:
    """The first day of a calendar period (today, this_week, last_month and so on) and the first day after it."""
    if name in {"today", "yesterday", "tomorrow"}:
        first = today + timedelta(days={"yesterday": -1, "tomorrow": 1}.get(name, 0))
        return first, first + timedelta(days=1)
    which, _, unit = name.partition("_")
    first = _first(unit, today)
    if which == "last":
        first = _first(unit, first - timedelta(days=1))
    elif which == "next":
        first = _following(unit, first)
    return first, _following(unit, first)


def _first(unit: str, day: date) -> date:
    if unit == "week":
        return day - timedelta(days=day.weekday())
    if unit == "month":
        return day.replace(day=1)
    if unit == "quarter":
        return date(day.year, 3 * ((day.month - 1) // 3) + 1, 1)
    return date(day.year, 1, 1)


def _following(unit: str, first: date) -> date:
    if unit == "week":
        return first + timedelta(days=7)
    return add_months(first, {"month": 1, "quarter": 3}.get(unit, 12))


def read_date(tokens: tuple[Token, ...], at: int, today: date) -> tuple[date, date, int] | None:
    """A date, month, quarter or year at *at*: its first day, the first day after it, and the position after."""
    if at < len(tokens) and tokens[at].lower == "the":
        at += 1
    if lowers(tokens, at, 2) == ("month", "of"):
        at += 2
    return (
        _iso(tokens, at) or _month(tokens, at, today) or _day_month(tokens, at, today) or _quarter(tokens, at, today)
        or _year(tokens, at) or _relative(tokens, at, today)
    )  # fmt: skip


def _iso(tokens: tuple[Token, ...], at: int) -> tuple[date, date, int] | None:
    if at >= len(tokens) or tokens[at].kind != "date":
        return None
    text = tokens[at].text
    try:
        first = date.fromisoformat(text if len(text) > len("2024-01") else f"{text}-01")
    except ValueError:
        return None
    after = first + timedelta(days=1) if len(text) > len("2024-01") else add_months(first, 1)
    return first, after, at + 1


def _number_at(tokens: tuple[Token, ...], at: int) -> int | None:
    if at < len(tokens) and tokens[at].kind == "number" and float(tokens[at].value).is_integer():
        return int(tokens[at].value)
    return None


def _year_at(tokens: tuple[Token, ...], at: int) -> tuple[int | None, int]:
    skip = at + 1 if lowers(tokens, at, 1) in {(",",), ("of",)} else at
    year = _number_at(tokens, skip)
    return (year, skip + 1) if year in YEARS else (None, at)


def _past_year(month: int, day: int, today: date) -> int:
    """The latest year in which that day is not in the future."""
    return today.year if (month, day) <= (today.month, today.day) else today.year - 1


def _month(tokens: tuple[Token, ...], at: int, today: date) -> tuple[date, date, int] | None:
    """June, June 5, June 5th 2026, June 2026."""
    month = MONTHS.get(tokens[at].lower) if at < len(tokens) else None
    if month is None:
        return None
    day = _number_at(tokens, at + 1)
    if day is not None and 1 <= day <= monthrange(2024, month)[1]:
        end = at + 3 if lowers(tokens, at + 2, 1) in {("st",), ("nd",), ("rd",), ("th",)} else at + 2
        return _day(day, month, _year_at(tokens, end), today)
    year, end = _year_at(tokens, at + 1)
    first = date(year or _past_year(month, 1, today), month, 1)
    return first, add_months(first, 1), end


def _day_month(tokens: tuple[Token, ...], at: int, today: date) -> tuple[date, date, int] | None:
    """5 June, 5th of June 2026."""
    day = _number_at(tokens, at)
    end = at + 1
    while lowers(tokens, end, 1) in {("st",), ("nd",), ("rd",), ("th",), ("of",)}:
        end += 1
    month = MONTHS.get(tokens[end].lower) if end < len(tokens) else None
    if day is None or month is None or not 1 <= day <= monthrange(2024, month)[1]:
        return None
    return _day(day, month, _year_at(tokens, end + 1), today)


def _day(day: int, month: int, year: tuple[int | None, int], today: date) -> tuple[date, date, int] | None:
    number = year[0] or _past_year(month, day, today)
    if day > monthrange(number, month)[1]:
        return None
    first = date(number, month, day)
    return first, first + timedelta(days=1), year[1]


_QUARTERS = {"first": 1, "second": 2, "third": 3, "fourth": 4}


def _quarter(tokens: tuple[Token, ...], at: int, today: date) -> tuple[date, date, int] | None:
    """Q2, Q2 2026, the second quarter of 2026."""
    word = tokens[at].lower if at < len(tokens) else ""
    spoken = lowers(tokens, at + 1, 1) == ("quarter",) and word in _QUARTERS
    if not spoken and word not in {"q1", "q2", "q3", "q4"}:
        return None
    month = 3 * (_QUARTERS[word] if spoken else int(word[1])) - 2
    year, end = _year_at(tokens, at + 2 if spoken else at + 1)
    first = date(year or _past_year(month, 1, today), month, 1)
    return first, add_months(first, 3), end


def _year(tokens: tuple[Token, ...], at: int) -> tuple[date, date, int] | None:
    year = _number_at(tokens, at)
    if year is None or year not in YEARS or tokens[at].text != str(year):
        return None
    return date(year, 1, 1), date(year + 1, 1, 1), at + 1


def _relative(tokens: tuple[Token, ...], at: int, today: date) -> tuple[date, date, int] | None:
    """Today, yesterday, Monday, last Monday, the start of the year, this month."""
    one = lowers(tokens, at, 1)
    if one and one[0] in {"today", "yesterday"}:
        return *period(one[0], today), at + 1
    if one in {("last",), ("this",)} and set(lowers(tokens, at + 1, 1)) & set(WEEKDAYS):
        at, one = at + 1, lowers(tokens, at + 1, 1)
    if one and one[0] in WEEKDAYS:
        first = today - timedelta(days=(today.weekday() - WEEKDAYS[one[0]]) % 7)
        return first, first + timedelta(days=1), at + 1
    if lowers(tokens, at, 2) in {("start", "of"), ("beginning", "of")}:
        rest = at + 3 if lowers(tokens, at + 2, 1) == ("the",) else at + 2
        return _named_period(tokens, rest, today) or _bare_period(tokens, rest, today)
    return _named_period(tokens, at, today)


def _named_period(tokens: tuple[Token, ...], at: int, today: date) -> tuple[date, date, int] | None:
    which, unit = lowers(tokens, at, 1), lowers(tokens, at + 1, 1)
    if not (set(which) & {"this", "last", "previous"} and set(unit) & _UNITS):
        return None
    return *period(f"{'this' if which == ('this',) else 'last'}_{unit[0]}", today), at + 2


_UNITS = {"week", "month", "quarter", "year"}


def _bare_period(tokens: tuple[Token, ...], at: int, today: date) -> tuple[date, date, int] | None:
    word = tokens[at].lower if at < len(tokens) else ""
    return (*period(f"this_{word}", today), at + 1) if word in {"week", "month", "quarter", "year"} else None
