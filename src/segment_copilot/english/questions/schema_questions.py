"""Questions about what is recorded: event types, their properties, traits."""

from __future__ import annotations

from datetime import date

from segment_copilot.english.answers import catalog_answers, event_answers
from segment_copilot.english.plan import Plan, declined
from segment_copilot.english.questions.asking import EVENTS, PROPERTIES, SCHEMAS, Question
from segment_copilot.english.questions.fields import Owned, property_in
from segment_copilot.english.questions.named_events import named_event
from segment_copilot.english.questions.question_words import BOTTOM, HELD, INGESTED, LATEST, MEANS, TOP
from segment_copilot.english.questions.segment_questions import RULES
from segment_copilot.english.words.lexer import written
from segment_copilot.english.words.lexicon import PEOPLE, stems


def read_schema(question: Question, today: date) -> Plan | None:
    """What is recorded with an event, and about people."""
    asks = question.has(PROPERTIES) or question.has(SCHEMAS)
    tracked = question.says("do we track", "do you track", "is tracked", "do we know", "do we store", "do we collect", "do you know", "do we record", "do we have on", "get tracked", "are tracked", "we tracking", "do you collect", "do you have on", "have data on", "have data about", "have any data on", "an event for", "events for", "an event type for", "any event for", "have events for", "data do we have", "data do you have", "data is there", "information do we have", "information do you have")  # fmt: skip
    means = (question.first in {"what", "describe", "explain", "how"} and question.has(MEANS)) or question.says(
        "tell me about", "tell me more about"
    )
    which = (
        question.first in {"what", "which"}
        and "event" in question.lowers
        and not question.has(BOTTOM)
        and not question.has(TOP)
    )
    is_it = which or (
        question.first == "what"
        and (
            question.says("what is a", "what is an")
            or (question.says("what is", "what are") and any(token.kind == "name" for token in question.rest))
        )
    )
    inside = (
        question.focus == "events"
        and (
            bool(question.words & stems("contain include hold look carry"))
            or question.says("what is in", "what is inside")
        )
        and not question.windows
    )
    if not (asks or tracked or means or is_it or inside) or question.how_many or question.windows:
        return None
    traits = bool(question.words & stems("trait attribute profile")) or (question.people and (asks or tracked))
    spent = (
        PROPERTIES
        | SCHEMAS
        | EVENTS
        | HELD
        | MEANS
        | RULES
        | stems(
            "track tracked tracking collect store record do exist kind data information info event sort which register"
        )
    )
    if traits and not question.left(spent, PEOPLE):
        return catalog_answers.Traits()
    named = named_event(question, today, spent)
    if named.link is not None and not named.link.tests:
        return event_answers.Schema(named.link.event_type, named.link.note)
    if question.has(PROPERTIES) and isinstance(owned := property_in(question, spent), Owned) and owned.event_type:
        return event_answers.Schema(owned.event_type, owned.note)
    if question.focus in {"schemas", "events"} and not question.left(spent):
        return event_answers.Schemas()
    if question.has(SCHEMAS) and not question.left(spent):
        return event_answers.Schemas()
    if tracked and not question.left(spent):
        return event_answers.Schemas()
    if (
        tracked
        and question.left(spent)
        and question.focus in {"events", ""}
        and not question.people
        and named.link is None
    ):
        return declined(event_answers.no_event(written(question.left(spent)), question.index))
    return None


def read_event_types(question: Question, today: date) -> Plan | None:
    """Of "What events do you track", "list my event types"."""
    del today
    kinds = {"type", "typ", "kind"} & question.words
    listing = question.words & stems("track collect have exist available know list name all") or question.first in {
        "show",
        "list",
        "which",
    }
    if question.focus != "events" or question.windows or not (kinds or listing) or question.words & (LATEST | INGESTED):
        return None
    spent = EVENTS | stems(
        "type kind track collect have exist available know list name all registered defined sort come in record send different"
    )
    return (
        None
        if question.left(spent) or question.has(TOP - stems("often")) or question.has(BOTTOM) or question.daily
        else event_answers.Schemas(counted=question.how_many)
    )
