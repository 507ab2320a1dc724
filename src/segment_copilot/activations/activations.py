"""USE CASE: say where a segment's members are sent. Secrets never leave this module in the clear."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Literal, cast

import msgspec
from msgspec import Struct

from segment_copilot.access.tenants import Tenant
from segment_copilot.audiences.references import not_found, without_definition
from segment_copilot.stores.postgres import Postgres, Record

Status = Literal["inactive", "active", "error"]
MASK: Final = "***"
_SECRET = re.compile(r"key|secret|token|password|credential|authorization", re.IGNORECASE)

_LIST = """
SELECT a.id, a.connector_type, a.segment_id, s.name AS segment_name, a.config, a.status, a.last_synced_at, a.last_error
FROM activations a JOIN segments s ON s.id = a.segment_id AND s.tenant_id = a.tenant_id
WHERE a.tenant_id = $1
ORDER BY a.id
LIMIT $2
"""
_CREATE = """
INSERT INTO activations (tenant_id, segment_id, connector_type, config, status, last_synced_at)
SELECT $1, id, $3, $4, $5, $6 FROM segments WHERE tenant_id = $1 AND id = $2 AND definition IS NOT NULL
FOR SHARE -- one that is deleted meanwhile is not there
"""


_STANDINGS = """
SELECT a.id, a.segment_id, s.name AS segment_name, a.connector_type, a.status, a.last_synced_at, a.last_error, s.member_count
FROM activations a JOIN segments s ON s.id = a.segment_id AND s.tenant_id = a.tenant_id
WHERE a.tenant_id = $1
ORDER BY a.id
"""


class ActivationStanding(Struct, frozen=True):
    """An activation beside the size of its segment."""

    id: int
    segment_id: int
    segment_name: str
    connector_type: str
    status: Status
    last_synced_at: datetime | None
    last_error: str | None
    member_count: int | None


class Activation(Struct, frozen=True):
    """An activation connects a segment to a destination. *config* has its secrets mask_secrets."""

    id: int
    connector_type: str
    segment_id: int
    segment_name: str
    config: Mapping[str, Any]
    status: Status
    last_synced_at: datetime | None
    last_error: str | None


class Activations:
    """Manages the activations of all tenants; every method takes the tenant."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    async def list(self, tenant: Tenant, *, limit: int = 1000) -> tuple[Activation, ...]:
        """Return the tenant's activations, oldest first."""
        return tuple(_activation(row) for row in await self._postgres.fetch(_LIST, tenant.id, limit))

    async def standings(self, tenant: Tenant) -> tuple[ActivationStanding, ...]:
        """Return every activation of the tenant beside the size of its segment, oldest first."""
        return tuple(ActivationStanding(*row) for row in await self._postgres.fetch(_STANDINGS, tenant.id))

    async def create(
        self,
        tenant: Tenant,
        segment_id: int,
        *,
        connector_type: str,
        config: Mapping[str, Any],
        status: Status = "inactive",
        last_synced_at: datetime | None = None,
    ) -> None:
        """Connect a segment of the tenant to a destination; nothing is sent by this.

        Raises:
            NotFound: There is no such segment.
            Conflict: It is a draft that has no definition yet.
        """
        stored = msgspec.json.encode(config).decode()
        if not await self._postgres.execute(
            _CREATE, tenant.id, segment_id, connector_type, stored, status, last_synced_at
        ):
            sql = "SELECT EXISTS (SELECT FROM segments WHERE tenant_id = $1 AND id = $2)"
            is_draft = await self._postgres.fetchval(sql, tenant.id, segment_id)
            raise without_definition(segment_id) if is_draft else not_found(segment_id)

    async def delete_all(self, tenant: Tenant) -> None:
        """Delete every activation of the tenant."""
        await self._postgres.execute("DELETE FROM activations WHERE tenant_id = $1", tenant.id)


def _activation(row: Record) -> Activation:
    return Activation(
        id=row["id"],
        connector_type=row["connector_type"],
        segment_id=row["segment_id"],
        segment_name=row["segment_name"],
        config=mask_secrets(msgspec.json.decode(row["config"])),
        status=row["status"],
        last_synced_at=row["last_synced_at"],
        last_error=row["last_error"],
    )


def mask_secrets(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return *config* with `***` in place of every secret, however deep."""
    return {key: MASK if _SECRET.search(key) else _mask(value) for key, value in config.items()}


def _mask(value: object) -> object:
    match value:
        case dict():
            return mask_secrets(cast("dict[str, Any]", value))
        case list():
            return [_mask(item) for item in cast("list[object]", value)]
        case _:
            return value
