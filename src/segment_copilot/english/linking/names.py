"""A tenant's catalog as words: which words name which event type, which field, which of its values."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, cached_property
from typing import Final

from msgspec import Struct

from segment_copilot.english import lexicon
from segment_copilot.english.linking.fields import (
    MONEY,
    SECONDS,
    Field,
    Place,
    concept,
    field_of,
    field_word,
    money_rank,
    spelled,
    spoken,
    stems_of,
    trait_fields,
)
from segment_copilot.english.linking.glosses import glossed, other_names
from segment_copilot.english.words import lexicon as grammar
from segment_copilot.english.words.countries import ALIASES
from segment_copilot.english.words.lexer import Token
from segment_copilot.english.words.stems import stem
from segment_copilot.language.catalog import Catalog, EventType, Property, Scalar


class Value(Struct, frozen=True):
    """A value of a field; *how* says by which of its spellings it was found."""

    place: Place
    value: Scalar
    how: str
    also: tuple[Scalar, ...] = ()  # the same in other spellings


Evidence = tuple[int, str, str]
"""The number of a name of an event type; whether a word is its own or of its description; and the concept there."""
_ENDINGS: Final = re.compile(
    r"(ations?|itions?|ions?|ments?|als?|ances?|ences?|ers?|ors?|ees?|ings?|ed|es|e|ures?|ages?)$"
)
_ROOT: Final = 5


@cache
def roots(key: str) -> frozenset[str]:
    """Return what a stem has in common with others of its family, without its endings; none of a short one."""
    found = {key}
    for _ in range(2):
        found |= {_ENDINGS.sub("", one) for one in found}
    return frozenset(one for one in found if len(one) >= _ROOT)


class Named(Struct, frozen=True):
    """An event type under one of its names: its own, or one that its description gives it (*told*)."""

    name: str
    own: Mapping[str, float]  # the concepts of its name, with what each weighs
    meanings: frozenset[str]  # of composed names: checkout + complete = purchase
    described: frozenset[str]  # the concepts of its description
    actions: frozenset[str]  # those of its own that are done
    told: bool


class Names:
    """A tenant's catalog, read once."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog

    @cached_property
    def _event_types(self) -> tuple[EventType, ...]:
        """Every event type, the most frequent first."""
        return tuple(sorted(self.catalog.event_types.values(), key=lambda item: (-item.event_count, item.name)))

    @cached_property
    def events(self) -> tuple[Named, ...]:
        """Every event type under each of its names."""
        return tuple(named for item in self._event_types for named in _named(item))

    @cached_property
    def _meanings(self) -> Mapping[str, tuple[tuple[str, ...], ...]]:
        """What any description says that a value means, by the value: a value means the same wherever it stands."""
        found: dict[str, tuple[tuple[str, ...], ...]] = {}
        for item in self._properties():
            for key, value in glossed(item).items():
                found[str(value)] = (*found.get(str(value), ()), key)
        return found

    def _properties(self) -> Iterator[Property]:
        for event_type in self.catalog.event_types.values():
            yield from event_type.properties.values()
        yield from self.catalog.traits.values()

    @cached_property
    def places(self) -> tuple[Place, ...]:
        """Every trait under each of its names, then every property."""
        traits = (one for item in self.catalog.traits.values() for one in trait_fields(item, self._meanings))
        return (
            *(Place("", field) for field in traits),
            *(
                Place(event.name, field_of(item, self._meanings))
                for event in self._event_types
                for item in event.properties.values()
            ),
        )

    @cached_property
    def by_path(self) -> Mapping[tuple[str, str], Place]:
        """The event type (none of a trait) and the path of a field → the field."""
        return {(place.event, place.path): place for place in self.places}

    @cached_property
    def evidence(self) -> Mapping[str, tuple[Evidence, ...]]:
        """A concept → which names of event types have it: as a word of theirs, or of their description."""
        found: dict[str, list[Evidence]] = {}
        for number, one in enumerate(self.events):
            for key in one.own:
                found.setdefault(key, []).append((number, "own", key))
            for key in one.meanings:
                found.setdefault(concept(key), []).append((number, "own", concept(key)))
            for key in one.described - one.own.keys():
                found.setdefault(key, []).append((number, "described", key))
        return {key: tuple(rows) for key, rows in found.items()}

    @cached_property
    def evidence_by_root(self) -> Mapping[str, tuple[Evidence, ...]]:
        """Map what words of one family have in common ("activat" of activation, activated) → the evidence of these words."""
        found: dict[str, dict[Evidence, None]] = {}
        for key, rows in self.evidence.items():
            for root in roots(key):
                found.setdefault(root, {}).update(dict.fromkeys(rows))
        return {root: tuple(rows) for root, rows in found.items()}

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
            for words, value in place.field.values.items():
                exact = len(words) == len(stems_of(str(value)))
                also = spelled(place.field, value)
                found.setdefault(words, []).append(Value(place, value, "value" if exact else "gloss", also))
                if place.field.words and set(place.field.words) & {"path", "url", "page"} and len(words) > 1:
                    turned = tuple(sorted(words))
                    if turned != words:
                        found.setdefault(turned, []).append(Value(place, value, "turned"))
            for words, several in _paid(place.field):
                found.setdefault(words, []).append(Value(place, several[0], "gloss", several[1:]))
            for words, value, how in _loosely(place.field):
                found.setdefault(words, []).append(Value(place, value, how, spelled(place.field, value)))
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
            for key in {*(part for words in place.names for part in words), *map(field_word, place.told)}:
                found.setdefault(key, []).append(number)
        return {key: tuple(rows) for key, rows in found.items()}

    @cached_property
    def segment_stems(self) -> Mapping[int, tuple[str, ...]]:
        """The stems of every segment's name."""
        return {segment.id: stems_of(segment.name) for segment in self.catalog.segments.values()}

    @cached_property
    def segments(self) -> tuple[tuple[int, tuple[str, ...]], ...]:
        """The stems of every segment's name, without words such as "segment"."""
        around = {"segment", "list", "group", "audience", "cohort"}
        named = (
            (number, tuple(part for part in parts if part not in around))
            for number, parts in self.segment_stems.items()
        )
        return tuple((number, parts) for number, parts in named if parts)

    @cached_property
    def shorter_segments(self) -> tuple[tuple[int, tuple[str, ...]], ...]:
        """The stems of segments' names without the people at the end ("Power Users"), where that leaves something of its own."""
        people = lexicon.stems("people") - lexicon.stems("group")
        short = [(number, parts[:-1]) for number, parts in self.segments if len(parts) > 1 and parts[-1] in people]
        whole = {parts for _, parts in self.segments}
        return tuple(
            (number, parts)
            for number, parts in short
            if parts not in whole and not self._written & {*_plain_words(self.catalog.segments[number].name)}
        )

    @cached_property
    def _written(self) -> frozenset[str]:
        """Every word of the names of event types and fields, and of values, as they are written; not of people."""
        names = [*self.catalog.event_types, *(place.path for place in self.places)]
        names += [text for place in self.places for text in place.field.texts]
        people = lexicon.stems("people")
        return frozenset(word for name in names for word in _plain_words(name) if stem(word) not in people)

    @cached_property
    def answered(self) -> frozenset[str]:
        """The words of traits that are yes or no: "students" says that somebody is one."""
        yes = (place for place in self.places if not place.event and (place.field.boolean or place.field.answers))
        return frozenset(word for place in yes for word in place.words)

    @cached_property
    def vocabulary(self) -> frozenset[str]:
        """Every word of the catalog, in lower case: a word of the tenant's is no slip."""
        texts = [*self.catalog.event_types, *(segment.name for segment in self.catalog.segments.values())]
        texts += [item.description for item in self.catalog.event_types.values()]
        for item in self._properties():
            texts += [item.path, item.description, *(value for value in item.samples if isinstance(value, str))]
        words = (word for text in texts for word in re.findall(r"[^\W\d_]+", spoken(text).lower()))
        return frozenset((*words, *(name for name in ALIASES if name.isalpha())))

    def is_name(self, tokens: Sequence[Token]) -> bool:
        """Return whether these words are a value or a segment's name: then they stand for nothing else."""
        key = tuple(token.stem for token in tokens if token.kind != "sign")
        return key in self.values or any(parts == key for _, parts in self.segments)

    def numeric(self, event: str) -> tuple[Place, ...]:
        """Return the fields of an event type whose values are numbers."""
        return tuple(place for place in self.places if place.event == event and place.numeric)

    @cache  # noqa: B019
    def timed_in(self, unit: str) -> tuple[str, ...]:
        """Return the event types that tell how long they took, in minutes where a sentence says minutes or hours."""
        if unit not in SECONDS or SECONDS[unit] >= SECONDS["day"]:
            return ()
        return tuple(dict.fromkeys(place.event for place in self.places if place.event and place.second is not None))

    @cache  # noqa: B019  # a catalog is read once, and lives as long as this
    def money(self, event: str) -> Place | None:
        """Return the field of an event type that is an amount of money, the likeliest of several."""
        found = [place for place in self.numeric(event) if money_rank(place.field) < len(MONEY)]
        return min(found, key=lambda place: money_rank(place.field), default=None)

    @cached_property
    def purchases(self) -> tuple[str, ...]:
        """The event types with an amount of money, those that are purchases first."""
        with_money = dict.fromkeys(one.name for one in self.events if self.money(one.name) is not None)
        bought = {one.name for one in self.events if {"purchase", "pay"} & {*one.own, *one.meanings}
                  and not {*one.own} & grammar.REVERSALS}  # fmt: skip
        described = {
            one.name for one in self.events if "purchase" in one.described and not {*one.own} & grammar.REVERSALS
        }
        undone = {one.name for one in self.events if {*one.own} & grammar.REVERSALS}
        return tuple(sorted(with_money, key=lambda name: (name not in bought, name not in described, name in undone)))

    @cache  # noqa: B019
    def things(self, event: str) -> frozenset[str]:
        """Return what an event type is about: the concepts of its name that are not done."""
        known = {key for one in self.events if one.name == event for key in one.own}
        return frozenset(key for key in known if key not in grammar.ACTIONS)

    @cache  # noqa: B019
    def searched(self, event: str) -> tuple[Place, ...]:
        """Return the fields of an event type that hold what was searched for."""
        words = {"query", "search", "term", "keyword", "q"}
        return tuple(place for place in self.places if place.event == event and words & {*place.field.words})

    @cache  # noqa: B019
    def doings(self, event: str) -> frozenset[str]:
        """Return what is done when an event of a type happens: the actions of its name."""
        return frozenset(key for one in self.events if one.name == event for key in one.actions)

    @cache  # noqa: B019
    def _paths(self, event: str) -> frozenset[str]:
        return frozenset(place.path for place in self.places if place.event == event)

    @cache  # noqa: B019
    def described(self, event: str) -> frozenset[str]:
        """Return the stems of the words by which an event type is described."""
        known = self.catalog.event_types.get(event)
        return frozenset(stems_of(known.description)) if known is not None else frozenset()

    @cache  # noqa: B019
    def told_of(self, event: str, path: str) -> frozenset[str]:
        """Return the stems of the words by which a field is described."""
        place = self.by_path.get((event, path))
        return frozenset(stems_of(place.field.known.description)) if place is not None else frozenset()

    def has(self, event: str, properties: set[str]) -> bool:
        """Return whether an event type has all of these properties."""
        return properties <= self._paths(event)


_GLOSS: Final = 2  # words


def _loosely(field: Field) -> Iterator[tuple[tuple[str, ...], Scalar, str]]:
    """Yield other words for values: in one word ("WhatsApp"), a part that tells ("Luis"), what means the same ("iPhone")."""
    whole = {text: (stem(text.lower()),) for text in field.texts if text.isalpha()}
    one = {words: value for words, value in field.values.items() if len(words) == 1}
    one |= {words: text for text, words in whole.items() if words not in field.values}
    for words, value in one.items():
        if words not in field.values:
            yield words, value, "value"
    for words, value in field.values.items():  # "fee", where "cuota" is told to be the membership fee
        if len(words) == _GLOSS and words[-1:] not in field.values and str(value).isalpha():
            yield words[-1:], value, "part"
    for word, value in _parts(field).items():
        yield (word,), value, "part"
    for words, value in {**field.values, **one}.items():
        for other in lexicon.alike().get(words, ()):
            if other not in one and other not in field.values:
                yield other, value, "alias"


def _paid(field: Field) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Yield the words for all values but the one that costs nothing: "on a paid plan"."""
    paid = tuple(text for text in field.texts if text.lower() not in _UNPAID)
    if field.words and 0 < len(paid) < len(field.texts):
        yield from (((stem(said), stem(field.words[-1])), paid) for said in ("paid", "paying"))


_UNPAID: Final = frozenset({"free", "freemium", "none"})


_PERSONS: Final = frozenset(stem(word) for word in ["author", "writer", "manager", "owner", "agent", "rep", "host", "coach",
                                                     "teacher", "trainer", "instructor", "seller", "assignee", "artist"])  # fmt: skip


def _parts(field: Field) -> Mapping[str, Scalar]:
    """Return single words that tell one value of several words from all others: of somebody's name, and what is no English."""
    found: dict[str, set[Scalar]] = {}
    persons = bool(_PERSONS & {*field.words, *stems_of(field.path)})
    for words, value in field.values.items():
        for word in words if len(words) > 1 else ():
            found.setdefault(word, set()).add(value)
    several = {word: values for word, values in found.items() if len({str(value).lower() for value in values}) == 1}
    return {
        word: next(iter(values)) for word, values in several.items()
        if len(word) >= _ROOT - 1 and word.isalpha() and (persons or word not in lexicon.english_words()) and (word,) not in field.values
    }  # fmt: skip


def _plain_words(name: str) -> tuple[str, ...]:
    return tuple(spoken(name).lower().split())


def _named(event_type: EventType) -> Iterator[Named]:
    """Yield an event type by its own name, and by each name that its description gives it."""
    words = stems_of(event_type.name)
    mute = {*map(stem, _TELLS_NOTHING.split()), *grammar.NOISE}
    described = frozenset(
        concept(grammar.concept(word)) for word in stems_of(event_type.description) if word not in mute
    )
    written = tuple(grammar.concept(word) for word in words)
    for concepts in (written, *other_names(event_type)):
        meanings = frozenset(meaning for parts, meaning in grammar.COMPOSED.items() if parts <= {*concepts})
        own = {concept(key): grammar.weight(key) or 0.2 for key in concepts}
        actions = frozenset(key for key in own if key in grammar.ACTIONS)
        yield Named(event_type.name, own, meanings, described, actions, concepts != written)


_TELLS_NOTHING: Final = "every each least most first last one more less other again never always only"
