"""Tests of one value as statements about atoms: which of them follow from one another, and which exclude one another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, Literal, assert_never

from msgspec import Struct

from segment_copilot.language.equivalence.propositions import Joined, Not, Statement, all_of, any_of, negation
from segment_copilot.language.equivalence.spans import (
    NOW,
    Bound,
    Span,
    ago,
    ahead,
    dates_in,
    is_bare_date,
    is_surely_later,
    next_day,
    normal_length,
)
from segment_copilot.language.nodes import DateWindow, EventProperty, PropertyTest, UserProperty
from segment_copilot.language.operators import DATETIMES, OPERATORS, POSITIVE_OF, ValueType
from segment_copilot.language.value_types import operands, other_value, resolve_type

Sign = Literal["=", ">", ">=", "<", "<="]
_MANY: Final = 24  # values or terms: more are not taken apart


class Atom(Struct, frozen=True):
    """A test that is true of some values that are there, and false of a missing one."""

    path: str
    value_type: str | None  # what it compares in
    sign: (
        str  # a sign, the name of an operator, "there" (a value of the type), "set", or of a bound "since" and "until"
    )
    value: Any = None
    ignore_case: bool = False


Term = tuple[tuple[Atom, bool], ...]
"""Tests that are all true, or false where the second says so; in order."""


def test_of(test: PropertyTest | UserProperty | EventProperty, declared: ValueType | None) -> Statement:
    """Return what a test says of the value; its `negate` is left out of account where it is a condition's."""
    value_type = resolve_type(test, declared)
    positive = POSITIVE_OF.get(test.operator, test.operator)
    statement = _positive(test, positive, value_type)
    return statement if positive == test.operator else negation(statement)


def there(path: str, value_type: ValueType) -> Atom:
    """Return that there is a value of the type."""
    return Atom(path, value_type, "there")


def compared(
    path: str, value_type: ValueType | None, sign: Sign, value: Any, *, ignore_case: bool = False
) -> Statement:
    """Return how a value compares; dates as whole days."""
    if value_type == "number":
        return Atom(path, value_type, sign, float(value))
    if value_type in DATETIMES and is_bare_date(value):
        match sign:
            case "=":
                later = Atom(path, value_type, "<", next_day(value))
                return all_of([Atom(path, value_type, ">=", value), later])
            case ">":
                return Atom(path, value_type, ">=", next_day(value))
            case "<=":
                return Atom(path, value_type, "<", next_day(value))
            case ">=" | "<":
                pass
            case _:
                assert_never(sign)
    return Atom(path, value_type, sign, value, ignore_case)


def _positive(
    test: PropertyTest | UserProperty | EventProperty, operator: str, value_type: ValueType | None
) -> Statement:
    row = OPERATORS[operator]
    path, values = test.property, operands(test)

    def compare(sign: Sign, value: Any) -> Statement:
        return compared(path, value_type, sign, value, ignore_case=test.ignore_case)

    def opaque(value: Any = None) -> Atom:
        return Atom(path, value_type, operator, value, test.ignore_case)

    if (other := other_value(test)) is not None:
        return opaque(("other", other.kind, other.path))
    match operator:
        case "is_set":
            return Atom(path, None, "set")
        case "in_last":
            return _dated(path, value_type, Span(ago(str(values[0])), NOW))
        case "in_next":
            return _dated(path, value_type, Span(NOW.opposite(), ahead(str(values[0]))))
        case "in_window" if isinstance(test.value, DateWindow):
            return _dated(path, value_type, dates_in(test.value))
        case "anniversary_in" | "anniversary_in_next" | "anniversary_in_last":
            return anniversary(path, value_type, operator, test.value)
        case "is_true" | "is_false":
            return Atom(path, "boolean", "=", operator == "is_true")
        case "between":
            return all_of([compare(">=", values[0]), compare("<=", values[1])])
        case "contains_any" | "contains_all" if len(values) <= _MANY:
            join = any_of if operator == "contains_any" else all_of
            return join(Atom(path, value_type, "contains_any", (_typed(value),), test.ignore_case) for value in values)
        case _:
            pass
    if row.sign is not None and row.sign != ".." and len(values) <= _MANY:
        sign: Sign = row.sign
        return any_of(compare(sign, value) for value in values)
    return opaque(tuple(sorted({_typed(value) for value in values})))


def _dated(path: str, value_type: ValueType | None, span: Span) -> Statement:
    """Return that a date lies in a span; ends that are written as dates are those of comparisons."""

    def end(bound: Bound | None, sign: Sign, name: str) -> Statement:
        if bound is None:
            return True
        return (
            compared(path, value_type, sign, bound.unit) if bound.kind == "at" else Atom(path, value_type, name, bound)
        )

    return all_of([end(span.lower, ">=", "since"), end(span.upper, "<", "until")])


def anniversary(path: str, value_type: ValueType | None, operator: str, value: object) -> Atom:
    """Return that a day comes round; today is one thing however it is said."""
    match value:
        case DateWindow(period="today"):
            told = "anniversary_in_next", ("str", "0d")
        case DateWindow(month=int(month)):
            told = operator, ("month", month)
        case DateWindow():
            told = operator, ("period", value.period)
        case _:
            length = normal_length(str(value))
            told = operator if length != "0d" else "anniversary_in_next", ("str", length)
    return Atom(path, value_type, told[0], (told[1],))


def _typed(value: Any) -> tuple[str, Any]:
    return (
        ("number", float(value))
        if isinstance(value, int | float) and not isinstance(value, bool)
        else (
            type(value).__name__,
            value,
        )
    )


# What follows from what.


def implies(one: Atom, other: Atom) -> bool:
    """Return whether every value that passes one test passes the other."""
    if one.path != other.path:
        return False
    if other.sign == "set":
        return True
    if one.value_type != other.value_type or one.value_type is None:
        return False
    if other.sign == "there":
        return True
    if isinstance(one.value, Bound) and isinstance(other.value, Bound):
        return _bounds_imply(one.sign, one.value, other.sign, other.value)
    if one.ignore_case or other.ignore_case or not _is_comparable(one, other):
        return False
    match one.sign, other.sign:
        case "=", _:
            return _holds(one.value, other.sign, other.value)
        case (">" | ">=", ">" | ">="):
            return one.value > other.value or (one.value == other.value and (one.sign == ">" or other.sign == ">="))
        case ("<" | "<=", "<" | "<="):
            return one.value < other.value or (one.value == other.value and (one.sign == "<" or other.sign == "<="))
        case _:
            return False


def excludes(one: Atom, other: Atom) -> bool:
    """Return whether no value passes both tests."""
    if one.path != other.path or one.value_type != other.value_type or one.value_type is None:
        return False
    if isinstance(one.value, Bound) and isinstance(other.value, Bound):
        since, until = (one, other) if one.sign == "since" else (other, one)
        return until.sign == "until" and _bounds_imply(one.sign, since.value, since.sign, until.value.opposite())
    if one.ignore_case or other.ignore_case or not _is_comparable(one, other):
        return False
    if "=" in {one.sign, other.sign}:
        value, told = (one, other) if one.sign == "=" else (other, one)
        return not _holds(value.value, told.sign, told.value)
    upper, lower = (one, other) if one.sign in {"<", "<="} else (other, one)
    if upper.sign not in {"<", "<="} or lower.sign not in {">", ">="}:
        return False
    return upper.value < lower.value or (upper.value == lower.value and (upper.sign, lower.sign) != ("<=", ">="))


def _bounds_imply(sign: str, bound: Bound, other_sign: str, other: Bound) -> bool:
    """Return whether a date that lies on this side of one bound surely lies on that side of the other."""
    if sign != other_sign:
        return False
    if sign == "since":
        return is_surely_later(bound, other, is_end=False)
    return is_surely_later(other, bound, is_end=True)


_SIGNS: Final = frozenset({"=", ">", ">=", "<", "<="})


def _is_comparable(one: Atom, other: Atom) -> bool:
    if one.sign not in _SIGNS or other.sign not in _SIGNS or type(one.value) is not type(other.value):
        return False
    return one.value_type not in DATETIMES or (is_bare_date(one.value) and is_bare_date(other.value))


def _holds(value: Any, sign: str, other: Any) -> bool:
    match sign:
        case "=":
            return value == other
        case ">":
            return value > other
        case ">=":
            return value >= other
        case "<":
            return value < other
        case _:
            return value <= other


# Which events: a test of several values as a list of alternatives.


def alternatives(statement: Statement) -> tuple[Term, ...]:
    """Return the alternatives of which one must hold, each simplified; none: nothing passes; an empty one: everything.

    Where there would be too many, the whole statement stands as one atom.
    """
    terms = _terms(statement)
    if terms is None:
        return (((Atom("", None, "statement", repr(statement)), True),),)
    simple = [term for term in (_simplified(term) for term in terms) if term is not None]
    kept = [
        term
        for place, term in enumerate(simple)
        if not any(
            term_implies(term, other) and (not term_implies(other, term) or before < place)
            for before, other in enumerate(simple)
            if before != place
        )
    ]
    return tuple(sorted(kept, key=repr))


def _terms(statement: Statement) -> list[dict[Atom, bool]] | None:
    """Return the alternatives as they come; a contradiction is left out."""
    match statement:
        case True:
            return [{}]
        case False:
            return []
        case Not():
            return [{statement.part: False}]
        case Joined(is_all=False):
            found = [_terms(part) for part in statement.parts]
            flat = [term for terms in found if terms is not None for term in terms]
            return None if None in found or len(flat) > _MANY else flat
        case Joined():
            joined: list[dict[Atom, bool]] = [{}]
            for part in statement.parts:
                terms = _terms(part)
                if terms is None:
                    return None
                joined = list(_products(joined, terms))
                if len(joined) > _MANY:
                    return None
            return joined
        case Atom():
            return [{statement: True}]
        case _:
            raise TypeError(statement)


def _products(ones: list[dict[Atom, bool]], others: list[dict[Atom, bool]]) -> Iterator[dict[Atom, bool]]:
    for one in ones:
        for other in others:
            if all(one.get(atom, told) == told for atom, told in other.items()):
                yield one | other


def _simplified(term: dict[Atom, bool]) -> Term | None:
    """Return a term without what follows from the rest of it, in order; None when it contradicts itself."""
    literals = sorted(term.items(), key=repr)
    kept = list[tuple[Atom, bool]]()
    for place, (atom, told) in enumerate(literals):
        others = [literal for before, literal in enumerate(literals) if before != place]
        if any(_literal_implies(other, (atom, not told)) for other in others):
            return None
        told_already = (
            _literal_implies(other, (atom, told)) and (not _literal_implies((atom, told), other) or other in kept)
            for other in others
        )
        if not any(told_already):
            kept.append((atom, told))
    return tuple(kept)


def _literal_implies(one: tuple[Atom, bool], other: tuple[Atom, bool]) -> bool:
    match one[1], other[1]:
        case True, True:
            return one[0] == other[0] or implies(one[0], other[0])
        case True, False:
            return excludes(one[0], other[0])
        case False, False:
            return one[0] == other[0] or implies(other[0], one[0])
        case _:
            return False


def term_implies(one: Term, other: Term) -> bool:
    """Return whether whatever passes one alternative passes the other."""
    return all(any(_literal_implies(literal, wanted) for literal in one) for wanted in other)
