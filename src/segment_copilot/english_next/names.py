"""A tenant's catalog as words: which words name which event type, which field, which of its values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from typing import Final

from msgspec import Struct

from segment_copilot.english.linking.index import Field, Index, Known, stems_of
from segment_copilot.english.words import lexicon as grammar
from segment_copilot.english.words.countries import ALIASES
from segment_copilot.english.words.lexer import Token
from segment_copilot.english.words.stems import stem
from segment_copilot.english_next import lexicon
from segment_copilot.language.catalog import Catalog, Scalar

_MONEY: Final = ("total", "amount", "value", "revenue", "price", "sum", "spend", "cost", "paid", "subtotal")
_FIELD_WORDS: Final = {
    "level": "tier", "package": "plan", "label": "tag", "tagged": "tag", "medium": "channel", "priced": "price",
    "pric": "price", "keyword": "query", "term": "query", "url": "path", "aged": "age", "old": "age", "ag": "age",
    "voucher": "coupon", "agree": "optin", "accept": "optin", "consent": "optin", "allow": "optin", "permit": "optin",
    "opt": "optin", "subscrib": "optin", "acquir": "acquisition", "stag": "lifecycle", "cod": "code", "older": "age",
    "younger": "age", "sex": "gender", "subscribe": "optin", "aging": "age",
}  # fmt: skip


@cache
def _concepts() -> Mapping[str, str]:
    lines = (line.split() for line in lexicon.lines("concepts.txt"))
    return {stem(word): grammar.concept(stem(line[0])) for line in lines for word in line}


@cache
def concept(key: str) -> str:
    """Return the concept of a stem; the stem itself where it has none."""
    known = grammar.concept(key)
    return _concepts().get(key) or _concepts().get(stem(known)) or known


class Place(Struct, frozen=True):
    """A field and whose it is: a property of an event type, or (no event) a trait."""

    event: str
    field: Field

    @property
    def path(self) -> str:
        """The path in a definition."""
        return self.field.path


class Value(Struct, frozen=True):
    """A value of a field; *how* says by which of its spellings it was found."""

    place: Place
    value: Scalar
    how: str
    also: tuple[Scalar, ...] = ()  # the same in other spellings


class Named(Struct, frozen=True):
    """An event type under one of its names: what its words weigh."""

    known: Known
    own: Mapping[str, float]
    described: frozenset[str]
    actions: frozenset[str]

    @property
    def name(self) -> str:
        """The event type."""
        return self.known.name


class Names:
    """A tenant's catalog, read once."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.index = Index(catalog)

    @cached_property
    def events(self) -> tuple[Named, ...]:
        """Every event type under each of its names."""
        return tuple(_named(known) for known in self.index.events)

    @cached_property
    def places(self) -> tuple[Place, ...]:
        """Every trait and property, each path of each event type once for each of its names."""
        events = {known.name: known for known in self.index.events}
        properties = (Place(name, field) for name, known in events.items() for field in known.fields)
        return (*(Place("", field) for field in self.index.traits), *properties)

    @cached_property
    def evidence(self) -> Mapping[str, tuple[tuple[int, str], ...]]:
        """A concept → which names of event types have it: as a word of theirs, or of their description."""
        found: dict[str, list[tuple[int, str]]] = {}
        for number, one in enumerate(self.events):
            for key in one.own:
                found.setdefault(key, []).append((number, "own"))
            for key in one.known.meanings:
                found.setdefault(concept(key), []).append((number, "own"))
            for key in one.described - one.own.keys():
                found.setdefault(key, []).append((number, "described"))
        return {key: tuple(rows) for key, rows in found.items()}

    @cached_property
    def by_name(self) -> Mapping[str, int]:
        """An event type's name in lower case → its first number among the names."""
        return {one.name.lower(): number for number, one in reversed(list(enumerate(self.events)))}

    @cached_property
    def values(self) -> Mapping[tuple[str, ...], tuple[Value, ...]]:
        """The stems of a value → the fields that have it."""
        found: dict[tuple[str, ...], list[Value]] = {}
        for place in self.places:
            if place.field.numeric or place.field.boolean:
                continue
            spelled = _spelled(place.field)
            for words, value in place.field.values.items():
                exact = len(words) == len(stems_of(str(value)))
                also = tuple(one for one in spelled.get(stems_of(str(value)), ()) if one != value)
                found.setdefault(words, []).append(Value(place, value, "value" if exact else "gloss", also))
                if place.field.words and set(place.field.words) & {"path", "url", "page"} and len(words) > 1:
                    turned = tuple(sorted(words))
                    if turned != words:
                        found.setdefault(turned, []).append(Value(place, value, "turned"))
        return {key: tuple(rows) for key, rows in found.items()}

    @cached_property
    def meant(self) -> Mapping[frozenset[str], tuple[Value, ...]]:
        """The concepts of values of several words → these values, where one field has one such."""
        found: dict[frozenset[str], list[Value]] = {}
        for place in self.places:
            for words, values in place.field.meant.items():
                if len(values) == 1:
                    found.setdefault(words, []).append(Value(place, next(iter(values)), "meant"))
        return {key: tuple(rows) for key, rows in found.items()}

    @cached_property
    def texts(self) -> Mapping[str, tuple[Value, ...]]:
        """A value in lower case, letter by letter → the fields that have it."""
        found: dict[str, list[Value]] = {}
        for place in self.places:
            for value in place.field.known.samples:
                if isinstance(value, str):
                    found.setdefault(value.lower(), []).append(Value(place, value, "exact"))
        return {key: tuple(rows) for key, rows in found.items()}

    @cached_property
    def countries(self) -> tuple[Place, ...]:
        """The fields whose values are countries."""
        return tuple(place for place in self.places if place.field.country)

    @cached_property
    def field_words(self) -> Mapping[str, tuple[int, ...]]:
        """A word of a field's name → the numbers of the fields that have it, among `places`."""
        found: dict[str, list[int]] = {}
        for number, place in enumerate(self.places):
            for key in {field_word(part) for part in place.field.words}:
                found.setdefault(key, []).append(number)
        return {key: tuple(rows) for key, rows in found.items()}

    @cached_property
    def segments(self) -> tuple[tuple[int, tuple[str, ...]], ...]:
        """The stems of every segment's name, without words such as "segment"."""
        around = {"segment", "list", "group", "audience", "cohort"}
        named = (
            (number, tuple(part for part in parts if part not in around))
            for number, parts in self.index.segments.items()
        )
        return tuple((number, parts) for number, parts in named if parts)

    @cached_property
    def vocabulary(self) -> frozenset[str]:
        """Every word of the catalog, in lower case."""
        return self.index.vocabulary | frozenset(name for name in ALIASES if name.isalpha())

    def is_name(self, tokens: Sequence[Token]) -> bool:
        """Return whether these words are a value or a segment's name: then they stand for nothing else."""
        key = tuple(token.stem for token in tokens if token.kind != "sign")
        return key in self.values or any(parts == key for _, parts in self.segments)

    def numeric(self, event: str) -> tuple[Place, ...]:
        """Return the fields of an event type whose values are numbers."""
        return tuple(place for place in self.places if place.event == event and place.field.numeric)

    @cache  # noqa: B019  # a catalog is read once, and lives as long as this
    def money(self, event: str) -> Place | None:
        """Return the field of an event type that is an amount of money, the likeliest of several."""
        found = [place for place in self.numeric(event) if money_rank(place.field) < len(_MONEY)]
        return min(found, key=lambda place: money_rank(place.field), default=None)

    @cached_property
    def purchases(self) -> tuple[str, ...]:
        """The event types with an amount of money, those that are purchases first."""
        with_money = dict.fromkeys(one.name for one in self.events if self.money(one.name) is not None)
        bought = {one.name for one in self.events if {"purchase", "pay"} & {*one.own, *one.known.meanings}
                  and not {*one.own} & grammar.REVERSALS}  # fmt: skip
        described = {
            one.name for one in self.events if "purchase" in one.described and not {*one.own} & grammar.REVERSALS
        }
        return tuple(sorted(with_money, key=lambda name: (name not in bought, name not in described)))

    @cache  # noqa: B019
    def things(self, event: str) -> frozenset[str]:
        """Return what an event type is about: the concepts of its name that are not done."""
        known = {key for one in self.events if one.name == event for key in one.own}
        return frozenset(key for key in known if key not in grammar.ACTIONS)

    @cache  # noqa: B019
    def doings(self, event: str) -> frozenset[str]:
        """Return what is done when an event of a type happens: the actions of its name."""
        return frozenset(key for one in self.events if one.name == event for key in one.actions)

    @cache  # noqa: B019
    def _paths(self, event: str) -> frozenset[str]:
        return frozenset(place.path for place in self.places if place.event == event)

    def has(self, event: str, properties: set[str]) -> bool:
        """Return whether an event type has all of these properties."""
        return properties <= self._paths(event)


def money_rank(field: Field) -> int:
    """Return how far a field is from being what money is told in; the number of such words for none."""
    words = {*field.words, *stems_of(field.path)}
    return min((rank for rank, name in enumerate(_MONEY) if stem(name) in words or name in words), default=len(_MONEY))


@cache
def field_word(key: str) -> str:
    """Return the word under which a word of a field's name is looked up."""
    return _FIELD_WORDS.get(key, concept(_FIELD_WORDS.get(key, key)))


def _spelled(field: Field) -> Mapping[tuple[str, ...], tuple[str, ...]]:
    """Return the texts of a field by their stems: more than one where a value is spelled in several ways."""
    found: dict[tuple[str, ...], tuple[str, ...]] = {}
    for text in field.texts:
        key = stems_of(text)
        found[key] = (*found.get(key, ()), text)
    return found


def same_country(field: Field, code: str) -> tuple[str, ...]:
    """Return every spelling of a country among the texts of a field."""
    return tuple(text for text in field.texts if ALIASES.get(text.lower()) == code)


def _named(known: Known) -> Named:
    own = {concept(key): grammar.weight(key) or 0.2 for key in known.concepts}
    described = frozenset(concept(key) for key in known.described)
    return Named(known, own, described, frozenset(key for key in own if key in grammar.ACTIONS))
