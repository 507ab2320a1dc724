"""USE CASE: read a tenant's catalog, and remember it for a minute.

Names come from what the worker observed as it forwarded events, and from event schemas.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from segment_copilot.access.tenants import Tenant
from segment_copilot.events.schemas import SchemaProperty
from segment_copilot.language.catalog import IDENTIFY, Catalog, EventType, Property, SegmentName
from segment_copilot.stores.postgres import Postgres, Record

_REMEMBER_SECONDS: Final = 60.0


class Discovery:
    """Reads the catalogs of all tenants, each once a minute however many ask."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres
        self._known: dict[int, tuple[float, Catalog]] = {}
        self._reading: dict[int, asyncio.Lock] = {}

    async def catalog(self, tenant: Tenant, *, fresh: bool = False, oldest: float = _REMEMBER_SECONDS) -> Catalog:
        """Return what exists in the tenant, read at most *oldest* seconds ago; *fresh* reads it now."""
        asked_at = time.monotonic()
        async with self._reading.setdefault(tenant.id, asyncio.Lock()):
            read_at, catalog = self._known.get(tenant.id, (float("-inf"), None))
            since = asked_at if fresh else asked_at - oldest
            if catalog is None or read_at < since:
                read_at, catalog = time.monotonic(), await self._read(tenant)
                self._known[tenant.id] = read_at, catalog
            return catalog

    def forget(self, tenant: Tenant) -> None:
        """Forget the tenant's catalog, because something of it was changed here: the next to ask reads it anew."""
        self._known.pop(tenant.id, None)

    async def _read(self, tenant: Tenant) -> Catalog:
        """Read the catalog as it stands."""
        async with self._postgres.connection() as connection:
            timezone = await connection.fetchval("SELECT timezone FROM tenants WHERE id = $1", tenant.id)
            observed = await connection.fetch(
                "SELECT event_type, path, types, samples, event_count, last_seen FROM observed_names "
                "WHERE tenant_id = $1 ORDER BY event_type, path",
                tenant.id,
            )
            schemas = await connection.fetch(
                "SELECT event_type, description, properties FROM event_schemas "
                "WHERE tenant_id = $1 ORDER BY event_type",
                tenant.id,
            )
            segments = await connection.fetch(
                "SELECT id, name, description FROM segments WHERE tenant_id = $1 ORDER BY id", tenant.id
            )
        event_types = _event_types(observed, schemas)
        identify = event_types.pop(IDENTIFY, None)
        return Catalog(
            timezone=timezone or "UTC",
            event_types=event_types,
            traits=identify.properties if identify else {},
            segments={row["id"]: SegmentName(row["id"], row["name"], row["description"]) for row in segments},
        )


def _event_types(observed: Iterable[Record], schemas: Iterable[Record]) -> dict[str, EventType]:
    found = dict[str, EventType]()
    properties = dict[str, dict[str, Property]]()
    for row in observed:
        name, path = row["event_type"], row["path"]
        if path:
            samples: list[Any] = msgspec.json.decode(row["samples"])
            properties.setdefault(name, {})[path] = Property(path, tuple(row["types"]), samples=tuple(samples))
        else:
            found[name] = EventType(name, "", row["event_count"], row["last_seen"])
    for row in schemas:
        name = row["event_type"]
        known = found.get(name, EventType(name))
        found[name] = msgspec.structs.replace(known, description=row["description"])
        declared = msgspec.json.decode(row["properties"], type=list[SchemaProperty])
        _declare(properties.setdefault(name, {}), declared)
    for name in properties.keys() - found.keys():
        found[name] = EventType(name)
    return {
        name: msgspec.structs.replace(event_type, properties=properties.get(name, {}))
        for name, event_type in sorted(found.items())
    }


def _declare(properties: dict[str, Property], declared: Iterable[SchemaProperty]) -> None:
    for item in declared:
        known = properties.get(item.name, Property(item.name))
        properties[item.name] = msgspec.structs.replace(
            known, declared=item.format or item.type, description=item.description
        )
