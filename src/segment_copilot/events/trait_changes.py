"""Notes that traits of a tenant have changed, for whoever keeps its segments true."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from segment_copilot.events.rows import Event
from segment_copilot.language.catalog import IDENTIFY
from segment_copilot.stores.postgres import Connection

_NOTE: Final = """
INSERT INTO trait_changes (tenant_id, changed, latest)
SELECT tenant_id, 1, latest FROM unnest($1::int[], $2::timestamptz[]) AS change (tenant_id, latest)
    JOIN tenants ON tenants.id = tenant_id
ORDER BY tenant_id -- so that two workers wait for each other instead of locking each other out
ON CONFLICT (tenant_id) DO UPDATE SET changed = trait_changes.changed + 1,
    -- A clock that is a little ahead; what is dated farther ahead is left to the schedule.
    latest = CASE WHEN excluded.latest < now() + interval '5 minutes'
        THEN greatest(trait_changes.latest, excluded.latest) ELSE trait_changes.latest END
"""


async def note_trait_changes(transaction: Connection, events: Iterable[Event]) -> None:
    """Note which tenants have traits among *events*, which ClickHouse has by now."""
    latest = dict[int, datetime]()
    for event in events:
        if event.event_type == IDENTIFY:
            at = latest.get(event.tenant_id, event.occurred_at)
            latest[event.tenant_id] = max(at, event.occurred_at)
    if latest:
        await transaction.execute(_NOTE, list(latest), list(latest.values()))


async def note_changed_tenants(transaction: Connection, tenant_ids: Iterable[int]) -> None:
    """Note tenants in which somebody's traits are other ones now, because of whose ids are theirs."""
    tenants = list(tenant_ids)
    await transaction.execute(_NOTE, tenants, [None] * len(tenants))
