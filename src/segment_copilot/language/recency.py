"""Says when the last event of a user happened, from the days that a recency counts since then."""

from __future__ import annotations

from datetime import datetime
from typing import assert_never
from zoneinfo import ZoneInfo

from msgspec import UNSET

from segment_copilot.language.lengths import EARLIEST, MICROSECOND, Length, before
from segment_copilot.language.nodes import Recency


def recency_bounds(leaf: Recency, as_of: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Return the first and the last instant at which the last event may lie; `negate` is left out of account."""

    def days_ago(days: int) -> datetime:
        return before(as_of, Length(days, "d"), zone)

    near = days_ago(leaf.window_days)
    match leaf.operator:
        case "gt":
            return EARLIEST, near - MICROSECOND
        case "gte":
            return EARLIEST, near
        case "lt":
            return near + MICROSECOND, as_of
        case "lte":
            return near, as_of
        case "eq":
            return days_ago(leaf.window_days + 1) + MICROSECOND, near
        case "between":
            return days_ago(leaf.window_days if leaf.value2 is UNSET else leaf.value2), near
        case _:
            assert_never(leaf.operator)
