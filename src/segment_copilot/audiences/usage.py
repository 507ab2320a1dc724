"""USE CASE: tell how much a tenant uses of what it may: events of this month, users who did something, segments."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from msgspec import Struct

from segment_copilot.access.tenants import Tenant
from segment_copilot.events.identity_links import PERSON_KEY, with_links
from segment_copilot.language.lengths import day_start
from segment_copilot.stores.clickhouse import ClickHouse
from segment_copilot.stores.postgres import Postgres

# The table is cut into months, so this reads two parts of it at most, however long the tenant's history is.
_MONTH = f"""
SELECT count(), uniqExact({PERSON_KEY}) FROM {with_links("events")}
WHERE tenant_id = {{tenant:UInt32}} AND occurred_at BETWEEN {{from:DateTime64(6, 'UTC')}} AND {{as_of:DateTime64(6, 'UTC')}}
"""
_DYNAMIC_PLUS = """
SELECT dynamic_plus_limit, (SELECT count(*) FROM segments WHERE tenant_id = $1 AND tier = 'dynamic_plus')
FROM tenants WHERE id = $1
"""


class Used(Struct, frozen=True):
    """Usage since *since*, when the month began in the tenant's time zone. A limit of None is none.

    *events* happened in it, identifies included, and can be queried; *users* did one of them.
    """

    since: datetime
    events: int
    users: int
    dynamic_plus: int
    dynamic_plus_limit: int | None
    requests_per_minute: int


class Usage:
    """Measures what all tenants use; every method takes the tenant."""

    def __init__(self, postgres: Postgres, clickhouse: ClickHouse, *, requests_per_minute: int) -> None:
        self._requests_per_minute = requests_per_minute  # of tenants without a limit of their own
        self._postgres = postgres
        self._clickhouse = clickhouse

    async def this_month(self, tenant: Tenant, *, as_of: datetime | None = None) -> Used:
        """Return what was used in the month of *as_of* (default: now) up to then."""
        until = as_of or datetime.now(UTC)
        since = month_start(until, tenant.timezone)
        row = await self._postgres.fetchrow(_DYNAMIC_PLUS, tenant.id)
        limit, used = row or (None, 0)
        params = {"tenant": tenant.id, "from": since, "as_of": until}
        ((events, users),) = (await self._clickhouse.fetch(_MONTH, params, purpose="preview")).rows
        return Used(since, events, users, used, limit, tenant.requests_per_minute or self._requests_per_minute)


def month_start(instant: datetime, timezone: str) -> datetime:
    """Return the UTC instant at which the local month of *instant* began."""
    zone = ZoneInfo(timezone)
    local = instant.astimezone(zone)
    return day_start(local.date().replace(day=1), zone)
