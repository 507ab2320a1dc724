"""Which question is asked, if it is not an audience: read from the nouns it is about and the words around them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date

from segment_copilot.catalog import SegmentName
from segment_copilot.copilot.models.offline import event_answers, segment_answers
from segment_copilot.copilot.models.offline.asking import (
    CONNECTORS,
    EVENTS,
    SCHEMAS,
    SEGMENT_WORDS,
    SEGMENTS,
    TREND,
    Question,
    sort_question,
)
from segment_copilot.copilot.models.offline.command import Command
from segment_copilot.copilot.models.offline.index import Index
from segment_copilot.copilot.models.offline.lexer import Token, written
from segment_copilot.copilot.models.offline.lexicon import NOISE, PEOPLE, stems
from segment_copilot.copilot.models.offline.linker import Link, link_event
from segment_copilot.copilot.models.offline.plan import Plan
from segment_copilot.copilot.models.offline.values import mention

_PROPERTIES = stems("property field attribute payload column parameter schema")
_RULES = stems("condition rule definition criterion criteria logic define defined explain describe qualify")
_WEAK_RULES = stems("mean consist made filter contain built work include")
_TOP = stems(
    "top popular common frequent frequently rank ranked ranking highest biggest busiest volume most largest leading"
)
_ARRIVED = stems(
    "ingest receive arrive come record track recent latest happen ingestion collect send newest came log last land fire"
)
_LARGEST = stems("largest biggest top most large big size huge highest populous greatest")
_SMALLEST = stems("smallest fewest least tiniest small lowest")
_NEWEST = stems("newest latest recent recently new")
_SIZE = stems("size big large count member membership many number population")
_VOLUME = stems("volume daily per number count many chart graph plot often trend time timeline development happen")
_VALUES = stems("value option possible exist distinct available different")


def read_question(tokens: Sequence[Token], command: Command, index: Index, today: date) -> Plan | None:
    """The plan for a question; None when it is an audience, or nothing known."""
    question = sort_question(tuple(tokens), index, today)
    if command.creates:
        return None
    if (members := _members(question)) is not None:
        return members
    if _tells(question):
        return None
    for reader in _READERS:
        plan = reader(question)
        if plan is not None:
            return plan
    return None


def _tells(question: Question) -> bool:
    """Whether it speaks of people and what they did, rather than asks: "users in Staff who made a purchase"."""
    thing = question.rest[1] if len(question.rest) > 1 else None
    if question.how_many or (
        question.tokens[0].lower in {"which", "what"} and thing and thing.stem not in PEOPLE | {"who"}
    ):
        return False
    nouns = _RULES | TREND | _SIZE | EVENTS | SEGMENTS | CONNECTORS | SCHEMAS | _PROPERTIES | _WEAK_RULES
    people = next(
        (at for at, token in enumerate(question.rest) if token.stem in PEOPLE and token.lower != "account"), None
    )
    asked = next((at for at, token in enumerate(question.rest) if token.stem in nouns), None)
    clause = {"who", "whose", "except", "excluding", "but", "never", "unless"} & {
        token.lower for token in question.rest[1:]
    }
    return bool(clause) or (people is not None and (asked is None or people < asked))


def _rules(question: Question) -> Plan | None:
    asks = question.tokens[0].lower in {"what", "how", "which"}
    if not (question.has(_RULES) or (asks and question.segment and question.has(_WEAK_RULES))) or (
        question.focus == "people" and question.segment is None
    ):
        return None
    named = question.segment or _unknown_segment(question, _RULES)
    return segment_answers.Conditions(_reference(named)) if named else None


def _membership_trend(question: Question) -> Plan | None:
    trend = question.has(TREND) or "over time" in written(question.tokens).lower()
    if not trend or (question.segment is None and not question.words & stems("membership member segment")):
        return None
    named = question.segment or _unknown_segment(question, TREND | stems("membership member"))
    return segment_answers.Trend(_reference(named), question.window) if named else None


def _size(question: Question) -> Plan | None:
    if not (question.how_many or question.has(_SIZE)) or question.focus in {"events", "connectors", "schemas"}:
        return None
    named = question.segment
    if named is None and question.focus == "people" and not question.words & SEGMENTS:
        return None
    if named is None:
        unknown = _unknown_segment(question, _SIZE)
        return (
            segment_answers.Size(_reference(unknown))
            if unknown and not question.words & (_LARGEST - stems("size big large"))
            else None
        )
    return None if _unexplained(question) else segment_answers.Size(named.id)


def _unexplained(question: Question) -> bool:
    """Whether words remain that make the question one about an audience: "in High LTV who ordered"."""
    spent = (
        _SIZE
        | SEGMENT_WORDS
        | NOISE
        | PEOPLE
        | stems("how is show tell what give current currently have contain there size belong right today moment")
    )
    return any(token.kind == "word" and token.stem not in spent for token in question.rest)


def _members(question: Question) -> Plan | None:
    if question.segment is None or question.has(_RULES) or question.how_many:
        return None
    first = question.tokens[0].lower
    asks = first in {"who", "which", "what"} or ("list" in question.lowers and question.words & stems("member user"))
    return (
        segment_answers.Members(question.segment.id)
        if asks and not _unexplained(question) and question.words & (PEOPLE | {"who"})
        else None
    )


def _connectors(question: Question) -> Plan | None:
    if question.focus != "connectors" and not (question.has(CONNECTORS) and question.focus != "people"):
        return None
    wanted = (
        "active"
        if question.words & stems("active enabled running live on") - {"on"}
        else "failing"
        if question.words & stems("fail error broken failing")
        else ""
    )
    return segment_answers.Connectors(wanted)


def _schema(question: Question) -> Plan | None:
    inside = question.focus == "events" and bool(question.words & stems("contain include hold look"))
    if not (question.has(_PROPERTIES) or inside) or question.focus in {"people", "segments"}:
        return None
    link = _event(
        question,
        _PROPERTIES
        | EVENTS
        | stems("contain include hold like")
        | stems("type list detail available have carry name registered"),
    )
    if link is not None and link.known is not None:
        return event_answers.Schema(link.known.name)
    if question.focus in {"schemas", "events"} or question.words & SCHEMAS:
        return event_answers.Schemas(0)
    return None


def _event_types(question: Question) -> Plan | None:
    """Of "What events do you track", "list my event types"."""
    kinds = {"type", "typ", "kind"} & question.words
    listing = question.words & stems("track collect have exist available know list name") and not question.window
    if (
        question.focus == "events"
        and (kinds or listing)
        and not question.has(_TOP)
        and not question.window
        and not question.words & stems("recent latest ingest receive")
    ):
        return event_answers.Schemas(0)
    return None


def _top(question: Question) -> Plan | None:
    if (
        question.focus != "events"
        or not question.has(_TOP)
        or {"most", "recent"} <= question.lowers
        or {"most", "latest"} <= question.lowers
        or ("volume" in question.lowers and not question.words & (_TOP - stems("volume")))
    ):
        return None
    return event_answers.Top(question.number or 10, question.window)


def _arrived(question: Question) -> Plan | None:
    happened = "what" in question.lowers and bool(question.words & stems("happen ingest track receive come arrive"))
    if question.focus != "events" and not happened:
        return None
    if (
        not (question.has(_ARRIVED) or question.lowers & {"today", "yesterday"} or happened or question.window)
        or question.segment
    ):
        return None
    if question.window and not question.window.ends_now:
        return event_answers.Top(question.number or 10, question.window)
    return event_answers.Recent(question.window, question.number)


def _ingested(question: Question) -> Plan | None:
    """What arrived, said so: before a volume, which a word such as "many" may also mean."""
    if question.words & stems("ingest receive arrive ingestion") or not question.has(_VOLUME):
        return _arrived(question)
    return None


def _volume(question: Question) -> Plan | None:
    if question.focus == "people" or not (question.how_many or question.has(_VOLUME)) or question.segment:
        return None
    link = _event(
        question,
        _VOLUME
        | EVENTS
        | TREND
        | stems("make place perform have do there day week month hour line bar during receive get total"),
    )
    if link is not None and link.event_type != "*" and link.known is not None and not link.unexplained:
        return event_answers.Volume(link.known.name, question.window)
    return event_answers.Volume(None, question.window) if question.focus == "events" else None


def _segments(question: Question) -> Plan | None:
    if question.focus != "segments" or question.segment is not None:
        return None
    if question.words & _SMALLEST:
        return segment_answers.Segments("smallest", question.number)
    if question.words & _LARGEST or "size" in question.lowers:
        return segment_answers.Segments("largest", question.number)
    if question.words & _NEWEST:
        return segment_answers.Segments("newest", question.number)
    about = _about(question)
    return segment_answers.Segments("name", question.number, about=about, counted=question.how_many)


def _values(question: Question) -> Plan | None:
    """Of "Which plans are there", "values of utm_source"."""
    named = bool(question.lowers & {"values", "options"}) and bool(question.lowers & {"of", "for", "does"})
    asks = question.tokens[0].lower in {"which", "what"} and bool(
        question.words & stems("there have exist possible available")
    )
    where = (
        question.tokens[0].lower in {"which", "what"}
        and question.rest[2:3]
        and question.rest[2].lower in {"are", "is", "do"}
    )
    if question.focus == "segments" or not (named or asks or where) or (question.focus == "people" and not where):
        return None
    items = tuple(token for token in question.rest if token.stem not in _VALUES)
    fields = [(field, None) for field in question.index.traits] + [
        (field, known.name) for known in question.index.events for field in known.fields
    ]
    for at in range(len(items)):
        found = [
            (length, coverage, path)
            for path in fields
            for length, coverage in [mention(items, at, path[0], set())]
            if length
        ]
        if found:
            field, event_type = max(found, key=lambda pair: (pair[1], pair[0]))[2]
            return event_answers.Values(field.path, event_type)
    return None


def _event(question: Question, spent: frozenset[str]) -> Link | None:
    """The event type that the rest of the question names."""
    asking = stems(
        "what which show list give tell how many much often number count see display chart can you i want need get find plot draw graph look"
    )
    words = [
        token
        for token in question.rest
        if token.kind == "name"
        or (
            token.kind == "word"
            and token.stem not in NOISE | asking
            and (token.stem not in spent or token.stem in stems("search"))
        )
    ]
    if not words:
        return None
    links = link_event(words, question.index)
    return links[0] if links and not links[0].unexplained else None


def _unknown_segment(question: Question, spent: frozenset[str]) -> str:
    """The words where a segment's name should be, for the tool to suggest the nearest."""
    words: list[str] = []
    after = False
    for token in question.rest:
        if token.kind == "quoted":
            return token.text
        if token.lower in {"for", "of", "in", "behind", "does", "is", "has"}:
            after, words = True, []
        elif (
            after
            and token.kind in {"word", "name"}
            and token.stem
            not in spent | SEGMENT_WORDS | {"the", "my", "our", "there", "mean", "have", "has", "contain", "had"}
            and not (token.stem in NOISE and not words)
        ):
            words.append(token.text)
    number = next((str(int(token.value)) for token in question.rest if token.kind == "number"), "")
    return " ".join(words) or (number if question.words & SEGMENTS else "")


def _reference(named: SegmentName | str) -> int | str:
    return named.id if isinstance(named, SegmentName) else int(named) if named.isdecimal() else named


def _about(question: Question) -> str:
    """What listed segments should be about: "segments named churn"."""
    for at, token in enumerate(question.rest):
        if token.lower in {"named", "called", "containing", "about", "matching", "like", "mentioning"}:
            return written([item for item in question.rest[at + 1 :] if item.stem not in NOISE])
    return ""


_READERS: tuple[Callable[[Question], Plan | None], ...] = (
    _rules, _membership_trend, _size, _connectors, _schema, _event_types, _top, _ingested, _volume, _arrived,
    _segments, _values,
)  # fmt: skip
