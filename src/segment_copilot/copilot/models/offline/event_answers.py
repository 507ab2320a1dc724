"""The plans that answer questions about events, their volumes and schemas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct

from segment_copilot.copilot.models.offline import dates
from segment_copilot.copilot.models.offline.phrases import Length
from segment_copilot.copilot.models.offline.plan import Context, Result, Turn, latest
from segment_copilot.copilot.models.offline.segment_answers import called, day_of, failed, stopped
from segment_copilot.copilot.models.offline.windows import Window

_MONTH = Window("last", rolling=True, length=Length(30, "d"))
_SHOWN = 15


def rfc3339(instant: datetime) -> str:
    """As the tools take it."""
    return instant.isoformat().replace("+00:00", "Z")


def range_sentence(window: Window, context: Context) -> str:
    """From when to when a calendar stretch runs, for people; empty for rolling ones, which say so themselves."""
    if window.kind == "last":
        return ""
    start, end = window.span(context.as_of, context.timezone)
    until = "now" if end == context.as_of else f"{dates.local(end, context.timezone):%A %-d %B %Y %H:%M}"
    name = window.words()
    return (
        f"“{name}” runs from {dates.local(start, context.timezone):%A %-d %B %Y %H:%M} to {until} ({context.timezone})."
    )


def _arguments(window: Window, context: Context) -> dict[str, Any]:
    start, end = window.span(context.as_of, context.timezone)
    return {"from": rfc3339(start), "to": rfc3339(end)}


class Top(Struct, frozen=True):
    """The most frequent event types."""

    limit: int
    window: Window | None

    def turn(self, results: Sequence[Result], context: Context) -> Turn:
        """The next turn."""
        window = self.window or _MONTH
        top = latest(results, "query_top_events")
        if top is None:
            return (
                called("query_top_events", {**_arguments(window, context), "limit": self.limit})
                if context.tools_allowed
                else stopped()
            )
        if top.failed:
            return failed(top)
        types = top.document["event_types"]
        said = window.words()
        if (
            latest(results, "display_event_chart") is None
            and context.tools_allowed
            and "display_event_chart" in context.tools
            and types
        ):
            return called(
                "display_event_chart",
                {
                    "title": f"Top events by volume, {said.removeprefix('in ')}"[:120],
                    "measure": "event_types",
                    "tool_call_id": top.call_id,
                },
            )
        if not types:
            return Turn((f"There were no events {said}.", range_sentence(window, context)))
        listed = "; ".join(f"{item['event_type']} {item['count']:,}" for item in types)
        default = "" if self.window else "You named no time span, so I took the last 30 days."
        return Turn(
            (
                f"The most frequent event types {said}: {listed}.",
                f"All events of that time together: {top.document['total']:,}.",
                range_sentence(window, context),
                default,
            )
        )


class Volume(Struct, frozen=True):
    """Events per day, of one type or of all."""

    event_type: str | None
    window: Window | None

    def turn(self, results: Sequence[Result], context: Context) -> Turn:
        """The next turn."""
        window = self.window or _MONTH
        volume = latest(results, "query_event_volume")
        if volume is None:
            arguments = _arguments(window, context) | ({"event_type": self.event_type} if self.event_type else {})
            return called("query_event_volume", arguments) if context.tools_allowed else stopped()
        if volume.failed:
            return failed(volume)
        name, said = self.event_type or "All events", window.words()
        if (
            latest(results, "display_event_chart") is None
            and context.tools_allowed
            and "display_event_chart" in context.tools
            and volume.document["points"]
        ):
            return called(
                "display_event_chart",
                {
                    "title": f"{name} per day, {said.removeprefix('in ')}"[:120],
                    "measure": "events",
                    "tool_call_id": volume.call_id,
                },
            )
        default = "" if self.window else "You named no time span, so I took the last 30 days."
        return Turn(
            (
                f"{name}: {volume.document['total']:,} {said}.",
                *_extremes(volume.document["points"]),
                range_sentence(window, context),
                default,
            )
        )


def _extremes(points: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    if len(points) <= 1:
        return ()
    high = max(points, key=lambda point: point["count"])
    return (f"The busiest day was {high['day']} with {high['count']:,}.",)


class Recent(Struct, frozen=True):
    """What was ingested lately; without a window, the latest."""

    window: Window | None
    limit: int | None

    def turn(self, results: Sequence[Result], context: Context) -> Turn:
        """The next turn."""
        window = self.window
        recent = latest(results, "list_recent_events")
        if recent is None:
            since = {"since": rfc3339(window.span(context.as_of, context.timezone)[0])} if window else {}
            return (
                called("list_recent_events", {**since, "limit": self.limit or 20})
                if context.tools_allowed
                else stopped()
            )
        if recent.failed:
            return failed(recent)
        document = recent.document
        said = window.words() if window else "lately"
        card = (
            latest(results, "display_metric_card") is None
            and context.tools_allowed
            and "display_metric_card" in context.tools
        )
        if window and card:
            return called(
                "display_metric_card",
                {"title": f"Events ingested {said}", "value": document["total"], "unit": "events"},
            )
        return Turn((self._counted(document, said), *_by_type(document), *_newest(document), *self._range(context)))

    def _counted(self, document: Mapping[str, Any], said: str) -> str:
        if not document["total"]:
            return f"No events were ingested {said}."
        return (
            f"{document['total']:,} events were ingested {said}."
            if self.window
            else f"The latest events, of {document['total']:,} that are kept at hand:"
        )

    def _range(self, context: Context) -> tuple[str, ...]:
        return (range_sentence(self.window, context),) if self.window else ()


def _by_type(document: Mapping[str, Any]) -> tuple[str, ...]:
    types = document.get("by_type") or ()
    if not types:
        return ()
    more = f"; and {len(types[_SHOWN:])} more types" if len(types) > _SHOWN else ""
    return ("By type: " + "; ".join(f"{item['event_type']} {item['count']:,}" for item in types[:_SHOWN]) + more + ".",)


def _newest(document: Mapping[str, Any]) -> tuple[str, ...]:
    listed = document.get("events") or ()
    if not listed:
        return ()
    return (f"The newest is {listed[0]['event_type']} of {day_of(listed[0]['occurred_at'])}.",)


class Schemas(Struct, frozen=True):
    """Every event type with its description."""

    limit: int = 0

    def turn(self, results: Sequence[Result], context: Context) -> Turn:
        """The next turn."""
        listed = latest(results, "list_event_schemas")
        if listed is None:
            return called("list_event_schemas", {}) if context.tools_allowed else stopped()
        if listed.failed:
            return failed(listed)
        schemas = listed.document["schemas"]
        if not schemas:
            return Turn(("No event schemas are registered and no events were seen yet.",))
        total = listed.document.get("total", len(schemas))
        cut = "The list is cut here." if listed.document.get("truncated") else ""
        return Turn(("\n".join([f"{total:,} event types:", *(_schema_line(item) for item in schemas)]), cut))


def _schema_line(item: Mapping[str, Any]) -> str:
    count = item["property_count"]
    described = f": {item['description']}" if item.get("description") else ""
    return f"- {item['event_type']}{described} ({count:,} propert{'y' if count == 1 else 'ies'})"


class Schema(Struct, frozen=True):
    """One event type's properties."""

    event_type: str

    def turn(self, results: Sequence[Result], context: Context) -> Turn:
        """The next turn."""
        read = latest(results, "get_event_schema")
        if read is None:
            return called("get_event_schema", {"event_type": self.event_type}) if context.tools_allowed else stopped()
        if read.failed:
            return failed(read)
        document = read.document
        described = f": {document['description']}" if document.get("description") else ""
        head = f"{document['event_type']}{described}"
        if not document["properties"]:
            return Turn((f"{head}. It has no properties.",))
        lines = [
            f"- {item['path']} ({', '.join(item['types']) or 'unknown type'}){': ' + item['description'] if item.get('description') else ''}"
            for item in document["properties"]
        ]
        return Turn(("\n".join([f"{head}. Its properties:", *lines]),))


class Values(Struct, frozen=True):
    """The values of a property or trait."""

    path: str
    event_type: str | None

    def turn(self, results: Sequence[Result], context: Context) -> Turn:
        """The next turn."""
        read = latest(results, "list_property_values")
        if read is None:
            of = {"event_type": self.event_type} if self.event_type else {}
            return called("list_property_values", {"property": self.path, **of}) if context.tools_allowed else stopped()
        if read.failed:
            return failed(read)
        listed = "; ".join(f"{item['value']} ({item['count']:,})" for item in read.document["values"])
        where = f"`{self.event_type}.{self.path}`" if self.event_type else f"the trait `{self.path}`"
        cut = (
            f"These are the most frequent of {read.document['total_distinct']:,}."
            if read.document.get("truncated")
            else ""
        )
        return Turn((f"The values of {where}: {listed}." if listed else f"{where} has no values.", cut))
