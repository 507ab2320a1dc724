"""Answers about events: how many there were and when, which kinds, the latest, and the values of their properties."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final

import msgspec

from segment_copilot.english.answers.words import (
    MONTH,
    YEAR,
    card,
    chart,
    counted,
    day,
    listed,
    moment,
    rfc3339,
    span,
    told_range,
)
from segment_copilot.english.plan import Answer, Call, Context
from segment_copilot.english.questions.intents import Slots, Understood
from segment_copilot.english.questions.named import Happened, Owned, origin_in
from segment_copilot.english.times import dates
from segment_copilot.english.times.windows import Window
from segment_copilot.language.describe.phrases import tell_test

_VOLUME: Final = "query_event_volume"
_RECENT: Final = "list_recent_events"
_MOST: Final = 100
_SHOWN: Final = 15
_LATEST: Final = 20
_LISTED: Final = 10
_FEW: Final = 5
_VALUES: Final = 25
_UNSAID: Final = "You named no time span, so I took the last 30 days."
_FURTHEST: Final = "That is as far back as I can count by day: the last 365 days."


def _unsaid(slots: Slots) -> str:
    return "" if slots.windows else _FURTHEST if slots.ever else _UNSAID


def _wanted(event: Happened | None, window: Window, context: Context) -> Call:
    of = {"event_type": event.event_type} if event else {}
    where = {"where": msgspec.to_builtins(list(event.tests))} if event and event.tests else {}
    return Call(_VOLUME, {**span(window, context), **of, **where})


def _name(event: Happened | None) -> str:
    tests = " and ".join(f"{one.property} {tell_test(one, negate=one.negate)}" for one in event.tests) if event else ""
    return (event.event_type if event else "All events") + (f" where {tests}" if tests else "")


def _notes(event: Happened | None) -> tuple[str, ...]:
    return (event.note,) if event else ()


def volume(asked: Understood, context: Context) -> Answer:
    """Tell how many events there were by day, of one type or all; with `extreme`, which day had most or fewest."""
    slots = asked.slots
    window = slots.window or (YEAR if slots.ever else MONTH)
    found = yield _wanted(slots.event, window, context)
    points: Sequence[Mapping[str, Any]] = found["points"]
    said, name = window.words(), _name(slots.event)
    if points:
        yield chart(f"{name} per day, {said.removeprefix('in ')}", "events")
    total = f"{name}: {found['total']:,} {said}."
    step = next((word for word in slots.said if "coarse" in slots.classes and word in _STEPS), "")
    extreme = asked.intent.settings.get("extreme", False)
    low = bool(_LOW & set(slots.said))
    return (
        *((_extreme(points, low=low), total) if extreme else (total, *_busiest(points))),
        f"I count by day, not by {step.removesuffix('ly')}." if step else "",
        *_notes(slots.event),
        told_range(slots.window, context),
        _unsaid(slots),
    )


_STEPS: Final = {"hourly", "weekly", "monthly", "yearly", "quarterly", "hour", "week", "month", "year", "quarter"}
_LOW: Final = {"quietest", "slowest", "worst", "fewest", "least", "lowest"}


def _extreme(points: Sequence[Mapping[str, Any]], *, low: bool) -> str:
    if not points:
        return ""
    if low:  # half a day is no quiet day
        points = [item for item in points if not item.get("partial")] or points
    wanted = (min if low else max)(item["count"] for item in points)
    days = [_dated(item) for item in points if item["count"] == wanted]
    which = "quietest" if low else "busiest"
    if len(days) > 1:
        return f"The {which} days were {', '.join(days[:_FEW])}, with {wanted:,} each."
    return f"The {which} day was {days[0]} with {wanted:,}."


def _busiest(points: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    if len(points) <= 1 or not any(point["count"] for point in points):
        return ()
    parts = [day(point["day"]) for point in (points[0], points[-1]) if point.get("partial")]
    told = f"Of {' and '.join(parts)} only a part is counted." if parts else ""
    high = max(points, key=lambda point: point["count"])
    return (f"The busiest day was {_dated(high)} with {high['count']:,}.", told)


def _dated(point: Mapping[str, Any]) -> str:
    return day(point["day"]) + (" (only a part of it is counted)" if point.get("partial") else "")


def spans(asked: Understood, context: Context) -> Answer:
    """Compare how many events there were in two time spans; one that is over is compared with what is now."""
    slots = asked.slots
    windows = slots.windows
    if len(windows) == 1:
        now = _now_after(windows[0], dates.local_date(context.as_of, context.timezone))
        if now is None:
            return (yield from volume(asked, context))
        windows = (now, *windows)
    one, other = yield tuple(_wanted(slots.event, window, context) for window in windows)
    first, second = (window.words() for window in windows)
    difference = one["total"] - other["total"]
    verdict = "more than" if difference > 0 else "fewer than" if difference < 0 else "as many as"
    return (
        f"{_name(slots.event)}: {one['total']:,} {first} and {other['total']:,} {second}; {first} had {verdict} {second}.",
        *(told_range(window, context) for window in windows),
        *_notes(slots.event),
    )


def _now_after(window: Window, today: date) -> Window | None:
    """Return the period that follows one that is over: this week after last week."""
    over = window.name.startswith("last_")
    name = "today" if window.name == "yesterday" else f"this_{window.name.removeprefix('last_')}" if over else ""
    if not name:
        return None
    first, after = dates.period(name, today)
    return Window("period", text=name.replace("_", " "), name=name, first=first, after=after)


def top(asked: Understood, context: Context) -> Answer:
    """Rank the event types by how often they occurred, or the rarest first."""
    slots = asked.slots
    window, limit = slots.window or MONTH, slots.number or _LISTED
    least = "bottom" in slots.classes or "least" in slots.said
    found = yield Call("query_top_events", {**span(window, context), "limit": _MOST if least else limit})
    types: Sequence[Mapping[str, Any]] = found["event_types"]
    said = window.words()
    if not types:
        return (f"There were no events {said}.", told_range(slots.window, context))
    if not least:
        yield chart(f"Top events by volume, {said.removeprefix('in ')}", "event_types")
    ranked = list(reversed(types))[:limit] if least else types
    named = "; ".join(f"{item['event_type']} {item['count']:,}" for item in ranked)
    return (
        f"The {'least' if least else 'most'} frequent event types {said}{', the rarest first' if least else ''}: {named}.",
        "Types without any event in that time are not listed." if least else "",
        f"All events of that time together: {found['total']:,}.",
        told_range(slots.window, context),
        _unsaid(slots),
    )


def arrived(asked: Understood, context: Context) -> Answer:
    """Tell what came in: what was ingested since an instant, or which kinds there were in a time that is over."""
    window = asked.slots.window
    over = window is not None and not window.ends_now
    return (yield from (top if over else recent)(asked, context))


def recent(asked: Understood, context: Context) -> Answer:
    """Tell what was ingested lately; without a time span, the latest."""
    slots, window = asked.slots, asked.slots.window
    when = asked.slots.said[:1] == ("when",)
    number = 1 if when else slots.number
    since = {"since": rfc3339(window.span(context.as_of, context.timezone)[0])} if window else {}
    found = yield Call(_RECENT, {**since, "limit": number or _LATEST})
    said, total = window.words() if window else "lately", found["total"]
    if window and not number:
        yield card(f"Events ingested {said}", total, "events")
    if not total:
        return (f"No events were ingested {said}.", told_range(window, context))
    newest: Sequence[Mapping[str, Any]] = found.get("events") or ()
    if number or not window:
        shown = newest[: number or _LISTED]
        head = "The latest event" if len(shown) == 1 else f"The {len(shown):,} latest events"
        head = f"{head}{f' {said}' if window else ''}, of {total:,} that are kept at hand:"
        zone = f"Times are those of {context.timezone}."
        return (listed(head, [_event(item, context) for item in shown]), zone, told_range(window, context))
    types: Sequence[Mapping[str, Any]] = found.get("by_type") or ()
    more = f"; and {len(types) - _SHOWN} more types" if len(types) > _SHOWN else ""
    by_type = "; ".join(f"{item['event_type']} {item['count']:,}" for item in types[:_SHOWN])
    last = f"The newest is {newest[0]['event_type']} of {moment(newest[0]['occurred_at'], context)} ({context.timezone})." if newest else ""  # fmt: skip
    return (
        f"{counted(total, 'event')} {'was' if total == 1 else 'were'} ingested {said}.",
        f"By type: {by_type}{more}." if by_type else "",
        last,
        told_range(window, context),
    )


def _event(item: Mapping[str, Any], context: Context) -> str:
    return f"{item['event_type']} of user {item['user_id']} on {moment(item['occurred_at'], context)}"


def latest(asked: Understood, context: Context) -> Answer:
    """Tell the latest events of one type, else when it was seen last."""
    slots = asked.slots
    name = slots.event.event_type if slots.event else ""
    found = yield Call(_RECENT, {"limit": _MOST})
    events: Sequence[Mapping[str, Any]] = found["events"]
    of_type = [item for item in events if item["event_type"] == name]
    if of_type:
        shown = of_type[: slots.number or _FEW]
        few = (
            f"Of the {len(events):,} latest events these are all."
            if slots.number and len(of_type) < slots.number
            else ""
        )
        lines = [_event(item, context) for item in shown]
        return (listed(f"The latest {name} events:", lines), few, f"Times are those of {context.timezone}.", *_notes(slots.event))  # fmt: skip
    schema = yield Call("get_event_schema", {"event_type": name})
    seen = schema.get("last_seen")
    when = f"The last {name} was seen on {moment(seen, context)} ({context.timezone})." if seen else ""
    among = f"It is not among the {len(events):,} latest events."
    return (when or f"There are no {name} events yet.", among, *_notes(slots.event))


# Values


def values(asked: Understood, context: Context) -> Answer:
    """Tell the values of a property or trait, the most frequent first."""
    owned = asked.slots.field
    return (yield from _values(owned, asked, context)) if owned else ("I cannot tell which property is meant.",)


def origin(asked: Understood, context: Context) -> Answer:
    """Tell where visits come from, or where people live."""
    visits = bool({"traffic", "visits", "visitors", "visitor", "find"} & set(asked.slots.said))
    owned = origin_in(context.names, visits=visits)
    if owned is None:
        return ("Nothing here says where people or visits come from.",)
    return (yield from _values(owned, asked, context))


def _values(owned: Owned, asked: Understood, context: Context) -> Answer:
    slots, window = asked.slots, asked.slots.window
    least = "bottom" in slots.classes
    how_many = "how" in slots.said and "many" in slots.said and "by" not in slots.classes
    of = {"event_type": owned.event_type} if owned.event_type else {}
    limit = {"limit": _MOST} if least else {"limit": slots.number} if slots.number else {}
    when = span(window, context) if window and owned.event_type else {}
    found = yield Call("list_property_values", {"property": owned.path, **of, **limit, **when})
    where = f"`{owned.event_type}.{owned.path}`" if owned.event_type else f"the trait `{owned.path}`"
    ranked: list[Mapping[str, Any]] = list(found["values"])
    number, cut = found["total_distinct"], found.get("truncated")
    if not ranked:
        return (f"{where[:1].upper()}{where[1:]} has no values.", owned.note, told_range(window, context))
    if how_many:
        few = "; ".join(str(item["value"]) for item in ranked[:_LISTED])
        such = ", such as" if number > _LISTED else ":"
        return (f"{where[:1].upper()}{where[1:]} has {counted(number, 'different value')}{such} {few}.", owned.note)
    if least and not cut:
        ranked.reverse()
    shown = ranked[: slots.number or _VALUES]
    noun = "events" if owned.event_type else "users"
    head = f"The values of {where} by number of {noun}{f' {window.words()}' if when and window else ''}"
    named = "; ".join(f"{item['value']} ({item['count']:,})" for item in shown)
    current = "A trait has only its current value, so the time span changes nothing." if window and not when else ""
    return (
        f"{head}{', the rarest first' if least and not cut else ''}: {named}.",
        f"It has {number:,} values in all." if cut or len(shown) < len(ranked) else "",
        owned.note,
        current or told_range(window, context),
    )
