"""USE CASE: tell how much a tenant uses of what it may: events of this month, users who did something, segments."""

from __future__ import annotations

from datetime import UTC, datetime

from msgspec import Struct

from segment_copilot.access.tenants import Tenant
from segment_copilot.events.identity_links import PERSON_KEY, with_links
from segment_copilot.events.quota import EventQuota, month_of
from segment_copilot.stores.clickhouse import ClickHouse
from segment_copilot.stores.merging import SUMS
from segment_copilot.stores.postgres import Postgres

# The table is cut into months, so this reads two parts of it at most, however long the tenant's history is.
_MONTH = f"""
SELECT count(), uniqExact({PERSON_KEY}) FROM {with_links("events")}
WHERE tenant_id = {{tenant:UInt32}} AND occurred_at BETWEEN {{from:DateTime64(6, 'UTC')}} AND {{as_of:DateTime64(6, 'UTC')}}
"""
_LIMITS = """
SELECT dynamic_plus_limit, events_per_month, (SELECT count(*) FROM segments WHERE tenant_id = $1 AND tier = 'dynamic_plus')
FROM tenants WHERE id = $1
"""


class Limited(Struct, frozen=True):
    """Tells what is limited, and how much of it was used. A limit of None is none.

    *events* were accepted since the month began in the tenant's time zone, whenever they happened; with *resets_at* the
    next one begins.
    """

    events: int
    events_limit: int | None
    resets_at: datetime
    dynamic_plus: int
    dynamic_plus_limit: int | None
    requests_per_minute: int


class Used(Struct, frozen=True):
    """Counts what happened since *since*, when the month began in the tenant's time zone, and what is limited.

    *events* happened in it, identifies included, and can be queried; *users* did one of them.
    """

    since: datetime
    events: int
    users: int
    limited: Limited


class Usage:
    """Measures what all tenants use; every method takes the tenant."""

    def __init__(self, postgres: Postgres, clickhouse: ClickHouse, *, requests_per_minute: int) -> None:
        self._requests_per_minute = requests_per_minute  # of tenants without a limit of their own
        self._postgres = postgres
        self._clickhouse = clickhouse
        self._quota = EventQuota(postgres)

    async def limited(self, tenant: Tenant, *, as_of: datetime | None = None) -> Limited:
        """Return how much is used of what is limited, in the month of *as_of* (default: now)."""
        at = as_of or datetime.now(UTC)
        row = await self._postgres.fetchrow(_LIMITS, tenant.id)
        dynamic_plus_limit, events_limit, dynamic_plus = row or (None, None, 0)
        return Limited(
            events=await self._quota.accepted(tenant, at=at),
            events_limit=events_limit,
            resets_at=month_of(at, tenant.timezone).ends,
            dynamic_plus=dynamic_plus,
            dynamic_plus_limit=dynamic_plus_limit,
            requests_per_minute=tenant.requests_per_minute or self._requests_per_minute,
        )

    async def this_month(self, tenant: Tenant, *, as_of: datetime | None = None) -> Used:
        """Return what was used in the month of *as_of* (default: now) up to then."""
        until = as_of or datetime.now(UTC)
        since = month_of(until, tenant.timezone).begins
        params = {"tenant": tenant.id, "from": since, "as_of": until}
        ((events, users),) = (await self._clickhouse.fetch(_MONTH, params, purpose="preview", merge=SUMS)).rows
        return Used(since, events, users, await self.limited(tenant, as_of=until))
