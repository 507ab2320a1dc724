"""USE CASE: read what a definition refers to: other segments of the tenant, as they are saved now."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from msgspec import Struct

from segment_copilot.access.tenants import Tenant
from segment_copilot.compiler import Referenced, Static, all_conditions, referenced_segments
from segment_copilot.errors import Conflict, NotFound
from segment_copilot.language import Definition, decode
from segment_copilot.stores.postgres import Connection, Postgres, Record


def lists_among(references: Iterable[Referenced]) -> frozenset[UUID]:
    """Return the runs that have the members of the static segments among *references*."""
    return frozenset(one.run_id for one in references if isinstance(one, Static) and one.run_id is not None)


class Saved(Struct, frozen=True):
    """A saved segment, as far as others may refer to it."""

    name: str
    is_active: bool
    member_count: int | None
    referenced: Referenced


class References:
    """Reads the segments that definitions of all tenants refer to; every method takes the tenant."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    async def definition(self, tenant: Tenant, segment_id: int) -> Definition:
        """Return the current definition of one segment.

        Raises:
            NotFound: There is no such segment.
            Conflict: It is static, or a draft that has none yet.
        """
        sql = "SELECT segment_type, definition, published_run FROM segments WHERE tenant_id = $1 AND id = $2"
        if (row := await self._postgres.fetchrow(sql, tenant.id, segment_id)) is None:
            raise not_found(segment_id)
        match _referenced(row):
            case Static():
                raise is_static(segment_id)
            case None:
                raise without_definition(segment_id)
            case Definition() as definition:
                return definition

    async def load(self, tenant: Tenant, segment_ids: Iterable[int]) -> dict[int, Referenced]:
        """Return what stands behind these segments and all that they refer to, without unknown ids; a draft has None."""
        found = dict[int, Referenced]()
        waiting = set(segment_ids)
        sql = """
            SELECT id, segment_type, definition, published_run FROM segments
            WHERE tenant_id = $1 AND id = ANY($2::bigint[])"""
        while waiting:
            ids = [segment_id for segment_id in waiting if abs(segment_id) < 2**63]
            rows = await self._postgres.fetch(sql, tenant.id, ids)
            for row in rows:
                found[row["id"]] = _referenced(row)
            named = {target for row in rows for target in referenced_segments(all_conditions(found[row["id"]]))}
            waiting = named - found.keys()
        return found

    async def every(self, tenant: Tenant) -> dict[int, Saved]:
        """Return all segments of the tenant, by id."""
        sql = """
            SELECT id, name, is_active, member_count, segment_type, definition, published_run FROM segments
            WHERE tenant_id = $1 ORDER BY id"""
        rows = await self._postgres.fetch(sql, tenant.id)
        return {row["id"]: Saved(row["name"], row["is_active"], row["member_count"], _referenced(row)) for row in rows}

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


async def no_members(connection: Connection | Postgres, tenant: Tenant, segment_id: int, *, more: str = "") -> Conflict:
    """Return the error for members that are asked for and were never published: it says how this segment gets some."""
    sql = "SELECT segment_type, definition IS NOT NULL AS is_defined FROM segments WHERE tenant_id = $1 AND id = $2"
    row = await connection.fetchrow(sql, tenant.id, segment_id)
    if row is not None and row["segment_type"] == "static":
        detail = f"Segment {segment_id} has no members yet: upload them first, to /api/segments/{segment_id}/upload/."
    elif row is not None and not row["is_defined"]:
        return without_definition(segment_id)
    else:
        detail = f"Segment {segment_id} has no members yet: compute it first{more}."
    return Conflict(detail, code="segment_not_computed")


def not_found(segment_id: int) -> NotFound:
    """Return the error for an id that never was; it is the same for another tenant's."""
    return NotFound(f"There is no segment {segment_id}.", code="segment_not_found")


def is_static(segment_id: int) -> Conflict:
    """Return the error for a question about the definition of a static segment."""
    detail = f"Segment {segment_id} is static: it has no definition, and its members are those that were uploaded."
    return Conflict(detail, code="segment_is_static")


def _referenced(row: Record) -> Referenced:
    if row["segment_type"] == "static":
        return Static(row["published_run"])
    return None if row["definition"] is None else decode(row["definition"].encode())
