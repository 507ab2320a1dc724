"""The catalog in words: what each event type, property and trait is called, as stems and concepts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Literal

from msgspec import Struct

from segment_copilot.english.linking.glosses import english, glossed, head, other_names
from segment_copilot.english.words.countries import ALIASES
from segment_copilot.english.words.lexer import read
from segment_copilot.english.words.lexicon import COMPOSED, NOISE, concept, weight
from segment_copilot.english.words.stems import listed, stem
from segment_copilot.language.catalog import Catalog, EventType, Property, Scalar
from segment_copilot.language.operators import DATETIMES
from segment_copilot.language.value_types import is_number_text, truth_of

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}($|T)")
_DAY_LIKE = re.compile(r"\d{1,4}([/.-])\d{1,2}\1\d{1,4}([ T].*)?")
_CODE = "(?:USD|EUR|GBP|JPY|CHF|CAD|AUD|NZD|SEK|NOK|DKK|PLN|CZK|BRL|MXN|INR|CNY)"
_AMOUNT_LIKE = re.compile(rf"(?:{_CODE} )?[-+]?[$€£¥]? ?(?:0|[1-9][\d.,']*)(?:[.,]\d+)?(?: ?[$€£¥%]| {_CODE})?")
_AMOUNT_SIGN = re.compile(rf"[$€£¥%,']|{_CODE}")  # without one it may be a code of something
_SEPARATORS = re.compile(r"[_.\-:/\\]+")


def spoken(name: str) -> str:
    """A name as words: `order_placed` and `orderPlaced` are "order placed"."""
    return _SEPARATORS.sub(" ", _CAMEL.sub(" ", name)).strip()


def stems_of(text: str) -> tuple[str, ...]:
    """The stems of a name or value, two-word nouns joined, in order."""
    return tuple(token.stem for token in read(spoken(text)) if token.kind != "sign")


_TELLS_NOTHING = frozenset(
    stem(word) for word in listed("every each least most first last one more less other again never always only")
)


_UNITS = frozenset(
    stem(word)
    for word in listed("minutes hours seconds kilometers km miles steps points pieces items calories kg pages")
)


class Field(Struct, frozen=True, dict=True):
    """A property of an event type or a trait, with its words."""

    known: Property
    words: tuple[str, ...]
    values: Mapping[tuple[str, ...], Scalar]  # stems of a sample → the sample

    @cached_property
    def units(self) -> frozenset[str]:
        """The units that its description names: "in minutes"."""
        return _UNITS & set(stems_of(self.known.description)) if self.numeric else frozenset()

    @cached_property
    def country(self) -> bool:
        """Tell whether its values are countries."""
        samples = [sample for sample in self.known.samples if isinstance(sample, str)]
        if "country" in self.words:
            return True
        return len(samples) > 1 and sum(sample.lower() in ALIASES for sample in samples) >= 0.6 * len(samples)

    @cached_property
    def meant(self) -> Mapping[frozenset[str], frozenset[Scalar]]:
        """Return its values of several words, by the concepts of these."""
        found: dict[frozenset[str], frozenset[Scalar]] = {}
        for words, value in self.values.items():
            if len(words) > 1:
                key = frozenset(concept(word) for word in words)
                found[key] = found.get(key, frozenset()) | {value}
        return found

    @property
    def path(self) -> str:
        """Return its path in a definition."""
        return self.known.path

    @property
    def kinds(self) -> frozenset[str]:
        """The types of its values: declared, or as observed."""
        return frozenset({self.known.declared} if self.known.declared else self.known.types)

    @property
    def numeric(self) -> bool:
        """Tell whether numbers can be compared with it."""
        if "number" in self.kinds:
            return True
        return bool(self.texts) and not self.known.declared and all(map(is_number_text, self.texts))

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts among its known values."""
        return tuple(value for value in self.known.samples if isinstance(value, str))

    @cached_property
    def unreadable(self) -> Literal["number", "date", ""]:
        """Return what all its texts would be, were they written as the language reads it: "$1,089.95", "06/20/2026"."""
        if not self.texts or self.numeric or self.dated or self.listed:
            return ""
        if all(_DAY_LIKE.fullmatch(text) for text in self.texts):
            return "date"
        is_amount = all(_AMOUNT_LIKE.fullmatch(text.strip()) for text in self.texts)
        return "number" if is_amount and any(map(_AMOUNT_SIGN.search, self.texts)) else ""

    @cached_property
    def answers(self) -> Mapping[bool, tuple[Scalar, ...]]:
        """Return its values that say yes, and those that say no, where it has no others and they are none of true and false."""
        samples = self.known.samples
        if self.boolean or self.listed or not samples or not self.known.is_whole:
            return {}
        said = {sample: truth_of(sample) for sample in samples}
        if None in said.values() or (not self.texts and len(said) == 1):  # a number that is 1 throughout may count
            return {}
        return {truth: tuple(one for one in said if said[one] is truth) for truth in (True, False)}

    @property
    def boolean(self) -> bool:
        """Tell whether its values are true and false."""
        return self.kinds == frozenset({"boolean"})

    @property
    def listed(self) -> bool:
        """Tell whether its values are lists."""
        return "list" in self.kinds

    @property
    def dated(self) -> bool:
        """Tell whether its values are instants or days: declared so, or written so throughout."""
        written = [value for value in self.known.samples if isinstance(value, str)]
        return not self.kinds.isdisjoint(DATETIMES) or (bool(written) and all(_DATE.match(value) for value in written))


class Known(Struct, frozen=True):
    """An event type with its words."""

    event_type: EventType
    concepts: tuple[str, ...]
    meanings: frozenset[str]  # of composed names: checkout + complete = purchase
    described: frozenset[str]
    told: bool  # whether this name is of the description's making
    english: bool  # whether its own name is, so that the description's is only a second one
    fields: tuple[Field, ...]

    @property
    def name(self) -> str:
        """Return its name in a definition."""
        return self.event_type.name


class Index:
    """A tenant's catalog, read once."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog

    @cached_property
    def events(self) -> tuple[Known, ...]:
        """Every event type under each of its names, the most frequent first."""
        ordered = sorted(self.catalog.event_types.values(), key=lambda item: (-item.event_count, item.name))
        return tuple(known for item in ordered for known in _known(item, self._meanings))

    @cached_property
    def traits(self) -> tuple[Field, ...]:
        """Every trait under each of its names."""
        return tuple(field for item in self.catalog.traits.values() for field in _trait(item, self._meanings))

    @cached_property
    def _meanings(self) -> Mapping[str, tuple[tuple[str, ...], ...]]:
        """What any description says that a value means, by the value: a value means the same wherever it stands."""
        found: dict[str, tuple[tuple[str, ...], ...]] = {}
        for item in self._described():
            if isinstance(item, Property):
                for key, value in glossed(item).items():
                    found[str(value)] = (*found.get(str(value), ()), key)
        return found

    @cached_property
    def field_words(self) -> frozenset[str]:
        """The words of every property that is named in one word."""
        return frozenset(field.words[0] for known in self.events for field in known.fields if len(field.words) == 1)

    @cached_property
    def field_names(self) -> frozenset[str]:
        """The paths of every trait and property, in lower case."""
        every = (*self.traits, *(field for known in self.events for field in known.fields))
        return frozenset(field.path.lower() for field in every)

    @cached_property
    def segments(self) -> Mapping[int, tuple[str, ...]]:
        """The stems of every segment's name."""
        return {segment.id: stems_of(segment.name) for segment in self.catalog.segments.values()}

    @cached_property
    def vocabulary(self) -> frozenset[str]:
        """Every word of every name and sample, for telling a typing error from a word of the tenant's."""
        names: list[str] = [known.name for known in self.events]
        names += [segment.name for segment in self.catalog.segments.values()]
        for field in (*self.traits, *(field for known in self.events for field in known.fields)):
            names += [field.path, *(str(value) for value in field.known.samples if isinstance(value, str))]
        names += [item.description for item in self._described()]
        return frozenset(word for name in names for word in re.findall(r"[^\W\d_]+", spoken(name).lower()))

    def _described(self) -> Iterator[EventType | Property]:
        for known in self.catalog.event_types.values():
            yield known
            yield from known.properties.values()
        yield from self.catalog.traits.values()

    @cached_property
    def stems(self) -> frozenset[str]:
        """The stems of the vocabulary."""
        return frozenset(stem(word) for word in self.vocabulary)

    @cached_property
    def size(self) -> int:
        """Return how many names a word may be compared with."""
        return (
            len(self.events) + sum(len(known.fields) for known in self.events) + len(self.traits) + len(self.segments)
        )

    def event(self, name: str) -> Known | None:
        """The event type of exactly that name, or that name but for case and separators."""
        wanted = spoken(name).lower()
        exact = [known for known in self.events if known.name == name]
        return (exact or [known for known in self.events if spoken(known.name).lower() == wanted] or [None])[0]


def _known(event_type: EventType, meanings_of: Mapping[str, tuple[tuple[str, ...], ...]]) -> Iterator[Known]:
    """The event type by its own name, and by each name that its description gives it."""
    words = stems_of(event_type.name)
    described = frozenset(
        concept(word) for word in stems_of(event_type.description) if word not in NOISE and word not in _TELLS_NOTHING
    )
    fields = tuple(_field(item, meanings_of) for item in event_type.properties.values())
    own = tuple(concept(word) for word in words)
    for concepts in (own, *other_names(event_type)):
        meanings = frozenset(meaning for parts, meaning in COMPOSED.items() if parts <= set(concepts))
        yield Known(event_type, concepts, meanings, described, concepts != own, english(words), fields)


def _field(item: Property, meanings: Mapping[str, tuple[tuple[str, ...], ...]]) -> Field:
    own = stems_of(item.path)
    values: dict[tuple[str, ...], Scalar] = {}
    for sample in item.samples:
        if isinstance(sample, str) and (key := stems_of(sample)):
            values.setdefault(key, sample)
            for meant in meanings.get(sample, ()):
                values.setdefault(meant, sample)
    if set(_CURRENCIES) & {str(sample) for sample in item.samples}:
        values |= {(stem(name),): code for code, names in _CURRENCIES.items() if code in item.samples for name in names}
    named = () if english(own) else head(item)
    return Field(item, named or tuple(concept(word) for word in own), {**glossed(item), **values})


_CURRENCIES = {
    "USD": ("dollars", "bucks"),
    "EUR": ("euros",),
    "GBP": ("pounds", "sterling"),
    "JPY": ("yen",),
    "CHF": ("francs",),
}


def _trait(item: Property, meanings: Mapping[str, tuple[tuple[str, ...], ...]]) -> Iterator[Field]:
    """The trait by its own name, and by what its description calls it."""
    read_field = _field(item, meanings)
    own = tuple(concept(word) for word in stems_of(item.path))
    for words in dict.fromkeys((own, head(item) or own)):
        yield Field(item, words, read_field.values)


def total(words: Iterable[str]) -> float:
    """The weight of some concepts together."""
    return sum(weight(word) for word in words)
