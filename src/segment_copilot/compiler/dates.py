"""Turns windows and tests of dates into ranges at an instant, in a time zone: the planner's arithmetic of time."""

from __future__ import annotations

import calendar
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from itertools import starmap
from typing import Any, Final
from zoneinfo import ZoneInfo

from msgspec import UNSET, Struct, UnsetType

from segment_copilot.compiler.slots import Anniversaries, DateRange, Range
from segment_copilot.language.calendar_periods import PeriodUnit, period_bounds, period_dates, period_start
from segment_copilot.language.lengths import (
    EARLIEST,
    LATEST,
    MICROSECOND,
    Length,
    after,
    before,
    date_after,
    date_before,
    day_start,
    parse_length,
    to_instant,
    whole_days,
)
from segment_copilot.language.nodes import AnyWindow, DateWindow
from segment_copilot.language.operators import PropertyOperator
from segment_copilot.language.value_types import parse_date

DAY: Final = timedelta(days=1)
_FIRST_DAY: Final = EARLIEST.date()  # what comes round had been before, so that nothing comes round earlier
_LAST_ANNIVERSARY: Final = date(LATEST.year + 17, 12, 31)  # by then every day of the year has come round once more
_LONGEST_MONTH: Final = 31
_AFTER_ALL: Final = LATEST.year + 2  # of a month of any year there is always one after a value's own, in any zone
_TWO_LEAP_CYCLES: Final = timedelta(days=366 * 16)  # 1896 to 1904 had eight years without a leap day


class Dates(Struct, frozen=True):
    """Reads what a definition says of time, at an instant and in a time zone."""

    as_of: datetime  # in UTC
    zone: ZoneInfo

    @property
    def today(self) -> date:
        """The local date."""
        return self.as_of.astimezone(self.zone).date()

    def window(self, days: int | UnsetType, window: AnyWindow | UnsetType) -> Range:
        """Return the range that so many days, or a window, is; an end that is open is that of history, or now."""
        if days is not UNSET:
            return Range(max(before(self.as_of, Length(days, "d"), self.zone), EARLIEST))
        if window is UNSET:
            return Range()
        if window.last is not UNSET and window.days is not UNSET:
            return self._whole_days(parse_length(window.last), with_today=window.days == "with_today")
        if window.last is not UNSET:
            return Range(max(before(self.as_of, parse_length(window.last), self.zone), EARLIEST))
        if window.between is not UNSET:
            far, near = (before(self.as_of, parse_length(end, least=0), self.zone) for end in window.between)
            return Range(*kept(far, near))
        if window.period is not UNSET:
            start, end = period_bounds(window.period, self.as_of, self.zone)
            return Range(*kept(start, end - MICROSECOND))
        start = EARLIEST if window.from_ is UNSET else self._span(window.from_)[0]
        end = LATEST if window.to is UNSET else self._span(window.to)[0] - MICROSECOND
        earliest, latest = kept(start, end)
        return Range(None if earliest == EARLIEST else earliest, None if latest == LATEST else latest)

    def _whole_days(self, length: Length, *, with_today: bool) -> Range:
        """Return so many whole local days: those before today, or the last of them today, as far as it is."""
        first = self.today - timedelta(days=whole_days(length) - with_today)
        start = EARLIEST if first < EARLIEST.date() else max(day_start(first, self.zone), EARLIEST)
        return Range(start) if with_today else Range(*kept(start, day_start(self.today, self.zone) - MICROSECOND))

    def _ends(self, window: DateWindow) -> tuple[datetime, datetime]:
        """Return the first and last instant of a window that stored dates lie in, which may be to come."""
        range_ = self.window(UNSET, window)
        latest = LATEST if window.last is UNSET else self.as_of
        return range_.earliest or EARLIEST, range_.latest or latest

    def period_starts(self, unit: PeriodUnit, last: int) -> tuple[datetime, ...]:
        """Return the first instants of so many calendar periods, the current one last.

        Of those that begin before there is any event, the last one has the events.
        """
        first_days = [period_start(unit, self.today, ago) for ago in range(last - 1, -1, -1)]
        return tuple(dict.fromkeys(max(day_start(day, self.zone), EARLIEST) for day in first_days))

    def ranges(self, operator: PropertyOperator, values: tuple[Any, ...]) -> list[DateRange]:
        """Return the ranges of which a stored datetime must lie in one."""
        if operator == "in_last":
            return [self._date_range(before(self.as_of, parse_length(values[0]), self.zone), self.as_of)]
        if operator == "in_window":
            return [self._date_range(*self._ends(values[0]))]
        if operator == "in_next":
            ahead = after(self.as_of, parse_length(values[0]), self.zone)
            return [self._date_range(self.as_of + MICROSECOND, ahead)]
        spans = SPANS[operator]([self._span(value) for value in values])
        return list(starmap(self._date_range, spans))

    def last_anniversaries(self, text: str) -> Anniversaries:
        """Return the days of the year from today minus the length to today."""
        today = self.today
        return self._anniversaries(date_before(today, parse_length(text, least=0), earliest=_FIRST_DAY), today)

    def next_anniversaries(self, text: str) -> Anniversaries:
        """Return the days of the year from today to today plus the length."""
        today = self.today
        ahead = after(day_start(today, self.zone), parse_length(text, least=0), self.zone)
        end = max(today, ahead.astimezone(self.zone).date())
        if ahead > LATEST:  # past the last instant that is kept anniversaries go on
            end = date_after(today, parse_length(text, least=0), latest=_LAST_ANNIVERSARY)
        return self._anniversaries(today, end)

    def season(self, season: DateWindow) -> Anniversaries:
        """Return the days of the year of a calendar period, or those of a month, which comes round after any year."""
        if season.month is not UNSET:
            days = tuple(season.month * 100 + day for day in range(1, _LONGEST_MONTH + 1))
            return Anniversaries(self.zone.key, days, (_AFTER_ALL,) * len(days))
        if season.period is UNSET:
            raise ValueError("checks refused it before")
        first, following = period_dates(season.period, self.today)
        return self._anniversaries(first, following - DAY)

    def _anniversaries(self, start: date, end: date) -> Anniversaries:
        """Return the days of the year from one date to another; 29 February is 28 in common years."""
        last_year = dict[int, int]()
        day = max(start, end - _TWO_LEAP_CYCLES)  # before that every day of the year has come round since
        while day <= end:
            last_year[day.month * 100 + day.day] = day.year
            if (day.month, day.day) == (2, 28) and not calendar.isleap(day.year):
                last_year[229] = day.year
            day += DAY
        return Anniversaries(self.zone.key, tuple(last_year), tuple(last_year.values()))

    def _span(self, text: str) -> tuple[datetime, datetime]:
        """Return the first and last instant of a test's value: a bare date is its whole local day."""
        value = parse_date(text)
        if isinstance(value, datetime):
            instant = value.astimezone(UTC) if value.tzinfo else to_instant(value, self.zone)
            return instant, instant
        if value is None:
            raise ValueError(f"not a date: {text!r}")  # checks refused it before
        return day_start(value, self.zone), day_start(value + DAY, self.zone) - MICROSECOND

    def _date_range(self, earliest: datetime, latest: datetime) -> DateRange:
        """Add the bare dates that have their local midnight in the range: compared as dates, so SQL needs no zone."""
        earliest, latest = kept(earliest, latest)
        first = self._first_day(earliest)
        last = self._first_day(latest + MICROSECOND) - DAY
        first, last = max(first, EARLIEST.date()), min(last, LATEST.date())
        return DateRange(earliest, latest, *((first, last) if first <= last else (LATEST.date(), EARLIEST.date())))

    def _first_day(self, instant: datetime) -> date:
        """Return the first date that begins at *instant* or later; a day that the zone skipped begins with the next."""
        day = instant.astimezone(self.zone).date()
        while day_start(day - DAY, self.zone) >= instant:
            day -= DAY
        return day if day_start(day, self.zone) >= instant else day + DAY


_Span = tuple[datetime, datetime]
SPANS: Final[dict[PropertyOperator, Callable[[list[_Span]], list[_Span]]]] = {
    "eq": lambda given: given,
    "in": lambda given: given,
    "gt": lambda given: [(given[0][1] + MICROSECOND, LATEST)],
    "after": lambda given: [(given[0][1] + MICROSECOND, LATEST)],
    "gte": lambda given: [(given[0][0], LATEST)],
    "lt": lambda given: [(EARLIEST, given[0][0] - MICROSECOND)],
    "before": lambda given: [(EARLIEST, given[0][0] - MICROSECOND)],
    "lte": lambda given: [(EARLIEST, given[0][1])],
    "between": lambda given: [(given[0][0], given[1][1])],
}
"""The first and last instants that an operator of dates asks for, from those of its values."""


def kept(earliest: datetime, latest: datetime) -> tuple[datetime, datetime]:
    """Return the part of a range within the instants that are kept; the other way round when there is none."""
    earliest, latest = max(earliest, EARLIEST), min(latest, LATEST)
    return (earliest, latest) if earliest <= latest else (LATEST, EARLIEST)
