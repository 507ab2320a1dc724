"""Finds which event type, property or trait the words of a question name, by the reader of audiences: every word must be explained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from msgspec import UNSET, Struct, structs

from segment_copilot.english.linking.field_names import fields
from segment_copilot.english.linking.fields import Place
from segment_copilot.english.linking.names import Names
from segment_copilot.english.questions.question import Question
from segment_copilot.english.reading.anchors import Anchors, find
from segment_copilot.english.reading.audience import understand
from segment_copilot.english.reading.chart import TooLong
from segment_copilot.english.words.lexer import Token, word
from segment_copilot.english.words.lexicon import NOISE, PEOPLE, stems
from segment_copilot.english.words.stems import is_past
from segment_copilot.language import EventCount
from segment_copilot.language.nodes import PropertyTest, WhereGroup

_MOST: Final = 9
"""Words that name one thing: what says more is no question about it."""
_LEAST: Final = 0.4
"""How likely a reading must be."""
_HALF: Final = 0.5  # of a field's name: less says too little
_SELLING: Final = stems("sell sold selling seller sellers")
_PLACES: Final = stems("page screen site url")
_VIEWS: Final = stems("view visit load hit open")
_PATHS: Final = frozenset({"path", "url", "page", "screen", "pathname", "location"})
_TELLING: Final = stems("reason")
"""Words that carry nothing, unless a field is named so."""
_DENIED: Final = {"not", "never", "without", "nor", "neither", "nobody", "none", "no"}
_ASKED_OF: Final = {"do", "we", "i", "our", "us", "me", "my", "there", "have"}


class Happened(Struct, frozen=True):
    """Events of a type that pass some tests; *note* is a sentence on how words were taken."""

    event_type: str
    tests: tuple[PropertyTest, ...] = ()
    note: str = ""


class Owned(Struct, frozen=True):
    """A property of an event type, or a trait (*event_type* ""). *note* says what else it could be."""

    path: str
    event_type: str
    note: str = ""


class Unfit(Struct, frozen=True):
    """A name that is there but does not go with the rest; *sentence* says so."""

    sentence: str


class _Found(Struct, frozen=True):
    """A field that words name: how much of its name they say, and the words that are left."""

    place: Place
    score: float
    left: tuple[Token, ...]


def is_noun(question: Question) -> bool:
    """Return whether a message speaks of things ("orders last week") and not of people and what they did."""
    words = [question.tokens[at] for at in question.free if question.tokens[at].stem not in NOISE - _TELLING]
    if (
        not words
        or question.lowers[0] in _DENIED
        or {"who", "that"} & {*question.lowers}
        or question.tokens[0].kind in {"number", "money", "sign"}
    ):
        return False
    if is_past(words[0].lower) or any(one.stem in PEOPLE for one in words):
        return False
    return any(one.lower.endswith("s") and one.stem != one.lower and not one.lower.endswith("ss") for one in words)


# Event types


def event_in(question: Question, spent: frozenset[int], left: tuple[int, ...]) -> Happened | None:
    """Return the events that the words left over name; None when they name none or say more."""
    if len(left) > _MOST:
        return None
    return happened(
        [
            token
            for at, token in enumerate(question.tokens)
            if at not in question.taken
            and (at in question.compared or (at not in spent and (at in left or token.kind != "word" or _joins(token))))
        ],
        question,
    )


def _joins(token: Token) -> bool:
    return token.stem in NOISE and token.lower not in _ASKED_OF


def happened(tokens: Sequence[Token], question: Question) -> Happened | None:
    """Return the events that words name, as an audience of who did it once would."""
    said = " ".join(f'"{one.text}"' if one.kind == "quoted" else one.text for one in map(_sold, tokens)).strip(
        " ,;:.!?"
    )
    if said not in question.known:
        question.known[said] = _read(said, question) if any(one.stem not in NOISE for one in tokens) else None
    return question.known[said]


def _read(text: str, question: Question) -> Happened | None:
    names = question.names
    try:
        understood = understand(text, names.catalog, question.context.as_of, question.context.timezone)
    except TooLong:
        return None
    for one in understood.candidates:
        node = one.definition.conditions[0]
        if one.left or one.probability < _LEAST or len(one.definition.conditions) > 1 or one.definition.exclude:
            continue
        if not isinstance(node, EventCount) or not isinstance(node.event_type, str):
            continue
        if structs.replace(node, where=UNSET) == EventCount(node.event_type):
            where = () if node.where is UNSET else node.where
            if _is_named(node.event_type, understood.found) and not isinstance(where, WhereGroup):
                notes = dict.fromkeys(note for _, note in (*understood.found.sentence.notes, *one.reading.notes))
                return Happened(node.event_type, tuple(where), " ".join(notes))
    return None


def _is_named(event: str, found: Anchors) -> bool:
    """Return whether a word is of an event type's name or description: "category" alone is a property of it."""
    return any(found.names.events[number].name == event for rows in found.evidence for number, _, _ in rows)


def other_value(question: Question, left: tuple[int, ...], before: Happened) -> Happened | None:
    """Return *before* with the value that the words left over name in the place of one it tests: "and /sale?" after "/pricing"."""
    text = " ".join(question.tokens[at].text for at in left)
    found = find(text, question.names, question.context.as_of, question.context.timezone)
    named = [value for one in found.values if one.end - one.start == len(found.tokens) for value in one.values]
    for at, test in enumerate(before.tests):
        for value in named:
            if (value.place.event, value.place.path) == (before.event_type, test.property):
                changed = structs.replace(test, value=value.value)
                return structs.replace(before, tests=(*before.tests[:at], changed, *before.tests[at + 1 :]))
    return None


def _sold(token: Token) -> Token:
    """Who asks what sells asks what is bought."""
    return word("purchase") if token.stem in _SELLING else token


# Properties and traits


def field_in(question: Question, spent: frozenset[int], left: tuple[int, ...], event: str) -> Owned | Unfit | None:
    """Return the one field that the words name, with the event type they name, else *event*'s; None for no field."""
    names = question.names
    words = tuple(
        token
        for at, token in enumerate(question.tokens)
        if (at in left and token.kind in {"word", "name", "quoted"})
        or (at in question.free and at not in spent and token.stem in _TELLING and token.stem in names.field_words)
    )
    if len(left) > _MOST:
        return None
    key = ("fields", *words)
    if key not in question.known:
        question.known[key] = _named(words, names) or list(_pages(words, names))
    found: list[_Found] = question.known[key]
    whole = [one for one in found if not _content(one.left)]
    if whole:
        return _best([one for one in whole if event and one.place.event == event] or whole)
    whole_event = _event(words, question)  # "products viewed" names a property and its event
    linked = [(one, name) for one in found for name in [_event(_content(one.left), question)] if name]
    fitting = [one for one, name in linked if one.place.event and one.place.event in {name, whole_event}]
    if fitting:
        best = max(fitting, key=lambda one: one.score).place
        return Owned(best.path, best.event)
    wholly = [(one, name) for one, name in linked if one.score == 1]
    if wholly:
        one, name = wholly[0]
        has = ", ".join(f"`{path}`" for path in names.catalog.event_types[name].properties) or "none"
        return Unfit(f"`{name}` does not have the property `{one.place.path}`; its properties: {has}.")
    return None


def origin_in(names: Names, *, visits: bool) -> Owned | None:
    """Return the field that says where visits come from, or where people live."""
    for name in _SOURCES if visits else _HOMES:
        for place in names.places:
            if place.path.lower() == name or place.words == (name,):
                return Owned(place.path, place.event)
    homes = () if visits else (place for place in names.places if not place.event)
    return next((Owned(one.path, "") for one in homes if _LIVING & names.told_of("", one.path)), None)


_SOURCES: Final = ("utm_source", "source", "referrer", "utm_medium", "channel")
_HOMES: Final = ("country", "region", "city", "location")
_LIVING: Final = stems("residence country city live")


def _event(words: Sequence[Token], question: Question) -> str:
    """Return the event type that words name, and nothing besides."""
    found = happened(words, question)
    return found.event_type if found is not None and not found.tests else ""


def _content(words: Sequence[Token]) -> list[Token]:
    return [one for one in words if one.stem not in NOISE | PEOPLE]


def _named(words: tuple[Token, ...], names: Names) -> list[_Found]:
    """Return the fields that some of the words name: a trait before properties, then those of the most frequent event types."""
    order = {key: at for at, key in enumerate(names.by_path)}
    found = [
        _Found(place, share, (*words[:start], *words[end:]))
        for start, end, place, share in fields(words, names)
        if share >= _HALF
    ]
    return sorted(found, key=lambda one: order[one.place.event, one.place.path])


def _pages(words: tuple[Token, ...], names: Names) -> Iterator[_Found]:
    """Of "which pages": the path that a page is known by."""
    for at, token in enumerate(words):
        viewed = at + 1 < len(words) and words[at + 1].stem in _VIEWS
        if token.stem in _PLACES and not viewed:
            for place in names.places:
                if {*place.words} & _PATHS:
                    yield _Found(place, 1.0, (*words[:at], *words[at + 1 :]))


def _best(found: Sequence[_Found]) -> Owned:
    """Return the field named best, with the others of its name."""
    top = max(one.score for one in found)
    alike = [one for one in found if one.score >= top - 0.01]
    best = Owned(alike[0].place.path, alike[0].place.event)
    owners = dict.fromkeys(one.place.event for one in alike if one.place.path == best.path)
    others = [f"`{name}`" if name else "the traits" for name in owners if name != best.event_type]
    return structs.replace(best, note=f"`{best.path}` is also in {', '.join(others)}." if others else "")
