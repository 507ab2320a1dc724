"""Finds which event type, property or trait the words of a question name: every word must be explained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from msgspec import Struct, structs

from segment_copilot.english.linking.glosses import head
from segment_copilot.english.linking.index import Field, Index, Known, stems_of
from segment_copilot.english.linking.linker import Link, chosen, link_event
from segment_copilot.english.linking.values import Item, Test, mention, value_at
from segment_copilot.english.questions.question import Question
from segment_copilot.english.times.phrases import Quantity, quantity
from segment_copilot.english.words.lexer import Token, word, written
from segment_copilot.english.words.lexicon import NOISE, PEOPLE, concept, stems
from segment_copilot.english.words.stems import irregular_past

_AMOUNTS: Final = ("total", "amount", "value", "revenue", "price", "sum", "cost", "paid")
_MOST: Final = 9
"""Words that name one thing: what says more is no question about it."""
_SELLING: Final = stems("sell sold selling seller sellers")
_PLACES: Final = stems("page screen site url")
_VIEWS: Final = stems("view visit load hit open")
_PATHS: Final = frozenset({"path", "url", "page", "screen", "pathname", "location"})
_TELLING: Final = stems("reason")
"""Words that carry nothing, unless a field is named so."""
_DENIED: Final = {"not", "never", "without", "nor", "neither", "nobody", "none", "no"}
_ASKED_OF: Final = {"do", "we", "i", "our", "us", "me", "my", "there", "have"}


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

    field: Field
    event_type: str
    score: float
    left: tuple[Token, ...]


def is_noun(question: Question) -> bool:
    """Return whether a message speaks of things ("orders last week") and not of people and what they did."""
    words = [question.tokens[at] for at in question.free if question.tokens[at].stem not in NOISE - _TELLING]
    if not words or question.lowers[0] in _DENIED | {"who"} or question.tokens[0].kind in {"number", "money", "sign"}:
        return False
    if words[0].lower.endswith("ed") or irregular_past(words[0].lower) or any(one.stem in PEOPLE for one in words):
        return False
    return any(one.lower.endswith("s") and one.stem != one.lower and not one.lower.endswith("ss") for one in words)


# Event types


def event_in(question: Question, spent: frozenset[int], left: tuple[int, ...]) -> Link | Unfit | None:
    """Return the event type that the words left over name, with its filters; None when they name none or say more."""
    items = tuple(_items(question, spent, frozenset(left)))
    if items not in question.known:
        question.known[items] = _linked(items, question.index) if len(left) <= _MOST else None
    return question.known[items]


def _linked(items: Sequence[Item], index: Index) -> Link | Unfit | None:
    if not any(isinstance(item, Token) and item.stem not in NOISE for item in items):
        return None
    links = link_event(items, index)
    if not links or links[0].known is None:
        return None
    link = chosen(links, written([item for item in items if isinstance(item, Token)]))
    if link.unknown_values:
        told = (
            f"`{one.field.path}` does not have the value “{one.text}”: {one.instead}." for one in link.unknown_values
        )
        return Unfit(" ".join(told))
    if link.unexplained:
        return None
    counts = any(
        isinstance(one, Quantity) and isinstance(two, Token) and two.stem not in NOISE for one, two in pairwise(items)
    )
    return (None if counts else _with_amount(link)) if link.quantities else link


def other_value(question: Question, left: tuple[int, ...], link: Link) -> Link | None:
    """Return *link* with the value that the words left over name in the place of one it tests: "and /sale?" after "/pricing"."""
    words = tuple(question.tokens[at] for at in left)
    for place, test in enumerate(link.tests):
        found = value_at(words, 0, test.field, set()) if words else None
        if found is not None and found[1] == len(words):
            changed = structs.replace(test, value=found[0])
            return structs.replace(link, tests=(*link.tests[:place], changed, *link.tests[place + 1 :]))
    return None


def _items(question: Question, spent: frozenset[int], left: frozenset[int]) -> Iterator[Item]:
    """Yield the words left over and those that join them; a comparison of several words is one item."""
    kept = tuple(
        _sold(token)
        for at, token in enumerate(question.tokens)
        if at not in question.taken
        and (at in question.compared or (at not in spent and (at in left or token.kind != "word" or _joins(token))))
    )
    at = 0
    while at < len(kept):
        read = quantity(kept, at)
        yield read[0] if read else kept[at]
        at = read[1] if read else at + 1


def _joins(token: Token) -> bool:
    return token.stem in NOISE and token.lower not in _ASKED_OF


def _sold(token: Token) -> Token:
    """Who asks what sells asks what is bought."""
    return word("purchase") if token.stem in _SELLING else token


def _with_amount(link: Link) -> Link | None:
    """Of "orders over 200": the number bounds the amount of each."""
    amount = link.quantities[0]
    field = _amount(link.known) if link.known and len(link.quantities) == 1 else None
    if field is None or amount.times or amount.none or (amount.bare and not amount.currency):
        return None
    note = f"the amount is `{field.path}`, as stored" + ("; no currency is converted" if amount.currency else "")
    return structs.replace(link, tests=(*link.tests, _test(field, amount, note)), quantities=())


def _test(field: Field, amount: Quantity, note: str) -> Test:
    return Test(field, "eq" if amount.bare else amount.operator, amount.value, frozenset(), amount.value2, note)


def _amount(known: Known) -> Field | None:
    """Return the numeric property that holds an event's amount."""
    ranked = [
        (min(_AMOUNTS.index(part) for part in field.words if part in _AMOUNTS), field)
        for field in known.fields
        if field.numeric and set(field.words) & set(_AMOUNTS)
    ]
    return min(ranked, key=lambda one: one[0])[1] if ranked else None


# Properties and traits


def field_in(question: Question, spent: frozenset[int], left: tuple[int, ...], event: str) -> Owned | Unfit | None:
    """Return the one field that the words name, with the event type they name, else *event*'s; None for no field."""
    index = question.index
    names = {word for field, _ in _all(index) for word in field.words}
    words = tuple(
        _sold(token) if token.stem not in _TELLING else word(token.stem)
        for at, token in enumerate(question.tokens)
        if (at in left and token.kind in {"word", "name", "quoted"})
        or (at in question.free and at not in spent and token.stem in _TELLING & names)
    )
    if len(left) > _MOST:
        return None
    if ("fields", *words) not in question.known:
        question.known["fields", *words] = list(_named(words, index)) or list(_pages(words, index))
    found: list[_Found] = question.known["fields", *words]
    whole = [one for one in found if not _content(one.left)]
    of_event = [one for one in whole if one.event_type == event] if event else []
    if whole:
        return _best(of_event or whole)
    linked = [(one, name) for one in found for name in [_event(one.left, index)] if name]
    whole_event = _event(words, index)  # "products viewed" names a property and its event
    fitting = [one for one, name in linked if one.event_type and one.event_type in {name, whole_event}]
    if fitting:
        best = max(fitting, key=lambda one: one.score)
        return Owned(best.field.path, best.event_type)
    told = [(extra, one) for one in found for extra in [_beyond(one, index)] if extra is not None]
    if told:
        best = min(told, key=lambda pair: pair[0])[1]
        return Owned(best.field.path, best.event_type)
    if linked:
        one, name = max(linked, key=lambda pair: pair[0].score)
        known = index.event(name)
        has = ", ".join(f"`{field.path}`" for field in known.fields) if known and known.fields else "none"
        return Unfit(f"`{name}` does not have the property `{one.field.path}`; its properties: {has}.")
    return None


def origin_in(index: Index, *, visits: bool) -> Owned | None:
    """Return the field that says where visits come from, or where people live."""
    wanted = _SOURCES if visits else _HOMES
    for name in wanted:
        for field, event_type in _all(index):
            if field.path.lower() == name or field.words == (name,):
                return Owned(field.path, event_type)
    if visits:
        return None
    homes = (field for field in index.traits if stems("residence country city live") & set(stems_of(field.known.description)))  # fmt: skip
    return next((Owned(field.path, "") for field in homes), None)


_SOURCES: Final = ("utm_source", "source", "referrer", "utm_medium", "channel")
_HOMES: Final = ("country", "region", "city", "location")


def _all(index: Index) -> Iterator[tuple[Field, str]]:
    """Yield every field with its owner, also by its own name where the index has it by its description."""
    owned = [(field, "") for field in index.traits]
    owned += [(field, known.name) for known in index.events for field in known.fields]
    for field, event_type in owned:
        yield field, event_type
        own = tuple(concept(part) for part in stems_of(field.path))
        for words in dict.fromkeys((own, head(field.known))):
            if words and words != field.words:
                yield structs.replace(field, words=words), event_type


def _beyond(found: _Found, index: Index) -> int | None:
    """Return how many words the event type's description has beyond those left over; None when it lacks some of these."""
    known = index.event(found.event_type) if found.event_type else None
    left = {concept(token.stem) for token in _content(found.left)}
    return len(known.described - left) if known and left and left <= known.described else None


def _content(words: Sequence[Token]) -> list[Token]:
    return [one for one in words if one.stem not in NOISE | PEOPLE]


def _event(words: Sequence[Token], index: Index) -> str:
    kept = _content(words)
    links = link_event(kept, index) if kept else ()
    if not links or links[0].known is None or links[0].unexplained or links[0].tests:
        return ""
    return links[0].event_type


def _named(words: tuple[Token, ...], index: Index) -> Iterator[_Found]:
    for field, event_type in _all(index):
        said = [(*mention(words, at, field, set()), at) for at in range(len(words))]
        length, coverage, at = max(said, key=lambda one: (one[1], one[0])) if said else (0, 0.0, 0)
        if length:
            yield _Found(field, event_type, coverage, (*words[:at], *words[at + length :]))


def _pages(words: tuple[Token, ...], index: Index) -> Iterator[_Found]:
    """Of "which pages": the path that a page is known by."""
    for at, token in enumerate(words):
        viewed = at + 1 < len(words) and words[at + 1].stem in _VIEWS
        if token.stem in _PLACES and not viewed:
            for field, event_type in _all(index):
                if set(field.words) & _PATHS:
                    yield _Found(field, event_type, 1.0, (*words[:at], *words[at + 1 :]))


def _best(found: Sequence[_Found]) -> Owned:
    """Return the field named best; a trait before properties, then those of the most frequent event types."""
    top = max(one.score for one in found)
    alike = [one for one in found if one.score >= top - 0.01]
    best = alike[0]
    owners = dict.fromkeys(one.event_type for one in alike if one.field.path == best.field.path)
    others = [f"`{name}`" if name else "the traits" for name in owners if name != best.event_type]
    return Owned(
        best.field.path, best.event_type, f"`{best.field.path}` is also in {', '.join(others)}." if others else ""
    )
