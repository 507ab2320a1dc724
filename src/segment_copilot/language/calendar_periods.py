"""Finds calendar periods in a time zone: today, last week. Weeks start on Monday, a day at its first instant."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from segment_copilot.language.lengths import day_start
from segment_copilot.language.nodes import PeriodName

PeriodUnit = Literal["day", "week", "month", "quarter", "year"]


def period_bounds(name: PeriodName, as_of: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Return the first instant of the period, and the first instant after it."""
    match name:
        case "today":
            unit, ago = "day", 0
        case "yesterday":
            unit, ago = "day", 1
        case _:
            unit, ago = _unit_of(name), 1 if name.startswith("last_") else 0
    start = period_start(unit, as_of.astimezone(zone).date(), ago)
    return day_start(start, zone), day_start(_next_start(unit, start), zone)


def period_start(unit: PeriodUnit, day: date, ago: int) -> date:
    """Return the first day of the period that is *ago* periods before the one that holds *day*."""
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


def _unit_of(name: str) -> PeriodUnit:
    units: tuple[PeriodUnit, ...] = ("week", "month", "quarter", "year")
    return next(unit for unit in units if name.endswith(unit))


def _next_start(unit: PeriodUnit, start: date) -> date:
    return period_start(unit, start, -1)


def _month(index: int) -> date:
    return date(index // 12, index % 12 + 1, 1)
