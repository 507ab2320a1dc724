"""USE CASE: infer event schemas from events that are given, or from what is stored; nothing is saved.

What an inferred schema declares holds of every event it was inferred from.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeGuard, cast

import msgspec
from msgspec import Struct

from segment_copilot.access.tenants import Tenant
from segment_copilot.errors import Finding
from segment_copilot.events.discovery import Discovery
from segment_copilot.events.shapes import MAX_NAME, MAX_PROPERTIES, SHOWN_SAMPLES, PropertyType, SchemaProperty
from segment_copilot.events.validation import EventRejected, validate
from segment_copilot.language.catalog import IDENTIFY, MAX_SAMPLE_LENGTH, Catalog, Property, nearest
from segment_copilot.language.nodes import Scalar
from segment_copilot.language.paths import format_path, parse_path
from segment_copilot.language.value_types import reads_as_date
from segment_copilot.stores.clickhouse import ClickHouse
from segment_copilot.stores.merging import SUMS

_PATHS_A_QUERY: Final = 100
_KINDS: Final[Mapping[type, PropertyType]] = {
    str: "string", int: "number", float: "number", bool: "boolean", list: "list", dict: "object",
}  # fmt: skip


class InferredSchema(Struct, frozen=True):
    """A schema as it can be saved. *events* were looked at; of very many properties the most frequent are there."""

    event_type: str
    properties: tuple[SchemaProperty, ...]
    events: int
    properties_left_out: int = 0


class Inferred(Struct, frozen=True):
    """The schemas by event type, and what nothing could be inferred from, with pointers into what was asked."""

    schemas: tuple[InferredSchema, ...]
    errors: tuple[Finding, ...] = ()


class Inference:
    """Infers event schemas for all tenants; every method takes the tenant."""

    def __init__(self, clickhouse: ClickHouse, discovery: Discovery) -> None:
        self._clickhouse = clickhouse
        self._discovery = discovery

    def from_events(self, events: Sequence[bytes | msgspec.Raw | object]) -> Inferred:
        """Infer from *events*, each as it would be sent; one that ingestion would refuse is told, and passed over."""
        seen = dict[str, _Seen]()
        errors = list[Finding]()
        for index, event in enumerate(events):
            try:
                valid = validate(event, received_at=datetime.now(UTC))
            except EventRejected as rejected:
                errors.append(Finding(f"/events/{index}{rejected.pointer}", rejected.code, rejected.detail))
            else:
                seen.setdefault(valid.event_type, _Seen()).add(msgspec.json.decode(valid.payload))
        return Inferred(tuple(seen[name].schema(name) for name in sorted(seen)), tuple(errors))

    async def from_stored(self, tenant: Tenant, event_types: Sequence[str]) -> Inferred:
        """Infer from every stored event of *event_types*; one that nothing is stored of is told, and passed over."""
        catalog = await self._discovery.catalog(tenant, fresh=True)
        schemas = list[InferredSchema]()
        errors = list[Finding]()
        for index, name in enumerate(event_types):
            known = {path: one for path, one in _properties(catalog, name).items() if one.types}
            events, required = await self._presence(tenant, name, list(known))
            if events:
                above = {steps[:end] for steps in map(parse_path, known) for end in range(1, len(steps))}
                properties = [
                    _property(one, required=path in required, is_object=parse_path(path) in above)
                    for path, one in known.items()
                ]
                schemas.append(_schema(name, properties, events))
            else:
                detail = f"No event of type {name[:100]!r} is stored."
                near = nearest(name, [one.name for one in catalog.event_types.values() if one.event_count])
                errors.append(Finding(f"/event_types/{index}", "unknown_name", detail, near))
        return Inferred(tuple(schemas), tuple(errors))

    async def _presence(self, tenant: Tenant, event_type: str, paths: Sequence[str]) -> tuple[int, frozenset[str]]:
        """Return how many events of the type there are, and which *paths* have a value in all of them."""
        events, required = 0, set[str]()
        for start in range(0, max(len(paths), 1), _PATHS_A_QUERY):
            some = paths[start : start + _PATHS_A_QUERY]
            counted = "".join(f", countIf(payload.{{p{at}:Identifier}} IS NOT NULL)" for at in range(len(some)))
            sql = f"""
                SELECT count(){counted} FROM events
                WHERE tenant_id = {{tenant:UInt32}} AND event_type = {{event_type:String}}"""
            stored = [".".join(step.replace(".", "%2E") for step in parse_path(path)) for path in some]
            params = {"tenant": tenant.id, "event_type": event_type} | {f"p{at}": one for at, one in enumerate(stored)}
            (row,) = (await self._clickhouse.fetch(sql, params, purpose="preview", merge=SUMS)).rows
            events = max(events, int(row[0]))
            required |= {path for path, present in zip(some, row[1:], strict=True) if present == row[0]}
        return events, frozenset(required)


class _Value:
    """Holds what was seen under one path."""

    __slots__ = ("events", "is_date", "kinds", "samples")

    def __init__(self) -> None:
        self.events = 0
        self.is_date = True
        self.kinds: set[PropertyType] = set()
        self.samples: dict[tuple[type, Scalar], None] = {}  # the type keeps 1 and true apart

    def add(self, value: object) -> None:
        self.events += 1
        self.kinds.add(_KINDS[type(value)])
        self.is_date = self.is_date and isinstance(value, str) and reads_as_date(value, "datetime")
        if len(self.samples) < SHOWN_SAMPLES:
            items = cast("list[object]", value) if isinstance(value, list) else [value]
            self.samples.update(dict.fromkeys((type(item), item) for item in items if _is_shown(item)))

    @property
    def type(self) -> PropertyType:
        return _type_of(self.kinds, is_date=self.is_date)


class _Seen:
    """Holds what was seen of one event type."""

    def __init__(self) -> None:
        self.events = 0
        self.values: dict[tuple[str, ...], _Value] = {}

    def add(self, payload: Mapping[str, Any]) -> None:
        self.events += 1
        for steps, value in _walk(payload, ()):
            self.values.setdefault(steps, _Value()).add(value)

    def schema(self, event_type: str) -> InferredSchema:
        """Return the schema; an object whose properties are declared is not declared itself."""
        above = {steps[:end] for steps in self.values for end in range(1, len(steps))}
        told = {steps: one for steps, one in self.values.items() if not (steps in above and one.kinds == {"object"})}
        most = sorted(told, key=lambda steps: (-told[steps].events, steps))
        properties = [
            SchemaProperty(
                format_path(steps),
                told[steps].type,
                required=told[steps].events == self.events,
                sample_values=tuple(value for _, value in list(told[steps].samples)[:SHOWN_SAMPLES]),
            )
            for steps in most
        ]
        return _schema(event_type, properties, self.events)


def _schema(event_type: str, properties: Sequence[SchemaProperty], events: int) -> InferredSchema:
    fitting = [one for one in properties if len(one.name) <= MAX_NAME][:MAX_PROPERTIES]
    kept = tuple(sorted(fitting, key=lambda one: one.name))
    return InferredSchema(event_type, kept, events, properties_left_out=len(properties) - len(kept))


def _walk(value: Mapping[str, Any], above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], object]]:
    """Yield every value but nulls and what stands under an empty key, which no definition names."""
    for key, item in value.items():
        if item is None or not key:
            continue
        steps = (*above, key)
        yield steps, item
        if isinstance(item, dict):
            yield from _walk(cast("dict[str, Any]", item), steps)


def _is_shown(value: object) -> TypeGuard[Scalar]:
    return isinstance(value, int | float) or (isinstance(value, str) and len(value) <= MAX_SAMPLE_LENGTH)


def _type_of(kinds: Iterable[str], *, is_date: bool) -> PropertyType:
    if set(kinds) == {"string"}:
        return "datetime" if is_date else "string"
    return cast("PropertyType", next(iter(kinds))) if len(set(kinds)) == 1 else "any"


def _properties(catalog: Catalog, name: str) -> Mapping[str, Property]:
    if name == IDENTIFY:
        return catalog.traits
    return known.properties if (known := catalog.event_types.get(name)) else {}


def _property(known: Property, *, required: bool, is_object: bool) -> SchemaProperty:
    """Return what is declared of a stored property; texts are dates where all samples are.

    One that is an object in other events (*is_object*) is of any type.
    """
    is_date = bool(known.samples) and all(reads_as_date(sample, "datetime") for sample in known.samples)
    type_ = "any" if is_object else _type_of(known.types, is_date=is_date)
    return SchemaProperty(known.path, type_, required=required, sample_values=known.samples[:SHOWN_SAMPLES])
