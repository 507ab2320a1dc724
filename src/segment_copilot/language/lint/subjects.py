"""Proves that conditions on the values of a user cannot hold together, or cannot fail.

A *subject* is one value of a user (how many orders in the last 30 days, the trait `age` as a number). A condition is
the set of values for which it holds. Conditions on one subject are joined by intersecting their sets, so an empty set
proves that nobody can match; what is not proved is not claimed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import Any, Final, Literal

from msgspec import Struct

Cut = tuple[Any, ...]
"""A place between values: (0, value, 0) is just below the value and (0, value, 1) just above it."""

LOWEST: Final[Cut] = (-1,)
HIGHEST: Final[Cut] = (1,)
Span = tuple[Cut, Cut]


def below(value: Any, *, whole: bool = False) -> Cut:
    """Return the cut just below *value*; among whole numbers, just below the next of them."""
    return (0, math.ceil(value), 0) if whole else (0, value, 0)


def above(value: Any, *, whole: bool = False) -> Cut:
    """Return the cut just above *value*."""
    return (0, math.floor(value) + 1, 0) if whole else (0, value, 1)


class Values(Struct, frozen=True):
    """A set of values is disjoint spans in order, and whether a missing value is in it."""

    spans: tuple[Span, ...]
    missing: bool = False

    @property
    def empty(self) -> bool:
        """True when no value, and not even a missing one, is in it."""
        return not self.spans and not self.missing

    def __and__(self, other: Values) -> Values:
        overlaps, ours, theirs = list[Span](), 0, 0
        while ours < len(self.spans) and theirs < len(other.spans):
            (low, high), (other_low, other_high) = self.spans[ours], other.spans[theirs]
            start, end = max(low, other_low), min(high, other_high)
            if start < end:
                overlaps.append((start, end))
            if high < other_high:
                ours += 1
            else:
                theirs += 1
        return Values(tuple(overlaps), self.missing and other.missing)

    def outside(self, domain: Values) -> Values:
        """Return the values of *domain* that are not in this set."""
        ends = [LOWEST, *(cut for span in self.spans for cut in span), HIGHEST]
        gaps = tuple((low, high) for low, high in zip(ends[::2], ends[1::2], strict=True) if low < high)
        return Values(gaps, missing=not self.missing) & domain


def spans(*ends: Span) -> Values:
    """Return the values that lie in one of the spans, which may overlap or be empty."""
    merged = list[Span]()
    for low, high in sorted(end for end in ends if end[0] < end[1]):
        if merged and low <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(high, merged[-1][1])
        else:
            merged.append((low, high))
    return Values(tuple(merged))


class Subject(Struct, frozen=True):
    """A subject is one value of a user, and which values it can have.

    *place* is where a stored value lies: when it is not set there, every reading of it is missing. *events* are those
    it is made of, the window last: without any of them it is missing, or 0 where it cannot be missing. *role* marks
    the number of those events, and whether a value is set.
    """

    name: tuple[Any, ...]
    domain: Values
    role: Literal["count", "presence", "other"] = "other"
    place: tuple[Any, ...] = ()
    events: tuple[Any, ...] = ()


class Constraint(Struct, frozen=True):
    """A constraint says that the value of *subject* is in *values*."""

    subject: Subject
    values: Values


class Junction(Struct, frozen=True):
    """Joins two parts or more, none of which is joined by the same logic."""

    logic: Literal["AND", "OR"]
    parts: frozenset[Term]


Term = Constraint | Junction


def complement(term: Term) -> Term:
    """Return the term that holds when *term* does not."""
    if isinstance(term, Constraint):
        return Constraint(term.subject, term.values.outside(term.subject.domain))
    return Junction("OR" if term.logic == "AND" else "AND", frozenset(complement(part) for part in term.parts))


def join(logic: str, terms: Sequence[Term]) -> Term | bool:
    """Return the terms as one; False (True) when it is proved that they hold for nobody (everybody)."""
    if logic == "AND":
        return _all_of(terms)
    neither = _all_of([complement(term) for term in terms])
    return not neither if isinstance(neither, bool) else complement(neither)


def at_least(least: int, terms: Sequence[Term]) -> Term | bool:
    """Return, as `join` does, that at least so many of the terms hold: all of some, or else of some others."""
    if math.comb(len(terms), least) > _MOST_CHOICES:
        whether = Subject(("at least", least, tuple(terms)), _YES_OR_NO)
        return Constraint(whether, _YES)
    choices = [join("AND", some) for some in combinations(terms, least)]
    if any(choice is True for choice in choices):
        return True
    return join("OR", [choice for choice in choices if not isinstance(choice, bool)])


def _all_of(terms: Sequence[Term]) -> Term | bool:
    known = set(terms)
    if any(complement(term) in known for term in terms if isinstance(term, Junction)):
        return False
    values, choices = dict[Subject, Values](), list[Junction]()
    for term in terms:
        _assert(term, values, choices)
    if _is_impossible(values, choices):
        return False
    parts: list[Term] = [Constraint(*each) for each in values.items() if each[1] != each[0].domain]
    parts.extend(choices)
    if not parts:
        return True
    return parts[0] if len(parts) == 1 else Junction("AND", frozenset(parts))


def _assert(term: Term, values: dict[Subject, Values], choices: list[Junction]) -> None:
    """Note that *term* holds: narrow the values of its subjects, or keep it as a choice between its parts."""
    match term:
        case Constraint(subject, allowed):
            values[subject] = values.get(subject, subject.domain) & allowed
        case Junction("AND", parts):
            for part in parts:
                _assert(part, values, choices)
        case _:
            choices.append(term)


def _is_impossible(values: dict[Subject, Values], choices: Sequence[Junction]) -> bool:
    """Narrow until nothing more follows. A choice of which one part is left is no choice."""
    values, open_ = dict(values), list(choices)
    while True:
        if any(allowed.empty for allowed in values.values()) or _breaks_a_link(values):
            return True
        left = list[Junction]()
        before = len(open_)
        for choice in open_:
            possible = [part for part in choice.parts if _may_hold(part, values)]
            if not possible:
                return True
            if len(possible) == 1:
                _assert(possible[0], values, left)
            else:
                left.append(choice)
        if len(left) >= before:
            return False
        open_ = left


def _may_hold(term: Term, values: dict[Subject, Values]) -> bool:
    if isinstance(term, Constraint):
        return not (values.get(term.subject, term.subject.domain) & term.values).empty
    possible = (_may_hold(part, values) for part in term.parts)
    return all(possible) if term.logic == "AND" else any(possible)


def _breaks_a_link(values: dict[Subject, Values]) -> bool:
    """Find a value that is not set but would have to be, or one made of events of which there are none."""
    unset = {subject.place for subject, allowed in values.items() if subject.role == "presence" and not allowed.spans}
    none = {subject.events for subject, allowed in values.items() if subject.role == "count" and allowed == _NONE}
    return any(
        (subject.place in unset and not allowed.missing)
        or (not none.isdisjoint(_events_of(subject)) and not _holds_without_events(subject, allowed))
        for subject, allowed in values.items()
    )


def _events_of(subject: Subject) -> set[tuple[Any, ...]]:
    """Return the events of a subject in its window, and the same in all history."""
    return {subject.events, (*subject.events[:-1], "")} if subject.events else set()


def _holds_without_events(subject: Subject, allowed: Values) -> bool:
    return allowed.missing if subject.domain.missing else not (allowed & _NOTHING).empty


_MOST_CHOICES: Final = 100  # so many are looked through, each beside all others
_YES: Final = spans((below(1, whole=True), above(1, whole=True)))
_YES_OR_NO: Final = spans((below(0, whole=True), above(1, whole=True)))
_NONE: Final = spans((below(0, whole=True), above(0, whole=True)))
_NOTHING: Final = spans((below(0), above(0)))
