"""Holds what a definition may refer to in a tenant, as plain data, and finds the names nearest to a wrong one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from msgspec import Struct, field
from rapidfuzz import fuzz, utils
from rapidfuzz.distance import Prefix

from segment_copilot.language.nodes import Scalar
from segment_copilot.language.operators import PropertyOperator, ValueType

IDENTIFY = "context_identified"
"""The event type whose payload is a set of traits."""

MAX_SAMPLES: Final = 50
"""So many values of a name are kept; fewer means that there are no other short ones."""

MAX_SAMPLE_LENGTH: Final = 64
"""A longer text is not kept among the values of a name."""


class Probe(Struct, frozen=True):
    """Asks whether any stored value passes a test: its operator, what it compares with, and in which type."""

    operator: PropertyOperator
    value: Scalar
    value_type: ValueType | None = None
    ignore_case: bool = False


class Spellings(Struct, frozen=True):
    """Holds how a text is stored, in whatever case, with how many users or events have it; where it is not, near texts."""

    counts: Mapping[str, int]
    near: tuple[str, ...] = ()


class Answers(Struct, frozen=True):
    """Holds what the store was asked about a name, beyond its samples; the texts are in lower case."""

    spellings: Mapping[str, Spellings] = field(default_factory=dict[str, Spellings])
    passed: Mapping[Probe, bool] = field(default_factory=dict[Probe, bool])


class Question(Struct, frozen=True):
    """Asks the store about a property of these event types, or (none) a trait, what its samples do not tell."""

    event_types: tuple[str, ...]
    path: str
    texts: frozenset[str] = frozenset()  # whose spellings are wanted; in lower case
    probes: frozenset[Probe] = frozenset()


class Property(Struct, frozen=True):
    r"""A property of an event type, or a trait.

    *path* is as in a definition: dots walk into objects, a literal dot is ``\.``.
    """

    path: str
    types: tuple[ValueType, ...] = ()  # as observed; empty when only a schema names it
    declared: ValueType | None = None  # from the event schema; none of an object, and where any value will do
    description: str = ""
    samples: tuple[Scalar, ...] = ()  # distinct values seen, at most MAX_SAMPLES
    answers: Answers = Answers()
    schema_type: str | None = None  # as the schema writes it, "object" and "any" too; none when no schema names it
    required: bool = False  # by the schema

    @property
    def is_whole(self) -> bool:
        """True when the samples are all the short values that were ever seen."""
        return len(self.samples) < MAX_SAMPLES

    @property
    def told_types(self) -> tuple[str, ...]:
        """The declared type, or what was seen where none is declared that values compare in."""
        return (self.declared,) if self.declared else self.types or ((self.schema_type,) if self.schema_type else ())


class EventType(Struct, frozen=True):
    """An event type that was seen or has a schema."""

    name: str
    description: str = ""
    event_count: int = 0  # forwarded so far; 0: only a schema names it
    last_seen: datetime | None = None
    properties: Mapping[str, Property] = field(default_factory=dict[str, Property])
    is_declared: bool = False  # by a schema
    is_strict: bool = False  # that schema refuses what violates it


class SegmentName(Struct, frozen=True):
    """A segment as others refer to it."""

    id: int
    name: str
    description: str = ""


class Catalog(Struct, frozen=True):
    """Everything one tenant's definitions may refer to, at one moment."""

    timezone: str = "UTC"
    event_types: Mapping[str, EventType] = field(default_factory=dict[str, EventType])  # without context_identified
    traits: Mapping[str, Property] = field(default_factory=dict[str, Property])
    segments: Mapping[int, SegmentName] = field(default_factory=dict[int, SegmentName])


def nearest(name: str, names: Iterable[str], *, limit: int = 3) -> tuple[str, ...]:
    """Return the names that *name* may be meant for, best first, each once; of none that is near, none.

    Near is what is spelled nearly so, whatever the case and the signs between words, and what has all words of the
    other. A list of names is told by other means: what comes back here is meant to be taken.
    """
    wanted = utils.default_process(name[:_COMPARED])
    near = [(score, one) for one in dict.fromkeys(names) if (score := _likeness(name, wanted, one)) >= _NEAR]
    return tuple(one for _, one in sorted(near, key=lambda pair: -pair[0])[:limit])


_NEAR: Final = 75.0  # percent of the letters of both: "sael" and "sale", but not "amount" and "count", "US" and "ES"
_COMPARED: Final = 64  # characters of a name: what is longer costs more than it tells
_TELLING: Final = 3  # letters: a shorter word says too little
_STEM: Final = 0.6  # of a word's letters: the rest may be an ending


def _likeness(name: str, wanted: str, choice: str) -> float:
    """Return how like two names are, from 0 to 100; 101 is the same in another case."""
    there = utils.default_process(choice[:_COMPARED])
    if not wanted or not there:
        return fuzz.ratio(name, choice)
    if wanted == there:
        return 101.0 if name.casefold() == choice.casefold() else 100.0
    spelled = max(fuzz.ratio(wanted, there), fuzz.ratio(wanted.replace(" ", ""), there.replace(" ", "")))
    fewer, more = sorted((wanted.split(), there.split()), key=len)
    if all(any(_are_alike(word, other) for other in more) for word in fewer):
        return max(spelled, _NEAR + spelled / 10)
    return spelled


def _are_alike(word: str, other: str) -> bool:
    """Return whether two words are one, misspelled or with another ending: "ordr" and "order", "prices" and "pricing"."""
    shorter = min(len(word), len(other))
    alike = Prefix.similarity(word, other)
    return shorter >= _TELLING and (fuzz.ratio(word, other) >= _NEAR or (alike > _TELLING and alike >= _STEM * shorter))
