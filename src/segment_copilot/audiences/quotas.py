"""Holds a tenant to its number of Dynamic Plus segments: one more is refused, and the refusal names what could go."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from segment_copilot.access.tenants import Tenant
from segment_copilot.audiences.dependencies import UNUSED
from segment_copilot.errors import Conflict, Finding
from segment_copilot.language import Tier
from segment_copilot.stores.postgres import Connection, Postgres

_NAMED: Final = 10
_OTHERS: Final = f"""
SELECT id, name, {UNUSED} AS is_unused FROM segments
WHERE tenant_id = $1 AND tier = 'dynamic_plus' AND id IS DISTINCT FROM $2
ORDER BY last_computed_at NULLS FIRST, id"""


class Quota(Struct, frozen=True):
    """Holds how many of something a tenant has, and may have."""

    used: int
    limit: int


async def read_quota(postgres: Postgres, tenant: Tenant) -> Quota | None:
    """Return how many Dynamic Plus segments the tenant has and may have; None where there is no limit."""
    sql = """
        SELECT dynamic_plus_limit, (SELECT count(*) FROM segments WHERE tenant_id = $1 AND tier = 'dynamic_plus')
        FROM tenants WHERE id = $1"""
    row = await postgres.fetchrow(sql, tenant.id)
    return None if row is None or row[0] is None else Quota(used=row[1], limit=row[0])


async def check_quota(transaction: Connection, tenant: Tenant, tier: Tier, *, segment_id: int | None) -> None:
    """Refuse with a Conflict a segment that would be one too many; *segment_id* is saved again and counts once.

    They are counted under a lock, so that two saves cannot both be the last one allowed. Named is what nothing uses,
    the longest not computed first.
    """
    if tier != "dynamic_plus":
        return
    limit = await transaction.fetchval("SELECT dynamic_plus_limit FROM tenants WHERE id = $1 FOR UPDATE", tenant.id)
    if limit is None:
        return
    others = await transaction.fetch(_OTHERS, tenant.id, segment_id)
    if len(others) < limit:
        return
    free = [{"id": row["id"], "name": row["name"]} for row in others if row["is_unused"]][:_NAMED]
    suggestions = tuple(f"{item['name']} ({item['id']})" for item in free)
    named = ", ".join(suggestions)
    way_out = f"Delete one of these first, which nothing uses: {named}" if free else "Each of them is in use"
    detail = (
        f"This tenant may have {limit} Dynamic Plus segments and has {len(others)}. "
        f"{way_out}; or use trait conditions only."
    )
    raise Conflict(
        detail,
        code="dynamic_plus_limit_reached",
        findings=[Finding("", "dynamic_plus_limit_reached", detail, suggestions)],
        context={"limit": limit, "segments": free},
    )
