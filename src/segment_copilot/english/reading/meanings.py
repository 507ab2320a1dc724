"""Says what a part of a sentence may mean: conditions joined by a logic, each with the words that made it, and a score."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, Final, Literal, cast

import msgspec
from msgspec import UNSET, Struct, structs

from segment_copilot.english.linking.names import Names
from segment_copilot.english.linking.stored import as_stored
from segment_copilot.english.reading.anchors import WindowAnchor
from segment_copilot.english.times.windows import Window as Said
from segment_copilot.language import (
    Condition,
    Definition,
    EventCount,
    EventPeriods,
    EventProperty,
    EventSequence,
    EventTime,
    Group,
    Monetary,
    Recency,
    SegmentMembership,
    UserProperty,
)
from segment_copilot.language.nodes import Exclusion, PropertyTest, Window
from segment_copilot.language.operators import OPERATORS, OPPOSITE_NUMBER

Features = Mapping[str, float]
_WINDOWED: Final = (EventCount, Monetary, EventProperty)


class Clause(Struct, frozen=True):
    """One condition and the words that made it.

    *event* and *where* are what later words may point back to; *counts* where it is about that something was done at
    all; *timed* once it has a window or says that it has none.
    """

    condition: Condition
    used: int
    event: str = ""
    where: tuple[PropertyTest, ...] = ()
    positive: bool = True
    counts: bool = False
    timed: bool = False
    window: Said | None = None


class Joined(Struct, frozen=True, dict=True):
    """Parts joined by a logic, or at least so many of them."""

    logic: Literal["AND", "OR"]
    parts: tuple[Tree, ...]
    least: int = 0  # where at least so many have to hold, whatever the logic

    @cached_property
    def flat(self) -> tuple[Clause, ...]:
        """All clauses in it, first to last."""
        return tuple(clause for part in self.parts for clause in clauses(part))

    @cached_property
    def last(self) -> Clause | None:
        """The last of them that is about an event."""
        return next((clause for clause in reversed(self.flat) if clause.event), None)


Tree = Clause | Joined


class Fragment(Struct, frozen=True):
    """Holds what is said without naming an event: it borrows one from a part beside it."""

    used: int
    negative: bool = False
    quantity: Any = None
    tests: tuple[PropertyTest, ...] = ()
    window: Said | None = None
    since: bool = False  # "and not since"
    order: str = ""  # which of the events: the latest; or that the parts beside it are one after the other
    event: str = ""  # the one that was named, where that only says which of those spoken of


class Reading(Struct, frozen=True):
    """One reading of a part of a sentence. *left* are the words that it does not explain."""

    features: Features  # its own, without those of its parts
    score: float
    left: int = 0
    parts: tuple[Reading, ...] = ()
    tree: Tree | None = None
    exclude: Tree | None = None
    window: WindowAnchor | None = None  # of a part that says only when
    fragment: Fragment | None = None
    ordered: int = 0  # words that say "in that order" of what stands before
    pronoun: int = 0  # words that still point back to something
    label: int = 0  # words that name the draft
    front: bool = False  # it is taken out of what follows
    notes: tuple[tuple[int, str], ...] = ()

    @property
    def empty(self) -> bool:
        """True when it says nothing."""
        return (
            self.tree is None
            and self.exclude is None
            and self.window is None
            and self.fragment is None
            and not self.ordered
        )

    def all_features(self) -> dict[str, float]:
        """Return its features with those of its parts."""
        counted = dict(self.features)
        for part in self.parts:
            for name, value in part.all_features().items():
                counted[name] = counted.get(name, 0) + value
        return counted


def clauses(tree: Tree | None) -> tuple[Clause, ...]:
    """Return the clauses of a tree, first to last."""
    if tree is None:
        return ()
    return (tree,) if isinstance(tree, Clause) else tree.flat


def changed(tree: Tree, change: Callable[[Clause], Clause]) -> Tree:
    """Return the tree with each clause changed."""
    if isinstance(tree, Clause):
        return change(tree)
    return structs.replace(tree, parts=tuple(changed(part, change) for part in tree.parts))


def replaced(tree: Tree, which: Clause, by: Tree) -> Tree:
    """Return the tree with something else in the place of one clause."""
    if isinstance(tree, Clause):
        return by if tree is which else tree
    parts = tuple(replaced(part, which, by) for part in tree.parts)
    return structs.replace(tree, parts=parts) if tree.least else cast("Tree", join(tree.logic, *parts))


def join(logic: Literal["AND", "OR"], *trees: Tree | None) -> Tree | None:
    """Return trees joined; those of the same logic become one."""
    parts: list[Tree] = []
    for tree in trees:
        if isinstance(tree, Joined) and tree.logic == logic and not tree.least:
            parts += tree.parts
        elif tree is not None:
            parts.append(tree)
    return parts[0] if len(parts) == 1 else Joined(logic, tuple(parts)) if parts else None


def when(said: Said | None) -> dict[str, Any]:
    """Return the fields of a node that say when; none for all history, and where the language has no words for it."""
    if said is None:
        return {}
    fields = said.json()
    if "window" in fields:
        return {"window": msgspec.convert(fields["window"], Window)}
    return fields


def timed(clause: Clause, said: Said, used: int = 0) -> Clause:
    """Return the clause with a window, where it has none and can have one."""
    if clause.timed or not isinstance(clause.condition, _WINDOWED):
        return clause
    fields = when(said)
    if not fields and said.kind != "ever":
        return clause
    node = structs.replace(clause.condition, **fields)
    return structs.replace(clause, condition=node, used=clause.used | used, timed=True, window=said)


def opposite(condition: Condition) -> Condition:
    """Return what holds for everybody else: by the opposite operator where it is exact, else negated."""
    match condition:
        case EventCount() if condition.value2 is UNSET:
            return _turned_count(condition)
        case UserProperty() if (turned := OPERATORS[condition.operator].opposite) is not None:
            return structs.replace(condition, operator=turned)
        case SegmentMembership():
            return structs.replace(condition, operator="not_in" if condition.operator == "in" else "in")
        case _:
            return structs.replace(condition, negate=not condition.negate)


def _turned_count(condition: EventCount) -> EventCount:
    operator = OPPOSITE_NUMBER[condition.operator]
    if operator == "lt" and condition.value == 1:
        return structs.replace(condition, operator="eq", value=0)
    if condition.operator == "eq" and condition.value == 0:
        return structs.replace(condition, operator="gte", value=1)
    return structs.replace(condition, operator=operator)


def turned(tree: Tree) -> Tree:
    """Return the opposite of a whole tree."""
    if isinstance(tree, Clause):
        return structs.replace(tree, condition=opposite(tree.condition), positive=not tree.positive)
    logic: Literal["AND", "OR"] = "OR" if tree.logic == "AND" else "AND"
    least = len(tree.parts) - tree.least + 1 if tree.least else 0
    return Joined(logic, tuple(turned(part) for part in tree.parts), least)


class Written(Struct, frozen=True):
    """A definition, and which words made which of its conditions."""

    definition: Definition
    pointers: tuple[tuple[str, int], ...]


def write(reading: Reading, names: Names) -> Written | None:
    """Return the definition of a reading, as the values are stored; none where it says nothing of whom to take."""
    pointers: list[tuple[str, int]] = []
    tree, exclude = reading.tree, reading.exclude
    if tree is None and exclude is None:
        return None
    if tree is None and exclude is not None:
        tree, exclude = turned(exclude), None
    logic, conditions = _conditions(cast("Tree", tree), "", pointers)
    out: Any = UNSET
    if exclude is not None:
        out = Exclusion(*_conditions(exclude, "/exclude", pointers))
    return Written(as_stored(Definition(logic, list(conditions), out), names), tuple(pointers))


def _conditions(tree: Tree, pointer: str, pointers: list[tuple[str, int]]) -> tuple[Any, list[Condition]]:
    if isinstance(tree, Clause) or tree.least:
        return "AND", [_condition(tree, f"{pointer}/conditions/0", pointers)]
    logic, parts = tree.logic, tree.parts
    made = [_condition(part, f"{pointer}/conditions/{at}", pointers) for at, part in enumerate(parts)]
    return logic, made


def _condition(tree: Tree, pointer: str, pointers: list[tuple[str, int]]) -> Condition:
    if isinstance(tree, Clause):
        pointers.append((pointer, tree.used))
        return tree.condition
    if tree.least:
        made = [_condition(part, f"{pointer}/conditions/{at}", pointers) for at, part in enumerate(tree.parts)]
        return Group(logic="AT_LEAST", at_least=tree.least, conditions=made)
    logic, made = _conditions(tree, pointer, pointers)
    return Group(logic=logic, conditions=made)


def last_event(tree: Tree | None) -> Clause | None:
    """Return the last clause that is about an event."""
    if isinstance(tree, Joined):
        return tree.last
    return tree if tree is not None and tree.event else None


def key(reading: Reading) -> bytes:
    """Return what tells readings apart: what they say, and what they still lack."""
    said: Any = [
        [_plain(reading.tree), _plain(reading.exclude), reading.left, reading.front, reading.pronoun,
         reading.window and (reading.window.start, reading.window.end),
         reading.fragment and (reading.fragment.used, reading.fragment.negative)],
    ]  # fmt: skip
    return msgspec.json.encode(said)


def _plain(tree: Tree | None) -> Any:
    if tree is None or isinstance(tree, Clause):
        return tree and tree.condition
    return [tree.logic, tree.least, *(_plain(part) for part in tree.parts)]


__all__ = [
    "Clause", "EventPeriods", "EventSequence", "EventTime", "Fragment", "Joined", "Reading", "Recency", "Tree", "changed",
    "clauses", "join", "key", "last_event", "opposite", "timed", "turned", "when", "write",
]  # fmt: skip
