"""Makes the catalog of each tenant from its fixtures, as the service would find it, without running one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache
from types import ModuleType
from typing import Any

import msgspec
from msgspec import structs

from evals.fixtures.datasets import TENANTS
from evals.fixtures.rows import AS_OF, Row, SchemaSeed, SegmentSeed
from segment_copilot.events.names import ObservedNames, find_new_names
from segment_copilot.events.rows import Event
from segment_copilot.language.catalog import IDENTIFY, MAX_SAMPLES, Catalog, EventType, Property, SegmentName
from segment_copilot.language.operators import EVERY_TYPE


@lru_cache(maxsize=8)
def catalog_of(tenant: str) -> Catalog:
    """Return what exists in a tenant of the evaluation. Raises KeyError when there is no such tenant."""
    return make_catalog(TENANTS[tenant])


@lru_cache(maxsize=8)
def segment_ids(tenant: str) -> Mapping[str, int]:
    """Return the ids of the saved segments of a tenant by their names."""
    return {segment.name: number for number, segment in catalog_of(tenant).segments.items()}


def rows_of(tenant: str) -> tuple[Row, ...]:
    """Return what has happened in a tenant until the evaluation's instant."""
    module: Any = TENANTS[tenant]
    return tuple(row for row in module.believable() if row.occurred_at <= AS_OF)


def make_catalog(module: ModuleType | Any) -> Catalog:
    """Make the catalog of the fixtures that a module describes."""
    rows = sorted(module.believable(), key=lambda row: (row.occurred_at, row.user_id))
    event_types = _observed(row for row in rows if row.occurred_at <= AS_OF)
    for schema in module.SCHEMAS:
        event_types[schema.event_type] = _declared(event_types.get(schema.event_type), schema)
    identify = event_types.pop(IDENTIFY, None)
    segments: Iterable[SegmentSeed] = module.SEGMENTS
    return Catalog(
        timezone=module.TIMEZONE,
        event_types=dict(sorted(event_types.items())),
        traits=identify.properties if identify else {},
        segments={number: SegmentName(number, one.name, one.description) for number, one in enumerate(segments, 1)},
    )


def _observed(rows: Iterable[Row]) -> dict[str, EventType]:
    events = [
        Event(
            tenant_id=0,
            event_id=str(number),
            event_type=row.event_type,
            user_id=row.user_id,
            occurred_at=row.occurred_at,
            payload=msgspec.json.encode(row.payload).decode(),
        )
        for number, row in enumerate(rows)
    ]
    found = find_new_names(events, known=ObservedNames())
    counts: Counter[str] = Counter(event.event_type for event in events)
    return {
        name: EventType(
            name,
            "",
            counts[name],
            paths[""].last_seen,
            {
                path: Property(
                    path,
                    tuple(sorted(seen.kinds)),
                    samples=tuple(value for _, value in list(seen.samples)[:MAX_SAMPLES]),
                )
                for path, seen in sorted(paths.items())
                if path
            },
        )
        for (_, name), paths in found.paths.items()
    }


def _declared(known: EventType | None, schema: SchemaSeed) -> EventType:
    event_type = known or EventType(schema.event_type)
    properties = dict(event_type.properties)
    for item in schema.properties:
        properties[item.name] = structs.replace(
            properties.get(item.name, Property(item.name)),
            declared=item.declares if item.declares in EVERY_TYPE else None,
            description=item.description,
            schema_type=item.type,
            required=item.required,
        )
    return structs.replace(
        event_type, description=schema.description, is_declared=True, properties=dict(sorted(properties.items()))
    )
