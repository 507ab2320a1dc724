"""Declarations are the event schemas of a tenant as a process remembers them, at most a second behind what is stored.

Every event that comes in is judged by them, and the catalog is made with them. Whether they changed is asked by one
short query a second and tenant; what changed in this process is seen at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Struct, field

from segment_copilot.access.tenants import Tenant
from segment_copilot.errors import NotFound
from segment_copilot.events.shapes import SchemaProperty, Shape
from segment_copilot.stores.postgres import Postgres, Record

REMEMBER_SECONDS: Final = 1.0

# The transaction that wrote a row last changes with every write, whatever two clocks say.
_STAMP: Final = """
SELECT coalesce(string_agg(id || ':' || xmin, ',' ORDER BY id), '') FROM event_schemas WHERE tenant_id = $1
"""
_READ: Final = """
SELECT id, event_type, description, properties, strict FROM event_schemas WHERE tenant_id = $1 ORDER BY event_type
"""


class Declaration(Struct, frozen=True):
    """Holds what is declared of one event type."""

    schema_id: int
    description: str
    properties: tuple[SchemaProperty, ...]
    strict: bool
    shape: Shape


class Declared(Struct, frozen=True):
    """Holds what a tenant has declared, by event type; *stamp* is another one after every change."""

    stamp: str = ""
    by_type: Mapping[str, Declaration] = field(default_factory=dict[str, Declaration])

    def shape_of(self, event_type: str) -> Shape | None:
        """Return what payloads of *event_type* are judged by; None where nothing is declared."""
        return declared.shape if (declared := self.by_type.get(event_type)) is not None else None


_NEVER: Final = (float("-inf"), Declared())


class Declarations:
    """Remembers the event schemas of all tenants; every method takes the tenant."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres
        self._known: dict[int, tuple[float, Declared]] = {}
        self._reading: dict[int, asyncio.Lock] = {}
        self._changed: dict[int, float] = {}

    async def of(self, tenant: Tenant, *, fresh: bool = False) -> Declared:
        """Return what the tenant has declared, at most a second old; *fresh* asks now."""
        asked_at = time.monotonic()
        since = asked_at if fresh else max(asked_at - REMEMBER_SECONDS, self._changed.get(tenant.id, float("-inf")))
        read_at, declared = self._known.get(tenant.id, _NEVER)
        if read_at >= since and not fresh:
            return declared
        async with self._reading.setdefault(tenant.id, asyncio.Lock()):
            read_at, declared = self._known.get(tenant.id, _NEVER)
            if read_at < since:
                read_at, declared = time.monotonic(), await self._read(tenant, declared)
                self._known[tenant.id] = read_at, declared
            return declared

    def forget(self, tenant: Tenant) -> None:
        """Forget what was read before now, and what is being read, because something was changed here."""
        self._changed[tenant.id] = time.monotonic()
        self._known.pop(tenant.id, None)

    async def _read(self, tenant: Tenant, known: Declared) -> Declared:
        stamp: str = await self._postgres.fetchval(_STAMP, tenant.id)
        if stamp == known.stamp:
            return known
        rows = await self._postgres.fetch(_READ, tenant.id)
        return Declared(stamp, {row["event_type"]: _declaration(row) for row in rows})


def no_schema(schema_id: int) -> NotFound:
    """Return the error for an id that the tenant has no event schema of."""
    return NotFound(f"There is no event schema {schema_id}.", code="schema_not_found")


def _declaration(row: Record) -> Declaration:
    properties = msgspec.json.decode(row["properties"], type=tuple[SchemaProperty, ...])
    shape = Shape(row["id"], properties, strict=row["strict"])
    return Declaration(row["id"], row["description"], properties, row["strict"], shape)
