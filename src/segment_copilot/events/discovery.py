"""USE CASE: read a tenant's catalog, and remember it for a minute.

Names come from what the worker observed as it forwarded events, and from event schemas.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import Any, Final

import msgspec
from msgspec import Struct

from segment_copilot.language.catalog import IDENTIFY, Catalog, EventType, Property, SegmentName
from segment_copilot.language.operators import ValueType
from segment_copilot.stores.postgres import Postgres, Record

_REMEMBER_SECONDS: Final = 60.0


class _Declared(Struct):
    """A property as an event schema declares it."""

    name: str
    type: str = ""
    description: str = ""
    format: str = ""


class Discovery:
    """The catalogs of all tenants, each read once a minute however many ask."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres
        self._known: dict[int, tuple[float, Catalog]] = {}
        self._reading: dict[int, asyncio.Lock] = {}

    async def catalog(self, tenant_id: int, *, fresh: bool = False) -> Catalog:
        """What exists in the tenant; *fresh* reads it even if it is remembered."""
        asked_at = time.monotonic()
        async with self._reading.setdefault(tenant_id, asyncio.Lock()):
            read_at, catalog = self._known.get(tenant_id, (float("-inf"), None))
            oldest = asked_at if fresh else asked_at - _REMEMBER_SECONDS
            if catalog is None or read_at < oldest:
                read_at, catalog = time.monotonic(), await read_catalog(self._postgres, tenant_id)
                self._known[tenant_id] = read_at, catalog
            return catalog

    def forget(self, tenant_id: int) -> None:
        """The next to ask reads anew: something of the tenant was changed here."""
        self._known.pop(tenant_id, None)


async def read_catalog(postgres: Postgres, tenant_id: int) -> Catalog:
    """The catalog as it stands."""
    async with postgres.connection() as connection:
        timezone = await connection.fetchval("SELECT timezone FROM tenants WHERE id = $1", tenant_id)
        observed = await connection.fetch(
            "SELECT event_type, path, types, samples, event_count, last_seen FROM observed_names "
            "WHERE tenant_id = $1 ORDER BY event_type, path",
            tenant_id,
        )
        schemas = await connection.fetch(
            "SELECT event_type, description, properties FROM event_schemas WHERE tenant_id = $1 ORDER BY event_type",
            tenant_id,
        )
        segments = await connection.fetch(
            "SELECT id, name, description FROM segments WHERE tenant_id = $1 ORDER BY id", tenant_id
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
        declared = msgspec.json.decode(row["properties"], type=list[_Declared])
        _declare(properties.setdefault(name, {}), declared)
    for name in properties.keys() - found.keys():
        found[name] = EventType(name)
    return {
        name: msgspec.structs.replace(event_type, properties=properties.get(name, {}))
        for name, event_type in sorted(found.items())
    }


def _declare(properties: dict[str, Property], declared: Iterable[_Declared]) -> None:
    for item in declared:
        known = properties.get(item.name, Property(item.name))
        properties[item.name] = msgspec.structs.replace(
            known, declared=_value_type(item.type, item.format), description=item.description
        )


def _value_type(name: str, form: str) -> ValueType | None:
    """The language's type for the type a schema names; None where it names none of ours."""
    if name in {"datetime", "date"} and (form == "epoch_s" or form == "epoch_ms"):  # noqa: PLR1714  # narrows the type
        return form
    match name:
        case "string" | "number" | "boolean" | "datetime" | "list":
            return name
        case "array":
            return "list"
        case "integer" | "float" | "price":
            return "number"
        case "date":
            return "datetime"
        case "url":
            return "string"
        case _:
            return None
