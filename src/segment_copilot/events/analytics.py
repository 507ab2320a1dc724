"""USE CASE: answer questions about events and values from ClickHouse. An event after *as_of* never counts."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec
from msgspec import UNSET, Struct, UnsetType

from segment_copilot.access.tenants import Tenant
from segment_copilot.compiler import CompiledQuery
from segment_copilot.errors import Finding, InvalidInput
from segment_copilot.events.identity_links import PERSON_KEY, with_links
from segment_copilot.language.catalog import IDENTIFY, Scalar
from segment_copilot.language.lengths import EARLIEST, LATEST, MICROSECOND, day_start, to_microseconds
from segment_copilot.language.paths import parse_path
from segment_copilot.stores.clickhouse import ClickHouse, Purpose
from segment_copilot.stores.merging import grouped, ranked

MAX_DAYS: Final = 366

_IN_SPAN: Final = (
    "tenant_id = {tenant:UInt32}",
    "occurred_at >= {from:DateTime64(6, 'UTC')}",
    "occurred_at < {to:DateTime64(6, 'UTC')}",
    "occurred_at <= {as_of:DateTime64(6, 'UTC')}",
)
"""Tells whether an event counts. Its parameters are those of `_params`."""

_OF_TYPE: Final = "event_type = {event_type:String}"
_NO_IDENTIFY: Final = "event_type != {identify:String}"


def _events_that(*tests: str) -> str:
    """Return the source of events in a span that pass every one of *tests*."""
    return "FROM events\nWHERE " + "\n    AND ".join((*_IN_SPAN, *tests))


def _volume(*tests: str) -> str:
    """Return the SQL that counts the events that pass, by the start of the day that they are in."""
    return f"""
SELECT roundDown(toUnixTimestamp64Micro(occurred_at), {{starts:Array(Int64)}}) AS start, count()
{_events_that(*tests)}
GROUP BY start
"""


def _frequent_values(documents: str) -> str:
    """Return the SQL that counts the values in *documents*, a query of JSON texts that are '' where there is no value.

    A list counts each of its elements. Values are compared as JSON text, so that 1 and "1" stay two values; a part of a
    value that is searched for is a part of its text, in any case.
    """
    return f"""
SELECT value, count() AS times, count() OVER () AS distinct_values
FROM (
    SELECT arrayJoin(if(startsWith(document, '['), JSONExtractArrayRaw(document), [document])) AS value
    FROM ({documents})
    WHERE document != ''
)
WHERE {{search:String}} = ''
    OR position(lowerUTF8(if(startsWith(value, '"'), JSONExtractString(value), value)), lowerUTF8({{search:String}})) > 0
GROUP BY value
ORDER BY times DESC, value
LIMIT {{limit:UInt32}}
"""


_TOP_EVENTS: Final = f"""
SELECT event_type, count() AS events, sum(count()) OVER () AS total
{_events_that(_NO_IDENTIFY)}
GROUP BY event_type
ORDER BY events DESC, event_type
LIMIT {{limit:UInt32}}
"""
_EVENT_VALUES: Final = _frequent_values(f"""
SELECT ifNull(toJSONString(payload.{{path:Identifier}}), '') AS document
{_events_that(_OF_TYPE)}
""")
# ifNull inside argMax: argMax passes over NULL, and would bring a removed trait back.
_TRAIT_VALUES: Final = _frequent_values(f"""
SELECT argMax(ifNull(toJSONString(value.{{path:Identifier}}), ''), (occurred_at, event_id)) AS document
FROM {with_links("traits")}
WHERE tenant_id = {{tenant:UInt32}} AND property = {{property:String}} AND occurred_at <= {{as_of:DateTime64(6, 'UTC')}}
GROUP BY {PERSON_KEY}
""")


class Span(Struct, frozen=True):
    """A span is half-open: from *start* up to, not including, *end*; and nothing after *as_of*."""

    start: datetime
    end: datetime
    as_of: datetime


class TypeCount(Struct, frozen=True):
    """An event type and how many events of it happened."""

    event_type: str
    count: int


class TopEvents(Struct, frozen=True):
    """The busiest event types first; *total* counts all types. An identify is not an event here."""

    event_types: tuple[TypeCount, ...]
    total: int


class DayCount(Struct, frozen=True):
    """A local day and how many events happened on it. *partial* is there, and true, when only a part of it was counted."""

    day: date
    count: int
    partial: bool | UnsetType = UNSET


class Volume(Struct, frozen=True):
    """Counts events on every local day of the span, those without events included."""

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


class Analytics:
    """Counts events and values of all tenants; every method takes the tenant."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._clickhouse = clickhouse

    async def top_events(
        self, tenant: Tenant, span: Span, *, limit: int = 10, purpose: Purpose = "preview"
    ) -> TopEvents:
        """Rank event types by how often they happened."""
        _check(span)
        params = {**_params(tenant, span), "identify": IDENTIFY, "limit": limit}
        found = await self._clickhouse.fetch(_TOP_EVENTS, params, purpose=purpose, merge=ranked(limit, total="sum"))
        total = int(found.rows[0][2]) if found.rows else 0
        return TopEvents(tuple(TypeCount(str(row[0]), int(row[1])) for row in found.rows), total)

    async def volume(
        self,
        tenant: Tenant,
        span: Span,
        *,
        timezone: str,
        event_type: str | None = None,
        where: CompiledQuery | None = None,
        purpose: Purpose = "preview",
    ) -> Volume:
        """Count events per local day of *timezone*, at most 366 days.

        Those of *event_type* that pass *where*; of all types but identifies when it is None.
        """
        _check(span)
        days = _days(span, ZoneInfo(timezone))
        starts = [to_microseconds(start) for _, start in days]
        params = {**_params(tenant, span), "starts": starts}
        if event_type is None:
            sql, params = _volume(_NO_IDENTIFY), {**params, "identify": IDENTIFY}
        elif where is None:
            sql, params = _volume(_OF_TYPE), {**params, "event_type": event_type}
        else:
            sql, params = _volume(_OF_TYPE, where.sql), {**params, "event_type": event_type, **where.params}
        found = await self._clickhouse.fetch(sql, params, purpose=purpose, merge=grouped(1, "add"))
        counts = {int(row[0]): int(row[1]) for row in found.rows}
        points = tuple(
            DayCount(day, counts.get(start, 0), _partial(day, span, ZoneInfo(timezone)))
            for (day, _), start in zip(days, starts, strict=True)
        )
        return Volume(points, sum(counts.values()))

    async def property_values(
        self,
        tenant: Tenant,
        path: str,
        *,
        event_type: str | None,
        as_of: datetime,
        search: str = "",
        limit: int = 25,
        span: Span | None = None,
        purpose: Purpose = "preview",
    ) -> PropertyValues:
        """Rank the values of a payload property by number of events in *span* (None: ever).

        Those of a trait, where *event_type* is None, by number of users. Only those with *search* in them, in any case.
        """
        try:
            steps = [step.replace(".", "%2E") for step in parse_path(path)]  # as the store writes a dot inside a key
        except ValueError as error:
            finding = Finding("/property", "invalid_path", str(error))
            raise InvalidInput(str(error), code="invalid_path", findings=[finding]) from error
        if event_type is None:
            sql, params = _TRAIT_VALUES, {"tenant": tenant.id, "as_of": as_of}
            params |= {"property": parse_path(path)[0], "path": ".".join(["v", *steps[1:]])}
        else:
            when = span or Span(EARLIEST, LATEST, as_of)
            _check(when)
            sql, params = _EVENT_VALUES, {**_params(tenant, when), "event_type": event_type, "path": ".".join(steps)}
        params |= {"limit": limit, "search": search}
        found = await self._clickhouse.fetch(sql, params, purpose=purpose, merge=ranked(limit, total="rows"))
        distinct = int(found.rows[0][2]) if found.rows else 0
        return PropertyValues(tuple(ValueCount(_scalar(row[0]), int(row[1])) for row in found.rows), distinct)


def local_midnight(instant: datetime, timezone: str, *, days_before: int = 0) -> datetime:
    """Return the UTC instant at which the local day of *instant* began, or the one *days_before* it."""
    zone = ZoneInfo(timezone)
    return day_start(instant.astimezone(zone).date() - timedelta(days=days_before), zone)


def _check(span: Span) -> None:
    if span.start >= span.end:
        detail = "The range is empty: from must be before to."
        raise InvalidInput(detail, code="empty_range", findings=[Finding("/from", "empty_range", detail)])


def _days(span: Span, zone: ZoneInfo) -> list[tuple[date, datetime]]:
    """Return the local days that the span touches and when each begins; the first begins with the span."""
    first = span.start.astimezone(zone).date()
    last = (min(span.end - MICROSECOND, max(span.as_of, span.start))).astimezone(zone).date()
    if (last - first).days >= MAX_DAYS:
        detail = f"Ask for at most {MAX_DAYS} days at once."
        raise InvalidInput(detail, code="range_too_long", findings=[Finding("/from", "range_too_long", detail)])
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    starts = [span.start, *(day_start(day, zone) for day in days[1:])]
    # A zone may skip a whole day: its midnight is then the next one's, and it holds nothing.
    unique = [(day, start) for (day, start), (_, after) in pairwise(zip(days, starts, strict=True)) if start < after]
    return [*unique, (days[-1], starts[-1])]


def _partial(day: date, span: Span, zone: ZoneInfo) -> bool | UnsetType:
    """Return True of a day that begins before the span, or is not over at its end or at its *as_of*."""
    whole = span.start <= day_start(day, zone) and day_start(day + timedelta(days=1), zone) <= min(span.end, span.as_of)
    return UNSET if whole else True


def _params(tenant: Tenant, span: Span) -> dict[str, Any]:
    return {"tenant": tenant.id, "from": span.start, "to": span.end, "as_of": span.as_of}


def _scalar(text: str) -> Scalar:
    """Read JSON text as a value; an object or a list in a list stays text."""
    value = msgspec.json.decode(text)
    return value if isinstance(value, str | int | float | bool) else text
