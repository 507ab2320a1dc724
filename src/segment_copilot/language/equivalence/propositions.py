"""Statements joined by and, or and not, and the one form of all that are true in the same cases.

What is joined are atoms: any frozen values whose `repr` tells them apart. The form is a truth table over those atoms
that matter, so that neither brackets nor De Morgan nor what follows from something else leaves a trace.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from itertools import pairwise
from typing import Any, Final

from msgspec import Struct


class Not(Struct, frozen=True):
    """True where *part* is false."""

    part: Any


class Joined(Struct, frozen=True):
    """True where all of the parts are, or any of them; they stand in the order of their `repr`."""

    is_all: bool
    parts: tuple[Any, ...]


class Counted(Struct, frozen=True):
    """True where at least so many of the parts are, some of which may be alike: more than one of them, and not all."""

    least: int
    parts: tuple[Any, ...]


Statement = bool | Not | Joined | Counted | Hashable
"""True and false themselves, what is joined, or an atom."""

MAX_ATOMS: Final = 12  # 4,096 cases: a number of so many bits is worked with in microseconds


class Table(Struct, frozen=True):
    """Holds the atoms that matter, in order, and a bit for each case of them: set where the statement is true."""

    atoms: tuple[Any, ...]
    cases: int


def all_of(parts: Iterable[Statement]) -> Statement:
    """Return the statement that is true where all parts are."""
    return _join(parts, is_all=True)


def any_of(parts: Iterable[Statement]) -> Statement:
    """Return the statement that is true where any part is."""
    return _join(parts, is_all=False)


def at_least(least: int, parts: Iterable[Statement]) -> Statement:
    """Return the statement that is true where at least so many parts are."""
    parts = list(parts)
    least -= sum(part is True for part in parts)
    left = [part for part in parts if not isinstance(part, bool)]
    if least <= 0 or len(left) < least:
        return least <= 0
    if least in {1, len(left)}:
        return _join(left, is_all=least > 1)
    return Counted(least, tuple(sorted(left, key=repr)))


def negation(part: Statement) -> Statement:
    """Return the statement that is true where *part* is not; only atoms stay behind a `Not`."""
    match part:
        case bool():
            return not part
        case Not():
            return part.part
        case Joined():
            return _join((negation(one) for one in part.parts), is_all=not part.is_all)
        case Counted():
            return at_least(len(part.parts) - part.least + 1, map(negation, part.parts))
        case _:
            return Not(part)


def _join(parts: Iterable[Statement], *, is_all: bool) -> Statement:
    found = dict[str, Statement]()
    for part in parts:
        if part is is_all:
            continue
        if part is (not is_all):
            return not is_all
        inner = part.parts if isinstance(part, Joined) and part.is_all == is_all else (part,)
        found |= {repr(one): one for one in inner}
    if any(repr(negation(one)) in found for one in found.values() if isinstance(one, Not)):
        return not is_all
    if not found:
        return is_all
    if len(found) == 1:
        return next(iter(found.values()))
    return Joined(is_all, tuple(found[name] for name in sorted(found)))


def mapped(statement: Statement, change: Callable[[Any], Statement]) -> Statement:
    """Return the statement with every atom changed."""
    match statement:
        case bool():
            return statement
        case Not():
            return negation(mapped(statement.part, change))
        case Joined():
            return _join((mapped(part, change) for part in statement.parts), is_all=statement.is_all)
        case Counted():
            return at_least(statement.least, (mapped(part, change) for part in statement.parts))
        case _:
            return change(statement)


def atoms_of(statement: Statement) -> dict[str, Any]:
    """Return the atoms of a statement by their `repr`."""
    match statement:
        case bool():
            return {}
        case Not():
            return {repr(statement.part): statement.part}
        case Joined() | Counted():
            return {name: atom for part in statement.parts for name, atom in atoms_of(part).items()}
        case _:
            return {repr(statement): statement}


def table_of(
    statement: Statement, implies: Callable[[Any, Any], bool], excludes: Callable[[Any, Any], bool]
) -> Table | None:
    """Return the one table of all statements that are true in the same cases; None where there are too many atoms.

    *implies* and *excludes* say what one atom tells of another: cases that cannot be are as if they were not.
    """
    found = atoms_of(statement)
    if len(found) > MAX_ATOMS:
        return None
    names = sorted(found)
    atoms = [found[name] for name in names]
    full = (1 << (1 << len(atoms))) - 1
    masks = [_unset(full, place) << (1 << place) for place in range(len(atoms))]
    possible = full
    for one, atom in enumerate(atoms):
        for two, other in enumerate(atoms):
            if one != two and implies(atom, other):
                possible &= ~masks[one] | masks[two]
            if one < two and excludes(atom, other):
                possible &= ~(masks[one] & masks[two])
    by_name = dict(zip(names, masks, strict=True))
    true = _cases(statement, by_name, full) & possible
    return _without_idle(atoms, true, possible, full)


def _unset(full: int, place: int) -> int:
    """Return the cases in which the atom at *place* is false."""
    return full // ((1 << (1 << place)) + 1)


def _cases(statement: Statement, masks: dict[str, int], full: int) -> int:
    match statement:
        case bool():
            return full if statement else 0
        case Not():
            return full & ~masks[repr(statement.part)]
        case Joined():
            cases = full if statement.is_all else 0
            for part in statement.parts:
                found = _cases(part, masks, full)
                cases = cases & found if statement.is_all else cases | found
            return cases
        case Counted():
            enough = [full] + [0] * statement.least  # cases with at least none, one, … of the parts so far
            for part in statement.parts:
                found = _cases(part, masks, full)
                enough = [full, *(more | (fewer & found) for fewer, more in pairwise(enough))]
            return enough[-1]
        case _:
            return masks[repr(statement)]


def _without_idle(atoms: list[Any], true: int, possible: int, full: int) -> Table:
    """Leave out each atom without which the same possible cases are told true."""
    kept, told = list(range(len(atoms))), true
    for place in range(len(atoms)):
        shift, unset = 1 << place, _unset(full, place)
        either = (told & unset) | ((told >> shift) & unset)
        either |= either << shift
        if either & possible == true:
            told = either
            kept.remove(place)
    cases = 0
    for case in range(1 << len(kept)):
        before = sum(1 << place for bit, place in enumerate(kept) if case >> bit & 1)
        cases |= (told >> before & 1) << case
    return Table(tuple(atoms[place] for place in kept), cases)
