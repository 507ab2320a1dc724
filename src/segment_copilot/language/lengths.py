"""Lengths of time (`36h`, `2w`, `1mo`) and calendar arithmetic in a time zone.

Days, weeks, months and years are calendar steps of the zone's wall clock; minutes and hours are absolute.
A wall time that occurs twice is its first occurrence; one that does not occur moves forward by the gap.
"""

from __future__ import annotations

import calendar
import re
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Final, Literal, cast
from zoneinfo import ZoneInfo

from msgspec import Meta, Struct

Unit = Literal["m", "h", "d", "w", "mo", "y"]

EARLIEST: Final = datetime(1900, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2299, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
"""The instants that are kept; what a window reaches beyond them holds nothing."""

Instant = Annotated[
    datetime,
    Meta(
        tz=True,
        description="An instant with its offset; now when left out",
        extra_json_schema={"pattern": "^(19|2[0-2])[0-9]{2}-"},
    ),
]
"""An instant that a question is about, as it is sent. That it is one of those kept is for whoever reads it to check."""

MICROSECOND: Final = timedelta(microseconds=1)
"""Instants are kept this fine."""

TOO_EARLY: Final = EARLIEST - MICROSECOND
TOO_LATE: Final = LATEST + MICROSECOND
"""What arithmetic gives beyond them: no instant that is kept, so a range that ends there does not hold the edge."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_LENGTH = re.compile(r"(0|[1-9][0-9]{0,5})(mo|m|h|d|w|y)")
_SPOKEN: dict[Unit, str] = {"m": "minute", "h": "hour", "d": "day", "w": "week", "mo": "month", "y": "year"}
_LONGEST = 36_500
_MARGIN = 2  # years: how far beyond the instants that are kept a wall time may lie for one that is kept


class Length(Struct, frozen=True):
    """A length is a whole number of one unit."""

    count: int
    unit: Unit

    @property
    def approximate_days(self) -> float:
        """The length in days, near enough to tell which of two lengths is the longer."""
        return self.count * {"m": 1 / 1440, "h": 1 / 24, "d": 1, "w": 7, "mo": 30.4, "y": 365.2}[self.unit]

    @property
    def words(self) -> str:
        """The length in words: "90 days" or "month"."""
        noun = _SPOKEN[self.unit]
        return noun if self.count == 1 else f"{self.count:,} {noun}s"


def parse_length(text: str, *, least: int = 1) -> Length:
    """Return the length that *text* says.

    Raises:
        ValueError: It is not a whole number from *least* to 36,500 followed by a unit.
    """
    found = _LENGTH.fullmatch(text)
    if not found or not least <= int(found[1]) <= _LONGEST:
        raise ValueError(f"A length is a whole number from {least} to 36,500 and one of m, h, d, w, mo, y, as in 36h.")
    return Length(int(found[1]), cast("Unit", found[2]))


def before(instant: datetime, length: Length, zone: ZoneInfo) -> datetime:
    """Return *instant* minus *length*, in UTC; `TOO_EARLY` before 1900."""
    if length.count == 0:  # no step: the second occurrence of a wall time stays the second
        return instant
    match length.unit:
        case "m":
            return _kept(instant - timedelta(minutes=length.count))
        case "h":
            return _kept(instant - timedelta(hours=length.count))
        case "d":
            return _plus_days(instant, -length.count, zone)
        case "w":
            return _plus_days(instant, -7 * length.count, zone)
        case "mo":
            return _plus_months(instant, -length.count, zone)
        case "y":
            return _plus_months(instant, -12 * length.count, zone)


def after(instant: datetime, length: Length, zone: ZoneInfo) -> datetime:
    """Return *instant* plus *length*, in UTC; `TOO_LATE` past 2299."""
    match length.unit:
        case "m" | "h":
            delta = timedelta(minutes=length.count) if length.unit == "m" else timedelta(hours=length.count)
            return _kept(instant + delta)
        case "d" | "w":
            return _plus_days(instant, length.count * (7 if length.unit == "w" else 1), zone)
        case "mo" | "y":
            return _plus_months(instant, length.count * (12 if length.unit == "y" else 1), zone)


def whole_days(length: Length) -> int:
    """Return how many days a length of days or weeks has."""
    return length.count * (7 if length.unit == "w" else 1)


def date_after(day: date, length: Length, *, latest: date) -> date:
    """Return *day* plus *length* in days or more, not later than *latest*."""
    if length.unit in {"d", "w"}:
        days = length.count * (7 if length.unit == "w" else 1)
        return date.fromordinal(min(day.toordinal() + days, latest.toordinal()))
    months = length.count * (12 if length.unit == "y" else 1)
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    if year > latest.year:
        return latest
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def date_before(day: date, length: Length, *, earliest: date) -> date:
    """Return *day* minus *length* in days or more, not earlier than *earliest*."""
    if length.unit in {"d", "w"}:
        days = length.count * (7 if length.unit == "w" else 1)
        return date.fromordinal(max(day.toordinal() - days, earliest.toordinal()))
    months = length.count * (12 if length.unit == "y" else 1)
    year, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    if year < earliest.year:
        return earliest
    return max(date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1])), earliest)


def to_instant(wall: datetime, zone: ZoneInfo) -> datetime:
    """Return the instant of a naive wall time in *zone*, in UTC."""
    early = wall.replace(tzinfo=zone, fold=0)
    # fold=0 reads a repeated time as its first occurrence, and one inside a gap with the offset before the gap,
    # which lands after it: moved forward by the gap.
    return early.astimezone(UTC)


def day_start(day: date, zone: ZoneInfo) -> datetime:
    """Return the first instant of a local day, in UTC; where a zone skipped the day, that of the next."""
    midnight = datetime(day.year, day.month, day.day)  # noqa: DTZ001  # a wall time
    first = to_instant(midnight, zone)
    before, after = (midnight.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1))
    if before is None or after is None or after <= before:
        return first
    low, high = first - (after - before), first  # midnight is inside a gap: the day begins where the gap ends
    while high - low > MICROSECOND:
        middle = low + (high - low) / 2
        low, high = (low, middle) if middle.astimezone(zone).date() >= day else (middle, high)
    return high


def to_microseconds(instant: datetime) -> int:
    """Return the microseconds from 1970 to *instant*."""
    return (instant - _EPOCH) // MICROSECOND


def _plus_days(instant: datetime, days: int, zone: ZoneInfo) -> datetime:
    wall = instant.astimezone(zone).replace(tzinfo=None)
    year = wall.year + days / 365  # near enough: a day of 1900 is in 1899 or 1900 elsewhere, and no farther
    if year < EARLIEST.year - _MARGIN:
        return TOO_EARLY
    if year > LATEST.year + _MARGIN:
        return TOO_LATE
    return _kept(to_instant(wall + timedelta(days=days), zone))


def _plus_months(instant: datetime, months: int, zone: ZoneInfo) -> datetime:
    """Step by months, which clamp: a day that the month lacks is its last."""
    wall = instant.astimezone(zone).replace(tzinfo=None)
    year, month = divmod(wall.year * 12 + wall.month - 1 + months, 12)
    if year < EARLIEST.year - _MARGIN:
        return TOO_EARLY
    if year > LATEST.year + _MARGIN:
        return TOO_LATE
    day = min(wall.day, calendar.monthrange(year, month + 1)[1])
    return _kept(to_instant(wall.replace(year=year, month=month + 1, day=day), zone))


def _kept(instant: datetime) -> datetime:
    return min(max(instant, TOO_EARLY), TOO_LATE)
