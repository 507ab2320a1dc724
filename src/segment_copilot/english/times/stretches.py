"""Reads stretches of the calendar, however they are written: days, weeks, months, quarters, halves, years, and parts of these."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Final

from msgspec import Struct, structs

from segment_copilot.english.times.dates import MONTHS, WEEKDAYS, add_months, period
from segment_copilot.english.times.phrases import lowers
from segment_copilot.english.words.lexer import Token

JOINTS: Final = frozenset({"to", "-", "until", "till", "through", "and", "—", "up"})
_ENDINGS: Final = frozenset({"st", "nd", "rd", "th"})
_ORDINALS: Final = {
    name: at
    for at, names in enumerate(("first 1st", "second 2nd", "third 3rd", "fourth 4th", "fifth 5th"), 1)
    for name in names.split()
} | {"last": -1, "final": -1}  # fmt: skip
_SIZES: Final = {"day": 1, "days": 1, "week": 7, "weeks": 7, "fortnight": 14, "fortnights": 14}
_PERIODS: Final = {"week", "month", "quarter", "year"}
_EDGES: Final = {"start": 0, "beginning": 0, "begin": 0, "outset": 0, "end": -1, "close": -1, "middle": 14, "mid": 14}
_FEASTS: Final = {
    ("christmas", "day"): (12, 25), ("christmas", "eve"): (12, 24), ("christmas",): (12, 25), ("xmas",): (12, 25),
    ("boxing", "day"): (12, 26), ("new", "year", "eve"): (12, 31), ("new", "year", "day"): (1, 1), ("new", "year"): (1, 1),
    ("halloween",): (10, 31), ("valentine", "day"): (2, 14),
}  # fmt: skip


class Stretch(Struct, frozen=True):
    """The days from *first* up to the day before *after*, said by the tokens up to *end*.

    *sure* where the year was said too; *edge* where it is a day that only bounds another stretch: "the end of May".
    """

    first: date
    after: date
    end: int
    sure: bool = False
    edge: bool = False


def stretch(tokens: tuple[Token, ...], at: int, today: date) -> Stretch | None:
    """Return the stretch at a position."""
    at += _lower(tokens, at) == "the"
    if lowers(tokens, at, 2) == ("month", "of") or lowers(tokens, at, 2) == ("calendar", "year"):
        at += 2
    for read in _READERS:
        if (found := read(tokens, at, today)) is not None:
            return found
    return None


def several(tokens: tuple[Token, ...], at: int, today: date, *, opened: bool) -> Stretch | None:
    """Return the stretch from one day to another: "1 to 15 March", "Nov-Dec 2025"; *opened* by "between" or "from"."""
    at += _lower(tokens, at) == "the"
    at += 2 * (lowers(tokens, at, 2) == ("week", "of"))
    return _of_days(tokens, at, today) or _of_two(tokens, at, today, opened=opened)


def _lower(tokens: tuple[Token, ...], at: int) -> str:
    return tokens[at].lower if 0 <= at < len(tokens) else ""


def _whole(tokens: tuple[Token, ...], at: int, most: int) -> int | None:
    """Return the whole number at a position, from 1 to *most*."""
    token = tokens[at] if at < len(tokens) else None
    good = token is not None and token.kind == "number" and float(token.value).is_integer() and 1 <= token.value <= most
    return int(token.value) if token is not None and good else None


def day_number(tokens: tuple[Token, ...], at: int) -> tuple[int, int] | None:
    """Return the number of a day ("1", "1st", "the first"), and the position behind it."""
    at += _lower(tokens, at) == "the"
    if _lower(tokens, at) == "first":
        return 1, at + 1
    number = _whole(tokens, at, 31)
    return None if number is None else (number, at + 1 + (_lower(tokens, at + 1) in _ENDINGS))


def year_at(tokens: tuple[Token, ...], at: int, today: date) -> tuple[int | None, int]:
    """Return the year at a position ("2026", "of last year"), and the position behind it."""
    skip = at + (_lower(tokens, at) in {",", "of"})
    skip += 1 if lowers(tokens, skip, 2) in {("the", "year"), ("year", "of")} else 0
    token = tokens[skip] if skip < len(tokens) else None
    if token is not None and token.kind == "number" and len(token.text) == 4 and 1900 <= token.value < 2200:  # noqa: PLR2004
        return int(token.value), skip + 1
    said = lowers(tokens, at + (_lower(tokens, at) == "of"), 2)
    if said[1:] == ("year",) and said[0] in {"this", "last", "previous"}:
        return today.year - (said[0] != "this"), at + 2 + (_lower(tokens, at) == "of")
    return None, at


def _dated(day: int, month: int, year: int | None, today: date) -> date | None:
    number = year or (today.year if (month, day) <= (today.month, today.day) else today.year - 1)
    try:
        return date(number, month, day)
    except ValueError:
        return None


def _days_from(first: date | None, end: int, *, sure: bool, days: int = 1) -> Stretch | None:
    return None if first is None else Stretch(first, first + timedelta(days=days), end, sure)


def _months_from(first: date | None, months: int, end: int, *, sure: bool) -> Stretch | None:
    return None if first is None else Stretch(first, add_months(first, months), end, sure)


# One stretch


def _iso(tokens: tuple[Token, ...], at: int, today: date) -> Stretch | None:
    """2026-06-01; 2026-06."""
    del today
    text = tokens[at].text if at < len(tokens) and tokens[at].kind == "date" else ""
    try:
        first = date.fromisoformat(text if len(text) > len("2026-06") else f"{text}-01")
    except ValueError:
        return None
    whole = len(text) > len("2026-06")
    return _days_from(first, at + 1, sure=True) if whole else _months_from(first, 1, at + 1, sure=True)


def _day(tokens: tuple[Token, ...], at: int, today: date) -> Stretch | None:
    """June 5th 2026; the 5th of June; the first of June."""
    month = MONTHS.get(_lower(tokens, at))
    number = day_number(tokens, at + 1) if month else day_number(tokens, at)
    if number is None:
        return None
    end = number[1]
    if month is None:
        end += _lower(tokens, end) == "of"
        end += 2 * (lowers(tokens, end, 2) == ("month", "of"))
        month, end = MONTHS.get(_lower(tokens, end)), end + 1
    elif _lower(tokens, at + 1) == "first" and _lower(tokens, end) in _SIZES:
        return None  # "June first week"
    if month is None:
        return None
    year, end = year_at(tokens, end, today)
    return _days_from(_dated(number[0], month, year, today), end, sure=year is not None)


def _month(tokens: tuple[Token, ...], at: int, today: date) -> Stretch | None:
    """June; June 2026; December last year."""
    month = MONTHS.get(_lower(tokens, at))
    if month is None:
        return None
    year, end = year_at(tokens, at + 1, today)
    return _months_from(_dated(1, month, year, today), 1, end, sure=year is not None)


def _third(tokens: tuple[Token, ...], at: int, today: date) -> Stretch | None:
    """Q2; Q1 26; the second quarter of 2026; H1; 2024 H2."""
    year, start = year_at(tokens, at, today)
    ahead, word = year is not None, _lower(tokens, start)
    size = {"q": 3, "h": 6}.get(word[:1], 0) if len(word) == 2 and word[1] in "1234" else 0  # noqa: PLR2004
    number, end = int(word[1]) if size else _ORDINALS.get(word, 0), start + 1
    if not size and _lower(tokens, end) == "quarter" and number > 0:
        size, end = 3, end + 1
    if not size and word == "quarter" and (counted := _whole(tokens, end, 4)):
        size, number, end = 3, counted, end + 1
    if not size or number * size > 12 or _lower(tokens, end) == "split":  # noqa: PLR2004
        return None
    if not ahead:
        year, end = year_at(tokens, end, today)
        short = _whole(tokens, end, 99) if year is None and word[0] in "qh" and len(word) == 2 else None  # noqa: PLR2004
        if short is not None and len(tokens[end].text) == 2:  # noqa: PLR2004
            year, end = 2000 + short, end + 1
    return _months_from(_dated(1, (number - 1) * size + 1, year, today), size, end, sure=year is not None)


def _year(tokens: tuple[Token, ...], at: int, today: date) -> Stretch | None:
    """2025; the year 2025."""
    year, end = year_at(tokens, at, today)
    said = year is not None and _lower(tokens, at) not in {",", "of", "this", "last", "previous"}
    return _months_from(date(year, 1, 1), 12, end, sure=True) if said and year else None


def _part(tokens: tuple[Token, ...], at: int, today: date) -> Stretch | None:
    """The first week of June; June first week; the last 10 days of May; the second half of the year."""
    whole = _month(tokens, at, today)
    if whole is not None:
        at = whole.end + (_lower(tokens, whole.end) == "the")
    which = _ORDINALS.get(_lower(tokens, at), 0)
    which = which or (_whole(tokens, at, 5) or 0 if _lower(tokens, at + 1) in _ENDINGS else 0)
    at += 1 + (_lower(tokens, at + 1) in _ENDINGS)
    many = _whole(tokens, at, 31)
    unit = at + (many is not None)
    word, end = _lower(tokens, unit), unit + 1
    if not which or word not in {*_SIZES, "half", "month", "months", "quarter"}:
        return None
    if whole is None:
        end += _lower(tokens, end) in {"of", "-", "in"}
        if end == unit + 1 and _lower(tokens, end) not in MONTHS:
            return None
        whole = _bounded(tokens, end, today)
        end = whole.end if whole else end
    return _cut(whole, which, many or 1, word, end) if whole is not None else None


def _cut(whole: Stretch, which: int, many: int, word: str, end: int) -> Stretch | None:
    months = (whole.after.year - whole.first.year) * 12 + whole.after.month - whole.first.month
    size = {"half": months // 2, "quarter": 3 if months == 12 else 0, "month": many, "months": many}.get(word, 0)  # noqa: PLR2004
    if word == "half" and months == 1:
        middle = whole.first + timedelta(days=15)
        return structs.replace(whole, after=middle, end=end) if which == 1 else structs.replace(whole, first=middle, end=end)  # fmt: skip
    if size:
        begin = add_months(whole.after, -size) if which < 0 else add_months(whole.first, size * (which - 1))
        made = Stretch(begin, add_months(begin, size), end, whole.sure)
    else:
        days = _SIZES.get(word, 0) * many
        begin = whole.after - timedelta(days=days) if which < 0 else whole.first + timedelta(days=days * (which - 1))
        made = Stretch(begin, begin + timedelta(days=days), end, whole.sure)
    return made if whole.first <= made.first < made.after <= whole.after else None


def _edge(tokens: tuple[Token, ...], at: int, today: date) -> Stretch | None:
    """The start of April; the end of last month; mid May."""
    word = _lower(tokens, at)
    if word not in _EDGES:
        return None
    end = at + 1
    if word == "mid":
        end += _lower(tokens, end) == "-"
    elif _lower(tokens, end) != "of":
        return None
    else:
        end += 1
    whole = _bounded(tokens, end, today)
    if whole is None or (_EDGES[word] > 0 and (whole.after - whole.first).days > 31):  # noqa: PLR2004
        return None
    day = whole.after - timedelta(days=1) if _EDGES[word] < 0 else whole.first + timedelta(days=_EDGES[word])
    return Stretch(day, day + timedelta(days=1), whole.end, whole.sure, edge=True)


def _bounded(tokens: tuple[Token, ...], at: int, today: date) -> Stretch | None:
    """Return the stretch that has an end or a part: a named one, or "the month" for the one it is."""
    at += _lower(tokens, at) == "the"
    if _lower(tokens, at) in _PERIODS:
        first, after = period(f"this_{_lower(tokens, at)}", today)
        year, end = year_at(tokens, at + 1, today) if _lower(tokens, at) == "year" else (None, at + 1)
        return (
            Stretch(date(year, 1, 1), date(year + 1, 1, 1), end, True) if year else Stretch(first, after, at + 1, True)
        )
    return next((found for read in (_named, _month, _third, _year) if (found := read(tokens, at, today))), None)


def _weekday(tokens: tuple[Token, ...], at: int, today: date) -> Stretch | None:
    """Monday; last Monday; Tuesday of last week; Monday the 15th."""
    start = at + (_lower(tokens, at) in {"last", "this", "past"} and _lower(tokens, at + 1) in WEEKDAYS)
    number = WEEKDAYS.get(_lower(tokens, start))
    if number is None:
        return None
    day, end = today - timedelta(days=(today.weekday() - number) % 7), start + 1
    of = end + (_lower(tokens, end) == "of")
    if lowers(tokens, of, 2) in {("this", "week"), ("last", "week")}:
        monday = period(f"{_lower(tokens, of)}_week", today)[0]
        return _days_from(monday + timedelta(days=number), of + 2, sure=True)
    told = day_number(tokens, end) if _lower(tokens, end) == "the" else None
    if told is not None and _lower(tokens, told[1]) not in MONTHS:
        return _days_from(day, told[1], sure=True) if day.day == told[0] else None
    return _days_from(day, end, sure=True)


def _named(tokens: tuple[Token, ...], at: int, today: date) -> Stretch | None:
    """Today; yesterday; this month; last week; the day before yesterday; the month before last."""
    word = _lower(tokens, at)
    if word in {"today", "yesterday"}:
        return Stretch(*period(word, today), at + 1, True)
    if lowers(tokens, at, 3) == ("day", "before", "yesterday"):
        return _days_from(today - timedelta(days=2), at + 3, sure=True)
    if word in _PERIODS and lowers(tokens, at + 1, 2) == ("before", "last"):
        first, _ = period(f"last_{word}", today)
        return Stretch(*period(f"last_{word}", first), at + 3, True)
    unit = _lower(tokens, at + 1)
    if word in {"this", "last", "previous", "past", "current"} and unit == "weekend":
        monday = today - timedelta(days=today.weekday())
        coming = word == "this" and today.weekday() > 4  # noqa: PLR2004
        return _days_from(monday + timedelta(days=5 if coming else -2), at + 2, sure=True, days=2)
    if word == "this" and unit == "half":
        first = date(today.year, 1 if today.month < 7 else 7, 1)  # noqa: PLR2004
        return _months_from(first, 6, at + 2 + (_lower(tokens, at + 2) == "year"), sure=True)
    if word in {"this", "last", "previous", "current"} and unit in _PERIODS:
        which = "this" if word in {"this", "current"} else "last"
        return Stretch(*period(f"{which}_{unit}", today), at + 2, True)
    return None


def _feast(tokens: tuple[Token, ...], at: int, today: date) -> Stretch | None:
    """Christmas; New Year's Eve; last Halloween."""
    start = at + (_lower(tokens, at) == "last")
    for words, (month, day) in _FEASTS.items():
        if lowers(tokens, start, len(words)) == words:
            year, end = year_at(tokens, start + len(words), today)
            return _days_from(_dated(day, month, year, today), end, sure=year is not None)
    return None


# From one to another


def _of_days(tokens: tuple[Token, ...], at: int, today: date) -> Stretch | None:
    """1 to 15 March; 28-30 nov 2025; March 1 to 15; 13/14 June."""
    month = MONTHS.get(_lower(tokens, at))
    low = day_number(tokens, at + 1 if month else at)
    joint = _lower(tokens, low[1]) if low else ""
    if low is None or joint not in JOINTS | {"/"}:
        return None
    behind = low[1] + 1 + (_lower(tokens, low[1] + 1) == "to")
    high = day_number(tokens, behind)
    if high is None or low[0] >= high[0] or (joint == "/" and high[0] != low[0] + 1):
        return None
    end = high[1]
    if month is None:
        end += _lower(tokens, end) == "of"
        month, end = MONTHS.get(_lower(tokens, end)), end + 1
    elif MONTHS.get(_lower(tokens, end)) or MONTHS.get(_lower(tokens, end + 1)):
        return None
    if month is None:
        return None
    year, end = year_at(tokens, end, today)
    first, last = _dated(low[0], month, year, today), _dated(high[0], month, year, today)
    if first is None or last is None:
        return None
    last = last.replace(year=first.year)  # where it goes on today, the last day is still to come
    return Stretch(first, last + timedelta(days=1), end, year is not None)


def _of_two(tokens: tuple[Token, ...], at: int, today: date, *, opened: bool) -> Stretch | None:
    """March through May; 1 May to 10 June; April 2025 to March 2026; Monday to Friday of last week; from now until 15 July."""
    now = opened and _lower(tokens, at) in {"now", "today"}
    low = Stretch(today, today, at + 1, True) if now else stretch(tokens, at, today)
    joint = _lower(tokens, low.end) if low else ""
    if low is None or joint not in JOINTS or (joint == "and" and not opened):
        return None
    behind = low.end + 1 + (_lower(tokens, low.end + 1) in {"to", "until"})
    if _lower(tokens, behind) == "now":
        return structs.replace(low, after=today + timedelta(days=1), end=behind + 1)
    high = stretch(tokens, behind, today)
    if high is None or (
        not opened and high.after - high.first != low.after - low.first and not low.after.day == high.after.day == 1
    ):
        return None
    first, after = low.first, high.after
    days = _lower(tokens, at) in WEEKDAYS and _lower(tokens, behind) in WEEKDAYS
    if days and low.sure and high.end > behind + 1:  # "Monday to Sunday of last week"
        first = after - timedelta(days=(WEEKDAYS[_lower(tokens, behind)] - WEEKDAYS[_lower(tokens, at)]) % 7 + 1)
    elif high.sure and not low.sure:
        earlier = (first.month, first.day) < (high.first.month, high.first.day)
        first = add_months(first, 12 * (high.first.year - (not earlier) - first.year))
    elif after <= first and (now or not high.sure):
        after = add_months(after, 12)  # "between May 20 and June 20", said in between
    return Stretch(first, after, high.end, high.sure) if first < after else None


_READERS: Final[tuple[Callable[[tuple[Token, ...], int, date], Stretch | None], ...]] = (
    _iso, _part, _edge, _day, _third, _month, _weekday, _named, _feast, _year,
)  # fmt: skip
