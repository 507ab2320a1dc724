"""USE CASE: declare what the events of a type look like: their event schema."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import msgspec
from msgspec import Struct

from segment_copilot.access.tenants import Tenant
from segment_copilot.errors import Finding, InvalidInput, NotFound
from segment_copilot.stores.postgres import Postgres, Record

PropertyType = Literal["string", "number", "boolean", "datetime", "list"]
PropertyFormat = Literal["", "epoch_s", "epoch_ms"]
"""Tells how a datetime is written as a number: seconds, or milliseconds, since 1970."""


class SchemaProperty(Struct, frozen=True, forbid_unknown_fields=True):
    r"""A declared property; *name* is a path as in a definition (`a.b`; a dot in a key is `\\.`)."""

    name: str
    type: PropertyType
    required: bool = False
    description: str = ""
    format: PropertyFormat = ""


class EventSchema(Struct, frozen=True):
    """The declared shape of one event type of a tenant; that of `context_identified` declares its traits."""

    id: int
    event_type: str
    description: str
    properties: tuple[SchemaProperty, ...]
    created_at: datetime
    updated_at: datetime


_COLUMNS = "id, event_type, description, properties, created_at, updated_at"


class Schemas:
    """Manages the event schemas of all tenants; every method takes the tenant."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    async def list(self, tenant: Tenant) -> tuple[EventSchema, ...]:
        """Return all schemas of the tenant, by event type."""
        sql = f"SELECT {_COLUMNS} FROM event_schemas WHERE tenant_id = $1 ORDER BY event_type"
        return tuple(_schema(row) for row in await self._postgres.fetch(sql, tenant.id))

    async def get(self, tenant: Tenant, schema_id: int) -> EventSchema:
        """Return one schema; raises NotFound when the tenant has none of that id."""
        sql = f"SELECT {_COLUMNS} FROM event_schemas WHERE tenant_id = $1 AND id = $2"
        if (row := await self._postgres.fetchrow(sql, tenant.id, schema_id)) is None:
            raise NotFound(f"There is no event schema {schema_id}.")
        return _schema(row)

    async def save(
        self, tenant: Tenant, *, event_type: str, description: str = "", properties: Sequence[SchemaProperty] = ()
    ) -> EventSchema:
        """Declare an event type; what was declared of it before is replaced.

        Raises:
            InvalidInput: A format beside a type that is not datetime.
        """
        if wrong := [
            Finding(f"/properties/{index}/format", "unread_field", "Only a datetime has a format.")
            for index, declared in enumerate(properties)
            if declared.format and declared.type != "datetime"
        ]:
            raise InvalidInput(wrong[0].detail, findings=wrong)
        sql = f"""
            INSERT INTO event_schemas (tenant_id, event_type, description, properties) VALUES ($1, $2, $3, $4)
            ON CONFLICT (tenant_id, event_type) DO UPDATE
                SET description = excluded.description, properties = excluded.properties, updated_at = now()
            RETURNING {_COLUMNS}"""
        stored = msgspec.json.encode(properties).decode()
        row = await self._postgres.fetchrow(sql, tenant.id, event_type, description, stored)
        assert row is not None  # noqa: S101  # RETURNING gives a row
        return _schema(row)


def _schema(row: Record) -> EventSchema:
    return EventSchema(
        id=row["id"],
        event_type=row["event_type"],
        description=row["description"],
        properties=msgspec.json.decode(row["properties"], type=tuple[SchemaProperty, ...]),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
