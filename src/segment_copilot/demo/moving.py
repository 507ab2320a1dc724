"""Moves a demo shop that has grown old to now, by whole days: its events, and what was counted of them.

What people have put into the tenant themselves stays as it is. While it moves, the tenant is called after the instant
at which the shop is to end, so that a move that died is recognised by whoever comes next, and carried on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from segment_copilot.access.tenants import Tenant
from segment_copilot.demo.people import DAYS
from segment_copilot.demo.shop import event_prefix, generate_shop
from segment_copilot.resources import Resources
from segment_copilot.stores.merging import grouped

MOVING: Final = "demo-moving-"
"""What a tenant's slug begins with while its shop moves; microseconds since 1970 follow."""

_DAY: Final = timedelta(days=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_LAST: Final = """
SELECT max(occurred_at), count() FROM events WHERE tenant_id = {tenant:UInt32} AND startsWith(event_id, {prefix:String})
"""
_MOVES: Final = (  # what lies after the end of the shop is people's own
    """UPDATE computations SET as_of = as_of + $2, created_at = created_at + $2, finished_at = finished_at + $2
       WHERE tenant_id = $1 AND as_of <= $3""",
    """UPDATE segment_versions AS versions SET created_at = versions.created_at + $2
       FROM segments WHERE segments.id = segment_id AND tenant_id = $1 AND versions.created_at <= $3""",
    """UPDATE segments SET created_at = created_at + $2, updated_at = greatest(
           created_at + $2, CASE WHEN updated_at <= $3 THEN updated_at + $2 ELSE updated_at END)
       WHERE tenant_id = $1 AND created_at <= $3""",
)


async def move_to_now(
    resources: Resources,
    tenant: Tenant,
    *,
    now: datetime,
    seed: int,
    users: int,
    progress: Callable[[str], None],
    notice: Callable[[str], None],
) -> bool:
    """Move the shop, when it ended more than a day before *now*, by as many whole days as bring it nearest before *now*.

    Begins a move, or carries on one that died. True when the shop was moved: its segments are to be computed again and
    the tenant is to be given its name.
    """
    if tenant.slug.startswith(MOVING):
        ends_at = _EPOCH + int(tenant.slug.removeprefix(MOVING)) * _MICROSECOND
        shop = await asyncio.to_thread(generate_shop, seed=seed, users=users)
    else:
        last = await _find_last(resources, tenant, seed=seed)
        if last is None or now - last <= _DAY:
            return False
        shop = await asyncio.to_thread(generate_shop, seed=seed, users=users)
        ended_at = last + timedelta(days=DAYS) - timedelta(milliseconds=shop.rows[-1][0])
        if now - ended_at <= _DAY:
            return False
        days = (now - ended_at) // _DAY
        ends_at = ended_at + days * _DAY
        old = "a day" if days == 1 else f"{days} days"
        notice(f"The demo shop is {old} old: it moves to now by whole days. What you saved or sent stays as it is.")
        await _begin(resources, tenant, by=days * _DAY, ended_at=ended_at, ends_at=ends_at)
    events = list(shop.events(tenant.id, ends_at=ends_at))
    await resources.history.rewrite(
        tenant,
        events,
        prefix=event_prefix(seed),
        recent_since=ends_at - timedelta(hours=resources.settings.recent_event_hours),
        progress=lambda written: progress(f"{written:,} of {len(events):,} events"),
    )
    return True


async def _find_last(resources: Resources, tenant: Tenant, *, seed: int) -> datetime | None:
    """Return the instant of the shop's last event; None when the tenant has none of them."""
    params = {"tenant": tenant.id, "prefix": event_prefix(seed)}
    merge = grouped(0, "max", "add")
    last, count = (await resources.clickhouse.fetch(_LAST, params, purpose="catalog", merge=merge)).rows[0]
    return last if count else None


async def _begin(resources: Resources, tenant: Tenant, *, by: timedelta, ended_at: datetime, ends_at: datetime) -> None:
    """Move what PostgreSQL has, and write down in the same transaction where the events are to go."""
    slug = f"{MOVING}{(ends_at - _EPOCH) // _MICROSECOND}"
    async with resources.postgres.transaction() as transaction:
        for sql in _MOVES:
            await transaction.execute(sql, tenant.id, by, ended_at)
        await transaction.execute("UPDATE tenants SET slug = $2 WHERE id = $1", tenant.id, slug)
