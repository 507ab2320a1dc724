"""Reads and checks weekdays and hours of the local day."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, get_args

from msgspec import UNSET, UnsetType

from segment_copilot.errors import Finding
from segment_copilot.language.nodes import LocalTime, Weekday

WEEKDAYS: Final[tuple[Weekday, ...]] = get_args(Weekday)
"""In their order; the first is Monday."""

CLOCK_PATTERN: Final = "^(?:[01][0-9]|2[0-3]):[0-5][0-9]$"
_CLOCK: Final = re.compile(CLOCK_PATTERN)


def parse_hours(hours: list[str]) -> tuple[int, int]:
    """Return the minutes of the day at which hours begin (in) and end (out); they go over midnight where they end first."""
    begin, end = (int(text[:2]) * 60 + int(text[3:]) for text in hours)
    return begin, end


def check_at(pointer: str, at: LocalTime | UnsetType) -> Iterator[Finding]:
    """Check that weekdays or hours are given, and that hours are two times of the day."""
    if at is UNSET:
        return
    if at.weekdays is UNSET and at.hours is UNSET:
        yield Finding(pointer, "missing_field", "at has weekdays, hours or both; leave it out for any time.")
    if at.weekdays is not UNSET and not at.weekdays:
        yield Finding(f"{pointer}/weekdays", "empty_list", "Name at least one weekday, or leave weekdays out.")
    if at.hours is UNSET:
        return
    if len(at.hours) != 2:  # noqa: PLR2004  # when they begin and when they end
        yield Finding(f"{pointer}/hours", "wrong_type", 'hours are two times: ["09:00", "17:00"]; the second is out.')
        return
    wrong = [index for index, text in enumerate(at.hours) if not _CLOCK.fullmatch(text)]
    for index in wrong:
        detail = "A time of the day is HH:MM, from 00:00 to 23:59; midnight is 00:00 at either end."
        yield Finding(f"{pointer}/hours/{index}", "wrong_type", detail)
    if not wrong and at.hours[0] == at.hours[1]:
        detail = "These hours begin when they end; leave hours out for the whole day."
        yield Finding(f"{pointer}/hours", "reversed_range", detail)
