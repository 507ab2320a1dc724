"""Counts the events that a tenant sends in a month, and says when they would be more than it may send.

They are counted in the transaction that stores them, so the count is exact. It is compared with the limit before that:
requests that are stored at the same moment may pass the limit together, by what is in them at most.
"""

from __future__ import annotations

from datetime import date, datetime
from math import ceil
from typing import Final
from zoneinfo import ZoneInfo

from msgspec import Struct

from segment_copilot.access.tenants import Tenant
from segment_copilot.errors import TooManyRequests
from segment_copilot.language.lengths import day_start
from segment_copilot.stores.postgres import Postgres

_ACCEPTED: Final = """
SELECT coalesce(sum(accepted), 0)::bigint FROM event_counts WHERE tenant_id = $1 AND month = $2
"""
_DECEMBER: Final = 12


class Month(Struct, frozen=True):
    """A month of a tenant's time zone: two UTC instants, of which the second is the next month's."""

    begins: datetime
    ends: datetime


class EventQuota:
    """Knows of all tenants how many events they sent; every method takes the tenant."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    async def accepted(self, tenant: Tenant, *, at: datetime) -> int:
        """Return how many events were accepted in the month of *at*. One whose id was seen before is none."""
        return await self._postgres.fetchval(_ACCEPTED, tenant.id, first_day(at, tenant.timezone))


def month_of(instant: datetime, timezone: str) -> Month:
    """Return the local month of *instant*."""
    zone = ZoneInfo(timezone)
    first = first_day(instant, timezone)
    following = (
        first.replace(year=first.year + 1, month=1)
        if first.month == _DECEMBER
        else first.replace(month=first.month + 1)
    )
    return Month(day_start(first, zone), day_start(following, zone))


def first_day(instant: datetime, timezone: str) -> date:
    """Return the first day of the local month of *instant*."""
    return instant.astimezone(ZoneInfo(timezone)).date().replace(day=1)


def quota_reached(tenant: Tenant, *, limit: int, accepted: int, new: int, at: datetime) -> TooManyRequests:
    """Return what refuses *new* events as a whole: some of them would be more than the tenant may send."""
    ends = month_of(at, tenant.timezone).ends
    left = max(limit - accepted, 0)
    detail = (
        f"This tenant may send {limit:,} events a month, and {left:,} are left until {ends:%Y-%m-%dT%H:%M:%SZ}: "
        f"of the {new:,} that are new here, none was stored. Send them then, or have the limit raised."
    )
    context = {"limit": limit, "remaining": left, "retry_after_seconds": ceil((ends - at).total_seconds())}
    return TooManyRequests(detail, code="event_quota_reached", context=context)
