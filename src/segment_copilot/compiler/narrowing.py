"""Counts how an audience comes about: in one read, every part by itself, and what each condition does to the whole.

    rows of bits → is each condition true for the user? → where is the first that decides, is it the only one → counts

A user is told by the first condition that decides and by whether there is a second, so the query grows with the number
of conditions and not with its square.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, LiteralString

from msgspec import Struct

from segment_copilot.compiler.bitmasks import Bitmasks
from segment_copilot.compiler.fragments import CompiledQuery, Fragment, join, nested, query, sql
from segment_copilot.compiler.slots import Node, Plan
from segment_copilot.compiler.sources import Sources
from segment_copilot.compiler.tables import Tables
from segment_copilot.compiler.trees import Logic, is_positive, normal


class Conditions(Struct, frozen=True):
    """Lets in the users for whom *inclusions* (not empty), joined by *logic*, hold, and none of *exclusions*."""

    logic: Logic
    inclusions: tuple[Node, ...]
    exclusions: tuple[Node, ...]


class Narrowing(Struct, frozen=True):
    """Holds numbers of users.

    *node_counts* are of the nodes that were asked about. *counts_after* and *counts_without* are of the conditions in
    order, inclusions before exclusions: the audience of those up to each, and of all but each.
    """

    universe: int
    node_counts: tuple[int, ...]
    counts_after: tuple[int, ...]
    counts_without: tuple[int, ...]


def render_narrowing(plan: Plan, conditions: Conditions, nodes: Sequence[Node]) -> CompiledQuery:
    """Write one row for `read_narrowing`; *nodes* are counted by themselves."""
    tables = Tables(plan)
    let_in, taken_out, alone = (_normal(part) for part in (conditions.inclusions, conditions.exclusions, nodes))
    masks = Bitmasks([*let_in, *taken_out, *alone])
    of_or = _is_or(conditions)
    tests = [
        sql("{} AS let_in", _array([masks.test(node) for node in let_in])),
        sql("{} AS taken_out", _array([masks.test(node) for node in taken_out])),
        sql("{} AS alone", _array([masks.test(node) for node in alone])),
    ]
    firsts = [
        sql("alone"),
        *_firsts("let_in", decides=of_or),
        *_firsts("taken_out", decides=True),
        sql("let_in_count != 0 AS is_let_in" if of_or else "let_in_count = 0 AS is_let_in"),
    ]
    columns = [
        sql("(SELECT count()\n{}) AS universe", tables.users().indented(3)),
        sql("count()"),
        _histogram("let_in_first", "1"),
        _histogram(
            "if(let_in_count = 1, let_in_first, 0)",
            "taken_out_count = 0 AND is_let_in" if of_or else "taken_out_count = 0 AND let_in_count <= 1",
        ),
        _histogram("taken_out_first", "is_let_in"),
        _histogram("taken_out_first", "is_let_in AND taken_out_count <= 1"),
        sql("sumForEach(alone)"),
    ]
    rows = masks.rows(Sources(tables, plan.as_of, traits="current"))
    return query(_select(columns, _select(firsts, _select(tests, rows))))


def read_narrowing(row: Sequence[Any], conditions: Conditions, nodes: Sequence[Node]) -> Narrowing:
    """Read the row, and add the users who have no row of bits: those for whom nothing happened."""
    universe, touched, *histograms, happened = row
    untouched = universe - touched
    first, only, taken_first, taken_only = (Counter(dict(zip(*found, strict=True))) for found in histograms)
    of_or = _is_or(conditions)
    decisive = [place for place, node in enumerate(conditions.inclusions, 1) if _holds_untouched(node) == of_or]
    taking = [place for place, node in enumerate(conditions.exclusions, 1) if _holds_untouched(node)]
    is_let_in = bool(decisive) == of_or
    first[_first(decisive)] += untouched
    if not taking and (is_let_in if of_or else len(decisive) <= 1):
        only[_first(decisive) if len(decisive) == 1 else 0] += untouched
    if is_let_in:
        taken_first[_first(taking)] += untouched
        if len(taking) <= 1:
            taken_only[_first(taking)] += untouched
    let_in, taken_out = range(1, len(conditions.inclusions) + 1), range(1, len(conditions.exclusions) + 1)
    gathered = list(accumulate(first[place] for place in let_in))
    taken = list(accumulate(taken_first[place] for place in taken_out))
    happened = happened or [0] * len(nodes)  # a sum over no rows has no elements
    node_counts = [count + untouched * _holds_untouched(node) for count, node in zip(happened, nodes, strict=True)]
    return Narrowing(
        universe=universe,
        node_counts=tuple(node_counts),
        counts_after=(
            *(number if of_or else universe - number for number in gathered),
            *(taken_first.total() - number for number in taken),
        ),
        counts_without=(
            *(only.total() - only[place] if of_or else only[0] + only[place] for place in let_in),
            *(taken_only[0] + taken_only[place] for place in taken_out),
        ),
    )


def _is_or(conditions: Conditions) -> bool:
    """Return whether OR joins. One condition alone is under no logic; left out, it lets everybody in, as with AND."""
    return conditions.logic == "OR" and len(conditions.inclusions) > 1


def _normal(nodes: Sequence[Node]) -> list[Node]:
    return [normal(node) for node in nodes]


def _holds_untouched(node: Node) -> bool:
    """Return whether a node is true for a user for whom nothing happened."""
    return not is_positive(normal(node))


def _first(places: Sequence[int]) -> int:
    """Return the first place; 0 when there is none."""
    return places[0] if places else 0


def _array(tests: Sequence[Fragment]) -> Fragment:
    return sql("[{}]", join(", ", tests)) if tests else sql("emptyArrayUInt8()")


def _firsts(name: LiteralString, *, decides: bool) -> list[Fragment]:
    """Write, of the tests that come out as *decides*, the place of the first (from 1; 0: none), and their number."""
    return [
        sql("indexOf({name}, {decides}) AS {name}_first", name=name, decides=int(decides)),
        sql("countEqual({name}, {decides}) AS {name}_count", name=name, decides=int(decides)),
    ]


def _histogram(key: LiteralString, condition: LiteralString) -> Fragment:
    """Write two lists: the keys of the rows that meet the condition, and how many rows have each."""
    return sql("sumMapIf([toUInt32({})], [toUInt64(1)], {})", key, condition)


def _select(columns: Sequence[Fragment], rows: Fragment) -> Fragment:
    return sql("SELECT\n  {}\nFROM {}", join(",\n  ", columns), nested(rows))
