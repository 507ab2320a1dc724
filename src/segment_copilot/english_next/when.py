"""Reads when: what the readers of windows know, and the shorter and looser ways in which people write dates and lengths."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from typing import Final

from msgspec import structs

from segment_copilot.english.times import dates, phrases, windows
from segment_copilot.english.words.lexer import Token, written

Read = tuple[windows.Window, int]

_NOW: Final = tuple(
    tuple(words.split())
    for words in (
        "up to now", "up until now", "until now", "till now", "to now", "up to today", "until today", "till today",
        "to date", "so far", "up to and including today", "including today", "counting back from today", "from now",
        "from today", "back from now", "back from today", "before now", "before today", "leading up to today",
        "leading up to now", "counted from today", "as of today", "as of now", "ending today", "ending now",
        "that just passed", "just passed", "just gone", "gone by",
    )
)  # fmt: skip
"""What may stand behind a length that ends now."""
_BETWEEN: Final = {"to", "-", "until", "till", "through", "and", "—"}
_LEADS: Final = {"in", "on", "during", "within", "over", "for", "throughout", "of", "at", "around"}
_LOOSE: Final = {"may", "march", "mar", "sun", "sat", "august", "second", "dec"}
"""Names of months that are words too: alone, they are a month only with a capital."""
_HALVES: Final = {"first": 1, "1st": 1, "second": 7, "2nd": 7, "h1": 1, "h2": 7}
_ORDINALS: Final = {"first": 1, "second": 2, "third": 3, "fourth": 4, "last": 4}
_ENDINGS: Final = {"st", "nd", "rd", "th"}
_YEARS: Final = range(1900, 2200)
_LONG_MONTHS: Final = frozenset(name for name in dates.MONTHS if len(name) > 3)  # noqa: PLR2004


def window(tokens: tuple[Token, ...], at: int, today: date) -> Read | None:
    """Return the window at *at*, and the position behind it."""
    for read in _READERS:
        found = read(tokens, at, today)
        if found is not None:
            said, end = found
            end = _past_now(tokens, end) if said.kind == "last" else end
            return structs.replace(said, text=written(tokens[at:end])), end
    found = windows.window(tokens, at, today)
    if found is None or found[0].kind != "last":
        return found
    return found[0], _past_now(tokens, found[1])


def _lower(tokens: tuple[Token, ...], at: int) -> str:
    return tokens[at].lower if 0 <= at < len(tokens) else ""


def _past_now(tokens: tuple[Token, ...], at: int) -> int:
    """Return the position behind words that say no more than that a length ends now."""
    if _lower(tokens, at) == "," and any(phrases.lowers(tokens, at + 1, len(words)) == words for words in _NOW):
        at += 1
    for words in _NOW:
        if phrases.lowers(tokens, at, len(words)) == words:
            return at + len(words)
    return at


def _behind_lead(tokens: tuple[Token, ...], at: int) -> tuple[int, str]:
    lead = _lower(tokens, at) if _lower(tokens, at) in _LEADS else ""
    at += bool(lead)
    return at + (_lower(tokens, at) == "the"), lead


def _range(first: date, after: date | None, lead: str = "in") -> windows.Window:
    return windows.Window("range", lead=lead, first=first, after=after)


def _day(tokens: tuple[Token, ...], at: int) -> tuple[int, int] | None:
    """Return the number of a day at a position ("1", "1st", "the first"), and the position behind it."""
    at += _lower(tokens, at) == "the"
    token = tokens[at] if at < len(tokens) else None
    if token is None or token.kind != "number" or not float(token.value).is_integer() or not 1 <= token.value <= 31:  # noqa: PLR2004
        return None
    return int(token.value), at + 1 + (_lower(tokens, at + 1) in _ENDINGS)


def _year(tokens: tuple[Token, ...], at: int) -> tuple[int | None, int]:
    skip = at + (_lower(tokens, at) in {",", "of"})
    token = tokens[skip] if skip < len(tokens) else None
    if token is not None and token.kind == "number" and token.value in _YEARS and len(token.text) == 4:  # noqa: PLR2004
        return int(token.value), skip + 1
    return None, at


def _dated(day: int, month: int, year: int | None, today: date) -> date | None:
    number = year or (today.year if (month, day) <= (today.month, today.day) else today.year - 1)
    try:
        return date(number, month, day)
    except ValueError:
        return None


def _days(tokens: tuple[Token, ...], at: int, today: date) -> Read | None:
    """Between 1 and 15 March; 28-30 Nov 2025; March 1 to 15."""
    start, lead = _behind_lead(tokens, at)
    start += _lower(tokens, start) in {"between", "from"}
    low = _day(tokens, start)
    if low is not None:
        if _lower(tokens, low[1]) not in _BETWEEN:
            return None
        high = _day(tokens, low[1] + 1)
        month_at = high[1] + (_lower(tokens, high[1]) == "of") if high else 0
        month = dates.MONTHS.get(_lower(tokens, month_at)) if high else None
        end = month_at + 1
    else:
        month = dates.MONTHS.get(_lower(tokens, start))
        low = _day(tokens, start + 1) if month else None
        high = _day(tokens, low[1] + 1) if low and _lower(tokens, low[1]) in _BETWEEN else None
        end = high[1] if high else 0
        if high and dates.MONTHS.get(_lower(tokens, end)):
            return None
    if low is None or high is None or month is None or low[0] >= high[0]:
        return None
    year, end = _year(tokens, end)
    first, last = _dated(low[0], month, year, today), _dated(high[0], month, year, today)
    if first is None or last is None:
        return None
    if last < first:  # it goes on today
        last = last.replace(year=first.year)
    return _range(first, last + timedelta(days=1), lead or "in"), end


def _months(tokens: tuple[Token, ...], at: int, today: date) -> Read | None:
    """Jan-Mar; March through May; Nov-Dec 2025."""
    start, lead = _behind_lead(tokens, at)
    start += _lower(tokens, start) in {"between", "from"} and lead != "from"
    one, two = dates.MONTHS.get(_lower(tokens, start)), dates.MONTHS.get(_lower(tokens, start + 2))
    joint = _lower(tokens, start + 1)
    opened = start > at and _lower(tokens, start - 1) in {"between", "from"}
    if one is None or two is None or joint not in _BETWEEN or (joint == "and" and not opened):
        return None
    year, end = _year(tokens, start + 3)
    last = _dated(1, two, year, today)
    if last is None:
        return None
    first = date(last.year - (one > two), one, 1)
    return _range(first, dates.add_months(last, 1), lead or "in"), end


def _years(tokens: tuple[Token, ...], at: int, today: date) -> Read | None:
    """1980 through 1989; from 1990 to 1999."""
    del today
    start, lead = _behind_lead(tokens, at)
    start += _lower(tokens, start) in {"between", "from"}
    opened = start > at and _lower(tokens, start - 1) in {"between", "from"}
    low, high = _year(tokens, start)[0], _year(tokens, start + 2)[0]
    joint = _lower(tokens, start + 1)
    if low is None or high is None or low >= high or joint not in _BETWEEN or (joint == "and" and not opened):
        return None
    return _range(date(low, 1, 1), date(high + 1, 1, 1), lead or "in"), start + 3


def _early_year(tokens: tuple[Token, ...], at: int, today: date) -> Read | None:
    """Before 1960; in 1958; since 1949: years in which people are born."""
    del today
    word, (year, end) = _lower(tokens, at), _year(tokens, at + 1)
    if year is None or year >= 1970 or word not in {"before", "after", "since", "in", "until"}:  # noqa: PLR2004
        return None
    first, after = date(year, 1, 1), date(year + 1, 1, 1)
    ends = {
        "before": (None, first),
        "after": (after, None),
        "since": (first, None),
        "in": (first, after),
        "until": (None, after),
    }
    return windows.Window("range", lead="in" if word == "in" else "", first=ends[word][0], after=ends[word][1]), end


def _half(tokens: tuple[Token, ...], at: int, today: date) -> Read | None:
    """H1 2026; the first half of the year; the second half of June."""
    start, lead = _behind_lead(tokens, at)
    word = _lower(tokens, start)
    if word not in _HALVES:
        return None
    end = start + 1
    if word in {"first", "second", "1st", "2nd"}:
        if _lower(tokens, end) != "half" or _lower(tokens, end + 1) not in {"of", "-"}:
            return None
        end += 2
        end += _lower(tokens, end) == "the"
        month = dates.MONTHS.get(_lower(tokens, end))
        if month is not None:
            year, end = _year(tokens, end + 1)
            whole = _dated(1, month, year, today)
            middle = whole and whole + timedelta(days=15)
            if whole is None or middle is None:
                return None
            early = _HALVES[word] == 1
            return _range(
                whole if early else middle, middle if early else dates.add_months(whole, 1), lead or "in"
            ), end
        end += _lower(tokens, end) == "year" or -1
    year, end = _year(tokens, end)
    first = _dated(1, _HALVES[word], year, today)
    return None if first is None else (_range(first, dates.add_months(first, 6), lead or "in"), end)


def _before_last(tokens: tuple[Token, ...], at: int, today: date) -> Read | None:
    """The month before last; the day before yesterday; the weekend; last weekend."""
    start, lead = _behind_lead(tokens, at)
    unit = _lower(tokens, start)
    if phrases.lowers(tokens, start, 3) == ("day", "before", "yesterday"):
        return _range(today - timedelta(days=2), today - timedelta(days=1), lead or "in"), start + 3
    if unit in {"week", "month", "quarter", "year"} and phrases.lowers(tokens, start + 1, 2) == ("before", "last"):
        first, _ = dates.period(f"last_{unit}", today)
        earlier, after = dates.period(f"last_{unit}", first)
        return _range(earlier, after, lead or "in"), start + 3
    which = unit if unit in {"last", "this", "past", "previous"} else ""
    if which and _lower(tokens, start + 1) == "weekend" and lead != "of":
        monday = today - timedelta(days=today.weekday())
        saturday = monday + timedelta(days=5) if which == "this" and today.weekday() > 4 else monday - timedelta(days=2)  # noqa: PLR2004
        return _range(saturday, saturday + timedelta(days=2), lead or "in"), start + 2
    return None


def _running(tokens: tuple[Token, ...], at: int, today: date) -> Read | None:
    """In the three weeks up to now; the two weeks until today: a length that is said to end now."""
    del today
    start, lead = _behind_lead(tokens, at)
    read = phrases.length(tokens, start) if _lower(tokens, start - 1) in {"the", "in", "within", "over"} else None
    if read is None or _past_now(tokens, read[1]) == read[1]:
        return None
    return windows.Window("last", lead=lead or "in", rolling=True, length=read[0]), read[1]


def _since_length(tokens: tuple[Token, ...], at: int, today: date) -> Read | None:
    """Since 6 weeks: as those say it who mean "for 6 weeks"."""
    del today
    if _lower(tokens, at) != "since":
        return None
    compared = phrases.comparator(tokens, at + 1)
    start = compared[1] if compared else at + 1
    read = phrases.length(tokens, start)
    if read is None or read[1] == start + 1 or _lower(tokens, read[1]) in {"ago", "back"}:
        return None
    operator = compared[0] if compared else None
    lead = "in" if operator in {"lt", "lte"} else "for"
    return windows.Window("last", lead=lead, length=read[0], operator=operator), read[1]


def _same(tokens: tuple[Token, ...], at: int, today: date) -> Read | None:
    """In those days; that month; in the same two weeks: when something was that is spoken of before."""
    del today
    start = at + (_lower(tokens, at) in _LEADS)
    if (
        at == 0
        or _lower(tokens, start) not in {"that", "those", "these", "this"}
        or (start == at and _lower(tokens, at) != "that")
    ):
        return None
    length = phrases.length(tokens, start + 1)
    end = length[1] if length else start + 2
    unit = _lower(tokens, end - 1)
    pointed = unit in {"month", "quarter", "year"} if _lower(tokens, start) == "that" else unit in _SPANS
    return (windows.Window("same"), end) if pointed else None


_SPANS: Final = frozenset({"days", "weeks", "months"})


def _periods_of(tokens: tuple[Token, ...], at: int, today: date) -> Read | None:
    """Every week of the last six; three months out of the last five: so many of what was said to be counted."""
    del today
    back = at - 1
    while back > 0 and _lower(tokens, back) in {"of", "out", "the", "in"}:
        back -= 1
    unit = _PERIODS_OF.get(_lower(tokens, back)) if back < at - 1 else None
    at += _lower(tokens, at) == "the"
    number = tokens[at + 1] if _lower(tokens, at) in {"last", "past"} and at + 1 < len(tokens) else None
    if unit is None or number is None or number.kind != "number" or phrases.length(tokens, at + 1) is not None:
        return None
    read = phrases.quantity(tokens, at + 1)
    if read is None or read[1] != at + 2 or not float(read[0].value).is_integer():
        return None
    return windows.Window("last", lead="of", rolling=True, length=phrases.Length(int(read[0].value), unit)), at + 2


_PERIODS_OF: Final[Mapping[str, phrases.Unit]] = {"week": "w", "weeks": "w", "month": "mo", "months": "mo"}


def _bare(tokens: tuple[Token, ...], at: int, today: date) -> Read | None:
    """Q1 2026; June 2025; 5 June; "May" with a capital: a date without a preposition."""
    token = tokens[at]
    if token.kind not in {"word", "date", "number"} or _lower(tokens, at - 1) in _LEADS | {
        "since", "after", "before", "until", "till", "from", "between", "by", "next", "the", "than", "over", "under", "least", "most",
    }:  # fmt: skip
        return None
    if token.kind == "number" and (
        _day(tokens, at) is None or _lower(tokens, at - 1) in {"-", ">", "<", ">=", "<=", "="}
    ):
        return None
    read = dates.read_date(tokens, at, today)
    if read is None or _lower(tokens, read[2]) in {"-", "to", "cohort", "campaign", "collection", "sale", "season"}:
        return None
    if token.kind == "word" and not _is_date(tokens, at, read[2]):
        return None
    return _range(read[0], read[1]), read[2]


def _is_date(tokens: tuple[Token, ...], at: int, end: int) -> bool:
    token, month = tokens[at], _lower(tokens, at) in dates.MONTHS
    if re.fullmatch(r"q[1-4]", token.lower):
        return True
    if not month:
        return _lower(tokens, at + 1) == "quarter" and end > at + 2
    if end > at + 1:
        return True
    capital = token.text[:1].isupper() and _lower(tokens, at - 1) not in {".", "!", "?"}
    return (
        token.lower in _LONG_MONTHS if token.lower not in _LOOSE else capital and _lower(tokens, at + 1) not in _MODAL
    )


_MODAL: Final = {"i", "we", "you", "it", "they", "be", "have", "the", "a", "one", "not", "also"}
"""What stands behind "May" where it asks for leave."""
_READERS: Final[tuple[Callable[[tuple[Token, ...], int, date], Read | None], ...]] = (
    _days, _months, _years, _early_year, _half, _before_last, _running, _since_length, _same, _periods_of, _bare,
)  # fmt: skip
_SHORT: Final = re.compile(
    r"(?:l|p|r|last|past|prev|rolling|trailing)-?(\d+)(d|w|wk|wks|m|mo|mos|mth|mths|q|y|h|days?|weeks?|months?)?"
)
_UNITS: Final = {"d": "days", "w": "weeks", "wk": "weeks", "wks": "weeks", "m": "months", "mo": "months", "mos": "months",
                 "mth": "months", "mths": "months", "q": "quarters", "y": "years", "h": "hours"}  # fmt: skip


def opened(text: str) -> str | None:
    """Return the plain words of a window in short: "L30D", "p12m"; none for any other word."""
    found = _SHORT.fullmatch(text.lower())
    if found is None or not (found[2] or len(found[1]) > 1):
        return None
    unit = found[2] or "d"
    return f"last {found[1]} {_UNITS.get(unit, unit)}"


__all__ = ["opened", "window"]
