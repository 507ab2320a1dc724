"""Time as the language means it: lengths, windows, calendar days, and what counts as a datetime.

Part of the reference interpreter (see `reference`): slow, obvious, and written from the language's page alone.
"""

from __future__ import annotations

import calendar
import math
import re
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import Struct

MICROSECOND = timedelta(microseconds=1)
BEGINNING = datetime(1, 1, 1, tzinfo=UTC) + timedelta(days=2)  # two days from the ends, so that any zone can show them
END = datetime(9999, 12, 30, tzinfo=UTC)

_LENGTH = re.compile(r"(\d+)(mo|m|h|d|w|y)", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_DATETIME = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)?",
    re.ASCII,
)
_ABSOLUTE = {"m": timedelta(minutes=1), "h": timedelta(hours=1)}
_FIXED = _ABSOLUTE | {"d": timedelta(hours=24), "w": timedelta(hours=168)}


class Clock(Struct, frozen=True):
    """The instant and the zone that one definition is evaluated with."""

    as_of: datetime
    zone: ZoneInfo


class Span(Struct, frozen=True):
    """Instants from *start* up to and without *end*. One instant is a span of a microsecond."""

    start: datetime
    end: datetime

    def holds(self, instant: datetime) -> bool:
        return self.start <= instant < self.end


def parse_length(text: str) -> tuple[int, str]:
    """`"36h"` → (36, "h")."""
    found = _LENGTH.fullmatch(text)
    assert found, text
    return int(found[1]), found[2]


def fixed_length(text: str) -> timedelta:
    """A length between the steps of a sequence: a day is 24 hours there, a week 168."""
    number, unit = parse_length(text)
    return number * _FIXED[unit]


def instant_of(wall: datetime, zone: ZoneInfo) -> datetime:
    """The instant at which a clock on the wall shows *wall*.

    The first one when it shows it twice; when it never does, the wall time moves forward by the gap. Both are what
    `fold=0` means: the offset that held before the change.
    """
    return wall.replace(tzinfo=zone, fold=0).astimezone(UTC)


@cache
def day_start(day: date, zone: ZoneInfo) -> datetime:
    """The first instant whose local date is *day* (or, when a zone skipped the day, a later one)."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
    found = midnight.astimezone(UTC)
    gap = midnight.replace(fold=1).utcoffset() - midnight.utcoffset()  # type: ignore[operator]
    if gap <= timedelta(0):
        return found
    low, high = found - gap, found  # midnight does not occur: the change is in between
    while high - low > MICROSECOND:
        middle = low + (high - low) // 2
        low, high = (low, middle) if middle.astimezone(zone).date() >= day else (middle, high)
    return high


def day_span(day: date, zone: ZoneInfo) -> Span:
    """A whole local day."""
    return Span(day_start(day, zone), day_start(day + timedelta(days=1), zone))


def add_months(day: date, months: int) -> date:
    """31 March minus one month is 28 February."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def add_to_date(day: date, number: int, unit: str) -> date:
    """*number* days, weeks, months or years after *day*; the first or last date there is when it lies beyond."""
    try:
        if unit in {"mo", "y"}:
            return add_months(day, number * (12 if unit == "y" else 1))
        return day + timedelta(days=number * (7 if unit == "w" else 1))
    except (OverflowError, ValueError):
        return date.max if number > 0 else date.min


@cache
def shift(instant: datetime, number: int, unit: str, zone: ZoneInfo) -> datetime:
    """*instant* moved by a length: m and h on the clock, the others by the calendar of *zone*, at the same wall time."""
    if number == 0:
        return instant
    try:
        if unit in _ABSOLUTE:
            return instant + number * _ABSOLUTE[unit]
        local = instant.astimezone(zone)
        moved = add_to_date(local.date(), number, unit)
        return instant_of(datetime.combine(moved, local.time()), zone)
    except OverflowError:
        return END if number > 0 else BEGINNING


def back(clock: Clock, length: str) -> datetime:
    """`as_of` minus *length*."""
    number, unit = parse_length(length)
    return shift(clock.as_of, -number, unit, clock.zone)


def ahead(clock: Clock, length: str) -> datetime:
    """`as_of` plus *length*."""
    number, unit = parse_length(length)
    return shift(clock.as_of, number, unit, clock.zone)


# Datetimes, as they stand in a definition and as they stand in data.


def _parse(text: str, offset_or: ZoneInfo) -> datetime | None:
    """The instant written in *text*, in *offset_or* when it has no offset; finer digits than microseconds are cut."""
    found = _DATETIME.fullmatch(text)
    if not found:
        return None
    second, fraction, offset = found.groups()
    try:
        wall = datetime.fromisoformat(second) + timedelta(microseconds=int((fraction or "").ljust(6, "0")[:6]))
        if offset is None:
            return instant_of(wall, offset_or)
        if offset == "Z":
            return wall.replace(tzinfo=UTC)
        return datetime.fromisoformat(f"{wall.isoformat()}{offset}").astimezone(UTC)
    except (ValueError, OverflowError):  # 31 February, hour 25
        return None


def _parse_date(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if _DATE.fullmatch(text) else None
    except ValueError:
        return None


def in_range(instant: datetime | None) -> datetime | None:
    """Outside 1900–2299 there are no datetimes."""
    return instant if instant and 1900 <= instant.astimezone(UTC).year <= 2299 else None


def elapsed_since_1970(value: float, unit: int) -> datetime | None:
    """The instant *value* units of *unit* microseconds after 1970, the product a double, finer digits cut."""
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + math.floor(float(value) * unit) * MICROSECOND
    except OverflowError:  # beyond what is an instant at all
        return None


def stored_datetime(value: Any, zone: ZoneInfo, unit: int | None = None) -> datetime | None:
    """What a stored value means as a datetime: a bare date is local midnight, an instant without an offset is UTC.

    *unit*: a JSON number is one too, of so many microseconds each.
    """
    if unit and isinstance(value, (int, float)) and not isinstance(value, bool):
        return in_range(elapsed_since_1970(value, unit))
    if not isinstance(value, str):
        return None
    if day := _parse_date(value):
        return in_range(day_start(day, zone)) if 1900 <= day.year <= 2299 else None
    with_t = re.sub(r"(?<=^.{10}) (?=\d)", "T", value)  # as SQL and spreadsheets write it
    return in_range(_parse(with_t, ZoneInfo("UTC")))


@cache
def wanted_span(value: Any, zone: ZoneInfo) -> Span | None:
    """What a definition's value means as a datetime: a bare date is that whole local day, no offset is *zone*."""
    if not isinstance(value, str):
        return None
    if day := _parse_date(value):
        return day_span(day, zone)
    instant = _parse(value, zone)
    return Span(instant, instant + MICROSECOND) if instant else None


def anniversary_in_next(instant: datetime, length: str, clock: Clock) -> bool:
    """Whether the day and month of *instant*, in a later year, fall on a local date from today to today + *length*."""
    born = instant.astimezone(clock.zone).date()
    today = clock.as_of.astimezone(clock.zone).date()
    last = add_to_date(today, *parse_length(length))
    years = range(max(born.year + 1, today.year), last.year + 1)
    return any(today <= anniversary(born, year) <= last for year in years)


def anniversary_in_last(instant: datetime, length: str, clock: Clock) -> bool:
    """Whether they fall on a local date from today - *length* to today."""
    born = instant.astimezone(clock.zone).date()
    today = clock.as_of.astimezone(clock.zone).date()
    count, unit = parse_length(length)
    years = range(born.year + 1, today.year + 1)
    return any(add_to_date(today, -count, unit) <= anniversary(born, year) <= today for year in years)


def anniversary_in(instant: datetime, season: dict[str, Any], clock: Clock) -> bool:
    """Whether they fall on a local date of a calendar period, or in a month of any later year."""
    born = instant.astimezone(clock.zone).date()
    if "month" in season:
        return anniversary(born, born.year + 1).month == season["month"]
    first, after = period_dates(season["period"], clock.as_of.astimezone(clock.zone).date())
    return any(first <= anniversary(born, year) < after for year in range(born.year + 1, after.year + 1))


def anniversary(born: date, year: int) -> date:
    """29 February counts as 28 February in common years."""
    if (born.month, born.day) == (2, 29) and not calendar.isleap(year):
        return date(year, 2, 28)
    return born.replace(year=year)


# Windows and periods.


def window_span(condition: dict[str, Any], clock: Clock, field: str = "window") -> Span:
    """The instants at which an event of *condition* counts; never after `as_of`."""
    whole = Span(BEGINNING, clock.as_of + MICROSECOND)
    window = condition.get(field, {})
    if field == "window" and "window_days" in condition:
        window = {"last": f"{condition['window_days']}d"}
    if "days" in window:
        count, unit = parse_length(window["last"])
        today = clock.as_of.astimezone(clock.zone).date()
        whole_days = count * (7 if unit == "w" else 1)
        days = [day_span(add_to_date(today, -ago, "d"), clock.zone) for ago in range(whole_days + 1)]
        if window["days"] == "complete":
            return Span(days[-1].start, days[0].start)
        return Span(days[-2].start, whole.end)
    if "last" in window:
        return Span(back(clock, window["last"]), whole.end)
    if "between" in window:
        far, near = window["between"]
        return Span(back(clock, far), back(clock, near) + MICROSECOND)
    if "period" in window:
        span = calendar_period(window["period"], clock)
    else:
        span = Span(_end_of(window, "from", clock) or whole.start, _end_of(window, "to", clock) or whole.end)
    return Span(span.start, min(span.end, whole.end))


def date_window(window: dict[str, Any], clock: Clock) -> Span:
    """The instants at which a stored date lies in a window: those of events, but that dates may lie after `as_of`."""
    if "period" in window:
        return calendar_period(window["period"], clock)
    if "from" in window or "to" in window:
        return Span(_end_of(window, "from", clock) or BEGINNING, _end_of(window, "to", clock) or END)
    return window_span({"window": window}, clock)


def _end_of(window: dict[str, str], name: str, clock: Clock) -> datetime | None:
    """One end of a half-open window; a bare date is local midnight."""
    found = wanted_span(window.get(name), clock.zone)
    return found and found.start


def period_start(day: date, unit: str) -> date:
    """The first day of the week (Monday), month, quarter or year that *day* is in."""
    if unit == "week":
        return day - timedelta(days=day.weekday())
    if unit == "month":
        return day.replace(day=1)
    if unit == "quarter":
        return day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1)
    if unit == "year":
        return day.replace(month=1, day=1)
    return day


_STEPS = {"day": (1, "d"), "week": (1, "w"), "month": (1, "mo"), "quarter": (3, "mo"), "year": (1, "y")}


def calendar_period(name: str, clock: Clock) -> Span:
    """today, yesterday, this_week, last_week, next_week and so on."""
    first, after = period_dates(name, clock.as_of.astimezone(clock.zone).date())
    return Span(day_start(first, clock.zone), day_start(after, clock.zone))


_DAYS = {"today": "this_day", "yesterday": "last_day", "tomorrow": "next_day"}


def period_dates(name: str, today: date) -> tuple[date, date]:
    """The first date of a period, and the first after it."""
    which, unit = _DAYS.get(name, name).split("_")
    number, step = _STEPS[unit]
    first = add_to_date(period_start(today, unit), {"last": -1, "this": 0, "next": 1}[which] * number, step)
    return first, add_to_date(first, number, step)


def nth_period(today: date, unit: str, ago: int, zone: ZoneInfo) -> Span:
    """The period *ago* periods before the one that *today* is in."""
    number, step = _STEPS[unit]
    first = add_to_date(period_start(today, unit), -ago * number, step)
    return Span(day_start(first, zone), day_start(add_to_date(first, number, step), zone))


WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def is_at(instant: datetime, at: dict[str, Any], zone: ZoneInfo) -> bool:
    """Whether an instant, on the wall of the zone, is on one of the weekdays and in the hours, whose end is out."""
    local = instant.astimezone(zone)
    if "weekdays" in at and WEEKDAYS[local.weekday()] not in at["weekdays"]:
        return False
    if "hours" not in at:
        return True
    begin, end = (datetime.strptime(text, "%H:%M").time() for text in at["hours"])  # noqa: DTZ007  # of any day
    now = local.time()
    return begin <= now < end if begin < end else now >= begin or now < end
