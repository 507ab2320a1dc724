"""Finds what the words of a sentence mention, once, with every alternative kept; rules refer to these and read no words.

A set of token positions is a whole number, one bit for each: sets are united and compared all the time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime
from functools import cached_property
from typing import Final

from msgspec import Struct

from segment_copilot.english import lexicon
from segment_copilot.english.linking import field_names, others
from segment_copilot.english.linking.fields import Place, concept, same_country
from segment_copilot.english.linking.names import Evidence, Names, Value, roots
from segment_copilot.english.linking.places import country_code, country_of
from segment_copilot.english.reading.shares import Salt, Share, salt, shares
from segment_copilot.english.times import of_day, phrases, when, windows
from segment_copilot.english.times.dates import local_date
from segment_copilot.english.times.said import coming, times_said
from segment_copilot.english.words import asking, several
from segment_copilot.english.words.countries import CODES_THAT_ARE_WORDS
from segment_copilot.english.words.lexer import Token, read
from segment_copilot.english.words.lexicon import agent
from segment_copilot.english.words.sentence import Sentence, read_sentence
from segment_copilot.english.words.stems import stem
from segment_copilot.language.catalog import Catalog

_LONGEST: Final = 5  # words of a value
_WORDS_THAT_ARE_CODES: Final = frozenset({"can", "per", "and", "are", "fin", "pan", "col", "lux", "bel", "nor"})
_BARE: Final = {"path", "quoted", "name", "date"}


def mask(start: int, end: int) -> int:
    """Return the positions from *start* up to *end*."""
    return (1 << end) - (1 << start)


class Anchor(Struct, frozen=True):
    """Words that mention something: the tokens from *start* up to *end*."""

    start: int
    end: int

    @property
    def mask(self) -> int:
        """The positions of its words."""
        return mask(self.start, self.end)


class WindowAnchor(Anchor, frozen=True):
    """When; *bare* where only a length was said, *ahead* where all of it lies ahead, *coming* if it is of what is to come."""

    window: windows.Window
    bare: bool = False
    ahead: bool = False
    coming: windows.Window | None = None


class QuantityAnchor(Anchor, frozen=True):
    """A comparison with a number; *words* are those that say how to compare."""

    quantity: phrases.Quantity
    words: tuple[str, ...] = ()


class ValueAnchor(Anchor, frozen=True):
    """A value that fields have."""

    values: tuple[Value, ...]


class FieldAnchor(Anchor, frozen=True):
    """The name of a field, and which share of it was said."""

    place: Place
    share: float


class SegmentAnchor(Anchor, frozen=True):
    """The name of a segment."""

    segment: int
    share: float


class WordAnchor(Anchor, frozen=True):
    """A word or phrase of a closed kind: a joint, a metric, an order, a negation, a pronoun."""

    kind: str


class MomentAnchor(Anchor, frozen=True):
    """Weekdays or hours of the day."""

    of_day: of_day.OfDay


class Anchors(Struct, frozen=True, dict=True):
    """Everything that a sentence mentions."""

    sentence: Sentence
    names: Names
    windows: tuple[WindowAnchor, ...]
    quantities: tuple[QuantityAnchor, ...]
    values: tuple[ValueAnchor, ...]
    fields: tuple[FieldAnchor, ...]
    segments: tuple[SegmentAnchor, ...]
    joints: tuple[WordAnchor, ...]
    metrics: tuple[WordAnchor, ...]
    money_metrics: tuple[WordAnchor, ...]
    orders: tuple[WordAnchor, ...]
    negations: tuple[WordAnchor, ...]
    pronouns: tuple[WordAnchor, ...]
    shares: tuple[Share, ...]
    salt: Salt | None  # the name of a split
    lists: tuple[WordAnchor, ...]
    moments: tuple[MomentAnchor, ...]
    heads: int  # the words at the head of a sentence that only ask for a segment: "make a list of"
    title: int  # the position of a name that was given to the audience: "called “Lapsed”"
    today: date

    @property
    def tokens(self) -> tuple[Token, ...]:
        """The words."""
        return self.sentence.tokens

    @cached_property
    def evidence(self) -> tuple[tuple[Evidence, ...], ...]:
        """Return, for each token, which names of event types have its concept."""
        return tuple(self._evidence(token) for token in self.tokens)

    @cached_property
    def ever(self) -> int:
        """The positions of the words that say of all time: "never", "ever"."""
        return sum(1 << at for at, token in enumerate(self.tokens) if token.lower in {"never", "ever"})

    def concepts(self, words: int) -> frozenset[str]:
        """Return the concepts of some words, by their positions."""
        return frozenset(one for at, one in enumerate(self._concepts) if words >> at & 1)

    @cached_property
    def _concepts(self) -> tuple[str, ...]:
        return tuple(concept(token.stem) for token in self.tokens)

    def _evidence(self, token: Token) -> tuple[Evidence, ...]:
        if token.kind == "name" and token.lower in self.names.by_name:
            return ((self.names.by_name[token.lower], "name", ""),)
        if token.kind != "word" or token.lower in lexicon.words("light"):
            return ()
        found = self.names.evidence.get(concept(token.stem), ())
        if token.stem in lexicon.stems("people"):  # "readers" are those who read, whatever descriptions say of readers
            done = self.names.evidence.get(concept(agent(token.stem, token.lower) or ""), ())
            found = (
                *done,
                *(() if token.lower.endswith("s") else found),
            )  # "contacts" are people, and contacted nobody
        for done in () if found else (agent(token.stem, token.lower) or "", *_roots(token.lower)):
            found = found or self.names.evidence.get(concept(done), ())
        return found or tuple(
            row for root in sorted(roots(token.stem)) for row in self.names.evidence_by_root.get(root, ())
        )

    @cached_property
    def content(self) -> int:
        """The positions of the words that a reading must explain."""
        light, people = lexicon.words("light"), lexicon.stems("people")
        told, back = 0, _union(self.pronouns)
        said = _union((*self.windows, *self.quantities, *self.joints, *self.negations, *self.values, *self.moments))
        for at, token in enumerate(self.tokens):
            shouted = token.lower in {"us", "it", "in"} and token.text.isupper() and token.kind == "word"
            silent = token.kind == "sign" or token.lower in light or token.stem in people or bool(back >> at & 1)
            silent = silent or (token.lower == "us" and at > 0 and self.tokens[at - 1].lower not in _BEFORE_COUNTRIES)
            following = self.tokens[at + 1].stem if at + 1 < len(self.tokens) else ""
            silent = silent and token.stem not in self.names.answered
            silent = silent or bool(self.title >> at & 1) or (token.lower == "every" and following in people)
            silent = silent and not (token.lower == "up" and at > 0 and self.tokens[at - 1].lower in {"and", "or"})
            silent = silent and not (token.lower == "both" and at > 0 and self.tokens[at - 1].lower == "not")
            silent = silent and not (token.lower == "than" and not said >> at & 1)
            if (not self.heads >> at & 1 and (shouted or not silent)) or (
                token.kind == "sign" and token.lower in "+/%"
            ):
                told |= 1 << at
        return told


_BEFORE_COUNTRIES: Final = frozenset(
    {"in", "from", "the", "and", "or", "not", "for", "of", "=", "/", ",", ":", "is", "are", "to", "into", "("}
)
"""What may stand before "us" where it is the country; else it is whoever writes."""


def _roots(lower: str) -> tuple[str, ...]:
    """Return the verbs that a word for who does something may come from: "exporters", "bookers"."""
    root = lower.removesuffix("s")
    if not root.endswith(("er", "or")) or len(root) < _DOER:
        return ()
    return stem(root[:-2]), stem(root[:-1]), stem(f"{root[:-2]}ion")


_DOER: Final = 6


def find(text: str, names: Names, as_of: datetime, timezone: str) -> Anchors:
    """Return what *text* mentions of a tenant's names, and when, how much and how it says so."""
    sentence = read_sentence(text, names.vocabulary, names.is_name)
    tokens = sentence.tokens
    today = local_date(as_of, timezone)
    named = _union(one for one in (*_values(tokens, names), *_segments(tokens, names)) if one.end - one.start > 1)
    moments = tuple(one for one in (MomentAnchor(*one) for one in of_day.said(tokens)) if not one.mask & named)
    at_times = _union(moments)
    found_windows = tuple(
        WindowAnchor(*one, coming(tokens[one[0] : one[1]], one[2], today)) for one in times_said(tokens, today)
    )
    found_windows = tuple(one for one in found_windows if not one.mask & at_times)
    taken = _union(one for one in found_windows if not one.bare) | at_times
    segments = tuple(_segments(tokens, names))
    values = tuple(_values(tokens, names))
    metrics = tuple(_phrases(tokens, lexicon.phrases("metrics", "plain")))
    orders = tuple(_phrases(tokens, lexicon.phrases("orders")))
    taken |= _union(one for one in orders if tokens[one.end - 1].lower == "one")  # "the latest one" counts nothing
    quantities = tuple(one for one in _quantities(tokens) if not one.mask & taken)
    values += tuple(_bands(quantities, names))
    fields = tuple(FieldAnchor(*one) for one in field_names.fields(tokens, names))
    values += tuple(ValueAnchor(at, at + 1, (value,)) for at, value in others.parts(tokens, values, fields))
    spoken = _union(one for one in fields if one.share == 1 and one.end - one.start > 1)
    quantities = tuple(one for one in quantities if one.mask & ~spoken)
    named = _union(one for one in fields if not one.place.event and one.place.numeric and one.share == 1)
    money = tuple(one for one in _phrases(tokens, lexicon.phrases("metrics", "money")) if one.mask & ~named)
    compared = _union(one for one in found_windows if one.window.operator)  # "no more than 30 days ago" denies nothing
    compared |= _union(one for one in quantities if not one.quantity.none)
    negations = tuple(
        one
        for one in _closed(tokens, lexicon.words("negations"), "not")
        if not _of_several(tokens, one) and not one.mask & compared
    )
    negations += tuple(WordAnchor(at, end, "other") for at, end in others.others(tokens, values, fields))
    anchored = _union(
        (*values, *segments, *negations, *found_windows, *(one for one in quantities if not one.quantity.bare))
    )

    def is_event(token: Token) -> bool:
        return bool(names.evidence.get(concept(token.stem)))

    return Anchors(
        sentence, names, found_windows, quantities, values, fields, segments,
        tuple(_phrases(tokens, lexicon.phrases("joints"))), metrics,
        money,
        orders,
        negations,
        tuple(_pronouns(tokens)), tuple(shares(tokens)), salt(tokens), (*_phrases(tokens, lexicon.phrases("lists")), *(WordAnchor(*one) for one in several.said(tokens))), moments,
        asking.heads(tokens, _union((*values, *segments)), anchored, is_event), _title(tokens), today,
    )  # fmt: skip


def names_of(catalog: Catalog) -> Names:
    """Return a catalog's names; those of the catalogs read last are kept, as reading one takes a while."""
    for known in _KEPT:
        if known.catalog is catalog:
            return known
    made = Names(catalog)
    _KEPT.insert(0, made)
    del _KEPT[_MOST:]
    return made


_KEPT: Final[list[Names]] = []
_MOST: Final = 32


def _union(anchors: Iterable[Anchor]) -> int:
    united = 0
    for one in anchors:
        united |= one.mask
    return united


def _quantities(tokens: tuple[Token, ...]) -> Iterator[QuantityAnchor]:
    end = 0
    for at in range(len(tokens)):
        read_quantity = phrases.quantity(tokens, at) if at >= end else None
        if read_quantity is None:
            continue
        quantity, end = read_quantity
        end = when.past_inclusive(tokens, end) if quantity.operator == "between" else end
        end = _told_again(tokens, quantity, end)
        said = tuple(token.lower for token in tokens[at:end] if token.kind not in {"number", "money"})
        yield QuantityAnchor(at, end, quantity, said)


def _told_again(tokens: tuple[Token, ...], quantity: phrases.Quantity, at: int) -> int:
    """Return the position behind a bracket that only says a number once more: "a couple of times or more (2+)"."""
    again = phrases.quantity(tokens, at + 1) if at < len(tokens) and tokens[at].lower == "(" else None
    if again is None or again[0].value != quantity.value or again[0].value2 != quantity.value2:
        return at
    closed = again[1] < len(tokens) and tokens[again[1]].lower == ")"
    return again[1] + 1 if closed else at


def _bands(quantities: Iterable[QuantityAnchor], names: Names) -> Iterator[ValueAnchor]:
    """Yield the values that are stretches of numbers where these are said: "between 35 and 54", "55 or older"."""
    for one in quantities:
        ends = (one.quantity.value, one.quantity.value2) if one.quantity.operator in {"between", "gte"} else None
        found = tuple(
            Value(place, place.bands[ends], "band")
            for place in names.places
            if ends is not None and ends in place.bands
        )
        if found and not one.quantity.bare:
            yield ValueAnchor(one.start, one.end, found)


def _values(tokens: tuple[Token, ...], names: Names) -> Iterator[ValueAnchor]:
    light = lexicon.words("light")
    for at, first in enumerate(tokens):
        for end in range(at + 1, min(len(tokens), at + _LONGEST) + 1):
            found = _values_of(tokens[at:end], names)
            shouted = first.text.isupper() and len(first.text) > 1
            if end == at + 1 and first.lower in light and not shouted:
                found = [one for one in found if end < len(tokens) and tokens[end].stem == "pag"]
            if found:
                yield ValueAnchor(at, end, tuple(found))


def _values_of(run: tuple[Token, ...], names: Names) -> list[Value]:
    first, last = run[0], run[-1]
    branded = first.kind == "name" and first.text.isalpha() and first.lower not in names.texts  # "iPhone"
    if len(run) == 1 and ((first.kind in _BARE and not branded) or (first.kind == "number" and "." in first.text)):
        return list(names.texts.get(first.lower, ()))
    if len(run) == 1 and branded:
        return list(names.values.get((stem(first.lower),), ()))
    if (
        first.kind == "sign"
        or (last.kind == "sign" and last.lower != "+")
        or any(token.kind not in {"word", "number", "sign"} for token in run)
    ):
        return []
    key = tuple(token.stem for token in run if token.kind != "sign")
    found = list(names.values.get(key, ()))
    if any(
        one.how in {"value", "exact"} for one in found
    ):  # "google" of "google_drive" is not meant, where "google" is one
        found = [one for one in found if one.how != "part"]
    if not found and len(run) == 1 and first.lower.endswith("s"):  # "two P1s"
        found = list(names.texts.get(first.lower.removesuffix("s"), ()))
    if not found and len(key) > 1:
        found = [one for one in names.values.get(tuple(sorted(key)), ()) if one.how == "turned"]
    if not found and len(key) > 1:
        found = list(names.meant.get(frozenset(map(concept, key)), ()))
    if len(run) == 1 and not first.text.isupper() and first.lower in CODES_THAT_ARE_WORDS | _WORDS_THAT_ARE_CODES:
        return []
    if country_code(run) is not None:
        there = {(one.place.event, one.place.path) for one in found}
        for place in names.countries:
            country = country_of(run, place.field)
            spellings = same_country(place.field, country_code(run) or "")
            if country is not None and ((place.event, place.path) not in there or len(spellings) > 1):
                found = [one for one in found if (one.place.event, one.place.path) != (place.event, place.path)]
                found.append(Value(place, country, "country", tuple(one for one in spellings if one != country)))
    return found


def _segments(tokens: tuple[Token, ...], names: Names) -> Iterator[SegmentAnchor]:
    keys = [token.stem for token in tokens]
    for number, parts in names.segments:
        for at in range(len(tokens) - len(parts) + 1):
            if tuple(keys[at : at + len(parts)]) == parts:
                yield SegmentAnchor(at, at + len(parts), number, 1.0)
    for number, parts in names.shorter_segments:
        for at in range(len(tokens) - len(parts) + 1):
            if tuple(keys[at : at + len(parts)]) == parts and not _names_others(tokens, at + len(parts), names):
                yield SegmentAnchor(at, at + len(parts), number, 0.5)
    for at, token in enumerate(tokens):
        if token.kind == "quoted":
            key = tuple(part.stem for part in read(token.text) if part.kind != "sign")
            for number, parts in names.segments:
                if parts == key:
                    yield SegmentAnchor(at, at + 1, number, 1.0)


def _names_others(tokens: tuple[Token, ...], at: int, names: Names) -> bool:
    """Return whether the next word names others than the segment is of: "lapsed donors" are no "Lapsed Readers"."""
    token = tokens[at] if at < len(tokens) else None
    if token is None or token.kind != "word" or token.lower in lexicon.words("light") | lexicon.words("negations"):
        return False
    general = lexicon.stems("people") | lexicon.stems("group")
    return token.stem not in general and bool(names.evidence.get(concept(token.stem)) or agent(token.stem, token.lower))


def _phrases(tokens: tuple[Token, ...], table: Mapping[tuple[str, ...], str]) -> Iterator[WordAnchor]:
    """Yield the longest phrase of the table at each position."""
    longest = max(map(len, table))
    lowers = tuple("" if token.kind == "quoted" else token.lower for token in tokens)
    for at in range(len(tokens)):
        for size in range(min(longest, len(tokens) - at), 0, -1):
            if (kind := table.get(lowers[at : at + size])) is not None:
                yield WordAnchor(at, at + size, kind)
                break


def _closed(tokens: tuple[Token, ...], words: frozenset[str], kind: str) -> Iterator[WordAnchor]:
    return (WordAnchor(at, at + 1, kind) for at, token in enumerate(tokens) if token.lower in words)


def _of_several(tokens: tuple[Token, ...], one: WordAnchor) -> bool:
    """Return whether it turns several things around at once: "not (A and B)", which no rule reads."""
    return one.end < len(tokens) and tokens[one.end].lower == "("


def _pronouns(tokens: tuple[Token, ...]) -> Iterator[WordAnchor]:
    """Yield words that point back; "those who" points to nobody."""
    for at, token in enumerate(tokens):
        following = tokens[at + 1] if at + 1 < len(tokens) else None
        ends = following is None or following.kind == "sign" or following.lower in {"and", "but", "or", "either"}
        whom = token.lower in {"those", "these"} and not ends
        whom = whom or (
            token.lower == "it"
            and not _is_spoken_of(tokens, at)
            and following is not None
            and following.lower in _IS
            and not _is_object(tokens, at)
        )
        if token.lower in lexicon.words("pronouns") and not whom:
            yield WordAnchor(at, at + 1, "pronoun")


def _is_spoken_of(tokens: tuple[Token, ...], at: int) -> bool:
    """Return whether "it" is the one that was counted before: "only one order, and it was over 200"."""
    return at > 1 and tokens[at - 1].lower in {"and", "but", ","} and tokens[at + 1].lower in {"was", "is", "were"}


def _is_object(tokens: tuple[Token, ...], at: int) -> bool:
    """Return whether "it" is what something was done to: "booked yoga, cancelled it for work"."""
    before = tokens[at - 1] if at else None
    done = before is not None and before.kind == "word" and before.lower.endswith("ed")
    return done and tokens[at + 1].lower in {"for", "to", "and"}


_IS: Final = frozenset(
    {"is", "was", "would", "will", "should", "seems", "has", "were", "could", "might", "be", "for", "to", "and"}
)


def _title(tokens: tuple[Token, ...]) -> int:
    """Return the positions of a name that was given: "a segment called “Lapsed”", "a list named Early Birds of users who …"."""
    found, group = 0, lexicon.stems("group")
    for at, token in enumerate(tokens):
        if token.kind == "quoted" and at and tokens[at - 1].lower in TITLED | {"it", "as", ":"}:
            found |= mask(at, at + 1) | (1 << at - 1 if tokens[at - 1].lower in TITLED else 0)
        if token.lower in TITLED and at and tokens[at - 1].stem in group:
            end = at + 1
            while end < len(tokens) and tokens[end].text[:1].isupper() and end <= at + _TITLE:
                end += 1
            found |= mask(at, end) if end > at + 1 else 0
    return found


TITLED: Final = frozenset({"called", "named", "titled", "name", "labelled", "labeled"})
_TITLE: Final = 5  # words
