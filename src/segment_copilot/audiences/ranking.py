"""Tells whether a saved segment ranks users, or refers to one that does: such a segment is never live."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from segment_copilot.access.tenants import Tenant
from segment_copilot.audiences.previews import Previews
from segment_copilot.compiler import ranks_users
from segment_copilot.errors import InvalidDefinition
from segment_copilot.stores.postgres import Postgres

_DEFINITION: Final = "SELECT definition FROM segments WHERE tenant_id = $1 AND id = $2"


async def ranks_users_now(postgres: Postgres, previews: Previews, tenant: Tenant, segment_id: int) -> bool:
    """Return whether a segment, as it is saved, ranks users; False of one that does not compile any more."""
    row = await postgres.fetchrow(_DEFINITION, tenant.id, segment_id)
    if row is None or row["definition"] is None:
        return False
    try:
        prepared = await previews.prepare(tenant, row["definition"].encode(), as_of=datetime.now(UTC), purpose=None)
    except InvalidDefinition:
        return False
    return ranks_users(prepared.compiled.plan.root)
