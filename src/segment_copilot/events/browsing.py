"""USE CASE: browse a tenant's catalog: what is declared, what was seen in the data, and the values of a name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Final, Literal, TypeVar

from msgspec import Meta, Struct

from segment_copilot.access.tenants import Tenant
from segment_copilot.errors import Finding, NotFound
from segment_copilot.events.analytics import Analytics, ValueCount
from segment_copilot.events.discovery import Discovery
from segment_copilot.events.shapes import SHOWN_SAMPLES
from segment_copilot.events.values import Values
from segment_copilot.language.catalog import Catalog, EventType, Property, Question, SegmentName, nearest
from segment_copilot.language.nodes import Scalar
from segment_copilot.lists import FIRST_PAGE, Listed, Window, read_cursor, write_cursor

OVERVIEW_EVENT_TYPES: Final = 200
OVERVIEW_PROPERTIES: Final = 100  # of each event type
OVERVIEW_TRAITS: Final = 500
OVERVIEW_SEGMENTS: Final = 500

_OLDEST: Final = 1.0  # seconds
_T = TypeVar("_T", EventType, Property)
_R = TypeVar("_R")


class CatalogProperty(Struct, frozen=True):
    """A property of an event type, or a trait.

    *name* is the path as conditions write it, *types* what a condition compares it in: the declared type, else those
    seen. *declared* says that an event schema names it, as *declared_type*; *observed* that it is in the data, with
    values of *observed_types*.
    """

    name: Annotated[str, Meta(examples=["total"])]
    types: Annotated[tuple[str, ...], Meta(examples=[["number"]])]
    description: str
    declared: bool
    declared_type: str | None
    required: bool
    observed: bool
    observed_types: tuple[str, ...]
    sample_values: tuple[Scalar, ...]


class CatalogEventType(Struct, frozen=True):
    """An event type. *declared* says that it has an event schema, *observed* that events of it have come."""

    name: Annotated[str, Meta(examples=["order_placed"])]
    description: str
    declared: bool
    strict: bool
    observed: bool
    event_count: int
    last_seen_at: datetime | None
    property_count: int
    properties: tuple[CatalogProperty, ...]


class CatalogTotals(Struct, frozen=True):
    """Counts what there is, listed or not."""

    event_types: int
    traits: int
    segments: int


class CatalogOverview(Struct, frozen=True):
    """Everything a definition may refer to: the busiest event types first, of very many names the first."""

    timezone: str
    event_types: tuple[CatalogEventType, ...]
    traits: tuple[CatalogProperty, ...]
    segments: tuple[SegmentName, ...]
    totals: CatalogTotals


class FoundValues(Struct, frozen=True):
    """The most frequent values first. *counted* says what the counts are of: events, or users who have it now.

    *total_distinct* counts those that fit the search. Where none does, *suggestions* are stored texts that are near it.
    """

    values: tuple[ValueCount, ...]
    total_distinct: int
    truncated: bool
    counted: Literal["events", "users"]
    suggestions: tuple[str, ...] = ()


class Browsing:
    """Shows the catalogs of all tenants; every method takes the tenant."""

    def __init__(self, discovery: Discovery, analytics: Analytics, values: Values) -> None:
        self._discovery = discovery
        self._analytics = analytics
        self._values = values

    async def overview(self, tenant: Tenant) -> CatalogOverview:
        """Return what there is, at most a second old."""
        catalog = await self._catalog(tenant)
        kinds = sorted(catalog.event_types.values(), key=lambda kind: (-kind.event_count, kind.name))
        traits = list(catalog.traits.values())
        segments = sorted(catalog.segments.values(), key=lambda one: one.id)
        return CatalogOverview(
            timezone=catalog.timezone,
            event_types=tuple(_event_type(kind, OVERVIEW_PROPERTIES) for kind in kinds[:OVERVIEW_EVENT_TYPES]),
            traits=tuple(_property(one) for one in traits[:OVERVIEW_TRAITS]),
            segments=tuple(segments[:OVERVIEW_SEGMENTS]),
            totals=CatalogTotals(len(kinds), len(traits), len(segments)),
        )

    async def event_types(
        self, tenant: Tenant, window: Window = FIRST_PAGE, *, search: str = ""
    ) -> Listed[CatalogEventType]:
        """Return event types by name, those with *search* in name or description; of very many properties the first."""
        catalog = await self._catalog(tenant)
        return _page(
            catalog.event_types, window, ("event_types", search), lambda kind: _event_type(kind, OVERVIEW_PROPERTIES)
        )

    async def event_type(self, tenant: Tenant, name: str) -> CatalogEventType:
        """Return one event type with all its properties; raises NotFound with the nearest names."""
        catalog = await self._catalog(tenant)
        return _event_type(_known(catalog.event_types, name, "event type"), None)

    async def traits(self, tenant: Tenant, window: Window = FIRST_PAGE, *, search: str = "") -> Listed[CatalogProperty]:
        """Return traits by name, those with *search* in name or description."""
        return _page((await self._catalog(tenant)).traits, window, ("traits", search), _property)

    async def trait(self, tenant: Tenant, name: str) -> CatalogProperty:
        """Return one trait; raises NotFound with the nearest names."""
        return _property(_known((await self._catalog(tenant)).traits, name, "trait"))

    async def trait_values(self, tenant: Tenant, name: str, *, search: str = "", limit: int = 25) -> FoundValues:
        """Rank the values that users have now; raises NotFound for a trait that nobody has and no schema names."""
        catalog = await self._catalog(tenant)
        _known(catalog.traits, name, "trait")
        return await self._find(tenant, catalog, Question((), name), search, limit)

    async def property_values(
        self, tenant: Tenant, event_type: str, name: str, *, search: str = "", limit: int = 25
    ) -> FoundValues:
        """Rank the values of all events of a type; raises NotFound for a name that is neither seen nor declared."""
        catalog = await self._catalog(tenant)
        kind = _known(catalog.event_types, event_type, "event type")
        _known(kind.properties, name, f"property of {event_type}")
        return await self._find(tenant, catalog, Question((event_type,), name), search, limit)

    async def _find(self, tenant: Tenant, catalog: Catalog, question: Question, search: str, limit: int) -> FoundValues:
        is_trait = not question.event_types
        found = await self._analytics.property_values(
            tenant,
            question.path,
            event_type=None if is_trait else question.event_types[0],
            as_of=datetime.now(UTC),
            search=search,
            limit=limit,
        )
        near = () if found.values or not search else await self._values.near(tenant, catalog, question, search)
        return FoundValues(
            found.values,
            found.total_distinct,
            truncated=len(found.values) < found.total_distinct,
            counted="users" if is_trait else "events",
            suggestions=near,
        )

    async def _catalog(self, tenant: Tenant) -> Catalog:
        return await self._discovery.catalog(tenant, oldest=_OLDEST)


def _known(names: Mapping[str, _T], name: str, kind: str) -> _T:
    if (found := names.get(name)) is not None:
        return found
    detail = f"There is no {kind} named {name[:100]!r}."
    raise NotFound(detail, findings=[Finding("", "unknown_name", detail, nearest(name, names))])


def _page(names: Mapping[str, _T], window: Window, listed: tuple[str, str], record: Callable[[_T], _R]) -> Listed[_R]:
    """Return the names in *window*, in their order: those with the second text of *listed* in name or description."""
    wanted = listed[1].casefold()
    found = [name for name in sorted(names) if wanted in f"{name}\n{names[name].description}".casefold()]
    after: str = read_cursor(listed, window.cursor, str) if window.cursor else ""
    rest = [name for name in found if name > after][window.offset :]
    shown = rest[: window.limit]
    cursor = write_cursor(listed, shown[-1]) if len(rest) > len(shown) and shown else None
    return Listed(tuple(record(names[name]) for name in shown), len(found), cursor)


def _event_type(kind: EventType, most: int | None) -> CatalogEventType:
    return CatalogEventType(
        name=kind.name,
        description=kind.description,
        declared=kind.is_declared,
        strict=kind.is_strict,
        observed=kind.event_count > 0,
        event_count=kind.event_count,
        last_seen_at=kind.last_seen,
        property_count=len(kind.properties),
        properties=tuple(_property(one) for one in _first(kind.properties.values(), most)),
    )


def _first(properties: Iterable[Property], most: int | None) -> list[Property]:
    return sorted(properties, key=lambda one: one.path)[:most]


def _property(one: Property) -> CatalogProperty:
    return CatalogProperty(
        name=one.path,
        types=one.told_types,
        description=one.description,
        declared=one.schema_type is not None,
        declared_type=one.schema_type,
        required=one.required,
        observed=bool(one.types),
        observed_types=one.types,
        sample_values=one.samples[:SHOWN_SAMPLES],
    )
