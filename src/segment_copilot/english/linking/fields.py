"""Holds a property or trait with its words: what it is called, what its values are called, and what kind they are."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache, cached_property, lru_cache
from typing import Final, Literal

from msgspec import Struct

from segment_copilot.english import lexicon
from segment_copilot.english.linking.glosses import english, glossed, head
from segment_copilot.english.words import lexicon as grammar
from segment_copilot.english.words.countries import ALIASES
from segment_copilot.english.words.lexer import read
from segment_copilot.english.words.stems import stem
from segment_copilot.language.catalog import Property, Scalar
from segment_copilot.language.operators import DATETIMES
from segment_copilot.language.value_types import is_number_text, parse_date, truth_of

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


@lru_cache(maxsize=16_384)
def stems_of(text: str) -> tuple[str, ...]:
    """The stems of a name or value, two-word nouns joined, in order."""
    return tuple(token.stem for token in read(spoken(text)) if token.kind != "sign")


_AMOUNT: Final = re.compile(r"(?:[A-Z]{3} |[$€£])?-?\d[\d,]*(?:\.\d+)?(?: ?[$€£]| [A-Z]{3})?")
_DAY: Final = re.compile(
    r"\d{1,4}[/.-]\d{1,2}[/.-]\d{1,4}([ T].*)?|[A-Z][a-z]{2,8}\.? \d{1,2},? \d{4}|\d{1,2} [A-Z][a-z]{2,8}\.? \d{4}"
)
SECONDS: Final = {
    "ms": 0.001,
    "millisecond": 0.001,
    "second": 1.0,
    "sec": 1.0,
    "minut": 60.0,
    "min": 60.0,
    "hour": 3_600.0,
    "hr": 3_600.0,
    "day": 86_400.0,
    "week": 604_800.0,
}
"""A unit of time → its seconds."""
_COUNTS: Final = re.compile(r"(?:how many|number of|\bin) ([a-z]+)")
_CURRENCIES: Final = frozenset(
    {"dollars", "euros", "pounds", "us", "australian", "usd", "eur", "cents", "full", "the", "percent"}
)
_SCALE: Final = re.compile(r"\b(\d+) to (\d+)\b")
_BAND: Final = re.compile(r"(\d+) ?(?:\+|[-–] ?(\d+))")
_TOLD: Final = {"how long": ("duration", "time"), "why": ("reason",), "how much": ("amount",)}
MONEY: Final = ("total", "amount", "value", "revenue", "price", "sum", "spend", "cost", "paid", "subtotal")
_FIELD_WORDS: Final = {
    "level": "tier", "package": "plan", "label": "tag", "tagged": "tag", "medium": "channel", "priced": "price",
    "pric": "price", "keyword": "query", "term": "query", "url": "path", "aged": "age", "old": "age", "ag": "age",
    "voucher": "coupon", "agree": "optin", "accept": "optin", "consent": "optin", "allow": "optin", "permit": "optin",
    "opt": "optin", "subscrib": "optin", "acquir": "acquisition", "stag": "lifecycle", "cod": "code", "older": "age",
    "younger": "age", "sex": "gender", "optout": "optin", "mailing": "email", "subscribe": "optin", "aging": "age",
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


_CODES: Final = frozenset({concept(stem("code")), stem("code")})


class Field(Struct, frozen=True, dict=True):
    """A property of an event type or a trait, with its words."""

    known: Property
    words: tuple[str, ...]
    values: Mapping[tuple[str, ...], Scalar]  # stems of a sample → the sample

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
                key = frozenset(grammar.concept(word) for word in words)
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


def field_of(item: Property, meanings: Mapping[str, tuple[tuple[str, ...], ...]]) -> Field:
    """Return a property with its words; *meanings* are what descriptions say that values mean, by the value."""
    own = stems_of(item.path)
    values: dict[tuple[str, ...], Scalar] = {}
    for sample in item.samples:
        if isinstance(sample, str) and (key := stems_of(sample)):
            values.setdefault(key, sample)
            for meant in meanings.get(sample, ()):
                values.setdefault(meant, sample)
    if _CURRENCY_WORDS.keys() & {str(sample) for sample in item.samples}:
        values |= {
            (stem(name),): code for code, names in _CURRENCY_WORDS.items() if code in item.samples for name in names
        }
    named = () if english(own) else head(item)
    return Field(item, named or tuple(grammar.concept(word) for word in own), {**glossed(item), **values})


_CURRENCY_WORDS: Final = {
    "USD": ("dollars", "bucks"),
    "EUR": ("euros",),
    "GBP": ("pounds", "sterling"),
    "JPY": ("yen",),
    "CHF": ("francs",),
}


def trait_fields(item: Property, meanings: Mapping[str, tuple[tuple[str, ...], ...]]) -> Iterator[Field]:
    """The trait by its own name, and by what its description calls it."""
    read_field = field_of(item, meanings)
    own = tuple(grammar.concept(word) for word in stems_of(item.path))
    for words in dict.fromkeys((own, head(item) or own)):
        yield Field(item, words, read_field.values)


class Place(Struct, frozen=True, dict=True):
    """A field and whose it is: a property of an event type, or (no event) a trait."""

    event: str
    field: Field

    @cached_property
    def words(self) -> tuple[str, ...]:
        """The words of its name, but for "is" and "has"."""
        return _without_being(self.field.words)

    @cached_property
    def names(self) -> tuple[frozenset[str], ...]:
        """The words of each of its names, as they are looked up: as it is called, and as it is written."""
        written = _without_being(tuple(concept(word) for word in stems_of(self.field.path)))
        both = (self.words, written if len(written) <= len(self.words) or len(written) == 1 else ())
        if {*self.words} <= _CODES:  # "used a promo" is of the promo code
            both = (*both, written, tuple(word for word in written if word not in _CODES))
        return tuple(dict.fromkeys(frozenset(map(field_word, words)) for words in both if words))

    @cached_property
    def told(self) -> frozenset[str]:
        """Words that name it by its description alone: "How long it lasted" is its duration."""
        text = self.field.known.description.lower()
        found = {word for phrase, words in _TOLD.items() if phrase in text for word in words}
        return frozenset(found | (self.units - SECONDS.keys())) - {*self.words}

    @cached_property
    def units(self) -> frozenset[str]:
        """The stems of what its numbers count: "How many pieces", "in words"; not of money."""
        told = _COUNTS.findall(self.field.known.description.lower()) if self.numeric else ()
        return frozenset(stem(word) for word in told if word not in _CURRENCIES)

    @cached_property
    def scale(self) -> tuple[float, float] | None:
        """Return the ends of its numbers where its description tells them, as of a score: "0 to 10"."""
        told = _SCALE.search(self.field.known.description) if self.numeric else None
        return (float(told[1]), float(told[2])) if told else None

    @cached_property
    def bands(self) -> Mapping[tuple[float, float | None], Scalar]:
        """Return its values where each is a stretch of numbers ("18-34", "55+"), by their ends."""
        read = {text: _BAND.fullmatch(text.strip()) for text in self.field.texts}
        if len(read) < 2 or not all(read.values()):  # noqa: PLR2004
            return {}
        return {(float(found[1]), float(found[2]) if found[2] else None): text for text, found in read.items() if found}

    @cached_property
    def second(self) -> float | None:
        """Tell how many of its units a second has, where its numbers are lengths of time."""
        stems = [*stems_of(self.field.path), *stems_of(self.field.known.description)]
        unit = next((SECONDS[one] for one in stems if one in SECONDS), None) if self.numeric else None
        return None if unit is None else 1 / unit

    @property
    def numeric(self) -> bool:
        """Tell whether its values are numbers, be they texts."""
        return self.field.numeric or self.texts_are_numbers

    @property
    def dated(self) -> bool:
        """Tell whether its values are days or instants, be they written in several ways."""
        return self.field.dated or self.texts_are_dates

    @cached_property
    def texts_are_numbers(self) -> bool:
        """Tell whether texts among its values are numbers, most of them as the language reads them: "50.00", "1,050.50"."""
        amounts = [text for text in self.field.texts if _AMOUNT.fullmatch(text.strip())]
        if self.field.listed or self.field.dated or self.field.known.declared == "number":
            return False
        readable = sum(map(is_number_text, amounts))
        return 2 * len(amounts) > len(self.field.texts) and 2 * readable > len(amounts)

    @cached_property
    def texts_are_dates(self) -> bool:
        """Tell whether its texts are days in several ways, the one that the language reads among them."""
        texts = self.field.texts
        written = all(_DAY.fullmatch(text.strip()) for text in texts) and not self.field.dated
        return written and any(parse_date(text.replace(" ", "T", 1)) is not None for text in texts)

    @property
    def path(self) -> str:
        """The path in a definition."""
        return self.field.path


def money_rank(field: Field) -> int:
    """Return how far a field is from being what money is told in; the number of such words for none."""
    words = {*field.words, *stems_of(field.path)}
    return min((rank for rank, name in enumerate(MONEY) if stem(name) in words or name in words), default=len(MONEY))


@cache
def field_word(key: str) -> str:
    """Return the word under which a word of a field's name is looked up."""
    return _FIELD_WORDS.get(key, concept(_FIELD_WORDS.get(key, key)))


def spelled(field: Field, value: Scalar) -> tuple[str, ...]:
    """Return the other texts of a field that are this value in another spelling: "iOS" and "ios"."""
    text, key = str(value), stems_of(str(value))
    return tuple(one for one in field.texts if one != value and (one.lower() == text.lower() or stems_of(one) == key))


def same_country(field: Field, code: str) -> tuple[str, ...]:
    """Return every spelling of a country among the texts of a field."""
    return tuple(text for text in field.texts if ALIASES.get(text.lower()) == code)


def _without_being(words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(word for word in words if word not in {"be", "have"}) or words
