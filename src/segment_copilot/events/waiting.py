"""USE CASE: read what was accepted of a user and is not in ClickHouse yet."""

from __future__ import annotations

from segment_copilot.access.tenants import Tenant
from segment_copilot.compiler import Person
from segment_copilot.events.rows import Event
from segment_copilot.stores.postgres import Postgres

_WAITING = """
SELECT event_id, user_id, event_type, occurred_at, payload FROM events
WHERE tenant_id = $1 AND user_id = ANY ($2::text[]) AND block_id IS NULL
UNION ALL
SELECT event_id, user_id, event_type, occurred_at, payload FROM events
WHERE tenant_id = $1 AND user_id = ANY ($2::text[]) AND block_id = ANY (ARRAY(SELECT id FROM blocks WHERE status = 'pending'))
"""


class WaitingEvents:
    """Reads the events of all tenants that wait to be forwarded; every method takes the tenant."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    async def of_person(self, tenant: Tenant, person: Person) -> tuple[Event, ...]:
        """Return what waits of one person, under any of their ids, in no order.

        Ask this before ClickHouse: what is forwarded in between is then in both, and known by its id; never in neither.
        """
        rows = await self._postgres.fetch(_WAITING, tenant.id, [person.user_id, *person.other_ids])
        return tuple(Event(tenant.id, *row) for row in rows)
