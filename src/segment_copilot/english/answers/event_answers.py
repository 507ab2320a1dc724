"""The plans that answer questions about events, their volumes and schemas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from msgspec import Struct
from rapidfuzz import fuzz, process

from segment_copilot.english.answers.telling import (
    asked,
    called,
    counted,
    day,
    draws,
    failed,
    moment,
    range_sentence,
    rfc3339,
    span,
    stopped,
)
from segment_copilot.english.linking.index import Index
from segment_copilot.english.linking.values import Test
from segment_copilot.english.plan import Call, Context, Result, Turn, latest
from segment_copilot.english.times.phrases import Length
from segment_copilot.english.times.windows import Window

TOP, VOLUME, RECENT = "query_top_events", "query_event_volume", "list_recent_events"
SCHEMAS, SCHEMA, CHART, CARD = "list_event_schemas", "get_event_schema", "display_event_chart", "display_metric_card"
NO_SUMS = (
    "I cannot add up or average amounts here: I count events and users.",
    "I can count the events by day ('orders per day last month'), or draft and count users by what they spent ('users who spent over 500 in total').",
)
BY_DAY = (
    "I count events by day, not by weekday or by the hour.",
    "Ask for the busiest day of a time span, for example 'busiest day last month'.",
)
_MONTH: Final = Window("last", rolling=True, length=Length(30, "d"))
_YEAR: Final = Window("last", rolling=True, length=Length(365, "d"))
_SHOWN: Final = 15
_LISTED: Final = 10  # latest events, where no number was named
_MOST: Final = 100
_UNSAID: Final = "You named no time span, so I took the last 30 days."
_FURTHEST: Final = "That is as far back as I can count by day: the last 365 days."


def no_event(said: str, index: Index) -> tuple[str, ...]:
    """There is no event type of that name; the nearest that exist."""
    near = process.extract(said, list(dict.fromkeys(known.name for known in index.events)), scorer=fuzz.WRatio, limit=3)
    nearest = f" The nearest: {', '.join(f'`{name}`' for name, *_ in near)}." if near else ""
    return (f"There is no event type for {said!r} here.{nearest}",)


class Top(Struct, frozen=True):
    """The most frequent event types, or the *least* frequent."""

    limit: int
    window: Window | None
    least: bool = False

    def turn(self, results: Sequence[Result], context: Context) -> Turn:
        """The next turn."""
        window = self.window or _MONTH
        top = latest(results, TOP)
        if top is None:
            return asked(TOP, {**span(window, context), "limit": _MOST if self.least else self.limit}, context)
        if top.failed:
            return failed(top)
        types = list(top.document["event_types"])
        said = window.words()
        if not types:
            return Turn((f"There were no events {said}.", range_sentence(window, context)))
        if not self.least and draws(CHART, results, context):
            title = f"Top events by volume, {said.removeprefix('in ')}"[:120]
            return called(CHART, {"title": title, "measure": "event_types", "tool_call_id": top.call_id})
        shown = list(reversed(types))[: self.limit] if self.least else types
        listed = "; ".join(f"{item['event_type']} {item['count']:,}" for item in shown)
        head = f"The {'least' if self.least else 'most'} frequent event types {said}"
        return Turn(
            (
                f"{head}{', the rarest first' if self.least else ''}: {listed}.",
                "Types without any event in that time are not listed." if self.least else "",
                f"All events of that time together: {top.document['total']:,}.",
                range_sentence(window, context),
                "" if self.window else _UNSAID,
            )
        )


class Volume(Struct, frozen=True):
    """Events per day, of one type (None: of all) and only those that pass *where*; *extreme* asks for the busiest or the quietest day."""

    event_type: str | None
    window: Window | None
    where: tuple[Test, ...] = ()
    note: str = ""
    ever: bool = False
    step: str = ""
    extreme: Literal["", "high", "low"] = ""

    def turn(self, results: Sequence[Result], context: Context) -> Turn:
        """The next turn."""
        window = self.window or (_YEAR if self.ever else _MONTH)
        volume = latest(results, VOLUME)
        if volume is None:
            return asked(VOLUME, arguments(self.event_type, window, self.where, context), context)
        if volume.failed:
            return failed(volume)
        points: Sequence[Mapping[str, Any]] = volume.document["points"]
        said = window.words()
        name = named(self.event_type, self.where)
        if points and draws(CHART, results, context):
            title = f"{name} per day, {said.removeprefix('in ')}"[:120]
            return called(CHART, {"title": title, "measure": "events", "tool_call_id": volume.call_id})
        total = f"{name}: {volume.document['total']:,} {said}."
        return Turn(
            (
                *((self._days(points), total) if self.extreme else (total, *_extremes(points))),
                f"I count by day, not by {self.step.removesuffix('ly')}." if self.step and self.step != "daily" else "",
                *notes(self.where, self.note),
                range_sentence(window, context),
                "" if self.window else _FURTHEST if self.ever else _UNSAID,
            )
        )

    def _days(self, points: Sequence[Mapping[str, Any]]) -> str:
        if not points:
            return ""
        if self.extreme == "low":  # half a day is no quiet day
            points = [item for item in points if not item.get("partial")] or points
        wanted = (min if self.extreme == "low" else max)(item["count"] for item in points)
        days = [_dated(item) for item in points if item["count"] == wanted]
        which = "quietest" if self.extreme == "low" else "busiest"
        if len(days) > 1:
            return f"The {which} days were {', '.join(days[:5])}, with {wanted:,} each."
        return f"The {which} day was {days[0]} with {wanted:,}."


def arguments(event_type: str | None, window: Window, where: Sequence[Test], context: Context) -> dict[str, Any]:
    """Of the tool that counts events by day."""
    wanted = {"event_type": event_type} if event_type else {}
    return span(window, context) | wanted | ({"where": [test.json() for test in where]} if where else {})


def named(event_type: str | None, where: Sequence[Test]) -> str:
    """What is counted, for sentences and titles."""
    tests = " and ".join(_test(test) for test in where)
    return (event_type or "All events") + (f" with {tests}" if tests else "")


_SIGNS: Final = {
    "eq": "",
    "gt": "over ",
    "gte": "at least ",
    "lt": "under ",
    "lte": "at most ",
    "neq": "other than ",
    "contains": "containing ",
}


def _test(test: Test) -> str:
    if test.value2 is not None:
        return f"{test.field.path} between {test.value} and {test.value2}"
    if test.value is None:
        return f"{test.field.path} {test.operator.replace('_', ' ')}"
    denied = "not " if test.negated else ""
    return f"{test.field.path} {denied}{_SIGNS.get(test.operator, test.operator.replace('_', ' ') + ' ')}{test.value}"


def notes(where: Sequence[Test], note: str) -> tuple[str, ...]:
    """What was settled in reading the question."""
    return tuple(f"{text[:1].upper()}{text[1:]}." for text in (note, *(test.note for test in where)) if text)


def _extremes(points: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    if len(points) <= 1 or not any(point["count"] for point in points):
        return ()
    high = max(points, key=lambda point: point["count"])
    busiest = f"The busiest day was {_dated(high)} with {high['count']:,}."
    parts = [day(point["day"]) for point in (points[0], points[-1]) if point.get("partial")]
    told = f"Of {' and '.join(parts)} only a part is counted." if parts else ""
    return (busiest, told)


def _dated(point: Mapping[str, Any]) -> str:
    return day(point["day"]) + (" (only a part of it is counted)" if point.get("partial") else "")


class Comparison(Struct, frozen=True):
    """How many events there were in two time spans."""

    event_type: str | None
    windows: tuple[Window, ...]
    where: tuple[Test, ...] = ()
    note: str = ""

    def turn(self, results: Sequence[Result], context: Context) -> Turn:
        """The next turn."""
        volumes = [result for result in results if result.name == VOLUME]
        if not volumes:
            calls = tuple(
                Call(VOLUME, arguments(self.event_type, window, self.where, context)) for window in self.windows
            )
            return Turn(calls=calls) if context.tools_allowed else stopped()
        broken = next((result for result in volumes if result.failed), None)
        if broken is not None:
            return failed(broken)
        one, other = volumes[0].document["total"], volumes[-1].document["total"]
        first, second = (window.words() for window in self.windows)
        verdict = "more than" if one > other else "fewer than" if one < other else "as many as"
        return Turn(
            (
                f"{named(self.event_type, self.where)}: {one:,} {first} and {other:,} {second}; {first} had {verdict} {second}.",
                *(range_sentence(window, context) for window in self.windows),
                *notes(self.where, self.note),
            )
        )


class Recent(Struct, frozen=True):
    """What was ingested lately; without a window, the latest."""

    window: Window | None
    limit: int | None

    def turn(self, results: Sequence[Result], context: Context) -> Turn:
        """The next turn."""
        window = self.window
        recent = latest(results, RECENT)
        if recent is None:
            since = {"since": rfc3339(window.span(context.as_of, context.timezone)[0])} if window else {}
            return asked(RECENT, {**since, "limit": self.limit or 20}, context)
        if recent.failed:
            return failed(recent)
        document = recent.document
        said = window.words() if window else "lately"
        if window and not self.limit and draws(CARD, results, context):
            card = {"title": f"Events ingested {said}"[:120], "value": document["total"], "unit": "events"}
            return called(CARD, card)
        range_ = (range_sentence(window, context),) if window else ()
        shown = self.limit or (0 if window else _LISTED)
        if shown:
            return Turn((self._headed(document, said, shown), *_newest(document, context, shown), *range_))
        return Turn((self._counted(document, said), *_by_type(document), *_newest(document, context, 0), *range_))

    def _headed(self, document: Mapping[str, Any], said: str, shown: int) -> str:
        there = min(shown, len(document["events"]))
        if not there:
            return f"No events were ingested {said}." if self.window else "No events are kept at hand."
        head = "The latest event" if there == 1 else f"The {there:,} latest events"
        when = f" {said}" if self.window else ""
        return f"{head}{when}, of {document['total']:,} that are kept at hand:"

    def _counted(self, document: Mapping[str, Any], said: str) -> str:
        if not document["total"]:
            return f"No events were ingested {said}."
        return f"{counted(document['total'], 'event')} {'was' if document['total'] == 1 else 'were'} ingested {said}."


def _event_line(item: Mapping[str, Any], context: Context) -> str:
    return f"- {item['event_type']} of user {item['user_id']} on {moment(item['occurred_at'], context)}"


def _by_type(document: Mapping[str, Any]) -> tuple[str, ...]:
    types = document.get("by_type") or ()
    if not types:
        return ()
    more = f"; and {len(types[_SHOWN:])} more types" if len(types) > _SHOWN else ""
    return ("By type: " + "; ".join(f"{item['event_type']} {item['count']:,}" for item in types[:_SHOWN]) + more + ".",)


def _newest(document: Mapping[str, Any], context: Context, shown: int) -> tuple[str, ...]:
    """The newest events, one a line; where no list was asked for, the newest alone."""
    listed = document.get("events") or ()
    if not listed:
        return ()
    if shown:
        return (
            "\n".join(_event_line(item, context) for item in listed[:shown]),
            f"Times are those of {context.timezone}.",
        )
    return (
        f"The newest is {listed[0]['event_type']} of {moment(listed[0]['occurred_at'], context)} ({context.timezone}).",
    )


class Latest(Struct, frozen=True):
    """The latest events of one type."""

    event_type: str
    limit: int | None
    note: str = ""

    def turn(self, results: Sequence[Result], context: Context) -> Turn:
        """The next turn."""
        recent = latest(results, RECENT)
        if recent is None:
            return asked(RECENT, {"limit": _MOST}, context)
        if recent.failed:
            return failed(recent)
        found = [item for item in recent.document["events"] if item["event_type"] == self.event_type]
        if found:
            shown = found[: self.limit or 5]
            fewer = f"Of the {len(recent.document['events']):,} latest events these are all." if self.limit and len(found) < self.limit else ""  # fmt: skip
            lines = [f"The latest {self.event_type} events:", *(_event_line(item, context) for item in shown)]
            zone = f"Times are those of {context.timezone}."
            return Turn(("\n".join(lines), fewer, zone, *notes((), self.note)))
        schema = latest(results, SCHEMA)
        if schema is None:
            return asked(SCHEMA, {"event_type": self.event_type}, context)
        if schema.failed:
            return failed(schema)
        seen = schema.document.get("last_seen")
        when = (
            f"The last {self.event_type} was seen on {moment(seen, context)} ({context.timezone})."
            if seen
            else f"There are no {self.event_type} events yet."
        )
        return Turn(
            (when, f"It is not among the {len(recent.document['events'])} latest events.", *notes((), self.note))
        )


class Schemas(Struct, frozen=True):
    """Every event type with its description."""

    counted: bool = False

    def turn(self, results: Sequence[Result], context: Context) -> Turn:
        """The next turn."""
        listed = latest(results, SCHEMAS)
        if listed is None:
            return asked(SCHEMAS, {}, context)
        if listed.failed:
            return failed(listed)
        schemas = listed.document["schemas"]
        if not schemas:
            return Turn(("No event schemas are registered and no events were seen yet.",))
        total = listed.document.get("total", len(schemas))
        registered = [item for item in schemas if item.get("registered")]
        seen = [item for item in schemas if not item.get("registered")]
        cut = "" if len(schemas) == total else f"{total - len(schemas):,} more are not listed here."
        return Turn(
            (*_listed("with a registered schema", registered), *_listed("only seen, without a schema", seen), cut)
        )


def _listed(kind: str, schemas: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The event types of one kind; that there are none is said of registered ones alone."""
    if not schemas:
        return ("No event schema is registered.",) if kind.startswith("with") else ()
    head = f"{counted(len(schemas), 'event type')} {kind}:"
    return ("\n".join([head, *(_schema_line(item) for item in schemas)]),)


def _schema_line(item: Mapping[str, Any]) -> str:
    count = item["property_count"]
    described = f": {item['description']}" if item.get("description") else ""
    return f"- {item['event_type']}{described} ({count:,} propert{'y' if count == 1 else 'ies'})"


class Schema(Struct, frozen=True):
    """One event type's properties."""

    event_type: str
    note: str = ""

    def turn(self, results: Sequence[Result], context: Context) -> Turn:
        """The next turn."""
        read = latest(results, SCHEMA)
        if read is None:
            return asked(SCHEMA, {"event_type": self.event_type}, context)
        if read.failed:
            return failed(read)
        document = read.document
        described = f": {document['description']}" if document.get("description") else ""
        head = f"{document['event_type']}{described}"
        seen = f"It was last seen on {moment(document['last_seen'], context)}." if document.get("last_seen") else ""
        if not document["properties"]:
            return Turn((f"{head}. It has no properties.", seen, *notes((), self.note)))
        lines = [
            f"- {item['path']} ({', '.join(item['types']) or 'unknown type'}){': ' + item['description'] if item.get('description') else ''}"
            for item in document["properties"]
        ]
        return Turn(("\n".join([f"{head}. Its properties:", *lines]), seen, *notes((), self.note)))
