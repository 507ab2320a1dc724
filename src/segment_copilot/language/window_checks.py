"""Checks windows and lengths of time: one form each, ranges that run forward, years that exist. It yields findings."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Final

from msgspec import UNSET

from segment_copilot.errors import Finding
from segment_copilot.language.lengths import EARLIEST, LATEST, parse_length
from segment_copilot.language.nodes import AnyWindow, DateWindow, ValueObject
from segment_copilot.language.operators import OPERATORS, PropertyOperator
from segment_copilot.language.value_types import parse_date

MAX_DAYS: Final = 36_500
MONTHS: Final = range(1, 13)
YEARS: Final = range(EARLIEST.year, LATEST.year + 1)
YEARS_RULE: Final = f"A date lies between {YEARS[0]} and {YEARS[-1]}."


def check_window(pointer: str, window: AnyWindow) -> Iterator[Finding]:
    """Check that a window has exactly one form, and a range that runs forward."""
    forms = [
        window.last is not UNSET,
        window.from_ is not UNSET or window.to is not UNSET,
        window.between is not UNSET,
        window.period is not UNSET,
    ]
    if sum(forms) != 1:
        yield Finding(pointer, "bad_window", "A window is exactly one of last, from and/or to, between, period.")
    if window.last is not UNSET:
        yield from check_length(f"{pointer}/last", window.last, units="m h d w mo y" if window.days is UNSET else "d w")
    elif window.days is not UNSET:
        yield Finding(f"{pointer}/days", "unread_field", "days is read beside last only; leave it out.")
    if window.between is not UNSET:
        yield from _check_between(f"{pointer}/between", window.between)
    yield from _check_from_to(pointer, window)


_TAKEN: Final[dict[str, str]] = {
    "window": ' takes a window: {"period": "next_month"}, {"last": "30d"} or {"from": "2026-06-01"}.',
    "season": ' takes a calendar period or a month: {"period": "this_week"} or {"month": 6}.',
}


def check_windowed(pointer: str, operator: PropertyOperator, value: object) -> Iterator[Finding]:
    """Check the value of an operator that takes a window, or a window given to one that takes none."""
    takes = OPERATORS[operator].takes
    value = value.window if isinstance(value, ValueObject) else value
    if not isinstance(value, DateWindow):
        yield Finding(pointer, "wrong_type", f"{operator}{_TAKEN[takes]}")
    elif takes == "window":
        yield from _check_date_window(pointer, value)
    elif takes == "season":
        yield from _check_season(pointer, value)
    else:
        yield Finding(pointer, "wrong_type", f"{operator} takes no window; in_window and anniversary_in do.")


def _check_date_window(pointer: str, window: DateWindow) -> Iterator[Finding]:
    """Check the window that in_window takes."""
    if window.month is not UNSET:
        detail = "month is read by anniversary_in only; a window is one of last, from and/or to, between, period."
        yield Finding(f"{pointer}/month", "unread_field", detail)
        if window == DateWindow(month=window.month):
            return
    yield from check_window(pointer, window)


def _check_season(pointer: str, season: DateWindow) -> Iterator[Finding]:
    """Check what anniversary_in takes: a calendar period, or a month of any year."""
    if season not in (DateWindow(period=season.period), DateWindow(month=season.month)) or season == DateWindow():
        yield Finding(pointer, "bad_window", "anniversary_in takes period or month, one of them and nothing beside it.")
    elif season.month is not UNSET and season.month not in MONTHS:
        yield Finding(f"{pointer}/month", "out_of_range", "A month is a whole number from 1 to 12.")


def _check_between(pointer: str, ends: list[str]) -> Iterator[Finding]:
    if len(ends) != 2:  # noqa: PLR2004  # the far and the near end
        yield Finding(pointer, "wrong_type", "between takes two lengths: the farther and the nearer end.")
        return
    wrong = [*check_length(f"{pointer}/0", ends[0]), *check_length(f"{pointer}/1", ends[1], least=0)]
    yield from wrong
    if not wrong and parse_length(ends[0]).approximate_days < parse_length(ends[1], least=0).approximate_days:
        yield Finding(pointer, "reversed_range", 'The farther end comes first: ["10d", "7d"].')


def _check_from_to(pointer: str, window: AnyWindow) -> Iterator[Finding]:
    found = list[date | datetime]()
    for name, text in (("from", window.from_), ("to", window.to)):
        if text is UNSET:
            continue
        moment = parse_date(text)
        if moment is None:
            yield Finding(f"{pointer}/{name}", "wrong_type", "This must be a date (2026-06-01) or an RFC 3339 instant.")
        elif moment.year not in YEARS:
            yield Finding(f"{pointer}/{name}", "out_of_range", YEARS_RULE)
        else:
            found.append(moment)
    if len(found) == 2 and as_utc(found[0]) >= as_utc(found[1]):  # noqa: PLR2004  # both ends are there
        yield Finding(pointer, "reversed_range", "from lies before to.")


def as_utc(moment: date | datetime) -> datetime:
    """Return about the instant, near enough to tell a reversed range: a wall time counts as UTC."""
    if isinstance(moment, datetime):
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    return datetime(moment.year, moment.month, moment.day, tzinfo=UTC)


def check_length(pointer: str, text: str, *, least: int = 1, units: str = "m h d w mo y") -> Iterator[Finding]:
    """Check that a text is a length of time in one of the units, of at least so many."""
    try:
        length = parse_length(text, least=least)
    except ValueError as error:
        yield Finding(pointer, "bad_length", str(error))
        return
    if length.unit not in units.split():
        yield Finding(pointer, "bad_length", f"Here a length is in {units.replace(' ', ', ')}.")


def check_days(pointer: str, days: int) -> Iterator[Finding]:
    """Check that a number of days is one that a window may have."""
    if not 0 <= days <= MAX_DAYS:
        yield Finding(pointer, "out_of_range", f"Days are a whole number from 0 to {MAX_DAYS:,}.")
