"""Finds calendar periods in a time zone: today, next week. Weeks start on Monday, a day at its first instant."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Final, Literal, cast
from zoneinfo import ZoneInfo

from segment_copilot.language.lengths import day_start
from segment_copilot.language.nodes import DatePeriodName

PeriodUnit = Literal["day", "week", "month", "quarter", "year"]


_DAYS: Final[dict[DatePeriodName, int]] = {"yesterday": 1, "today": 0, "tomorrow": -1}
_AGO: Final = {"last": 1, "this": 0, "next": -1}


def period_of(name: DatePeriodName) -> tuple[PeriodUnit, int]:
    """Return the unit of a period, and how many of them ago it is: -1 is the next."""
    if name in _DAYS:
        return "day", _DAYS[name]
    which, unit = name.split("_")
    return cast("PeriodUnit", unit), _AGO[which]


def period_bounds(name: DatePeriodName, as_of: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Return the first instant of the period, and the first instant after it."""
    first, following = period_dates(name, as_of.astimezone(zone).date())
    return day_start(first, zone), day_start(following, zone)


def period_dates(name: DatePeriodName, today: date) -> tuple[date, date]:
    """Return the first date of the period, and the first date after it."""
    unit, ago = period_of(name)
    start = period_start(unit, today, ago)
    return start, period_start(unit, start, -1)


def period_start(unit: PeriodUnit, day: date, ago: int) -> date:
    """Return the first day of the period that is *ago* periods before the one that holds *day*, or after it."""
    match unit:
        case "day":
            return day - timedelta(days=ago)
        case "week":
            return day - timedelta(days=day.weekday() + 7 * ago)
        case "month":
            return _month(day.year * 12 + day.month - 1 - ago)
        case "quarter":
            return _month(day.year * 12 + (day.month - 1) // 3 * 3 - 3 * ago)
        case "year":
            return date(day.year - ago, 1, 1)


def _month(index: int) -> date:
    return date(index // 12, index % 12 + 1, 1)
