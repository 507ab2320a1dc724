"""Says things of a person as atoms: how often something happened, one of the events, what they add up to, a trait."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from segment_copilot.language.catalog import IDENTIFY
from segment_copilot.language.equivalence import values
from segment_copilot.language.equivalence.propositions import Statement, any_of
from segment_copilot.language.equivalence.spans import Span
from segment_copilot.language.equivalence.values import Term


class Events(Struct, frozen=True):
    """Holds which events: of these types (in order), that pass one of the alternatives, in a span."""

    types: tuple[str, ...]
    alternatives: tuple[Term, ...]
    span: Span

    def are_all(self, other: Events) -> bool:
        """Return whether each of these events is surely one of the others."""
        return (
            self.span.lies_in(other.span)
            and (set(self.types) <= set(other.types) or (other.types == ("*",) and IDENTIFY not in self.types))
            and all(any(values.term_implies(one, two) for two in other.alternatives) for one in self.alternatives)
        )


class Count(Struct, frozen=True):
    """There are at least so many events."""

    events: Events
    least: int


class OneEvent(Struct, frozen=True):
    """The latest or first of the events passes a test."""

    which: Literal["latest", "first", "when_latest", "when_first"]
    events: Events
    test: values.Atom


class Amount(Struct, frozen=True):
    """Says that what the events' values add up to is more than a number (or also the number itself); None: there is a value."""

    metric: str
    events: Events
    path: str
    value: float | None = None
    is_in: bool = True


class Trait(Struct, frozen=True):
    """Says that what is known of a person passes a test."""

    test: values.Atom


class Periods(Struct, frozen=True):
    """At least so many of the last periods have so many of the events."""

    events: Events
    period: str
    last: int
    each: int
    least: int


class Other(Struct, frozen=True):
    """Whatever only equals itself."""

    kind: str
    what: Any


def happened(events: Events, least: int = 1) -> Statement:
    """Return that there are at least so many events; of at least one, which types and which alternatives part."""
    if least <= 0:
        return True
    if not events.alternatives:
        return False
    if least > 1:
        return Count(events, least)
    return any_of(
        Count(replace(events, types=(name,), alternatives=(term,)), 1)
        for name in events.types
        for term in events.alternatives
    )


def loose(atom: Any) -> Any:
    """Return an atom in whose span the very instants of its ends make no difference."""
    if isinstance(atom, Count | OneEvent | Amount | Periods):
        return replace(atom, events=replace(atom.events, span=atom.events.span.loose()))
    return atom


def implies(one: Any, other: Any) -> bool:
    """Return whether the first is true of nobody without the second."""
    match one, other:
        case Count(), Count():
            return one.least >= other.least and one.events.are_all(other.events)
        case Trait(), Trait():
            return values.implies(one.test, other.test)
        case OneEvent(), OneEvent():
            return (one.which, one.events) == (other.which, other.events) and values.implies(one.test, other.test)
        case Amount(), Amount() if (one.metric, one.events, one.path) == (other.metric, other.events, other.path):
            return _is_as_high(one, other)
        case Amount(), Amount() if other.metric == "present" and one.metric in {"avg", "median"}:
            return (one.events, one.path) == (other.events, other.path)
        case Periods(), Periods():
            return replace(one, least=other.least) == other and one.least >= other.least
        case _:
            return False


def _is_as_high(one: Amount, other: Amount) -> bool:
    if one.value is None or other.value is None:
        return other.value is None
    return one.value > other.value or (one.value == other.value and (other.is_in or not one.is_in))


def excludes(one: Any, other: Any) -> bool:
    """Return whether the two are true of nobody together."""
    match one, other:
        case Trait(), Trait():
            return values.excludes(one.test, other.test)
        case OneEvent(), OneEvent():
            return (one.which, one.events) == (other.which, other.events) and values.excludes(one.test, other.test)
        case _:
            return False
