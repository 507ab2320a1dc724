"""Answers that list: which segments and connectors there are, and what is recorded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from rapidfuzz import fuzz, process

from segment_copilot.english.answers.words import TABLE, counted, listed, moment, sized, told_range
from segment_copilot.english.plan import Answer, Call, Context, Unmapped, say
from segment_copilot.english.questions.intents import Understood, words_of
from segment_copilot.english.questions.named import happened
from segment_copilot.english.questions.question import Question
from segment_copilot.english.words.lexer import read
from segment_copilot.english.words.stems import stem

_ALL: Final = 100
_LISTED: Final = 20
_DRAWN: Final = 50
_NAMED: Final = 10
_FEW: Final = 5
_TRAITS: Final = 40
_HEADS: Final = {
    "largest": "The largest segments",
    "smallest": "The smallest computed segments",
    "newest": "The newest segments",
    "oldest": "The oldest segments",
}
_KEPT: Final[Mapping[str, tuple[str, Callable[[Mapping[str, Any]], bool]]]] = {
    "empty": ("that had no members when they were computed", lambda item: item["member_count"] == 0),
    "uncomputed": ("that were not computed yet", lambda item: item["last_computed_at"] is None),
    "computed": ("that were computed", lambda item: item["last_computed_at"] is not None),
    "failed": ("whose last computation failed", lambda item: item["status"] == "failed"),
    "static": ("that are static", lambda item: item["segment_type"] == "static"),
    "dynamic": ("of the tier dynamic", lambda item: item["tier"] == "dynamic"),
    "dynamic_plus": ("of the tier dynamic plus", lambda item: item["tier"] == "dynamic_plus"),
}


def segments(asked: Understood, context: Context) -> Answer:
    """List the segments: all by an order, or those of a kind."""
    slots, order, kept = asked.slots, asked.intent.settings["order"], asked.intent.settings.get("kept", "")
    chosen_here = kept or order in {"smallest", "oldest"}
    limit = _ALL if chosen_here else min(slots.number or _LISTED, _ALL)
    first = {"smallest": "largest", "oldest": "newest"}.get(order, order)
    found = yield Call("list_segments", {"order": first, "limit": limit})
    shown = _chosen(found["segments"], asked, context)
    kind = f" {_KEPT[kept][0]}{f' {slots.window.words()}' if slots.window else ''}" if kept else ""
    range_ = told_range(slots.window, context) if kept else ""
    if not shown:
        among = f" ({found['total']:,} in all)" if kept else ""
        return (f"There are no segments{kind}{among}." if kind else "There are no segments yet.", range_)
    yield _table(f"Segments {_KEPT[kept][0]}" if kept else _HEADS.get(order, "Segments").removeprefix("The "), shown)
    named = "; ".join(map(sized, shown[:_NAMED]))
    number = f"There {'is' if found['total'] == 1 else 'are'} {counted(found['total'], 'segment')}."
    cut = "Only the first of them were looked at." if kept and found.get("truncated") else ""
    undated = "I cannot see when a segment was made: these are the newest first." if "created" in slots.classes else ""
    uncomputed = any(item["member_count"] is None for item in shown)
    return (
        f"{counted(len(shown), 'segment')}{kind}: {named}."
        if kept
        else f"{_HEADS.get(order, 'The segments')}: {named}.",
        "" if kept else number,
        cut,
        undated,
        "Segments that were not computed have no count yet." if uncomputed else "",
        range_,
    )


def _chosen(found: Sequence[Mapping[str, Any]], asked: Understood, context: Context) -> list[Mapping[str, Any]]:
    slots, order, kept = asked.slots, asked.intent.settings["order"], asked.intent.settings.get("kept", "")
    if kept:
        start, end = slots.window.span(context.as_of, context.timezone) if slots.window else (None, None)
        fits = [item for item in found if _KEPT[kept][1](item)]
        if start is None or end is None:
            return fits
        return [item for item in fits if start <= datetime.fromisoformat(str(item["last_computed_at"])) <= end]
    if order == "oldest":
        return list(reversed(found))[: slots.number or _FEW]
    if order == "smallest":
        computed = [item for item in found if item["member_count"] is not None]
        return sorted(computed, key=lambda item: item["member_count"])[: slots.number or _FEW]
    return list(found)[:_DRAWN]


def _table(title: str, shown: Sequence[Mapping[str, Any]]) -> Call:
    return Call(TABLE, {"title": title[:120], "segment_ids": [item["id"] for item in shown[:_DRAWN]]})


def search(asked: Understood, context: Context) -> Answer:
    """Find the segments about something: by what they look at, else by their words."""
    question = Question(read(asked.slots.text), context)
    event = happened(question.tokens, question)
    thing = event.event_type if event and not event.tests else _field(asked.slots.text, context)
    about = asked.slots.text
    found = yield Call("search_segments", {"query": (thing or about)[:200], "limit": _LISTED})
    shown: Sequence[Mapping[str, Any]] = found.get("segments") or ()
    shown = [item for item in shown if thing in item["looks_at"]] or shown
    if not shown:
        return (f"There are no segments about “{about}”.",)
    yield _table(f"Segments about {about}", shown)
    return (f"About “{about}”: {'; '.join(map(sized, shown[:_NAMED]))}.",)


def _field(text: str, context: Context) -> str:
    said = {token.stem for token in read(text)}
    return next((place.path for place in context.names.places if said == {*place.words}), "")


def connectors(asked: Understood, context: Context) -> Answer:
    """List the connectors: those of a status first, of some kinds or of one segment alone."""
    slots = asked.slots
    status = next((name for name in ("failing", "paused", "active") if name in slots.classes), "")
    listing = yield Call("list_activations", {})
    every: Sequence[Mapping[str, Any]] = listing["activations"]
    if not every:
        return ("No connectors are set up.",)
    kinds = [word for word in slots.said if stem(word) in words_of("product").stems]
    about = [item for item in every if _is_about(item, kinds, asked)]
    if not about:
        wanted = slots.segments[0].name if slots.segments else " ".join(kinds)
        there = ", ".join(dict.fromkeys(str(item["connector_type"]) for item in every))
        return (f"Nothing is connected to {wanted}. The connectors that are set up: {there}.",)
    fitting = [item for item in about if _has(item, status)]
    others = [item for item in about if item not in fitting]
    head = f"{status.capitalize()} connectors:" if status else "Connectors:"
    return (
        listed(head, [_connector(item, context) for item in fitting]) or f"No connector is {status}.",
        listed("The others:", [_connector(item, context) for item in others]),
    )


def _is_about(item: Mapping[str, Any], kinds: Sequence[str], asked: Understood) -> bool:
    kind = str(item["connector_type"]).casefold()
    named = not kinds or any(word in kind or kind in word for word in kinds)
    return named and (not asked.slots.segments or item["segment_id"] == asked.slots.segments[0].id)


def _has(item: Mapping[str, Any], status: str) -> bool:
    if status == "failing":
        return bool(item.get("last_error")) or item["status"] in {"failed", "error"}
    return not status or item["status"] == status


def _connector(item: Mapping[str, Any], context: Context) -> str:
    at = item.get("last_synced_at")
    synced = f", last synced {moment(at, context)}" if at else ", not synced yet"
    last: Mapping[str, Any] = item.get("last_delivery") or {}
    sent = f" ({counted(last['users'], 'user')} sent)" if at and last.get("status") == "success" else ""
    error = f", last error: {item['last_error']}" if item.get("last_error") else ""
    return f"{item['connector_type']} for {item['segment_name']}: {item['status']}{synced}{sent}{error}"


# What is recorded


def schemas(asked: Understood, context: Context) -> Answer:
    """List every event type with its description."""
    del asked, context
    found = yield Call("list_event_schemas", {})
    items: Sequence[Mapping[str, Any]] = found["schemas"]
    if not items:
        return ("No event schemas are registered and no events were seen yet.",)
    more = found.get("total", len(items)) - len(items)
    kinds = {True: "with a registered schema", False: "only seen, without a schema"}
    told = [
        listed(f"{counted(len(lines), 'event type')} {kind}:", lines)
        for registered, kind in kinds.items()
        for lines in [[_schema_line(item) for item in items if bool(item.get("registered")) is registered]]
    ]
    none = "" if any(item.get("registered") for item in items) else "No event schema is registered."
    return (none, *told, f"{more:,} more are not listed here." if more > 0 else "")


def _schema_line(item: Mapping[str, Any]) -> str:
    count = item["property_count"]
    described = f": {item['description']}" if item.get("description") else ""
    return f"{item['event_type']}{described} ({count:,} propert{'y' if count == 1 else 'ies'})"


def schema(asked: Understood, context: Context) -> Answer:
    """Tell what is recorded with events of one type."""
    slots = asked.slots
    name = slots.event.event_type if slots.event else slots.field.event_type if slots.field else ""
    if not name:
        return (yield from traits(asked, context))
    found = yield Call("get_event_schema", {"event_type": name})
    head = f"{found['event_type']}{': ' + found['description'] if found.get('description') else ''}".rstrip(".")
    seen = f"It was last seen on {moment(found['last_seen'], context)}." if found.get("last_seen") else ""
    lines = [
        f"{item['path']} ({', '.join(item['types']) or 'unknown type'}){': ' + item['description'] if item.get('description') else ''}"
        for item in found["properties"]
    ]
    note = slots.event.note if slots.event else slots.field.note if slots.field else ""
    told = listed(f"{head}. Its properties:", lines) or f"{head}. It has no properties."
    return (told, seen, f"{note[:1].upper()}{note[1:].rstrip('.')}." if note else "")


def traits(asked: Understood, context: Context) -> Answer:
    """Name the traits that users have."""
    del asked
    known = tuple(context.catalog.traits.values())
    lines = [
        f"{trait.path} ({trait.declared or ', '.join(trait.types) or 'unknown type'}){': ' + trait.description if trait.description else ''}"
        for trait in known[:_TRAITS]
    ]
    told = listed("These traits are known about users:", lines)
    cut = "The list is cut here." if len(known) > _TRAITS else ""
    return say(told or "Nothing is known about users beside their events: there are no traits yet.", cut)


def no_event(asked: Understood, context: Context) -> Answer:
    """Say that there is no event type of that name, and which are nearest."""
    kinds = [*context.catalog.event_types]
    near = tuple(name for name, *_ in process.extract(asked.slots.text, kinds, scorer=fuzz.WRatio, limit=3))
    nearest = f" The nearest: {', '.join(f'`{name}`' for name in near)}." if near else ""
    reason = f"There is no event type for “{asked.slots.text}” here."
    return say(f"{reason}{nearest}", refuses=True, unmapped=[Unmapped(asked.slots.text, reason, near)])
