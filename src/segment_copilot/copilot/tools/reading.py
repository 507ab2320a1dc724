"""The tools here read what is stored: segments, connectors, event schemas, the latest events."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, structs

from segment_copilot.activations.deliveries import ActivationStanding, success_rate
from segment_copilot.audiences.previews import conditions_in_words
from segment_copilot.audiences.segments import Only
from segment_copilot.copilot.tools.context import ToolContext
from segment_copilot.errors import Finding, NotFound
from segment_copilot.events.recent import RecentEvent
from segment_copilot.language import encode
from segment_copilot.language.catalog import EventType, Scalar, SegmentName, nearest
from segment_copilot.lists import Window

Limit = Annotated[int, Meta(ge=1, le=100)]
_WITHHELD: Final = "(withheld)"  # in place of a user's id
_LISTED_PROPERTIES: Final = 120  # of all event types together, shared out evenly; get_event_schema has them all

SegmentReference = Annotated[int, Meta(ge=1, le=2**63 - 1)] | str


class SegmentSummary(Struct, frozen=True):
    """Holds a segment without its definition."""

    id: int
    name: str
    description: str
    segment_type: str
    tier: str
    status: str
    member_count: int | None
    last_computed_at: datetime | None


class SegmentList(Struct, frozen=True):
    """Holds some of the segments; *total* counts all that fit the query."""

    segments: tuple[SegmentSummary, ...]
    total: int
    truncated: bool


class SegmentDetail(Struct, frozen=True):
    """Holds a whole segment. *conditions* and *exclusions* are one phrase each; *members* are the first user ids, if asked for.

    A draft may have no definition yet. *refresh* says how its members are kept true, and *paused_since* that they are not.
    """

    id: int
    name: str
    description: str
    segment_type: str
    tier: str
    status: str
    member_count: int | None
    last_computed_at: datetime | None
    refresh: str
    next_refresh_at: datetime | None
    paused_since: datetime | None
    definition: Mapping[str, Any] | None
    words: str
    logic: str | None
    conditions: tuple[str, ...]
    exclusions: tuple[str, ...]
    members: tuple[str, ...] | UnsetType = UNSET


class LastDelivery(Struct, frozen=True):
    """Holds what became of the newest delivery that ended, and of how many users."""

    status: str
    users: int
    at: datetime


class ActivationSummary(Struct, frozen=True):
    """Holds a connector without its configuration. *success_rate* is a percentage of the latest deliveries, null before any ended."""

    id: int
    connector_type: str
    segment_id: int
    segment_name: str
    status: str
    last_synced_at: datetime | None
    last_error: str | None
    member_count: int | None
    last_delivery: LastDelivery | None
    success_rate: int | None


class ActivationList(Struct, frozen=True):
    """Holds every connector."""

    activations: tuple[ActivationSummary, ...]
    total: int


class PropertySummary(Struct, frozen=True):
    """Holds a property as a schema names it, or as it was seen."""

    name: str
    type: str
    description: str


class SchemaSummary(Struct, frozen=True):
    """Holds an event type. *registered* is false for one that was only seen; of many properties some are listed."""

    event_type: str
    description: str
    property_count: int
    properties: tuple[PropertySummary, ...]
    event_count: int
    last_seen: datetime | None
    registered: bool


class SchemaList(Struct, frozen=True):
    """Holds every event type, the registered ones first."""

    schemas: tuple[SchemaSummary, ...]
    total: int
    truncated: bool


class PropertyDetail(Struct, frozen=True):
    """Holds a property with values that occurred."""

    path: str
    types: tuple[str, ...]
    samples: tuple[Scalar, ...]
    description: str


class SchemaDetail(Struct, frozen=True):
    """Holds one event type with its properties."""

    event_type: str
    description: str
    properties: tuple[PropertyDetail, ...]
    event_count: int
    last_seen: datetime | None


class LatestEvents(Struct, frozen=True):
    """Holds the newest events first; *total* and *by_type* count all since *since*."""

    events: tuple[RecentEvent, ...]
    total: int
    by_type: tuple[Mapping[str, Any], ...]
    truncated: bool
    since: datetime | UnsetType = UNSET


async def list_segments(
    context: ToolContext,
    query: Annotated[str, Meta(max_length=200)] = "",
    order: Literal["largest", "newest", "name"] = "largest",
    limit: Limit = 20,
) -> SegmentList:
    """List the workspace's segments with their member counts. Look here before drafting a segment that may exist.

    Args:
        query: Part of a name or description; empty for all segments.
        order: largest by members, newest, or by name.
        limit: How many to return.
    """
    only = Only(search=query.strip())
    page = await context.use_cases.segments.list(context.tenant, Window(limit), order=order, only=only)
    listed = tuple(msgspec.convert(segment, SegmentSummary, from_attributes=True) for segment in page.results)
    return SegmentList(listed, page.count, truncated=len(listed) < page.count)


async def get_segment_detail(
    context: ToolContext, segment: SegmentReference, members: Annotated[int, Meta(ge=0, le=100)] = 0
) -> SegmentDetail:
    """One segment: its count, its status, how it is refreshed, its definition, each condition in words, and user ids of members if asked.

    Args:
        segment: The segment's id or name.
        members: How many members to list by user id, as the last computation found them: for "who is in it".
    """
    if members:
        context.check_sees_users()
    reference = await find_segment(context, segment)
    found = await context.use_cases.segments.get(context.tenant, reference.id)
    page = await context.use_cases.members.page(context.tenant, reference.id, limit=members) if members else None
    names = {key: name.name for key, name in context.catalog.segments.items()}
    definition = found.definition
    conditions, exclusions = conditions_in_words(definition, names) if definition else ((), ())
    return SegmentDetail(
        id=found.id,
        name=found.name,
        description=found.description,
        segment_type=found.segment_type,
        tier=found.tier,
        status=found.status,
        member_count=found.member_count,
        last_computed_at=found.last_computed_at,
        refresh=found.refresh.words,
        next_refresh_at=found.next_refresh_at,
        paused_since=found.refresh.paused_since,
        definition=msgspec.json.decode(encode(definition)) if definition else None,
        words=found.words if definition else "It is a draft that has no definition yet: nobody is in it.",
        logic=definition.logic if definition else None,
        conditions=tuple(conditions),
        exclusions=tuple(exclusions),
        members=UNSET if page is None else tuple(one.user_id for one in page.members),
    )


async def list_activations(context: ToolContext) -> ActivationList:
    """List the connectors that send segments to other systems: their status, when they last sent, what came of it and their last error."""
    found = await context.use_cases.deliveries.standings(context.tenant)
    listed = tuple(_activation(one) for one in found)
    return ActivationList(listed, len(listed))


def _activation(found: ActivationStanding) -> ActivationSummary:
    last = found.logs[0] if found.logs else None
    return ActivationSummary(
        id=found.id,
        connector_type=found.connector_type,
        segment_id=found.segment_id,
        segment_name=found.segment_name,
        status=found.status,
        last_synced_at=found.last_synced_at,
        last_error=found.last_error,
        member_count=found.member_count,
        last_delivery=LastDelivery(last.status, last.user_count, last.synced_at) if last else None,
        success_rate=success_rate(found.logs),
    )


async def list_event_schemas(context: ToolContext) -> SchemaList:
    """List the event types with their properties and how many events of each there are: those with a registered schema, and those that were only seen. Where property_count is larger than the list, get_event_schema has the rest."""
    registered = {one.event_type for one in await context.use_cases.schemas.list(context.tenant)}
    types = sorted(context.catalog.event_types.values(), key=lambda kind: (kind.name not in registered, kind.name))
    most = max(_LISTED_PROPERTIES // max(len(types), 1), 3)
    listed = tuple(_summary(kind, most, registered=kind.name in registered) for kind in types)
    cut = any(len(one.properties) < one.property_count for one in listed)
    return SchemaList(listed, len(listed), truncated=cut)


async def get_event_schema(context: ToolContext, event_type: str) -> SchemaDetail:
    """One event type: its properties, their types, and values that occurred. Use it before testing a property.

    Args:
        event_type: The event type's name.
    """
    kind = await find_event_type(context, event_type)
    return SchemaDetail(
        event_type=kind.name,
        description=kind.description,
        properties=tuple(
            PropertyDetail(one.path, one.told_types, one.samples[:10], one.description)
            for one in kind.properties.values()
        ),
        event_count=kind.event_count,
        last_seen=kind.last_seen,
    )


async def list_recent_events(context: ToolContext, since: str | None = None, limit: Limit = 20) -> LatestEvents:
    """The events that arrived last, and how many of each type arrived since an instant. Only the last few days are kept here; for longer ranges use query_top_events or query_event_volume.

    Args:
        since: A date (local midnight) or an RFC 3339 instant; without it as far back as they are kept.
        limit: How many events to list; the counts are of all.
    """
    start = context.instant(since, "/since") if since is not None else None
    found = await context.use_cases.recent_events.list(context.tenant, since=start, limit=limit)
    return LatestEvents(
        events=found.events if context.sees_users else tuple(_of_nobody(one) for one in found.events),
        total=found.total,
        by_type=tuple({"event_type": one.event_type, "count": one.count} for one in found.by_type),
        truncated=len(found.events) < found.total,
        since=start if start is not None else UNSET,
    )


def _of_nobody(event: RecentEvent) -> RecentEvent:
    return structs.replace(event, user_id=_WITHHELD)


async def find_segment(context: ToolContext, reference: int | str) -> SegmentName:
    """Return the segment of that id or name (in any case); raises NotFound with the nearest names."""
    found = _find_named(context.catalog.segments, reference)
    if not found:  # saved since the catalog was read?
        fresh = await context.use_cases.discovery.catalog(context.tenant, fresh=True)
        found = _find_named(fresh.segments, reference)
    if len(found) == 1:
        return found[0]
    if found:
        detail = f"{len(found)} segments are named {found[0].name!r}. Say which by its id."
        code, near = "ambiguous_segment", tuple(str(one.id) for one in found)
    else:
        detail, code = f"There is no segment {str(reference)[:100]!r}.", "unknown_segment"
        near = nearest(str(reference), [one.name for one in context.catalog.segments.values()])
    raise NotFound(detail, code=code, findings=[Finding("/segment", code, detail, near)])


def _find_named(known: Mapping[int, SegmentName], reference: int | str) -> list[SegmentName]:
    if isinstance(reference, int):
        return [known[reference]] if reference in known else []
    wanted = reference.strip()
    named = [one for one in known.values() if one.name.casefold() == wanted.casefold()]
    if not named and wanted.isdecimal() and len(wanted) < 19:  # noqa: PLR2004 — as many digits as an id has
        return _find_named(known, int(wanted))
    return named


async def find_event_type(context: ToolContext, name: str) -> EventType:
    """Return the event type of that name, seen just now perhaps; raises NotFound with the nearest names."""
    if (found := context.catalog.event_types.get(name)) is not None:
        return found
    fresh = await context.use_cases.discovery.catalog(context.tenant, fresh=True)
    if (found := fresh.event_types.get(name)) is not None:
        return found
    detail = f"There is no event type {name[:100]!r}."
    near = nearest(name, context.catalog.event_types)
    raise NotFound(detail, code="unknown_name", findings=[Finding("/event_type", "unknown_name", detail, near)])


def _summary(kind: EventType, most: int, *, registered: bool) -> SchemaSummary:
    properties = tuple(
        PropertySummary(one.path, "/".join(one.told_types), one.description)
        for one in list(kind.properties.values())[:most]
    )
    return SchemaSummary(
        event_type=kind.name,
        description=kind.description,
        property_count=len(kind.properties),
        properties=properties,
        event_count=kind.event_count,
        last_seen=kind.last_seen,
        registered=registered,
    )
