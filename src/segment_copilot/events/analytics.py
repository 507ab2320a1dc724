"""Questions about a tenant's events and values, answered from ClickHouse. An event after *as_of* never counts."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct

from segment_copilot.compiler import CompiledQuery
from segment_copilot.errors import Finding, InvalidInput
from segment_copilot.language.catalog import IDENTIFY, Scalar
from segment_copilot.language.lengths import EARLIEST, LATEST, to_instant
from segment_copilot.language.paths import parse_path
from segment_copilot.stores.clickhouse import ClickHouse

MAX_DAYS = 366
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_TOP_EVENTS = """
SELECT event_type, count() AS events, sum(count()) OVER () AS total
FROM events
WHERE tenant_id = {tenant:UInt32} AND event_type != {identify:String}
    AND occurred_at >= {from:DateTime64(6, 'UTC')} AND occurred_at < {to:DateTime64(6, 'UTC')}
    AND occurred_at <= {as_of:DateTime64(6, 'UTC')}
GROUP BY event_type
ORDER BY events DESC, event_type
LIMIT {limit:UInt32}
"""

_VOLUME = """
SELECT roundDown(toUnixTimestamp64Micro(occurred_at), {starts:Array(Int64)}) AS start, count()
FROM events
WHERE tenant_id = {tenant:UInt32} AND event_type = {event_type:String}
    AND occurred_at >= {from:DateTime64(6, 'UTC')} AND occurred_at < {to:DateTime64(6, 'UTC')}
    AND occurred_at <= {as_of:DateTime64(6, 'UTC')}
GROUP BY start
"""
_VOLUME_OF_ALL = _VOLUME.replace("event_type = {event_type:String}", "event_type != {identify:String}")

# A list counts each of its elements. Values are compared as JSON text, so that 1 and "1" stay two values.
_EVENT_VALUES = """
SELECT value, count() AS times, count() OVER () AS distinct_values
FROM (
    SELECT arrayJoin(if(startsWith(document, '['), JSONExtractArrayRaw(document), [document])) AS value
    FROM (
        SELECT ifNull(toJSONString(payload.{path:Identifier}), '') AS document
        FROM events
        WHERE tenant_id = {tenant:UInt32} AND event_type = {event_type:String}
            AND occurred_at >= {from:DateTime64(6, 'UTC')} AND occurred_at < {to:DateTime64(6, 'UTC')}
            AND occurred_at <= {as_of:DateTime64(6, 'UTC')}
    )
    WHERE document != ''
)
GROUP BY value
ORDER BY times DESC, value
LIMIT {limit:UInt32}
"""

# ifNull inside argMax: argMax passes over NULL, and would bring a removed trait back.
_TRAIT_VALUES = """
SELECT value, count() AS times, count() OVER () AS distinct_values
FROM (
    SELECT arrayJoin(if(startsWith(document, '['), JSONExtractArrayRaw(document), [document])) AS value
    FROM (
        SELECT argMax(ifNull(toJSONString(value.{path:Identifier}), ''), (occurred_at, event_id)) AS document
        FROM traits
        WHERE tenant_id = {tenant:UInt32} AND property = {property:String}
            AND occurred_at <= {as_of:DateTime64(6, 'UTC')}
        GROUP BY user_key
    )
    WHERE document != ''
)
GROUP BY value
ORDER BY times DESC, value
LIMIT {limit:UInt32}
"""


class Span(Struct, frozen=True):
    """Half-open: from *start* up to, not including, *end*; and nothing after *as_of*."""

    start: datetime
    end: datetime
    as_of: datetime


class TypeCount(Struct, frozen=True):
    """How many events of a type."""

    event_type: str
    count: int


class TopEvents(Struct, frozen=True):
    """The busiest types first; *total* counts all types. An identify is not an event here."""

    event_types: tuple[TypeCount, ...]
    total: int


class DayCount(Struct, frozen=True):
    """How many on one local day."""

    day: date
    count: int


class Volume(Struct, frozen=True):
    """Every local day of the span, those without events included."""

    points: tuple[DayCount, ...]
    total: int


class ValueCount(Struct, frozen=True):
    """A value and how many events (or users) have it."""

    value: Scalar
    count: int


class PropertyValues(Struct, frozen=True):
    """The most frequent values first."""

    values: tuple[ValueCount, ...]
    total_distinct: int


async def top_events(clickhouse: ClickHouse, tenant_id: int, span: Span, *, limit: int = 10) -> TopEvents:
    """Event types by how often they happened."""
    _check(span)
    found = await clickhouse.fetch(
        _TOP_EVENTS, {**_params(tenant_id, span), "identify": IDENTIFY, "limit": limit}, purpose="copilot"
    )
    total = int(found.rows[0][2]) if found.rows else 0
    return TopEvents(tuple(TypeCount(str(row[0]), int(row[1])) for row in found.rows), total)


async def event_volume(
    clickhouse: ClickHouse,
    tenant_id: int,
    span: Span,
    *,
    timezone: str,
    event_type: str | None = None,
    where: CompiledQuery | None = None,
) -> Volume:
    """Events per local day; all types but identifies when *event_type* is None, only those that pass *where*. At most 366 days."""
    _check(span)
    days = _days(span, ZoneInfo(timezone))
    starts = [_microseconds(start) for _, start in days]
    params = {**_params(tenant_id, span), "starts": starts}
    if event_type is None:
        found = await clickhouse.fetch(_VOLUME_OF_ALL, {**params, "identify": IDENTIFY}, purpose="copilot")
    else:
        params |= {"event_type": event_type, **(where.params if where else {})}
        found = await clickhouse.fetch(_VOLUME.replace("GROUP BY", _passing(where)), params, purpose="copilot")
    counts = {int(row[0]): int(row[1]) for row in found.rows}
    points = tuple(DayCount(day, counts.get(start, 0)) for (day, _), start in zip(days, starts, strict=True))
    return Volume(points, sum(counts.values()))


def _passing(where: CompiledQuery | None) -> str:
    return f"    AND {where.sql}\nGROUP BY" if where else "GROUP BY"


async def property_values(
    clickhouse: ClickHouse,
    tenant_id: int,
    path: str,
    *,
    event_type: str | None,
    as_of: datetime,
    limit: int = 25,
    span: Span | None = None,
) -> PropertyValues:
    """The values of a payload property by number of events in *span* (None: ever), or of a trait (*event_type* None) by number of users."""
    try:
        steps = [step.replace(".", "%2E") for step in parse_path(path)]  # as the store writes a dot inside a key
    except ValueError as error:
        finding = Finding("/property", "invalid_path", str(error))
        raise InvalidInput(str(error), code="invalid_path", findings=[finding]) from error
    params: dict[str, Any] = {"tenant": tenant_id, "as_of": as_of, "limit": limit}
    if event_type is None:
        params |= {"property": parse_path(path)[0], "path": ".".join(["v", *steps[1:]])}
    else:
        when = span or Span(EARLIEST, LATEST, as_of)
        _check(when)
        params |= {"event_type": event_type, "path": ".".join(steps), "from": when.start, "to": when.end}
    found = await clickhouse.fetch(_TRAIT_VALUES if event_type is None else _EVENT_VALUES, params, purpose="copilot")
    distinct = int(found.rows[0][2]) if found.rows else 0
    return PropertyValues(tuple(ValueCount(_scalar(row[0]), int(row[1])) for row in found.rows), distinct)


def local_midnight(instant: datetime, timezone: str, *, days_before: int = 0) -> datetime:
    """When the local day of *instant*, or one *days_before* it, began; in UTC."""
    zone = ZoneInfo(timezone)
    return _midnight(instant.astimezone(zone).date() - timedelta(days=days_before), zone)


def _check(span: Span) -> None:
    if span.start >= span.end:
        detail = "The range is empty: from must be before to."
        raise InvalidInput(detail, code="empty_range", findings=[Finding("/from", "empty_range", detail)])


def _days(span: Span, zone: ZoneInfo) -> list[tuple[date, datetime]]:
    """The local days that the span touches and when each begins; the first begins with the span."""
    first = span.start.astimezone(zone).date()
    last = (min(span.end - timedelta(microseconds=1), max(span.as_of, span.start))).astimezone(zone).date()
    if (last - first).days >= MAX_DAYS:
        detail = f"Ask for at most {MAX_DAYS} days at once."
        raise InvalidInput(detail, code="range_too_long", findings=[Finding("/from", "range_too_long", detail)])
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    starts = [span.start, *(_midnight(day, zone) for day in days[1:])]
    # A zone may skip a whole day: its midnight is then the next one's, and it holds nothing.
    unique = [(day, start) for (day, start), (_, after) in pairwise(zip(days, starts, strict=True)) if start < after]
    return [*unique, (days[-1], starts[-1])]


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return to_instant(datetime(day.year, day.month, day.day), zone)  # noqa: DTZ001 — a wall time, made an instant here


def _microseconds(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta(microseconds=1)


def _params(tenant_id: int, span: Span) -> dict[str, Any]:
    return {"tenant": tenant_id, "from": span.start, "to": span.end, "as_of": span.as_of}


def _scalar(text: str) -> Scalar:
    """A value as JSON text; an object or a list in a list stays text."""
    value = msgspec.json.decode(text)
    return value if isinstance(value, str | int | float | bool) else text
