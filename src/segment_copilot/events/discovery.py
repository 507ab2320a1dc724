"""USE CASE: read a tenant's catalog, and remember it for a minute, or until its event schemas change.

Names come from what the worker observed as it forwarded events, and from event schemas; each is told apart.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from segment_copilot.access.tenants import Tenant
from segment_copilot.events.declarations import Declaration, Declarations, Declared
from segment_copilot.events.shapes import SchemaProperty
from segment_copilot.language.catalog import IDENTIFY, Catalog, EventType, Property, SegmentName
from segment_copilot.language.operators import EVERY_TYPE
from segment_copilot.stores.postgres import Postgres, Record

_REMEMBER_SECONDS: Final = 60.0


class _Read(Struct, frozen=True):
    """A catalog, when it was read, and by which event schemas."""

    read_at: float
    stamp: str
    catalog: Catalog


class Discovery:
    """Reads the catalogs of all tenants, each once a minute however many ask."""

    def __init__(self, postgres: Postgres, declarations: Declarations | None = None) -> None:
        self._postgres = postgres
        self._declarations = declarations or Declarations(postgres)
        self._known: dict[int, _Read] = {}
        self._reading: dict[int, asyncio.Lock] = {}

    async def catalog(self, tenant: Tenant, *, fresh: bool = False, oldest: float = _REMEMBER_SECONDS) -> Catalog:
        """Return what exists in the tenant, read at most *oldest* seconds ago; *fresh* reads it now.

        Event schemas are at most a second behind, whatever is asked for.
        """
        asked_at = time.monotonic()
        async with self._reading.setdefault(tenant.id, asyncio.Lock()):
            known = self._known.get(tenant.id)
            since = asked_at if fresh else asked_at - oldest
            too_old = known is None or known.read_at < since
            declared = await self._declarations.of(tenant, fresh=fresh and too_old)
            if known is None or too_old or known.stamp != declared.stamp:
                known = _Read(time.monotonic(), declared.stamp, await self._read(tenant, declared))
                self._known[tenant.id] = known
            return known.catalog

    def forget(self, tenant: Tenant) -> None:
        """Forget the tenant's catalog, because something of it was changed here: the next to ask reads it anew."""
        self._known.pop(tenant.id, None)

    async def _read(self, tenant: Tenant, declared: Declared) -> Catalog:
        """Read the catalog as it stands."""
        async with self._postgres.connection() as connection:
            timezone = await connection.fetchval("SELECT timezone FROM tenants WHERE id = $1", tenant.id)
            observed = await connection.fetch(
                "SELECT event_type, path, types, samples, event_count, last_seen FROM observed_names "
                "WHERE tenant_id = $1 ORDER BY event_type, path",
                tenant.id,
            )
            segments = await connection.fetch(
                "SELECT id, name, description FROM segments WHERE tenant_id = $1 ORDER BY id", tenant.id
            )
        event_types = _event_types(observed, declared.by_type)
        identify = event_types.pop(IDENTIFY, None)
        return Catalog(
            timezone=timezone or "UTC",
            event_types=event_types,
            traits=identify.properties if identify else {},
            segments={row["id"]: SegmentName(row["id"], row["name"], row["description"]) for row in segments},
        )


def _event_types(observed: Iterable[Record], declared: Mapping[str, Declaration]) -> dict[str, EventType]:
    found = dict[str, EventType]()
    properties = dict[str, dict[str, Property]]()
    for row in observed:
        name, path = row["event_type"], row["path"]
        if path:
            samples: list[Any] = msgspec.json.decode(row["samples"])
            properties.setdefault(name, {})[path] = Property(path, tuple(row["types"]), samples=tuple(samples))
        else:
            found[name] = EventType(name, "", row["event_count"], row["last_seen"])
    for name, one in declared.items():
        known = found.get(name, EventType(name))
        found[name] = msgspec.structs.replace(
            known, description=one.description, is_declared=True, is_strict=one.strict
        )
        _declare(properties.setdefault(name, {}), one.properties)
    for name in properties.keys() - found.keys():
        found[name] = EventType(name)
    return {
        name: msgspec.structs.replace(event_type, properties=properties.get(name, {}))
        for name, event_type in sorted(found.items())
    }


def _declare(properties: dict[str, Property], declared: Iterable[SchemaProperty]) -> None:
    for item in declared:
        known = properties.get(item.name, Property(item.name))
        compares_as = item.declares if item.declares in EVERY_TYPE else None
        properties[item.name] = msgspec.structs.replace(
            known,
            declared=compares_as,
            description=item.description,
            schema_type=item.type,
            required=item.required,
        )
