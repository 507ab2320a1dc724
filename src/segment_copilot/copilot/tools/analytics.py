"""The tools here count events, members and values over time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, time
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta, Struct, structs

from segment_copilot.audiences.movements import Mover
from segment_copilot.compiler import WHERE_POINTER, CompiledQuery, render_event_filter
from segment_copilot.copilot.tools.context import ToolContext
from segment_copilot.copilot.tools.reading import SegmentReference, find_event_type, find_segment
from segment_copilot.errors import Finding, InvalidDefinition, InvalidInput, NotFound
from segment_copilot.events.analytics import DayCount, PropertyValues, Span, TopEvents, Volume, local_midnight
from segment_copilot.language.catalog import Catalog, Property, nearest

Limit = Annotated[int, Meta(ge=1, le=100)]
Tests = Annotated[list[dict[str, Any]], Meta(max_length=20)]
_FIRST_DAY: Final = "1970-01-01"


class RankedEvents(TopEvents, frozen=True, rename={"from_": "from"}):
    """Ranks the busiest event types, and tells the range in which they were counted."""

    from_: str
    to: str
    timezone: str
    truncated: bool


class EventVolume(Volume, frozen=True, rename={"from_": "from"}):
    """Counts events per local day, and tells the range in which they were counted."""

    from_: str
    to: str
    timezone: str
    event_type: str | None


class MembershipTrend(Struct, frozen=True, rename={"from_": "from"}):
    """Counts members per local day, on the days the segment was computed."""

    segment_id: int
    name: str
    points: tuple[DayCount, ...]
    from_: str
    to: str
    timezone: str


class SegmentChanges(Struct, frozen=True, rename={"from_": "from"}):
    """Counts who joined and left in a range, as computations found, and names the first of each.

    *computations* is how often members were computed in the range. Where *first_computed_at* is set, that was the first
    time ever: everybody who was in the segment then counts as joined.
    """

    segment_id: int
    name: str
    entered: int
    left: int
    entered_users: tuple[Mover, ...]
    left_users: tuple[Mover, ...]
    names_withheld: bool
    computations: int
    first_computed_at: datetime | None
    last_computed_at: datetime | None
    member_count: int | None
    from_: str
    to: str
    timezone: str


class ListedValues(PropertyValues, frozen=True):
    """Lists the most frequent values, and tells whether there are others."""

    truncated: bool


async def query_top_events(context: ToolContext, from_: str, to: str, limit: Limit = 10) -> RankedEvents:
    """Rank event types by how many events of each happened in a range.

    Args:
        from_: Start of the range: a date (local midnight) or an RFC 3339 instant.
        to: End of the range, not included: a date (local midnight) or an RFC 3339 instant.
        limit: How many types to return.
    """
    span = _span(context, from_, to)
    found = await context.use_cases.analytics.top_events(context.tenant, span, limit=limit, purpose="copilot")
    listed = sum(item.count for item in found.event_types)
    return RankedEvents(
        event_types=found.event_types,
        total=found.total,
        from_=_format_instant(context, span.start),
        to=_format_instant(context, min(span.end, span.as_of)),
        timezone=context.timezone,
        truncated=listed < found.total,
    )


async def query_event_volume(
    context: ToolContext, from_: str, to: str, event_type: str | None = None, where: Tests | None = None
) -> EventVolume:
    """Count events per local day over a range of at most 366 days; days without events are 0, and a day of which only a part was counted (today, or where the range begins or ends inside it) is `partial`. It counts events, not users: for users use preview_segment.

    Args:
        from_: Start of the range: a date (local midnight) or an RFC 3339 instant.
        to: End of the range, not included: a date (local midnight) or an RFC 3339 instant.
        event_type: One event type; without it all types together.
        where: Tests that each counted event must pass, as the `where` of a condition: [{"property": "total", "operator": "gt", "value": 200}]. Needs event_type.
    """
    if event_type is not None:
        await find_event_type(context, event_type)
    span = _span(context, from_, to)
    passing = await _filter(context, event_type, where) if where else None
    found = await context.use_cases.analytics.volume(
        context.tenant,
        span,
        timezone=context.timezone,
        event_type=event_type,
        where=passing,
        purpose="copilot",
    )
    return EventVolume(
        points=found.points,
        total=found.total,
        from_=_format_instant(context, span.start),
        to=_format_instant(context, min(span.end, span.as_of)),
        timezone=context.timezone,
        event_type=event_type,
    )


async def query_segment_membership_trend(
    context: ToolContext, segment: SegmentReference, days: Annotated[int, Meta(ge=1, le=366)] = 30
) -> MembershipTrend:
    """How many members a segment had on each of the last days, as its computations found.

    Args:
        segment: The segment's id or name.
        days: How many days back, today included.
    """
    found = await find_segment(context, segment)
    start = local_midnight(context.as_of, context.timezone, days_before=days - 1)
    local = structs.replace(context.tenant, timezone=context.timezone)  # the days are the person's
    points = await context.use_cases.members.trend(local, found.id, days=days, as_of=context.as_of)
    return MembershipTrend(
        segment_id=found.id,
        name=found.name,
        points=points,
        from_=_format_instant(context, start),
        to=_format_instant(context, context.as_of),
        timezone=context.timezone,
    )


async def query_segment_changes(
    context: ToolContext,
    segment: SegmentReference,
    from_: str,
    to: str | None = None,
    limit: Annotated[int, Meta(ge=0, le=50)] = 10,
) -> SegmentChanges:
    """Count who joined a segment and who left it in a range, and name the first of them by user id. Members change when the segment is computed, so nothing moves between two computations.

    Args:
        segment: The segment's id or name.
        from_: Start of the range: a date (local midnight) or an RFC 3339 instant.
        to: End of the range, not included: a date (local midnight) or an RFC 3339 instant. Without it, now.
        limit: How many users of each kind to name.
    """
    start = context.instant(from_, "/from")
    end = min(context.instant(to, "/to"), context.as_of) if to is not None else context.as_of
    if start >= end:
        detail = "The range is empty: `from` must lie before `to`, and before now."
        raise InvalidInput(detail, code="empty_range", findings=[Finding("/from", "empty_range", detail)])
    reference = await find_segment(context, segment)
    found = await context.use_cases.segments.get(context.tenant, reference.id)
    named = limit if context.sees_users else 0
    moved = await context.use_cases.movements.between(context.tenant, reference.id, start, end, limit=named)
    return SegmentChanges(
        segment_id=found.id,
        name=found.name,
        entered=moved.entered,
        left=moved.left,
        entered_users=moved.entered_users,
        left_users=moved.left_users,
        names_withheld=not context.sees_users,
        computations=moved.publications,
        first_computed_at=moved.first_computed_at,
        last_computed_at=found.last_computed_at,
        member_count=found.member_count,
        from_=_format_instant(context, start),
        to=_format_instant(context, end),
        timezone=context.timezone,
    )


async def list_property_values(
    context: ToolContext,
    property_: str,
    event_type: str | None = None,
    limit: Limit = 25,
    from_: str | None = None,
    to: str | None = None,
    search: Annotated[str, Meta(max_length=200)] = "",
) -> ListedValues:
    """The most frequent values of an event's property or of a trait, with counts. Use it before testing a property for a value, to spell the value as the data does.

    Args:
        property_: The property's path, as the event schema or the list of traits gives it.
        event_type: The event type whose property it is; without it the property is a trait.
        limit: How many values to return.
        from_: Only events from here on: a date (local midnight) or an RFC 3339 instant. Not for traits, which have only a current value.
        to: Only events before this: a date (local midnight) or an RFC 3339 instant. Not for traits.
        search: Only values with this in them, in any case: to find one that is not among the most frequent.
    """
    await _known_property(context, property_, event_type)
    ends = from_ is not None or to is not None
    if ends and event_type is None:
        detail = "A trait has only its current value: leave out from and to, or name an event_type."
        raise InvalidInput(detail, code="no_range", findings=[Finding("/from", "no_range", detail)])
    found = await context.use_cases.analytics.property_values(
        context.tenant,
        property_,
        event_type=event_type,
        as_of=context.as_of,
        search=search.strip(),
        limit=limit,
        span=_span(context, from_ or _FIRST_DAY, to or msgspec.to_builtins(context.as_of)) if ends else None,
        purpose="copilot",
    )
    return ListedValues(
        values=found.values,
        total_distinct=found.total_distinct,
        truncated=len(found.values) < found.total_distinct,
    )


async def _filter(context: ToolContext, event_type: str | None, where: Tests) -> CompiledQuery:
    """Decode the tests of *where*; raises InvalidInput with every mistake in it."""
    if event_type is None:
        detail = "Tests of properties need the event_type whose properties they are."
        raise InvalidInput(detail, code="no_event_type", findings=[Finding("/event_type", "no_event_type", detail)])
    for at, test in enumerate(where):
        if isinstance(test.get("property"), str):
            await _known_property(context, test["property"], event_type, f"/where/{at}/property")
    local = structs.replace(context.catalog, timezone=context.timezone)
    try:
        return render_event_filter(event_type, where, catalog=local, as_of=context.as_of)
    except InvalidDefinition as error:
        found = [
            structs.replace(one, pointer=one.pointer.replace(WHERE_POINTER, "/where", 1)) for one in error.findings
        ]
        raise InvalidInput("The tests of `where` have mistakes.", code="invalid_where", findings=found) from error


async def _known_property(context: ToolContext, path: str, event_type: str | None, pointer: str = "/property") -> None:
    names = await _properties(context, context.catalog, event_type)
    if path in names:
        return
    names = await _properties(
        context, await context.use_cases.discovery.catalog(context.tenant, fresh=True), event_type
    )
    if path in names:
        return
    owner = "trait" if event_type is None else f"property of {event_type}"
    detail = f"There is no {owner} named {path[:100]!r}."
    near = nearest(path, names)
    raise NotFound(detail, code="unknown_name", findings=[Finding(pointer, "unknown_name", detail, near)])


async def _properties(context: ToolContext, catalog: Catalog, event_type: str | None) -> Mapping[str, Property]:
    if event_type is None:
        return catalog.traits
    known = catalog.event_types.get(event_type) or await find_event_type(context, event_type)
    return known.properties


def _span(context: ToolContext, start: str, end: str) -> Span:
    return Span(context.instant(start, "/from"), context.instant(end, "/to"), context.as_of)


def _format_instant(context: ToolContext, instant: datetime) -> str:
    """Return a range's end as it is read: the date where it is local midnight, else the instant."""
    local = instant.astimezone(ZoneInfo(context.timezone))
    if local.time() == time():
        return local.date().isoformat()
    return str(msgspec.to_builtins(instant.astimezone(UTC)))
