"""Finds which question a message asks: one table of intents (intents.toml), and the first whose way fits and leaves no word over.

A way is a set of items that have to occur, in any order, each on words of its own:

- `word`: a word of that stem; `=word`: that very word; `?`, `:`: a sign; `two_words`: these words side by side; `@class`: a word or phrase of a class;
  `one|@another`: any of them; `^item`: at the head of the message, whatever else stands on its words; `!item`: must not occur.
- `{segment}`, `{two}`: one segment, two; `{base}`: what the person looks at, pointed to; `{window}`, `{windows}`: one time
  span, two; `{window?}`, `{number?}`: may be there; `{user}`: the id of a user; `{event}`, `{kind}`, `{field}`: the words left over
  name an event type (with filters, without), a property or trait; `{unknown}`: they would be a segment's name; `{audience}`: from the first people on it is one;
  `{rest}`: whatever they are. `{noun}`: the message is no clause of what people did.

What an intent `may` say besides are words and classes that count for nothing there.
"""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any, Final

import msgspec
from msgspec import Struct

from segment_copilot.english.questions.named import Happened, Owned, Unfit, event_in, field_in, is_noun
from segment_copilot.english.questions.question import Question
from segment_copilot.english.times.windows import Window
from segment_copilot.english.words.lexer import Token, written
from segment_copilot.english.words.stems import stem
from segment_copilot.language.catalog import SegmentName

_PAIR: Final = 2
_LONGEST: Final = 5  # words of a name
_OF_THINGS: Final = frozenset({"event", "field", "kind", "audience", "unknown"})
"""Slots of questions that are none when a message speaks of people and what they did."""


class Words(Struct, frozen=True):
    """A class of words: stems of single ones, words and phrases that count as they are written."""

    stems: frozenset[str] = frozenset()
    exact: frozenset[str] = frozenset()
    phrases: tuple[tuple[str, ...], ...] = ()

    def has(self, token: Token) -> bool:
        """Return whether a single word is of the class."""
        return token.stem in self.stems or token.lower in self.exact


class Intent(Struct, frozen=True):
    """An intent is a row of the table: its ways, and which answer it has, with which settings."""

    name: str
    ways: tuple[str, ...]
    answer: str = "say"
    may: str = ""
    settings: Mapping[str, Any] = {}
    say: tuple[str, ...] = ()
    refuse: tuple[str, ...] = ()  # said in place of what was asked for
    follows: bool = True  # whether a message after it may lean on it
    orders: bool = False  # it is told to do something: a message that begins with what was done is none


class Slots(Struct, frozen=True):
    """Holds what the words of a question filled in."""

    segments: tuple[SegmentName, ...] = ()
    windows: tuple[Window, ...] = ()
    number: int | None = None
    user: str = ""
    event: Happened | None = None
    field: Owned | None = None
    text: str = ""  # the words of {unknown}, {audience} and {rest}
    said: tuple[str, ...] = ()  # every word
    ever: bool = False
    base: bool = False  # it is about what the person looks at
    classes: frozenset[str] = frozenset()  # the classes of `may` and of the way that occur
    notes: tuple[str, ...] = ()

    @property
    def window(self) -> Window | None:
        """The first time span."""
        return self.windows[0] if self.windows else None


class Understood(Struct, frozen=True):
    """A question that was understood: its row, and what its words filled in."""

    intent: Intent
    slots: Slots
    unfit: str = ""  # why the names in it do not go together


class _Found(Struct, frozen=True):
    """What a way found: the words that are spoken for, and the classes they are of."""

    spent: frozenset[int]
    classes: frozenset[str]


@cache
def _document() -> Mapping[str, Any]:
    return tomllib.loads(
        (resources.files("segment_copilot.english.questions") / "intents.toml").read_text(encoding="utf-8")
    )


@cache
def table() -> tuple[Intent, ...]:
    """Return the rows in the order in which they are tried."""
    fields = set(Intent.__struct_fields__)
    return tuple(
        msgspec.convert(
            {"name": name, **row, "settings": {key: value for key, value in row.items() if key not in fields}}, Intent
        )
        for name, row in _document()["intent"].items()
    )


@cache
def words_of(name: str) -> Words:
    """Return a class of words."""
    return _class(_document()["words"][name].split())


@cache
def _words(item: str) -> Words:
    """Return the class of an item, or the words of it."""
    return words_of(item[1:]) if item.startswith("@") else _class([item])


def _class(said: Sequence[str]) -> Words:
    return Words(
        stems=frozenset(stem(one) for one in said if "_" not in one and not one.startswith("=")),
        exact=frozenset(one[1:] for one in said if one.startswith("=") and one[1:].isalnum()),
        phrases=tuple(
            tuple((one.removeprefix("=") or one).split("_"))
            for one in said
            if "_" in one or not one.strip("=").isalnum()
        ),
    )


@cache
def phrases_of(name: str) -> tuple[str, ...]:
    """Return the words and phrases of a class as they are written, the longest first."""
    return tuple(sorted((one.replace("_", " ") for one in _document()["words"][name].split()), key=len, reverse=True))


@cache
def known_words() -> frozenset[str]:
    """Return every word of the table: none of them is a slip of another."""
    said = [*_document()["words"].values(), *(way for row in _document()["intent"].values() for way in row["ways"])]
    parts = (part for text in said for item in text.split() for part in item.replace("|", "_").split("_"))
    return frozenset(word for part in parts if (word := part.strip("@^!={}?")).isalpha())


def asked(
    question: Question, *, base: bool = False, inherited: Slots | None = None, only: Sequence[str] = ()
) -> Understood | None:
    """Return the question that a message asks; None when no row fits.

    *base* when the person looks at something; *inherited* are slots that the question before filled. *only* some rows, by name.
    """
    for intent in table():
        if intent.orders and question.begins_in_the_past:
            continue
        for way in intent.ways if not only or intent.name in only else ():
            found = _fits(way.split(), intent, question, base=base, inherited=inherited)
            if found is not None:
                return found
    return None


def _fits(
    way: Sequence[str], intent: Intent, question: Question, *, base: bool, inherited: Slots | None
) -> Understood | None:
    slots = frozenset(item[1:-1] for item in way if item.startswith("{"))
    if not _has_slots(slots, question, base=base, inherited=inherited):
        return None
    found = _items([item for item in way if not item.startswith("{")], question)
    if found is None:
        return None
    spent, classes = set(found.spent), set(found.classes)
    for item in f"{intent.may} {'@pointing' if 'base' in slots else ''}".split():
        places = _all(_words(item), question)
        if places:
            classes |= {item[1:]} if item.startswith("@") else set()
            spent |= places
    if "number?" in slots and question.number_at is not None:
        spent.add(question.number_at)
    left = tuple(at for at in question.free if at not in spent and not _asks(question, at))
    return _filled(intent, slots, question, frozenset(spent), left, frozenset(classes), inherited)


def _has_slots(slots: frozenset[str], question: Question, *, base: bool, inherited: Slots | None) -> bool:
    """Return whether what a way needs is there, and nothing is there that it has no place for."""
    if question.tells and slots & _OF_THINGS:
        return False
    segments = len(question.segments)
    wanted = _PAIR if "two" in slots else 1 if "segment" in slots else 0
    if segments != wanted and not (
        (slots & {"rest", "audience"} and segments)
        or (wanted and not segments and inherited and len(inherited.segments) == wanted)
    ):
        return False
    windows = len(question.windows)
    if windows > (_PAIR if "windows" in slots else 1 if slots & {"window", "window?"} else 0) and not (
        slots & {"rest", "audience"}
    ):
        return False
    if "windows" in slots and windows != _PAIR:
        return False
    if "window" in slots and not windows and not (inherited and inherited.windows):
        return False
    return ("user" in slots) == bool(question.user) and ("base" not in slots or base)


def _items(items: Sequence[str], question: Question) -> _Found | None:
    spent: set[int] = set()
    heads: set[int] = set()
    classes: set[str] = set()
    for item in items:
        if item.startswith("!"):
            if any(_one(one, question, frozenset()) for one in item[1:].split("|")):
                return None
            continue
        head = item.startswith("^")
        for one in item.lstrip("^").split("|"):
            places = _one(one, question, frozenset() if head else frozenset(spent), head=head)
            if places:
                (heads if head else spent).update(places)
                classes |= {one[1:]} if one.startswith("@") else set()
                break
        else:
            return None
    return _Found(frozenset(spent | heads), frozenset(classes))


def _one(item: str, question: Question, spent: frozenset[int], *, head: bool = False) -> tuple[int, ...]:
    """Return the first places where an item stands on words that nothing else took."""
    words, first = _words(item), _head(question)
    for phrase in sorted(words.phrases, key=len, reverse=True):
        places = question.phrase_at(phrase)
        if (
            places
            and question.compared.isdisjoint(places)
            and spent.isdisjoint(places)
            and (not head or places[0] <= first)
        ):
            return places
    for at in question.free:
        if at not in spent | question.compared and words.has(question.tokens[at]) and (not head or at <= first):
            return (at,)
    return ()


def _all(words: Words, question: Question) -> set[int]:
    places = {at for phrase in words.phrases for at in question.phrase_at(phrase)}
    return places | {at for at in question.free if words.has(question.tokens[at]) and at not in question.compared}


def _head(question: Question) -> int:
    """Return the place of the first word, politeness aside."""
    polite = words_of("polite")
    return next((at for at in question.free if not polite.has(question.tokens[at])), len(question.tokens))


def _asks(question: Question, at: int) -> bool:
    """Return whether a word only asks, and names nothing."""
    token = question.tokens[at]
    return token.kind == "word" and (token.stem in words_of("asking").stems or token.lower in _light())


@cache
def _light() -> frozenset[str]:
    return frozenset(_document()["words"]["light"].split())


def _filled(
    intent: Intent,
    slots: frozenset[str],
    question: Question,
    spent: frozenset[int],
    left: tuple[int, ...],
    classes: frozenset[str],
    inherited: Slots | None,
) -> Understood | None:
    if "noun" in slots and not is_noun(question):
        return None
    before = inherited or Slots()
    event, field, text, unfit = None, None, "", ""
    if "field" in slots:
        found = field_in(question, spent, left, before.event.event_type if before.event and "event?" in slots else "")
        if isinstance(found, Unfit):
            unfit = found.sentence
        field = found if isinstance(found, Owned) else None
        if field is None and not unfit:
            return None
        if field is not None and not field.event_type and ("noun" in slots or question.windows):
            return None
    elif slots & {"event", "kind"}:
        event = event_in(question, spent, left) if left else before.event
        if event is None or (event.tests and "kind" in slots):
            return None
    elif slots & {"rest", "audience", "unknown"}:
        people = next(
            (at for at in question.free if words_of("people").has(question.tokens[at])), max(spent, default=-1) + 1
        )
        kept = range(people, len(question.tokens)) if "audience" in slots else left
        kept = _named(question, left) if "unknown" in slots else kept
        text = written([question.tokens[at] for at in kept])
        if "rest" not in slots and not left:
            return None
        if "unknown" in slots and not (
            len(left) <= _LONGEST and all(question.tokens[at].kind in _NAMING for at in left)
        ):
            return None
    elif left:
        return None
    filled = Slots(
        segments=question.segments or (before.segments if slots & {"segment", "two"} else ()),
        windows=question.windows or (before.windows if slots & {"window", "window?"} else ()),
        number=question.number if "number?" in slots else None,
        user=question.user,
        event=event,
        field=field,
        text=text,
        said=question.lowers,
        ever=question.ever,
        base="base" in slots,
        classes=classes,
        notes=question.notes,
    )
    return Understood(intent, filled, unfit)


def _named(question: Question, left: Sequence[int]) -> Sequence[int]:
    """Return the words of a name with those beside them that are written as names are: "Platinum People"."""
    end = left[-1] + 1 if left else len(question.tokens)
    behind = itertools.takewhile(lambda at: question.tokens[at].text[:1].isupper(), range(end, len(question.tokens)))
    return (*left, *behind)


_NAMING: Final = {"word", "name", "quoted", "number"}


def content(tokens: Sequence[Token]) -> tuple[Token, ...]:
    """Return the tokens that are no signs and do not only ask."""
    asking, light = words_of("asking").stems, _light()
    return tuple(
        token for token in tokens if token.kind != "sign" and token.stem not in asking and token.lower not in light
    )
