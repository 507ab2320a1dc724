"""USE CASE: say what a segment refers to, and what uses it, so that nothing is deleted under what stands on it."""

from __future__ import annotations

from msgspec import Struct

from segment_copilot.access.tenants import Tenant
from segment_copilot.audiences.references import not_found
from segment_copilot.errors import Conflict
from segment_copilot.language import read_stored
from segment_copilot.language.names import event_properties_of, event_types_of, traits_of
from segment_copilot.stores.postgres import Connection, Postgres


class NamedSegment(Struct, frozen=True):
    """Names a segment."""

    id: int
    name: str


class NamedActivation(Struct, frozen=True):
    """Names an activation by its connector."""

    id: int
    connector_type: str


class NamedProperty(Struct, frozen=True):
    """Names a property of the events of a type; `*` is any type."""

    event_type: str
    property: str


class RefersTo(Struct, frozen=True):
    """Holds what a definition looks at, each once, in the order in which it is read; segments by id."""

    segments: tuple[NamedSegment, ...]
    event_types: tuple[str, ...]
    properties: tuple[NamedProperty, ...]
    traits: tuple[str, ...]


class UsedBy(Struct, frozen=True):
    """Holds what would miss the segment: segments whose conditions name it, and activations that send it."""

    segments: tuple[NamedSegment, ...]
    activations: tuple[NamedActivation, ...]


class DependenciesOfSegment(Struct, frozen=True):
    """Holds what a segment refers to, and what uses it: while anything does, it cannot be deleted."""

    refers_to: RefersTo
    used_by: UsedBy


_USING_SEGMENTS = """
SELECT segments.id, segments.name FROM segment_references JOIN segments ON segments.id = segment_id
WHERE refers_to = $2 AND tenant_id = $1 AND segment_id <> $2 ORDER BY segments.id"""
_USING_ACTIVATIONS = "SELECT id, connector_type FROM activations WHERE tenant_id = $1 AND segment_id = $2 ORDER BY id"
_TARGETS = """
SELECT segments.id, segments.name FROM segment_references JOIN segments ON segments.id = refers_to
WHERE segment_id = $2 AND tenant_id = $1 ORDER BY segments.id"""

# Live ones look each minute at what stands behind them.
_MAKE_DUE = """
WITH RECURSIVE behind AS (
    SELECT segment_id FROM segment_references WHERE refers_to = $2
    UNION SELECT above.segment_id FROM segment_references AS above JOIN behind ON above.refers_to = behind.segment_id)
UPDATE segments SET next_refresh_at = now() FROM (
    SELECT id FROM segments
    WHERE tenant_id = $1 AND id IN (SELECT segment_id FROM behind) AND id <> $2 AND refresh_mode <> 'live' AND next_refresh_at > now()
    ORDER BY id FOR NO KEY UPDATE
) AS due WHERE segments.id = due.id
"""

UNUSED = """
NOT EXISTS (SELECT FROM segment_references WHERE refers_to = segments.id AND segment_id <> segments.id)
AND NOT EXISTS (SELECT FROM activations WHERE activations.segment_id = segments.id)"""
"""The condition on a row of `segments` that nothing uses it."""


class Dependencies:
    """Reads the dependencies of all tenants' segments; every method takes the tenant."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    async def of(self, tenant: Tenant, segment_id: int) -> DependenciesOfSegment:
        """Return what the segment refers to, and what uses it; raises NotFound."""
        async with self._postgres.connection() as connection:
            sql = "SELECT definition FROM segments WHERE tenant_id = $1 AND id = $2"
            row = await connection.fetchrow(sql, tenant.id, segment_id)
            if row is None:
                raise not_found(segment_id)
            targets = await connection.fetch(_TARGETS, tenant.id, segment_id)
            used_by = await read_users(connection, tenant, segment_id)
        if row["definition"] is None:
            return DependenciesOfSegment(RefersTo((), (), (), ()), used_by)
        definition = read_stored(row["definition"])
        refers_to = RefersTo(
            segments=tuple(NamedSegment(row["id"], row["name"]) for row in targets),
            event_types=event_types_of(definition),
            properties=tuple(NamedProperty(*pair) for pair in event_properties_of(definition)),
            traits=traits_of(definition),
        )
        return DependenciesOfSegment(refers_to, used_by)


async def read_users(connection: Connection, tenant: Tenant, segment_id: int) -> UsedBy:
    """Return what uses a segment."""
    segments = await connection.fetch(_USING_SEGMENTS, tenant.id, segment_id)
    activations = await connection.fetch(_USING_ACTIVATIONS, tenant.id, segment_id)
    return UsedBy(
        tuple(NamedSegment(row["id"], row["name"]) for row in segments),
        tuple(NamedActivation(row["id"], row["connector_type"]) for row in activations),
    )


async def make_users_due(postgres: Postgres, tenant: Tenant, segment_id: int) -> None:
    """Have the segments refreshed at once whose definitions lead to one that now means others; not in its transaction."""
    await postgres.execute(_MAKE_DUE, tenant.id, segment_id)


async def check_unused(connection: Connection, tenant: Tenant, segment_id: int) -> None:
    """Refuse with a Conflict that names them when other segments or activations use the segment."""
    used_by = await read_users(connection, tenant, segment_id)
    users = [f"segment {user.name} ({user.id})" for user in used_by.segments]
    users += [f"activation {user.connector_type} ({user.id})" for user in used_by.activations]
    if users:
        detail = f"Segment {segment_id} is used by {', '.join(users)}; change or delete those first."
        raise Conflict(detail, code="segment_in_use", context={"used_by": users})
