"""Reads instants as exports, spreadsheets and people write them.

A value is never guessed at: what can be read as two instants is read by what the whole file shows, or not at all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Struct

from segment_copilot.errors import InvalidInput
from segment_copilot.events import parse_instant

Order = Literal["day-first", "month-first"]

_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?", re.ASCII)
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_SEPTEMBER: Final = "sept"  # the one abbreviation of four letters
_FIRST_DAY: Final = datetime(1899, 12, 30)  # noqa: DTZ001  # of Excel, a wall time: so that 61 is 1 March 1900
_LEAST_DAYS, _MOST_DAYS = 10_000, 100_000  # 1927 to 2173; as seconds these are the first day of 1970
_EPOCHS: Final = ((1e8, 1e11, 1.0), (1e11, 1e14, 1e3), (1e14, 1e17, 1e6))  # from, to, in a second: 1973 to 5138

_DATES: Final = (
    r"(?P<year>\d{4})(?P<mark>[./-])(?P<month>\d{1,2})(?P=mark)(?P<day>\d{1,2})",
    r"(?P<first>\d{1,2})(?P<mark>[./-])(?P<second>\d{1,2})(?P=mark)(?P<year>\d{4}|(?<=[./])\d{2})",  # 26-06-20 may be either
    r"(?P<day>\d{1,2})(?:st|nd|rd|th)?\.?[ -](?P<name>[a-z]{3,9})\.?,?[ -](?P<year>\d{4}|\d{2})",
    r"(?P<name>[a-z]{3,9})\.? (?P<day>\d{1,2})(?:st|nd|rd|th)?,? (?P<year>\d{4})",
    r"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)",
)
_WEEKDAY: Final = r"(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*\.?,? )?"
_TIME: Final = (
    r"(?:(?:,| at|T|,? )\s*(?P<hour>\d{1,2})(?::(?P<minute>\d\d)(?::(?P<whole>\d\d)(?:[.,](?P<part>\d+))?)?)?"
    r"(?: ?(?P<half>[ap])\.?m\.?)?(?: ?(?P<zone>Z|UTC|GMT|[+-]\d\d(?::?\d\d)?))?)?"
)
_WRITTEN: Final = tuple(re.compile(_WEEKDAY + date + _TIME, re.ASCII | re.IGNORECASE) for date in _DATES)
_BASIC: Final = re.compile(r"\d{8}T\d{4,6}(?:\.\d+)?(?:Z|[+-]\d{2}:?(?:\d\d)?)?", re.ASCII)  # ISO 8601 without marks
_SAMPLE: Final = datetime(2026, 6, 20, 13, 14, 58, tzinfo=UTC)  # to try a pattern with
_NOON: Final = 12
_CENTURY: Final = 100
_PIVOT: Final = 70  # two digits of a year: 70 to 99 are of the last century


class TimeReading(Struct, frozen=True, kw_only=True):
    """Says how the times of a file are read: those without an offset are in *zone*.

    *format* is one of NAMED_FORMATS, or a pattern as `datetime.strptime` takes it; "" reads what is unambiguous.
    """

    zone: ZoneInfo
    format: str = ""

    def read(self, cell: object) -> datetime | None:
        """Return the instant of *cell* in UTC, or None. A wall time that occurs twice is the first, one in a gap moves on."""
        if isinstance(cell, bool) or not isinstance(cell, str | int | float):
            return None
        text = " ".join(str(cell).split())
        try:
            found = self._read(text)
            return (
                None if found is None else (found if found.tzinfo else found.replace(tzinfo=self.zone)).astimezone(UTC)
            )
        except (ValueError, OverflowError):
            return None

    def _read(self, text: str) -> datetime | None:
        if reader := NAMED_FORMATS.get(self.format):
            return reader(text)
        if self.format:
            return datetime.strptime(text, self.format)  # noqa: DTZ007  # the zone is added by `read`
        return parse_instant(text) or _number(text) or _written(text, None)


def make_reading(text: str, timezone: str) -> TimeReading:
    """Return how times are read by the format *text* in *timezone*; raises InvalidInput when either is none."""
    try:
        zone = ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError):
        raise InvalidInput(f"{timezone!r} is no IANA time zone.", code="unknown_timezone") from None
    if text in NAMED_FORMATS or not text:
        return TimeReading(zone=zone, format=text)
    try:
        sample = _SAMPLE.strftime(text)
        is_whole_date = datetime.strptime(sample, text).date() == _SAMPLE.date()  # noqa: DTZ007  # only its day counts
    except (ValueError, re.error):
        is_whole_date = False
    if not is_whole_date:
        names = ", ".join(NAMED_FORMATS)
        detail = f"--time-format {text!r} gives no day. Write it as in '%d/%m/%Y %H:%M', or choose one of {names}."
        raise InvalidInput(detail, code="wrong_time_format")
    return TimeReading(zone=zone, format=text)


def find_order(cells: Iterable[object]) -> Order | None:
    """Return which comes first in the numeric dates among *cells*, the day or the month; None where nothing depends on it.

    Raises InvalidInput when they show neither, as 05/06/2026 does, or both.
    """
    shown: dict[Order, str] = {}
    undecided = ""
    for cell in cells:
        if not isinstance(cell, str) or len(cell) < 6 or cell[:4].isdigit():  # noqa: PLR2004  # quick: ISO and epochs
            continue
        found = _WRITTEN[1].fullmatch(" ".join(cell.split()))
        if found is None or found["mark"] == ".":
            continue
        first, second = int(found["first"]), int(found["second"])
        if first > _NOON >= second:
            shown.setdefault("day-first", cell.strip())
        elif second > _NOON >= first:
            shown.setdefault("month-first", cell.strip())
        elif first != second:
            undecided = undecided or cell.strip()
    if len(shown) > 1:
        detail = (
            f"Some times have the day first ({shown['day-first']!r}) and some the month ({shown['month-first']!r}). "
            "Say which is meant: --time-format day-first, or month-first."
        )
        raise InvalidInput(detail, code="ambiguous_times")
    if undecided and not shown:
        detail = (
            f"{undecided!r} may be read with the day or with the month first. "
            "Say which is meant: --time-format day-first, or month-first."
        )
        raise InvalidInput(detail, code="ambiguous_times")
    return next(iter(shown), None)


def _written(text: str, order: Order | None) -> datetime | None:
    if _BASIC.fullmatch(text):
        return datetime.fromisoformat(text)
    for pattern in _WRITTEN:
        if found := pattern.fullmatch(text):
            parts = found.groupdict()
            break
    else:
        return None
    if parts.get("first"):
        is_day_first = parts["mark"] == "." or order == "day-first"
        if order is None and not is_day_first and parts["first"] != parts["second"]:
            return None
        parts["day"], parts["month"] = (parts["first"], parts["second"])[:: 1 if is_day_first else -1]
    month = _month(parts["name"].lower()) if parts.get("name") else int(parts["month"])
    year = int(parts["year"])
    if year < _CENTURY:
        year += 1900 if year >= _PIVOT else 2000
    hour = int(parts["hour"] or 0)
    if parts["half"]:
        if not 1 <= hour <= _NOON:
            return None
        hour = hour % _NOON + (_NOON if parts["half"].lower() == "p" else 0)
    elif parts["hour"] and not parts["minute"]:
        return None  # an hour alone, without a.m. or p.m., is more likely a mistake
    microsecond = int((parts["part"] or "")[:6].ljust(6, "0"))
    clock = time(hour, int(parts["minute"] or 0), int(parts["whole"] or 0), microsecond)
    wall = datetime.combine(date(year, month, int(parts["day"])), clock)
    if not (zone := (parts["zone"] or "").upper()):
        return wall
    offset = "+00:00" if zone in {"Z", "UTC", "GMT"} else zone
    return datetime.fromisoformat(wall.isoformat() + offset)


def _month(name: str) -> int:
    """Return the number of an English month, written out or shortened; raises ValueError for another word."""
    short = name[:3]
    full = ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october")
    if name in {short, _SEPTEMBER, *full, "november", "december"}:
        return _MONTHS.index(short) + 1
    raise ValueError(name)


def _number(text: str) -> datetime | None:
    """Read a count since 1970, in the unit that its size says, or Excel's days; a rounded number (1.8E+09) is none."""
    if not _NUMBER.fullmatch(text):
        return None
    number = float(text)
    if _LEAST_DAYS <= number < _MOST_DAYS:
        return _excel_days(text)
    for least, most, unit in _EPOCHS:
        if least <= number < most:
            return _since_1970(text, unit)
    return None


def _since_1970(text: str, unit: float) -> datetime | None:
    if not _NUMBER.fullmatch(text):
        return None
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=round(float(text) * (1e6 / unit)))


def _excel_days(text: str) -> datetime | None:
    """Read days since the end of 1899, a wall time; they are rounded to milliseconds, which is what a cell can hold."""
    if not _NUMBER.fullmatch(text) or not 0 < float(text) < _FIRST_DAY.max.toordinal():
        return None
    return _FIRST_DAY + timedelta(milliseconds=round(float(text) * 86_400_000))


NAMED_FORMATS: Final[dict[str, Callable[[str], datetime | None]]] = {
    "day-first": lambda text: parse_instant(text) or _number(text) or _written(text, "day-first"),
    "month-first": lambda text: parse_instant(text) or _number(text) or _written(text, "month-first"),
    "seconds": lambda text: _since_1970(text, 1.0),
    "milliseconds": lambda text: _since_1970(text, 1e3),
    "microseconds": lambda text: _since_1970(text, 1e6),
    "excel-days": _excel_days,
}
"""What `--time-format` may say instead of a pattern."""


def is_date_of_people(text: str) -> bool:
    """Return whether *text* is a date, but not written as the condition language reads one."""
    if not any(mark in text for mark in "./- ") or not any(letter.isdigit() for letter in text):
        return False
    if parse_instant(text) is not None:
        return False
    return any(_is_written(text, order) for order in ("day-first", "month-first"))


def _is_written(text: str, order: Order) -> bool:
    try:
        return _written(text, order) is not None
    except (ValueError, OverflowError):
        return False
