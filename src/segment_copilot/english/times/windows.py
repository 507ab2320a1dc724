"""Reads when: rolling windows, calendar periods, dates and ages, as a person says them."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from typing import Any, Literal

from msgspec import Struct

from segment_copilot.english.budget import spend
from segment_copilot.english.times import dates
from segment_copilot.english.times.phrases import Length, Operator, comparator, length, lowers
from segment_copilot.english.words.lexer import Token, written


class Window(Struct, frozen=True):
    """A window is when something happened.

    *kind*: `last` (rolling, *length* back), `period` (calendar, *name*, now *first* up to *after*), `range` (*first* day up to the day before
    *after*; either may be missing), `between` (from *length* to *near* ago), `ago` (compared with *length* ago), `next` (*length* ahead), `ever`, `same` (as another clause).
    *lead* is the preposition it came with; *rolling* whether "last" or "past" was said.
    """

    kind: Literal["last", "next", "period", "range", "between", "ago", "ever", "same"]
    text: str = ""
    lead: str = ""
    rolling: bool = False
    length: Length | None = None
    near: Length | None = None
    assumed: bool = False  # the unit was not said: days
    operator: Operator | None = None
    name: str = ""
    first: date | None = None
    after: date | None = None
    complete: bool = False  # whole days, those before today

    def json(self) -> dict[str, Any]:
        """The fields of a condition that say it; none for `ever`."""
        match self.kind:
            case "last" if self.length and self.complete:
                return {"window": {"last": self.length.json, "days": "complete"}}
            case "last" if self.length and self.length.unit == "d":
                return {"window_days": self.length.count}
            case "last" if self.length:
                return {"window": {"last": self.length.json}}
            case "period":
                return {"window": {"period": self.name}}
            case "between" if self.length and self.near:
                return {"window": {"between": [self.length.json, self.near.json]}}
            case "range":
                ends = {"from": self.first, "to": self.after}
                return {"window": {name: day.isoformat() for name, day in ends.items() if day}}
            case _:
                return {}

    def words(self) -> str:
        """Return it for names and sentences: "in the last 7 days"."""
        match self.kind:
            case "last" if self.length:
                return f"in the last {self.length.words}"
            case "period":
                return self.name.replace("_", " ")
            case "ever":
                return "ever"
            case _:
                return self.text

    def span(self, as_of: datetime, timezone: str) -> tuple[datetime, datetime]:
        """Return from when to when, as instants that do not lie after *as_of*; `ever` and open starts begin in 1970."""
        if self.kind in {"between", "ago"} and self.length:
            return self._back(as_of, timezone, self.length)
        first, after = self._days(as_of, timezone)
        start = dates.midnight(first, timezone)
        if self.kind == "last" and self.length:
            start = dates.back(as_of, self.length, timezone)
        return start, min(as_of, dates.midnight(after, timezone)) if after else as_of

    @property
    def ends_now(self) -> bool:
        """Tell whether it lasts until the instant of the question."""
        if self.kind == "period":
            return self.name == "today" or self.name.startswith("this_")
        recent = self.kind == "ago" and self.operator in {"lt", "lte"}
        return recent or self.kind in {"last", "ever", "same"} or (self.kind == "range" and self.after is None)

    def _back(self, as_of: datetime, timezone: str, length: Length) -> tuple[datetime, datetime]:
        far = dates.back(as_of, length, timezone)
        if self.near:
            return far, dates.back(as_of, self.near, timezone)
        if self.operator in {"lt", "lte"}:
            return far, as_of
        if self.operator in {"gt", "gte"}:
            return dates.midnight(date(1970, 1, 1), timezone), far
        if length.unit in {"m", "h"}:
            return far, far + timedelta(hours=1) if length.unit == "h" else far + timedelta(minutes=1)
        day = dates.local_date(far, timezone)
        return dates.midnight(day, timezone), dates.midnight(day + timedelta(days=1), timezone)

    def _days(self, as_of: datetime, timezone: str) -> tuple[date, date | None]:
        today = dates.local_date(as_of, timezone)
        if self.kind == "period":
            return dates.period(self.name, today)
        if self.kind == "range":
            return self.first or date(1970, 1, 1), self.after
        return date(1970, 1, 1), None


_YEAR = re.compile(r"(?<!\d)\d{4}(?!\d)")


_LEADS = {"in", "within", "during", "over", "for", "from", "through", "throughout", "inside", "across"}
_ROLLING = {"last", "past", "previous", "preceding", "trailing", "recent", "prior", "latest"}
_PERIODS = {"week", "month", "quarter", "year"}
_EVER = (
    ("of", "all", "time"), ("all", "time"), ("at", "any", "time"), ("at", "any", "point"), ("to", "date"), ("so", "far"),
    ("as", "of", "today"), ("as", "of", "now"), ("until", "now"), ("up", "to", "now"), ("in", "their", "lifetime"), ("over", "their", "lifetime"), ("in", "total"), ("all", "-", "time"), ("ever",),
)  # fmt: skip


_SAME = {
    (which, what)
    for which in ("that", "this", "same")
    for what in ("period", "time", "window", "timeframe", "span", "interval")
}


def window(tokens: tuple[Token, ...], at: int, today: date) -> tuple[Window, int] | None:
    """A window at *at*, with its preposition."""
    spend(20)
    for words in _EVER:
        if lowers(tokens, at, len(words)) == words:
            return Window("ever", text=" ".join(words)), at + len(words)
    start, lead = _lead(tokens, at)
    if lead and lowers(tokens, start, 2) in _SAME:
        return Window("same", text=written(tokens[at : start + 2])), start + 2
    found = (
        _age(tokens, start, lead) or _coming(tokens, start) or _rolling(tokens, start) or _calendar(tokens, start, today)
        or _dates(tokens, start, lead, today) or _bounded(tokens, start, lead)
    )  # fmt: skip
    if found is None or (
        found[0].kind == "range" and lowers(tokens, found[1], 1)[:1] and lowers(tokens, found[1], 1)[0] in _NOT_DATED
    ):
        return None
    read, end = found
    return _worded(read, lead, written(tokens[at:end])), end


_NOT_DATED = {"cohort", "cohorts", "campaign", "collection", "season", "sale", "edition", "group"}
"""Nouns that a date in front of them names: "the 2024-02 cohort"."""


def _worded(read: Window, lead: str, text: str) -> Window:
    return Window(
        read.kind, text=text, lead=lead, rolling=read.rolling, length=read.length, near=read.near, assumed=read.assumed,
        operator=read.operator, name=read.name, first=read.first, after=read.after,
    )  # fmt: skip


def _lead(tokens: tuple[Token, ...], at: int) -> tuple[int, str]:
    start, lead = at, ""
    for words in (("at", "some", "point"), ("at", "any", "point"), ("at", "any", "time"), ("sometime",), ("anytime",)):
        if (
            lowers(tokens, start, len(words)) == words
            and lowers(tokens, start + len(words), 1)[:1]
            and lowers(tokens, start + len(words), 1)[0] in _LEADS
        ):
            start += len(words)
    if start < len(tokens) and tokens[start].lower in _LEADS:
        lead, start = "within" if tokens[start].lower == "inside" else tokens[start].lower, start + 1
    if lowers(tokens, start, 1) == ("the",):
        start += 1
    if lowers(tokens, start, 2) in {("course", "of"), ("span", "of")}:
        start += 3 if lowers(tokens, start + 2, 1) == ("the",) else 2
    return start, lead


def _rolling(tokens: tuple[Token, ...], at: int) -> tuple[Window, int] | None:
    """[in the] last 7 days; "last week" without an article is the calendar's."""
    word = tokens[at].lower if at < len(tokens) else ""
    start = at + 2 if lowers(tokens, at, 2) == ("most", "recent") else at + 1
    if word not in _ROLLING and start != at + 2:
        return None
    if lowers(tokens, start, 1) == ("full",):
        return None
    read = length(tokens, start) or _days_unsaid(tokens, start)
    if read is None or lowers(tokens, start, 1) in {("a",), ("an",)}:
        return None
    if (
        word in _BEFORE
        and read[1] == start + 1
        and (tokens[at - 1].lower != "the" or word != "last")
        and tokens[start].lower in _PERIODS
    ):
        return None
    unsaid = length(tokens, start) is None
    return Window("last", rolling=True, length=read[0], assumed=unsaid), read[1]


def _coming(tokens: tuple[Token, ...], at: int) -> tuple[Window, int] | None:
    """[in the] next 7 days; "next month" without an article is the calendar's, and nothing here says that."""
    if lowers(tokens, at, 1) not in {("next",), ("coming",), ("upcoming",), ("following",)}:
        return None
    read = length(tokens, at + 1)
    bare = read is not None and read[1] == at + 2 and lowers(tokens, at - 1, 1) != ("the",)
    return None if read is None or bare else (Window("next", length=read[0]), read[1])


def _days_unsaid(tokens: tuple[Token, ...], at: int) -> tuple[Length, int] | None:
    """The 7 of "but visited in the last 7"."""
    number = tokens[at] if at < len(tokens) else None
    if number is None or number.kind != "number" or not float(number.value).is_integer() or number.value < 1:
        return None
    following = lowers(tokens, at + 1, 1)
    return (
        (Length(int(number.value), "d"), at + 1)
        if not following or following[0] in {",", ".", ";", "and", "or", "but", "?"}
        else None
    )


def _age(tokens: tuple[Token, ...], at: int, lead: str) -> tuple[Window, int] | None:
    """More than 30 days ago; no later than 30 days ago; between 10 and 7 days ago."""
    if lead and lead not in {"from", "over"}:
        return None
    if lowers(tokens, at, 3) in _FURTHER and (far := length(tokens, at + 3)) is not None:
        return Window("ago", length=far[0], operator="gt"), far[1] + _back(tokens, far[1])
    latest: tuple[Operator, int] | None = ("gte", at + 3) if lowers(tokens, at, 3) in _LATEST else None
    compared = latest or comparator(tokens, at) or (("gt", at) if lead == "over" else None)
    read = _length_or_more(tokens, compared[1] if compared else at)
    old = bool(read) and read[0].unit != "y" and lowers(tokens, read[2], 1) == ("old",)
    if read and (old or _back(tokens, read[2])):
        operator: Operator = compared[0] if compared else read[1] or "eq"
        return Window("ago", length=read[0], operator=operator), read[2] + (_back(tokens, read[2]) or 1)
    return _ages(tokens, at)


_LATEST = frozenset({("no", "later", "than"), ("not", "later", "than")})


def _ages(tokens: tuple[Token, ...], at: int) -> tuple[Window, int] | None:
    start = at + 1 if lowers(tokens, at, 1) == ("between",) else at
    one = length(tokens, start)
    first_end = one[1] if one else start + 1
    if one is None and not (start < len(tokens) and tokens[start].kind == "number"):
        return None
    if lowers(tokens, first_end, 1) not in {("and",), ("to",), ("-",)}:
        return None
    two = length(tokens, first_end + 1)
    ago = _back(tokens, two[1]) if two is not None else 0
    if two is None or not ago:
        return None
    first = one[0] if one else Length(int(tokens[start].value), two[0].unit)
    far, near = (first, two[0]) if _minutes(first) >= _minutes(two[0]) else (two[0], first)
    return Window("between", length=far, near=near), two[1] + ago


def _back(tokens: tuple[Token, ...], at: int) -> int:
    """Return how many words at *at* say that a length lies back: "ago", "in the past"; 0 where none do."""
    return next((len(words) for words in _BACK if lowers(tokens, at, len(words)) == words), 0)


_BACK = (("ago",), ("back",), ("in", "the", "past"), ("behind", "us"))
_FURTHER = frozenset(
    {("further", "back", "than"), ("farther", "back", "than"), ("longer", "ago", "than"), ("longer", "back", "than")}
)


def _minutes(read: Length) -> int:
    return read.count * {"m": 1, "h": 60, "d": 1_440, "w": 10_080, "mo": 43_200, "y": 525_600}[read.unit]


def _length_or_more(tokens: tuple[Token, ...], at: int) -> tuple[Length, Operator | None, int] | None:
    """30 days; 30+ days; 30 days or more; 30 or more days."""
    if lowers(tokens, at + 1, 1) == ("+",):
        read = length((*tokens[: at + 1], *tokens[at + 2 :]), at)
        return (read[0], "gte", read[1] + 1) if read else None
    if lowers(tokens, at + 1, 2) == ("or", "more"):
        read = length((*tokens[: at + 1], *tokens[at + 3 :]), at)
        return (read[0], "gte", read[1] + 2) if read else None
    read = length(tokens, at)
    if read is None:
        return None
    if lowers(tokens, read[1], 2) in {("or", "more"), ("or", "longer"), ("at", "least")}:
        return read[0], "gte", read[1] + 2
    return read[0], None, read[1]


def _calendar(tokens: tuple[Token, ...], at: int, today: date) -> tuple[Window, int] | None:
    """Today, this month, last week, last full quarter, year to date."""
    if lowers(tokens, at, 1) in {("earlier",), ("later",)}:
        at += 1
    word = tokens[at].lower if at < len(tokens) else ""
    if word in {"today", "yesterday"}:
        return _period(word, today), at + 1
    whole = lowers(tokens, at + 1, 1) in {("full",), ("calendar",), ("complete",)}
    unit = at + 2 if whole else at + 1
    if word in _CURRENT | _BEFORE and set(lowers(tokens, unit, 1)) & _PERIODS:
        return _period(f"{'this' if word in _CURRENT else 'last'}_{tokens[unit].lower}", today), unit + 1
    if word in _PERIODS and lowers(tokens, at + 1, 2) == ("to", "date"):
        return _period(f"this_{word}", today), at + 3
    return None


_CURRENT = {"this", "current"}
_BEFORE = {"last", "previous", "prior", "preceding"}


def _period(name: str, today: date) -> Window:
    first, after = dates.period(name, today)
    return Window("period", name=name, first=first, after=after)


def _dates(tokens: tuple[Token, ...], at: int, lead: str, today: date) -> tuple[Window, int] | None:
    word = tokens[at].lower if at < len(tokens) else ""
    if word == "between" or lead == "from":
        start = at + 1 if word == "between" else at
        return _date_range(tokens, start, today) or (_from_on(tokens, start, today) if lead == "from" else None)
    if lowers(tokens, at, 2) == ("prior", "to") and not lead:
        return _open_range(tokens, at + 1, "before", today)
    if word in {"since", "after", "before", "until", "till", "on", "starting"} and not lead:
        return _open_range(tokens, at, word, today)
    if lead in {"in", "during", "over", "for"}:
        read = dates.read_date(tokens, at, today)
        if read is None:
            return None
        return _months_beside(tokens, at, read, today) or (
            Window("range", first=read[0], after=read[1]),
            _of_this_year(tokens, read[2]),
        )
    return None


def _months_beside(
    tokens: tuple[Token, ...], at: int, low: tuple[date, date, int], today: date
) -> tuple[Window, int] | None:
    """In January or February 2026: months side by side are one stretch."""
    if lowers(tokens, low[2], 1) != ("or",):
        return None  # "in May and June" may mean in both of them
    high = dates.read_date(tokens, low[2] + 1, today)
    if high is None or low[0].day != 1 or high[0].day != 1:
        return None
    first, after = low[0], low[1]
    if _YEAR.search(written(tokens[low[2] : high[2]])) and not _YEAR.search(written(tokens[at : low[2]])):
        years = high[0].year - first.year - (first.month > high[0].month)
        first, after = dates.add_months(first, 12 * years), dates.add_months(after, 12 * years)
    return (Window("range", first=first, after=high[1]), _of_this_year(tokens, high[2])) if after == high[0] else None


def _of_this_year(tokens: tuple[Token, ...], at: int) -> int:
    """The end of an "of this year" behind dates that are of this year anyway."""
    for words in (("this", "year"), ("of", "this", "year")):
        if lowers(tokens, at, len(words)) == words:
            return at + len(words)
    return at


def _date_range(tokens: tuple[Token, ...], at: int, today: date) -> tuple[Window, int] | None:
    low = dates.read_date(tokens, at, today)
    if low is None or lowers(tokens, low[2], 1) not in {("and",), ("to",), ("until",), ("through",), ("till",), ("-",)}:
        return None
    high = dates.read_date(tokens, low[2] + 1, today)
    if high is None:
        return None
    first, after = low[0], high[1]
    if not _YEAR.search(written(tokens[at : low[2]])) and _YEAR.search(written(tokens[low[2] : high[2]])):
        year = after.year if (first.month, first.day) < (after.month, after.day) else after.year - 1
        first = dates.add_months(first, 12 * (year - first.year))
    elif after <= first and not _YEAR.search(written(tokens[at : high[2]])):
        after = dates.add_months(after, 12)  # "between May 20 and June 20", said in between
    return (Window("range", first=first, after=after), _of_this_year(tokens, high[2])) if first < after else None


def _from_on(tokens: tuple[Token, ...], at: int, today: date) -> tuple[Window, int] | None:
    """From June 1 on; without the "on" it would be somebody from somewhere."""
    read = dates.read_date(tokens, at, today)
    if read is None or lowers(tokens, read[2], 1) not in {("on",), ("onward",), ("onwards",)}:
        return None
    return Window("range", first=read[0]), read[2] + 1


def _open_range(tokens: tuple[Token, ...], at: int, word: str, today: date) -> tuple[Window, int] | None:
    read = dates.read_date(tokens, at + 1, today)
    if read is None:
        return _ago(tokens, at + 1, word)
    first, after, end = read
    if word in {"since", "starting"}:
        return Window("range", first=first), end
    if word == "after":
        return Window("range", first=after), end
    if word == "on":
        return Window("range", first=first, after=after), end
    return Window("range", after=first if word == "before" else after), end


def _ago(tokens: tuple[Token, ...], at: int, word: str) -> tuple[Window, int] | None:
    """Since 3 days ago; before 3 days ago."""
    read = length(tokens, at)
    if read is None or lowers(tokens, read[1], 1) != ("ago",) or word == "on":
        return None
    if word in {"since", "starting", "after"}:
        return Window("last", rolling=True, length=read[0]), read[1] + 1
    return Window("ago", length=read[0], operator="gt"), read[1] + 1


def _bounded(tokens: tuple[Token, ...], at: int, lead: str) -> tuple[Window, int] | None:
    """Within 60 days; in 30 days; for 30 days; for more than 30 days; for 30+ days."""
    if lead not in {"in", "within", "for", "over", "during"}:
        return None
    compared = comparator(tokens, at) or (("gt", at) if lead == "over" else None)
    read = _length_or_more(tokens, compared[1] if compared else at)
    if read is None or lowers(tokens, at, 1) in {("day",), ("week",), ("month",), ("year",)}:
        return None
    operator = compared[0] if compared else read[1]
    return Window("last", length=read[0], operator=operator), read[2]


def since(earlier: Window) -> Window | None:
    """The time from the end of *earlier* until now: of "ordered 60 to 90 days ago and not since"."""
    if earlier.kind == "between" and earlier.near:
        return Window("last", text="since", rolling=True, length=earlier.near)
    if earlier.kind == "ago" and earlier.length and earlier.operator in {"gt", "gte"}:
        return Window("last", text="since", rolling=True, length=earlier.length)
    if earlier.kind in {"period", "range"} and earlier.after and not earlier.ends_now:
        return Window("range", text="since", first=earlier.after)
    return None
