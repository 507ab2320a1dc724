"""USE CASE: read what a definition refers to: other segments of the tenant, as they are saved now."""

from __future__ import annotations

from collections.abc import Iterable

from segment_copilot.access.tenants import Tenant
from segment_copilot.compiler import all_conditions, referenced_segments
from segment_copilot.errors import Conflict, NotFound
from segment_copilot.language import Definition, decode
from segment_copilot.stores.postgres import Postgres


class References:
    """Reads the segments that definitions of all tenants refer to; every method takes the tenant."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    async def definition(self, tenant: Tenant, segment_id: int) -> Definition:
        """Return the current definition of one segment.

        Raises:
            NotFound: There is no such segment.
            Conflict: It is a draft that has none yet.
        """
        sql = "SELECT definition FROM segments WHERE tenant_id = $1 AND id = $2"
        if (row := await self._postgres.fetchrow(sql, tenant.id, segment_id)) is None:
            raise not_found(segment_id)
        if row["definition"] is None:
            raise without_definition(segment_id)
        return decode(row["definition"].encode())

    async def load(self, tenant: Tenant, segment_ids: Iterable[int]) -> dict[int, Definition | None]:
        """Return the current definitions of these segments and of all that they refer to, without unknown ids.

        A draft has none.
        """
        found = dict[int, Definition | None]()
        waiting = set(segment_ids)
        while waiting:
            ids = [segment_id for segment_id in waiting if abs(segment_id) < 2**63]
            rows = await self._postgres.fetch(
                "SELECT id, definition FROM segments WHERE tenant_id = $1 AND id = ANY($2::bigint[])", tenant.id, ids
            )
            read = {row["id"]: row["definition"] and decode(row["definition"].encode()) for row in rows}
            found |= read
            named = {target for one in read.values() if one for target in referenced_segments(all_conditions(one))}
            waiting = named - found.keys()
        return found

    async def names(self, tenant: Tenant, ids: Iterable[int]) -> dict[int, str]:
        """Return the names of the segments with these ids."""
        if not (wanted := list(ids)):
            return {}
        sql = "SELECT id, name FROM segments WHERE tenant_id = $1 AND id = ANY($2::bigint[])"
        return {row["id"]: row["name"] for row in await self._postgres.fetch(sql, tenant.id, wanted)}


def without_definition(segment_id: int) -> Conflict:
    """Return the error for a question to a draft that has no definition yet."""
    detail = f"Segment {segment_id} has no definition yet; give it one first, by PATCH."
    return Conflict(detail, code="segment_without_definition")


def not_found(segment_id: int) -> NotFound:
    """Return the error for an id that never was; it is the same for another tenant's."""
    return NotFound(f"There is no segment {segment_id}.", code="segment_not_found")
